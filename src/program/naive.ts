/**
 * The strict executor once more, written to be obviously right: the oracle of the tests and the
 * "straightforward JS strings" contender of the benches. Shares the parser with strict.ts, nothing else.
 *
 * Every line is an array of cells, one per UTF-16 unit; a cell knows which op claimed it. No offsets into
 * the text, no early exits, no reuse.
 */
import { DIALECTS } from './dialects.ts';
import { EXECUTE_DEFAULTS, type ResolvedOptions } from './options.ts';
import { parseProgram } from './parse.ts';
import type { OpReason, Reason } from './reasons.ts';
import type { Op, OpRecord, Outcome, Status, WindowProgram } from './types.ts';

const KEEPS = ['keep_doc', 'keep_chunk', 'keep_all'];
const DROPS = ['drop_doc', 'drop_chunk', 'remove_all'];

/** Splits words as Python's `str.split()` does. */
const WHITE_SPACE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts U+001C..001F as white space
  /[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
const WITHOUT_SPACES =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Thai}|\p{Script=Lao}|\p{Script=Khmer}|\p{Script=Myanmar}/u;

interface Cell {
  readonly unit: string;
  claimed: boolean;
  /** What stands in the output in place of the unit. */
  replacement: string;
}

interface Line {
  removed: boolean;
  readonly cells: Cell[];
  /** Lines to add before this one. */
  readonly added: { readonly subIndex: number; readonly content: string }[];
}

interface Call {
  readonly op: Op | null;
  readonly record: { -readonly [Key in keyof OpRecord]: OpRecord[Key] };
}

interface Window {
  readonly start: number;
  readonly ownStart: number;
  readonly end: number;
  readonly calls: Call[];
  ignored: Reason | null;
  nErrors: number;
}

/** Runs a program as {@link StrictExecutor} does, slowly. */
export function executeNaively(
  text: string,
  program: string | readonly WindowProgram[],
  options: ResolvedOptions = EXECUTE_DEFAULTS,
): Outcome {
  const lines: Line[] = text.split('\n').map((line) => ({
    removed: false,
    cells: line.split('').map((unit) => ({ unit, claimed: false, replacement: unit })),
    added: [],
  }));
  const nLines = lines.length;
  // A place behind the last line, for lines added there.
  lines.push({ removed: true, cells: [], added: [] });

  const whole = typeof program === 'string';
  const given = whole ? [{ lineStart: 0, lineEnd: nLines, program }] : program;
  let previousEnd = 0;
  for (const { lineStart, ownStart = lineStart, lineEnd } of given) {
    const inOrder = 0 <= lineStart && lineStart <= ownStart && previousEnd <= ownStart;
    if (!inOrder || lineEnd <= ownStart) return outcome('failed', 'window_invalid');
    previousEnd = lineEnd;
  }
  const windows = given.map((window) => readWindow(window, options));
  const calls = windows.flatMap((window) => window.calls);
  const records = calls.map((call) => call.record);

  function outcome(status: Status, reason: Reason, result = text): Outcome {
    return { text: result, status, reason, ops: records ?? [] };
  }

  const isEdit = ({ op }: Call): boolean => op !== null && !KEEPS.includes(op.op);
  if (windows.some((window) => window.ignored === null && window.calls.some(isEdit))) {
    if (previousEnd > nLines) {
      for (const record of records) record.skipped ??= 'window_ignored';
      return outcome('failed', 'window_invalid');
    }
    for (const window of windows) {
      if (window.ignored !== null) continue;
      if (replacesTooOften(window.calls, text, options)) {
        ignore(window, 'repeated_ops');
        continue;
      }
      for (const { op, record } of window.calls) {
        if (op === null) continue;
        if (!isInside(op, window)) {
          record.skipped = 'out_of_window';
          window.nErrors++;
        } else if (!isOwned(op, window)) {
          record.skipped = 'not_owned';
        }
      }
      if (window.nErrors > options.maxErrors) ignore(window, 'too_many_errors');
    }
    runAll();
  }

  const ignored = windows.find((window) => window.ignored !== null)?.ignored;
  if (!records.some((record) => record.count > 0)) {
    if (ignored) return outcome('failed', ignored);
    if (calls.length === 0) return outcome('kept', 'no_program');
    if (calls.some(isRefused)) return outcome('kept', 'ops_refused');
    const onlyKeeps = calls.every(({ op }) => op !== null && KEEPS.includes(op.op));
    return outcome('kept', onlyKeeps ? 'keep' : 'no_effect');
  }
  const left = outputLines(lines);
  if (left.length === 0) {
    records.findLast((record) => record.count > 0)!.bytesRemoved -= 1;
    const byLines = records.some((record) => record.op === 'remove_lines' && record.count > 0);
    return outcome('dropped', byLines ? 'all_removed' : 'drop_doc', '');
  }
  const result = left.join('\n');
  const nKept = countWords(result);
  const nWords = countWords(text);
  let guard: Reason | null = null;
  if (nWords > 0 && nKept <= options.minKeptRatio * nWords) guard = 'too_much_removed';
  else if (nKept < options.minWords) guard = 'too_few_words';
  if (guard !== null && options.onOverRemoval === 'drop') return outcome('dropped', guard, '');
  if (guard !== null) {
    for (const record of records) {
      record.skipped ??= 'over_removal';
      record.count = 0;
      record.bytesRemoved = 0;
    }
    return outcome('failed', 'over_removal');
  }
  if (nKept + nWords === 0) return outcome('dropped', 'all_removed', '');
  const refused = calls.some(isRefused);
  return outcome('edited', refused || ignored ? 'edited_partly' : 'edited', result);

  function runAll(): void {
    const active = windows.filter((window) => window.ignored === null);
    for (const window of active) {
      for (const { op, record } of window.calls) {
        if (op === null || record.skipped !== null) continue;
        const { ownStart, end } = window;
        if (op.op === 'remove_lines') {
          removeLines(Math.max(op.lineStart, ownStart), op.lineEnd, record);
        } else if (DROPS.includes(op.op)) {
          removeLines(ownStart, end, record);
        }
      }
    }
    for (const window of active) {
      for (const { op, record } of window.calls) {
        if (op === null || record.skipped !== null) continue;
        if (op.op === 'normalize') {
          replace(window.ownStart, window.end, op.source, op.target, false, record);
        } else if (op.op === 'replace_str') {
          replace(op.line, op.line + 1, op.source, op.target, true, record);
        } else if (op.op === 'add_line') {
          addLine(op.line, op.subIndex, op.content, record);
        }
      }
    }
  }

  function removeLines(start: number, end: number, record: Call['record']): void {
    const fresh = lines.slice(start, end).filter((line) => !line.removed);
    if (fresh.length === 0) {
      record.skipped = 'already_removed';
      return;
    }
    for (const line of fresh) {
      record.bytesRemoved += Buffer.byteLength(original(line)) + 1;
      line.removed = true;
    }
    Object.assign(record, { count: fresh.length, lineStart: start, lineEnd: end });
  }

  function replace(
    start: number,
    end: number,
    source: string,
    target: string,
    onlyUnique: boolean,
    record: Call['record'],
  ): void {
    if (source === target) {
      record.skipped = 'no_change';
      return;
    }
    const places: [number, number][] = [];
    let overlaps = false;
    for (let index = start; index < end; index++) {
      const { cells, removed } = lines[index]!;
      const line = original(lines[index]!);
      if (onlyUnique && line.indexOf(source) !== line.lastIndexOf(source)) {
        record.skipped = 'not_unique';
        return;
      }
      for (let at = 0; at < line.length; ) {
        const matches = line.startsWith(source, at);
        const taken = removed || cells.slice(at, at + source.length).some((cell) => cell.claimed);
        if (matches && taken) overlaps = true;
        if (matches && !taken) places.push([index, at]);
        at += matches && !taken ? source.length : 1;
      }
    }
    if (places.length === 0) {
      record.skipped = overlaps ? 'overlap' : 'not_found';
      return;
    }
    const shrinks = Buffer.byteLength(source) - Buffer.byteLength(target);
    if (!admits(shrinks * places.length, record)) return;
    for (const [index, at] of places) {
      const cells = lines[index]!.cells.slice(at, at + source.length);
      for (const cell of cells) Object.assign(cell, { claimed: true, replacement: '' });
      cells[0]!.replacement = target;
    }
    record.count = places.length;
    record.lineStart = places[0]![0];
    record.lineEnd = places.at(-1)![0] + 1;
  }

  function addLine(
    before: number,
    subIndex: number,
    content: string,
    record: Call['record'],
  ): void {
    if (!admits(-(Buffer.byteLength(content) + 1), record)) return;
    lines[before]!.added.push({ subIndex, content });
    Object.assign(record, { count: 1, lineStart: before, lineEnd: before });
  }

  function admits(bytesRemoved: number, record: Call['record']): boolean {
    // With a line feed after every line, the last one included.
    const size = outputLines(lines).reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
    const bound = Math.floor(Buffer.byteLength(text) * options.maxGrowthRatio) + 1;
    if (bytesRemoved < 0 && size - bytesRemoved > bound) {
      record.skipped = 'would_grow';
      return false;
    }
    record.bytesRemoved = bytesRemoved;
    return true;
  }

  function isInside(op: Op, window: Window): boolean {
    const { start, end } = window;
    if (op.op === 'remove_lines') return op.lineStart >= start && op.lineEnd <= end;
    if (op.op === 'replace_str') return op.line >= start && op.line < end;
    if (op.op !== 'add_line') return true;
    return op.line === 0 ? start === 0 : op.line - 1 >= start && op.line <= end;
  }
}

/** A call that is no op, that names a line of others, or that would make the text too long. */
function isRefused({ op, record }: Call): boolean {
  return op === null || ['out_of_window', 'would_grow'].includes(record.skipped ?? '');
}

/** `edits` that concern a line of the window's own, one line at a time. */
function isOwned(op: Op, { ownStart }: Window): boolean {
  if (op.op === 'remove_lines') {
    const named = Array.from({ length: op.lineEnd - op.lineStart }, (_, at) => op.lineStart + at);
    return named.some((line) => line >= ownStart);
  }
  if (op.op === 'replace_str') return op.line >= ownStart;
  // The line that it stands behind; the place before the first line is the first window's.
  if (op.op === 'add_line') return op.line === 0 ? ownStart === 0 : op.line - 1 >= ownStart;
  return true;
}

function replacesTooOften(calls: readonly Call[], text: string, options: ResolvedOptions): boolean {
  if (options.dialect !== 'ultrax') return false;
  const ops = calls.flatMap(({ op }) => (op?.op === 'replace_str' ? [op] : []));
  return ops.some(({ source, target }) => {
    const same = ops.filter((op) => op.source === source && op.target === target).length;
    const inText = text.split(source).length - 1;
    return same > options.maxSameReplaces && inText < same * options.legitReplaceRatio;
  });
}

function addsTooOften(ops: readonly Op[], options: ResolvedOptions): boolean {
  if (options.dialect !== 'ultrax') return false;
  const adds = ops.flatMap((op) => (op.op === 'add_line' ? [op] : []));
  const repeats = adds.some(({ line, content }) => {
    const same = adds.filter((add) => add.content === content);
    const here = same.filter((add) => add.line === line);
    const places = new Set(same.map((add) => add.line));
    return here.length > options.maxSameAdds || places.size > options.maxAddPlaces;
  });
  if (repeats) return true;
  const groups: string[][] = [];
  for (const { content } of adds.slice(0, 32)) {
    const compared = content.slice(0, 199);
    const group = groups.find(([first]) => ratio(first!, compared) >= options.addSimilarity);
    if (group) group.push(compared);
    else groups.push([compared]);
  }
  return groups.some((group) => group.length > options.maxSimilarAdds);
}

/** difflib's ratio by its definition. */
function ratio(left: string, right: string): number {
  if (left === '' && right === '') return 1;
  return (2 * matching(left, right)) / (left.length + right.length);
}

function matching(left: string, right: string): number {
  for (let length = Math.min(left.length, right.length); length > 0; length--) {
    for (let at = 0; at + length <= left.length; at++) {
      const other = right.indexOf(left.slice(at, at + length));
      if (other < 0) continue;
      const before = matching(left.slice(0, at), right.slice(0, other));
      return before + length + matching(left.slice(at + length), right.slice(other + length));
    }
  }
  return 0;
}

function readWindow(window: WindowProgram, options: ResolvedOptions): Window {
  const { program, lineStart: start, ownStart = start, lineEnd: end } = window;
  const tooLong = program.length > options.maxProgramChars;
  const parsed = parseProgram(DIALECTS[options.dialect], tooLong ? '' : program, options);
  const calls = parsed.statements.map(({ name, op, problem }): Call => {
    const skipped: OpReason | null = problem;
    const blank = { lineStart: -1, lineEnd: -1, bytesRemoved: 0, count: 0 };
    const known = DIALECTS[options.dialect].functions.has(name) ? name : 'invalid';
    return { op, record: { op: op?.op ?? known, ...blank, skipped } };
  });
  const problems = parsed.statements.map(({ problem }) => problem);
  const nErrors = problems.filter((problem) => problem !== null && problem !== 'truncated').length;
  const read: Window = { start, ownStart, end, calls, ignored: null, nErrors };

  const ops = calls.flatMap(({ op }) => (op === null ? [] : [op]));
  const spelled = ops.map((op) => JSON.stringify(op));
  const most = Math.max(0, ...spelled.map((one) => spelled.filter((s) => s === one).length));
  const keeps = ops.some(({ op }) => KEEPS.includes(op));
  const drops = ops.some(({ op }) => DROPS.includes(op));
  if (tooLong) ignore(read, 'program_too_long');
  else if (parsed.tooManyOps) ignore(read, 'too_many_ops');
  else if (most > options.maxRepeats) ignore(read, 'repeated_ops');
  else if (addsTooOften(ops, options)) ignore(read, 'repeated_ops');
  else if (keeps && drops) ignore(read, 'contradiction');
  else if (nErrors > options.maxErrors) ignore(read, 'too_many_errors');
  else if (problems.length === 1 && problems[0] === 'truncated') ignore(read, 'truncated');
  return read;
}

function ignore(window: Window, reason: Reason): void {
  window.ignored = reason;
  for (const { record } of window.calls) record.skipped ??= 'window_ignored';
}

function original(line: Line): string {
  return line.cells.map((cell) => cell.unit).join('');
}

function outputLines(lines: readonly Line[]): string[] {
  return lines.flatMap(({ removed, cells, added }) => {
    const inOrder = added.toSorted((left, right) => left.subIndex - right.subIndex);
    const own = removed ? [] : [cells.map((cell) => cell.replacement).join('')];
    return [...inOrder.map(({ content }) => content), ...own];
  });
}

function countWords(text: string): number {
  let nWords = 0;
  for (const run of text.split(WHITE_SPACE)) {
    if (run === '') continue;
    const segments = new Intl.Segmenter('en', { granularity: 'word' }).segment(run);
    nWords += WITHOUT_SPACES.test(run)
      ? Math.max(1, [...segments].filter(({ isWordLike }) => isWordLike).length)
      : 1;
  }
  return nWords;
}
