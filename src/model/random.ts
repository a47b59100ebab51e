/**
 * Seeded random models: right in every shape, with a working tokenizer, worthless in every word.
 *
 * Tests, benches and dry runs use them where a real refiner would need a download. The same spec gives the same bytes.
 */
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { GristmillError } from '../errors.ts';
import { callNative, native } from '../native/index.ts';
import type { OnProgress } from '../progress.ts';

/** Shape of a random model. */
export interface RandomModelShape {
  readonly architecture: 'llama' | 'qwen3';
  readonly nLayer: number;
  /** Width; a multiple of 32 and, without `headDim`, of `2 · nHead`. */
  readonly nEmbd: number;
  readonly nHead: number;
  /** Size of a head, even. Default `nEmbd / nHead`. */
  readonly headDim?: number;
  /** Key-value heads; divides `nHead`. */
  readonly nHeadKv: number;
  /** Width of the feed-forward layer; a multiple of 32. */
  readonly nFf: number;
  /** Context in tokens. */
  readonly nCtx: number;
  /** `spm`: SentencePiece with byte fallback; `bpe`: byte-level BPE with ChatML's special tokens. */
  readonly tokenizer: 'spm' | 'bpe';
  /** At least 400; beyond about 2,500 the rest are pieces that no text uses. */
  readonly vocabSize: number;
  /** Type of the matrices; norms are always f32. The last two have blocks of 256: widths and heads are multiples of it. */
  readonly type: 'f32' | 'bf16' | 'q8_0' | 'iq4_xs' | 'iq3_s';
  /** The embeddings serve as output matrix. Default false. */
  readonly tiedEmbeddings?: boolean;
  /** Base of the rotary angles, 1..1e9. Default 10,000. */
  readonly ropeBase?: number;
  /** Jinja text for `tokenizer.chat_template`; none by default. */
  readonly chatTemplate?: string;
}

/** A model to write. */
export interface RandomModelSpec extends RandomModelShape {
  readonly path: string;
  /** 0..2^53-1. */
  readonly seed: number;
}

/** ChatML, an answer without a thought begun. */
const CHATML =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}";

/**
 * Shapes by name. `350m` is that of the published 0.3B ProX refiners (354,284,800 parameters), `qwen3-0.6b` that of the
 * published UltraX refiner (596,049,920, the tied embeddings counted once).
 */
export const RANDOM_MODEL_PRESETS = Object.freeze({
  tiny: {
    architecture: 'llama',
    nLayer: 2,
    nEmbd: 64,
    nHead: 4,
    nHeadKv: 2,
    nFf: 128,
    nCtx: 2048,
    tokenizer: 'spm',
    vocabSize: 768,
    type: 'f32',
  },
  '20m': {
    architecture: 'llama',
    nLayer: 8,
    nEmbd: 384,
    nHead: 6,
    nHeadKv: 2,
    nFf: 1024,
    nCtx: 2048,
    tokenizer: 'spm',
    vocabSize: 8192,
    type: 'bf16',
  },
  '350m': {
    architecture: 'llama',
    nLayer: 24,
    nEmbd: 1280,
    nHead: 16,
    nHeadKv: 1,
    nFf: 2048,
    nCtx: 2048,
    tokenizer: 'spm',
    vocabSize: 32000,
    type: 'bf16',
  },
  'qwen3-0.6b': {
    architecture: 'qwen3',
    nLayer: 28,
    nEmbd: 1024,
    nHead: 16,
    headDim: 128,
    nHeadKv: 8,
    nFf: 3072,
    nCtx: 40_960,
    tokenizer: 'bpe',
    vocabSize: 151_936,
    type: 'bf16',
    tiedEmbeddings: true,
    ropeBase: 1e6,
    chatTemplate: CHATML,
  },
} as const satisfies Record<string, RandomModelShape>);

/** Name of a preset. */
export type RandomModelPreset = keyof typeof RANDOM_MODEL_PRESETS;

/**
 * Writes a random model; the file appears under its name when it is complete.
 *
 * @param onProgress told a few times a second how many bytes are written
 * @throws OPTION_INVALID for a shape that does not work, MODEL_WRITE_FAILED when the file cannot be written
 */
export async function writeRandomModel(
  spec: RandomModelSpec,
  onProgress?: OnProgress,
): Promise<void> {
  const { seed, path } = spec;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'seed',
      expected: 'a whole number in 0..2^53-1',
      received: seed,
    });
  }
  if (typeof path !== 'string' || path === '') {
    throw new GristmillError('OPTION_INVALID', {
      option: 'path',
      expected: 'the file to write',
      received: path,
    });
  }
  const total = bytesOfMatrices(spec);
  const tell = (done: number): void =>
    onProgress?.({ phase: 'writing', unit: 'bytes', done: Math.min(done, total), total });
  tell(0);
  const looking = onProgress && setInterval(() => tell(pendingBytes(path)), LOOKS_EVERY_MS);
  try {
    await callNative(native().writeRandomModel(spec));
  } finally {
    clearInterval(looking);
  }
}

const LOOKS_EVERY_MS = 250;
const BYTES_OF = {
  f32: 4,
  bf16: 2,
  q8_0: 34 / 32,
  iq4_xs: 136 / 256,
  iq3_s: 110 / 256,
} as const satisfies Record<RandomModelShape['type'], number>;

/** Nearly all of a file's bytes: its norms and its vocabulary are left out. */
function bytesOfMatrices(shape: RandomModelShape): number {
  const { nLayer, nEmbd, nHead, nHeadKv, nFf, vocabSize, type, tiedEmbeddings } = shape;
  const head = shape.headDim ?? nEmbd / nHead;
  const ofLayer = 2 * nEmbd * head * (nHead + nHeadKv) + 3 * nEmbd * nFf;
  const ofWords = (tiedEmbeddings ? 1 : 2) * vocabSize * nEmbd;
  return Math.round((nLayer * ofLayer + ofWords) * BYTES_OF[type]);
}

/** Bytes of the file that this process is writing in the place of another (native/output_file.cc); 0 where none is seen. */
function pendingBytes(path: string): number {
  try {
    const start = `.${basename(path)}.${process.pid}.`;
    const name = readdirSync(dirname(path)).find((each) => each.startsWith(start));
    return name === undefined ? 0 : statSync(join(dirname(path), name)).size;
  } catch {
    return 0;
  }
}
