/**
 * The cloze of the case `refining-pays`: which of five words ends this sentence of a page that nobody learnt from?
 *
 *     … the river rose by two feet in a single | night.   garden.   letter.   season.   window.
 *
 * Asked is for the last word of a sentence, behind the text before it. The other words end sentences of other texts and
 * are as frequent (within a factor of two, counted over all texts), so that neither frequency nor place gives the
 * answer away. A model chooses the word, with the mark behind it, that it gives the largest probability.
 */
import { hashWord } from '../../src/lines/hash.ts';
import { native } from '../../src/native/index.ts';
import type { NativeTokenizer } from '../../src/native/tokenizer.ts';
import { type Random, seededRandom } from '../../src/seeded.ts';
import { openTrainer, type Trainer, trainShapeOf } from '../../src/train/trainer.ts';

/** A text that sentences are taken from. */
export interface ClozeText {
  readonly id: string;
  readonly text: string;
}

/** A question. */
export interface ClozeItem {
  /** Text that it is from. */
  readonly id: string;
  /** What stands before the word, without the space. */
  readonly context: string;
  /** The word first that stands there, then the others. */
  readonly words: readonly string[];
  /** Mark behind the word. */
  readonly end: string;
}

/** Words to choose from: chance is one in so many. */
export const N_CHOICES = 5;
/** Many texts, not a few long ones, make the measure. */
const MAX_PER_TEXT = 6;
const MIN_WORD_LETTERS = 4;
const MIN_CONTEXT_CHARS = 60;
/** No model of this case reads more. */
const MAX_CONTEXT_CHARS = 400;
/** No names, no numbers; a sentence ends where a line does or a capital follows. */
const LAST_WORD = /(?<=[\p{L},;:’'")]) (\p{Ll}+)([.!?])(?=$|\n| ["“‘(]?\p{Lu})/gmu;

interface Ending {
  readonly text: ClozeText;
  /** Of the space before the word. */
  readonly at: number;
  readonly word: string;
  readonly end: string;
}

/**
 * Questions on texts; the same ones every time.
 *
 * @param texts each with an id of its own
 */
export function clozeItems(texts: readonly ClozeText[], seed = 1): ClozeItem[] {
  const counts = countWords(texts);
  const bandOf = (word: string): number => Math.floor(Math.log2(counts.get(word)!));
  const endings = texts.map(endingsOf);
  /** By band: last words and the texts that end a sentence with them. */
  const bands = new Map<number, Map<string, Set<string>>>();
  for (const { word, text } of endings.flat()) {
    const band = bands.get(bandOf(word)) ?? new Map<string, Set<string>>();
    bands.set(bandOf(word), band);
    band.set(word, (band.get(word) ?? new Set()).add(text.id));
  }
  return endings.flatMap((own) => {
    const random = seededRandom(hashWord(own[0]?.text.id ?? '') ^ seed);
    return drawn(own, MAX_PER_TEXT, random).flatMap(({ text, at, word, end }) => {
      const others = [...bands.get(bandOf(word))!]
        .filter(([other, ids]) => other !== word && (ids.size > 1 || !ids.has(text.id)))
        .map(([other]) => other);
      if (others.length < N_CHOICES - 1) return [];
      const context = text.text.slice(Math.max(0, at - MAX_CONTEXT_CHARS), at);
      return [
        { id: text.id, context, words: [word, ...drawn(others, N_CHOICES - 1, random)], end },
      ];
    });
  });
}

function endingsOf(text: ClozeText): Ending[] {
  return [...text.text.matchAll(LAST_WORD)]
    .map(({ index, 1: word, 2: end }) => ({ text, at: index, word: word!, end: end! }))
    .filter(({ word, at }) => word.length >= MIN_WORD_LETTERS && at >= MIN_CONTEXT_CHARS);
}

function countWords(texts: readonly ClozeText[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { text } of texts) {
    for (const [word] of text.toLowerCase().matchAll(/\p{L}+/gu)) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return counts;
}

/** Some of the items, in the order in which they were drawn; all where there are no more. */
function drawn<T>(items: readonly T[], count: number, random: Random): T[] {
  const rest = [...items];
  const found: T[] = [];
  while (found.length < count && rest.length > 0) {
    found.push(...rest.splice(Math.floor(random() * rest.length), 1));
  }
  return found;
}

/** Tokens of a question and a choice, at most; of the context the last ones stay. */
const N_CTX = 96;
/** Questions of a batch. */
const N_BATCH = 8;

/**
 * What a model says.
 *
 * @param model GGUF file of a llama model with its tokenizer
 * @returns by question: true where the word that stands there has the largest probability of all
 */
export async function answerCloze(model: string, items: readonly ClozeItem[]): Promise<boolean[]> {
  const tokenizer = await native().openTokenizer(model);
  try {
    const shape = await trainShapeOf(model);
    const nSeq = N_BATCH * N_CHOICES;
    await using trainer = await openTrainer({ shape, nCtx: N_CTX, nSeq, nThreads: 1 });
    await trainer.importGguf(model);
    const answers: boolean[] = [];
    for (let first = 0; first < items.length; first += N_BATCH) {
      const batch = items.slice(first, first + N_BATCH);
      const losses = await lossesOf(await sequencesOf(batch, tokenizer), trainer);
      batch.forEach((_, item) => {
        const [own, ...others] = losses.slice(item * N_CHOICES, (item + 1) * N_CHOICES);
        answers.push(others.every((other) => own! < other));
      });
    }
    return answers;
  } finally {
    tokenizer.dispose();
  }
}

interface Sequence {
  readonly tokens: Int32Array;
  /** First token of the word. */
  readonly wordAt: number;
}

async function sequencesOf(
  items: readonly ClozeItem[],
  tokenizer: NativeTokenizer,
): Promise<Sequence[]> {
  const { bos, eos } = tokenizer.info;
  const start = bos >= 0 ? bos : eos;
  const contexts = await encode(
    items.map(({ context }) => context),
    tokenizer,
  );
  const choices = await encode(
    items.flatMap(({ words, end }) => words.map((word) => ` ${word}${end}`)),
    tokenizer,
  );
  return choices.map((choice, index) => {
    const context = contexts[Math.floor(index / N_CHOICES)]!;
    const room = Math.max(0, N_CTX - 1 - choice.length);
    const before = context.subarray(Math.max(0, context.length - room));
    const tokens = Int32Array.of(start, ...before, ...choice.subarray(0, N_CTX - 1));
    return { tokens, wordAt: 1 + before.length };
  });
}

async function encode(texts: readonly string[], tokenizer: NativeTokenizer): Promise<Int32Array[]> {
  const parts = texts.map((text) => Buffer.from(text));
  const offsets = new Int32Array(texts.length + 1);
  parts.forEach((part, index) => {
    offsets[index + 1] = offsets[index]! + part.length;
  });
  const { ids, starts } = await tokenizer.encode({ data: Buffer.concat(parts), offsets });
  return texts.map((_, index) => ids.subarray(starts[index], starts[index + 1]));
}

/** By sequence: minus the log-probability of its word and the mark. */
async function lossesOf(sequences: readonly Sequence[], trainer: Trainer): Promise<number[]> {
  const { nSeq, nCtx } = trainer.options;
  const tokens = new Int32Array(nSeq * nCtx);
  const segments = new Int32Array(nSeq * nCtx).fill(-1);
  const positions: number[] = [];
  const labels: number[] = [];
  sequences.forEach((sequence, row) => {
    tokens.set(sequence.tokens, row * nCtx);
    segments.fill(0, row * nCtx, row * nCtx + sequence.tokens.length);
    for (let at = sequence.wordAt; at < sequence.tokens.length; at++) {
      positions.push(row * nCtx + at - 1);
      labels.push(sequence.tokens[at]!);
    }
  });
  const { losses } = await trainer.forward({
    tokens,
    segments,
    positions: Int32Array.from(positions),
    labels: Int32Array.from(labels),
  });
  const sums = sequences.map(() => 0);
  positions.forEach((position, target) => {
    sums[Math.floor(position / nCtx)]! += losses[target]!;
  });
  return sums;
}
