import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeWindowExamples } from '../../src/annotate/example-file.ts';
import type { WindowExample } from '../../src/annotate/types.ts';
import { run, start } from './support.ts';

let folder: string;
let chunks: string;
let other: string;

const WINDOWS: readonly (readonly [text: string, program: string])[] = [
  [
    'Home | News | Contact\nThe mill was built beside the river and ground the grain of five villages.\nShare this page',
    'remove_lines(start=12, end=12)\nremove_lines(start=14, end=14)',
  ],
  ['It stands to this day, and on Sundays its wheel turns for visitors.', 'keep_chunk()'],
  ['Log in\nRegister\nForgot your password?', 'remove_lines(all=True)'],
];

function example(text: string, program: string, id: number): WindowExample {
  return {
    id: `page-${id}`,
    domain: 'mill.example',
    language: 'en',
    split: 'validation',
    text,
    lineStart: 12,
    lineEnd: 12 + text.split('\n').length,
    dialect: 'prox',
    program,
    refined: '',
    way: 'gold',
    expert: 'hand',
    requests: '',
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-eval-refiner-'));
  chunks = join(folder, 'chunks.parquet');
  other = join(folder, 'other.parquet');
  const examples = WINDOWS.map(([text, program], at) => example(text, program, at));
  await writeWindowExamples(chunks, examples);
  await writeWindowExamples(
    other,
    examples.slice(0, 2).map((row) => ({ ...row, program: 'keep_chunk()' })),
  );
});
afterAll(() => rm(folder, { recursive: true }));

describe('gristmill eval refiner', () => {
  it('prints one JSON object with all measures of the refiner that writes programs', async () => {
    const args = ['eval', 'refiner', '--refiner', 'programs', '--data', chunks, '--threads', '1'];
    const { code, stdout, stderr } = await run([...args, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const result = JSON.parse(stdout.toString());
    expect(result).toMatchObject({
      refiner: 'programs',
      kind: 'language',
      profile: 'default-programs',
      constrained: true,
      nWindows: 3,
      failureRatio: 0,
      lines: { f1: expect.any(Number) },
      newWords: { addedPer1000: 0 },
      byWay: { gold: { nWindows: 3 } },
      byLanguage: { en: { nWindows: 3 } },
      promptTokens: { perWindow: expect.any(Number), perMB: expect.any(Number) },
      secondsPerMB: expect.any(Number),
    });
    // Every call is about lines of its window, which begins at line 12.
    expect(result.refusedOps).toEqual({});
    expect(result.ops.mean).toBeGreaterThanOrEqual(1);
  });

  it('prints a table for people', async () => {
    const args = ['eval', 'refiner', '--refiner', 'default', '--data', chunks, '--split', 'all'];
    const { code, stdout, stderr } = await run(args);
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.toString().trimEnd().split('\n');
    expect(lines[0]).toMatch(/^default \(line-score, prox\): .* s\/MB$/);
    expect(lines[1]).toMatch(/windows +line F1 .*over-deleted +failed/);
    expect(lines.slice(2, 6).map((line) => line.split(' ')[0])).toEqual([
      'all',
      'gold',
      'en',
      'prox',
    ]);
    expect(lines[6]).toMatch(/^failures: none/);
  });

  it('compares two annotated files', async () => {
    const args = ['eval', 'refiner', '--against', other, '--data', chunks];
    const { code, stdout } = await run([...args, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      nWindows: 2,
      nOnlyInExamples: 1,
      nOnlyInAgainst: 0,
      rawAgreement: 0.5,
      kappa: 0,
      unchangedRate: 1,
    });
    const table = await run(args);
    expect(table.stdout.toString()).toMatch(
      /^2 windows in both \(0 joined by text\); 1 only in --data/,
    );
  });

  it('ends with 130 when it is interrupted', async () => {
    const many = join(folder, 'many.parquet');
    const [text, program] = WINDOWS[0]!;
    await writeWindowExamples(
      many,
      Array.from({ length: 3000 }, (_, id) => example(text, program, id)),
    );
    const args = ['eval', 'refiner', '--refiner', 'programs', '--data', many, '--threads', '1'];
    const { process: child, finished } = start(args);
    // The first batch is through, so the handler is there and the work goes on.
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const { code, stdout, stderr } = await finished;
    expect([code, stdout.length]).toEqual([130, 0]);
    expect(stderr).toContain('interrupted: nothing was measured');
  });

  it('refuses bad usage, bad files and empty selections with codes', async () => {
    const error = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await run(['eval', 'refiner', ...args, '--json']);
      const { code: found } = JSON.parse(stderr).error;
      expect(code).toBe(found === 'OPTION_INVALID' ? 2 : 1);
      return found;
    };
    expect(await error('--data', chunks)).toBe('OPTION_INVALID');
    expect(await error('--data', chunks, '--refiner', 'default', '--against', other)).toBe(
      'OPTION_INVALID',
    );
    expect(await error('--data', chunks, '--refiner', 'default', '--split', 'train')).toBe(
      'TRAIN_DATA_TOO_SMALL',
    );
    expect(await error('--data', 'nowhere.parquet', '--refiner', 'default')).toBe(
      'CORPUS_READ_FAILED',
    );
    const usage = await run(['eval', 'refiner', '--data', chunks, '--split', 'test']);
    expect(usage.code).toBe(2);
  });
});
