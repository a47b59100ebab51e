import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openUnit } from '../../src/corpus/unit.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-counts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('numbers of rows in their file', () => {
  it('property: they are the same whatever the order in which units are read', async () => {
    let files = 0;
    const part = fc.constantFrom(
      '{"text":"a"}\n',
      '\n',
      ' \r\n',
      '{"text":"longer, much longer"}\r\n',
      '[]\n',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 60 }),
        fc.infiniteStream(fc.nat()),
        async (parts, unitBytes, order) => {
          // Another file each time: what is known of one must not come from the last.
          const path = join(folder, `${files++}.jsonl`);
          writeFileSync(path, `\ufeff\n{"text":"first"}\n${parts.join('')}`);
          const plan = await planCorpus({ inputs: [path], unitBytes });
          const pool = new SlabPool({ slabBytes: 1 << 16 });
          const rows = new Map<number, string>();
          const units = plan.units
            .map((unit) => ({ unit, rank: order.next().value as number }))
            .sort((left, right) => left.rank - right.rank);
          for (const { unit } of units) {
            for await (const input of openUnit(plan, unit, pool, { reject: 'lines' })) {
              for (let doc = 0; doc < input.batch.nDocs; doc++) {
                rows.set(
                  Number(input.rowNumbers[doc]),
                  Buffer.from(bytesAt(input.batch.text, doc)).toString(),
                );
              }
              for (const { row } of input.rejected) rows.set(Number(row), 'rejected');
              input.batch.release();
            }
          }
          const expected = ['{"text":"first"}', ...parts].filter((line) => line.trim() !== '');
          expect([...rows].sort(([a], [b]) => a - b)).toEqual(
            expected.map((line, row) => [
              row,
              line.startsWith('[') ? 'rejected' : (JSON.parse(line) as { text: string }).text,
            ]),
          );
        },
      ),
      { numRuns: 60 },
    );
  });
});
