import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NarrowColumns } from '../../src/corpus/narrow-columns.ts';
import { openSink } from '../../src/corpus/sink.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-narrow-'));
const path = join(folder, 'a.parquet');
const N_ROWS = 250;
const GROUP_ROWS = 100;
const nameAt = (row: number): string | null => (row % 7 === 3 ? null : `name ${row % 5} ä`);
const scoreAt = (row: number): number | null => (row % 4 === 1 ? null : row / 8);

beforeAll(async () => {
  const sink = await openSink({
    ...{ format: 'parquet', path, columns: [], textColumn: 'text', rowGroupRows: GROUP_ROWS },
    extra: [
      { name: 'name', type: 'string' },
      { name: 'score', type: 'double' },
      { name: 'row', type: 'int64' },
    ],
  });
  const rows = Array.from({ length: N_ROWS }, (_, row) => row);
  for (let first = 0; first < N_ROWS; first += GROUP_ROWS) {
    const part = rows.slice(first, first + GROUP_ROWS);
    await sink.write({
      text: part.map((row) => Buffer.from('x'.repeat(row * 300))),
      rows: null,
      carry: null,
      extra: { name: part.map(nameAt), score: part.map(scoreAt), row: part.map(BigInt) },
    });
  }
  await sink.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function textsOf(part: NarrowColumns, name: string): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  for await (const { firstRow, nRows, offsets, data, isNull } of part.texts(name)) {
    expect(firstRow).toBe(found.length);
    for (let row = 0; row < nRows; row++) {
      found.push(isNull(row) ? null : data.toString('utf8', offsets[row], offsets[row + 1]));
    }
  }
  return found;
}

const range = (start: number, end: number): number[] =>
  Array.from({ length: end - start }, (_, at) => start + at);

describe('NarrowColumns', () => {
  it('has byte strings and numbers of every row, nulls among them', async () => {
    await using part = await NarrowColumns.open(path, []);
    expect(part.nRows).toBe(N_ROWS);
    expect(await textsOf(part, 'name')).toEqual(range(0, N_ROWS).map(nameAt));
    // Longer together than one batch has room for.
    const lengths = (await textsOf(part, 'text')).map((text) => text?.length);
    expect(lengths).toEqual(range(0, N_ROWS).map((row) => row * 300));
    expect([...(await part.numbers('row'))!]).toEqual(range(0, N_ROWS));
    expect([...(await part.numbers('score'))!]).toEqual(
      range(0, N_ROWS).map((row) => scoreAt(row) ?? Number.NaN),
    );
  });

  it('reads some row groups alone, and the footer of a known content once', async () => {
    const options = { range: [1, 3], fingerprint: 'known' } as const;
    await using part = await NarrowColumns.open(path, [], options);
    const rows = range(GROUP_ROWS, N_ROWS);
    expect(part.nRows).toBe(rows.length);
    expect(await textsOf(part, 'name')).toEqual(rows.map(nameAt));
    expect([...(await part.numbers('row'))!]).toEqual(rows);
  });

  it('has nothing of columns that are not there, or of another type', async () => {
    await using part = await NarrowColumns.open(path, []);
    expect(part.hasText('name')).toBe(true);
    expect(['row', 'nothing', '__proto__'].map((name) => part.hasText(name))).toEqual([
      false,
      false,
      false,
    ]);
    expect(await textsOf(part, 'row')).toEqual([]);
    expect(await part.numbers('name')).toBeNull();
    expect(await part.numbers('nothing')).toBeNull();
  });
});
