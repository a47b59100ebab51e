/** A site's template beside its pages, in the inspector and in the report, whatever stands in its lines. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ShownDocument } from '../../src/inspect/document.ts';
import { openInspector } from '../../src/inspect/server.ts';
import { reportRun } from '../../src/report/report.ts';
import { openSites } from '../../src/sites/site-file.ts';
import { sitePages, templateOf, writeJsonl } from '../sites/sites-support.ts';
import { clientOf, refined, temporaryFolder } from './support.ts';

const { folder, remove } = temporaryFolder();
const HOSTILE = ['<script>window.pwned = 1</script>', '\u202eright to left', '\u001b[31mred'];
const SITES = ['alpha.example', 'beta.example'];
const rows = [
  ...sitePages(44, SITES).map((row) => ({ ...row, text: `${HOSTILE.join('\n')}\n${row.text}` })),
  { id: 'lone', url: 'https://lone.example/', text: 'A page without others of its site.' },
];
let out: string;

beforeAll(async () => {
  const corpus = join(folder, 'corpus.jsonl');
  writeJsonl(corpus, rows);
  out = await refined(corpus, join(folder, 'out'), { site: true, idColumn: 'id' });
});
afterAll(remove);

describe('a page in the inspector', () => {
  it('has its site beside it, and says of each line on how many pages it stands', async () => {
    await using inspector = await openInspector({ dir: out });
    const client = clientOf(inspector);
    await client.rest();
    using sites = await openSites(join(out, '_gristmill/sites.counts'));
    let nSeen = 0;
    for (const [position, row] of rows.entries()) {
      const shown = await client.get<ShownDocument>(`document?unit=0&position=${position}`);
      // dropped/ does not have the column.
      if (row.url === null || row.id === 'lone' || shown.status === 'dropped') {
        expect(shown.site).toBe(null);
        expect(shown.lines.every(({ sitePages: pages }) => pages === null)).toBe(true);
        continue;
      }
      const name = new URL(row.url).hostname.slice('www.'.length);
      const template = sites.template(name);
      expect(shown.site).toMatchObject({ name, pages: 20, nTemplate: template.templateLines });
      const texts = shown.site!.template.map(({ text }) => text);
      expect(texts).toEqual(
        expect.arrayContaining(templateOf(name).map((line) => line.toLowerCase())),
      );
      // What is hidden is written out.
      expect(texts).toContain('\\u202eright to left');
      expect(texts.join('')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      const lines = row.text.split('\n');
      for (const { line, sitePages: pages } of shown.lines) {
        if (line === null) continue;
        if (templateOf(name).includes(lines[line]!)) expect(pages).toBe(20);
        nSeen++;
      }
    }
    expect(nSeen).toBeGreaterThan(300);
  });

  it('is shown without where the counts are damaged or gone', async () => {
    const plain = await refined(join(folder, 'corpus.jsonl'), join(folder, 'damaged'), {
      site: true,
    });
    const file = join(plain, '_gristmill/sites.counts');
    writeFileSync(file, 'damaged');
    for (const isThere of [true, false]) {
      if (!isThere) rmSync(file);
      await using inspector = await openInspector({ dir: plain });
      const client = clientOf(inspector);
      await client.rest();
      const shown = await client.get<ShownDocument>('document?unit=0&position=0');
      expect(shown.site).toBe(null);
      expect((await reportRun(plain)).data).toMatchObject({ sites: null });
    }
  });
});

describe('a report', () => {
  it('shows the templates of the largest sites, as text', async () => {
    const { html, data } = await reportRun(out);
    const { document } = parseHTML(html);
    expect(document.querySelectorAll('script').length).toBe(0);
    const headings = [...document.querySelectorAll('h2')].map((each) => each.textContent);
    expect(headings).toContain('What sites repeat');
    const text = document.querySelector('main')!.textContent!;
    for (const seen of [
      'Template of alpha.example',
      '<script>window.pwned = 0</script>',
      '\\u202e',
    ]) {
      expect(text).toContain(seen);
    }
    const { sites } = data as {
      sites: { column: string; largest: { name: string; pages: number }[] };
    };
    expect(sites.column).toBe('url');
    expect(sites.largest.map(({ name }) => name).sort()).toEqual(SITES);
    const without = await refined(join(folder, 'corpus.jsonl'), join(folder, 'without'), {
      site: false,
    });
    expect((await reportRun(without)).html).not.toContain('What sites repeat');
  });
});
