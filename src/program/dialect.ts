/**
 * What a dialect is: a value that says how lines are numbered, how windows are framed, which functions
 * exist, and the grammar under which a refiner decodes. One parser and one executor run them all.
 */
import type { ProgramGrammar } from '../native/grammar.ts';
import type { OpReason } from './reasons.ts';
import type { DialectName, Op } from './types.ts';

/** Types of arguments: a line number in the dialect's numbering, any whole number, a string, True or False. */
export type ArgumentType = 'line' | 'number' | 'string' | 'flag';

/** An argument of a function. */
export interface ParameterSpec {
  /** Accepted names; the first is the paper's. */
  readonly names: readonly string[];
  readonly type: ArgumentType;
  readonly optional?: boolean;
}

/** Values by parameter index; `undefined` where an optional one is missing. */
export type ArgumentValues = readonly (number | string | boolean | undefined)[];

/** A function of a dialect. */
export interface FunctionSpec {
  readonly parameters: readonly ParameterSpec[];
  /** Makes the op from checked values; line arguments come 0-based. */
  build(values: ArgumentValues): Op | OpReason;
}

/** Options of a grammar. */
export interface GrammarOptions {
  /** Only deletions: target strings are empty, nothing is added. Default true. */
  readonly deletionOnly?: boolean | undefined;
  /** Every `remove_lines` starts behind the last line that the one before removes. Default true. */
  readonly ascending?: boolean | undefined;
  /** Names of the ops that are offered, besides whole programs. Default all of the dialect's. */
  readonly ops?: readonly string[] | undefined;
}

/** Longest target string of a grammar that is not deletion-only, in bytes. */
export const GRAMMAR_MAX_TARGET_BYTES = 200;

/** How a dialect spells the removal of lines; C++ prints the same for pages that it judges itself. */
export interface RemovalSpelling {
  /** Of a window that stays as it is. */
  readonly keep: string;
  readonly before: string;
  readonly between: string;
  readonly after: string;
  /** Added to the first line (0-based), and to one past the last. */
  readonly startShift: number;
  readonly endShift: number;
}

/** A removal as it is spelt. */
export function printRemoval(
  { before, between, after, startShift, endShift }: RemovalSpelling,
  lineStart: number,
  lineEnd: number,
): string {
  return `${before}${lineStart + startShift}${between}${lineEnd + endShift}${after}`;
}

/** A dialect. */
export interface Dialect {
  readonly name: DialectName;
  /** Number of a document's first line. */
  readonly lineBase: 0 | 1;
  /** Text before and after the numbered lines of a window. */
  readonly windowPrefix: string;
  readonly windowSuffix: string;
  /** Marker in front of a line, from its 0-based index in the document. */
  lineMarker(line: number): string;
  /** Functions by every accepted name. */
  readonly functions: ReadonlyMap<string, FunctionSpec>;
  /** Answers of the document stage, keep first; none where the dialect has no document stage. */
  readonly documentAnswers: readonly string[];
  /** What a refiner may emit, spelled as the published models do: the grammar without options. */
  readonly grammar: ProgramGrammar;
  /** The grammar with options. */
  makeGrammar(options?: GrammarOptions): ProgramGrammar;
  /** Canonical spelling of one op, as the published models emit it. */
  printOp(op: Op): string;
  /** The same of removals. */
  readonly removal: RemovalSpelling;
}

/** Most ops a grammar allows in one program; published ProX programs are cut at about 17 (256 tokens). */
export const GRAMMAR_MAX_OPS = 64;

/** A function without arguments. */
export function constantFunction(op: Op): FunctionSpec {
  return { parameters: [], build: () => op };
}

/** True for a reason, as opposed to an op. */
export function isOpReason(value: Op | OpReason): value is OpReason {
  return typeof value === 'string';
}

/** White space as JS has it, but for U+FEFF: a mark like U+200B, which no word needs around it. */
const BLANK = /^[^\S\ufeff]+$/;

/** Checks the two strings of a replacement. */
export function checkReplacement(source: string, target: string): OpReason | null {
  if (source === '') return 'empty_source';
  if (source.includes('\n') || target.includes('\n')) return 'line_break';
  if (BLANK.test(source)) return 'blank_source';
  return null;
}

/** Quotes a string so that the scanner reads it back. */
export function quoteString(value: string, quote: '"' | "'"): string {
  let body = value.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`);
  if (/[\n\r\t]/.test(body)) {
    body = body.replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
  }
  return quote + body + quote;
}
