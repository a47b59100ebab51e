/**
 * A corpus as tokens, and the order in which they are learnt.
 *
 *     tokens      doc 0 … <eos> doc 1 … <eos> doc 2 …
 *     sequence k  tokens [k · nCtx, (k + 1) · nCtx), packed without gaps; what is left at the end is not learnt
 *
 * An epoch visits every sequence once, in an order drawn from (seed, epoch): the sequences of a step are a function of
 * (seed, step), which is all that a resumed run needs. Tokens are held in memory, 4 bytes each.
 */

import { readTexts } from '../corpus/texts.ts';
import type { CorpusPlan } from '../corpus/types.ts';
import { GristmillError } from '../errors.ts';
import type { NativeTokenizer } from '../native/tokenizer.ts';
import { seededRandom, shuffle } from '../seeded.ts';

/** A tokenized corpus. */
export interface TokenData {
  readonly tokens: Int32Array;
  /** First token of each document, and the end. */
  readonly documentStarts: Int32Array;
  /** Bytes of the texts. */
  readonly nBytes: number;
  /** Rows that are null or not UTF-8, left out. */
  readonly nSkipped: number;
}

/** Four GiB of tokens. */
const MAX_TOKENS = 2 ** 30;

/** Tokenizes a corpus. @throws CORPUS_*, OPTION_INVALID when it is too long, ABORTED */
export async function tokenizeCorpus(
  plan: CorpusPlan,
  tokenizer: NativeTokenizer,
  signal?: AbortSignal,
): Promise<TokenData> {
  const { eos } = tokenizer.info;
  const parts: Int32Array[] = [];
  const starts: number[] = [0];
  let nTokens = 0;
  let nBytes = 0;
  let nSkipped = 0;
  for await (const { text, usable } of readTexts(plan, signal)) {
    const { ids, starts: own } = await tokenizer.encode(text);
    const part = new Int32Array(ids.length + usable.length);
    let at = 0;
    usable.forEach((flag, row) => {
      if (flag === 0) {
        nSkipped++;
        return;
      }
      const tokens = ids.subarray(own[row], own[row + 1]);
      part.set(tokens, at);
      at += tokens.length;
      if (eos >= 0) part[at++] = eos;
      nBytes += text.offsets[row + 1]! - text.offsets[row]!;
      starts.push(nTokens + at);
    });
    parts.push(part.subarray(0, at));
    nTokens += at;
    if (nTokens > MAX_TOKENS) {
      throw new GristmillError('OPTION_INVALID', {
        option: 'inputs',
        expected: `a corpus of up to ${MAX_TOKENS} tokens`,
        received: `more than ${MAX_TOKENS}`,
      });
    }
  }
  const tokens = new Int32Array(nTokens);
  let at = 0;
  for (const part of parts) {
    tokens.set(part, at);
    at += part.length;
  }
  return { tokens, documentStarts: Int32Array.from(starts), nBytes, nSkipped };
}

/** Sequences of an epoch in their order. */
export class SequenceOrder {
  readonly nSequences: number;
  readonly #seed: number;
  #epoch = -1;
  #order = new Int32Array(0);

  constructor(nSequences: number, seed: number) {
    this.nSequences = nSequences;
    this.#seed = seed;
  }

  /** The sequences at positions `first..first + count - 1` of the endless run of epochs. */
  at(first: number, count: number): number[] {
    return Array.from({ length: count }, (_, index) => {
      const position = first + index;
      this.#draw(Math.floor(position / this.nSequences));
      return this.#order[position % this.nSequences]!;
    });
  }

  #draw(epoch: number): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#order = Int32Array.from({ length: this.nSequences }, (_, sequence) => sequence);
    shuffle(this.#order, seededRandom(Math.imul(this.#seed, 0x9e3779b1) ^ (epoch + 1)));
  }
}

/** Number of the document of every token of `tokens[start..end)`. */
export function documentsOf({ documentStarts }: TokenData, start: number, end: number): Int32Array {
  const documents = new Int32Array(end - start);
  let low = 0;
  let high = documentStarts.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (documentStarts[middle]! <= start) low = middle;
    else high = middle;
  }
  for (let at = start, document = low; at < end; at++) {
    while (at >= documentStarts[document + 1]!) document++;
    documents[at - start] = document;
  }
  return documents;
}
