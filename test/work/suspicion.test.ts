/** Rows that kill a worker are found by its deaths alone, whatever else was in flight, and no other row is set aside. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WorkerGuard } from '../../src/work/guard.ts';
import type { PositionWriter, RowSet } from '../../src/work/position.ts';
import { afterDeath, cleared, NO_SUSPICION, type Suspicion } from '../../src/work/suspicion.ts';

class Death extends Error {}

/** A worker's run over batches of rows, two at a time, that dies where an engine is given a deadly row. */
async function work(
  nRows: number,
  batchRows: number,
  deadly: ReadonlySet<number>,
  known: Suspicion,
): Promise<{ aside: number[]; died: RowSet[] | null; known: Suspicion; calls: number[][] }> {
  const inFlight = new Set<RowSet>();
  const position = {
    begin(set: RowSet) {
      inFlight.add(set);
      return () => inFlight.delete(set);
    },
  } as unknown as PositionWriter;
  let left = known;
  const guard = new WorkerGuard(position, known, (set) => {
    left = cleared(left, set);
  });
  const calls: number[][] = [];
  const aside: number[] = [];
  let died: RowSet[] | null = null;
  const batch = async (firstRow: number): Promise<void> => {
    const docs = Int32Array.from(
      { length: Math.min(batchRows, nRows - firstRow) },
      (_, doc) => doc,
    ).filter((doc) => (firstRow + doc) % 3 !== 1 || deadly.has(firstRow + doc));
    const parts = await guard.over({ unit: 0, firstRow }, 0, docs, async (some) => {
      const rows = [...some].map((doc) => firstRow + doc);
      await null;
      if (died) throw new Death();
      if (rows.some((row) => deadly.has(row))) {
        died = [...inFlight];
        throw new Death();
      }
      calls.push(rows);
      return rows;
    });
    for (const { docs: some, value } of parts) {
      if (value === null) aside.push(...[...some].map((doc) => firstRow + doc));
    }
    expect(parts.flatMap(({ docs: some }) => [...some])).toEqual([...docs]);
  };
  for (let first = 0; first < nRows && !died; first += 2 * batchRows) {
    const both = [first, first + batchRows].filter((row) => row < nRows);
    await Promise.allSettled(both.map(batch)).then((settled) => {
      for (const one of settled) {
        if (one.status === 'rejected' && !(one.reason instanceof Death)) throw one.reason;
      }
    });
  }
  return { aside, died, known: left, calls };
}

describe('suspicion', () => {
  it('ends with the deadly rows set aside, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 80 }),
        fc.integer({ min: 1, max: 33 }),
        fc.array(fc.nat(79), { maxLength: 4 }),
        async (nRows, batchRows, chosen) => {
          const deadly = new Set(chosen.filter((row) => row < nRows));
          let known = NO_SUSPICION;
          for (let deaths = 0; ; deaths++) {
            const result = await work(nRows, batchRows, deadly, known);
            known = result.known;
            if (!result.died) {
              expect(new Set(result.aside)).toEqual(deadly);
              expect(known.suspects.every(({ first, end }) => end > first)).toBe(true);
              // Sets come apart by halves: a few deaths a deadly row, however large the batch.
              expect(deaths).toBeLessThanOrEqual(deadly.size * (Math.log2(batchRows) + 5));
              return;
            }
            known = afterDeath(known, result.died);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('gives accused rows once more to the engine before they are halved, alone', () => {
    const whole: RowSet = { unit: 3, stage: 1, first: 0, end: 64, nRows: 60 };
    const other: RowSet = { unit: 3, stage: 0, first: 64, end: 128, nRows: 64 };
    const first = afterDeath(NO_SUSPICION, [whole, other]);
    expect(first.suspects.map(({ first, end }) => [first, end])).toEqual([
      [0, 64],
      [64, 128],
    ]);
    const second = afterDeath(cleared(first, other), [whole]);
    expect(second.suspects.map(({ first, end }) => [first, end])).toEqual([
      [0, 32],
      [32, 64],
    ]);
  });

  it('sets a single row aside after two deaths in calls of its own', () => {
    const row: RowSet = { unit: 0, stage: 0, first: 5, end: 6, nRows: 1 };
    const accused = afterDeath(NO_SUSPICION, [row]);
    const once = afterDeath(accused, [row]);
    expect([accused.aside, once.aside]).toEqual([[], []]);
    expect(afterDeath(once, [row])).toEqual({ suspects: [], aside: [row] });
  });
});
