/** `gristmill compare`: parsing and printing around compareRuns(). */
import { writeDurably } from '../durable-files.ts';
import { count } from '../figures.ts';
import { compareRuns, type RunComparison } from '../refine/compare.ts';
import { comparisonHtml } from './compare-html.ts';
import { differingShare, percent, statusRows } from './compare-rows.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { columns, printResult } from './say.ts';

/** Exit code where more documents differ than --fail-above allows. */
const DIFFERS = 3;
/** Groups and documents of a table; --json and --html have more. */
const SHOWN = 10;

/** Flags of `gristmill compare`. */
export interface CompareFlags {
  readonly by?: string;
  readonly top: number;
  readonly failAbove?: number;
  readonly html?: string;
  readonly json?: boolean;
}

/** The action of `gristmill compare`. */
export async function compare(first: string, second: string, flags: CompareFlags): Promise<void> {
  const { by, top, failAbove } = flags;
  using line = progressLine(flags.json);
  const onProgress = tellOn(line);
  const found = await compareRuns(first, second, {
    ...{ top, onProgress },
    ...(by !== undefined && { by }),
  });
  line.stop();
  if (flags.html !== undefined) writeDurably(flags.html, comparisonHtml(found));
  printResult(flags.json, found, () => comparisonTable(found));
  if (failAbove !== undefined && differingShare(found) > failAbove) process.exitCode = DIFFERS;
}

function comparisonTable(found: RunComparison): string {
  const { documents, differing, inBoth, onlyInFirst, onlyInSecond } = found;
  const all = inBoth + onlyInFirst + onlyInSecond;
  const numbers = (cell: string, width: number, column: number): string =>
    column === 0 ? cell.padEnd(width) : cell.padStart(width);
  const parts = [
    columns(
      [
        ['documents', count(documents), ''],
        ['differing', count(differing), percent(differing, documents)],
        ['characters in both', count(inBoth), percent(inBoth, all)],
        [`only in ${found.first}`, count(onlyInFirst), percent(onlyInFirst, all)],
        [`only in ${found.second}`, count(onlyInSecond), percent(onlyInSecond, all)],
        ...(found.missingInFirst + found.missingInSecond > 0
          ? [
              [
                'documents that one has not committed',
                count(found.missingInFirst + found.missingInSecond),
                '',
              ],
            ]
          : []),
      ],
      numbers,
    ),
    `\nfirst (down) and second (across)\n`,
    columns(statusRows(found), numbers),
  ];
  if (found.settings.length > 0) parts.push(`\nsettings: ${found.settings.join('; ')}\n`);
  if (found.groups.length > 0) {
    const rows = found.groups
      .slice(0, SHOWN)
      .map((group) => [
        group.value,
        count(group.documents),
        percent(group.differing, group.documents),
        count(group.onlyInFirst),
        count(group.onlyInSecond),
      ]);
    const head = [found.by ?? '', 'documents', 'differing', 'only in first', 'only in second'];
    parts.push('\n', columns([head, ...rows], numbers));
  }
  if (found.documentsThatDifferMost.length > 0) {
    const rows = found.documentsThatDifferMost
      .slice(0, SHOWN)
      .map((one) => [
        `${one.file} row ${one.row}${one.id === null ? '' : ` (${one.id})`}`,
        one.first.status,
        one.second.status,
        count(one.onlyInFirst),
        count(one.onlyInSecond),
      ]);
    const head = ['differs most', 'first', 'second', 'only in first', 'only in second'];
    parts.push('\n', columns([head, ...rows], numbers));
  }
  return parts.join('');
}
