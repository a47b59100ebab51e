import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SourceDocument } from '../../src/annotate/chunks/windows.ts';
import { documentsOf, planDocuments } from '../../src/annotate/documents.ts';
import { readKeptIds } from '../../src/annotate/kept-ids.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { memoryUnit } from '../../src/corpus/memory.ts';
import { openSink } from '../../src/corpus/sink.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-documents-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function jsonl(name: string, rows: readonly object[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

/** The same rows as a Parquet file, by our own sink. */
async function parquet(name: string, rows: readonly { readonly text: string }[]): Promise<string> {
  const path = join(folder, name);
  const slabs = new SlabPool({ slabBytes: 1 << 20, nSlabs: 2 });
  let sink: Awaited<ReturnType<typeof openSink>> | null = null;
  for await (const { batch, carry } of memoryUnit(rows, slabs)) {
    sink ??= await openSink({
      format: 'parquet',
      path,
      columns: carry.columns,
      textColumn: 'text',
    });
    await sink.write({ text: batch.text, rows: null, carry, extra: {} });
    batch.release();
    carry.release();
  }
  await sink!.close();
  return path;
}

async function all(
  options: Parameters<typeof planDocuments>[0],
): Promise<(SourceDocument | null)[]> {
  const documents: (SourceDocument | null)[] = [];
  const plan = await planDocuments(options);
  for await (const document of documentsOf(plan, options.signal)) documents.push(document);
  return documents;
}

const ROWS = [
  {
    id: 'a',
    text: 'one\ntwo',
    domain: 'mill.example',
    language: 'en',
    url: 'https://other.example/',
  },
  { id: 'b', text: 'drei', domain: '', language: 'de', url: 'https://www.fluss.example/weg?x=1' },
  { id: 'c', text: '', domain: '', language: '', url: 'not a url' },
];

describe('documentsOf', () => {
  it('reads ids, domains (or hosts) and languages from Parquet and from JSON lines alike', async () => {
    const expected = [
      {
        id: 'a',
        domain: 'mill.example',
        language: 'en',
        source: '',
        text: 'one\ntwo',
        lines: ['one', 'two'],
      },
      {
        id: 'b',
        domain: 'fluss.example',
        language: 'de',
        source: '',
        text: 'drei',
        lines: ['drei'],
      },
      { id: 'c', domain: '', language: '', source: '', text: '', lines: [''] },
    ];
    expect(await all({ inputs: [jsonl('rows.jsonl', ROWS)] })).toEqual(expected);
    expect(await all({ inputs: [await parquet('rows.parquet', ROWS)] })).toEqual(expected);
  });

  it('names rows by their number where there is no id, and gives null for rows without a text', async () => {
    const path = jsonl('bare.jsonl', [{ text: 'one' }, { text: null }, { text: 'two' }]);
    const [first, second, third] = await all({ inputs: [path] });
    expect([first?.id, second, third?.id]).toEqual(['row:0', null, 'row:2']);
  });

  it('takes other columns for the text and the id', async () => {
    const path = jsonl('other.jsonl', [{ key: 7, body: 'one' }]);
    const [document] = await all({ inputs: [path], textColumn: 'body', idColumn: 'key' });
    expect(document).toMatchObject({ id: '7', text: 'one' });
  });

  it('stops when it is told to', async () => {
    const inputs = [jsonl('rows.jsonl', ROWS)];
    await expect(all({ inputs, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('readKeptIds', () => {
  it('gives the ids labelled keep', async () => {
    const rows = [
      { id: 'a', text: 'x', label: 'keep' },
      { id: 'b', text: 'y', label: 'drop' },
      { id: 'c', text: 'z', label: null },
      { id: 'd', text: '', label: 'keep' },
    ];
    expect([...(await readKeptIds(jsonl('labels.jsonl', rows), undefined))]).toEqual(['a', 'd']);
  });

  it('refuses a file without labels', async () => {
    await expect(readKeptIds(jsonl('rows.jsonl', ROWS), undefined)).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_MISSING',
    });
  });
});
