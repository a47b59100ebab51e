/** Rows of a plan with their columns, whatever the format; and columns that are not there. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { readRowBatches, requireColumn } from '../../src/corpus/rows.ts';
import { planTexts } from '../../src/corpus/texts.ts';
import { ROW_NULL, ROW_OK } from '../../src/corpus/types.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-rows-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const example = fileURLToPath(new URL('../../examples/corpus.parquet', import.meta.url));
const lines = join(folder, 'rows.jsonl');
writeFileSync(
  lines,
  ['{"text":"first","kind":"a"}', '{"text":null,"kind":"b"}', '{"text":"third"}'].join('\n'),
);

describe('readRowBatches', () => {
  it('gives texts, states and columns of the same rows', async () => {
    const rows: unknown[] = [];
    for await (const { batch, rowStatus, columns } of readRowBatches(
      await planTexts({ inputs: [lines] }),
    )) {
      const kinds = (await columns()).get('kind')!;
      for (const [row, status] of rowStatus.entries()) {
        rows.push([Buffer.from(bytesAt(batch.text, row)).toString(), status, kinds[row]]);
      }
    }
    expect(rows).toEqual([
      ['first', ROW_OK, 'a'],
      ['', ROW_NULL, 'b'],
      ['third', ROW_OK, null],
    ]);
  });

  it('reads a file again after being left in its middle, and stops when told to', async () => {
    const plan = await planTexts({ inputs: [example] });
    for (let time = 0; time < 5; time++) {
      for await (const { rowStatus } of readRowBatches(plan)) {
        expect(rowStatus.length).toBeGreaterThan(0);
        break;
      }
    }
    let nRows = 0;
    for await (const { rowStatus } of readRowBatches(plan)) nRows += rowStatus.length;
    expect(nRows).toBe(plan.files.reduce((sum, { rows }) => sum + (rows ?? 0), 0));
    await expect(readRowBatches(plan, AbortSignal.abort()).next()).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('requireColumn', () => {
  it('names the columns that are there', async () => {
    const plan = await planTexts({ inputs: [lines] });
    expect(() => requireColumn(plan, 'kind', lines)).not.toThrow();
    expect(() => requireColumn(plan, 'sort', lines)).toThrow(
      expect.objectContaining({
        code: 'CORPUS_COLUMN_MISSING',
        details: expect.objectContaining({ file: lines, column: 'sort', columns: 'text, kind' }),
      }),
    );
  });
});
