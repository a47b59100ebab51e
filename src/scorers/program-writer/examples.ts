/**
 * Labelled pages as token sequences from which a small model learns to write programs.
 *
 *     [doc]\n | [12] Home \n | [13] About \n | [14] The text … \n | [/doc]\n | remove_lines(start=12, end=13) <eos>
 *     prompt, rendered as the chunk stage renders it                        | answer, learnt
 *
 * A program says little about a long window, so the prompt teaches too, by targets of training only: behind every
 * line its verdict ({@link Verdicts}: two tokens that no text of a page holds), and the next token at a sample of
 * the other places. The model reads verdicts off the text first and learns to write them down after.
 */
import type { NativeTokenizer } from '../../native/tokenizer.ts';
import type { Profile } from '../../refine/profile.ts';
import { type GoldPage, REMOVE, UNSCORED } from '../gold.ts';
import { type ProgramWindow, programOf, removedLines } from '../program-pairs.ts';

/** How windows are shown; the `chunk` part of a profile. */
export type ChunkFormat = NonNullable<Profile['chunk']>;

/** Tokens that stand for a verdict behind a line; control characters, which naive page text does not hold. */
export interface Verdicts {
  readonly keep: number;
  readonly remove: number;
}

/** A page as tokens. */
export interface TokenizedPage {
  /** Marker and text of every line, without line feeds. */
  readonly ids: Int32Array;
  /** First token of each line, and the end. */
  readonly starts: Int32Array;
  /** Tokens of each line with its line feed. */
  readonly nTokens: Int32Array;
  readonly labels: Uint8Array;
  /** 1 for each line that the program removes. */
  readonly removed: Uint8Array;
}

/** One window to learn from. */
export interface WindowExample {
  readonly tokens: Int32Array;
  /** First token of the answer. */
  readonly answerStart: number;
  /** Index of the line feed behind each judged line, and its label. */
  readonly lineEnds: Int32Array;
  readonly lineLabels: Int32Array;
}

/** Turns pages and windows into tokens. */
export class ExampleEncoder {
  readonly verdicts: Verdicts;
  readonly #tokenizer: NativeTokenizer;
  readonly #format: ChunkFormat;
  readonly #before: Int32Array;
  readonly #after: Int32Array;
  readonly #lineFeed: number;

  private constructor(
    tokenizer: NativeTokenizer,
    format: ChunkFormat,
    fixed: { readonly before: Int32Array; readonly after: Int32Array; readonly single: Int32Array },
  ) {
    this.#tokenizer = tokenizer;
    this.#format = format;
    this.#before = fixed.before;
    this.#after = fixed.after;
    const [lineFeed, keep, remove] = fixed.single;
    this.#lineFeed = lineFeed!;
    this.verdicts = { keep: keep!, remove: remove! };
  }

  static async open(tokenizer: NativeTokenizer, format: ChunkFormat): Promise<ExampleEncoder> {
    const [before, after] = format.user.split('{lines}') as [string, string];
    const [head, tail, ...single] = await encodeAll(tokenizer, [
      before,
      after,
      '\n',
      '\x01',
      '\x02',
    ]);
    return new ExampleEncoder(tokenizer, format, {
      before: head!,
      after: tail!,
      single: Int32Array.from(single, (ids) => ids[0]!),
    });
  }

  /** Tokens around the lines of a window. */
  get frameTokens(): number {
    return this.#before.length + this.#after.length;
  }

  async page(page: GoldPage): Promise<TokenizedPage> {
    const { prefix, minDigits, suffix } = this.#format.line;
    const rendered = page.lines.map(
      (line, index) => `${prefix}${String(index).padStart(minDigits, '0')}${suffix}${line}`,
    );
    const { ids, starts } = await encodeColumn(this.#tokenizer, rendered);
    return {
      ids,
      starts,
      nTokens: Int32Array.from(page.lines, (_, line) => starts[line + 1]! - starts[line]! + 1),
      labels: page.labels,
      removed: removedLines(page.labels),
    };
  }

  /** Examples of the windows of one page. */
  async windows(page: TokenizedPage, windows: readonly ProgramWindow[]): Promise<WindowExample[]> {
    const programs = windows.map(({ ops }) => programOf(ops, 'prox'));
    const answers = await encodeAll(this.#tokenizer, programs);
    return windows.map((window, index) => this.#example(page, window, answers[index]!));
  }

  #example(
    { ids, starts, labels }: TokenizedPage,
    { lineStart, lineEnd }: ProgramWindow,
    answer: Int32Array,
  ): WindowExample {
    const nLines = lineEnd - lineStart;
    const nShown = starts[lineEnd]! - starts[lineStart]! + nLines - 1;
    const answerStart = this.frameTokens + nShown;
    const tokens = new Int32Array(answerStart + answer.length + 1);
    tokens.set(this.#before);
    const lineEnds: number[] = [];
    const lineLabels: number[] = [];
    let at = this.#before.length;
    for (let line = lineStart; line < lineEnd; line++) {
      const own = ids.subarray(starts[line], starts[line + 1]);
      tokens.set(own, at);
      at += own.length;
      // Behind the last line stands the line feed that the frame's end begins with.
      if (line + 1 < lineEnd) tokens[at] = this.#lineFeed;
      if (labels[line] !== UNSCORED) {
        lineEnds.push(at);
        lineLabels.push(labels[line] === REMOVE ? this.verdicts.remove : this.verdicts.keep);
      }
      if (line + 1 < lineEnd) at++;
    }
    tokens.set(this.#after, at);
    tokens.set(answer, answerStart);
    tokens[tokens.length - 1] = this.#tokenizer.info.eos;
    return {
      tokens,
      answerStart,
      lineEnds: Int32Array.from(lineEnds),
      lineLabels: Int32Array.from(lineLabels),
    };
  }
}

function encodeColumn(tokenizer: NativeTokenizer, texts: readonly string[]) {
  const parts = texts.map((text) => Buffer.from(text));
  const offsets = new Int32Array(texts.length + 1);
  parts.forEach((part, index) => {
    offsets[index + 1] = offsets[index]! + part.length;
  });
  return tokenizer.encode({ data: Buffer.concat(parts), offsets });
}

async function encodeAll(
  tokenizer: NativeTokenizer,
  texts: readonly string[],
): Promise<Int32Array[]> {
  const { ids, starts } = await encodeColumn(tokenizer, texts);
  return texts.map((_, index) => ids.subarray(starts[index], starts[index + 1]));
}
