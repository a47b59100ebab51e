/** `gristmill eval`: how well refiners do on labelled pages and documents. Parsing and printing only. */
import { printable } from '../printable.ts';
import { evaluateLines, type LineEvaluationResult } from '../scorers/cross-validate.ts';
import { type DocumentReport, evaluateDocuments } from '../scorers/eval-documents.ts';
import type { LineMeasures, LineReport } from '../scorers/eval-lines.ts';
import { N_WORST, type TailReport } from '../scorers/eval-tail.ts';
import { type LeaveOut, readGoldDocuments, readGoldPages } from '../scorers/gold.ts';
import { documentRefiner, lineRefiner } from '../scorers/refiners.ts';
import { thinNoise } from '../scorers/thin-noise.ts';
import { evaluateLm } from '../train/eval-lm.ts';
import { table } from './eval-refiner.ts';
import { defined } from './flags.ts';
import { noticePrinter } from './interrupt.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `eval lines` and `eval documents`. */
export interface EvalFlags {
  readonly refiner: string;
  readonly data: string[];
  readonly train?: string[];
  readonly folds?: number;
  readonly leaveOut?: LeaveOut;
  readonly noiseShare?: number;
  readonly sites?: boolean;
  readonly json?: boolean;
}

/** Flags of `eval lm`. */
export interface LmFlags {
  readonly model: string;
  readonly data: string[];
  readonly textColumn?: string;
  readonly json?: boolean;
}

/** The action of `eval lm`. */
export async function evalLm({ model, data, textColumn, json }: LmFlags): Promise<void> {
  const onNotice = noticePrinter(json ?? false);
  using line = progressLine(json);
  const result = await evaluateLm({
    ...{ model, data, onNotice },
    onProgress: tellOn(line),
    ...defined({ textColumn }),
  });
  line.stop();
  printResult(json, result, () =>
    table([
      ['', 'docs', 'tokens', 'bytes', 'loss/token', 'perplexity', 'bits/byte'],
      [
        'all',
        String(result.nDocs),
        String(result.nTokens),
        String(result.nBytes),
        fixed(result.lossPerToken),
        fixed(result.perplexity),
        fixed(result.bitsPerByte),
      ],
    ]),
  );
}

/** The action of `eval lines`. */
export async function evalLines({
  refiner,
  data,
  train = [],
  folds,
  leaveOut,
  noiseShare,
  sites,
  json,
}: EvalFlags): Promise<void> {
  const pages = await collect(data, readGoldPages);
  using line = progressLine(json);
  const result = await evaluateLines({
    refiner: lineRefiner(refiner, { folds: folds !== undefined || leaveOut !== undefined }),
    pages: noiseShare === undefined ? pages : pages.map((page) => thinNoise(page, noiseShare)),
    trainPages: await collect(train, readGoldPages),
    nFolds: folds ?? null,
    leaveOut,
    ...(sites && { sites }),
    onFold: (fold, nTrain, nScored) => {
      if (nTrain > 0) line.keep(`fold ${fold + 1}: ${nTrain} pages train, ${nScored} scored`);
    },
    onProgress: tellOn(line),
  });
  line.stop();
  printResult(json, result, () => linesTable(result));
}

/** The action of `eval documents`. */
export async function evalDocuments({
  refiner,
  data,
  train = [],
  folds,
  leaveOut,
  json,
}: EvalFlags): Promise<void> {
  using line = progressLine(json);
  const result = await evaluateDocuments({
    refiner: documentRefiner(refiner, { folds: folds !== undefined || leaveOut !== undefined }),
    documents: await collect(data, readGoldDocuments),
    trainDocuments: await collect(train, readGoldDocuments),
    nFolds: folds ?? null,
    leaveOut,
    onProgress: tellOn(line),
  });
  line.stop();
  printResult(json, result, () => documentsTable(result));
}

async function collect<T>(
  files: readonly string[],
  read: (file: string) => AsyncIterable<T>,
): Promise<T[]> {
  const rows: T[] = [];
  for (const file of files) for await (const row of read(file)) rows.push(row);
  return rows;
}

const HEADER = [
  '',
  'docs',
  'lines',
  'macroF1',
  'keep F1',
  'remove F1',
  'content kept',
  'noise removed',
];

function linesTable(result: LineEvaluationResult): string {
  const { bySource, byLanguage, byPageType } = result;
  const bounds = Object.keys(result.noiseCharsRemovedAt);
  const row = (name: string, measures: LineMeasures): string[] => [
    name,
    String(measures.nDocs),
    String(measures.nLines),
    fixed(measures.macroF1),
    fixed(measures.keep.f1),
    fixed(measures.remove.f1),
    fixed(measures.contentCharsKept),
    fixed(measures.noiseCharsRemoved),
    ...bounds.map((bound) => fixed(measures.noiseCharsRemovedAt[bound]!)),
    measures.docWordF1 === null ? '-' : fixed(measures.docWordF1),
  ];
  const rows = [
    [...HEADER, ...bounds.map((bound) => `at ${bound}`), 'docWordF1'],
    row('all', result),
    ...Object.entries(bySource).map(([name, measures]) => row(name, measures)),
    ...Object.entries(byPageType).map(([name, measures]) => row(name, measures)),
    ...Object.entries(byLanguage).map(([name, measures]) => row(name, measures)),
  ];
  return [
    `${result.refiner}: ${result.secondsPerMB.toFixed(3)} s/MB`,
    table(rows),
    ...(result.withSites ? [sitesTable(result, result.withSites)] : []),
    tailLines(result.tail),
  ].join('\n');
}

/** Noise removed with what sites repeat, against without. */
function sitesTable(without: LineReport, withSites: LineReport): string {
  const bounds = Object.keys(without.noiseCharsRemovedAt);
  const row = (name: string, plain: LineMeasures, told: LineMeasures | undefined): string[] => [
    name,
    String(plain.nDocs),
    ...bounds.flatMap((bound) => [
      fixed(plain.noiseCharsRemovedAt[bound]!),
      told ? fixed(told.noiseCharsRemovedAt[bound]!) : '-',
    ]),
  ];
  const groups = (['byPageType', 'bySource'] as const).flatMap((by) =>
    Object.entries(without[by]).map(([name, plain]) => row(name, plain, withSites[by][name])),
  );
  return table([
    ['noise removed', 'docs', ...bounds.flatMap((bound) => [`at ${bound}`, 'with sites'])],
    row('all', without, withSites),
    ...groups,
  ]);
}

/** What the means hide. */
function tailLines({
  interval,
  pageNormalised,
  withoutWorst,
  worstPages,
  byLength,
  lostLines,
}: TailReport) {
  const lost = Object.entries(lostLines).flatMap(([kind, lostShare]) =>
    lostShare === null ? [] : [`${kind} ${fixed(lostShare)}`],
  );
  const lengths = byLength.flatMap(({ maxChars, nPages, contentKept }, index) => {
    if (contentKept === null) return [];
    const above = `over ${byLength[index - 1]?.maxChars}`;
    return [`${maxChars === null ? above : `up to ${maxChars}`} ${fixed(contentKept)} (${nPages})`];
  });
  const worst = worstPages.map(
    ({ id, lostChars, contentChars }) => `${id} ${lostChars} of ${contentChars}`,
  );
  return [
    `noise removed at 0.99: ${interval.map(fixed).join(' to ')} when domains are drawn anew (5 to 95 %), ${fixed(pageNormalised)} when pages count alike, ${fixed(withoutWorst)} without the ${N_WORST} worst pages`,
    `content lines removed, by kind: ${lost.join(', ')}`,
    `content kept at 0.99, by its characters on a page (pages): ${lengths.join(', ')}`,
    ...(worst.length > 0 ? [`characters of content lost at 0.99: ${worst.join(', ')}`] : []),
  ]
    .map((line) => printable(line, 4_000))
    .join('\n');
}

function documentsTable(result: DocumentReport): string {
  const { refiner, balancedAccuracy, auc, nDocs, nKeep, byKind } = result;
  const shown = (value: number | null): string => (value === null ? '-' : fixed(value));
  return [
    table([
      ['', 'docs', 'keep', 'balanced accuracy', 'auc'],
      [refiner, String(nDocs), String(nKeep), fixed(balancedAccuracy), fixed(auc)],
    ]),
    table([
      ['kind', 'good', 'dropped', 'bad', 'dropped'],
      ...Object.entries(byKind).map(([kind, { nGood, goodDropped, nBad, badDropped }]) => [
        printable(kind),
        String(nGood),
        shown(goodDropped),
        String(nBad),
        shown(badDropped),
      ]),
    ]),
  ].join('\n');
}

function fixed(value: number): string {
  return value.toFixed(3);
}
