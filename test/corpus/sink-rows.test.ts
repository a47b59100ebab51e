/** Texts go to the writer of a column from where they lie: one by one, from any memory, as if they had been packed first. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { extraBytes, packBytes } from '../../src/corpus/sink-rows.ts';
import type { SinkRows } from '../../src/corpus/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-sink-rows-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let nFiles = 0;

async function written(text: SinkRows['text'], rows: Int32Array | null): Promise<string> {
  const path = join(folder, `${nFiles++}.parquet`);
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [stringColumn('text')],
    textColumn: 'text',
    extra: [],
  });
  await sink.write({ text, rows, carry: null, extra: {} });
  await sink.close();
  return readFileSync(path).toString('base64');
}

const texts = fc.array(fc.option(fc.string({ unit: 'binary', maxLength: 40 })), { maxLength: 60 });

describe('texts as views', () => {
  it('are written as a packed column is, from any number of buffers', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 5 }), async (strings, nBuffers) => {
        const values = strings.map((text) => (text === null ? null : Buffer.from(text)));
        const shared = Array.from({ length: nBuffers }, () => new SharedArrayBuffer(20_000));
        const ends = shared.map(() => 3);
        const views = values.map((value, row) => {
          if (value === null) return null;
          if (row % 7 === 6) return value;
          const buffer = row % nBuffers;
          const view = new Uint8Array(shared[buffer]!, ends[buffer], value.length);
          view.set(value);
          ends[buffer]! += value.length + 1;
          return view;
        });
        const packed = { length: values.length, ...packBytes(values) } as SinkRows['text'];
        const some = Int32Array.from(values.keys()).filter((row) => row % 3 !== 1);
        for (const rows of [null, some]) {
          expect(await written(views, rows)).toBe(await written(packed, rows));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('may lie in more places than are handed over as such', async () => {
    const values = Array.from({ length: 600 }, (_, row) => new TextEncoder().encode(`text ${row}`));
    const packed = { length: 600, ...packBytes(values) } as SinkRows['text'];
    expect(await written(values, null)).toBe(await written(packed, null));
  });
});

describe('extraBytes', () => {
  it('has the bytes of every value, ASCII or not', () => {
    const value = fc.option(fc.oneof(fc.string(), fc.string({ unit: 'binary' })));
    fc.assert(
      fc.property(fc.array(value, { maxLength: 40 }), (values) => {
        const own = extraBytes(values, values.length);
        const encoded = values.map((text) => (text === null ? null : Buffer.from(text)));
        for (const [row, expected] of encoded.entries()) {
          const isThere = !own.validity || (own.validity[row >> 3]! >> (row & 7)) & 1;
          const found = Buffer.from(own.data.subarray(own.offsets[row], own.offsets[row + 1]));
          expect([row, isThere ? found : null]).toEqual([row, expected]);
        }
        expect(extraBytes(undefined, 3).offsets).toEqual(new Int32Array(4));
      }),
    );
  });
});
