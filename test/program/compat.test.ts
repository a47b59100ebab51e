/** The compat executor against what the published ProX executor returned, and its known defects by name. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { execute } from '../../src/program/execute.ts';
import { parsePythonInt } from '../../src/program/python.ts';

const ROOT = join(import.meta.dirname, '../..');
const SHARED = process.env['GRISTMILL_SHARED'] ?? join(ROOT, '../shared');
const GOLDEN = join(SHARED, 'golden/prox-chunk-executor.jsonl.gz');
const SAMPLE = join(import.meta.dirname, 'fixtures/prox-chunk-executor-300.jsonl.gz');

interface GoldenCase {
  readonly text: string;
  readonly program: string;
  /** "" when dropped; null where the published code raises. */
  readonly expected: string | null;
  readonly raises: string | null;
}

function readCases(file: string): GoldenCase[] {
  const lines = gunzipSync(readFileSync(file)).toString('utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as GoldenCase);
}

function checkCase({ text, program, expected, raises }: GoldenCase): void {
  const outcome = execute(text, program, { executor: 'compat' });
  expect(outcome.text, JSON.stringify({ text, program })).toBe(raises ? text : expected);
  if (raises) expect(outcome).toMatchObject({ status: 'failed', reason: 'no_words' });
  else expect(outcome.status === 'dropped').toBe(expected === '');
  if (outcome.status === 'edited') {
    const removed = outcome.ops.reduce((sum, op) => sum + op.bytesRemoved, 0);
    expect(removed).toBe(Buffer.byteLength(text) - Buffer.byteLength(outcome.text));
  }
}

test('300 golden cases', () => {
  const cases = readCases(SAMPLE);
  expect(cases).toHaveLength(300);
  for (const one of cases) checkCase(one);
});

const full = existsSync(GOLDEN);
if (!full) console.warn(`skipped: 4,000 golden cases; missing ${GOLDEN} (set GRISTMILL_SHARED)`);

test.runIf(full)('all 4,000 golden cases', () => {
  const cases = readCases(GOLDEN);
  expect(cases).toHaveLength(4000);
  for (const one of cases) checkCase(one);
});

describe('published defects are kept', () => {
  const w = 'one two three four five six seven eight nine ten eleven twelve';
  const text = `Home | About\n${w} one.\n${w} two.\n${w} three.\n(c) 2020 Foo (bar) http://x.com/?q=1&r=2 end\nShare, Like`;
  const lines = text.split('\n');
  const run = (program: string) => execute(text, program, { executor: 'compat' });

  test('B2: an argument ends at its second equals sign', () => {
    const outcome = run('normalize(source_str="http://x.com/?q=1&r=2", target_str="")');
    expect(outcome.text).toBe(text.replace('http://x.com/?q', ''));
  });

  test('B3: the first closing bracket ends the arguments', () => {
    const outcome = run('normalize(source_str="(c) 2020 Foo", target_str="")');
    expect(outcome.text).toBe(text.replace('(c', ''));
  });

  test('B4: a comma in a string makes the op void, without an error', () => {
    expect(run('normalize(source_str="Share, Like", target_str="")')).toMatchObject({
      status: 'kept',
    });
  });

  test('B14: argument names are ignored', () => {
    expect(run('remove_lines(end=0, start=1)').text).toBe(lines.slice(2).join('\n'));
  });

  test('B16: a truncated number is cut by one more digit and executed', () => {
    expect(run('remove_lines(start=1, end=12').text).toBe([lines[0], ...lines.slice(2)].join('\n'));
  });

  test('B16: what is cut is a code point, not half of one', () => {
    expect(run('normalize(source_str="Home😀').text).toBe(text.replace('Home', ''));
  });

  test('B17, B18: two errors anywhere void the whole program', () => {
    const program =
      'remove_lines(start=0, end=0)\nremove_lines(start=50, end=60)\nremove_lines(start=70, end=71)';
    expect(run(program)).toMatchObject({ status: 'failed', reason: 'too_many_errors', text });
  });

  test('B21: remove_lines(all=True) of one window drops the document', () => {
    const outcome = execute(
      text,
      [
        { lineStart: 0, lineEnd: 1, program: 'remove_lines(all=True)' },
        { lineStart: 1, lineEnd: 6, program: 'keep_chunk()' },
      ],
      { executor: 'compat' },
    );
    expect(outcome).toMatchObject({ status: 'dropped', text: '' });
  });

  test('B23: ten words or less are dropped, whatever the program says', () => {
    const outcome = execute('only nine words', 'keep_chunk()', { executor: 'compat' });
    expect(outcome).toMatchObject({ status: 'dropped', reason: 'too_few_words' });
  });

  test('B26: huge ranges cost nothing and remove what they cover', () => {
    expect(run('remove_lines(start=4, end=999999999999999999999)').text).toBe(
      lines.slice(0, 4).join('\n'),
    );
  });

  test('B27: replacements chain', () => {
    const chained = execute(
      `aaa bbb ${w}`,
      'normalize(source_str="aaa", target_str="bbb")\nnormalize(source_str="bbb", target_str="ccc")',
      { executor: 'compat' },
    );
    expect(chained.text).toBe(`ccc ccc ${w}`);
  });

  test('B1: a text without a word comes back, where Python divides by zero', () => {
    for (const blank of ['', ' \n\t\n', '\u3000\u0085']) {
      const outcome = execute(blank, 'remove_lines(0=0, 0=0)', { executor: 'compat' });
      expect(outcome).toMatchObject({ status: 'failed', reason: 'no_words', text: blank });
    }
  });

  test('a program that doubles the text for ever is given up', () => {
    const program = Array.from(
      { length: 60 },
      () => 'normalize(source_str="o", target_str="oo")',
    ).join('\n');
    expect(run(program)).toMatchObject({ status: 'failed', reason: 'text_grew', text });
  });
});

describe("Python's int()", () => {
  test.each([
    ['12', 12],
    [' \t12\r', 12],
    ['+1_0', 10],
    ['-007', -7],
    ['１２', 12],
    ['٣', 3],
    ['𝟓', 5],
    ['\u30003\u0085', 3],
    ['99999999999999999999', 99999999999999999999n],
    ['', null],
    ['1__0', null],
    ['_1', null],
    ['1_', null],
    ['+ 1', null],
    ['0x1', null],
    ['1.0', null],
    ['²', null],
    ['\u001c1', null],
    ['1'.repeat(4301), null],
  ])('%j', (text, expected) => {
    expect(parsePythonInt(text)).toBe(expected);
  });
});
