/**
 * The compat executor: the published ProX chunk executor, case for case (its defects included).
 *
 * What it does (arXiv 2409.17115, published code of June 2025; research notes §1.3, §1.4, §2)
 *  1. The programs of a document's windows are joined and run once over the whole document.
 *  2. Every line of the program that starts with `remove_lines` or `normalize` is an op, whatever follows the
 *     name; arguments end at the first `)` of the line, split at every comma, value = what stands between
 *     the first and the second `=`. Other lines are ignored.
 *  3. Replacements run in order over the running text; removals afterwards, by line number.
 *  4. Two errors make the program void. 5 % of the words or less left, or 10 words or less: dropped.
 *
 * Deviations: where Python divides by zero (a text without a word) the text comes back unchanged, with a
 * reason (B1); line ranges are clamped to the text (B26); a text that grows beyond {@link MAX_GROWTH} × its
 * size is given up, where Python would run out of memory.
 */
import { type ByteString, toByteString } from './byte-string.ts';
import { LineRanges } from './claims.ts';
import { programOf } from './line-verdict.ts';
import { LineIndex } from './lines.ts';
import { openRecord } from './plan.ts';
import { prox } from './prox.ts';
import { parsePythonInt } from './python.ts';
import type { OpReason } from './reasons.ts';
import {
  type DocumentPrograms,
  type Executor,
  makeVerdict,
  type OpenRecord,
  settle,
  type TextSource,
  type Verdict,
} from './verdict.ts';
import { countRuns, maxWords } from './words.ts';

/** The published thresholds; the first one is as Python computes it, just above 0.05. */
const MIN_KEPT_RATIO = 1 - 0.95;
const MIN_WORDS = 10;
const MAX_ERRORS = 2;

/** The most a text may grow by replacements: this many times its size, and a free part. */
const MAX_GROWTH = 64;
const FREE_GROWTH_BYTES = 2 ** 20;

/** A line range as the program gives it, inclusive. */
interface Interval {
  readonly first: number | bigint;
  readonly last: number | bigint;
  readonly record: OpenRecord;
}

/** Executes documents one after the other. */
export class CompatExecutor implements Executor {
  readonly #verdict: Verdict = makeVerdict();
  readonly #lines = new LineIndex();
  readonly #removed = new LineRanges();
  #original: ByteString = '';
  #text: ByteString = '';
  #nErrors = 0;
  #removesAll: OpenRecord | null = null;
  #intervals: Interval[] = [];
  #openRecord: OpenRecord | null = null;
  readonly #freshLines = (start: number, end: number): void => {
    const record = this.#openRecord!;
    record.count += end - start;
    record.bytesRemoved += this.#lines.startOf(end) - this.#lines.startOf(start);
  };

  execute(programs: DocumentPrograms, source: TextSource): Verdict {
    const verdict = this.#verdict;
    verdict.records = [];
    if (programs === null || (typeof programs !== 'string' && programs.length === 0)) {
      return settle(verdict, 'kept', 'no_program');
    }
    this.#original = source.read();
    this.#text = this.#original;
    this.#nErrors = 0;
    this.#removesAll = null;
    this.#intervals = [];
    for (const line of joinPrograms(programs).split('\n')) {
      const fits = this.#runLine(line);
      if (!fits) return settle(verdict, 'failed', 'text_grew');
    }
    return this.#judge(this.#removeLines());
  }

  /** Runs one line of the program; false when the text has grown too much. */
  #runLine(line: string): boolean {
    const removes = line.startsWith('remove_lines');
    const all = line.includes('all=True');
    if (removes && all) {
      this.#removesAll ??= this.#record('remove_lines', null);
    } else if (removes) {
      const params = this.#parameters(line);
      if (params !== null) this.#addInterval(params);
    } else if (line.startsWith('normalize')) {
      const params = this.#parameters(line);
      if (params !== null) return this.#normalize(params);
    } else if (line.trim() !== '') {
      const name = /^\w*/.exec(line)![0];
      this.#record(prox.functions.has(name) ? name : 'invalid', 'ignored');
    }
    return true;
  }

  /** What stands between the first `(` and the first `)`, split at commas. */
  #parameters(line: string): string[] | null {
    const open = line.indexOf('(');
    if (open < 0) {
      this.#error();
      return null;
    }
    let close = line.indexOf(')');
    if (close < 0) {
      this.#nErrors++;
      // Python's [:-1] drops the last code point of the line.
      close = line.length - ((line.codePointAt(line.length - 2) ?? 0) > 0xffff ? 2 : 1);
    }
    return line.slice(open + 1, Math.max(close, open + 1)).split(',');
  }

  #addInterval(params: readonly string[]): void {
    const first = integerOf(params[0]);
    const last = first === null ? null : integerOf(params[1]);
    if (first === null || last === null) this.#error();
    else this.#intervals.push({ first, last, record: this.#record('remove_lines', null) });
  }

  #normalize(params: readonly string[]): boolean {
    if (params.length > 2) {
      this.#record('normalize', 'ignored');
      return true;
    }
    const source = stringOf(params[0]);
    const target = params.length === 1 ? '' : stringOf(params[1]);
    if (source === null || target === null) {
      this.#error();
      return true;
    }
    const record = this.#record('normalize', null);
    if (source === '') record.skipped = 'empty_source';
    else if (source === ' ' && params.length === 2) record.skipped = 'blank_source';
    else return this.#replaceAll(toByteString(source), toByteString(target), record);
    return true;
  }

  #replaceAll(source: ByteString, target: ByteString, record: OpenRecord): boolean {
    const pieces = this.#text.split(source);
    record.count = pieces.length - 1;
    if (record.count === 0) {
      record.skipped = 'not_found';
      return true;
    }
    record.bytesRemoved = (source.length - target.length) * record.count;
    const nBytes = this.#text.length - record.bytesRemoved;
    if (nBytes > MAX_GROWTH * this.#original.length + FREE_GROWTH_BYTES) return false;
    this.#text = pieces.join(target);
    return true;
  }

  /** Applies the removals to the running text; counts the ranges that run past its end as errors. */
  #removeLines(): ByteString {
    const text = this.#text;
    const lines = this.#lines;
    const removed = this.#removed;
    if (this.#intervals.length === 0 && this.#removesAll === null) return text;
    lines.reset(text);
    removed.clear();
    const { nLines } = lines;
    if (this.#removesAll !== null) this.#remove(0, nLines, this.#removesAll);
    for (const { first, last, record } of this.#intervals) {
      const start = first < 0 ? 0 : first >= nLines ? nLines : Number(first);
      const end = last < 0 ? 0 : last >= nLines ? nLines : Number(last) + 1;
      if (start < end) this.#remove(start, end, record);
      else record.skipped = first > last ? 'reversed_range' : 'out_of_window';
    }
    for (const [first, last] of mergeIntervals(this.#intervals)) {
      if (first >= nLines || last >= nLines) this.#nErrors++;
    }
    let output = '';
    let cursor = 0;
    for (let index = 0; index < removed.length; index++) {
      output += text.slice(cursor, lines.startOf(removed.starts[index]!));
      cursor = lines.startOf(removed.ends[index]!);
    }
    if (cursor <= text.length) return output + text.slice(cursor);
    if (output !== '') return output.slice(0, -1);
    // The last line has no line feed of its own; the last op to remove anything gives it back.
    this.#verdict.records.findLast((record) => record.lineStart >= 0)!.bytesRemoved--;
    return '';
  }

  #remove(start: number, end: number, record: OpenRecord): void {
    this.#openRecord = record;
    this.#removed.add(start, end, this.#freshLines);
    if (record.count === 0) {
      record.skipped = 'already_removed';
      return;
    }
    record.lineStart = start;
    record.lineEnd = end;
  }

  /** The published decision, from the words that are left and the errors. */
  #judge(output: ByteString): Verdict {
    const verdict = this.#verdict;
    const original = this.#original;
    if (countRuns(original, 1) === 0) return this.#void('no_words');
    const withinBudget = this.#nErrors < MAX_ERRORS;
    // Enough words by any count of the original's: that one need not be counted.
    const enough = Math.floor(MIN_KEPT_RATIO * maxWords(original.length)) + 1;
    const nKept = countRuns(output, Math.max(enough, MIN_WORDS + 1));
    if (withinBudget && nKept < enough && output !== original) {
      const nWords = countRuns(original, Infinity);
      if (nKept / nWords <= MIN_KEPT_RATIO)
        return settle(verdict, 'dropped', 'too_much_removed', '');
    }
    if (nKept <= MIN_WORDS) return settle(verdict, 'dropped', 'too_few_words', '');
    if (!withinBudget) return this.#void('too_many_errors');
    if (output !== original) return settle(verdict, 'edited', 'edited', output);
    return settle(verdict, 'kept', verdict.records.some(isEdit) ? 'no_effect' : 'keep');
  }

  /** Gives the program up: the text stays as it is. */
  #void(reason: 'no_words' | 'too_many_errors'): Verdict {
    for (const record of this.#verdict.records) {
      record.skipped ??= 'window_ignored';
      record.bytesRemoved = 0;
      record.count = 0;
    }
    return settle(this.#verdict, 'failed', reason);
  }

  #error(): void {
    this.#nErrors++;
    this.#record('invalid', 'syntax');
  }

  #record(op: string, skipped: OpReason | null): OpenRecord {
    const record = openRecord(op, skipped);
    this.#verdict.records.push(record);
    return record;
  }
}

function joinPrograms(programs: Exclude<DocumentPrograms, null>): string {
  if (typeof programs === 'string') return stripSpaces(programs);
  // The dialect of this executor is the published one.
  return stripSpaces(programs.map((each) => stripSpaces(programOf(each, 'prox'))).join('\n'));
}

/** Python's `strip(" ")`. */
function stripSpaces(text: string): string {
  return strip(text, 32);
}

function strip(text: string, code: number): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charCodeAt(start) === code) start++;
  while (end > start && text.charCodeAt(end - 1) === code) end--;
  return text.slice(start, end);
}

/** Python's `param.split("=")[1]`; null where it raises IndexError. */
function argumentValue(param: string | undefined): string | null {
  if (param === undefined) return null;
  const first = param.indexOf('=');
  if (first < 0) return null;
  const second = param.indexOf('=', first + 1);
  return param.slice(first + 1, second < 0 ? undefined : second);
}

function integerOf(param: string | undefined): number | bigint | null {
  const value = argumentValue(param);
  return value === null ? null : parsePythonInt(value);
}

function stringOf(param: string | undefined): string | null {
  const value = argumentValue(param);
  return value === null ? null : strip(value, 34);
}

/** The published merge: by first line; ranges that overlap or touch become one. */
function mergeIntervals(intervals: readonly Interval[]): [number | bigint, number | bigint][] {
  const sorted = [...intervals].sort((left, right) =>
    left.first < right.first ? -1 : left.first > right.first ? 1 : 0,
  );
  const merged: [number | bigint, number | bigint][] = [];
  for (const { first, last } of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && isAtMostNext(first, previous[1])) {
      if (last > previous[1]) previous[1] = last;
    } else {
      merged.push([first, last]);
    }
  }
  return merged;
}

/** `first <= last + 1`, exactly, for numbers and bigints alike. */
function isAtMostNext(first: number | bigint, last: number | bigint): boolean {
  return typeof last === 'bigint' ? first <= last + 1n : first <= last + 1;
}

function isEdit({ op }: OpenRecord): boolean {
  return op === 'remove_lines' || op === 'normalize';
}
