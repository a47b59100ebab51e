import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KeptResults, keyOf } from '../../bench/cases/refining-pays-kept.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-kept-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('keyOf', () => {
  it('tells parts apart that would read the same when joined', () => {
    const keys = [keyOf('ab', 'c'), keyOf('a', 'bc'), keyOf(['ab', 'c']), keyOf('ab', 'c', 1)];
    expect(new Set(keys).size).toBe(keys.length);
    expect(keyOf({ steps: 1 }, Uint8Array.of(1))).toBe(keyOf({ steps: 1 }, Uint8Array.of(1)));
    expect(keyOf({ steps: 1 }, Uint8Array.of(1))).not.toBe(keyOf({ steps: 1 }, Uint8Array.of(2)));
  });
});

describe('KeptResults', () => {
  it('goes on wherever a run was cut', () => {
    const file = join(folder, 'deep', 'runs.jsonl');
    const first = new KeptResults<{ bits: number; name: string }>(file);
    first.add('a', { bits: 2.5, name: 'naïve\n' });
    const one = readFileSync(file).length;
    first.add('b', { bits: 2.25, name: 'b' });
    const whole = readFileSync(file);
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const cut = new KeptResults<{ bits: number; name: string }>(file);
      expect(cut.find('a')).toEqual(length < one ? undefined : { bits: 2.5, name: 'naïve\n' });
      expect(cut.find('b')).toEqual(length < whole.length ? undefined : { bits: 2.25, name: 'b' });
      cut.add('c', { bits: 1, name: 'c' });
      const again = new KeptResults<{ bits: number; name: string }>(file);
      expect(again.find('c')).toEqual({ bits: 1, name: 'c' });
      expect(again.find('a')).toEqual(cut.find('a'));
    }
  });
});
