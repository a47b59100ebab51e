/**
 * The strict executor: what our refiners' programs mean.
 *
 * Semantics (src/program/naive.ts says the same in plain strings and is tested to agree)
 *  1. Ops act inside their window only, and on lines that it owns. Lines are the original ones; blank lines count
 *     and stay.
 *  2. Removals claim whole lines first. Then, in program order, replacements claim their occurrences on the
 *     remaining original lines, left to right; what an earlier op claimed is not replaced again.
 *  3. An op that would take the text beyond `maxGrowthRatio` is not applied.
 *  4. Refused ops count against the window's error budget; a window over budget is left as it is.
 *  5. A document that keeps too few words is dropped (or kept whole: `onOverRemoval`). One that had no word and loses
 *     some of its lines is dropped.
 *
 * Works on byte strings, without splitting: line starts, claimed stretches, one concatenation. Time is
 * O(text × ops of a window), ops are bounded; a program that changes nothing never makes the text be copied.
 */
import { type ByteString, toByteString } from './byte-string.ts';
import { Claims, LineRanges } from './claims.ts';
import type { Dialect } from './dialect.ts';
import { DIALECTS } from './dialects.ts';
import { Needle } from './find.ts';
import { LineIndex } from './lines.ts';
import { replacesLoop } from './loops.ts';
import type { ResolvedOptions } from './options.ts';
import {
  ignoreWindow,
  isDrop,
  isKeep,
  planWindow,
  type WindowPlan,
  windowsAreOrdered,
} from './plan.ts';
import type { OpReason, Reason } from './reasons.ts';
import type { AddLineOp, NormalizeOp, Op, ReplaceStrOp } from './types.ts';
import {
  type DocumentPrograms,
  type Executor,
  makeVerdict,
  type OpenRecord,
  settle,
  type TextSource,
  type Verdict,
} from './verdict.ts';
import { countWords, maxWords } from './words.ts';

const LF = 10;

/** A line to add before line `line`. */
interface Insertion {
  readonly line: number;
  readonly subIndex: number;
  readonly content: ByteString;
}

/** Executes documents one after the other; buffers are reused, so one executor serves one thread. */
export class StrictExecutor implements Executor {
  readonly #dialect: Dialect;
  readonly #options: ResolvedOptions;
  readonly #verdict: Verdict = makeVerdict();
  readonly #lines = new LineIndex();
  readonly #removed = new LineRanges();
  readonly #claims = new Claims();
  #insertions: Insertion[] = [];
  #text: ByteString = '';
  /** Size of the output so far, as if it ended with a line feed. */
  #outputBytes = 0;
  #maxOutputBytes = 0;
  #refused = false;
  #changed = false;
  /** The op that `#freshLines` counts for. */
  #openRecord: OpenRecord | null = null;
  readonly #freshLines = (start: number, end: number): void => {
    const record = this.#openRecord!;
    record.count += end - start;
    record.bytesRemoved += this.#lines.startOf(end) - this.#lines.startOf(start);
  };

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#dialect = DIALECTS[options.dialect];
  }

  /**
   * What the last document lost, valid until the next one and only where its status is `edited`: stretches of its
   * bytes, ascending, each with what stands there instead. A removed line's stretch has its line feed, the last line's
   * the one that it lacks. Added lines are not among them.
   */
  get claims(): Pick<Claims, 'starts' | 'ends' | 'texts'> {
    return this.#claims;
  }

  execute(programs: DocumentPrograms, source: TextSource): Verdict {
    const verdict = this.#verdict;
    verdict.records = [];
    this.#refused = false;
    if (programs === null) return settle(verdict, 'kept', 'no_program');
    const plans = this.#plan(programs);
    if (plans === null) return settle(verdict, 'failed', 'window_invalid');
    if (!plans.some((plan) => plan.edits)) return this.#unchanged(plans);

    this.#begin(source.read());
    if (!this.#checkBounds(plans)) return settle(verdict, 'failed', 'window_invalid');
    for (const plan of plans) if (plan.edits) this.#removeLines(plan);
    for (const plan of plans) if (plan.edits) this.#claimWindow(plan);
    if (!this.#changed) return this.#unchanged(plans);
    return this.#finish(plans);
  }

  #plan(programs: string | Exclude<DocumentPrograms, string | null>): WindowPlan[] | null {
    const { records } = this.#verdict;
    if (typeof programs === 'string') {
      const whole = { program: programs, lineStart: 0, lineEnd: Infinity };
      return [planWindow(whole, this.#dialect, this.#options, records)];
    }
    if (!windowsAreOrdered(programs)) return null;
    return programs.map((window) => planWindow(window, this.#dialect, this.#options, records));
  }

  #begin(text: ByteString): void {
    this.#text = text;
    this.#lines.reset(text);
    this.#claims.clear();
    if (this.#insertions.length > 0) this.#insertions = [];
    this.#outputBytes = text.length + 1;
    this.#maxOutputBytes = Math.floor(text.length * this.#options.maxGrowthRatio) + 1;
    this.#changed = false;
  }

  /** Refuses ops outside their window; false when a window lies outside the document. */
  #checkBounds(plans: readonly WindowPlan[]): boolean {
    const { records } = this.#verdict;
    const last = plans.at(-1)!;
    if (last.lineEnd !== Infinity && this.#lines.startOf(last.lineEnd) < 0) {
      for (const record of records) record.skipped ??= 'window_ignored';
      return false;
    }
    for (const plan of plans) {
      if (!plan.edits) continue;
      if (replacesLoop(this.#text, plan.suspects, this.#options)) {
        ignoreWindow(plan, 'repeated_ops', records);
        continue;
      }
      for (let index = 0; index < plan.statements.length; index++) {
        const { op } = plan.statements[index]!;
        if (op === null) continue;
        const record = records[plan.firstRecord + index]!;
        if (!this.#isInside(op, plan)) {
          record.skipped = 'out_of_window';
          plan.nErrors++;
        } else if (!isOwned(op, plan)) {
          record.skipped = 'not_owned';
        }
      }
      if (plan.nErrors > this.#options.maxErrors) ignoreWindow(plan, 'too_many_errors', records);
    }
    return true;
  }

  #isInside(op: Op, plan: WindowPlan): boolean {
    switch (op.op) {
      case 'remove_lines':
        return this.#hasLines(plan, op.lineStart, op.lineEnd);
      case 'replace_str':
        return this.#hasLines(plan, op.line, op.line + 1);
      case 'add_line':
        // After a line of the window, or at the very top.
        return op.line === 0 ? plan.lineStart === 0 : this.#hasLines(plan, op.line - 1, op.line);
      default:
        return true;
    }
  }

  #hasLines(plan: WindowPlan, start: number, end: number): boolean {
    return start >= plan.lineStart && end <= plan.lineEnd && this.#lines.startOf(end) >= 0;
  }

  #removeLines(plan: WindowPlan): void {
    const removed = this.#removed;
    const { records } = this.#verdict;
    removed.clear();
    for (let index = 0; index < plan.statements.length; index++) {
      const { op } = plan.statements[index]!;
      const record = records[plan.firstRecord + index]!;
      if (op === null || record.skipped !== null) continue;
      let start: number;
      let end: number;
      if (op.op === 'remove_lines') {
        start = Math.max(op.lineStart, plan.ownStart);
        end = op.lineEnd;
      } else if (isDrop(op)) {
        start = plan.ownStart;
        end = plan.lineEnd === Infinity ? this.#lines.nLines : plan.lineEnd;
      } else {
        continue;
      }
      this.#openRecord = record;
      removed.add(start, end, this.#freshLines);
      if (record.count === 0) {
        record.skipped = 'already_removed';
        continue;
      }
      record.lineStart = start;
      record.lineEnd = end;
      this.#outputBytes -= record.bytesRemoved;
      this.#changed = true;
    }
    for (let index = 0; index < removed.length; index++) {
      const start = this.#lines.startOf(removed.starts[index]!);
      this.#claims.push(start, this.#lines.startOf(removed.ends[index]!), '');
    }
  }

  /** Runs the replacing and adding ops of one window. */
  #claimWindow(plan: WindowPlan): void {
    const { records } = this.#verdict;
    for (let index = 0; index < plan.statements.length; index++) {
      const { op } = plan.statements[index]!;
      const record = records[plan.firstRecord + index]!;
      if (op === null || record.skipped !== null) continue;
      if (op.op === 'normalize') this.#normalize(op, plan, record);
      else if (op.op === 'replace_str') this.#replace(op, record);
      else if (op.op === 'add_line') this.#addLine(op, record);
    }
  }

  #normalize(op: NormalizeOp, plan: WindowPlan, record: OpenRecord): void {
    if (op.source === op.target) {
      record.skipped = 'no_change';
      return;
    }
    const start = plan.ownStart === 0 ? 0 : this.#lines.startOf(plan.ownStart);
    const end =
      plan.lineEnd === Infinity ? this.#text.length : this.#lines.startOf(plan.lineEnd) - 1;
    this.#replaceIn(start, end, op, false, record);
  }

  #replace(op: ReplaceStrOp, record: OpenRecord): void {
    if (op.source === op.target) {
      record.skipped = 'no_change';
      return;
    }
    const start = this.#lines.startOf(op.line);
    this.#replaceIn(start, this.#lines.startOf(op.line + 1) - 1, op, true, record);
  }

  /** Claims the occurrences of `op.source` in the bytes `[start, end)`. */
  #replaceIn(
    start: number,
    end: number,
    op: NormalizeOp | ReplaceStrOp,
    onlyUnique: boolean,
    record: OpenRecord,
  ): void {
    const whole = start === 0 && end === this.#text.length;
    const text = whole ? this.#text : this.#text.slice(start, end);
    const needle = new Needle(toByteString(op.source));
    const source = needle.text;
    const target = toByteString(op.target);
    const claims = this.#claims;
    const found: number[] = [];
    let overlaps = false;
    let claim = claims.firstEndingAfter(start, 0);
    for (let at = needle.indexIn(text, 0); at >= 0; ) {
      if (onlyUnique && needle.indexIn(text, at + 1) >= 0) {
        record.skipped = 'not_unique';
        return;
      }
      claim = claims.firstEndingAfter(start + at, claim);
      let next = at + source.length;
      if (claim < claims.length && claims.starts[claim]! < start + next) {
        overlaps = true;
        // Every match that begins before the claim ends overlaps it too.
        claim = claims.lastOfRun(claim);
        next = claims.ends[claim]! - start;
      } else {
        found.push(start + at);
      }
      at = needle.indexIn(text, next);
    }
    if (found.length === 0) {
      record.skipped = overlaps ? 'overlap' : 'not_found';
      return;
    }
    const bytesRemoved = (source.length - target.length) * found.length;
    if (!this.#admits(bytesRemoved, record)) return;
    claims.merge(found, source.length, target);
    record.count = found.length;
    record.lineStart = this.#lines.lineOf(found[0]!);
    record.lineEnd = this.#lines.lineOf(found.at(-1)!) + 1;
  }

  #addLine(op: AddLineOp, record: OpenRecord): void {
    const content = toByteString(op.content);
    if (!this.#admits(-(content.length + 1), record)) return;
    this.#insertions.push({ line: op.line, subIndex: op.subIndex, content });
    record.count = 1;
    record.lineStart = op.line;
    record.lineEnd = op.line;
  }

  /** Books a change of the size, unless the text would grow too much. */
  #admits(bytesRemoved: number, record: OpenRecord): boolean {
    const outputBytes = this.#outputBytes - bytesRemoved;
    if (bytesRemoved < 0 && outputBytes > this.#maxOutputBytes) {
      record.skipped = 'would_grow' satisfies OpReason;
      this.#refused = true;
      return false;
    }
    this.#outputBytes = outputBytes;
    record.bytesRemoved = bytesRemoved;
    this.#changed = true;
    return true;
  }

  #unchanged(plans: readonly WindowPlan[]): Verdict {
    const verdict = this.#verdict;
    const ignored = plans.find((plan) => plan.ignored !== null)?.ignored;
    if (ignored) return settle(verdict, 'failed', ignored);
    if (verdict.records.length === 0) return settle(verdict, 'kept', 'no_program');
    if (this.#refusesSome(plans)) return settle(verdict, 'kept', 'ops_refused');
    const keeps = plans.every(({ statements }) => statements.every(({ op }) => op && isKeep(op)));
    return settle(verdict, 'kept', keeps ? 'keep' : 'no_effect');
  }

  #finish(plans: readonly WindowPlan[]): Verdict {
    const verdict = this.#verdict;
    if (this.#outputBytes === 0) {
      const { records } = verdict;
      const byLines = records.some((record) => record.op === 'remove_lines' && record.count > 0);
      // The last line has no line feed of its own; the last op to remove anything gives it back.
      records.findLast((record) => record.count > 0)!.bytesRemoved--;
      return settle(verdict, 'dropped', byLines ? 'all_removed' : 'drop_doc', '');
    }
    const output = this.#build();
    const guard = this.#guard(output);
    if (guard !== null) {
      if (this.#options.onOverRemoval === 'drop') return settle(verdict, 'dropped', guard, '');
      for (const record of verdict.records) {
        record.bytesRemoved = 0;
        record.count = 0;
        record.skipped ??= 'over_removal';
      }
      return settle(verdict, 'failed', 'over_removal');
    }
    if (countWords(output, 1) === 0 && countWords(this.#text, 1) === 0) {
      return settle(verdict, 'dropped', 'all_removed', '');
    }
    const partly = this.#refusesSome(plans) || plans.some((plan) => plan.ignored !== null);
    return settle(verdict, 'edited', partly ? 'edited_partly' : 'edited', output);
  }

  /** True when an op was refused, or the last one cut off. */
  #refusesSome(plans: readonly WindowPlan[]): boolean {
    return (
      this.#refused ||
      plans.some(
        ({ nErrors, statements }) => nErrors > 0 || statements.at(-1)?.problem === 'truncated',
      )
    );
  }

  #build(): ByteString {
    return this.#insertions.length === 0 ? this.#buildKept() : this.#buildWithInsertions();
  }

  #buildKept(): ByteString {
    const text = this.#text;
    const { starts, ends, texts } = this.#claims;
    let output = '';
    let cursor = 0;
    for (let claim = 0; claim < starts.length; claim++) {
      output += text.slice(cursor, starts[claim]) + texts[claim];
      cursor = ends[claim]!;
    }
    // The last line is gone: so is the line feed before it.
    return cursor > text.length ? output.slice(0, -1) : output + text.slice(cursor);
  }

  #buildWithInsertions(): ByteString {
    const text = this.#text;
    const { starts, ends, texts } = this.#claims;
    const insertions = this.#insertions.sort(
      (left, right) => left.line - right.line || left.subIndex - right.subIndex,
    );
    let output = '';
    let cursor = 0;
    let inserted = 0;
    /** Goes on to `end`, with or without copying, and puts the lines in that are added on the way. */
    const advance = (end: number, copies: boolean): void => {
      for (; inserted < insertions.length; inserted++) {
        const { line, content } = insertions[inserted]!;
        const at = this.#lines.startOf(line);
        if (at > end) break;
        if (copies) output += terminatedSlice(text, cursor, at);
        output += `${content}\n`;
        cursor = at;
      }
      if (copies) output += terminatedSlice(text, cursor, end);
      cursor = end;
    };
    for (let claim = 0; claim < starts.length; claim++) {
      advance(starts[claim]!, true);
      output += texts[claim]!;
      advance(ends[claim]!, false);
    }
    advance(text.length + 1, true);
    return output.slice(0, -1);
  }

  /** Judges how much is left: a reason to drop the document, or null. */
  #guard(output: ByteString): Reason | null {
    const { minKeptRatio, minWords } = this.#options;
    // Enough words whatever the input's number of words: then the input need not be counted.
    const enough = Math.min(this.#enoughOfAll(), this.#enoughOfLost());
    const limit = Math.max(enough, minWords);
    const nKept = countWords(output, limit);
    if (nKept >= limit) return null;
    if (nKept < enough) {
      const nWords = countWords(this.#text, Infinity);
      if (nWords > 0 && nKept <= minKeptRatio * nWords) return 'too_much_removed';
    }
    return nKept < minWords ? 'too_few_words' : null;
  }

  /** Words to keep so that the ratio holds for any text of the input's size. */
  #enoughOfAll(): number {
    return Math.floor(this.#options.minKeptRatio * maxWords(this.#text.length)) + 1;
  }

  /**
   * Words to keep so that the ratio holds whatever the claims took. A removed stretch of bytes loses at most
   * {@link maxWords} of it, a replaced one at most three more (itself and its neighbours in one word), unless it
   * touches a character beyond ASCII: then the words of an unspaced script around it may be cut anew.
   */
  #enoughOfLost(): number {
    const text = this.#text;
    const { starts, ends } = this.#claims;
    const ratio = this.#options.minKeptRatio;
    let nLost = 0;
    for (let claim = 0; claim < starts.length; claim++) {
      const start = starts[claim]!;
      const end = ends[claim]!;
      if (text.charCodeAt(start - 1) > 127 || text.charCodeAt(end) > 127) {
        // Whole lines have line feeds around them, as far as words go.
        const whole = end > text.length || text.charCodeAt(end - 1) === LF;
        if (!whole) return Infinity;
      }
      nLost += maxWords(end - start) + 3;
    }
    return Math.floor((ratio * nLost) / (1 - ratio)) + 1;
  }
}

/** True when the window may change a line that the op names; ops of whole windows name all that it owns. */
function isOwned(op: Op, { ownStart }: WindowPlan): boolean {
  switch (op.op) {
    case 'remove_lines':
      return op.lineEnd > ownStart;
    case 'replace_str':
      return op.line >= ownStart;
    case 'add_line':
      return op.line === 0 ? ownStart === 0 : op.line > ownStart;
    default:
      return true;
  }
}

/** A slice of `text` as if it ended with a line feed. */
function terminatedSlice(text: ByteString, start: number, end: number): ByteString {
  if (start >= end) return '';
  return end > text.length ? `${text.slice(start)}\n` : text.slice(start, end);
}
