/** `gristmill eval refiner`: measures of programs on annotated windows. Parsing and printing only. */
import {
  type AnnotatorComparison,
  compareAnnotators,
} from '../annotate/evaluate/compare-annotators.ts';
import {
  evaluateRefiner,
  type RefinerEvaluationResult,
} from '../annotate/evaluate/eval-refiner.ts';
import type {
  RefinerMeasures,
  WindowMeasures,
} from '../annotate/evaluate/eval-refiner-measures.ts';
import { readWindowExamples } from '../annotate/example-file.ts';
import type { WindowExample } from '../annotate/types.ts';
import { GristmillError, printable } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import { untilInterrupted } from './interrupt.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { readSystem } from './refine.ts';
import { columns, printResult } from './say.ts';

/** Flags of `eval refiner`. */
export interface EvalRefinerFlags {
  readonly refiner?: string;
  readonly against?: string;
  readonly data: string[];
  readonly split: 'train' | 'validation' | 'all';
  readonly profile?: string;
  readonly system?: string;
  readonly limit?: number;
  readonly device: string;
  readonly threads?: number;
  readonly slots?: number;
  readonly freeDecoding?: boolean;
  readonly json?: boolean;
}

/** The action of `eval refiner`. */
export async function evalRefiner(flags: EvalRefinerFlags): Promise<void> {
  const { refiner, against, data, split, limit, json } = flags;
  if ((refiner === undefined) === (against === undefined)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'refiner',
      expected: 'one of --refiner and --against',
      received: refiner === undefined ? 'neither' : 'both',
    });
  }
  await untilInterrupted(
    { ending: 'stopping the evaluation', ended: 'nothing was measured' },
    async (signal) => {
      const chosen = { split, signal, ...(limit !== undefined && { limit }) };
      using line = progressLine(json);
      const tell = tellOn(line);
      if (against !== undefined) {
        const count = counting(tell, { phase: 'reading', unit: 'windows', total: 0 });
        const result = await compareAnnotators({
          ...chosen,
          examples: counted(readAll(data, signal), count),
          against: counted(readWindowExamples(against, signal), count),
        });
        line.stop();
        printResult(json, result, () => comparisonText(result));
        return;
      }
      const { profile, system, device, threads, slots, freeDecoding } = flags;
      const total = await windowsOf(readAll(data, signal), chosen, tell);
      tell({ phase: 'measuring', unit: 'windows', done: 0, total });
      const result = await evaluateRefiner({
        ...chosen,
        refiner: refiner!,
        examples: readAll(data, signal),
        device,
        ...(profile !== undefined && { profile }),
        ...(system !== undefined && { system: readSystem(system) }),
        ...(threads !== undefined && { threads }),
        ...(slots !== undefined && { slots }),
        ...(freeDecoding && { constrained: false }),
        onProgress: (done) => tell({ phase: 'measuring', unit: 'windows', done, total }),
      });
      line.stop();
      printResult(json, result, () => refinerText(result));
    },
  );
}

async function* readAll(
  files: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<WindowExample> {
  for (const file of files) yield* readWindowExamples(file, signal);
}

async function* counted<T>(examples: AsyncIterable<T>, count: () => void): AsyncGenerator<T> {
  for await (const example of examples) {
    count();
    yield example;
  }
}

/** How many windows are measured: reading them takes little beside asking a model about them. */
async function windowsOf(
  examples: AsyncIterable<WindowExample>,
  { split, limit = Number.POSITIVE_INFINITY }: Pick<EvalRefinerFlags, 'split' | 'limit'>,
  onProgress: OnProgress,
): Promise<number> {
  const count = counting(onProgress, { phase: 'reading', unit: 'windows', total: 0 });
  let nWindows = 0;
  for await (const example of counted(examples, count)) {
    if (split === 'all' || example.split === split) nWindows++;
    if (nWindows >= limit) break;
  }
  return nWindows;
}

function refinerText(result: RefinerEvaluationResult): string {
  const { refiner, kind, dialect, promptTokens, newTokens, secondsPerMB, random } = result;
  const cost = [
    `${fixed(promptTokens.perWindow, 1)} + ${fixed(newTokens.perWindow, 1)} tokens a window`,
    `${fixed(promptTokens.perMB, 0)} + ${fixed(newTokens.perMB, 0)} a MB`,
    `${fixed(secondsPerMB, 3)} s/MB`,
  ];
  const head = `${printable(refiner)} (${kind}, ${dialect}): ${cost.join(', ')}\n`;
  const warning = random === null ? '' : 'its weights are random: the measures mean nothing\n';
  return head + warning + measuresText(result);
}

function comparisonText(result: AnnotatorComparison): string {
  const { nWindows, nJoinedByText, nOnlyInExamples, nOnlyInAgainst } = result;
  const only = `${nOnlyInExamples} only in --data, ${nOnlyInAgainst ?? '?'} only in --against`;
  return `${nWindows} windows in both (${nJoinedByText} joined by text); ${only}\n${measuresText(result)}`;
}

const COLUMNS: readonly (readonly [string, (measures: WindowMeasures) => number | null])[] = [
  ['line F1', ({ lines }) => lines.f1],
  ['precision', ({ lines }) => lines.precision],
  ['recall', ({ lines }) => lines.recall],
  ['window F1', ({ lineF1Mean }) => lineF1Mean],
  ['kappa', ({ kappa }) => kappa],
  ['char F1', ({ chars }) => chars.f1],
  ['over-deleted', ({ overDeletion }) => overDeletion.chars],
  ['failed', ({ failureRatio }) => failureRatio],
  ['unchanged', ({ unchangedRate }) => unchangedRate],
  ['exact', ({ exactMatchRate }) => exactMatchRate],
  ['words kept', ({ keptWords }) => keptWords],
];

function measuresText(measures: RefinerMeasures): string {
  const row = (name: string, of: WindowMeasures): string[] => [
    printable(name),
    String(of.nWindows),
    ...COLUMNS.map(([, value]) => fixed(value(of), 3)),
  ];
  const groups = [measures.byWay, measures.byLanguage, measures.byDialect];
  const rows = [
    ['', 'windows', ...COLUMNS.map(([name]) => name)],
    row('all', measures),
    ...groups.flatMap((group) => Object.entries(group).map(([name, of]) => row(name, of))),
  ];
  const { failures, paperFailureRatio, nTokenCap, ops, newWords, labels, overDeletion } = measures;
  const byFunction = Object.entries(ops.byFunction).map(
    ([name, { written, applied }]) => `${name} ${applied}/${written}`,
  );
  const reasons = Object.entries(failures).map(([reason, number]) => `${reason} ${number}`);
  const lines = [
    `failures: ${reasons.join(', ') || 'none'}; as the paper counts them ${fixed(paperFailureRatio, 4)}; at the token cap ${nTokenCap}`,
    `ops a window: mean ${fixed(ops.mean, 2)}, p50 ${ops.p50}, p95 ${ops.p95}; applied/written: ${byFunction.join(', ') || 'none'}`,
    `over-deletion: ${fixed(overDeletion.windows, 3)} of windows, ${fixed(overDeletion.lines, 4)} of kept lines`,
    `new words per 1000: ${fixed(newWords.addedPer1000, 3)} added, ${fixed(newWords.cutPer1000, 3)} cut`,
    `labels: ${labels.nFailed} failed, ${labels.nNotReproduced} not reproduced, unchanged ${fixed(labels.unchangedRate, 3)}, words kept ${fixed(labels.keptWords, 3)}`,
  ];
  return `${table(rows)}${lines.map((line) => `${line}\n`).join('')}`;
}

/** Rows as text columns, the first to the left and the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  return columns(rows, pad);
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

function fixed(value: number | null, digits: number): string {
  return value === null ? '-' : value.toFixed(digits);
}
