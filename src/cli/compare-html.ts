/** A comparison of two runs as one page: no script, nothing from elsewhere, every text escaped. */
import { count } from '../figures.ts';
import { escapeMarkup } from '../markup.ts';
import { escapeHidden } from '../printable.ts';
import type { RunComparison } from '../refine/compare.ts';
import { percent, statusRows } from './compare-rows.ts';

/** Groups of a page; a larger one would be of no use to a reader. */
const MAX_GROUPS = 500;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8886; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
@media print { body { max-width: none; margin: 0; } }
`;

/** The page. */
export function comparisonHtml(found: RunComparison): string {
  const { documents, differing, inBoth, onlyInFirst, onlyInSecond } = found;
  const all = inBoth + onlyInFirst + onlyInSecond;
  const groups = found.groups
    .slice(0, MAX_GROUPS)
    .map((group) => [
      group.value,
      count(group.documents),
      percent(group.differing, group.documents),
      count(group.onlyInFirst),
      count(group.onlyInSecond),
    ]);
  const most = found.documentsThatDifferMost.map((one) => [
    `${one.file} row ${one.row}${one.id === null ? '' : ` (${one.id})`}`,
    `${one.first.status} ${one.first.reason ?? ''}`,
    `${one.second.status} ${one.second.reason ?? ''}`,
    count(one.onlyInFirst),
    count(one.onlyInSecond),
  ]);
  const only = ['only in first', 'only in second'];
  return [
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>Two runs compared</title><style>${STYLE}</style></head><body><main>`,
    `<h1>Two runs compared</h1><p>First: ${cell(found.first)}<br>Second: ${cell(found.second)}</p>`,
    table(
      'Agreement',
      ['', 'documents', 'share'],
      [
        ['all', count(documents), ''],
        ['differing', count(differing), percent(differing, documents)],
        ['not committed by the first', count(found.missingInFirst), ''],
        ['not committed by the second', count(found.missingInSecond), ''],
      ],
    ),
    table(
      'Characters, by whole lines',
      ['', 'characters', 'share'],
      [
        ['in both', count(inBoth), percent(inBoth, all)],
        ['only in first', count(onlyInFirst), percent(onlyInFirst, all)],
        ['only in second', count(onlyInSecond), percent(onlyInSecond, all)],
      ],
    ),
    table(
      'Status in the first run (down) and in the second (across)',
      statusRows(found)[0]!,
      statusRows(found).slice(1),
    ),
    found.settings.length > 0
      ? table(
          'Settings that differ',
          ['first → second'],
          found.settings.map((one) => [one]),
        )
      : '',
    groups.length > 0
      ? table(`By ${found.by}`, [found.by ?? '', 'documents', 'differing', ...only], groups)
      : '',
    most.length > 0
      ? table('Documents that differ most', ['', 'first', 'second', ...only], most)
      : '',
    '</main></body></html>\n',
  ].join('\n');
}

function cell(text: string): string {
  return escapeMarkup(escapeHidden(text));
}

function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const heads = head.map((one) => `<th scope="col">${cell(one)}</th>`).join('');
  const body = rows.map((row) => {
    const [first, ...rest] = row.map(cell);
    return `<tr><td>${first}</td>${rest.map((one) => `<td>${one}</td>`).join('')}</tr>`;
  });
  return `<table><caption>${cell(caption)}</caption><thead><tr>${heads}</tr></thead><tbody>${body.join('\n')}</tbody></table>`;
}
