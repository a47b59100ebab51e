import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '../../src/batch/record-batch.ts';
import { buildBatch, bytesAt, DocumentBatch, isNullAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { native } from '../../src/native/index.ts';
import { addonFile } from '../../src/paths.ts';

const value = fc.option(fc.uint8Array({ maxLength: 30 }), { nil: null });

describe('DocumentBatch', () => {
  it('holds what it was built from, here and through its descriptor and Arrow', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(value, value), { maxLength: 40 }),
        fc.boolean(),
        async (rows, withId) => {
          const pool = new SlabPool({ slabBytes: 1 << 14 });
          // Memory that is reused is dirty: the first batch leaves its bytes behind.
          (
            await buildBatch(pool, { text: rows.map(() => new Uint8Array(30).fill(255)) })
          ).release();
          const text = rows.map(([t]) => t);
          const id = rows.map(([, i]) => i);
          const batch = await buildBatch(pool, withId ? { text, id } : { text });
          for (const view of [batch, new DocumentBatch(structuredClone(batch.descriptor))]) {
            expect(view.nDocs).toBe(rows.length);
            for (const [column, values] of [
              [view.text, text],
              [view.id, withId ? id : null],
            ] as const) {
              if (!values) {
                expect(column).toBeNull();
                continue;
              }
              expect(column!.nullCount).toBe(values.filter((v) => v === null).length);
              for (const [row, want] of values.entries()) {
                expect(isNullAt(column!, row)).toBe(want === null);
                expect([...bytesAt(column!, row)]).toEqual([...(want ?? [])]);
              }
            }
          }
          const arrow = batch.toRecordBatch();
          expect(arrow.numRows).toBe(rows.length);
          const column = arrow.getChild('text')!;
          for (const [row, want] of text.entries()) {
            expect(column.get(row)).toBe(want === null ? null : new TextDecoder().decode(want));
          }
          batch.release();
        },
      ),
    );
  });

  it('release is idempotent and retain holds', async () => {
    const pool = new SlabPool({ slabBytes: 1024, nSlabs: 2 });
    const batch = await buildBatch(pool, { text: [Buffer.alloc(900)] });
    const second = batch.retain();
    batch.release();
    batch.release();
    const waiting = buildBatch(pool, { text: [Buffer.alloc(900)] });
    expect(
      await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 30, 'waits'))]),
    ).toBe('waits');
    second.release();
    (await waiting).release();
  });

  it('zero copy: file to C++, main thread and worker see one address', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gristmill-zero-'));
    const path = join(folder, 'x.parquet');
    const sink = await openSink({ format: 'parquet', path, columns: [], textColumn: 'text' });
    const texts = Array.from({ length: 100 }, (_, n) =>
      Buffer.from(`document ${n} ${'é'.repeat(n)}`),
    );
    await sink.write({ text: texts, rows: null, carry: null, extra: {} });
    await sink.close();
    const plan = await planCorpus({ inputs: [path] });
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       const { addressOf } = require(workerData);
       parentPort.on('message', ({ region, nDocs, columns: [text] }) => {
         const data = new Uint8Array(region.sab, text.data, text.dataBytes);
         const offsets = new Int32Array(region.sab, text.offsets, nDocs + 1);
         const addresses = [data, new Uint8Array(offsets.buffer, offsets.byteOffset, offsets.byteLength)].map((view) => addressOf(view));
         data[0] = 0x44;
         parentPort.postMessage(addresses);
       });`,
      { eval: true, workerData: addonFile },
    );
    for await (const { batch } of openUnit(plan, plan.units[0]!, new SlabPool())) {
      const { data, offsets } = batch.text;
      expect(data.buffer).toBeInstanceOf(SharedArrayBuffer);
      const reply = new Promise<bigint[]>((resolve) => worker.once('message', resolve));
      worker.postMessage(batch.descriptor);
      const offsetBytes = new Uint8Array(offsets.buffer, offsets.byteOffset, offsets.byteLength);
      expect(await reply).toEqual([native().addressOf(data), native().addressOf(offsetBytes)]);
      const arrow = batch.toRecordBatch().getChild('text')!.data[0]!;
      expect(native().addressOf(arrow.values)).toBe(native().addressOf(data));
      // Written in the worker, seen here and in C++.
      expect(Buffer.from(bytesAt(batch.text, 0)).toString()).toBe('Document 0 ');
      const valid = new Uint8Array(batch.nDocs);
      native().validateUtf8(data, offsets, valid);
      expect(valid.every((ok) => ok === 1)).toBe(true);
      batch.release();
    }
    await worker.terminate();
    await rm(folder, { recursive: true });
  });
});
