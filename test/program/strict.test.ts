/** The strict executor: held against the naive oracle, and the sentences of its contract one by one. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execute } from '../../src/program/execute.ts';
import { executeNaively } from '../../src/program/naive.ts';
import { type ExecuteOptions, resolveOptions } from '../../src/program/options.ts';
import type { DialectName } from '../../src/program/types.ts';
import { programs, texts, windows } from './arbitraries.ts';

const RUNS = 1500;
const WORDS = Array.from({ length: 20 }, (_, index) => `word${index}`).join(' ');

const optionSets: fc.Arbitrary<ExecuteOptions> = fc.record({
  maxErrors: fc.constantFrom(0, 1, 3),
  maxRepeats: fc.constantFrom(1, 3),
  maxOps: fc.constantFrom(3, 256),
  minKeptRatio: fc.constantFrom(0, 0.05, 0.5, 0.9),
  minWords: fc.constantFrom(0, 0, 2),
  onOverRemoval: fc.constantFrom('drop' as const, 'keep' as const),
  maxGrowthRatio: fc.constantFrom(1, 1, 1.2, 4),
  maxSameAdds: fc.constantFrom(1, 2),
  maxAddPlaces: fc.constantFrom(1, 3),
  maxSimilarAdds: fc.constantFrom(1, 3),
  addSimilarity: fc.constantFrom(0.5, 0.85),
  maxSameReplaces: fc.constantFrom(1, 2, 30),
  legitReplaceRatio: fc.constantFrom(0.8, 1.5),
});

describe('against the naive oracle', () => {
  test.each(['prox', 'ultrax'] as const)('%s: whole documents', (dialect: DialectName) => {
    fc.assert(
      fc.property(texts, programs(dialect), optionSets, (text, program, some) => {
        const options = { ...some, dialect };
        const expected = executeNaively(text, program, resolveOptions(options));
        expect(execute(text, program, options)).toEqual(expected);
      }),
      { numRuns: RUNS },
    );
  });

  test.each(['prox', 'ultrax'] as const)('%s: windows', (dialect: DialectName) => {
    fc.assert(
      fc.property(texts, windows(dialect), optionSets, (text, program, some) => {
        const options = { ...some, dialect };
        const expected = executeNaively(text, program, resolveOptions(options));
        expect(execute(text, program, options)).toEqual(expected);
      }),
      { numRuns: RUNS },
    );
  });

  test('sizes add up: what the ops removed is what is missing', () => {
    fc.assert(
      fc.property(texts, windows('ultrax'), (text, program) => {
        const options = { dialect: 'ultrax', minKeptRatio: 0, maxGrowthRatio: 3 } as const;
        const { status, ops, text: output } = execute(text, program, options);
        const removed = ops.reduce((sum, op) => sum + op.bytesRemoved, 0);
        if (status === 'kept') expect(output).toBe(text);
        else if (status === 'failed') expect(output).toBe(text);
        else if (status === 'edited') {
          expect(Buffer.byteLength(output)).toBe(Buffer.byteLength(text) - removed);
        }
      }),
      { numRuns: RUNS },
    );
  });
});

describe('reasons', () => {
  const page = `Home\n${WORDS}`;

  // They were `no_effect`, which says that the program is well formed.
  test.each([
    'delete_everything(now)',
    'remove_lines(start=0.0, end=0)',
    'keep_chunk()\nremove_lines(7, 7)',
    'normalize("absent", "")\nremove_li',
    'normalize("absent", "")\nnormalize("Home", "Homes")',
  ])('ops that were refused are told from ops without effect: %s', (program) => {
    const outcome = execute(page, program);
    expect(outcome).toMatchObject({ status: 'kept', reason: 'ops_refused', text: page });
    expect(execute(page, program, { executor: 'compat' }).reason).not.toBe('ops_refused');
  });

  test('a refusal is forgotten with its document', () => {
    const pages = [
      execute(page, 'normalize("Home", "Homes")'),
      execute(page, 'keep_chunk()'),
      execute(page, 'normalize("absent", "")'),
    ];
    expect(pages.map(({ reason }) => reason)).toEqual(['ops_refused', 'keep', 'no_effect']);
  });

  // It was `edited`, with an empty text.
  test.each([
    ['\n', 'remove_lines(0, 0)'],
    [' \n\t\n', 'remove_lines(0, 1)'],
    ['\u3000\n\n ', 'remove_lines(1, 1)'],
  ])('a text without a word that loses lines is dropped: %j', (text, program) => {
    const outcome = execute(text, program);
    expect(outcome).toMatchObject({ status: 'dropped', reason: 'all_removed', text: '' });
    expect(execute(text, 'keep_doc()')).toMatchObject({ status: 'kept', text });
    expect(execute(text, program, { onOverRemoval: 'keep' }).status).toBe('dropped');
  });

  // JS counts U+FEFF as white space, so the mark that most needs removing was `blank_source`.
  test.each(['\ufeff', '\u200b', '\ufeff\ufeff', '\u2060', '\u00ad'])(
    'a mark without a width may be removed: %j',
    (mark) => {
      const outcome = execute(`${mark}${page}`, `normalize(source_str="${mark}", target_str="")`);
      expect(outcome).toMatchObject({ status: 'edited', reason: 'edited', text: page });
    },
  );
  test.each([' ', '\t', '\u3000', '\u00a0 ', '\u2028'])('white space may not: %j', (space) => {
    const outcome = execute(`a${space}${page}`, `normalize(source_str="${space}", target_str="")`);
    expect(outcome.ops[0]!.skipped).toBe('blank_source');
  });

  // The half became U+FFFD in an edited text.
  test('a text with half a surrogate pair is failed, and comes back as it was', () => {
    for (const half of ['half \ud83d pair', 'half \ude00 pair', 'end \ud83d']) {
      const text = `${half}\nHome`;
      const outcome = execute(text, 'remove_lines(start=1, end=1)');
      expect(outcome).toEqual({ text, status: 'failed', reason: 'invalid_utf8', ops: [] });
    }
    expect(execute('whole \ud83d\ude00\nHome', 'remove_lines(1, 1)').text).toBe('whole 😀');
  });
});

describe('options and arguments', () => {
  test.each([
    [[null, 'keep_doc()'], 'text: expected a string, received null'],
    [['x'], 'program: expected a string, or an array'],
    [['x', [{ lineStart: 0 }]], 'program: expected a string, or an array'],
    [
      ['x', '', { maxErors: 1 }],
      'maxErors: expected an option of execute (did you mean maxErrors?)',
    ],
    [
      ['x', '', { maxErrors: '1' }],
      'maxErrors: expected a whole number of at least 0, received "1"',
    ],
    [['x', '', null], 'expected an object of options'],
  ])('are checked: %j', (args, message) => {
    const run = execute as unknown as (...args: unknown[]) => unknown;
    expect(() => run(...args)).toThrow(message);
  });
});

describe('lines', () => {
  const text = `menu\n\n${WORDS}\n\nfooter`;

  test('whole lines go, blank lines stay', () => {
    const outcome = execute(text, 'remove_lines(line_start=0, line_end=0)\nremove_lines(4, 4)');
    expect(outcome).toMatchObject({ status: 'edited', reason: 'edited', text: `\n${WORDS}\n` });
    expect(outcome.ops).toEqual([
      { op: 'remove_lines', lineStart: 0, lineEnd: 1, bytesRemoved: 5, count: 1, skipped: null },
      { op: 'remove_lines', lineStart: 4, lineEnd: 5, bytesRemoved: 7, count: 1, skipped: null },
    ]);
  });

  test('only LF ends a line', () => {
    const odd = `title\u2028sub\r\nnav | menu\n${WORDS}\x0bfooter`;
    const outcome = execute(odd, 'remove_lines(1, 1)');
    expect(outcome.text).toBe(`title\u2028sub\r\n${WORDS}\x0bfooter`);
  });

  test('a range beyond the text is refused, the other ops stand', () => {
    const outcome = execute(text, 'remove_lines(0, 0)\nremove_lines(3, 5)');
    expect(outcome).toMatchObject({ reason: 'edited_partly', text: text.slice(5) });
    expect(outcome.ops[1]).toMatchObject({ skipped: 'out_of_window', count: 0 });
  });

  test('a window cannot touch the lines of another one', () => {
    const outcome = execute(text, [
      { lineStart: 0, lineEnd: 2, program: 'remove_lines(0, 0)\nremove_lines(2, 2)' },
      { lineStart: 2, lineEnd: 5, program: 'remove_lines(4, 4)' },
    ]);
    expect(outcome.text).toBe(`\n${WORDS}\n`);
    expect(outcome.ops[1]!.skipped).toBe('out_of_window');
  });

  test('drop_chunk and remove_lines(all=True) stay inside their window', () => {
    for (const program of ['drop_chunk()', 'remove_lines(all=True)', 'drop_doc()']) {
      const outcome = execute(text, [
        { lineStart: 0, lineEnd: 2, program },
        { lineStart: 2, lineEnd: 5, program: 'keep_chunk()' },
      ]);
      expect(outcome).toMatchObject({ status: 'edited', text: `${WORDS}\n\nfooter` });
    }
  });
});

describe('normalize', () => {
  const text = `one share two\nshare this\n${WORDS}`;

  test('replaces in its window only', () => {
    const outcome = execute(text, [
      { lineStart: 0, lineEnd: 1, program: 'normalize(source_str=" share", target_str="")' },
      { lineStart: 1, lineEnd: 3, program: 'keep_chunk()' },
    ]);
    expect(outcome.text).toBe(`one two\nshare this\n${WORDS}`);
  });

  test('is literal: brackets, commas, equals signs, quotes, dollar signs', () => {
    const source = String.raw`(c) "2020", a=b.* $& \n`;
    const program = String.raw`normalize(source_str="(c) \"2020\", a=b.* $& \\n", target_str="$&")`;
    const outcome = execute(`x ${source} y\n${WORDS}`, program);
    expect(outcome.text).toBe(`x $& y\n${WORDS}`);
  });

  test('never chains: every op sees the original lines', () => {
    const program = 'normalize("aaa", "bbb")\nnormalize("bbb", "ccc")';
    expect(execute(`aaa bbb ${WORDS}`, program).text).toBe(`bbb ccc ${WORDS}`);
  });

  test('positional, single-quoted and one-argument forms', () => {
    for (const program of [
      "normalize('one ', '')",
      'normalize("one ")',
      "normalize(source_str='one ')",
    ]) {
      expect(execute(text, program).text).toBe(text.slice(4));
    }
  });

  test('a blank or empty source is refused', () => {
    expect(execute(text, 'normalize(source_str=" ")').ops[0]!.skipped).toBe('blank_source');
    expect(execute(text, 'normalize(source_str="")').ops[0]!.skipped).toBe('empty_source');
  });

  test('multibyte needles match whole characters', () => {
    // é is C3 A9: deleting © (C2 A9) must not touch it
    expect(execute(`é©é ${WORDS}`, 'normalize("©", "")').text).toBe(`éé ${WORDS}`);
  });
});

describe('programs as a whole', () => {
  const text = `menu\nshare\n${WORDS}`;

  test('a truncated last op is dropped alone', () => {
    for (const tail of [
      'remove_lines(start=1, end=1',
      'remove_lines(start=1, en',
      'remo',
      'normalize("sha',
    ]) {
      const outcome = execute(text, `remove_lines(0, 0)\n${tail}`);
      expect(outcome).toMatchObject({
        status: 'edited',
        reason: 'edited_partly',
        text: text.slice(5),
      });
      expect(outcome.ops[1]!.skipped).toBe('truncated');
    }
  });

  test('the error budget counts per window', () => {
    const bad = 'foo()\nbar()';
    const whole = execute(text, `remove_lines(0, 0)\n${bad}`);
    expect(whole).toMatchObject({ status: 'failed', reason: 'too_many_errors', text });
    const windowed = execute(text, [
      { lineStart: 0, lineEnd: 1, program: 'remove_lines(0, 0)' },
      { lineStart: 1, lineEnd: 3, program: `remove_lines(1, 1)\n${bad}` },
    ]);
    expect(windowed).toMatchObject({
      status: 'edited',
      reason: 'edited_partly',
      text: text.slice(5),
    });
    expect(execute(text, `remove_lines(0, 0)\n${bad}`, { maxErrors: 2 }).text).toBe(text.slice(5));
  });

  test('a loop is not executed', () => {
    const program = 'remove_lines(0, 0)\n'.repeat(4);
    expect(execute(text, program)).toMatchObject({
      status: 'failed',
      reason: 'repeated_ops',
      text,
    });
    expect(execute(text, program, { maxRepeats: 4 }).text).toBe(text.slice(5));
  });

  test('keep and drop in one program say nothing', () => {
    const outcome = execute(text, 'keep_chunk()\ndrop_chunk()');
    expect(outcome).toMatchObject({ status: 'failed', reason: 'contradiction', text });
  });

  test.each([
    ['', 'kept', 'no_program'],
    ['keep_chunk()', 'kept', 'keep'],
    ['untouch_doc()', 'kept', 'keep'],
    ['normalize("absent", "")', 'kept', 'no_effect'],
    ['drop_doc()', 'dropped', 'drop_doc'],
    ['remove_lines(0, 2)', 'dropped', 'all_removed'],
    ['remove_lines(2, 2)', 'edited', 'edited'],
    ['remo', 'failed', 'truncated'],
  ])('%j is %s: %s', (program, status, reason) => {
    const outcome = execute(text, program);
    expect(outcome).toMatchObject({ status, reason });
    expect(outcome.text).toBe(
      status === 'dropped' ? '' : status === 'edited' ? 'menu\nshare' : text,
    );
  });

  test('windows that overlap or lie outside are refused', () => {
    const program = 'drop_chunk()';
    for (const [lineStart, lineEnd] of [
      [0, 9],
      [1, 1],
      [-1, 1],
    ] as const) {
      const outcome = execute(text, [{ lineStart, lineEnd, program }]);
      expect(outcome).toMatchObject({ status: 'failed', reason: 'window_invalid', text });
    }
  });
});

describe('guards', () => {
  const long = Array.from({ length: 40 }, (_, index) => `line ${index}`).join('\n');

  test('a document with 5 % of its words or less is dropped, or kept when told so', () => {
    const program = 'remove_lines(2, 39)';
    expect(execute(long, program)).toMatchObject({ status: 'dropped', reason: 'too_much_removed' });
    const kept = execute(long, program, { onOverRemoval: 'keep' });
    expect(kept).toMatchObject({ status: 'failed', reason: 'over_removal', text: long });
    expect(execute(long, 'remove_lines(3, 39)').status).toBe('edited');
    expect(execute(long, program, { minKeptRatio: 0 }).status).toBe('edited');
  });

  test('Chinese and Thai documents count their words', () => {
    // Was a defect of the published executor: one run of characters counted as one word, and was dropped.
    const chinese = '机器学习是人工智能的一个分支它使用统计方法让计算机从数据中学习';
    const text = `${chinese}\n${chinese}\n版权所有`;
    expect(execute(text, 'remove_lines(2, 2)', { minWords: 12 }).status).toBe('edited');
    const thai = 'การเรียนรู้ของเครื่องเป็นสาขาหนึ่งของปัญญาประดิษฐ์';
    expect(execute(`${thai}\nเมนู`, 'remove_lines(1, 1)', { minWords: 6 }).status).toBe('edited');
    expect(execute(`${thai}\nเมนู`, 'remove_lines(1, 1)', { minWords: 60 })).toMatchObject({
      status: 'dropped',
      reason: 'too_few_words',
    });
  });

  test('the text never grows, unless allowed', () => {
    const text = `ab ${WORDS}`;
    const program = 'normalize("ab", "abcdefgh")';
    expect(execute(text, program)).toMatchObject({ status: 'kept', reason: 'ops_refused', text });
    expect(execute(text, program).ops[0]!.skipped).toBe('would_grow');
    expect(execute(text, program, { maxGrowthRatio: 1.1 }).text).toBe(`abcdefgh ${WORDS}`);
    const added = "add_line(1, 1, 'x')";
    expect(execute(text, added, { dialect: 'ultrax' }).status).toBe('kept');
    const grown = execute(text, added, { dialect: 'ultrax', maxGrowthRatio: 2 });
    expect(grown.text).toBe(`${text}\nx`);
  });
});

describe('ultrax', () => {
  const text = `menu\nshare and share\n${WORDS}`;
  const run = (program: string) => execute(text, program, { dialect: 'ultrax', maxGrowthRatio: 2 });

  test('lines count from 1, strings are bound to their line and must be unique', () => {
    expect(run('remove_lines(1, 1)').text).toBe(text.slice(5));
    expect(run("replace_str(2, 'share', '')").ops[0]!.skipped).toBe('not_unique');
    expect(run("replace_str(2, ' and share', '')").text).toBe(`menu\nshare\n${WORDS}`);
    expect(run("replace_str(1, 'share', '')").ops[0]!.skipped).toBe('not_found');
    expect(run('remove_lines(0, 1)').ops[0]!.skipped).toBe('bad_number');
  });

  test('added lines stand after their base, in the order of sub_idx', () => {
    const program = "add_line(1, 2, 'second')\nadd_line(1, 1, 'first')\nadd_line(0, 1, 'top')";
    expect(run(program).text).toBe(`top\nmenu\nfirst\nsecond\nshare and share\n${WORDS}`);
    expect(run("remove_lines(1, 2)\nadd_line(1, 1, 'x')").text).toBe(`x\n${WORDS}`);
  });
});

test('a text without an effective op comes back as the same string', () => {
  const text = `é ${WORDS}`;
  expect(execute(text, 'normalize("absent", "")').text).toBe(text);
  expect(() => execute(text, '', { dialect: 'x' as 'prox' })).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID' }),
  );
  expect(() => execute(text, '', { dialect: 'ultrax', executor: 'compat' })).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID' }),
  );
});
