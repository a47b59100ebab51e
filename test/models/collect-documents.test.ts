/** The collector of training documents, over small folders laid out as npm, pip, Debian and a checkout lay theirs out. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../models/collect-documents.mjs', import.meta.url));

interface Row {
  readonly id: string;
  readonly kind: string;
  readonly source: string;
  readonly package: string;
  readonly licence: string;
  readonly language: string;
  readonly text: string;
}

const WORDS =
  `kettle harbour lantern meadow copper violin saddle orchard thunder pebble marble feather anchor candle
bridge barrel needle willow hammer ribbon basket compass furnace garden glacier hollow island jacket ladder mirror
napkin oyster parcel quarry rocket shovel tunnel umbrella valley window yogurt zipper acorn bucket canyon dagger`
    .split(/\s+/)
    .filter((word) => word !== '');

/** English of its own for every seed: no two are near-duplicates. */
function prose(seed: number, sentences = 8): string {
  const word = (at: number) => WORDS[(seed * 31 + at * (seed + 7)) % WORDS.length]!;
  return Array.from(
    { length: sentences },
    (_, at) =>
      `When the ${word(at * 5)} of option ${seed}.${at} is set, it moves ${word(at * 5 + 1)} and ${word(at * 5 + 2)} to the ${word(at * 5 + 3)}, which can not be as ${word(at * 5 + 4)} as before.`,
  ).join('\n');
}

const CODE = `// Keeps what was put in last at hand, and forgets the oldest entry.
export class RecentlyUsed {
  #entries = new Map();
  constructor(limit) {
    this.limit = limit;
  }
  get(key) {
    const value = this.#entries.get(key);
    if (value !== undefined) this.put(key, value);
    return value;
  }
  put(key, value) {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    const oldest = this.#entries.keys().next();
    if (this.#entries.size > this.limit) this.#entries.delete(oldest.value);
  }
}
`;

const MAN = `.\\" made for a test
.TH GRIND 1 "2026-11-01"
.de XX
never seen
..
.SH NAME
grind \\- turn grain into flour
.SH SYNOPSIS
.B grind
.RI [ file ...]
.SH DESCRIPTION
The mill reads grain from each
.I file
and writes flour to its output, one sack after another, until no grain is left in the hopper.
.TP
.BI \\-w " width"
Distance between the stones; the flour is coarse if it is large and fine when it is small.
.nf
  grind \\-w 3 rye.txt
.fi
${Array.from({ length: 4 }, (_, at) => `.PP\n${prose(50 + at, 2)}`).join('\n')}
`;

const HTML = `<!doctype html><html><head><title>Mill</title></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Cart of the shop</a></li></ul></nav>
<main><h1>Choosing a stone&nbsp;&amp; setting it</h1><p>${prose(60, 6)}</p><pre>mill --stone granite
  --gap 2</pre><ul><li>first the lower stone</li><li>then the upper one</li></ul></main>
<footer>All rights reserved by the mill</footer></body></html>`;

const GERMAN = `# Mühlenkunde

Die Mühle mahlt das Getreide und der Müller stellt den Abstand der Steine ein. Mit einem engen Spalt wird das Mehl fein,
mit einem weiten ist es grob. Auf dem Boden liegen die Säcke, die nicht mehr in die Kammer passen, und auch der Wagen
steht für den nächsten Tag bereit. Wer eine eigene Mühle betreiben will, muss die Steine von Zeit zu Zeit schärfen und
das Wasser im Graben sauber halten, damit das Rad sich gleichmäßig dreht und der Riemen keinen Schaden nimmt.
`;

describe('collect-documents', () => {
  const root = mkdtempSync(join(tmpdir(), 'gristmill-collect-'));
  const put = (path: string, content: string | Buffer): void => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  };
  const manifest = (name: string, license: string) => JSON.stringify({ name, license });
  let rows: Row[] = [];
  let printed = '';

  beforeAll(() => {
    const modules = 'npm/site/node_modules';
    put(`${modules}/mill-one/package.json`, manifest('mill-one', 'MIT'));
    put(`${modules}/mill-one/README.md`, `# mill-one\n\n${prose(1)}\n`);
    put(`${modules}/mill-one/README.de.md`, GERMAN);
    // Its name once made a help text of code, as if `.js` were a language.
    put(`${modules}/mill-one/help/recent.js`, CODE.replaceAll('entries', 'pages'));
    put(`${modules}/mill-one/dist/mill.js`, CODE.replaceAll('Recently', 'Rarely'));
    put(`${modules}/mill-one/logo.md`, Buffer.from([0xff, 0xfe, 0x00, 0x80]));
    put(`${modules}/mill-one/short.md`, 'Too short.\n');
    put(`${modules}/mill-one/long.md`, prose(2, 400));
    // The same text but for a few words, in a package that comes first.
    put(`${modules}/@scope/copy/package.json`, manifest('@scope/copy', '(MIT OR GPL-3.0)'));
    put(`${modules}/@scope/copy/README.md`, `# copy\n\n${prose(1)}\nFor more, see mill-one.\n`);
    put(`${modules}/copyleft/package.json`, manifest('copyleft', 'GPL-3.0-or-later'));
    put(`${modules}/copyleft/README.md`, prose(3));
    put(`${modules}/many/package.json`, manifest('many', 'ISC'));
    for (let at = 0; at < 9; at++) put(`${modules}/many/docs/page-${at}.md`, prose(10 + at));
    // A dependency of this project: what the refiners are measured on.
    put(`${modules}/commander/package.json`, manifest('commander', 'MIT'));
    put(`${modules}/commander/README.md`, prose(4));

    const info = 'pip/one/mill_py-1.0.dist-info';
    put(
      `${info}/METADATA`,
      `Metadata-Version: 2.1\nName: mill-py\nLicense: BSD-3-Clause\n\n${prose(30)}\n`,
    );
    put(`${info}/RECORD`, 'mill_py/docs/guide.rst,sha256=x,1\nmill_py-1.0.dist-info/RECORD,,\n');
    put('pip/one/mill_py/docs/guide.rst', prose(31));

    const doc = 'debian/mill-doc/usr/share/doc/mill-doc';
    put(
      `${doc}/copyright`,
      'Format: https://example.org/\n\nFiles: *\nLicense: Expat\n\nFiles: debian/*\nLicense: GPL-2+\n',
    );
    put(`${doc}/stone.html`, HTML);
    put(`${doc}/NEWS.gz`, gzipSync(prose(40)));
    put('debian/mill-doc/usr/share/man/man1/grind.1.gz', gzipSync(MAN));
    put('debian/gnu-doc/usr/share/doc/gnu-doc/copyright', 'Under the GNU GPL, version 3.\n');
    put('debian/gnu-doc/usr/share/doc/gnu-doc/README', prose(41));

    put('checkout/owner+guide/LICENSE', 'Creative Commons Attribution 4.0 International\n');
    put('checkout/owner+guide/docs/tutorial.md', prose(42));
    put('checkout/owner+closed/docs/tutorial.md', prose(43));

    const folders = ['npm', 'pip', 'debian', 'checkout'].flatMap((source) => [
      `--${source}`,
      join(root, source),
    ]);
    printed = execFileSync(process.execPath, [script, ...folders, '--out', join(root, 'out')], {
      encoding: 'utf8',
    });
    const stored = gunzipSync(readFileSync(join(root, 'out/documents-installed.jsonl.gz')));
    rows = stored
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const of = (name: string) => rows.filter((row) => row.package === name);

  it('takes whole texts of permissive packages with kind, licence and language', () => {
    expect(
      of('mill-one')
        .map(({ id, kind, language }) => [id, kind, language])
        .sort(),
    ).toEqual([
      ['npm:mill-one:README.de.md', 'readme', 'de'],
      ['npm:mill-one:help/recent.js', 'code-js', 'en'],
    ]);
    expect(of('mill-py').map(({ kind, licence }) => [kind, licence])).toEqual([
      ['readme', 'BSD-3-Clause'],
      ['tutorial', 'BSD-3-Clause'],
    ]);
    expect(of('owner+guide').map(({ source, licence }) => [source, licence])).toEqual([
      ['checkout', 'CC-BY'],
    ]);
    expect(printed).toContain(`${rows.length} documents in `);
  });

  it('leaves out copyleft, packages without a licence and what this project installs itself', () => {
    for (const name of ['copyleft', 'gnu-doc', 'owner+closed', 'commander']) {
      expect(of(name)).toEqual([]);
    }
  });

  it('takes nearly the same text once, and five documents of a package', () => {
    const nearlySame = rows.filter(({ text }) => text.includes(prose(1)));
    expect(nearlySame.map(({ id }) => id)).toEqual(['npm:@scope/copy:README.md']);
    expect(of('many')).toHaveLength(5);
    expect(new Set(rows.map(({ text }) => text)).size).toBe(rows.length);
  });

  it('reads manual pages without their macros', () => {
    const text = of('mill-doc').find(({ kind }) => kind === 'man')?.text ?? '';
    expect(text).toMatch(/^GRIND\(1\)\n\nNAME\n {7}grind - turn grain into flour\n\nSYNOPSIS\n/);
    expect(text).toContain('       -w width\n              Distance between the stones; the flour');
    expect(text).toContain('\n         grind -w 3 rye.txt\n');
    expect(text).not.toMatch(/never seen|^\.|\\/m);
  });

  it('reads the content element of an HTML page, and compressed files', () => {
    const text = of('mill-doc').find(({ id }) => id.endsWith('stone.html'))?.text ?? '';
    expect(text).toMatch(/^Choosing a stone & setting it\n/);
    expect(text).toContain('\nmill --stone granite\n  --gap 2\n');
    expect(text).toContain('\n- first the lower stone\n- then the upper one');
    expect(text).not.toMatch(/Cart|All rights/);
    expect(of('mill-doc').find(({ kind }) => kind === 'changelog')?.text).toBe(prose(40));
  });

  it('says how it is used', () => {
    const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr).toContain('usage:');
  });
});
