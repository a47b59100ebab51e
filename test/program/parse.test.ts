/** Scanner, parser and printer: round trips, spellings, and programs that are no programs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DIALECTS } from '../../src/program/dialects.ts';
import { execute } from '../../src/program/execute.ts';
import { EXECUTE_DEFAULTS } from '../../src/program/options.ts';
import { parse, print } from '../../src/program/parse.ts';
import { OP_REASONS } from '../../src/program/reasons.ts';
import { ops, programs } from './arbitraries.ts';

const DIALECT_NAMES = ['prox', 'ultrax'] as const;

describe('print', () => {
  test.each(DIALECT_NAMES)('%s: parse after print is the identity on ops', (dialect) => {
    fc.assert(
      fc.property(fc.array(ops(dialect), { maxLength: 8 }), (list) => {
        const { statements } = parse(print(list, dialect), dialect);
        expect(statements.map(({ op }) => op)).toEqual(list);
      }),
      { numRuns: 2000 },
    );
  });

  test.each(DIALECT_NAMES)('%s: print after parse is canonical', (dialect) => {
    fc.assert(
      fc.property(programs(dialect), (program) => {
        const first = parse(program, dialect).statements.flatMap(({ op }) => (op ? [op] : []));
        const again = parse(print(first, dialect), dialect).statements;
        expect(again.map(({ op }) => op)).toEqual(first);
      }),
      { numRuns: 2000 },
    );
  });

  test('any string without a line feed survives as an argument', () => {
    const strings = fc
      .string({ unit: 'grapheme' })
      .filter((text) => text.trim() !== '' && !text.includes('\n'));
    fc.assert(
      fc.property(strings, strings, (source, target) => {
        const op = { op: 'normalize', source, target } as const;
        expect(parse(print([op])).statements).toMatchObject([{ op }]);
      }),
    );
  });

  test('spells ops as the published models do', () => {
    const program = [
      'remove_lines(start=10, end=12)',
      'normalize(source_str="say \\"hi\\"", target_str="")',
      'keep_chunk()',
    ].join('\n');
    expect(print(parse(program).statements.map(({ op }) => op!))).toBe(program);
  });
});

describe('parse', () => {
  const removal = { op: 'remove_lines', lineStart: 1, lineEnd: 3 };

  test.each([
    'remove_lines(line_start=1, line_end=2)',
    'remove_lines(start=1, end=2)',
    'remove_lines(end=2, start=1)',
    'remove_lines(1, 2)',
    'remove_lines(1,2,)',
    'remove_lines(1, end=2)',
    '\t remove_lines ( start = 1 , end = 2 ) # why\r',
    'remove_lines(01, 0002);',
  ])('%j', (program) => {
    expect(parse(program).statements.map(({ op }) => op)).toEqual([removal]);
  });

  test.each([
    ['remove_lines(foo=1, bar=2)', 'unknown_argument'],
    ['remove_lines(1, 2, 3)', 'wrong_type'],
    ['remove_lines(1, 2, True, 4)', 'extra_argument'],
    ['remove_lines(start=1, line_start=1, end=2)', 'duplicate_argument'],
    ['remove_lines(start=1)', 'missing_argument'],
    ['remove_lines(start="1", end=2)', 'wrong_type'],
    ['remove_lines(-1, 2)', 'bad_number'],
    ['remove_lines(0, 99999999999999999999)', 'bad_number'],
    ['remove_lines(2, 1)', 'reversed_range'],
    ['remove_lines(all=True, start=1)', 'extra_argument'],
    ['remove_lines_now(1, 2)', 'unknown_function'],
    ['remove_lines 1, 2', 'syntax'],
    ['remove_lines(1 2)', 'syntax'],
    ['remove_lines(1, 2) and so on', 'syntax'],
    ['normalize(1)', 'wrong_type'],
    ['normalize("a\\nb")', 'line_break'],
    ['normalize("a', 'truncated'],
    ['normalize("a\nkeep_chunk()', 'syntax'],
    ['normalize("\\ud800")', 'bad_string'],
    [`normalize("${'x'.repeat(EXECUTE_DEFAULTS.maxArgumentChars + 1)}")`, 'argument_too_long'],
    ['drop', 'truncated'],
    ['drop it', 'unknown_function'],
    ['(', 'syntax'],
    ['"x"', 'syntax'],
    ['1', 'syntax'],
  ])('%j: %s', (program, problem) => {
    expect(parse(program).statements[0]).toMatchObject({ op: null, problem });
  });

  test('a malformed call costs its line only', () => {
    const { statements } = parse(
      'remove_lines(1 2)\nnormalize("a\nremove_lines(1, 2)\n??\nkeep_doc()',
    );
    expect(statements.map(({ op, problem }) => op?.op ?? problem)).toEqual([
      'syntax',
      'syntax',
      'remove_lines',
      'syntax',
      'keep_doc',
    ]);
  });

  test('escapes', () => {
    const { statements } = parse(String.raw`normalize('a\'b\"\\\t\x41\u00e9\d', "")`);
    expect(statements[0]!.op).toMatchObject({ source: 'a\'b"\\\tAé\\d' });
  });
});

describe('anything as a program', () => {
  const bytes = fc
    .uint8Array({ maxLength: 400 })
    .map((data) => Buffer.from(data).toString('latin1'));
  const soup = fc
    .array(
      fc.constantFrom(
        'remove_lines',
        'normalize',
        '(',
        ')',
        ',',
        '=',
        '"',
        "'",
        '\\',
        '\n',
        '1',
        '-',
        'a',
        ' ',
        '#',
        ';',
        '\ud800',
      ),
      { maxLength: 60 },
    )
    .map((tokens) => tokens.join(''));

  test.each(DIALECT_NAMES)('%s: never throws, every problem has a code', (dialect) => {
    fc.assert(
      fc.property(fc.oneof(bytes, soup), (program) => {
        for (const { op, problem } of parse(program, dialect).statements) {
          if (op === null) expect(OP_REASONS).toHaveProperty(problem!);
          else expect(problem).toBeNull();
        }
        const text = 'a b\nc d\n1 2';
        for (const executor of dialect === 'prox'
          ? (['strict', 'compat'] as const)
          : (['strict'] as const)) {
          const outcome = execute(text, program, { dialect, executor });
          if (outcome.status === 'kept' || outcome.status === 'failed')
            expect(outcome.text).toBe(text);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('the cost is bounded by the size of text and program', () => {
    const text = `${'a'.repeat(200)}\n`.repeat(1000);
    const hostile = [
      'remove_lines(start=0, end=999999999)',
      'remove_lines(0, 999)\n'.repeat(20_000),
      Array.from({ length: 20_000 }, (_, line) => `remove_lines(${line}, ${line})`).join('\n'),
      Array.from({ length: 256 }, (_, index) => `normalize("${'a'.repeat(index + 1)}", "b")`).join(
        '\n',
      ),
      '('.repeat(1_000_000),
      '"'.repeat(1_000_001),
      'normalize("a", "aaaaaaaaaaaaaaaa")\n'.repeat(40),
    ];
    const started = performance.now();
    for (const program of hostile) {
      for (const executor of ['strict', 'compat'] as const) execute(text, program, { executor });
    }
    // Quadratic work on these sizes takes minutes; the bound leaves room for a busy machine.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

test('grammars spell programs that parse', () => {
  for (const dialect of DIALECT_NAMES) {
    for (const deletionOnly of [true, false]) {
      const grammar = DIALECTS[dialect].makeGrammar({ deletionOnly });
      const calls = grammar.ops.map(({ parts }) =>
        parts
          .map((part) => {
            if (part.kind === 'literal') return part.text;
            return part.kind === 'source' || part.kind === 'target' ? 'x=(y), z' : '3';
          })
          .join(''),
      );
      for (const program of [...grammar.whole, calls.join(grammar.separator)]) {
        expect(parse(program, dialect).statements.map(({ problem }) => problem)).not.toContainEqual(
          expect.any(String),
        );
      }
      expect(calls.some((call) => call.includes('add_line'))).toBe(
        dialect === 'ultrax' && !deletionOnly,
      );
    }
  }
});
