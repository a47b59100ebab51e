/** Counting by site against a naive count in JavaScript, whatever is spilled, merged or computed side by side. */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.ts';
import { seededRandom } from '../../src/seeded.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-sites-'));
afterAll(() => rmSync(folder, { recursive: true }));
const encoder = new TextEncoder();

interface Page {
  readonly site: string | null;
  readonly text: string;
}

function columnOf(texts: readonly string[]) {
  const encoded = texts.map((text) => encoder.encode(text));
  const offsets = new Int32Array(encoded.length + 1);
  for (const [row, bytes] of encoded.entries()) offsets[row + 1] = offsets[row]! + bytes.length;
  return { data: new Uint8Array(Buffer.concat(encoded)), offsets };
}

function requestOf(pages: readonly Page[]) {
  const sites = [...new Set(pages.flatMap(({ site }) => (site === null ? [] : [site])))];
  const names = columnOf(sites);
  return {
    ...columnOf(pages.map(({ text }) => text)),
    siteOf: Int32Array.from(pages, ({ site }) => (site === null ? -1 : sites.indexOf(site))),
    names: names.data,
    nameStarts: names.offsets,
  };
}

let made = 0;

async function partOf(
  pages: readonly Page[],
  {
    nThreads = 1,
    batch = 7,
    ...options
  }: { nThreads?: number; batch?: number; runRecords?: number; textBytes?: number } = {},
): Promise<string> {
  const path = join(folder, `part-${made++}`);
  const counter = native().sites.openCounter({ path, nThreads, ...options });
  for (let first = 0; first < pages.length; first += batch) {
    await counter.add(requestOf(pages.slice(first, first + batch)));
  }
  await counter.finish();
  counter.dispose();
  return path;
}

async function tableOf(parts: readonly string[], meta = '{}'): Promise<string> {
  const out = join(folder, `table-${made++}`);
  await native().sites.merge({ parts, out, meta });
  return out;
}

/** What makes two lines the same, in JavaScript: the oracle. */
function normalised(line: string): string {
  const plain = [...line].map((character) => {
    const nfkc = character.normalize('NFKC');
    return nfkc.length === 1 && character.length === 1 ? nfkc : character;
  });
  return plain
    .map((character) => {
      const lower = character.toLowerCase();
      return lower.length === 1 && character.length === 1 ? lower : character;
    })
    .join('')
    .replace(/\p{Nd}/gu, '0')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
}

const WORDS = ['Home', 'about  us', 'Page 12', 'ÉTÉ', 'ДОМ', '価格：１２円', '\tmenu ', 'x'];

function somePages(count: number, seed: number, nSites = 5): Page[] {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  return Array.from({ length: count }, (_, page) => {
    const site = pick(10) === 0 ? null : `site${pick(nSites)}.example`;
    const lines = Array.from({ length: 3 + pick(8) }, () => WORDS[pick(WORDS.length)]!);
    lines.push(
      '',
      // In letters: digits are all alike.
      `only on this page ${[...String(page)].map((digit) => 'abcdefghij'[Number(digit)]).join('')}`,
    );
    return { site, text: lines.join('\n') };
  });
}

describe('hosts', () => {
  const hostOf = (value: string): string | null => {
    const bytes = encoder.encode(value);
    const { hostOf: row, hosts } = native().sites.hosts(
      bytes,
      Int32Array.of(0, bytes.length),
      null,
    );
    return row[0] === 0 ? new TextDecoder().decode(hosts) : null;
  };

  it.each([
    ['https://Example.COM/a', 'example.com'],
    ['HTTP://user:pw@WWW.Example.com.:8080/a?b#c', 'www.example.com'],
    ['//example.com', 'example.com'],
    ['example.com', 'example.com'],
    ['example.com:80', 'example.com'],
    ['  example.com/x  ', 'example.com'],
    ['https://example.com?u=http://other.com/', 'example.com'],
    ['example.com/?u=http://other.com/', 'example.com'],
    ['https://example.com\\@evil.org', 'example.com'],
    ['https://bücher.example/', 'bücher.example'],
    ['https://[2001:DB8::1]:443/', '[2001:db8::1]'],
    ['192.168.0.1', '192.168.0.1'],
    ['localhost', 'localhost'],
  ])('of %s is %s', (value, expected) => expect(hostOf(value)).toBe(expected));

  it.each([
    '',
    ' ',
    'https://',
    'a..b',
    '.a',
    'exa mple.com',
    'data:text/html,x',
    'urn:isbn:1',
    'a%20b.com',
    'x'.repeat(300),
    '[::1',
    '<b>',
  ])('there is none in %j', (value) => expect(hostOf(value)).toBe(null));

  it('are those of the URL class, for URLs that it takes', () => {
    fc.assert(
      fc.property(fc.webUrl({ validSchemes: ['http', 'https'] }), (url) => {
        expect(hostOf(url)).toBe(new URL(url).hostname.replace(/\.$/, ''));
      }),
    );
  });

  it('leaves null rows out, and names each host once', () => {
    const { data, offsets } = columnOf(['a.com', 'b.com/x', 'a.com/y', 'c.com']);
    const found = native().sites.hosts(data, offsets, Uint8Array.of(0b0111));
    expect([...found.hostOf]).toEqual([0, 1, 0, -1]);
    expect(found.hostStarts.length).toBe(3);
  });
});

describe('counts', () => {
  it('are those of a naive count', async () => {
    const pages = somePages(200, 1);
    const table = await native().sites.openTable(await tableOf([await partOf(pages)]));
    const counted = new Map<string, Map<string, Set<number>>>();
    for (const [page, { site, text }] of pages.entries()) {
      if (site === null) continue;
      const lines = counted.get(site) ?? new Map<string, Set<number>>();
      counted.set(site, lines);
      for (const line of text.split('\n').map(normalised)) {
        lines.set(line, (lines.get(line) ?? new Set()).add(page));
      }
    }
    expect(counted.size).toBe(5);
    for (const { site, text } of pages) {
      if (site === null) continue;
      const { lines } = table.linePages(encoder.encode(text), site);
      const expected = text.split('\n').map((line) => {
        const key = normalised(line);
        const count = key === '' ? 0 : counted.get(site)!.get(key)!.size;
        return count < 2 ? 0 : count;
      });
      expect([...lines]).toEqual(expected);
    }
    table.dispose();
  });

  it('take lines for the same that are, whatever stands next to what in sixteen bytes', async () => {
    const ascii = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
    const character = fc.constantFrom(
      ...ascii.filter((own) => own !== '\n' && own !== '\u007f'),
      ...['  ', 'a', ' ', 'É', 'д', 'Д', '価', '：', '１', '日', '本', '😀', '\u00a0', '\u3000'],
    );
    const line = fc.array(character, { maxLength: 70 }).map((own) => own.join(''));
    const own = (mark: string): string =>
      ['x', 'y', 'z', 'w'].map((end) => `${mark.repeat(30)} of this page alone ${end}`).join('\n');
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 20 }), async (lines) => {
        const written = `${own('p')}\n${lines.join('\n')}`;
        const folded = `${own('q')}\n${lines.map(normalised).join('\n')}`;
        const pages = [written, folded].map((text) => ({ site: 'a.example', text }));
        const table = await native().sites.openTable(await tableOf([await partOf(pages)]));
        try {
          const counted = table.linePages(encoder.encode(written), 'a.example').lines.subarray(4);
          expect([...counted]).toEqual(lines.map((each) => (normalised(each) === '' ? 0 : 2)));
        } finally {
          table.dispose();
        }
      }),
      { numRuns: 150 },
    );
  });

  it('of many lines of a site are in order, as hashes lie', async () => {
    // More than are sorted as they come, with one line on each page.
    const words = 'abcdefghijklmnopqrstuvwxyz';
    const name = (n: number): string =>
      [...String(n)].map((digit) => words[Number(digit)]).join('');
    const pages = Array.from({ length: 300 }, (_, page) => ({
      site: 'a.example',
      text: [
        'menu',
        ...Array.from(
          { length: 40 },
          (_, at) => `line ${name(page)} ${name(at)} ${name(page * at)}`,
        ),
      ].join('\n'),
    }));
    const whole = await partOf(pages, { textBytes: 0 });
    const spilled = await partOf(pages, { textBytes: 0, runRecords: 20 });
    expect(readFileSync(spilled).equals(readFileSync(whole))).toBe(true);
    const table = await native().sites.openTable(await tableOf([whole]));
    expect([...table.linePages(encoder.encode('menu'), 'a.example').lines]).toEqual([300]);
    table.dispose();
  });

  it('are the same bytes from any number of threads, batches, runs that are spilled, and order of parts', async () => {
    const pages = somePages(600, 2, 40);
    const options = { textBytes: 0 };
    const expected = readFileSync(await partOf(pages, options));
    for (const variant of [
      { nThreads: 2 },
      { nThreads: 3, batch: 600 },
      { runRecords: 1000 },
      // More runs than are merged at once: several rounds.
      { runRecords: 37, nThreads: 2 },
    ]) {
      expect(readFileSync(await partOf(pages, { ...options, ...variant })).equals(expected)).toBe(
        true,
      );
    }
    const parts = await Promise.all(
      Array.from({ length: 70 }, (_, part) =>
        partOf(
          pages.filter((_page, at) => at % 70 === part),
          options,
        ),
      ),
    );
    const table = readFileSync(await tableOf(parts));
    expect(readFileSync(await tableOf([...parts].reverse())).equals(table)).toBe(true);
    // The part of all pages says the same of every line.
    expect(readFileSync(await tableOf([await partOf(pages, options)])).equals(table)).toBe(true);
    expect(readdirSync(folder).filter((name) => /run|merge|strings|sites\./.test(name))).toEqual(
      [],
    );
  });

  it('count a line once for a page, and copies of a page once', async () => {
    const template = 'Home\nContact\nImprint';
    const story = Array.from(
      { length: 40 },
      (_, line) =>
        `a long sentence of the story that has the letter ${'abcdefghijklmnopqrstuvwxyz'[line % 26]}${line > 25 ? 'x' : 'y'}`,
    ).join('\n');
    const pages = [
      `${template}\n${story}`,
      // A copy with another date, and one whose menu is written twice.
      `${template}\n${story}\nseen on 3 May`,
      `${template}\n${template}\n${story}`,
      `${template}\nsomething else`,
    ].map((text) => ({ site: 'a.example', text }));
    const table = await native().sites.openTable(await tableOf([await partOf(pages)]));
    const { pages: nPages, lines } = table.linePages(
      encoder.encode(`${template}\n${story}`),
      'a.example',
    );
    expect(nPages).toBe(2);
    expect([...lines.slice(0, 3)]).toEqual([2, 2, 2]);
    // The story stands on three pages, which are one.
    expect(new Set(lines.slice(3))).toEqual(new Set([0]));
    table.dispose();
  });

  it('keep texts of the template, the most frequent first', async () => {
    const pages = Array.from({ length: 20 }, (_, page) => ({
      site: 'b.example',
      text: `Menu ${page}0\nImprint${page < 5 ? '\nSeldom' : ''}${page < 2 ? '\nTwice' : ''}\npage ${String.fromCharCode(97 + page)}`,
    }));
    const table = await native().sites.openTable(await tableOf([await partOf(pages)], '{"a":1}'));
    expect(table.meta).toBe('{"a":1}');
    const { texts, pages: nPages, repeated, template } = table.texts('b.example');
    expect({ nPages, repeated, template }).toEqual({ nPages: 20, repeated: 5, template: 4 });
    // `menu 00` and `menu 000` are two lines, the second on none of the pages whose texts are kept; what stands on two
    // of twenty pages is no template.
    expect(texts).toEqual([{ pages: 20, text: 'imprint' }, ...texts.slice(1)]);
    expect(texts.map(({ text }) => text).sort()).toEqual(['imprint', 'menu 00', 'seldom']);
    expect(table.texts('c.example')).toMatchObject({ pages: 0, texts: [] });
    expect(table.largest(3)).toEqual([{ name: 'b.example', pages: 20 }]);
    table.dispose();
  });

  it('take a line of megabytes, a page of nothing and bytes that are no text', async () => {
    const long = 'x y'.repeat(3_000_000);
    const pages = [long, long, '', '\n\n', 'short\nmenu', 'short\nmenu\nmore'].map((text) => ({
      site: 'd.example',
      text,
    }));
    const table = await native().sites.openTable(await tableOf([await partOf(pages)]));
    expect([...table.linePages(encoder.encode(`${long}\nshort`), 'd.example').lines]).toEqual([
      0, 2,
    ]);
    table.dispose();
    const data = Uint8Array.from({ length: 4000 }, (_, at) => (at * 73 + (at >> 5)) & 255);
    const path = join(folder, 'noise');
    const counter = native().sites.openCounter({ path, nThreads: 1 });
    await counter.add({
      data,
      offsets: Int32Array.of(0, 2000, 4000),
      siteOf: Int32Array.of(0, 0),
      names: encoder.encode('e'),
      nameStarts: Int32Array.of(0, 1),
    });
    expect((await counter.finish()).pages).toBe(2);
  });

  it('hold millions of sites of one page in bounded memory', async () => {
    const path = join(folder, 'hosts');
    const counter = native().sites.openCounter({ path, nThreads: 1, runRecords: 1 << 16 });
    const nSites = 20_000;
    const names = columnOf(Array.from({ length: nSites }, (_, site) => `h${site}.example`));
    const texts = columnOf(Array.from({ length: nSites }, () => 'hello'));
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 30; round++) {
      // Other names each time.
      const own = columnOf(
        Array.from({ length: nSites }, (_, site) => `h${round}-${site}.example`),
      );
      await counter.add({
        ...texts,
        siteOf: Int32Array.from({ length: nSites }, (_, row) => row),
        names: own.data,
        nameStarts: own.offsets,
      });
    }
    expect(names.offsets.length).toBe(nSites + 1);
    const { pages } = await counter.finish();
    expect(pages).toBe(600_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    const table = await native().sites.openTable(await tableOf([path]));
    expect(table.counts).toMatchObject({
      pages: 600_000,
      sites: 600_000,
      sitesKept: 0,
      linesKept: 0,
    });
    table.dispose();
  });
});

describe('what is refused', () => {
  it('is a site of a row that has no name, and offsets outside the data', async () => {
    const counter = native().sites.openCounter({ path: join(folder, 'refused'), nThreads: 1 });
    const request = requestOf([{ site: 'a', text: 'b' }]);
    await expect(counter.add({ ...request, siteOf: Int32Array.of(1) })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'siteOf[0]' },
    });
    await expect(counter.add({ ...request, offsets: Int32Array.of(0, 9) })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'offsets[1]' },
    });
    await expect(counter.add({ ...request, siteOf: Int32Array.of() })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'siteOf' },
    });
    counter.dispose();
    await expect(counter.add(request)).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('is a file that was cut, changed in any byte, or is none', async () => {
    const pages = somePages(60, 5, 2);
    const part = await partOf(pages);
    const table = await tableOf([part]);
    const broken = join(folder, 'broken');
    const random = seededRandom(9);
    for (const [file, open] of [
      [table, () => native().sites.openTable(broken)],
      [part, () => native().sites.merge({ parts: [broken], out: join(folder, 'never'), meta: '' })],
    ] as const) {
      const bytes = readFileSync(file);
      for (let trial = 0; trial < 200; trial++) {
        const damaged = Buffer.from(bytes);
        const at = Math.floor(random() * bytes.length);
        damaged[at]! ^= 1 << Math.floor(random() * 8);
        writeFileSync(broken, trial % 4 === 0 ? bytes.subarray(0, at) : damaged);
        await expect(open()).rejects.toMatchObject({ code: 'SITES_FILE_INVALID' });
      }
      copyFileSync(file, broken);
      await open();
    }
    await expect(native().sites.openTable(folder)).rejects.toMatchObject({
      code: 'SITES_FILE_INVALID',
    });
    await expect(native().sites.openTable(join(folder, 'absent'))).rejects.toMatchObject({
      code: 'SITES_FILE_INVALID',
    });
  });

  it('stops when it is told to', async () => {
    const signal = AbortSignal.abort();
    const counter = native().sites.openCounter({ path: join(folder, 'stopped'), nThreads: 1 });
    await expect(counter.add(requestOf(somePages(5, 3)), signal)).rejects.toMatchObject({
      code: 'ABORTED',
    });
    const part = await partOf(somePages(5, 3));
    await expect(
      native().sites.merge({ parts: [part], out: join(folder, 'x'), meta: '' }, signal),
    ).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
