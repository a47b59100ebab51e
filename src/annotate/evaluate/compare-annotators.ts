/**
 * How far two annotators of the same windows agree: the measures of a refiner (eval-refiner-measures.ts) with the second
 * one's programs as the prediction; `kappa` and `rawAgreement` are over lines.
 *
 * Windows are joined by document, line numbers and text; what is left over by text alone, each window once, so that
 * sets whose documents were numbered or named differently still meet. Each program runs in its own numbering.
 */
import { createHash } from 'node:crypto';
import { pushTo } from '../../groups.ts';
import {
  abortSignal,
  anObject,
  checkOptions,
  iterable,
  type OptionTable,
  oneOf,
  whole,
} from '../../options.ts';
import type { ResolvedOptions } from '../../program/options.ts';
import { type WindowExecuteOptions, WindowExecutor } from '../../program/window-execution.ts';
import type { Split, WindowExample } from '../types.ts';
import { type ExampleSelection, executeLabel, selectExamples } from './eval-refiner.ts';
import { RefinerEvaluation, type RefinerMeasures } from './eval-refiner-measures.ts';

/** Options of {@link compareAnnotators}. */
export interface CompareAnnotatorsOptions extends ExampleSelection {
  /** The labels. */
  readonly examples: AsyncIterable<WindowExample> | Iterable<WindowExample>;
  /** What they are compared with: its programs count as predictions. */
  readonly against: AsyncIterable<WindowExample> | Iterable<WindowExample>;
  /** Options of the strict executor, for both sides; default those of a run without `minKeptRatio` (0 here). */
  readonly execute?: WindowExecuteOptions;
}

/** What came out; plain data. */
export interface AnnotatorComparison extends RefinerMeasures {
  readonly split: Split | 'all';
  /** Windows that were joined by their text alone. */
  readonly nJoinedByText: number;
  readonly nOnlyInExamples: number;
  /** Null where a limit cut the examples short. */
  readonly nOnlyInAgainst: number | null;
  readonly execute: Omit<ResolvedOptions, 'dialect'>;
}

/** A program waiting for its window, without the text. */
type Waiting = Pick<WindowExample, 'lineStart' | 'lineEnd' | 'program' | 'dialect'> & {
  readonly textHash: string;
  used: boolean;
};

const OPTION_TABLE: OptionTable<CompareAnnotatorsOptions> = {
  split: oneOf(['train', 'validation', 'all']),
  limit: whole(1),
  signal: abortSignal,
  examples: iterable,
  against: iterable,
  execute: anObject,
};

/**
 * Compares two sets of annotated windows.
 *
 * @throws OPTION_INVALID; TRAIN_DATA_TOO_SMALL when either set has no window of the split; ABORTED; and what reading
 *   the sets throws
 */
export async function compareAnnotators(
  options: CompareAnnotatorsOptions,
): Promise<AnnotatorComparison> {
  checkOptions<CompareAnnotatorsOptions>('compareAnnotators', options, OPTION_TABLE, [
    'examples',
    'against',
  ]);
  const { examples, against, execute, split = 'validation', limit, signal } = options;
  const executor = new WindowExecutor(execute);
  const byKey = new Map<string, Waiting[]>();
  const all: Waiting[] = [];
  for await (const example of selectExamples(against, { split, signal })) {
    const { lineStart, lineEnd, program, dialect } = example;
    const textHash = hashOf(example.text);
    const waiting = { lineStart, lineEnd, program, dialect, textHash, used: false };
    all.push(waiting);
    pushTo(byKey, keyOf(example, textHash), waiting);
  }
  const evaluation = new RefinerEvaluation();
  const add = (example: WindowExample, waiting: Waiting): void => {
    waiting.used = true;
    const prediction = executeLabel(executor, { ...example, ...waiting });
    evaluation.add({ example, label: executeLabel(executor, example), prediction, flaw: null });
  };
  const unmatched: { readonly example: WindowExample; readonly textHash: string }[] = [];
  let nExamples = 0;
  const chosen = { split, ...(limit !== undefined && { limit }), signal };
  for await (const example of selectExamples(examples, chosen)) {
    nExamples++;
    const textHash = hashOf(example.text);
    const waiting = byKey.get(keyOf(example, textHash))?.shift();
    if (waiting) add(example, waiting);
    else unmatched.push({ example, textHash });
  }
  const byText = new Map<string, Waiting[]>();
  for (const waiting of all) if (!waiting.used) pushTo(byText, waiting.textHash, waiting);
  let nJoinedByText = 0;
  for (const { example, textHash } of unmatched) {
    const waiting = byText.get(textHash)?.shift();
    if (!waiting) continue;
    nJoinedByText++;
    add(example, waiting);
  }
  const { dialect: _, ...resolved } = executor.resolved('prox');
  const cut = limit !== undefined && nExamples >= limit;
  return {
    split,
    nJoinedByText,
    nOnlyInExamples: unmatched.length - nJoinedByText,
    nOnlyInAgainst: cut ? null : all.filter(({ used }) => !used).length,
    execute: resolved,
    ...evaluation.report(),
  };
}

function keyOf({ id, lineStart, lineEnd }: WindowExample, textHash: string): string {
  return JSON.stringify([id, lineStart, lineEnd, textHash]);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
