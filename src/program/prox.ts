/**
 * The dialect of ProX (arXiv 2409.17115 §2.2, Table 1): `drop_doc keep_doc remove_lines normalize keep_chunk`.
 *
 * Lines are numbered from 0 over the whole document and shown as `[012]`. Besides the paper's argument names
 * (`line_start`, `line_end`) the short ones are read that the published models emit and that we print.
 */
import {
  checkReplacement,
  constantFunction,
  type Dialect,
  type FunctionSpec,
  GRAMMAR_MAX_OPS,
  type Grammar,
  type GrammarOptions,
  quoteString,
} from './dialect.ts';
import type { Op } from './types.ts';

const keepDocument = constantFunction({ op: 'keep_doc' });
const keepChunk = constantFunction({ op: 'keep_chunk' });
const MARKER_DIGITS = 3;

const removeLines: FunctionSpec = {
  parameters: [
    { names: ['line_start', 'start'], type: 'line', optional: true },
    { names: ['line_end', 'end'], type: 'line', optional: true },
    { names: ['all'], type: 'flag', optional: true },
  ],
  build([first, last, all]) {
    if (all === true) {
      return first === undefined && last === undefined ? { op: 'drop_chunk' } : 'extra_argument';
    }
    if (typeof first !== 'number' || typeof last !== 'number') return 'missing_argument';
    if (first > last) return 'reversed_range';
    return { op: 'remove_lines', lineStart: first, lineEnd: last + 1 };
  },
};

const normalize: FunctionSpec = {
  parameters: [
    { names: ['source_str'], type: 'string' },
    { names: ['target_str'], type: 'string', optional: true },
  ],
  build([source, target]) {
    const replacement = { source: source as string, target: (target ?? '') as string };
    const problem = checkReplacement(replacement.source, replacement.target);
    return problem ?? { op: 'normalize', ...replacement };
  },
};

/** The ProX dialect. */
export const prox: Dialect = Object.freeze({
  name: 'prox',
  lineBase: 0,
  windowPrefix: '[doc]\n',
  windowSuffix: '\n[/doc]',
  lineMarker: (line: number) => `[${String(line).padStart(MARKER_DIGITS, '0')}]`,
  functions: new Map([
    ['keep_doc', keepDocument],
    ['drop_doc', constantFunction({ op: 'drop_doc' })],
    ['keep_chunk', keepChunk],
    ['drop_chunk', constantFunction({ op: 'drop_chunk' })],
    // Spellings of the annotation prompts and of a figure of the repository; all of them mean "keep".
    ['untouch_doc', keepDocument],
    ['untouch_chunk', keepChunk],
    ['skip_chunk', keepChunk],
    ['remove_lines', removeLines],
    ['normalize', normalize],
  ]),
  grammar: makeGrammar(),
  makeGrammar,
  printOp,
});

function printOp(op: Op): string {
  switch (op.op) {
    case 'remove_lines':
      return `remove_lines(start=${op.lineStart}, end=${op.lineEnd - 1})`;
    case 'normalize': {
      const source = quoteString(op.source, '"');
      return `normalize(source_str=${source}, target_str=${quoteString(op.target, '"')})`;
    }
    default:
      return `${op.op}()`;
  }
}

function makeGrammar({ deletionOnly = true }: GrammarOptions = {}): Grammar {
  return Object.freeze({
    alternatives: [
      {
        name: 'remove_lines',
        argNames: ['line_start', 'line_end'],
        argKinds: ['lineNumber', 'lineNumber'],
        template: ['remove_lines(start=', { arg: 0 }, ', end=', { arg: 1, atLeast: 0 }, ')'],
      },
      {
        name: 'normalize',
        argNames: ['source_str', 'target_str'],
        argKinds: ['sourceString', 'targetString'],
        template: ['normalize(source_str="', { arg: 0 }, '", target_str="', { arg: 1 }, '")'],
      },
    ],
    wholePrograms: ['keep_chunk()'],
    documentAnswers: ['keep_doc()', 'drop_doc()'],
    separator: '\n',
    stringQuote: '"',
    stringExcludes: ['"', '\\', '\n'],
    lineBase: 0,
    maxOps: GRAMMAR_MAX_OPS,
    deletionOnly,
  } satisfies Grammar);
}
