import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openScoreFile, type ScoreBlock, ScoreWriter } from '../../src/scores/score-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-scores-'));
const path = join(folder, 'part-00000.scores');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const row = fc.record({
  gap: fc.integer({ min: 1, max: 2 ** 20 }),
  status: fc.integer({ min: 0, max: 4 }),
  state: fc.integer({ min: 0, max: 5 }),
  document: fc.oneof(fc.double({ min: 0, max: 1 }), fc.constant(Number.NaN)),
  actsFrom: fc.integer({ min: 0, max: 255 }),
  codes: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 30 }),
});
type Row = typeof row extends fc.Arbitrary<infer T> ? T : never;

function blockOf(rows: readonly Row[], before: number): ScoreBlock {
  const lineStarts = new Int32Array(rows.length + 1);
  const rowNumbers = new Float64Array(rows.length);
  let number = before;
  for (const [at, { gap, codes }] of rows.entries()) {
    number += gap;
    rowNumbers[at] = number;
    lineStarts[at + 1] = lineStarts[at]! + codes.length;
  }
  return {
    nRows: rows.length,
    rowNumbers,
    lineStarts,
    status: Uint8Array.from(rows, ({ status }) => status),
    state: Uint8Array.from(rows, ({ state }) => state),
    document: Float64Array.from(rows, ({ document }) => document),
    actsFrom: Uint8Array.from(rows, ({ actsFrom }) => actsFrom),
    codes: Uint8Array.from(rows.flatMap(({ codes }) => codes)),
  };
}

async function write(batches: readonly (readonly Row[])[]): Promise<ScoreBlock[]> {
  const writer = await ScoreWriter.create(path);
  const blocks: ScoreBlock[] = [];
  let before = 2 ** 33;
  for (const rows of batches) {
    const block = blockOf(rows, before);
    if (block.nRows > 0) {
      blocks.push(block);
      before = block.rowNumbers.at(-1)!;
    }
    await writer.write(block);
  }
  const nRows = blocks.reduce((sum, block) => sum + block.nRows, 0);
  expect(await writer.close()).toMatchObject({ rows: nRows });
  return blocks;
}

describe('a file of scores', () => {
  it('gives back what was written, block by block', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(row, { maxLength: 40 }), { maxLength: 4 }),
        async (all) => {
          const blocks = await write(all);
          const file = await openScoreFile(path);
          try {
            expect(file.blocks).toHaveLength(blocks.length);
            for (const [at, place] of [...file.blocks.entries()].reverse()) {
              expect(await file.read(place)).toEqual(blocks[at]);
              expect(place.firstRow).toBe(blocks[at]!.rowNumbers[0]);
            }
          } finally {
            await file.close();
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is refused by name where a byte is another one or an end is missing, or is still right', async () => {
    const [sample] = fc.sample(fc.array(row, { minLength: 8, maxLength: 8 }), {
      seed: 7,
      numRuns: 1,
    });
    const [block] = await write([sample!]);
    const bytes = readFileSync(path);
    const damaged = join(folder, 'damaged.scores');
    const outcome = async (content: Uint8Array): Promise<string> => {
      writeFileSync(damaged, content);
      try {
        const file = await openScoreFile(damaged);
        try {
          for (const place of file.blocks)
            expect((await file.read(place)).nRows).toBe(block!.nRows);
        } finally {
          await file.close();
        }
        return 'read';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(await outcome(bytes)).toBe('read');
    for (let end = 0; end < bytes.length; end++) {
      expect(await outcome(bytes.subarray(0, end))).toBe('RUN_LEDGER_INVALID');
    }
    const outcomes = new Set<string>();
    for (let at = 0; at < bytes.length; at++) {
      const other = Buffer.from(bytes);
      other[at] = other[at]! ^ 0xff;
      outcomes.add(await outcome(other));
    }
    expect([...outcomes].filter((one) => one !== 'read')).toEqual(['RUN_LEDGER_INVALID']);
  });
});
