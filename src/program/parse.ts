/**
 * Programs to ops and back. Table-driven by the dialect; never throws on any program.
 *
 *     program   := { call? ( line feed | ';' ) }            comments run from '#' to the line feed
 *     call      := name '(' [ argument { ',' argument } [ ',' ] ] ')'
 *     argument  := [ name '=' ] ( number | string | True | False )
 *
 * A malformed call costs its line, not the program. What the end of the program cuts off is a truncated
 * call, dropped alone: the other calls stand. Work is linear in the program and bounded by `maxOps`.
 */

import type { Dialect, FunctionSpec } from './dialect.ts';
import { isOpReason } from './dialect.ts';
import { DIALECTS } from './dialects.ts';
import { EXECUTE_DEFAULTS } from './options.ts';
import type { OpReason } from './reasons.ts';
import { Scanner, TOKEN } from './scanner.ts';
import type { DialectName, Op } from './types.ts';

/** One call of a program: an op, or why it is none. */
export interface Statement {
  /** Function name as written; `invalid` where there is none. */
  readonly name: string;
  readonly op: Op | null;
  readonly problem: OpReason | null;
  /** Offset of the call in the program, in UTF-16 code units. */
  readonly offset: number;
}

/** A parsed program. */
export interface Program {
  readonly statements: readonly Statement[];
  /** The program has more calls than `maxOps`; the rest was not read. */
  readonly tooManyOps: boolean;
}

/** Bounds of the parser. */
export interface ParseLimits {
  readonly maxOps: number;
  readonly maxArgumentChars: number;
}

/** Largest line number that is read; no document has more lines than a slab has bytes. */
const MAX_NUMBER = 2 ** 31 - 2;
const SURROGATE = /\p{Surrogate}/u;

/** Reads a program. */
export function parseProgram(dialect: Dialect, source: string, limits: ParseLimits): Program {
  const scanner = new Scanner(source);
  const statements: Statement[] = [];
  for (;;) {
    const kind = scanner.next();
    if (kind === TOKEN.lineFeed || kind === TOKEN.separator) continue;
    if (kind === TOKEN.end && scanner.start >= source.length) break;
    if (statements.length >= limits.maxOps) return { statements, tooManyOps: true };
    const offset = scanner.start;
    if (kind === TOKEN.name) {
      const name = scanner.text;
      const result = readCall(scanner, dialect, name, limits);
      if (isOpReason(result)) statements.push({ name, op: null, problem: result, offset });
      else statements.push({ name, op: result, problem: null, offset });
    } else {
      statements.push({ name: 'invalid', op: null, problem: 'syntax', offset });
      scanner.skipLine();
    }
  }
  return { statements, tooManyOps: false };
}

/**
 * Reads a program with the default bounds.
 *
 * @param dialect default `prox`
 */
export function parse(program: string, dialect: DialectName = 'prox'): Program {
  return parseProgram(DIALECTS[dialect], program, EXECUTE_DEFAULTS);
}

/**
 * Writes ops as a program, canonically: `parse(print(ops)).statements` holds the same ops.
 *
 * @param dialect default `prox`
 */
export function print(ops: readonly Op[], dialect: DialectName = 'prox'): string {
  const { printOp } = DIALECTS[dialect];
  return ops.map((op) => printOp(op)).join('\n');
}

/** Reads the rest of a call after its name, up to the end of its statement. */
function readCall(
  scanner: Scanner,
  dialect: Dialect,
  name: string,
  limits: ParseLimits,
): Op | OpReason {
  const spec = dialect.functions.get(name);
  const open = scanner.next();
  if (open === TOKEN.end && isPrefixOfFunction(dialect, name)) return 'truncated';
  if (spec === undefined) return refuse(scanner, 'unknown_function');
  if (open !== TOKEN.open) return refuse(scanner, 'syntax');

  const values: (number | string | boolean | undefined)[] = [];
  let problem: OpReason | null = null;
  for (let position = 0; ; position++) {
    let kind = scanner.next();
    if (kind === TOKEN.close) break;
    let parameter = position;
    if (kind === TOKEN.name && scanner.text !== 'True' && scanner.text !== 'False') {
      parameter = parameterIndex(spec, scanner.text);
      if (parameter < 0) problem ??= 'unknown_argument';
      kind = scanner.next();
      if (kind !== TOKEN.equals) return broken(scanner, kind);
      kind = scanner.next();
    }
    if (kind !== TOKEN.number && kind !== TOKEN.string && kind !== TOKEN.name) {
      return broken(scanner, kind);
    }
    if (problem === null) {
      problem = takeValue(scanner, kind, spec, parameter, values, dialect.lineBase, limits);
    }
    kind = scanner.next();
    if (kind === TOKEN.close) break;
    if (kind !== TOKEN.comma) return broken(scanner, kind);
  }
  const after = scanner.next();
  if (after !== TOKEN.lineFeed && after !== TOKEN.separator && after !== TOKEN.end) {
    return refuse(scanner, 'syntax');
  }
  return problem ?? missingArgument(spec, values) ?? spec.build(values);
}

/** Checks one value and stores it; returns what is wrong with it. */
function takeValue(
  scanner: Scanner,
  kind: number,
  spec: FunctionSpec,
  parameter: number,
  values: (number | string | boolean | undefined)[],
  lineBase: number,
  limits: ParseLimits,
): OpReason | null {
  const type = spec.parameters[parameter]?.type;
  if (type === undefined) return 'extra_argument';
  if (values[parameter] !== undefined) return 'duplicate_argument';
  if (type === 'string') {
    if (kind !== TOKEN.string) return 'wrong_type';
    if (scanner.text.length > limits.maxArgumentChars) return 'argument_too_long';
    if (SURROGATE.test(scanner.text)) return 'bad_string';
    values[parameter] = scanner.text;
  } else if (type === 'flag') {
    if (kind !== TOKEN.name) return 'wrong_type';
    values[parameter] = scanner.text === 'True';
  } else {
    if (kind !== TOKEN.number) return 'wrong_type';
    const value = type === 'line' ? scanner.value - lineBase : scanner.value;
    if (!(value >= 0 && value <= MAX_NUMBER)) return 'bad_number';
    values[parameter] = value;
  }
  return null;
}

function parameterIndex(spec: FunctionSpec, name: string): number {
  const { parameters } = spec;
  for (let index = 0; index < parameters.length; index++) {
    if (parameters[index]!.names.includes(name)) return index;
  }
  return -1;
}

function missingArgument(
  spec: FunctionSpec,
  values: readonly (number | string | boolean | undefined)[],
): OpReason | null {
  const { parameters } = spec;
  for (let index = 0; index < parameters.length; index++) {
    if (!parameters[index]!.optional && values[index] === undefined) return 'missing_argument';
  }
  return null;
}

/** A call that broke off at token `kind`: cut off by the end of the program, or malformed. */
function broken(scanner: Scanner, kind: number): OpReason {
  if (kind === TOKEN.end || (kind === TOKEN.lineFeed && scanner.atEnd())) return 'truncated';
  return refuse(scanner, 'syntax');
}

/** Gives up the rest of the line, seen from the start of the last token. */
function refuse(scanner: Scanner, reason: OpReason): OpReason {
  scanner.position = scanner.start;
  scanner.skipLine();
  return reason;
}

function isPrefixOfFunction(dialect: Dialect, name: string): boolean {
  for (const known of dialect.functions.keys()) if (known.startsWith(name)) return true;
  return false;
}
