/**
 * Texts and programs for property tests: small alphabets, so that programs hit what is there.
 */
import fc from 'fast-check';
import { print } from '../../src/program/parse.ts';
import type { DialectName, Op, WindowProgram } from '../../src/program/types.ts';

/** Pieces that lines and needles are made of: multibyte, CR, U+2028, quotes, what looks like syntax. */
const PIECES = [
  'a', 'b', 'aa', 'ab', ' ', '  ', 'é', '页面', '导航', 'ไทยไทย', '😀', '\r', '\u2028', '\u00a0', '"', "'",
  '\\', '(c)', 'q=1', ', ', '\t', '[000]', '#', '\ufeff', 'e\u0301',
]; // biome-ignore format: a table

const piece = fc.constantFrom(...PIECES);
const line = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));

/** Texts with empty lines, with and without a line feed at the end. */
export const texts = fc
  .array(line, { minLength: 1, maxLength: 10 })
  .map((lines) => lines.join('\n'));

/** Non-blank strings without a line feed. */
export const needles = fc
  .array(piece, { minLength: 1, maxLength: 3 })
  .map((pieces) => pieces.join(''))
  .filter((needle) => needle.trim() !== '');

const contents = fc.array(piece, { maxLength: 3 }).map((pieces) => pieces.join(''));
const lineNumber = fc.integer({ min: 0, max: 11 });

const removeLines = fc
  .tuple(lineNumber, fc.integer({ min: 0, max: 3 }))
  .map(
    ([start, more]): Op => ({ op: 'remove_lines', lineStart: start, lineEnd: start + more + 1 }),
  );

/** Valid ops of a dialect. */
export function ops(dialect: DialectName): fc.Arbitrary<Op> {
  if (dialect === 'prox') {
    return fc.oneof(
      { weight: 5, arbitrary: removeLines },
      {
        weight: 5,
        arbitrary: fc.record({
          op: fc.constant('normalize' as const),
          source: needles,
          target: fc.oneof(fc.constant(''), contents),
        }),
      },
      { weight: 1, arbitrary: fc.constantFrom<Op>({ op: 'keep_chunk' }, { op: 'drop_chunk' }) },
      { weight: 1, arbitrary: fc.constantFrom<Op>({ op: 'keep_doc' }, { op: 'drop_doc' }) },
    );
  }
  return fc.oneof(
    { weight: 5, arbitrary: removeLines },
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant('replace_str' as const),
        line: lineNumber,
        source: needles,
        target: fc.oneof(fc.constant(''), contents),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constant('add_line' as const),
        line: lineNumber,
        subIndex: fc.integer({ min: 0, max: 2 }),
        content: contents,
      }),
    },
    { weight: 1, arbitrary: fc.constantFrom<Op>({ op: 'keep_all' }, { op: 'remove_all' }) },
  );
}

/** Calls that are not well formed, or only nearly. */
const oddities = fc.constantFrom(
  'remove_lines(start=1, end',
  'remove_lines(start=0, end=99)',
  'remove_lines(end=0, start=3)',
  'remove_lines(-1, 2)',
  "remove_lines(start='0', end=1)",
  'remove_lines(foo=0, bar=1)',
  'normalize("a")',
  "normalize('a', '')",
  'normalize(source_str="")',
  'normalize(source_str=" ")',
  'normalize(source_str="a\nb")',
  'normalize(source_str="a", target_str="aaaaaaaa")',
  'untouch_doc()',
  'garbage here',
  '# a comment',
  '',
  '  remove_lines(0, 0)  # why',
  "replace_str(1, 'a', '')",
  'remove_lines(1, 1); remove_lines(2, 2)',
);

/** Programs: mostly well formed, with an oddity or a cut now and then. */
export function programs(dialect: DialectName): fc.Arbitrary<string> {
  const call = fc.oneof(
    { weight: 6, arbitrary: ops(dialect).map((op) => print([op], dialect)) },
    { weight: 1, arbitrary: oddities },
  );
  const program = fc.array(call, { maxLength: 6 }).map((calls) => calls.join('\n'));
  return fc
    .tuple(program, fc.integer({ min: 0, max: 40 }))
    .map(([whole, cut]) => (cut < 8 ? whole.slice(0, Math.max(0, whole.length - cut)) : whole));
}

/** Windows in order with their programs, some with lines of the one before; now and then beyond the last line. */
export function windows(dialect: DialectName): fc.Arbitrary<WindowProgram[]> {
  const step = fc.tuple(
    fc.constantFrom(0, 0, 0, 1),
    fc.integer({ min: 1, max: 6 }),
    programs(dialect),
    fc.constantFrom(0, 0, 1, 2),
  );
  return fc.array(step, { minLength: 1, maxLength: 3 }).map((steps) => {
    let end = 0;
    return steps.map(([gap, length, program, nShown]) => {
      const ownStart = end + gap;
      const lineStart = Math.max(0, ownStart - nShown);
      end = ownStart + length;
      return { lineStart, ...(nShown > 0 && { ownStart }), lineEnd: end, program };
    });
  });
}
