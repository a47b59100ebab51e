/**
 * How well a language model predicts texts: loss by token and by byte.
 *
 * A document begins with the model's BOS (or its end-of-document token where it has no BOS) and is cut into windows
 * of `nCtx` tokens that overlap by one: every token of a text and its end is predicted exactly once, from at most
 * `nCtx − 1` tokens before it in its window. Bytes make models with different vocabularies comparable.
 */
import { planTexts, readTexts } from '../corpus/texts.ts';
import { GristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import type { TokenBatch } from '../native/train.ts';
import {
  abortSignal,
  callback,
  checkOptions,
  flag,
  listOf,
  name,
  type OptionTable,
  whole,
} from '../options.ts';
import type { OnProgress } from '../progress.ts';
import { openTrainer, type Trainer, trainShapeOf } from './trainer.ts';

/** Options of {@link evaluateLm}. */
export interface EvaluateLmOptions {
  /** GGUF file of a llama model with its tokenizer. */
  readonly model: string;
  /** Files, folders and globs of a corpus. */
  readonly data: readonly string[];
  readonly textColumn?: string;
  /** Tokens of a window; default 512. */
  readonly nCtx?: number;
  /** Windows of a batch; default 4. */
  readonly nSeq?: number;
  /** Also give every document's sums. Default false. */
  readonly byDocument?: boolean;
  /** One line that a person should see: files that are passed over. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Told how much of the corpus is read. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal;
}

/** What came out; nats unless said otherwise. */
export interface LmMeasures {
  readonly lossPerToken: number;
  readonly perplexity: number;
  readonly lossPerByte: number;
  readonly bitsPerByte: number;
  readonly nDocs: number;
  /** Predicted tokens, the ends of documents included. */
  readonly nTokens: number;
  readonly nBytes: number;
  /** Of each document, in the order of the corpus: nats over its tokens, and its bytes. */
  readonly documents?: { readonly nats: Float64Array; readonly bytes: Float64Array };
}

const OPTION_TABLE: OptionTable<EvaluateLmOptions> = {
  model: name,
  data: listOf(name, 1),
  textColumn: name,
  nCtx: whole(2),
  nSeq: whole(1),
  byDocument: flag,
  onNotice: callback,
  onProgress: callback,
  signal: abortSignal,
};

/**
 * Measures a model.
 *
 * @throws TRAIN_MODEL_UNSUPPORTED, ENGINE_MODEL_*, ENGINE_DECODE_FAILED, CORPUS_*, TRAIN_DATA_TOO_SMALL, ABORTED
 */
export async function evaluateLm(options: EvaluateLmOptions): Promise<LmMeasures> {
  checkOptions<EvaluateLmOptions>('evaluateLm', options, OPTION_TABLE, ['model', 'data']);
  const { model, data, textColumn, nCtx = 512, nSeq = 4, signal } = options;
  const plan = await planTexts({
    inputs: data,
    signal,
    onNotice: options.onNotice,
    ...(textColumn !== undefined && { textColumn }),
  });
  const tokenizer = await native().openTokenizer(model);
  try {
    await using trainer = await openTrainer({ shape: await trainShapeOf(model), nCtx, nSeq });
    await trainer.importGguf(model);
    const { bos, eos } = tokenizer.info;
    const start = bos >= 0 ? bos : eos;
    const collector = new WindowCollector(trainer, model);
    let nDocs = 0;
    let nBytes = 0;
    const bytes: number[] = [];
    for await (const { text, usable } of readTexts(plan, signal, options.onProgress)) {
      const { ids, starts } = await tokenizer.encode(text);
      for (const [row, flag] of usable.entries()) {
        if (flag === 0) continue;
        nDocs++;
        bytes.push(text.offsets[row + 1]! - text.offsets[row]!);
        nBytes += bytes.at(-1)!;
        const own = ids.subarray(starts[row], starts[row + 1]);
        const tokens = framed(own, start, eos);
        for (let at = 0; at + 1 < tokens.length; at += nCtx - 1) {
          await collector.add(tokens.subarray(at, at + nCtx), nDocs - 1);
        }
      }
    }
    await collector.flush();
    const { sum, nTokens } = collector;
    if (nTokens === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: 'tokens to measure on',
        minimum: 1,
        received: 0,
      });
    }
    const lossPerByte = sum / Math.max(1, nBytes);
    return {
      lossPerToken: sum / nTokens,
      perplexity: Math.exp(sum / nTokens),
      lossPerByte,
      bitsPerByte: lossPerByte / Math.LN2,
      nDocs,
      nTokens,
      nBytes,
      ...(options.byDocument && {
        documents: {
          nats: Float64Array.from(bytes, (_, document) => collector.nats[document] ?? 0),
          bytes: Float64Array.from(bytes),
        },
      }),
    };
  } finally {
    tokenizer.dispose();
  }
}

/** A document between its start and its end, where the vocabulary has them. */
function framed(own: Int32Array, start: number, end: number): Int32Array {
  const before = start >= 0 ? 1 : 0;
  const tokens = new Int32Array(own.length + before + (end >= 0 ? 1 : 0));
  if (before === 1) tokens[0] = start;
  tokens.set(own, before);
  if (end >= 0) tokens[tokens.length - 1] = end;
  return tokens;
}

/** Windows, several to a forward pass. */
class WindowCollector {
  sum = 0;
  nTokens = 0;
  /** By document. */
  readonly nats: number[] = [];
  readonly #trainer: Trainer;
  readonly #model: string;
  #windows: Int32Array[] = [];
  #documents: number[] = [];

  constructor(trainer: Trainer, model: string) {
    this.#trainer = trainer;
    this.#model = model;
  }

  async add(window: Int32Array, document: number): Promise<void> {
    this.#windows.push(window.slice());
    this.#documents.push(document);
    if (this.#windows.length === this.#trainer.options.nSeq) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#windows.length === 0) return;
    const { losses } = await this.#trainer.forward(this.#batch());
    for (const loss of losses) this.sum += loss;
    if (!Number.isFinite(this.sum)) {
      throw new GristmillError('ENGINE_DECODE_FAILED', {
        file: this.#model,
        device: this.#trainer.options.device,
        reason: 'a loss is no finite number: the weights are damaged, or too large for their type',
      });
    }
    this.nTokens += losses.length;
    let at = 0;
    for (const [row, window] of this.#windows.entries()) {
      const document = this.#documents[row]!;
      for (const end = at + window.length - 1; at < end; at++) {
        this.nats[document] = (this.nats[document] ?? 0) + losses[at]!;
      }
    }
    this.#windows = [];
    this.#documents = [];
  }

  #batch(): TokenBatch {
    const { nSeq, nCtx } = this.#trainer.options;
    const tokens = new Int32Array(nSeq * nCtx);
    const segments = new Int32Array(nSeq * nCtx).fill(-1);
    const positions: number[] = [];
    const labels: number[] = [];
    this.#windows.forEach((window, row) => {
      tokens.set(window, row * nCtx);
      segments.fill(0, row * nCtx, row * nCtx + window.length);
      for (let at = 0; at + 1 < window.length; at++) {
        positions.push(row * nCtx + at);
        labels.push(window[at + 1]!);
      }
    });
    return {
      tokens,
      segments,
      positions: Int32Array.from(positions),
      labels: Int32Array.from(labels),
    };
  }
}
