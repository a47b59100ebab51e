import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeResult } from '../../src/continual/write-result.ts';

const folder = mkdtempSync(join(tmpdir(), 'write-result-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('writeResult', () => {
  it('writes text, bytes and pieces, and nothing else stays', () => {
    const inside = join(folder, 'made', 'here');
    writeResult(join(inside, 'text'), 'one\n');
    writeResult(join(inside, 'bytes'), Uint8Array.of(0, 255, 10));
    writeResult(join(inside, 'pieces'), ['a', 'b', '', 'c']);
    writeResult(join(inside, 'text'), 'two\n');
    expect(readdirSync(inside).sort()).toEqual(['bytes', 'pieces', 'text']);
    expect(readFileSync(join(inside, 'text'), 'utf8')).toBe('two\n');
    expect([...readFileSync(join(inside, 'bytes'))]).toEqual([0, 255, 10]);
    expect(readFileSync(join(inside, 'pieces'), 'utf8')).toBe('abc');
  });

  it('says where it could not', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => writeResult(join(folder, 'file', 'below'), '')).toThrow(
      expect.objectContaining({ code: 'CONTINUAL_WRITE_FAILED' }),
    );
  });
});
