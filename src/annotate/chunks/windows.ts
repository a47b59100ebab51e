/**
 * Windows of documents and the messages that show them, as the chunk stage of a refiner's profile will.
 */
import type { NativeTokenizer } from '../../native/tokenizer.ts';
import { DIALECTS } from '../../program/dialects.ts';
import type { Op } from '../../program/types.ts';
import type { Profile } from '../../refine/profile.ts';
import { countCodePoints } from '../../scorers/eval-lines.ts';
import { programWindows } from '../../scorers/program-pairs.ts';

/** How windows are shown; the `chunk` part of a profile. */
export type ChunkFormat = NonNullable<Profile['chunk']>;

/** A document to annotate. */
export interface SourceDocument {
  readonly id: string;
  /** Empty when unknown. */
  readonly domain: string;
  readonly language: string;
  /** Data set that gold labels come from; empty elsewhere. */
  readonly source: string;
  readonly text: string;
  /** `text` split at LF. */
  readonly lines: readonly string[];
}

/** Whole lines `[lineStart, lineEnd)` of a document. */
export interface DocumentWindow {
  readonly document: SourceDocument;
  readonly lineStart: number;
  readonly lineEnd: number;
  /** Removes the lines that the window was cut with as removed. */
  readonly removals: readonly Op[];
}

/** A document without its lines. */
export type DocumentFields = Omit<SourceDocument, 'lines'>;

/** A document with its lines. */
export function sourceDocument(fields: DocumentFields): SourceDocument {
  return { ...fields, lines: fields.text.split('\n') };
}

/** Lines of a window. */
export function linesOf({ document, lineStart, lineEnd }: DocumentWindow): readonly string[] {
  return document.lines.slice(lineStart, lineEnd);
}

/** Cuts documents into windows under the profile of a refiner, counting with its tokenizer. */
export class WindowCutter {
  readonly #tokenizer: NativeTokenizer;
  readonly #chunk: ChunkFormat;
  readonly #firstLine: number;
  readonly #maxSize: number;
  readonly #encoder = new TextEncoder();

  /** @param windowSize largest window in the profile's unit, tokens or characters; default the profile's */
  constructor(tokenizer: NativeTokenizer, profile: Profile, windowSize?: number) {
    this.#tokenizer = tokenizer;
    this.#chunk = profile.chunk!;
    this.#firstLine = DIALECTS[profile.dialect].lineBase;
    this.#maxSize = windowSize ?? this.#chunk.windows.max;
  }

  /**
   * Windows of a document in order, and the number of lines that are longer than one.
   *
   * @param removed 1 for each line that will go: a window never holds more than `maxOps` runs of them
   */
  async cut(
    document: SourceDocument,
    { removed, maxOps }: { readonly removed?: Uint8Array; readonly maxOps: number },
  ): Promise<{ readonly windows: readonly DocumentWindow[]; readonly nTooLong: number }> {
    const { lines } = document;
    const sizes = await this.#sizesOf(lines);
    const windows = programWindows(sizes, removed ?? new Uint8Array(lines.length), {
      maxWindowTokens: this.#maxSize,
      maxOps,
    });
    return {
      windows: windows.map(({ lineStart, lineEnd, ops }) => {
        return { document, lineStart, lineEnd, removals: ops };
      }),
      nTooLong: sizes.reduce((sum, size) => sum + (size > this.#maxSize ? 1 : 0), 0),
    };
  }

  /** Sizes of lines with their markers and line feeds. */
  async #sizesOf(lines: readonly string[]): Promise<Int32Array> {
    const { windows } = this.#chunk;
    const rendered = lines.map((line, index) => `${this.#marker(index)}${line}`);
    if (windows.unit === 'characters') {
      return Int32Array.from(rendered, (line) => countCodePoints(line) + 1);
    }
    const extra = windows.countBos ? 2 : 1;
    return (await this.countAll(rendered)).map((count) => count + extra);
  }

  /** Tokens of each text; special tokens in it are plain text. */
  async countAll(texts: readonly string[]): Promise<Int32Array> {
    const parts = texts.map((text) => this.#encoder.encode(text));
    const offsets = new Int32Array(parts.length + 1);
    parts.forEach((part, index) => {
      offsets[index + 1] = offsets[index]! + part.length;
    });
    const { starts } = await this.#tokenizer.encode({ data: Buffer.concat(parts), offsets });
    return Int32Array.from(parts, (_, index) => starts[index + 1]! - starts[index]!);
  }

  /** The user message that shows a window. */
  userMessage(text: string, lineStart: number): string {
    const numbered = text
      .split('\n')
      .map((line, index) => `${this.#marker(lineStart + index)}${line}`)
      .join('\n');
    // Split and joined, not replaced: the text may hold the placeholder and replacement patterns.
    return this.#chunk.user.split('{lines}').join(numbered);
  }

  #marker(line: number): string {
    const { prefix, minDigits, suffix } = this.#chunk.line;
    return `${prefix}${String(line + this.#firstLine).padStart(minDigits, '0')}${suffix}`;
  }
}
