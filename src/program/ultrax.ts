/**
 * The dialect of UltraX (arXiv 2607.08646): `keep_all remove_all remove_lines replace_str add_line`.
 *
 * Lines are numbered from 1 over the whole document and shown as `<lid:12>`. `replace_str` acts only where
 * the old string occurs exactly once in its line. `add_line(base, sub_idx, content)` puts a line after line
 * `base` (0: before the first); `sub_idx` orders the lines added at one place.
 */
import {
  checkReplacement,
  constantFunction,
  type Dialect,
  type FunctionSpec,
  GRAMMAR_MAX_OPS,
  type Grammar,
  type GrammarAlternative,
  type GrammarOptions,
  quoteString,
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
  grammar: makeGrammar(),
  makeGrammar,
  printOp,
});

function printOp(op: Op): string {
  switch (op.op) {
    case 'remove_lines':
      return `remove_lines(${op.lineStart + 1}, ${op.lineEnd})`;
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

function makeGrammar({ deletionOnly = true }: GrammarOptions = {}): Grammar {
  const alternatives: GrammarAlternative[] = [
    {
      name: 'remove_lines',
      argNames: ['start', 'end'],
      argKinds: ['lineNumber', 'lineNumber'],
      template: ['remove_lines(', { arg: 0 }, ', ', { arg: 1, atLeast: 0 }, ')'],
    },
    {
      name: 'replace_str',
      argNames: ['line', 'old', 'new'],
      argKinds: ['lineNumber', 'sourceString', 'targetString'],
      template: ['replace_str(', { arg: 0 }, ", '", { arg: 1 }, "', '", { arg: 2 }, "')"],
    },
  ];
  if (!deletionOnly) {
    alternatives.push({
      name: 'add_line',
      argNames: ['base', 'sub_idx', 'content'],
      argKinds: ['lineNumber', 'ordinal', 'targetString'],
      template: ['add_line(', { arg: 0 }, ', ', { arg: 1 }, ", '", { arg: 2 }, "')"],
    });
  }
  return Object.freeze({
    alternatives,
    wholePrograms: ['keep_all()', 'remove_all()'],
    documentAnswers: [],
    separator: '\n',
    stringQuote: "'",
    stringExcludes: ["'", '\\', '\n'],
    lineBase: 1,
    maxOps: GRAMMAR_MAX_OPS,
    deletionOnly,
  } satisfies Grammar);
}
