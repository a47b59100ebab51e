import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { memoryUnit } from '../../src/corpus/memory.ts';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink, type SinkOptions } from '../../src/corpus/sink.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-sink-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = (more: Partial<SinkOptions>): SinkOptions => ({
  format: 'jsonl.zst',
  path: join(folder, 'out'),
  columns: [stringColumn('text')],
  textColumn: 'text',
  extra: [{ name: 'status', type: 'string' }],
  ...more,
});
const reserved = expect.objectContaining({ code: 'CORPUS_COLUMN_RESERVED' });

describe('columns that are called like added ones', () => {
  it('are refused, or give way where that is wished; the text never does', async () => {
    const columns = [stringColumn('text'), stringColumn('status')];
    for (const format of ['parquet', 'jsonl.zst', 'arrow'] as const) {
      await expect(openSink(options({ format, columns }))).rejects.toEqual(reserved);
      const textColumn = { format, textColumn: 'status', replace: true };
      await expect(openSink(options(textColumn))).rejects.toEqual(reserved);
      expect(existsSync(join(folder, 'out'))).toBe(false);
      const sink = await openSink(options({ format, columns, replace: true }));
      await sink.close();
      rmSync(join(folder, 'out'));
    }
  });

  // Fields of JSON rows that no sampled line had were overwritten in silence.
  it('so are fields of single rows of JSON', async () => {
    const pool = new SlabPool({ slabBytes: 1 << 20 });
    for await (const input of memoryUnit([{ text: 'a' }, { text: 'b', status: 'mine' }], pool)) {
      const { batch, carry } = input;
      const rows = { text: batch.text, rows: null, carry, extra: { status: ['ours', 'ours'] } };
      const sink = await openSink(options({}));
      await expect(sink.write(rows)).rejects.toEqual(reserved);
      await sink.abort();
      const replacing = await openSink(options({ replace: true }));
      await replacing.write(rows);
      expect((await replacing.close()).rows).toBe(2);
      batch.release();
    }
  });
});
