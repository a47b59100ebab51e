/** The tables of models/README.md as Markdown: figures that tables.ts measured, nothing counted here but sums. */
import type { LineMeasures, LineReport } from '../eval-lines.ts';
import { LINE_KINDS } from '../eval-tail.ts';
import type { KindReport } from './document-stack.ts';
import { DOCUMENT_BOUNDS, type DocumentContender, type LineContender } from './tables.ts';

type Row = readonly string[];

function markdown(header: Row, rows: readonly Row[]): string {
  const line = (cells: Row): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** `.864`; 1 is `1`. */
function fixed(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : value.toFixed(3).replace(/^0/, '');
}

function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : `${(100 * value).toFixed(1)} %`;
}

const BOUNDS = ['0.99', '0.98', '0.95'] as const;

function removedAt({ noiseCharsRemovedAt }: LineMeasures, hasScores: boolean): string[] {
  return BOUNDS.map((bound) => (hasScores ? fixed(noiseCharsRemovedAt[bound]) : '–'));
}

function verdictOf({ contentCharsKept, noiseCharsRemoved }: LineMeasures): string {
  return `${fixed(contentCharsKept)} / ${fixed(noiseCharsRemoved)}`;
}

const VERDICT = 'its verdict: content kept / noise removed';
const AT = BOUNDS.map((bound) => `noise removed at ${bound.slice(1)}`);

/** Sources left out: whole pages. */
export function sourcesTable(contenders: readonly LineContender[]): string {
  return markdown(
    ['refiner', 'macro-F1', VERDICT, ...AT, '5 to 95 %', 'pages alike', 'word F1'],
    contenders.map(({ name, hasScores, whole }) => [
      name,
      fixed(whole.macroF1),
      verdictOf(whole),
      ...removedAt(whole, hasScores),
      hasScores ? whole.tail.interval.map(fixed).join(' to ') : '–',
      hasScores ? fixed(whole.tail.pageNormalised) : '–',
      fixed(whole.docWordF1),
    ]),
  );
}

/** One way to read pages: new domains, or pages that were extracted before. */
export function measuresTable(
  contenders: readonly {
    readonly name: string;
    readonly hasScores: boolean;
    readonly report: LineReport;
  }[],
): string {
  return markdown(
    ['refiner', 'macro-F1', VERDICT, ...AT, 'word F1'],
    contenders.map(({ name, hasScores, report }) => [
      name,
      fixed(report.macroF1),
      verdictOf(report),
      ...removedAt(report, hasScores),
      fixed(report.docWordF1),
    ]),
  );
}

/**
 * A group a row: macro-F1 of every contender, and the noise that it removes at .99 where it has scores.
 *
 * @param groupsOf which groups of the report
 * @param minPages groups of fewer are left out
 */
export function groupsTable(
  what: string,
  contenders: readonly LineContender[],
  groupsOf: (report: LineReport) => Readonly<Record<string, LineMeasures>>,
  minPages = 1,
): string {
  const groups = Object.entries(groupsOf(contenders[0]!.whole))
    .filter(([name, { nDocs }]) => nDocs >= minPages && name !== 'unknown')
    .sort(([left, { nDocs: few }], [right, { nDocs: many }]) =>
      many === few ? (left < right ? -1 : 1) : many - few,
    );
  return markdown(
    [what, 'pages', ...contenders.map(({ name }) => name)],
    groups.map(([group, { nDocs }]) => [
      group,
      String(nDocs),
      ...contenders.map(({ hasScores, whole }) => {
        const own = groupsOf(whole)[group];
        if (!own) return '–';
        const at = own.noiseCharsRemovedAt['0.99'];
        return hasScores ? `${fixed(own.macroF1)} ${fixed(at)}` : fixed(own.macroF1);
      }),
    ]),
  );
}

/** Content lines that verdicts remove, by kind of line. */
export function lineKindsTable(contenders: readonly LineContender[]): string {
  return markdown(
    ['kind of line', ...contenders.map(({ name }) => name)],
    LINE_KINDS.map((kind) => [
      kind,
      ...contenders.map(({ whole }) => percent(whole.tail.lostLines[kind])),
    ]),
  );
}

/** What .99 over all pages means for a page of a length. */
export function lengthsTable({ tail: { byLength } }: LineReport): string {
  return markdown(
    [
      'characters of content',
      'pages',
      'content kept',
      'noise removed',
      'pages that lose more than a tenth',
    ],
    byLength.map(({ maxChars, nPages, contentKept, noiseRemoved, losingTenth }, index) => [
      maxChars === null ? `over ${byLength[index - 1]!.maxChars}` : `up to ${maxChars}`,
      String(nPages),
      fixed(contentKept),
      fixed(noiseRemoved),
      percent(losingTenth),
    ]),
  );
}

/** Documents, kinds left out. */
export function documentsTable(contenders: readonly DocumentContender[]): string {
  return markdown(
    [
      'refiner',
      'AUC',
      'its verdict: good kept / bad dropped',
      ...DOCUMENT_BOUNDS.map(
        (bound) => `bad dropped at ${String(bound).slice(1)} of the good kept`,
      ),
    ],
    contenders.map(({ name, auc, points }) => [
      name,
      fixed(auc),
      auc === null ? `${fixed(points[0]!.goodKept)} / ${fixed(points[0]!.badDropped)}` : '–',
      ...DOCUMENT_BOUNDS.map((bound) =>
        auc === null
          ? '–'
          : fixed(points.find(({ goodKept }) => goodKept === bound)?.badDropped ?? null),
      ),
    ]),
  );
}

/** Kinds of documents that are alike, by what their names begin with; what fits none is of pages. */
const FAMILIES: readonly (readonly [family: string, fits: RegExp])[] = [
  ['judged by people, English', /^judged-/],
  ['judged by people, 22 languages', /^hplt-/],
  ['ours, of many kinds', /^authored-/],
  ['pages made for other languages', /^made-/],
];
const PAGES = 'pages, their content; what is left without it';
const PACKAGES = 'of packages: READMEs, manuals, code, …';

/**
 * What is dropped, by kinds of documents.
 *
 * @param sources of pages; kinds that are neither these nor of a family come from packages
 */
export function documentKindsTable(
  contenders: readonly DocumentContender[],
  sources: ReadonlySet<string>,
): string {
  const familyOf = (kind: string): string =>
    FAMILIES.find(([, fits]) => fits.test(kind))?.[0] ?? (sources.has(kind) ? PAGES : PACKAGES);
  const families = [...FAMILIES.map(([family]) => family), PAGES, PACKAGES];
  const shareOf = (kinds: readonly KindReport[], family: string, label: number) => {
    const own = kinds.filter((each) => each.label === label && familyOf(each.kind) === family);
    const nAll = own.reduce((sum, { nDocuments }) => sum + nDocuments, 0);
    const gone = own.reduce((sum, { nDocuments, dropped }) => sum + nDocuments * dropped, 0);
    return { nAll, share: nAll === 0 ? null : gone / nAll };
  };
  const rows = [1, 0].flatMap((label) =>
    families.flatMap((family) => {
      const shares = contenders.map(({ kinds }) => shareOf(kinds, family, label));
      const nAll = Math.max(...shares.map((one) => one.nAll));
      if (nAll === 0) return [];
      const name = `${label === 1 ? 'good' : 'bad'}: ${family}`;
      return [[name, String(nAll), ...shares.map(({ share }) => percent(share))]];
    }),
  );
  return markdown(['dropped of', 'documents', ...contenders.map(({ name }) => name)], rows);
}
