/**
 * What an example must stand before it is kept (ProX §2.3 and appendix A, RefineX §3, UltraX: grammar, effect, existing
 * strings, ratios), proven by running it.
 *
 * Checks, in order; the first that fails is the reason
 *  1. bounds of size: characters of the window, ops, length of source strings, share of characters removed
 *  2. the printed program reads back as the same ops
 *  3. every op changes something, none is refused (so every source string exists)
 *  4. executing the program gives the intended text
 */
import { parse, print } from '../../program/parse.ts';
import type { DialectName, Op } from '../../program/types.ts';
import { WindowExecutor } from '../../program/window-execution.ts';
import type { RejectReason } from '../chunks/reject-reasons.ts';
import { EXAMPLE_BOUNDS, type ExampleBounds } from './example-bounds.ts';

export { EXAMPLE_BOUNDS, type ExampleBounds };

/** Ops are few and their strings bounded, so this bounds nothing that is allowed. */
const MAX_GROWTH = 1000;

/** An example to check. */
export interface Candidate {
  /** The window's lines joined by LF. */
  readonly text: string;
  readonly lineStart: number;
  readonly lineEnd: number;
  readonly dialect: DialectName;
  /** None: the window stays as it is. */
  readonly ops: readonly Op[];
  /** What the program is to make of `text`; null to take what it makes. */
  readonly intended: string | null;
}

/** A candidate that stood all checks. */
export interface CheckedExample {
  readonly program: string;
  readonly refined: string;
}

/** The program of ops: the dialect's way to say "keep" where there are none. */
export function printProgram(ops: readonly Op[], dialect: DialectName): string {
  const keep: Op = { op: dialect === 'ultrax' ? 'keep_all' : 'keep_chunk' };
  return print(ops.length > 0 ? ops : [keep], dialect);
}

const EXECUTOR = new WindowExecutor({ maxErrors: 0, maxGrowthRatio: MAX_GROWTH });

/** Checks a candidate. */
export function checkExample(
  candidate: Candidate,
  bounds: ExampleBounds = EXAMPLE_BOUNDS,
): CheckedExample | { readonly reason: RejectReason } {
  const { text, dialect, ops } = candidate;
  if (text.length < bounds.minChars) return { reason: 'too_short' };
  if (ops.length > bounds.maxOps) return { reason: 'too_many_ops' };
  if (ops.some((op) => 'source' in op && op.source.length > bounds.maxSourceChars)) {
    return { reason: 'source_too_long' };
  }
  const program = printProgram(ops, dialect);
  if (ops.length > 0 && !readsBackAs(program, ops, dialect)) return { reason: 'does_not_parse' };
  const executed = executeWindow(candidate, program);
  if (ops.length > 0 && !executed.allEffective) return { reason: 'no_effect' };
  const { refined } = executed;
  if (refined !== (candidate.intended ?? refined)) return { reason: 'differs' };
  if (text.length - refined.length > bounds.maxRemovedShare * text.length) {
    return { reason: 'removes_too_much' };
  }
  return { program, refined };
}

/** Executes the program of one window alone: no error is tolerated, growth is the deriving side's matter. */
export function executeWindow(
  { text, lineStart, lineEnd, dialect }: Omit<Candidate, 'ops' | 'intended'>,
  program: string,
): { readonly refined: string; readonly allEffective: boolean } {
  const outcome = EXECUTOR.run({ text, lineStart }, [{ lineStart, lineEnd, program }], dialect);
  return {
    refined: outcome.text,
    allEffective: outcome.ops.every((record) => record.skipped === null && record.count > 0),
  };
}

function readsBackAs(program: string, ops: readonly Op[], dialect: DialectName): boolean {
  const { statements, tooManyOps } = parse(program, dialect);
  if (tooManyOps || statements.length !== ops.length) return false;
  return statements.every(({ op }, index) => op !== null && sameOp(op, ops[index]!));
}

function sameOp(one: Op, other: Op): boolean {
  const left = Object.entries(one);
  return (
    left.length === Object.keys(other).length &&
    left.every(([key, value]) => (other as unknown as Record<string, unknown>)[key] === value)
  );
}
