/** Runs that look at sites: what goes by that, that nothing else changes, and that a run goes on where it was cut off. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planCorpus } from '../../src/corpus/plan.ts';
import { readRowBatches } from '../../src/corpus/rows.ts';
import { openRefiner } from '../../src/refine/refiner.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { countSites } from '../../src/sites/count-sites.ts';
import { start } from '../cli/support.ts';
import { openDuck, query } from '../corpus/duck.ts';
import { sitePages, writeJsonl } from '../sites/sites-support.ts';
import { readRows, type WrittenRow } from '../support/rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-refine-sites-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Lines that read like text: the page alone keeps them, and every page of the site has them. */
const NOTICE = [
  'Our community has been discussing gardens and the weather since the spring of 1998',
  'Members of the club may borrow tools from the shed behind the old mill in summer',
  'Readers who write to us receive an answer within a week, or a little later in May',
];
const SITES = ['alpha.example', 'beta.example'];
const pages = sitePages(88, SITES).map((page) => ({
  ...page,
  text: `${page.text}\n${NOTICE.join('\n')}\n${NOTICE.toReversed().join('\n')}`,
}));
const corpus = join(folder, 'corpus');
mkdirSync(corpus);
for (let part = 0; part < 4; part++) {
  writeJsonl(join(corpus, `${part}.jsonl`), pages.slice(part * 22, (part + 1) * 22));
}
const counts = join(folder, 'sites.counts');
beforeAll(async () => {
  await countSites({ inputs: corpus, out: counts, threads: 1 });
});

let made = 0;
async function run(
  options: Partial<RefineCorpusOptions> = {},
): Promise<{ out: string; rows: WrittenRow[]; reasons: readonly string[] }> {
  const { out = join(folder, `out-${made++}`) } = options;
  const summary = await refineCorpus({
    inputs: corpus,
    out,
    isolate: false,
    threads: 1,
    chunkModel: 'default',
    ...options,
  });
  return { out, rows: readRows(out), reasons: Object.keys(summary.reasons) };
}

const filesOf = (out: string) =>
  readdirSync(out)
    .filter((name) => name.startsWith('part-'))
    .map((name) => [name, readFileSync(join(out, name)).toString('base64')]);

describe('a run with sites', () => {
  it('removes what they repeat, says so, and writes the hash of the counts into run.json', async () => {
    const without = await run();
    const hinted: string[] = [];
    const { out, rows } = await run({ siteColumn: 'url', onNotice: (line) => hinted.push(line) });
    const charsOf = (all: readonly WrittenRow[]): number =>
      all.reduce((sum, { text }) => sum + (text?.length ?? 0), 0);
    expect(charsOf(rows)).toBeLessThan(charsOf(without.rows));
    const bySite = rows.filter((row) => row['gristmill_reason'] === 'edited_by_site');
    expect(bySite.length).toBeGreaterThan(20);
    expect(without.rows.some((row) => row['gristmill_reason'] === 'edited_by_site')).toBe(false);
    // Rows without a URL come out as they do without.
    const untold = new Map(without.rows.map((row) => [row['id'], row]));
    for (const row of rows) {
      if (row['url'] === null) expect(row).toEqual(untold.get(row['id']));
    }
    expect(hinted.join('\n')).toContain('counting lines by site');
    const identity = JSON.parse(readFileSync(join(out, '_gristmill/run.json'), 'utf8'));
    expect(identity.sites).toMatchObject({ column: 'url' });
    expect(identity.sites.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(existsSync(join(out, '_gristmill/sites.counts'))).toBe(true);
  });

  it('is the same by counts made before, in another process, with two threads, and after it was cut off in both passes', async () => {
    const expected = filesOf((await run({ siteColumn: 'url' })).out);
    expect(filesOf((await run({ sites: counts })).out)).toEqual(expected);
    expect(filesOf((await run({ siteColumn: 'url', isolate: true, threads: 2 })).out)).toEqual(
      expected,
    );

    const out = join(folder, 'cut');
    const options = {
      ...{ inputs: corpus, out, isolate: false, threads: 1 },
      ...{ chunkModel: 'default', siteColumn: 'url' },
    };
    for (const word of ['counting lines', 'loading models']) {
      const stop = new AbortController();
      const cut = refineCorpus({
        ...options,
        signal: stop.signal,
        onNotice: (line) => {
          if (line.startsWith(word)) setImmediate(() => stop.abort());
        },
      });
      await expect(cut).rejects.toMatchObject({ code: 'ABORTED' });
    }
    await refineCorpus(options);
    expect(filesOf(out)).toEqual(expected);
  });

  it('changes nothing where no site has three pages', async () => {
    const lone = join(folder, 'lone.jsonl');
    writeJsonl(
      lone,
      pages.map((page, at) => ({ ...page, url: `https://site${at >> 1}.example/` })),
    );
    const plain = await run({ inputs: lone });
    const told = await run({ inputs: lone, siteColumn: 'url' });
    expect(filesOf(told.out)).toEqual(filesOf(plain.out));
    const broken = join(folder, 'broken.jsonl');
    writeJsonl(
      broken,
      pages.map((page) => ({ ...page, url: 'no url at all' })),
    );
    expect(filesOf((await run({ inputs: broken, siteColumn: 'url' })).out)).toEqual(
      filesOf((await run({ inputs: broken })).out),
    );
  });

  it('is another run than one without, and than one by other counts', async () => {
    const { out } = await run({ sites: counts });
    const again = {
      inputs: corpus,
      out,
      isolate: false,
      threads: 1,
      chunkModel: 'default',
    } as const;
    await expect(refineCorpus(again)).rejects.toMatchObject({ code: 'RUN_CHANGED' });
    const other = join(folder, 'other.counts');
    await countSites({ inputs: join(corpus, '0.jsonl'), out: other, threads: 1 });
    await expect(refineCorpus({ ...again, sites: other })).rejects.toMatchObject({
      code: 'RUN_CHANGED',
    });
  });

  it('finds the column by itself where it is asked to, and goes on as it has begun, alone and as one of several', async () => {
    const named = await run({ siteColumn: 'url' });
    const told: string[] = [];
    const found = await run({ site: true, onNotice: (line) => told.push(line) });
    expect(filesOf(found.out)).toEqual(filesOf(named.out));
    expect(told.join('\n')).toContain('counting lines by site, by column url');

    // One unit is left; whoever comes does it by the counts that are there.
    const identity = readFileSync(join(found.out, '_gristmill/run.json'), 'utf8');
    for (const more of [{}, { site: true }, { worker: { index: 0, count: 1 } }]) {
      rmSync(join(found.out, '_gristmill/units/00001.json'));
      rmSync(join(found.out, 'part-00001.jsonl.zst'));
      const lines: string[] = [];
      const onNotice = (line: string) => lines.push(line);
      await run({ out: found.out, ...more, onNotice });
      expect(lines.join('\n')).toContain('sites by column url, as before');
      expect(readFileSync(join(found.out, '_gristmill/run.json'), 'utf8')).toBe(identity);
      expect(filesOf(found.out)).toEqual(filesOf(named.out));
    }
  });

  it('is not one where nobody asks: the plan says how to, unless that was declined', async () => {
    const lines: string[] = [];
    const plain = await run({ onNotice: (line) => lines.push(line) });
    expect(lines.join('\n')).toContain('--site makes what sites repeat count');
    const declined: string[] = [];
    const without = await run({ site: false, onNotice: (line) => declined.push(line) });
    expect(declined.join('\n')).not.toContain('site');
    expect(filesOf(without.out)).toEqual(filesOf(plain.out));
    expect(existsSync(join(plain.out, '_gristmill/sites.counts'))).toBe(false);
    // A run that has begun without goes on without.
    rmSync(join(plain.out, '_gristmill/units/00000.json'));
    rmSync(join(plain.out, 'part-00000.jsonl.zst'));
    await run({ out: plain.out });
    expect(filesOf(plain.out)).toEqual(filesOf(without.out));
    await expect(run({ out: plain.out, siteColumn: 'url' })).rejects.toMatchObject({
      code: 'RUN_CHANGED',
    });
  });

  it('asks for the column where several can be meant, or none', async () => {
    const two = join(folder, 'two-columns.jsonl');
    writeJsonl(
      two,
      pages.map((page) => ({ ...page, uri: page.url })),
    );
    await expect(run({ inputs: two, site: true })).rejects.toMatchObject({
      code: 'SITES_COLUMN_UNKNOWN',
    });
    const none = join(folder, 'no-column.jsonl');
    writeJsonl(
      none,
      pages.map(({ id, text }) => ({ id, text })),
    );
    await expect(run({ inputs: none, site: true })).rejects.toMatchObject({
      code: 'SITES_COLUMN_UNKNOWN',
    });
    const told: string[] = [];
    await run({ inputs: two, onNotice: (line) => told.push(line) });
    expect(told.join('\n')).not.toContain('--site');
    for (const wrong of [{ siteColumn: 'url' }, { sites: counts }]) {
      await expect(run({ site: false, ...wrong })).rejects.toMatchObject({
        code: 'OPTION_INVALID',
      });
    }
    for (const wrong of [
      { limit: 3 },
      { worker: { index: 0, count: 2 } },
      { stages: ['document'] as const, documentModel: 'default' },
    ]) {
      await expect(run({ site: true, ...wrong })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
  });

  it('is refused where lines are not scored, where the corpus is read once, and where the column is not there', async () => {
    await expect(
      run({ siteColumn: 'url', stages: ['document'], documentModel: 'default' }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(run({ siteColumn: 'url', limit: 3 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(run({ siteColumn: 'url', worker: { index: 0, count: 2 } })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(run({ siteColumn: 'link' })).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_MISSING',
    });
    await expect(run({ sites: join(corpus, '0.jsonl') })).rejects.toMatchObject({
      code: 'SITES_FILE_INVALID',
    });
  });
});

describe('the reason of the site', () => {
  /** Rows by their reason, of files that are read back. */
  async function reasonsOf(inputs: readonly string[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const plan = await planCorpus({ inputs, textColumn: 'text' });
    for await (const { columns } of readRowBatches(plan)) {
      const byName = await columns();
      const ids = byName.get('id') as readonly string[];
      const reasons = byName.get('gristmill_reason') as readonly string[];
      for (const [row, id] of ids.entries()) found.set(id, reasons[row]!);
    }
    return found;
  }

  it('stands in Parquet and in an Arrow stream as in JSON lines', async () => {
    const { rows } = await run({ sites: counts });
    const expected = new Map(rows.map((row) => [row.id!, row['gristmill_reason'] as string]));
    expect([...expected.values()]).toContain('edited_by_site');
    const parquet = join(folder, 'parquet');
    const options = { inputs: corpus, isolate: false, threads: 1, chunkModel: 'default' } as const;
    await refineCorpus({ ...options, out: parquet, format: 'parquet', sites: counts });
    const parts = readdirSync(parquet).filter((name) => name.startsWith('part-'));
    expect(parts.every((name) => name.endsWith('.parquet'))).toBe(true);
    expect(await reasonsOf(parts.map((name) => join(parquet, name)))).toEqual(expected);
    // From Parquet too, whose columns reach the counts without JSON.
    const again = join(folder, 'from-parquet');
    const source = join(folder, 'source.parquet');
    const db = await openDuck();
    await query(db, `COPY (SELECT * FROM read_json_auto('${corpus}/*.jsonl')) TO '${source}'`);
    const { reasons } = await refineCorpus({ ...options, inputs: source, out: again, site: true });
    expect(reasons['edited_by_site']).toBeGreaterThan(20);

    const models = ['--chunk-model', 'default', '--threads', '1', '--site-column', 'url'];
    const { code, stdout } = await start([
      'refine',
      corpus,
      '--out',
      '-',
      '--sites',
      counts,
      ...models,
    ]).finished;
    expect(code).toBe(0);
    const stream = join(folder, 'stream.arrows');
    writeFileSync(stream, stdout);
    expect(await reasonsOf([stream])).toEqual(expected);
  });
});

describe('a refiner with sites', () => {
  it('refines texts by what their sites repeat, and others as ever', async () => {
    const texts = pages.slice(0, 8).map(({ text }) => text);
    const urls = pages.slice(0, 8).map(({ url }) => url);
    const options = { chunkModel: 'default', threads: 1 } as const;
    await using plain = await openRefiner(options);
    await using refiner = await openRefiner({ ...options, sites: counts });
    const without = await plain.refine(texts);
    expect(await refiner.refine(texts)).toEqual(without);
    const withUrls = await refiner.refine(texts, { urls });
    expect(withUrls.some(({ reason }) => reason === 'edited_by_site')).toBe(true);
    const rows = [];
    for await (const { row: _, ...document } of refiner.refineRows(pages.slice(0, 8), {
      url: 'url',
    })) {
      rows.push(document);
    }
    expect(rows).toEqual(withUrls);
    await expect(plain.refine(texts, { urls })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(refiner.refine(texts, { urls: ['a.example'] })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });
});
