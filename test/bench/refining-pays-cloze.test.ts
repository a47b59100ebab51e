import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  answerCloze,
  type ClozeText,
  clozeItems,
  N_CHOICES,
} from '../../bench/cases/refining-pays-cloze.ts';
import { writeTexts } from '../../bench/cases/refining-pays-texts.ts';
import { trainTokenizer } from '../../src/model/tokenizer-training.ts';
import { evaluateLm } from '../../src/train/eval-lm.ts';
import { trainModel } from '../../src/train/train-run.ts';

const WORDS = ['river', 'garden', 'letter', 'season', 'window', 'harvest', 'market', 'morning'];
const words = fc.constantFrom(...WORDS, 'the', 'of', 'and', 'a', 'Paris', 'x', '1999', 'naïve');
const sentence = fc
  .tuple(fc.array(words, { minLength: 6, maxLength: 12 }), fc.constantFrom('.', '!', '?', ',', ''))
  .map(([all, end]) => `The ${all.join(' ')}${end}`);
const text = fc
  .array(fc.tuple(sentence, fc.constantFrom(' ', '\n')), { maxLength: 12 })
  .map((parts) =>
    parts
      .map(([one, gap]) => one + gap)
      .join('')
      .trim(),
  );
const texts = fc
  .array(text, { minLength: 2, maxLength: 12 })
  .map((all) => all.map((one, index): ClozeText => ({ id: `text-${index}`, text: one })));

/** Words before a mark that ends a sentence, by a plain walk. */
function lastWords({ text: own }: ClozeText): Set<string> {
  const found = new Set<string>();
  for (const line of own.split('\n')) {
    for (const word of line.split(' ')) {
      if (/[.!?]$/.test(word)) found.add(word.slice(0, -1));
    }
  }
  return found;
}

const countOf = (all: readonly ClozeText[], word: string): number =>
  all.reduce(
    (sum, { text: own }) =>
      sum +
      own
        .toLowerCase()
        .split(/[^\p{L}]+/u)
        .filter((each) => each === word).length,
    0,
  );

describe('clozeItems', () => {
  it('asks for what stands there, among words as frequent that end sentences elsewhere', () => {
    let nItems = 0;
    fc.assert(
      fc.property(texts, (all) => {
        const items = clozeItems(all);
        nItems += items.length;
        expect(clozeItems(all)).toEqual(items);
        for (const { id, context, words: choices, end } of items) {
          const own = all.find((each) => each.id === id)!;
          expect(own.text).toContain(`${context} ${choices[0]}${end}`);
          expect(choices).toHaveLength(N_CHOICES);
          expect(new Set(choices).size).toBe(N_CHOICES);
          const band = (word: string) => Math.floor(Math.log2(countOf(all, word)));
          for (const other of choices.slice(1)) {
            expect(other).toMatch(/^\p{Ll}{4,}$/u);
            expect(band(other)).toBe(band(choices[0]!));
            expect(all.some((each) => each.id !== id && lastWords(each).has(other))).toBe(true);
          }
        }
      }),
      { numRuns: 300 },
    );
    expect(nItems).toBeGreaterThan(100);
  });

  it('finds sentences', () => {
    const before =
      'It had rained for days before anyone thought of looking at the old bridge and the ';
    const all = WORDS.map((word, index) => ({
      id: `t${index}`,
      text: `${before}${word}. Nobody came.\n${before}${word}`,
    }));
    const items = clozeItems(all);
    // "came" ends a sentence of every text too, but is more frequent than all others.
    expect(items.map(({ words: choices }) => choices[0])).toEqual(WORDS);
    expect(items.every(({ end }) => end === '.')).toBe(true);
  });
});

describe('answerCloze', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-cloze-'));
  let model: string;
  // Two words follow two contexts: a model that learnt anything knows which.
  const line = (first: string, last: string) =>
    `Many people of the ${first} wanted nothing but to have a long look at the ${last}.`;
  const pairs = WORDS.map((word, index) => [word, WORDS[(index + 1) % WORDS.length]!] as const);
  beforeAll(async () => {
    const tokenizer = join(folder, 'tokenizer.gguf');
    const learnt = Array.from({ length: 40 }, () => pairs.map(([a, b]) => line(a, b))).flat();
    const file = join(folder, 'learnt.jsonl');
    writeTexts(file, learnt);
    await trainTokenizer({ texts: learnt, vocabSize: 320, path: tokenizer });
    const made = await trainModel({
      objective: 'pretrain',
      data: { inputs: [file] },
      out: join(folder, 'run'),
      model: { shape: { nEmbd: 32, nLayer: 2, nHead: 2, nFf: 64 } },
      tokenizer: { path: tokenizer },
      steps: 300,
      batch: { nSeq: 8, nCtx: 64 },
      schedule: { peakLr: 5e-3, minLr: 1e-4, warmupSteps: 10 },
      seed: 1,
      nThreads: 1,
      checkpointEvery: 0,
      evalEvery: 0,
      export: { type: 'f32' },
    });
    model = made.model;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const item = (first: string, last: string, others: readonly string[]) => ({
    id: first,
    context: line(first, last).slice(0, -last.length - 2),
    words: [last, ...others],
    end: '.',
  });

  it('knows what was learnt, and nothing else', async () => {
    const others = ([a, b]: readonly [string, string]) =>
      WORDS.filter((word) => word !== a && word !== b).slice(0, N_CHOICES - 1);
    const right = await answerCloze(
      model,
      pairs.map((pair) => item(...pair, others(pair))),
    );
    expect(right).toEqual(pairs.map(() => true));
    // The learnt word is one of the others now.
    const wrong = await answerCloze(
      model,
      pairs.map((pair) => {
        const [own, ...rest] = others(pair);
        return item(pair[0], own!, [pair[1], ...rest].slice(0, N_CHOICES - 1));
      }),
    );
    expect(wrong).toEqual(pairs.map(() => false));
  });

  it('chooses by the probability that evaluateLm gives whole sentences', async () => {
    const [first, last] = pairs[2]!;
    const choices = [WORDS[0]!, WORDS[5]!, WORDS[6]!, WORDS[7]!, last];
    const losses: number[] = [];
    for (const [index, word] of choices.entries()) {
      const file = join(folder, `choice-${index}.jsonl`);
      writeTexts(file, [line(first, word)]);
      const { lossPerToken, nTokens } = await evaluateLm({ model, data: [file], nCtx: 64 });
      losses.push(lossPerToken * nTokens);
    }
    for (const [index, word] of choices.entries()) {
      const others = choices.filter((other) => other !== word);
      const [right] = await answerCloze(model, [item(first, word, others)]);
      expect(right).toBe(losses[index] === Math.min(...losses));
    }
  });
});
