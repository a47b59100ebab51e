/**
 * The dialect of UltraX (arXiv 2607.08646): `keep_all remove_all remove_lines replace_str add_line`.
 *
 * Lines are numbered from 1 over the whole document and shown as `<lid:12>`. `replace_str` acts only where
 * the old string occurs exactly once in its line. `add_line(base, sub_idx, content)` puts a line after line
 * `base` (0: before the first); `sub_idx` orders the lines added at one place.
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

const removeLines: FunctionSpec = {
  parameters: [
    { names: ['start', 'a'], type: 'line' },
    { names: ['end', 'b'], type: 'line' },
  ],
  build([first, last]) {
    if ((first as number) > (last as number)) return 'reversed_range';
    return { op: 'remove_lines', lineStart: first as number, lineEnd: (last as number) + 1 };
  },
};

const replaceStr: FunctionSpec = {
  parameters: [
    { names: ['line'], type: 'line' },
    { names: ['old'], type: 'string' },
    { names: ['new'], type: 'string' },
  ],
  build([line, source, target]) {
    const replacement = { source: source as string, target: target as string };
    const problem = checkReplacement(replacement.source, replacement.target);
    return problem ?? { op: 'replace_str', line: line as number, ...replacement };
  },
};

const addLine: FunctionSpec = {
  parameters: [
    // Not a `line`: base 0 names the place before the first line.
    { names: ['base'], type: 'number' },
    { names: ['sub_idx'], type: 'number' },
    { names: ['content'], type: 'string' },
  ],
  build([base, subIndex, content]) {
    if ((content as string).includes('\n')) return 'line_break';
    return {
      op: 'add_line',
      line: base as number,
      subIndex: subIndex as number,
      content: content as string,
    };
  },
};

const REMOVAL: RemovalSpelling = Object.freeze({
  keep: 'keep_all()',
  before: 'remove_lines(',
  between: ', ',
  after: ')',
  startShift: 1,
  endShift: 0,
});

/** The UltraX dialect. */
export const ultrax: Dialect = Object.freeze({
  name: 'ultrax',
  lineBase: 1,
  windowPrefix: '',
  windowSuffix: '',
  lineMarker: (line: number) => `<lid:${line + 1}>`,
  functions: new Map([
    ['keep_all', constantFunction({ op: 'keep_all' })],
    ['remove_all', constantFunction({ op: 'remove_all' })],
    ['remove_lines', removeLines],
    ['replace_str', replaceStr],
    ['add_line', addLine],
  ]),
  documentAnswers: [],
  grammar: makeGrammar(),
  makeGrammar,
  printOp,
  removal: REMOVAL,
});

function printOp(op: Op): string {
  switch (op.op) {
    case 'remove_lines':
      return printRemoval(REMOVAL, op.lineStart, op.lineEnd);
    case 'replace_str': {
      const source = quoteString(op.source, "'");
      return `replace_str(${op.line + 1}, ${source}, ${quoteString(op.target, "'")})`;
    }
    case 'add_line':
      return `add_line(${op.line}, ${op.subIndex}, ${quoteString(op.content, "'")})`;
    default:
      return `${op.op}()`;
  }
}

function makeGrammar({
  deletionOnly = true,
  ascending = true,
  ops: offered,
}: GrammarOptions = {}): ProgramGrammar {
  const target: GrammarPart = {
    kind: 'target',
    quote: "'",
    maxBytes: GRAMMAR_MAX_TARGET_BYTES,
  };
  const targetParts: GrammarPart[] = deletionOnly
    ? [{ kind: 'literal', text: "', '')" }]
    : [{ kind: 'literal', text: "', '" }, target, { kind: 'literal', text: "')" }];
  const ops: GrammarOp[] = [
    {
      name: 'remove_lines',
      parts: [
        { kind: 'literal', text: 'remove_lines(' },
        { kind: 'lineFrom', ascending },
        { kind: 'literal', text: ', ' },
        { kind: 'lineTo' },
        { kind: 'literal', text: ')' },
      ],
    },
    {
      name: 'replace_str',
      parts: [
        { kind: 'literal', text: 'replace_str(' },
        { kind: 'lineFrom' },
        { kind: 'literal', text: ", '" },
        { kind: 'source', scope: 'line', quote: "'" },
        ...targetParts,
      ],
    },
  ];
  if (!deletionOnly) {
    ops.push({
      name: 'add_line',
      parts: [
        { kind: 'literal', text: 'add_line(' },
        { kind: 'lineFrom' },
        // Lines added at one place keep the order of the program, so one sub-index is enough.
        { kind: 'literal', text: ", 1, '" },
        target,
        { kind: 'literal', text: "')" },
      ],
    });
  }
  return Object.freeze({
    whole: ['keep_all()', 'remove_all()'],
    ops: ops.filter(({ name }) => offered?.includes(name) ?? true),
    separator: '\n',
    maxOps: GRAMMAR_MAX_OPS,
    firstLine: 1,
  } satisfies ProgramGrammar);
}
