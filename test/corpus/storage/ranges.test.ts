/** Reading in ranges: parts, reading ahead, staged files, tails. Held against slices of the bytes. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aheadOf, PART_BYTES, readAhead } from '../../../src/corpus/storage/read-ahead.ts';
import { partsOf, stageRanges } from '../../../src/corpus/storage/staged-file.ts';
import { withTail } from '../../../src/corpus/storage/tail.ts';
import type { RangedFile } from '../../../src/corpus/storage/types.ts';

const content = Buffer.alloc(3_000_000);
for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at);

/** A file in memory that answers late and out of order, and counts. */
function memoryFile(bytes = content): RangedFile & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    path: 's3://b/x',
    bytes: bytes.byteLength,
    version: 'v',
    sha256: null,
    changedMs: 0,
    reads,
    async read(start, length) {
      reads.push([start, length]);
      await new Promise((resolve) => setTimeout(resolve, (start * 7) % 5));
      return new Uint8Array(bytes.subarray(start, start + length));
    },
    close: async () => undefined,
  };
}

describe('readAhead', () => {
  it('gives the bytes of any stretch in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3_100_000), fc.nat(3_100_000), async (start, end) => {
        const file = memoryFile();
        const got: Buffer[] = [];
        for await (const chunk of readAhead(file, { start, end })) got.push(chunk);
        expect(Buffer.concat(got).equals(content.subarray(start, end))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('asks for little when little is taken', async () => {
    const file = memoryFile();
    for await (const chunk of readAhead(file)) {
      expect(chunk.byteLength).toBe(2 ** 18);
      break;
    }
    const asked = file.reads.reduce((sum, [, length]) => sum + length, 0);
    expect(asked).toBeLessThan(2 ** 21);
  });
});

describe('aheadOf', () => {
  it('gives any ranges, in any order', async () => {
    const range = fc.tuple(fc.nat(3_000_100), fc.nat(700_000));
    await fc.assert(
      fc.asyncProperty(
        fc.array(range, { maxLength: 12 }),
        fc.boolean(),
        async (ranges, inOrder) => {
          const file = aheadOf(memoryFile());
          const asked = inOrder ? ranges.sort(([a], [b]) => a - b) : ranges;
          for (const [start, length] of asked) {
            const bytes = await file.read(start, length);
            const expected = content.subarray(start, start + length);
            expect(Buffer.from(bytes).equals(expected)).toBe(true);
          }
          await file.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('reads small pieces in order with few requests', async () => {
    const inner = memoryFile();
    const file = aheadOf(inner);
    for (let at = 0; at < content.length; at += 1000) await file.read(at, 1000);
    expect(inner.reads.length).toBeLessThan(12);
    expect(inner.reads.reduce((sum, [, length]) => sum + length, 0)).toBe(content.length);
  });
});

describe('staged files', () => {
  it('join what is near and cut what is long', () => {
    const mib = 2 ** 20;
    expect(partsOf([])).toEqual([]);
    expect(
      partsOf([
        { start: 5 * mib, end: 6 * mib },
        { start: 0, end: 10 },
        { start: 10, end: 100 },
        { start: 1000, end: 1000 },
        { start: 200_000, end: 200_010 },
      ]),
    ).toEqual([
      { start: 0, end: 200_010 },
      { start: 5 * mib, end: 6 * mib },
    ]);
    const long = partsOf([{ start: 3, end: 3 + 2 * PART_BYTES + 1 }]);
    expect(long.map(({ end, start }) => end - start)).toEqual([PART_BYTES, PART_BYTES, 1]);
  });

  it('hold their ranges at their places, and go when they are released', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(2_900_000), fc.nat(90_000)), { maxLength: 6 }),
        async (pairs) => {
          const ranges = pairs.map(([start, length]) => ({ start, end: start + length }));
          const staged = await stageRanges(memoryFile(), ranges);
          const bytes = readFileSync(staged.path);
          expect(bytes.byteLength).toBe(content.byteLength);
          for (const { start, end } of ranges) {
            expect(bytes.subarray(start, end).equals(content.subarray(start, end))).toBe(true);
          }
          await staged.release();
          expect(() => readFileSync(staged.path)).toThrow();
        },
      ),
      { numRuns: 10 },
    );
  });

  it('end with the first failure', async () => {
    const file = memoryFile();
    const failing: RangedFile = {
      ...file,
      async read(start, length, signal) {
        if (start > 2_000_000) throw new Error('gone');
        return file.read(start, length, signal);
      },
    };
    const ranges = [0, 1_000_000, 2_500_000].map((start) => ({ start, end: start + 1000 }));
    await expect(stageRanges(failing, ranges)).rejects.toMatchObject({
      code: 'CORPUS_READ_FAILED',
      message: expect.stringContaining('gone'),
    });
  });
});

it('a tail is read once', async () => {
  const inner = memoryFile();
  const file = withTail(inner);
  const end = content.length;
  for (const [start, length] of [
    [end - 8, 8],
    [end - 5000, 4992],
    [0, 4],
    [end - 3, 100],
  ] as const) {
    const bytes = await file.read(start, length);
    expect(Buffer.from(bytes).equals(content.subarray(start, start + length))).toBe(true);
  }
  expect(inner.reads).toEqual([
    [end - 2 ** 18, 2 ** 18],
    [0, 4],
  ]);
});
