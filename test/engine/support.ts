/** What the engine tests share: random models in a temporary folder, documents as views, a few texts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  RANDOM_MODEL_PRESETS,
  type RandomModelShape,
  writeRandomModel,
} from '../../src/model/random.ts';
import type { NativeEngine, NativeEngineOptions, PromptFrame } from '../../src/native/engine.ts';
import { native } from '../../src/native/index.ts';

export const folder = mkdtempSync(join(tmpdir(), 'gristmill-engine-'));
export const removeFolder = () => rmSync(folder, { recursive: true, force: true });

/** Writes the tiny preset with changes; returns its path. */
export async function tinyModel(
  name: string,
  changes: Partial<RandomModelShape> & { seed?: number; chatTemplate?: string } = {},
): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, seed: 7, ...changes, path });
  return path;
}

/** `GRISTMILL_TEST_DEVICE=cuda:0` runs the tests on a GPU; identity of bits is promised for CPUs only. */
const device = process.env['GRISTMILL_TEST_DEVICE'] ?? 'cpu';

/** Elsewhere a document's logits depend on the shape of its batch: a few thousandths, as they are sums of 16-bit products. */
export const isOnCpu = device === 'cpu';

/** Holds logits against those of another batch: to the bit on the CPU. */
export function expectLogit(received: number, expected: number): void {
  if (isOnCpu) expect(received).toBe(expected);
  else expect(Math.abs(received - expected)).toBeLessThan(0.05);
}

/** Opens with one thread: spinning compute threads on a shared machine would be timed, not tested. */
export function open(
  modelPath: string,
  options: Partial<NativeEngineOptions> = {},
): Promise<NativeEngine> {
  return native().openEngine({
    modelPath,
    device,
    nThreads: 1,
    nSlots: 4,
    nCtxSlot: 1024,
    nUbatch: 128,
    ...options,
  });
}

export function documents(texts: readonly (string | Uint8Array)[]) {
  const encoded = texts.map((text) => (typeof text === 'string' ? encode(text) : text));
  const offsets = new Int32Array(texts.length + 1);
  for (const [doc, text] of encoded.entries()) offsets[doc + 1] = offsets[doc]! + text.length;
  return { data: new Uint8Array(Buffer.concat(encoded)), offsets };
}

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
export const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export const lineFormat = { prefix: '[', minDigits: 3, suffix: ']', firstLine: 0 } as const;

/** Llama-2 chat, as ProX renders it. */
export const llamaFrame: PromptFrame = {
  prefix: '<s>[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\n[doc]\n',
  suffix: '\n[/doc] [/INST]',
  addBos: true,
  trimStart: false,
  trimEnd: false,
  maxTokens: 900,
  truncate: 'prompt',
};

/** ChatML, as Qwen renders it. */
export const chatmlFrame: PromptFrame = {
  prefix: '<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n',
  suffix: '<|im_end|>\n<|im_start|>assistant\n',
  addBos: false,
  trimStart: false,
  trimEnd: false,
  maxTokens: 900,
  truncate: 'content',
};

const SENTENCES = [
  'The mill stands where the river bends.',
  'Home | About | Contact | Login',
  'Read more',
  'Copyright 2024. All rights reserved.',
  'Grain comes in sacks of rye and wheat.',
  'a "quoted" word and a back\\slash',
  '',
  'Schöne Grüße, 東京 и Москва 👍',
  "it's <b>bold</b> & $5",
];

/** Ragged texts of 1 to `maxLines` lines, the same for the same seed. */
export function raggedTexts(count: number, maxLines: number, seed = 1): string[] {
  let state = seed;
  const next = (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + next(maxLines) }, () => SENTENCES[next(SENTENCES.length)]!).join('\n'),
  );
}
