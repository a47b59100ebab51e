/**
 * What crosses between threads: programs going in, results coming out, both as a few flat buffers.
 *
 * Why flat: cloning an object per document costs more than executing its program. Programs travel as one
 * joined string with their ends; results as one transferred ArrayBuffer:
 *
 *     Int32 | nDocs | nRecordInts | nSpillBytes | verdicts n | spans 2n | recordEnds n | records | spill bytes
 *
 *     verdict    status | reason << 8, as indices into STATUSES and REASON_CODES
 *     span       offset, length of the text; offset ≥ 0 in the output region, -1 the input's text,
 *                ≤ -2 in the spill at -2 - offset
 *     record     op, lineStart, lineEnd, bytesRemoved, count, skipped (indices; -1: not skipped)
 */
import { writeBytes } from './byte-string.ts';
import { DIALECTS } from './dialects.ts';
import { OP_REASON_CODES, REASON_CODES } from './reasons.ts';
import { type OpRecord, STATUSES } from './types.ts';
import type { DocumentPrograms, OpenRecord, Verdict, WindowVerdict } from './verdict.ts';

/** Programs of consecutive documents. */
export interface PackedPrograms {
  /** All programs, one after the other. */
  readonly text: string;
  /** End of every program in `text`, in UTF-16 code units. */
  readonly ends: Int32Array;
  /**
   * Of every program: first, first owned and one-past-last line of its window, all -1 for one of the whole document; start
   * and end in {@link removed} of a verdict, -1 and -1 of a program.
   */
  readonly windows: Int32Array;
  /** Stretches of lines of all verdicts. */
  readonly removed: Int32Array;
  /** `Int32Array[nDocs + 1]`: programs of document d are `firstProgram[d] .. firstProgram[d + 1]`. */
  readonly firstProgram: Int32Array;
}

/** Packs the programs of documents `start` to `end`. */
export function packPrograms(
  programs: readonly DocumentPrograms[],
  start: number,
  end: number,
): PackedPrograms {
  const texts: string[] = [];
  const windows: number[] = [];
  const verdicts: Int32Array[] = [];
  let nRemoved = 0;
  const firstProgram = new Int32Array(end - start + 1);
  for (let doc = start; doc < end; doc++) {
    const own = programs[doc] ?? null;
    if (typeof own === 'string') {
      texts.push(own);
      windows.push(-1, -1, -1, -1, -1);
    } else if (own !== null) {
      for (const window of own) {
        const { lineStart, lineEnd } = window;
        if ('program' in window) {
          texts.push(window.program);
          windows.push(lineStart, window.ownStart ?? lineStart, lineEnd, -1, -1);
        } else {
          const { removed } = window;
          texts.push('');
          verdicts.push(removed);
          windows.push(lineStart, lineStart, lineEnd, nRemoved, nRemoved + removed.length);
          nRemoved += removed.length;
        }
      }
    }
    firstProgram[doc - start + 1] = texts.length;
  }
  const ends = new Int32Array(texts.length);
  let total = 0;
  for (let index = 0; index < texts.length; index++) {
    total += texts[index]!.length;
    ends[index] = total;
  }
  const removed = new Int32Array(nRemoved);
  nRemoved = 0;
  for (const stretches of verdicts) {
    removed.set(stretches, nRemoved);
    nRemoved += stretches.length;
  }
  return { text: texts.join(''), ends, windows: Int32Array.from(windows), removed, firstProgram };
}

/** The programs of one packed document. */
export function unpackPrograms(packed: PackedPrograms, doc: number): DocumentPrograms {
  const { text, ends, windows, removed, firstProgram } = packed;
  const first = firstProgram[doc]!;
  const end = firstProgram[doc + 1]!;
  if (first === end) return null;
  const programAt = (index: number): string =>
    text.slice(index === 0 ? 0 : ends[index - 1]!, ends[index]!);
  if (windows[first * WINDOW_INTS] === -1) return programAt(first);
  const unpacked: WindowVerdict[] = [];
  for (let index = first; index < end; index++) {
    const at = index * WINDOW_INTS;
    const lines = { lineStart: windows[at]!, lineEnd: windows[at + 2]! };
    const from = windows[at + 3]!;
    if (from >= 0) unpacked.push({ ...lines, removed: removed.subarray(from, windows[at + 4]!) });
    else unpacked.push({ ...lines, ownStart: windows[at + 1]!, program: programAt(index) });
  }
  return unpacked;
}

/** Numbers of a program in {@link PackedPrograms.windows}. */
const WINDOW_INTS = 5;
const HEADER_INTS = 3;
const RECORD_INTS = 6;

/** Offset of a text that is the input's. */
const INPUT_SPAN = -1;
/** Offset of the first byte of the spill, counting downwards. */
const SPILL_SPAN = -2;

/** Names an op record can have, by code. */
const OP_NAMES: readonly string[] = Object.freeze([
  'invalid',
  ...new Set(Object.values(DIALECTS).flatMap(({ functions }) => [...functions.keys()])),
]);

const STATUS_INDEX = indexOf(STATUSES);
const REASON_INDEX = indexOf(REASON_CODES);
const OP_REASON_INDEX = indexOf(OP_REASON_CODES);
const OP_NAME_INDEX = indexOf(OP_NAMES);

function indexOf(codes: readonly string[]): ReadonlyMap<string, number> {
  return new Map(codes.map((code, index) => [code, index]));
}

/** Collects verdicts and writes edited texts, first into the output region, then into a spill. */
export class ResultWriter {
  readonly #output: Buffer;
  readonly #verdicts: Int32Array;
  readonly #spans: Int32Array;
  readonly #recordEnds: Int32Array;
  #records = new Int32Array(1024);
  #nRecordInts = 0;
  #nDocs = 0;
  #outputBytes = 0;
  readonly #spill: string[] = [];
  #spillBytes = 0;

  /** @param output where edited texts go */
  constructor(nDocs: number, output: Uint8Array) {
    this.#output = Buffer.from(output.buffer, output.byteOffset, output.byteLength);
    this.#verdicts = new Int32Array(nDocs);
    this.#spans = new Int32Array(nDocs * 2);
    this.#recordEnds = new Int32Array(nDocs);
  }

  /** Adds the next document. */
  push(verdict: Verdict): void {
    const doc = this.#nDocs++;
    const status = STATUS_INDEX.get(verdict.status)!;
    this.#verdicts[doc] = status | (REASON_INDEX.get(verdict.reason)! << 8);
    for (const record of verdict.records) this.#pushRecord(record);
    this.#recordEnds[doc] = this.#nRecordInts;
    const text = verdict.output;
    let offset = INPUT_SPAN;
    if (text !== null) {
      this.#spans[doc * 2 + 1] = text.length;
      if (this.#outputBytes + text.length <= this.#output.byteLength) {
        offset = this.#outputBytes;
        writeBytes(this.#output, text, offset);
        this.#outputBytes += text.length;
      } else {
        offset = SPILL_SPAN - this.#spillBytes;
        this.#spill.push(text);
        this.#spillBytes += text.length;
      }
    }
    this.#spans[doc * 2] = offset;
  }

  /** Everything in one buffer, ready to be transferred. */
  finish(): Int32Array<ArrayBuffer> {
    const nDocs = this.#nDocs;
    const ints = HEADER_INTS + nDocs * 4 + this.#nRecordInts;
    const packed = new Int32Array(ints + Math.ceil(this.#spillBytes / 4));
    packed.set([nDocs, this.#nRecordInts, this.#spillBytes]);
    packed.set(this.#verdicts, HEADER_INTS);
    packed.set(this.#spans, HEADER_INTS + nDocs);
    packed.set(this.#recordEnds, HEADER_INTS + nDocs * 3);
    packed.set(this.#records.subarray(0, this.#nRecordInts), HEADER_INTS + nDocs * 4);
    if (this.#spillBytes > 0) {
      Buffer.from(packed.buffer).write(this.#spill.join(''), ints * 4, 'latin1');
    }
    return packed;
  }

  #pushRecord(record: OpenRecord): void {
    if (this.#nRecordInts + RECORD_INTS > this.#records.length) {
      const grown = new Int32Array(this.#records.length * 2);
      grown.set(this.#records);
      this.#records = grown;
    }
    const records = this.#records;
    let at = this.#nRecordInts;
    records[at++] = OP_NAME_INDEX.get(record.op)!;
    records[at++] = record.lineStart;
    records[at++] = record.lineEnd;
    records[at++] = record.bytesRemoved;
    records[at++] = record.count;
    records[at++] = record.skipped === null ? -1 : OP_REASON_INDEX.get(record.skipped)!;
    this.#nRecordInts = at;
  }
}

/** Texts one behind the other; see {@link PackedResults.written}. */
export interface WrittenTexts {
  readonly docs: Int32Array;
  /** Start of every text, and the end of the last one. */
  readonly offsets: Int32Array;
  readonly data: Uint8Array;
}

/** Reads what {@link ResultWriter.finish} wrote; everything is a view on the packed buffer. */
export class PackedResults {
  readonly nDocs: number;
  readonly #verdicts: Int32Array;
  readonly #spans: Int32Array;
  readonly #recordEnds: Int32Array;
  readonly #records: Int32Array;
  readonly #spill: Uint8Array;

  constructor(packed: Int32Array) {
    const [nDocs, nRecordInts, nSpillBytes] = packed as unknown as [number, number, number];
    const part = (from: number, length: number): Int32Array =>
      packed.subarray(HEADER_INTS + from, HEADER_INTS + from + length);
    this.nDocs = nDocs;
    this.#verdicts = part(0, nDocs);
    this.#spans = part(nDocs, nDocs * 2);
    this.#recordEnds = part(nDocs * 3, nDocs);
    this.#records = part(nDocs * 4, nRecordInts);
    const spillAt = packed.byteOffset + (HEADER_INTS + nDocs * 4 + nRecordInts) * 4;
    this.#spill = new Uint8Array(packed.buffer, spillAt, nSpillBytes);
  }

  /** Index into STATUSES. */
  statusAt(doc: number): number {
    return this.#verdicts[doc]! & 0xff;
  }

  /** Index into REASON_CODES. */
  reasonAt(doc: number): number {
    return this.#verdicts[doc]! >> 8;
  }

  /** The text of a document as a view; null when it is the input's. */
  textAt(doc: number, output: Uint8Array): Uint8Array | null {
    const offset = this.#spans[doc * 2]!;
    const length = this.#spans[doc * 2 + 1]!;
    if (offset === INPUT_SPAN) return null;
    if (offset >= 0) return output.subarray(offset, offset + length);
    return this.#spill.subarray(SPILL_SPAN - offset, SPILL_SPAN - offset + length);
  }

  /**
   * Texts that were written to the output region (`data` is its stretch), or to the spill: their documents, and where each
   * lies. They lie one behind the other.
   */
  written(output: Uint8Array | null): WrittenTexts {
    const isSpill = output === null;
    const docs: number[] = [];
    const offsets: number[] = [];
    let end = 0;
    for (let doc = 0; doc < this.nDocs; doc++) {
      const span = this.#spans[doc * 2]!;
      const isHere = isSpill ? span <= SPILL_SPAN : span >= 0;
      if (!isHere) continue;
      const start = isSpill ? SPILL_SPAN - span : span;
      docs.push(doc);
      offsets.push(start);
      end = start + this.#spans[doc * 2 + 1]!;
    }
    offsets.push(end);
    const data = output ?? this.#spill;
    return { docs: Int32Array.from(docs), offsets: Int32Array.from(offsets), data };
  }

  opsAt(doc: number): OpRecord[] {
    const records: OpRecord[] = [];
    const values = this.#records;
    for (let at = doc === 0 ? 0 : this.#recordEnds[doc - 1]!; at < this.#recordEnds[doc]!; ) {
      records.push({
        op: OP_NAMES[values[at++]!]!,
        lineStart: values[at++]!,
        lineEnd: values[at++]!,
        bytesRemoved: values[at++]!,
        count: values[at++]!,
        skipped: OP_REASON_CODES[values[at++]!] ?? null,
      });
    }
    return records;
  }
}
