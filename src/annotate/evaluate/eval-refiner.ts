/**
 * How well a refiner writes programs: every labelled window is shown to it, its program and the label's are executed,
 * and what they do is compared (ProX, arXiv 2409.17115, Table 4 and more: eval-refiner-measures.ts has the formulas).
 */
import { performance } from 'node:perf_hooks';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  flag,
  iterable,
  name,
  number,
  type OptionTable,
  oneOf,
  share,
  text,
  whole,
} from '../../options.ts';
import type { ResolvedOptions } from '../../program/options.ts';
import type { DialectName } from '../../program/types.ts';
import {
  MAX_LINE_START,
  type WindowExecuteOptions,
  WindowExecutor,
} from '../../program/window-execution.ts';
import type { Split, WindowExample } from '../types.ts';
import { RefinerEvaluation, type RefinerMeasures } from './eval-refiner-measures.ts';
import {
  openPredictor,
  type Prediction,
  type PredictorOptions,
  type WindowPredictor,
} from './window-predictor.ts';

/** Which examples are measured. */
export interface ExampleSelection {
  /** Default `validation`; `all` takes both parts. */
  readonly split?: Split | 'all';
  /** Stop after this many; ≥ 1, default all. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** Options of {@link evaluateRefiner}. */
export interface EvaluateRefinerOptions extends PredictorOptions, ExampleSelection {
  readonly examples: AsyncIterable<WindowExample> | Iterable<WindowExample>;
  /** Options of the strict executor, for both sides; default those of a run without `minKeptRatio` (0 here). */
  readonly execute?: WindowExecuteOptions;
  /** Told of the windows measured so far, batch by batch. */
  readonly onProgress?: (nWindows: number) => void;
}

/** Tokens of all windows together, by window and by 10⁶ bytes (UTF-8) of windows. */
export interface TokenCounts {
  readonly total: number;
  readonly perWindow: number;
  readonly perMB: number;
}

/** What came out; plain data. */
export interface RefinerEvaluationResult extends RefinerMeasures {
  readonly refiner: string;
  /** `language` or `line-score`. */
  readonly kind: string;
  readonly dialect: DialectName;
  readonly profile: string | null;
  readonly constrained: boolean | null;
  readonly lineThreshold: number | null;
  readonly modelSha256: string;
  /** Set when the weights are random: the measures mean nothing. */
  readonly random: string | null;
  readonly split: Split | 'all';
  /** Options of the executor over predictions; labels have the same in their own dialect. */
  readonly execute: ResolvedOptions;
  /** For models that score: lines. */
  readonly promptTokens: TokenCounts;
  readonly newTokens: TokenCounts;
  /** Time that the refiner took, loading and executing apart, by 10⁶ bytes of windows. */
  readonly secondsPerMB: number;
}

/** Bytes of shown text, empty lines included, that end a batch. */
const BATCH_BYTES = 16 * 2 ** 20;

const OPTION_TABLE: OptionTable<EvaluateRefinerOptions> = {
  profile: name,
  system: text,
  lineThreshold: share,
  retention: share,
  constrained: flag,
  device: name,
  threads: number,
  slots: number,
  seed: number,
  refiner: name,
  split: oneOf(['train', 'validation', 'all']),
  limit: whole(1),
  signal: abortSignal,
  examples: iterable,
  execute: anObject,
  onProgress: callback,
};

/**
 * Measures a refiner on labelled windows.
 *
 * @throws OPTION_INVALID, PROFILE_*, ENGINE_*, NATIVE_MISSING; TRAIN_DATA_TOO_SMALL when no example is chosen; ABORTED;
 *   and what reading the examples throws
 * @see ProX, arXiv 2409.17115, Table 4
 */
export async function evaluateRefiner(
  options: EvaluateRefinerOptions,
): Promise<RefinerEvaluationResult> {
  checkOptions<EvaluateRefinerOptions>('evaluateRefiner', options, OPTION_TABLE, [
    'refiner',
    'examples',
  ]);
  const { examples, execute, split = 'validation', limit, signal, onProgress, ...wanted } = options;
  const executor = new WindowExecutor(execute);
  const chosen = selectExamples(examples, { split, ...(limit !== undefined && { limit }), signal });
  const predictor = await openPredictor(wanted);
  const interrupt = (): void => {
    if (predictor.interruptible) void predictor.dispose();
  };
  signal?.addEventListener('abort', interrupt, { once: true });
  try {
    const measured = await measure(predictor, { executor, chosen, onProgress });
    const { kind, dialect, profile, constrained, lineThreshold, modelSha256, random } = predictor;
    return {
      refiner: options.refiner,
      ...{ kind, dialect, profile, constrained, lineThreshold, modelSha256, random },
      split,
      execute: executor.resolved(dialect),
      ...measured,
    };
  } catch (error) {
    throwIfAborted(signal, 'evaluation');
    throw error;
  } finally {
    signal?.removeEventListener('abort', interrupt);
    await predictor.dispose();
  }
}

async function measure(
  predictor: WindowPredictor,
  {
    executor,
    chosen,
    onProgress,
  }: {
    readonly executor: WindowExecutor;
    readonly chosen: AsyncIterable<WindowExample>;
    readonly onProgress: ((nWindows: number) => void) | undefined;
  },
): Promise<
  RefinerMeasures & Pick<RefinerEvaluationResult, 'promptTokens' | 'newTokens' | 'secondsPerMB'>
> {
  const evaluation = new RefinerEvaluation();
  let milliseconds = 0;
  let nWindows = 0;
  let promptTokens = 0;
  let newTokens = 0;
  for await (const batch of batches(chosen, predictor.batchWindows)) {
    const start = performance.now();
    const predictions = await predictor.predict(batch);
    milliseconds += performance.now() - start;
    for (const [index, example] of batch.entries()) {
      const { programs, flaw, ...tokens }: Prediction = predictions[index]!;
      const prediction = executor.run(example, programs, predictor.dialect);
      evaluation.add({ example, label: executeLabel(executor, example), prediction, flaw });
      promptTokens += tokens.promptTokens;
      newTokens += tokens.newTokens;
    }
    nWindows += batch.length;
    onProgress?.(nWindows);
  }
  const measures = evaluation.report();
  const megabytes = measures.nBytes / 1e6;
  const tokenCounts = (total: number): TokenCounts => ({
    total,
    perWindow: total / nWindows,
    perMB: megabytes === 0 ? 0 : total / megabytes,
  });
  return {
    ...measures,
    promptTokens: tokenCounts(promptTokens),
    newTokens: tokenCounts(newTokens),
    secondsPerMB: megabytes === 0 ? 0 : milliseconds / 1000 / megabytes,
  };
}

/** What an example's own program makes of its window. */
export function executeLabel(executor: WindowExecutor, example: WindowExample) {
  const { lineStart, lineEnd, program, dialect } = example;
  return executor.run(example, [{ lineStart, lineEnd, program }], dialect);
}

/**
 * The examples that are measured, in order.
 *
 * @throws OPTION_INVALID for a line number beyond {@link MAX_LINE_START} or a bad limit; TRAIN_DATA_TOO_SMALL when there
 *   are none; ABORTED
 */
export async function* selectExamples(
  examples: AsyncIterable<WindowExample> | Iterable<WindowExample>,
  {
    split,
    limit = Number.POSITIVE_INFINITY,
    signal,
  }: {
    readonly split: Split | 'all';
    readonly limit?: number;
    readonly signal?: AbortSignal | undefined;
  },
): AsyncGenerator<WindowExample> {
  if (!(limit >= 1)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'limit',
      expected: 'a number of at least 1',
      received: limit,
    });
  }
  let nTaken = 0;
  for await (const example of examples) {
    throwIfAborted(signal, 'evaluation');
    if (split !== 'all' && example.split !== split) continue;
    if (example.lineStart > MAX_LINE_START) {
      throw new GristmillError('OPTION_INVALID', {
        option: `lineStart of example ${example.id}`,
        expected: `at most ${MAX_LINE_START}`,
        received: example.lineStart,
      });
    }
    yield example;
    nTaken++;
    if (nTaken >= limit) return;
  }
  if (nTaken === 0) {
    const what = split === 'all' ? 'examples' : `examples of the ${split} split`;
    throw new GristmillError('TRAIN_DATA_TOO_SMALL', { what, minimum: 1, received: 0 });
  }
}

async function* batches(
  examples: AsyncIterable<WindowExample>,
  maxWindows: number,
): AsyncGenerator<WindowExample[]> {
  let batch: WindowExample[] = [];
  let nBytes = 0;
  for await (const example of examples) {
    const size = example.lineStart + 3 * example.text.length;
    if (batch.length > 0 && nBytes + size > BATCH_BYTES) {
      yield batch;
      batch = [];
      nBytes = 0;
    }
    batch.push(example);
    nBytes += size;
    if (batch.length === maxWindows) {
      yield batch;
      batch = [];
      nBytes = 0;
    }
  }
  if (batch.length > 0) yield batch;
}
