/** Footers that strict readers take. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openDuck, query } from './duck.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-parquet-write-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Headers of the fields of a footer's struct, and of the lists in them, by field: what Thrift's compact form says of them. */
function listTypesOf(file: Buffer): Map<number, { type: number; length: number }> {
  const end = file.length - 8;
  const footer = file.subarray(end - file.readUInt32LE(end), end);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = footer[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const lists = new Map<number, { type: number; length: number }>();
  const skip = (type: number, field: number | null): void => {
    if (type >= 4 && type <= 6) varint();
    else if (type === 3) at++;
    else if (type === 7) at += 8;
    else if (type === 8) {
      const length = varint();
      at += length;
    } else if (type === 12) struct(false);
    else if (type === 9) {
      const head = footer[at++]!;
      const length = head >> 4 === 15 ? varint() : head >> 4;
      if (field !== null) lists.set(field, { type: head & 15, length });
      for (let item = 0; item < length; item++) {
        if ((head & 15) <= 2) at++;
        else skip(head & 15, null);
      }
    }
  };
  const struct = (isTop: boolean): void => {
    for (let field = 0; ; ) {
      const head = footer[at++]!;
      if (head === 0) return;
      field = head >> 4 === 0 ? varint() / 2 : field + (head >> 4);
      skip(head & 15, isTop ? field : null);
    }
  };
  struct(true);
  expect(at).toBe(footer.length);
  return lists;
}

describe('a Parquet footer', () => {
  // Was: lists without items were lists of no type, which arrow-rs refuses (Daft: "Expected list element type of Struct but got Byte").
  it('has no list of no type, with rows and without', async () => {
    const duck = await openDuck();
    for (const nRows of [0, 3]) {
      for (const metadata of [[], [['made', 'here']]] as const) {
        const path = join(folder, `${nRows}-${metadata.length}.parquet`);
        const columns = [stringColumn('text')];
        const sink = await openSink({
          ...{ format: 'parquet', path, columns, textColumn: 'text' },
          metadata,
        });
        const text = Array.from({ length: nRows }, (_, row) => Buffer.from(`row ${row}`));
        if (nRows > 0) await sink.write({ text, rows: null, carry: null, extra: {} });
        await sink.close();
        const lists = listTypesOf(readFileSync(path));
        expect([nRows, ...new Set([...lists.values()].map(({ type }) => type))]).toEqual([
          nRows,
          12,
        ]);
        expect(lists.get(4)).toEqual({ type: 12, length: nRows > 0 ? 1 : 0 });
        expect(lists.has(5)).toBe(metadata.length > 0);
        const rows = await query(duck, `SELECT text FROM read_parquet('${path}')`);
        expect(rows).toHaveLength(nRows);
      }
    }
  });
});
