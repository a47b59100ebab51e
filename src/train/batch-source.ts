/**
 * What a training run learns from, as a function of the step: the same seed and step give the same batches, whatever
 * came before.
 */
import { planTexts } from '../corpus/texts.ts';
import { GristmillError } from '../errors.ts';
import type { NativeTokenizer } from '../native/tokenizer.ts';
import type { TokenBatch } from '../native/train.ts';
import { readRows } from '../scorers/gold.ts';
import { documentsOf, SequenceOrder, tokenizeCorpus } from '../tokens/token-data.ts';
import { ChatEncoder, type ChatOptions } from './chat-examples.ts';
import type { LmTrainConfig } from './config.ts';
import { type Conversation, exampleOf, type PromptWithAnswer } from './conversation.ts';
import { pretrainBatch, type SftExample, sftBatch } from './objectives.ts';
import type { RowPlace } from './row-fault.ts';

/** Batches of a run. */
export interface BatchSource {
  /** Sequences (or examples) of an epoch. */
  readonly nSequences: number;
  /** Tokens that can be learnt from. */
  readonly nTokens: number;
  /** Rows and examples that were left out, with the reason. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Micro-batches of a step, counted from 0. */
  batches(step: number): TokenBatch[];
  /** Everything once, in order; for validation. */
  all(): Generator<TokenBatch>;
}

/** Settings of a source. */
export interface SourceSettings {
  readonly tokenizer: NativeTokenizer;
  readonly batch: LmTrainConfig['batch'];
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** Packed sequences of a corpus. @throws CORPUS_*, TRAIN_DATA_TOO_SMALL */
export async function pretrainSource(
  {
    inputs,
    textColumn,
    maskDocuments,
  }: {
    readonly inputs: readonly string[];
    readonly textColumn?: string | undefined;
    readonly maskDocuments: boolean;
  },
  { tokenizer, batch: { nSeq, nCtx, accumulate }, seed, signal }: SourceSettings,
): Promise<BatchSource> {
  const plan = await planTexts({ inputs, signal, ...(textColumn !== undefined && { textColumn }) });
  const data = await tokenizeCorpus(plan, tokenizer, signal);
  const nSequences = Math.floor(data.tokens.length / nCtx);
  if (nSequences === 0) {
    throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
      what: `tokens of ${inputs.join(', ')} for one sequence`,
      minimum: nCtx,
      received: data.tokens.length,
    });
  }
  const order = new SequenceOrder(nSequences, seed);
  const batchOf = (sequences: readonly number[]): TokenBatch => {
    const tokens = new Int32Array(sequences.length * nCtx);
    const documents = new Int32Array(maskDocuments ? tokens.length : 0);
    sequences.forEach((sequence, row) => {
      const start = sequence * nCtx;
      tokens.set(data.tokens.subarray(start, start + nCtx), row * nCtx);
      if (maskDocuments) documents.set(documentsOf(data, start, start + nCtx), row * nCtx);
    });
    const size = { nSeq: sequences.length, nCtx };
    return pretrainBatch(tokens, size, maskDocuments ? documents : undefined);
  };
  return {
    nSequences,
    nTokens: data.tokens.length,
    skipped: data.nSkipped > 0 ? { 'rows without a text': data.nSkipped } : {},
    batches: (step) =>
      Array.from({ length: accumulate }, (_, micro) =>
        batchOf(order.at((step * accumulate + micro) * nSeq, nSeq)),
      ),
    *all() {
      for (let first = 0; first < nSequences; first += nSeq) {
        const count = Math.min(nSeq, nSequences - first);
        yield padded(batchOf(Array.from({ length: count }, (_, row) => first + row)), {
          nSeq,
          nCtx,
        });
      }
    },
  };
}

/** Settings of {@link sftSource}. */
export interface SftSettings extends SourceSettings {
  /** The file of the tokenizer. */
  readonly tokenizerPath: string;
  /** How prompts are framed. */
  readonly chat: ChatOptions;
}

/**
 * Prompts with answers, from rows of the forms that conversation.ts reads.
 *
 * @throws CORPUS_*, TRAIN_GOLD_INVALID naming file and line, TRAIN_DATA_TOO_SMALL, PROFILE_*
 */
export async function sftSource(
  files: readonly string[],
  { tokenizer, tokenizerPath, chat, batch, seed, signal }: SftSettings,
): Promise<BatchSource> {
  const { nSeq, nCtx, accumulate } = batch;
  const encoder = await ChatEncoder.open(tokenizer, tokenizerPath, chat, nCtx);
  const examples: SftExample[] = [];
  let nTokens = 0;
  let nTooLong = 0;
  let nThoughts = 0;
  let nWithoutWeight = 0;
  for (const file of files) {
    for await (const { example, place } of readExamples(file, signal)) {
      if ('answer' in example) {
        const made = await encoder.encodeText(example);
        if (made.prompt.length === 0 || made.prompt.length + made.answer.length > nCtx) nTooLong++;
        else examples.push(made);
        continue;
      }
      nThoughts += example.nThoughts;
      const made = await encoder.encode(example, place);
      nTooLong += made.nTooLong;
      if (made.examples.length === 0 && made.nTooLong === 0) nWithoutWeight++;
      examples.push(...made.examples);
    }
  }
  for (const { prompt, answer } of examples) nTokens += prompt.length + answer.length;
  if (examples.length === 0) {
    throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
      what: `examples of ${files.join(', ')} that fit ${nCtx} tokens`,
      minimum: 1,
      received: 0,
    });
  }
  const order = new SequenceOrder(examples.length, seed);
  const size = { nSeq, nCtx };
  const batchOf = (chosen: readonly number[]): TokenBatch =>
    sftBatch(
      chosen.map((index) => examples[index]!),
      size,
    );
  return {
    nSequences: examples.length,
    nTokens,
    skipped: {
      ...(nTooLong > 0 && { [`examples empty or beyond ${nCtx} tokens`]: nTooLong }),
      ...(nWithoutWeight > 0 && { 'rows without an answer of weight 1': nWithoutWeight }),
      ...(nThoughts > 0 && { 'thoughts beside answers': nThoughts }),
    },
    batches: (step) =>
      Array.from({ length: accumulate }, (_, micro) =>
        batchOf(order.at((step * accumulate + micro) * nSeq, nSeq)),
      ),
    *all() {
      for (let first = 0; first < examples.length; first += nSeq) {
        const count = Math.min(nSeq, examples.length - first);
        yield batchOf(Array.from({ length: count }, (_, row) => first + row));
      }
    },
  };
}

/** A batch of fewer sequences, filled up with ones that nothing is learnt from. */
function padded(batch: TokenBatch, { nSeq, nCtx }: { nSeq: number; nCtx: number }): TokenBatch {
  if (batch.tokens.length === nSeq * nCtx) return batch;
  const tokens = new Int32Array(nSeq * nCtx);
  tokens.set(batch.tokens);
  const segments = new Int32Array(nSeq * nCtx).fill(-1);
  if (batch.segments) segments.set(batch.segments);
  else segments.fill(0, 0, batch.tokens.length);
  return { ...batch, tokens, segments };
}

/** Rows of one file of examples. @throws CORPUS_*, TRAIN_GOLD_INVALID naming file and line */
export async function* readExamples(
  file: string,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly example: Conversation | PromptWithAnswer; readonly place: RowPlace }> {
  for await (const { row, line } of readRows(file, signal)) {
    const place = { file, line };
    yield { example: exampleOf(row, place), place };
  }
}
