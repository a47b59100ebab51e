import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldRows } from '../train/support.ts';
import { run } from './support.ts';

let folder: string;
let pages: string;
let documents: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-eval-'));
  pages = join(folder, 'pages.jsonl');
  documents = join(folder, 'documents.jsonl');
  const rows = goldRows(60, 1);
  await writeFile(pages, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const judged = [250, 3, 199].map((nWords, at) => ({
    id: `d${at}`,
    text: 'word '.repeat(nWords),
    label: nWords > 100 ? 1 : 0,
  }));
  await writeFile(documents, judged.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true }));

describe('gristmill eval', () => {
  it('prints one JSON object with all measures of lines', async () => {
    const args = ['eval', 'lines', '--refiner', 'logistic', '--data', pages, '--folds', '3'];
    const { code, stdout, stderr } = await run([...args, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const result = JSON.parse(stdout.toString());
    const one = {
      precision: expect.any(Number),
      recall: expect.any(Number),
      f1: expect.any(Number),
    };
    expect(result).toMatchObject({
      refiner: 'logistic',
      nFolds: 3,
      macroF1: expect.any(Number),
      keep: one,
      remove: one,
      contentCharsKept: expect.any(Number),
      noiseCharsRemoved: expect.any(Number),
      noiseCharsRemovedAt: {
        '0.99': expect.any(Number),
        '0.98': expect.any(Number),
        '0.95': expect.any(Number),
      },
      docWordF1: expect.any(Number),
      nDocs: 60,
      secondsPerMB: expect.any(Number),
      byLanguage: { en: { nDocs: 60 } },
    });
    expect(result.macroF1).toBeGreaterThan(0.9);
  });

  it('prints a table by source for people', async () => {
    const { code, stdout } = await run(['eval', 'lines', '--refiner', 'c4', '--data', pages]);
    expect(code).toBe(0);
    const lines = stdout.toString().trimEnd().split('\n');
    expect(lines[0]).toMatch(/^c4: .* s\/MB$/);
    expect(lines[1]).toContain('macroF1');
    // All, then by source, type of page and language.
    const table = lines.slice(2, lines.indexOf(''));
    expect(table.map((line) => line.split(' ')[0])).toEqual(['all', 'unknown', 'unknown', 'en']);
    expect(lines.join('\n')).toContain('noise removed at 0.99');
  });

  it('trains on other pages when told to', async () => {
    const args = ['eval', 'lines', '--refiner', 'logistic', '--data', pages, '--train', pages];
    const { code, stderr } = await run([...args, '--json']);
    // All domains are shared: nothing is left to learn from.
    expect([code, JSON.parse(stderr).error.code]).toEqual([1, 'TRAIN_DATA_TOO_SMALL']);
  });

  it('measures document refiners', async () => {
    const args = ['eval', 'documents', '--refiner', 'words', '--data', documents, '--json'];
    const { code, stdout } = await run(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      balancedAccuracy: 0.75,
      auc: 1,
      nDocs: 3,
      nKeep: 2,
    });
  });

  it('refuses unknown refiners, missing folds and bad rows with codes', async () => {
    const error = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await run(['eval', ...args, '--json']);
      const { code: found } = JSON.parse(stderr).error;
      expect(code).toBe(found === 'OPTION_INVALID' ? 2 : 1);
      return found;
    };
    expect(await error('lines', '--refiner', 'nobody', '--data', pages)).toBe('OPTION_INVALID');
    expect(await error('lines', '--refiner', 'logistic', '--data', pages)).toBe('OPTION_INVALID');
    expect(await error('lines', '--refiner', 'c4', '--data', documents)).toBe('TRAIN_GOLD_INVALID');
    const usage = await run(['eval', 'lines', '--refiner', 'c4', '--data', pages, '--folds', '1']);
    expect(usage.code).toBe(2);
  });
});
