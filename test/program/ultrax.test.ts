/**
 * The UltraX dialect end to end: windows with one owner for every line, and each defect that was found in the published
 * executor shown to be absent here.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { execute } from '../../src/program/execute.ts';
import type { WindowProgram } from '../../src/program/types.ts';
import { programs, texts } from './arbitraries.ts';

const WORDS = Array.from({ length: 20 }, (_, index) => `word${index}`).join(' ');
const run = (text: string, program: string | readonly WindowProgram[]) =>
  execute(text, program, { dialect: 'ultrax', maxGrowthRatio: 2 });

describe('defects of the published executor', () => {
  test.each(['\u2028', '\f', '\u0085', '\v', '\u001c', '\u2029'])(
    'a line is one line for prompt and execution: %j does not end it',
    (separator) => {
      // Was: numbered by split("\n"), executed by splitlines(): "sub" went, the menu stayed.
      const text = `title${separator}sub\nnav | menu\n${WORDS}\nfooter`;
      expect(run(text, 'remove_lines(2, 2)').text).toBe(`title${separator}sub\n${WORDS}\nfooter`);
    },
  );

  test('blank lines survive an edit', () => {
    // Was: any edit collapsed runs of line feeds and stripped the ends.
    const text = `\n${WORDS}\n\n\np2 p2\nnav\n`;
    expect(run(text, 'remove_lines(6, 6)').text).toBe(`\n${WORDS}\n\n\np2 p2\n`);
  });

  test('remove_all() counts beside other ops, and contradicts keep_all()', () => {
    // Was: ignored unless it stood alone.
    const beside = run(
      `a\nb\n${WORDS}`,
      "remove_lines(1, 1)\nremove_all()\nreplace_str(2, 'b', '')",
    );
    expect(beside).toMatchObject({ status: 'dropped', text: '' });
    expect(beside.ops[2]!.skipped).toBe('overlap');
    expect(run(WORDS, 'keep_all()\nremove_all()').reason).toBe('contradiction');
  });

  test('lines beyond the document are refused', () => {
    // Was: no bounds check where a document had one window.
    const text = `a\n${WORDS}`;
    for (const call of ['remove_lines(2, 3)', "replace_str(3, 'a', '')", "add_line(3, 1, 'x')"]) {
      expect(run(text, call).ops[0]!.skipped, call).toBe('out_of_window');
    }
    expect(run(text, "add_line(2, 1, 'x')").text).toBe(`${text}\nx`);
  });

  test('strings are data', () => {
    // Was: a Python function made from the ops, run with exec().
    const source = String.raw`'); import os; os.system("id") # \ %s {0}`;
    const escaped = source.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`);
    const program = `replace_str(1, '${escaped}', '')`;
    expect(run(`x ${source} ${WORDS}`, program).text).toBe(`x  ${WORDS}`);
  });

  test('several replacements of one line act on its original text, the first one wins', () => {
    // Was: merged by a diff of old and new that trimmed whatever overlapped.
    const program =
      "replace_str(1, 'one two', 'ONE')\nreplace_str(1, 'two three', '')\nreplace_str(1, 'four', '4')";
    const outcome = run(`one two three four ${WORDS}`, program);
    expect(outcome.text).toBe(`ONE three 4 ${WORDS}`);
    expect(outcome.ops.map(({ skipped }) => skipped)).toEqual([null, 'overlap', null]);
  });

  test('a string must occur once, overlaps included', () => {
    // Python's str.count() sees "aa" once in "aaa".
    expect(run(`aaa ${WORDS}`, "replace_str(1, 'aa', '')").ops[0]!.skipped).toBe('not_unique');
    expect(run(`aa ${WORDS}`, "replace_str(1, 'aa', '')").text).toBe(` ${WORDS}`);
    // Once in the line is enough, whatever other lines hold.
    expect(run(`aa x\naa ${WORDS}`, "replace_str(1, 'aa ', '')").text).toBe(`x\naa ${WORDS}`);
  });
});

describe('windows with lines of another', () => {
  const lines = Array.from({ length: 12 }, (_, index) => `line ${index} ${WORDS}`);
  const text = lines.join('\n');
  const without = (...gone: number[]) => lines.filter((_, at) => !gone.includes(at)).join('\n');
  const second = (program: string): WindowProgram[] => [
    { lineStart: 0, lineEnd: 8, program: 'keep_all()' },
    { lineStart: 5, ownStart: 8, lineEnd: 12, program },
  ];

  test('decide about their own only', () => {
    const outcome = run(text, second('remove_lines(6, 6)\nremove_lines(10, 10)'));
    expect(outcome).toMatchObject({ status: 'edited', reason: 'edited', text: without(9) });
    expect(outcome.ops[1]).toMatchObject({ op: 'remove_lines', skipped: 'not_owned', count: 0 });
  });

  test('a removal that reaches over the border is cut there', () => {
    const outcome = run(text, second('remove_lines(7, 9)'));
    expect(outcome.text).toBe(without(8));
    expect(outcome.ops[1]).toMatchObject({ lineStart: 8, lineEnd: 9, count: 1 });
  });

  test('remove_all() removes what they own; replacements and additions elsewhere are left out', () => {
    expect(run(text, second('remove_all()')).text).toBe(without(8, 9, 10, 11));
    const calls = "replace_str(8, 'line', '')\nadd_line(8, 1, 'x')\nadd_line(9, 1, 'y')";
    const outcome = run(text, second(calls));
    expect(outcome.ops.map(({ skipped }) => skipped)).toEqual([
      null,
      'not_owned',
      'not_owned',
      null,
    ]);
    expect(outcome.text).toBe([...lines.slice(0, 9), 'y', ...lines.slice(9)].join('\n'));
  });

  test('ops left out are no errors, lines that were not shown are', () => {
    const many = Array.from({ length: 3 }, (_, at) => `remove_lines(${at + 6}, ${at + 6})`);
    expect(run(text, second(`${many.join('\n')}\nremove_lines(12, 12)`)).text).toBe(without(11));
    expect(run(text, second('remove_lines(1, 1)\nremove_lines(2, 2)')).reason).toBe(
      'too_many_errors',
    );
  });

  test('a line has one owner', () => {
    for (const ownStart of [4, 7, 12, 13]) {
      const windows = [
        { lineStart: 0, lineEnd: 8, program: 'keep_all()' },
        { lineStart: 5, ownStart, lineEnd: 12, program: 'remove_all()' },
      ];
      expect(run(text, windows), String(ownStart)).toMatchObject({ reason: 'window_invalid' });
    }
  });

  test('say what the same programs say without the context, as far as own lines go', () => {
    fc.assert(
      fc.property(
        texts,
        programs('ultrax'),
        fc.integer({ min: 1, max: 4 }),
        (some, program, at) => {
          const nLines = some.split('\n').length;
          if (at >= nLines) return;
          const shown = execute(some, [{ lineStart: 0, ownStart: at, lineEnd: nLines, program }], {
            dialect: 'ultrax',
          });
          const before = some.split('\n').slice(0, at);
          if (shown.status === 'edited') {
            expect(shown.text.split('\n').slice(0, at)).toEqual(before);
          }
        },
      ),
    );
  });
});
