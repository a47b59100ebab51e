/**
 * From programs to plans: parses the programs of a document's windows and judges each as a whole.
 *
 * A window whose program loops, contradicts itself, is too long or holds more refused ops than the error
 * budget is ignored as a whole; its lines stay as they are. Other windows are not affected.
 */
import type { Dialect } from './dialect.ts';
import { opsOf, programOf } from './line-verdict.ts';
import { addsLoop, type SuspectReplacement, suspectReplacements } from './loops.ts';
import type { ResolvedOptions } from './options.ts';
import { type Program, parseProgram, type Statement } from './parse.ts';
import type { OpReason, Reason } from './reasons.ts';
import type { Op } from './types.ts';
import type { OpenRecord, WindowVerdict } from './verdict.ts';

/** One window's program, ready to run. */
export interface WindowPlan {
  readonly lineStart: number;
  /** First line that ops may change. */
  readonly ownStart: number;
  /** One past the last line; `Infinity` for a program of the whole document. */
  readonly lineEnd: number;
  readonly statements: readonly Statement[];
  /** Index of the first record of this window; one record per statement. */
  readonly firstRecord: number;
  /** Replacements that are a loop unless the text holds their strings often enough. */
  readonly suspects: readonly SuspectReplacement[];
  /** Refused ops so far. */
  nErrors: number;
  /** Why the program is ignored as a whole, or null. */
  ignored: Reason | null;
  /** True when some op may change the text. */
  edits: boolean;
}

/** True when the windows are in order, own no line twice and own at least one each. */
export function windowsAreOrdered(windows: readonly WindowVerdict[]): boolean {
  let end = 0;
  for (const window of windows) {
    const { lineStart, lineEnd } = window;
    const ownStart = 'program' in window ? (window.ownStart ?? lineStart) : lineStart;
    if (![lineStart, ownStart, lineEnd].every(Number.isSafeInteger)) return false;
    if (lineStart < 0 || ownStart < lineStart || ownStart < end || lineEnd <= ownStart)
      return false;
    end = lineEnd;
  }
  return true;
}

/** Longest spelling of one removal with its line feed, in any dialect. */
const MOST_CHARS_OF_A_REMOVAL = 48;

/** What a program says, or a verdict, which needs no reading; null where it is longer than allowed. */
function statementsOf(
  window: WindowVerdict,
  dialect: Dialect,
  options: ResolvedOptions,
): Program | null {
  if ('program' in window) {
    const isTooLong = window.program.length > options.maxProgramChars;
    return isTooLong ? null : parseProgram(dialect, window.program, options);
  }
  const nOps = Math.max(1, window.removed.length / 2);
  const mayBeLong = nOps * MOST_CHARS_OF_A_REMOVAL > options.maxProgramChars;
  if (mayBeLong && programOf(window, dialect.name).length > options.maxProgramChars) return null;
  const statements = opsOf(window, dialect.name)
    .slice(0, options.maxOps)
    .map((op) => ({ name: op.op, op, problem: null, offset: 0 }));
  return { statements, tooManyOps: nOps > options.maxOps };
}

/** Parses and judges one program, and adds one record per statement. */
export function planWindow(
  window: WindowVerdict,
  dialect: Dialect,
  options: ResolvedOptions,
  records: OpenRecord[],
): WindowPlan {
  const { lineStart, lineEnd } = window;
  const ownStart = 'program' in window ? (window.ownStart ?? lineStart) : lineStart;
  const read = statementsOf(window, dialect, options);
  const tooLong = read === null;
  const { statements, tooManyOps } = read ?? { statements: [], tooManyOps: false };
  const firstRecord = records.length;
  let nErrors = 0;
  let keeps = false;
  let drops = false;
  let edits = false;
  for (const { name, op, problem } of statements) {
    records.push(openRecord(op === null ? knownName(dialect, name) : op.op, problem));
    if (op === null) {
      if (problem !== 'truncated') nErrors++;
    } else if (isKeep(op)) {
      keeps = true;
    } else {
      edits = true;
      if (isDrop(op)) drops = true;
    }
  }
  const isUltrax = dialect.name === 'ultrax';
  const suspects = isUltrax ? suspectReplacements(statements, options) : [];
  const lines = { lineStart, ownStart, lineEnd };
  const plan = { ...lines, statements, firstRecord, suspects, nErrors, ignored: null, edits };
  let ignored: Reason | null = null;
  if (tooLong) ignored = 'program_too_long';
  else if (tooManyOps) ignored = 'too_many_ops';
  else if (repeats(statements, options.maxRepeats)) ignored = 'repeated_ops';
  else if (isUltrax && addsLoop(statements, options)) ignored = 'repeated_ops';
  else if (keeps && drops) ignored = 'contradiction';
  else if (nErrors > options.maxErrors) ignored = 'too_many_errors';
  else if (statements.length === 1 && statements[0]!.problem === 'truncated') ignored = 'truncated';
  return ignored === null ? plan : ignoreWindow(plan, ignored, records);
}

/** Takes a window out; its ops are recorded as ignored. */
export function ignoreWindow(plan: WindowPlan, reason: Reason, records: OpenRecord[]): WindowPlan {
  plan.ignored = reason;
  plan.edits = false;
  for (let index = 0; index < plan.statements.length; index++) {
    records[plan.firstRecord + index]!.skipped ??= 'window_ignored';
  }
  return plan;
}

/** True for ops that leave the window as it is. */
export function isKeep(op: Op): boolean {
  return op.op === 'keep_chunk' || op.op === 'keep_doc' || op.op === 'keep_all';
}

/** True for ops that remove every line of the window. */
export function isDrop(op: Op): boolean {
  return op.op === 'drop_chunk' || op.op === 'drop_doc' || op.op === 'remove_all';
}

/** A record of an op that has not done anything yet. */
export function openRecord(op: string, skipped: OpReason | null): OpenRecord {
  return { op, lineStart: -1, lineEnd: -1, bytesRemoved: 0, count: 0, skipped };
}

/** A function's name as written, `invalid` for what is none. */
function knownName(dialect: Dialect, name: string): string {
  return dialect.functions.has(name) ? name : 'invalid';
}

/** True when some op occurs more than `maxRepeats` times. */
function repeats(statements: readonly Statement[], maxRepeats: number): boolean {
  if (statements.length <= maxRepeats) return false;
  const counts = new Map<string | number, number>();
  for (const { op } of statements) {
    if (op === null) continue;
    const key = repeatKey(op);
    const count = (counts.get(key) ?? 0) + 1;
    if (count > maxRepeats) return true;
    counts.set(key, count);
  }
  return false;
}

/** Equal for equal ops. Line feeds separate, because no argument holds one. */
function repeatKey(op: Op): string | number {
  switch (op.op) {
    case 'remove_lines':
      // Two line numbers below 2^31 and 2^22 fit a double exactly; others take the slow form.
      return op.lineEnd < 2 ** 22
        ? op.lineStart * 2 ** 22 + op.lineEnd
        : `${op.lineStart}\n${op.lineEnd}`;
    case 'normalize':
      return `${op.source}\n${op.target}`;
    case 'replace_str':
      return `${op.line}\n${op.source}\n${op.target}`;
    case 'add_line':
      return `${op.line}\n${op.subIndex}\n${op.content}\n`;
    default:
      return op.op;
  }
}
