import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readingCount } from '../../src/corpus/read-progress.ts';
import type { CorpusPlan, CorpusUnit } from '../../src/corpus/types.ts';
import type { WorkProgress } from '../../src/progress.ts';

interface Unit {
  readonly nRows: number | null;
  readonly bytes: number;
  readonly batches: readonly { readonly nRows: number; readonly textBytes: number }[];
}

function readAll(units: readonly Unit[]): WorkProgress[] {
  const told: WorkProgress[] = [];
  const plan = { units } as unknown as CorpusPlan;
  const count = readingCount(plan, (progress) => told.push(progress));
  for (const unit of units) {
    for (const { nRows, textBytes } of unit.batches) count.batch(nRows, textBytes);
    count.unit(unit as unknown as CorpusUnit);
  }
  return told;
}

describe('readingCount', () => {
  it('counts rows where every unit tells how many it has', () => {
    const batch = { nRows: 5, textBytes: 900 };
    const told = readAll([
      { nRows: 10, bytes: 100, batches: [batch, batch] },
      { nRows: 5, bytes: 1, batches: [batch] },
    ]);
    expect(told[0]).toEqual({ phase: 'reading', unit: 'rows', done: 0, total: 15 });
    expect(told.map(({ done }) => done)).toEqual([0, 5, 10, 10, 15, 15]);
  });

  it('counts bytes elsewhere: of texts within a unit, of the file at its end', () => {
    const told = readAll([
      // Compressed: its texts are longer than it is.
      {
        nRows: null,
        bytes: 100,
        batches: [
          { nRows: 1, textBytes: 90 },
          { nRows: 9, textBytes: 900 },
        ],
      },
      { nRows: null, bytes: 50, batches: [{ nRows: 1, textBytes: 20 }] },
    ]);
    expect(told[0]).toEqual({ phase: 'reading', unit: 'bytes', done: 0, total: 150 });
    expect(told.map(({ done }) => done)).toEqual([0, 90, 100, 100, 120, 150]);
  });

  it('only grows and ends with all, whatever the units', () => {
    const batch = fc.record({ nRows: fc.nat(50), textBytes: fc.nat(5000) });
    const unit = fc
      .record({ known: fc.boolean(), bytes: fc.nat(9000), batches: fc.array(batch) })
      .map(({ known, bytes, batches }): Unit => {
        const nRows = batches.reduce((sum, each) => sum + each.nRows, 0);
        return { nRows: known ? nRows : null, bytes, batches };
      });
    fc.assert(
      fc.property(fc.array(unit), (units) => {
        const told = readAll(units);
        const done = told.map((each) => each.done);
        expect(done).toEqual([...done].sort((one, other) => one - other));
        expect(done.at(-1)).toBe(told[0]!.total);
      }),
    );
  });
});
