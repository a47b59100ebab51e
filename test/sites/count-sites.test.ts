/** Counting corpora by site: what is counted, that it is the same from any way of counting, and what is refused. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { countSites } from '../../src/sites/count-sites.ts';
import { openSites } from '../../src/sites/site-file.ts';
import { sitePages, templateOf, writeJsonl } from './sites-support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-count-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SITES = ['alpha.example', 'beta.example', 'gamma.example'];
const pages = sitePages(330, SITES);
const corpus = join(folder, 'corpus');
mkdirSync(corpus);
for (let part = 0; part < 6; part++) {
  writeJsonl(join(corpus, `${part}.jsonl`), pages.slice(part * 55, (part + 1) * 55));
}
let made = 0;
const outFile = (): string => join(folder, `${made++}.counts`);

describe('a count', () => {
  it('says how many pages of a site hold each line of its template', async () => {
    const out = outFile();
    const told: number[] = [];
    const summary = await countSites({
      inputs: corpus,
      out,
      threads: 1,
      onProgress: (progress) => told.push(progress.bytes),
    });
    expect(summary).toMatchObject({ siteColumn: 'url', units: 6, unitsResumed: 0, rows: 300 });
    expect(summary.counts).toMatchObject({ sites: 3, sitesKept: 3, pages: 300, rows: 300 });
    expect(told.at(-1)).toBeGreaterThan(0);
    expect(existsSync(`${out}.counting`)).toBe(false);
    using sites = await openSites(out);
    for (const site of SITES) {
      const { pages: nPages, lines } = sites.template(`http://WWW.${site.toUpperCase()}:80/x`);
      expect(nPages).toBe(100);
      const texts = lines.filter((line) => line.pages === 100).map(({ text }) => text);
      expect(texts).toEqual(
        expect.arrayContaining(templateOf(site).map((line) => line.toLowerCase())),
      );
    }
    expect(sites.largest(2).map((site) => site.pages)).toEqual([100, 100]);
    expect(() => sites.template('other.example')).toThrow(
      expect.objectContaining({ code: 'SITES_NOT_KNOWN' }),
    );
  });

  it('is the same bytes from one thread and two, from workers in any order, and goes on where it was cut off', async () => {
    const first = outFile();
    await countSites({ inputs: corpus, out: first, threads: 1 });
    const expected = readFileSync(first);
    const second = outFile();
    await countSites({ inputs: corpus, out: second, threads: 4 });
    expect(readFileSync(second).equals(expected)).toBe(true);

    const shared = outFile();
    for (const index of [2, 0, 1]) {
      const share = await countSites({
        inputs: corpus,
        out: shared,
        threads: 1,
        worker: { index, count: 3 },
      });
      expect(share).toMatchObject({ units: 2, counts: null });
    }
    expect(existsSync(shared)).toBe(false);
    const whole = await countSites({ inputs: corpus, out: shared, threads: 1 });
    expect(whole).toMatchObject({ units: 6, unitsResumed: 6 });
    expect(readFileSync(shared).equals(expected)).toBe(true);

    const cut = outFile();
    const controller = new AbortController();
    const stopped = countSites({
      inputs: corpus,
      out: cut,
      threads: 1,
      signal: controller.signal,
      onProgress: ({ bytes, nBytes }) => {
        if (bytes > nBytes / 2) controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    expect(existsSync(cut)).toBe(false);
    const resumed = await countSites({ inputs: corpus, out: cut, threads: 1 });
    expect(resumed.unitsResumed).toBeGreaterThan(1);
    expect(readFileSync(cut).equals(expected)).toBe(true);
  });

  it('that is there is not made again, and one of other inputs is not replaced', async () => {
    const out = outFile();
    const before = await countSites({ inputs: corpus, out });
    const notices: string[] = [];
    const again = await countSites({ inputs: corpus, out, onNotice: (line) => notices.push(line) });
    expect(again.counts).toEqual(before.counts);
    expect(notices.join('\n')).toContain('already');
    await expect(countSites({ inputs: join(corpus, '0.jsonl'), out })).rejects.toMatchObject({
      code: 'RUN_CHANGED',
    });
  });

  it('counts no page without a site, and takes hosts as they are spelt', async () => {
    const path = join(folder, 'spelt.jsonl');
    const text = 'Menu\nImprint';
    writeJsonl(path, [
      { host: 'A.example.org', text: `${text}\none` },
      { host: 'b.EXAMPLE.org.', text: `${text}\ntwo` },
      { host: 'user:pw@example.org:8080', text: `${text}\nthree` },
      { host: null, text: `${text}\nfour` },
      { host: 'not a host', text: `${text}\nfive` },
      { text: `${text}\nsix` },
      { host: 'example.org', text: null },
    ]);
    const out = outFile();
    const { siteColumn, rows } = await countSites({ inputs: path, out });
    expect({ siteColumn, rows }).toEqual({ siteColumn: 'host', rows: 4 });
    using sites = await openSites(out);
    expect(sites.template('example.org')).toMatchObject({ pages: 4, repeatedLines: 2 });
  });
});

describe('what is refused', () => {
  it('is a corpus whose column nobody can tell, and one that it does not have', async () => {
    const path = join(folder, 'two.jsonl');
    writeJsonl(path, [{ url: 'https://a.example', uri: 'https://b.example', text: 'x', n: 1 }]);
    await expect(countSites({ inputs: path, out: outFile() })).rejects.toMatchObject({
      code: 'SITES_COLUMN_UNKNOWN',
    });
    await expect(
      countSites({ inputs: path, out: outFile(), siteColumn: 'link' }),
    ).rejects.toMatchObject({ code: 'CORPUS_COLUMN_MISSING' });
    await expect(
      countSites({ inputs: path, out: outFile(), siteColumn: 'n' }),
    ).rejects.toMatchObject({ code: 'CORPUS_COLUMN_TYPE' });
    await countSites({ inputs: path, out: outFile(), siteColumn: 'uri' });
  });

  it('leaves nothing but what it can go on with', () => {
    const left = readdirSync(folder).filter(
      (name) => !/^(?:\d+\.counts(?:\.counting)?|corpus|.*\.jsonl)$/.test(name),
    );
    expect(left).toEqual([]);
  });
});
