/**
 * Which stretches of a text are taken: sorted, disjoint, each with its replacement.
 *
 * All ops of a window are matched against its original bytes, and a byte is changed by at most one op, the
 * first that asks for it. So the order of removals and replacements does not matter, nothing is replaced
 * twice, and the size of the output is known before it is built.
 */
import type { ByteString } from './byte-string.ts';

/** Taken stretches `[start, end)` of a text with what replaces them. */
export class Claims {
  starts: number[] = [];
  ends: number[] = [];
  texts: ByteString[] = [];

  get length(): number {
    return this.starts.length;
  }

  clear(): void {
    // Setting the length of an array costs more than a new one.
    if (this.starts.length === 0) return;
    this.starts = [];
    this.ends = [];
    this.texts = [];
  }

  /** Adds a stretch behind all others. */
  push(start: number, end: number, text: ByteString): void {
    this.starts.push(start);
    this.ends.push(end);
    this.texts.push(text);
  }

  /** Index of the first stretch, from `from` on, that ends behind `offset`. */
  firstEndingAfter(offset: number, from: number): number {
    let index = from;
    while (index < this.ends.length && this.ends[index]! <= offset) index++;
    return index;
  }

  /** Index of the last stretch of those that follow `index` without a gap. */
  lastOfRun(index: number): number {
    let last = index;
    while (last + 1 < this.starts.length && this.starts[last + 1] === this.ends[last]) last++;
    return last;
  }

  /** Adds stretches of `length` bytes at ascending `starts`, none of which overlaps another one. */
  merge(starts: readonly number[], length: number, text: ByteString): void {
    if (this.length === 0 || this.ends[this.length - 1]! <= starts[0]!) {
      for (const start of starts) this.push(start, start + length, text);
      return;
    }
    const merged = new Claims();
    let next = 0;
    for (let own = 0; own < this.length; own++) {
      while (next < starts.length && starts[next]! < this.starts[own]!) {
        merged.push(starts[next]!, starts[next]! + length, text);
        next++;
      }
      merged.push(this.starts[own]!, this.ends[own]!, this.texts[own]!);
    }
    for (; next < starts.length; next++) merged.push(starts[next]!, starts[next]! + length, text);
    this.starts = merged.starts;
    this.ends = merged.ends;
    this.texts = merged.texts;
  }
}

/** Sorted, disjoint ranges of lines. */
export class LineRanges {
  starts: number[] = [];
  ends: number[] = [];

  get length(): number {
    return this.starts.length;
  }

  clear(): void {
    if (this.starts.length === 0) return;
    this.starts = [];
    this.ends = [];
  }

  /** Adds `[start, end)` and reports each part of it that was not covered yet. */
  add(start: number, end: number, fresh: (start: number, end: number) => void): void {
    const { starts, ends } = this;
    const nRanges = starts.length;
    if (nRanges === 0 || ends[nRanges - 1]! < start) {
      starts.push(start);
      ends.push(end);
      fresh(start, end);
      return;
    }
    let low = 0;
    while (low < nRanges && ends[low]! < start) low++;
    let high = low;
    let cursor = start;
    let mergedStart = start;
    let mergedEnd = end;
    for (; high < nRanges && starts[high]! <= end; high++) {
      if (starts[high]! > cursor) fresh(cursor, starts[high]!);
      cursor = Math.max(cursor, ends[high]!);
      mergedStart = Math.min(mergedStart, starts[high]!);
      mergedEnd = Math.max(mergedEnd, ends[high]!);
    }
    if (cursor < end) fresh(cursor, end);
    starts.splice(low, high - low, mergedStart);
    ends.splice(low, high - low, mergedEnd);
  }
}
