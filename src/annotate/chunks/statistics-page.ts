/**
 * `statistics.html`: the numbers of a run as one self-contained page, no script, nothing fetched. Every string that
 * comes from documents, options or experts is escaped.
 */
import { escapeMarkup } from '../../markup.ts';
import type { ChunkStatistics, PartStatistics } from './chunk-statistics.ts';
import { REJECT_REASONS, type RejectReason } from './reject-reasons.ts';
import { EXAMPLE_KINDS } from './shares.ts';

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 0 0 1.5rem; } caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } .bar { background: #46b; height: .7rem; display: inline-block; }
.note { background: #fd9; padding: .3rem .6rem; }
`;

const STOPPED = {
  budget: 'The budget was spent',
  quota: 'The quota at the expert’s endpoint was used up',
};

/** The page. */
export function statisticsPage(statistics: ChunkStatistics): string {
  const { parts, rejected, requests, languages, settings } = statistics;
  const nExamples = parts.train.nExamples + parts.validation.nExamples;
  const title = `Annotated windows: ${statistics.way}`;
  const counts = Object.entries(rejected).sort(([, one], [, other]) => other - one);
  return [
    '<!doctype html><html lang="en"><meta charset="utf-8">',
    `<title>${escapeMarkup(title)}</title><style>${STYLE}</style><h1>${escapeMarkup(title)}</h1>`,
    statistics.stopped === null
      ? ''
      : `<p class="note">${STOPPED[statistics.stopped]} before the inputs ended: this set is a part of what was asked for.</p>`,
    table('The run', [
      ['expert', statistics.expert || 'none'],
      ['profile, dialect', `${statistics.profile}, ${statistics.dialect}`],
      ['documents', whole(statistics.nDocuments)],
      ['… without a text, or left out', whole(statistics.nDocumentsSkipped)],
      ['lines longer than a window', whole(statistics.nLinesTooLong)],
      ['windows', whole(statistics.nWindows)],
      ['examples', `${whole(nExamples)} (${share(nExamples, statistics.nWindows)})`],
      ['domains among them', whole(statistics.nDomains)],
      ['edits that no op can express', whole(statistics.ambiguousEdits)],
      ['characters not let in', whole(statistics.rewordedChars)],
      ['seconds', statistics.seconds.toFixed(1)],
    ]),
    table('Examples', [
      ['', 'train', 'validation'],
      ...EXAMPLE_KINDS.map((kind) => [
        kind,
        ...each(
          parts,
          ({ kinds, nExamples: all }) => `${whole(kinds[kind])} (${share(kinds[kind], all)})`,
        ),
      ]),
      ['all', ...each(parts, (part) => whole(part.nExamples))],
      ...opNames(parts).map((name) => [
        `${name}()`,
        ...each(parts, ({ ops }) => whole(ops[name] ?? 0)),
      ]),
      ['characters kept', ...each(parts, (part) => share(part.charsAfter, part.charsBefore))],
      ['lines kept', ...each(parts, (part) => share(part.linesAfter, part.linesBefore))],
    ]),
    table('Windows that are no examples', [
      ['reason', 'windows', ''],
      ...counts.map(([reason, count]) => [
        `${reason}: ${REJECT_REASONS[reason as RejectReason]}`,
        whole(count),
        bar(count / Math.max(1, statistics.nWindows)),
      ]),
    ]),
    requests === null
      ? ''
      : table(
          'Requests',
          Object.entries(requests).map(([name, count]) => [name, whole(count as number)]),
        ),
    table(
      'Examples by language',
      Object.entries(languages).map(([language, count]) => [language || 'unknown', whole(count)]),
    ),
    table(
      'Options',
      Object.entries(settings).map(([name, value]) => [name, JSON.stringify(value) ?? '']),
    ),
    '</html>\n',
  ].join('\n');
}

/** A cell that is markup of ours, not text. */
interface Markup {
  readonly html: string;
}

function table(caption: string, rows: readonly (readonly (string | Markup)[])[]): string {
  if (rows.length === 0) return '';
  const body = rows.map((row) => {
    const cells = row.map(
      (cell) => `<td>${typeof cell === 'string' ? escapeMarkup(cell) : cell.html}</td>`,
    );
    return `<tr>${cells.join('')}</tr>`;
  });
  return `<table><caption>${escapeMarkup(caption)}</caption>${body.join('')}</table>`;
}

function each(
  { train, validation }: ChunkStatistics['parts'],
  show: (part: PartStatistics) => string,
): string[] {
  return [show(train), show(validation)];
}

function opNames({ train, validation }: ChunkStatistics['parts']): string[] {
  return [...new Set([...Object.keys(train.ops), ...Object.keys(validation.ops)])].sort();
}

function bar(width: number): Markup {
  return {
    html: `<span class="bar" style="width:${(12 * Math.min(1, width)).toFixed(2)}rem"></span>`,
  };
}

function whole(count: number): string {
  return count.toLocaleString('en');
}

function share(part: number, all: number): string {
  return all === 0 ? '–' : `${((100 * part) / all).toFixed(1)} %`;
}
