/** Texts and sites of a unit without its other fields, against the reader of whole rows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesAt, isNullAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { onlyColumns } from '../../src/corpus/columns.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import type { CorpusPlan, CorpusUnit } from '../../src/corpus/types.ts';
import { openTextsAndSites, openUnit } from '../../src/corpus/unit.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-jsonl-texts-'));
afterAll(() => rmSync(folder, { recursive: true }));
const pool = new SlabPool({ slabBytes: 4 << 20 });
const asText = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function planned(path: string, options: object = {}): Promise<CorpusPlan> {
  const plan = await planCorpus({ inputs: [path], idColumn: null, ...options });
  return { ...onlyColumns(plan, new Set(['text', 'url'])), idColumn: null, siteColumn: 'url' };
}

async function whole(plan: CorpusPlan, unit: CorpusUnit): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const { batch, carry } of openUnit(plan, unit, pool, { reject: 'lines' })) {
    for (let row = 0; row < batch.nDocs; row++) {
      const site = batch.site!;
      const own = isNullAt(site, row) ? null : asText(bytesAt(site, row));
      rows.push([asText(bytesAt(batch.text, row)), own]);
    }
    batch.release();
    carry.release();
  }
  return rows;
}

async function bare(plan: CorpusPlan, unit: CorpusUnit, batchBytes = 512): Promise<unknown[]> {
  const rows: unknown[] = [];
  const options = { batchBytes, nThreads: 2 };
  for await (const { nDocs, text, site } of openTextsAndSites(plan, unit, pool, options)) {
    for (let row = 0; row < nDocs; row++) {
      const isNull =
        site!.validity !== null && ((site!.validity[row >> 3]! >> (row & 7)) & 1) === 0;
      const at = site!.offsets.subarray(row, row + 2);
      const own = isNull ? null : asText(site!.data.subarray(...at));
      rows.push([asText(text.data.subarray(text.offsets[row], text.offsets[row + 1])), own]);
    }
  }
  return rows;
}

let made = 0;
const file = (bytes: string | Uint8Array, ending = 'jsonl'): string => {
  const path = join(folder, `${made++}.${ending}`);
  writeFileSync(path, bytes);
  return path;
};
const FIRST = '{"text":"first","url":"a.example"}\n';

describe('texts and sites of JSON lines', () => {
  it('are those of the reader of whole rows, in every stretch of a file and any size of buffer', async () => {
    const row = fc.record(
      {
        text: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.constant(null)),
        url: fc.oneof(fc.webUrl(), fc.constant(null), fc.nat()),
        n: fc.jsonValue({ maxDepth: 2 }),
      },
      { requiredKeys: [] },
    );
    const line = fc.oneof(
      { weight: 8, arbitrary: row.map((own) => JSON.stringify(own)) },
      { weight: 1, arbitrary: fc.constantFrom('', '  ', '\r', '{"text":', 'null', '{"text":5}') },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 60 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.integer({ min: 4, max: 2000 }),
        async (lines, end, isEnded, batchBytes) => {
          const text = `\ufeff${FIRST}${lines.join(end)}${isEnded ? end : ''}`;
          const plan = await planned(file(text), { unitRows: 7 });
          const all: unknown[] = [];
          for (const unit of plan.units) {
            const expected = await whole(plan, unit);
            expect(await bare(plan, unit, batchBytes)).toEqual(expected);
            all.push(...expected);
          }
          expect(all[0]).toEqual(['first', 'a.example']);
          const [unit] = plan.units;
          // One that no plan makes: from the middle of a line to the middle of another.
          const bytes = Buffer.byteLength(text);
          for (const [byteStart, byteEnd] of [
            [0, bytes],
            [1, bytes - 1],
            [bytes >> 1, bytes],
            [3, bytes >> 1],
          ]) {
            const stretch = { ...unit!, byteStart: byteStart!, byteEnd: byteEnd! };
            expect(await bare(plan, stretch, batchBytes)).toEqual(await whole(plan, stretch));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('pass over a line that is too long, wherever it lies', async () => {
    const long = `{"text":"${'x'.repeat(100_000)}"}\n`;
    const rows = (n: number): string =>
      Array.from({ length: n }, (_, at) => `{"text":"row ${at}","url":"b.example"}\n`).join('');
    for (const text of [
      FIRST + long + rows(9),
      FIRST + rows(30) + long,
      long + rows(3),
      FIRST + long.trim(),
    ]) {
      const plan = await planned(file(text), { maxLineBytes: 1000 });
      for (const batchBytes of [64, 1024, 200_000]) {
        expect(await bare(plan, plan.units[0]!, batchBytes)).toEqual(
          await whole(plan, plan.units[0]!),
        );
      }
    }
  });

  it('come out of compressed files, and out of other formats by their own readers', async () => {
    const text = FIRST.repeat(500);
    const packed = await planned(file(gzipSync(text), 'jsonl.gz'));
    expect(await bare(packed, packed.units[0]!)).toEqual(await whole(packed, packed.units[0]!));
    expect((await bare(packed, packed.units[0]!)).length).toBe(500);
    const table = await planned(file('text,url\nfirst,a.example\n"two\nlines",b.example\n', 'csv'));
    expect(await bare(table, table.units[0]!)).toEqual([
      ['first', 'a.example'],
      ['two\nlines', 'b.example'],
    ]);
  });

  it('end with the signal, and say that a file has changed', async () => {
    const path = file(FIRST.repeat(200));
    const plan = await planned(path);
    const signal = AbortSignal.abort();
    const options = { batchBytes: 512, nThreads: 1 };
    const read = async (more: object) => {
      for await (const _ of openTextsAndSites(plan, plan.units[0]!, pool, { ...options, ...more }));
    };
    await expect(read({ signal })).rejects.toMatchObject({ code: 'ABORTED' });
    writeFileSync(path, FIRST.repeat(201));
    await expect(read({})).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
  });
});
