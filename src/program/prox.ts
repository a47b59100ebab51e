/**
 * The dialect of ProX (arXiv 2409.17115 §2.2, Table 1): `drop_doc keep_doc remove_lines normalize keep_chunk`.
 *
 * Lines are numbered from 0 over the whole document and shown as `[012]`. Besides the paper's argument names
 * (`line_start`, `line_end`) the short ones are read that the published models emit and that we print.
 */
import type { GrammarOp, GrammarPart, ProgramGrammar } from '../native/grammar.ts';
import {
  checkReplacement,
  constantFunction,
  type Dialect,
  type FunctionSpec,
  GRAMMAR_MAX_OPS,
  GRAMMAR_MAX_TARGET_BYTES,
  type GrammarOptions,
  printRemoval,
  quoteString,
  type RemovalSpelling,
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

const REMOVAL: RemovalSpelling = Object.freeze({
  keep: 'keep_chunk()',
  before: 'remove_lines(start=',
  between: ', end=',
  after: ')',
  startShift: 0,
  endShift: -1,
});

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
  documentAnswers: ['keep_doc()', 'drop_doc()'],
  grammar: makeGrammar(),
  makeGrammar,
  printOp,
  removal: REMOVAL,
});

function printOp(op: Op): string {
  switch (op.op) {
    case 'remove_lines':
      return printRemoval(REMOVAL, op.lineStart, op.lineEnd);
    case 'normalize': {
      const source = quoteString(op.source, '"');
      return `normalize(source_str=${source}, target_str=${quoteString(op.target, '"')})`;
    }
    default:
      return `${op.op}()`;
  }
}

function makeGrammar({
  deletionOnly = true,
  ascending = true,
  ops: offered,
}: GrammarOptions = {}): ProgramGrammar {
  const targetParts: GrammarPart[] = deletionOnly
    ? [{ kind: 'literal', text: '", target_str="")' }]
    : [
        { kind: 'literal', text: '", target_str="' },
        { kind: 'target', quote: '"', maxBytes: GRAMMAR_MAX_TARGET_BYTES },
        { kind: 'literal', text: '")' },
      ];
  const ops: GrammarOp[] = [
    {
      name: 'remove_lines',
      parts: [
        { kind: 'literal', text: 'remove_lines(start=' },
        { kind: 'lineFrom', ascending },
        { kind: 'literal', text: ', end=' },
        { kind: 'lineTo' },
        { kind: 'literal', text: ')' },
      ],
    },
    {
      name: 'normalize',
      parts: [
        { kind: 'literal', text: 'normalize(source_str="' },
        { kind: 'source', scope: 'window', quote: '"' },
        ...targetParts,
      ],
    },
  ];
  return Object.freeze({
    whole: ['keep_chunk()'],
    ops: ops.filter(({ name }) => offered?.includes(name) ?? true),
    separator: '\n',
    maxOps: GRAMMAR_MAX_OPS,
    firstLine: 0,
  } satisfies ProgramGrammar);
}
