import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dataFile } from '../../../src/scorers/defaults/data.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('dataFile', () => {
  it('looks in the folder, then in its folders by name', () => {
    for (const inner of ['b', 'a']) {
      mkdirSync(join(folder, inner));
      writeFileSync(join(folder, inner, 'dev.jsonl.gz'), '');
    }
    writeFileSync(join(folder, 'a file'), '');
    expect(dataFile(folder, 'dev')).toBe(join(folder, 'a', 'dev.jsonl.gz'));
    writeFileSync(join(folder, 'dev.jsonl.gz'), '');
    expect(dataFile(folder, 'dev')).toBe(join(folder, 'dev.jsonl.gz'));
  });

  it('names the folder itself for what is nowhere', () => {
    expect(dataFile(folder, 'dev-math')).toBe(join(folder, 'dev-math.jsonl.gz'));
    expect(dataFile(join(folder, 'none'), 'dev')).toBe(join(folder, 'none', 'dev.jsonl.gz'));
    expect(dataFile(join(folder, 'a file'), 'dev')).toBe(join(folder, 'a file', 'dev.jsonl.gz'));
  });
});
