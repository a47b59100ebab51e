/** `gristmill annotate chunks`: parsing and printing around annotateChunks(). */
import { annotateChunks } from '../annotate/chunks/annotate-chunks.ts';
import type {
  AnnotateChunksOptions,
  AnnotateChunksProgress,
} from '../annotate/chunks/chunk-options.ts';
import type { ChunkStatistics } from '../annotate/chunks/chunk-statistics.ts';
import { EXAMPLE_KINDS, type ExampleShares } from '../annotate/chunks/shares.ts';
import type { AnnotateJob } from '../annotate/ranges/asker.ts';
import type { ChunkWay } from '../annotate/types.ts';
import { count } from '../figures.ts';
import {
  INTERRUPT_WORDS,
  lostAnswers,
  percentOf,
  type SummaryRow,
  summaryText,
} from './annotate-output.ts';
import { askAsWorker, watched } from './annotate-worker.ts';
import { type ExpertFlags, expertFrom } from './expert-flags.ts';
import { defined } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { type ObserveFlags, openObserver } from './observe.ts';
import { duration } from './progress.ts';
import { progressLine } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `annotate chunks`. */
export interface ChunksFlags extends ExpertFlags, ObserveFlags {
  readonly out: string;
  readonly way: ChunkWay;
  readonly profile?: string;
  readonly tokenizer?: string;
  readonly windowSize?: number;
  readonly textColumn?: string;
  readonly idColumn?: string;
  readonly limit?: number;
  readonly onlyKept?: string;
  readonly maxOps?: number;
  readonly maxSourceChars?: number;
  readonly minChars?: number;
  readonly maxRemovedShare?: number;
  readonly allowReplacements?: boolean;
  readonly maxRewordedChars?: number;
  readonly shares?: ExampleShares;
  readonly nearDuplicate?: number;
  readonly validation?: number;
  readonly seed?: number;
  readonly prompts?: string;
  readonly answerTokens?: number;
  readonly worker?: string;
  readonly json?: boolean;
}

/** The action of `annotate chunks`. */
export function chunks(inputs: string[], flags: ChunksFlags): Promise<void> {
  const json = flags.json ?? false;
  return untilInterrupted(INTERRUPT_WORDS, async (signal) => {
    await using observer = await openObserver(flags, null, noticePrinter(json));
    const common = { ...chunksOptions(inputs, flags), signal, ...watched(observer, json) };
    if (flags.worker !== undefined) {
      const job: AnnotateJob = { kind: 'chunks', options: common };
      await askAsWorker(job, flags.worker, json, observer);
      await observer.linger(signal);
      return;
    }
    using line = progressLine(json || observer.isLog);
    const statistics = await annotateChunks({
      ...common,
      onProgress: (progress) => {
        const { nDocuments: done, nAllDocuments: total } = progress;
        line.update(progressText(progress), total === null ? undefined : { done, total });
      },
    });
    line.stop();
    printResult(json, statistics, () => summary(statistics));
    if (statistics.stopped !== null) process.exitCode = 3;
    else if (nExamples(statistics) === 0 && failedAtExpert(statistics) > 0) process.exitCode = 1;
    const { nDocuments, nWindows, stopped, seconds } = statistics;
    const examples = nExamples(statistics);
    observer.workEnded({ nDocuments, nWindows, examples, stopped, seconds });
    await observer.linger(signal);
  });
}

/** The options that the flags mean. @throws OPTION_INVALID */
export function chunksOptions(inputs: string[], flags: ChunksFlags): AnnotateChunksOptions {
  const { out, way, profile, tokenizer, windowSize, textColumn, idColumn, limit, onlyKept } = flags;
  const { maxOps, maxSourceChars, minChars, maxRemovedShare, allowReplacements } = flags;
  const { maxRewordedChars, nearDuplicate, validation, seed, prompts, answerTokens } = flags;
  const asksExpert =
    way !== 'gold' || flags.expertUrl !== undefined || flags.expertGguf !== undefined;
  return {
    inputs,
    out,
    way,
    ...(asksExpert && { expert: expertFrom(flags) }),
    ...defined({ profile, tokenizer, windowSize, textColumn, idColumn, limit, onlyKept }),
    ...defined({ maxOps, maxSourceChars, minChars, maxRemovedShare, allowReplacements }),
    ...defined({ maxRewordedChars, nearDuplicate, validation, seed, prompts, answerTokens }),
    ...defined({ shares: flags.shares }),
  };
}

function progressText(progress: AnnotateChunksProgress): string {
  const { nDocuments, nAllDocuments, nWindows, nExamples } = progress;
  const of = nAllDocuments === null ? '' : ` of ${count(nAllDocuments)}`;
  return `${count(nDocuments)}${of} documents | ${count(nWindows)} windows | ${count(nExamples)} examples`;
}

function nExamples({ parts }: ChunkStatistics): number {
  return parts.train.nExamples + parts.validation.nExamples;
}

/** Windows that are no examples as the expert gave no whole answer. */
function failedAtExpert({ rejected }: ChunkStatistics): number {
  return (rejected.expert_failed ?? 0) + (rejected.answer_cut ?? 0);
}

function summary(statistics: ChunkStatistics): string {
  const { parts, rejected, requests, nWindows } = statistics;
  const windows = (name: string, part: number): SummaryRow => [
    name,
    count(part),
    percentOf(nWindows, part),
  ];
  const rows: SummaryRow[] = [
    ['documents', count(statistics.nDocuments), ''],
    ['windows', count(nWindows), ''],
    windows('examples to train', parts.train.nExamples),
    windows('examples to validate', parts.validation.nExamples),
    ...EXAMPLE_KINDS.map((kind) =>
      windows(`  ${kind}`, parts.train.kinds[kind] + parts.validation.kinds[kind]),
    ),
    ...Object.entries(rejected).map(([reason, part]) => windows(reason, part)),
  ];
  if (requests !== null) {
    rows.push(
      ['requests', count(requests.requests), ''],
      ['answers cached', count(requests.cached), ''],
      ['prompt tokens', count(requests.promptTokens), ''],
      ['answer tokens', count(requests.answerTokens), ''],
      ...lostAnswers(requests),
    );
  }
  rows.push(['time', duration(statistics.seconds), '']);
  const hint =
    nExamples(statistics) === 0 && (rejected.answer_cut ?? 0) > 0
      ? 'answers were cut at their longest length: --answer-tokens allows for more'
      : null;
  return summaryText(rows, { ...statistics, hint });
}
