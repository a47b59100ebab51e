/** Runs of other forms: JSON lines, inputs that are gone, an index that is damaged, a run under way. */
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ShownDocument } from '../../src/inspect/document.ts';
import type { QueryResult } from '../../src/inspect/query.ts';
import { openInspector } from '../../src/inspect/server.ts';
import { clientOf, refined, temporaryFolder } from './support.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

const PAGE = [
  'Home',
  'Menu',
  'Subscribe to our newsletter',
  ...Array.from({ length: 8 }, (_, at) => {
    return `In the year ${1800 + at} the harbour was built of grey stone, and its walls still hold against the storms that come from the west in every winter.`;
  }),
  'Cookie settings',
  '© 2024 All rights reserved',
].join('\n');

function writeRows(name: string): string {
  const path = join(folder, name);
  const rows = Array.from({ length: 20 }, (_, at) => {
    if (at === 7) return '{"text": 3}';
    const url = `https://www.site-${at % 3}.example/page?x=${at}`;
    return JSON.stringify({
      text: at % 5 === 4 ? 'OK' : PAGE,
      id: `page ${at}`,
      url,
      language: 'en',
    });
  });
  writeFileSync(path, `${rows.join('\n')}\n`);
  return path;
}

interface Counts {
  readonly total: number;
  readonly statuses: Record<string, number>;
  readonly domains: string[];
}

async function look(dir: string): Promise<{ counts: Counts; document: ShownDocument }> {
  await using inspector = await openInspector({ dir });
  const client = clientOf(inspector);
  await client.rest();
  const { total, facets, rows } = await client.post<QueryResult>('query', {});
  const edited = rows.find(({ status }) => status === 'edited')!;
  const document = await client.get<ShownDocument>(
    `document?unit=${edited.unit}&position=${edited.position}`,
  );
  const statuses = Object.fromEntries(facets.status.map(({ name, count }) => [name!, count]));
  return {
    counts: { total, statuses, domains: facets.domain.map(({ name }) => name!).sort() },
    document,
  };
}

describe('runs of other forms', () => {
  it('of JSON lines are shown as those of Parquet are, damaged index or not', async () => {
    const input = writeRows('rows.jsonl');
    const lines = await refined(input, join(folder, 'lines'));
    const first = await look(lines);
    expect(first.counts.total).toBe(20);
    expect(first.counts.statuses['failed']).toBe(1);
    expect(first.counts.domains).toEqual([
      '(none)',
      'site-0.example',
      'site-1.example',
      'site-2.example',
    ]);
    expect(first.document.missing).toBeNull();
    expect(first.document.counts.removed).toBeGreaterThan(0);
    const index = join(lines, '_gristmill/inspect/index');
    const whole = readFileSync(index);
    truncateSync(index, whole.byteLength - 5);
    expect((await look(lines)).counts).toEqual(first.counts);
    writeFileSync(
      index,
      Buffer.concat([whole.subarray(0, 8), Buffer.from('{"version":1}'), whole.subarray(8)]),
    );
    expect((await look(lines)).counts).toEqual(first.counts);
    const parquet = await refined(input, join(folder, 'parquet'), { format: 'parquet' });
    const other = await look(parquet);
    expect(other.counts.statuses).toEqual(first.counts.statuses);
    expect(other.document.lines).toEqual(first.document.lines);
  });

  it('show what the run wrote where the inputs are gone, and say why', async () => {
    const input = writeRows('gone.jsonl');
    const dir = await refined(input, join(folder, 'gone'), { format: 'parquet' });
    renameSync(input, `${input}.away`);
    const { document } = await look(dir);
    expect(document.missing).toContain('gone.jsonl');
    expect(document.lines.every(({ state }) => state === 'kept')).toBe(true);
    expect(document.nLines).toBeGreaterThan(3);
  });

  it('under way show what is committed, and what is committed later', async () => {
    const input = writeRows('late.jsonl');
    const dir = await refined(input, join(folder, 'late'), { format: 'parquet' });
    const record = join(dir, '_gristmill/units/00000.json');
    const away = join(folder, 'record.json');
    renameSync(record, away);
    await using inspector = await openInspector({ dir });
    const client = clientOf(inspector);
    await client.rest();
    expect((await client.post<QueryResult>('query', {})).total).toBe(0);
    renameSync(away, record);
    for (let tries = 0; tries < 400; tries++) {
      if ((await client.post<QueryResult>('query', {})).total === 20) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect((await client.post<QueryResult>('query', {})).total).toBe(20);
    expect((await client.get<ShownDocument>('document?unit=0&position=0')).id).toBe('page 0');
    rmSync(join(dir, '_gristmill/inspect'), { recursive: true, force: true });
  });
});
