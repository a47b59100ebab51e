import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { learnMerges, type Merge } from '../../src/model/bpe.ts';
import { BYTE_CHARACTERS, toByteCharacters } from '../../src/model/byte-alphabet.ts';
import { END_OF_TEXT, splitWords, trainTokenizer } from '../../src/model/tokenizer-training.ts';
import { native } from '../../src/native/index.ts';
import type { NativeTokenizer } from '../../src/native/tokenizer.ts';
import { testTexts } from '../support/corpus.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-tokenizer-'));
const path = join(folder, 'tokenizer.gguf');
const texts = [
  ...testTexts(60, 3),
  'Die Mühle mahlt Roggen; das Mehl ist fein.\n\n\tEingerückt   und   weit.',
  '製粉所は川のほとりにある。風車が回る。',
  "zéro 007 12345 1.5 naïve — “quotes” … 🙂🙂 l’été we’ll I’m don’t it's they're",
];
let tokenizer: NativeTokenizer;

beforeAll(async () => {
  await trainTokenizer({ texts, vocabSize: 600, path });
  tokenizer = await native().openTokenizer(path);
});
afterAll(() => {
  tokenizer.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Recounts all pairs for every merge. */
function naiveMerges(words: ReadonlyMap<string, number>, nMerges: number): Merge[] {
  let split = [...words].map(([word, count]) => ({ symbols: [...word], count }));
  const merges: Merge[] = [];
  while (merges.length < nMerges) {
    const counts = new Map<string, { left: string; right: string; count: number }>();
    for (const { symbols, count } of split) {
      for (let at = 0; at + 1 < symbols.length; at++) {
        const [left, right] = [symbols[at]!, symbols[at + 1]!];
        const key = JSON.stringify([left, right]);
        counts.set(key, { left, right, count: (counts.get(key)?.count ?? 0) + count });
      }
    }
    const order = (one: Merge, other: Merge): number =>
      one.left !== other.left ? (one.left < other.left ? -1 : 1) : one.right < other.right ? -1 : 1;
    const best = [...counts.values()].sort((a, b) => b.count - a.count || order(a, b))[0];
    if (!best || best.count < 2) break;
    const { left, right } = best;
    merges.push({ left, right });
    split = split.map(({ symbols, count }) => ({ symbols: applied(symbols, left, right), count }));
  }
  return merges;
}

function applied(symbols: readonly string[], left: string, right: string): string[] {
  const next: string[] = [];
  for (let at = 0; at < symbols.length; at++) {
    if (symbols[at] === left && symbols[at + 1] === right) {
      next.push(left + right);
      at++;
    } else next.push(symbols[at]!);
  }
  return next;
}

const encode = async (text: string): Promise<Int32Array> => {
  const data = new TextEncoder().encode(text);
  return (await tokenizer.encode({ data, offsets: Int32Array.of(0, data.length) })).ids;
};

describe('learnMerges', () => {
  it('learns what recounting everything learns', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd'), minLength: 1 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(word, fc.integer({ min: 1, max: 9 })), { maxLength: 30 }),
        (rows) => {
          const words = new Map(rows);
          expect(learnMerges(words, 25)).toEqual(naiveMerges(words, 25));
        },
      ),
    );
    const counts = new Map<string, number>();
    for (const text of texts) {
      for (const each of splitWords(text)) {
        const characters = toByteCharacters(each);
        counts.set(characters, (counts.get(characters) ?? 0) + 1);
      }
    }
    expect(learnMerges(counts, 60)).toEqual(naiveMerges(counts, 60));
  });
});

describe('trainTokenizer', () => {
  it('writes a vocabulary with which llama.cpp gives every text back', async () => {
    expect(tokenizer.info).toMatchObject({ nTokens: 600, bos: 0, eos: 0, addBos: false });
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const back = async (text: string) => decoder.decode(await tokenizer.decode(await encode(text)));
    for (const text of texts) expect(await back(text)).toBe(text);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 60 }), async (text) => {
        expect(await back(text)).toBe(text);
      }),
    );
  });

  it('is read by llama.cpp as merges in order say', async () => {
    const counts = new Map<string, number>();
    for (const text of texts) {
      for (const word of splitWords(text)) {
        const characters = toByteCharacters(word);
        counts.set(characters, (counts.get(characters) ?? 0) + 1);
      }
    }
    const merges = learnMerges(counts, 600 - 257);
    const names = [
      END_OF_TEXT,
      ...new Set([...BYTE_CHARACTERS, ...merges.map((m) => m.left + m.right)]),
    ];
    for (const text of texts) {
      const expected = splitWords(text).flatMap((word) => {
        let symbols = [...toByteCharacters(word)];
        for (const { left, right } of merges) symbols = applied(symbols, left, right);
        return symbols;
      });
      expect(Array.from(await encode(text), (id) => names[id])).toEqual(expected);
    }
    // A good share of the text is covered by merges.
    const text = texts[0]!;
    expect((await encode(text)).length).toBeLessThan(0.6 * Buffer.byteLength(text));
  });

  it('takes the end-of-document token in a text for plain text', async () => {
    const ids = await encode(`a ${END_OF_TEXT} b`);
    expect(ids).not.toContain(0);
  });

  it('forgets rare words when there are too many, and names what is wrong', async () => {
    const small = join(folder, 'small.gguf');
    const found = await trainTokenizer({ texts, vocabSize: 400, path: small, maxWords: 50 });
    expect(found.nTokens).toBeGreaterThan(257);
    const wrong = (options: object) =>
      trainTokenizer({ texts, vocabSize: 300, path: small, ...options });
    await expect(wrong({ vocabSize: 256 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(wrong({ texts: [''] })).rejects.toMatchObject({ code: 'TRAIN_DATA_TOO_SMALL' });
    await expect(wrong({ path: join(folder, 'no', 'dir') })).rejects.toMatchObject({
      code: 'MODEL_WRITE_FAILED',
    });
    await expect(wrong({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('openTokenizer', () => {
  it('encodes columns, refuses what is no vocabulary, and is disposed of', async () => {
    const data = new TextEncoder().encode('onetwo');
    const { ids, starts } = await tokenizer.encode({ data, offsets: Int32Array.of(0, 3, 3, 6) });
    expect([...starts].at(-1)).toBe(ids.length);
    expect(starts[1]).toBe(starts[2]);
    expect([...ids.subarray(0, starts[1])]).toEqual([...(await encode('one'))]);
    await expect(tokenizer.decode(Int32Array.of(600))).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    const offsets = Int32Array.of(0, 7);
    await expect(tokenizer.encode({ data, offsets })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    const junk = join(folder, 'junk.gguf');
    writeFileSync(junk, 'GGUF');
    await expect(native().openTokenizer(junk)).rejects.toMatchObject({
      code: 'ENGINE_MODEL_INVALID',
    });
    const other = await native().openTokenizer(path);
    const pending = other.encode({ data, offsets: Int32Array.of(0, 6) });
    other.dispose();
    other.dispose();
    expect((await pending).ids.length).toBeGreaterThan(0);
    await expect(other.decode(Int32Array.of(1))).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
