/** A corpus of documents that want to be more than text, each among lines that a refiner removes. */
import { openSink } from '../../src/corpus/sink.ts';

const MENU = [
  'Home',
  'Menu',
  'Log in',
  'Subscribe to our newsletter',
  'Share on Chirper',
  'Cookie settings',
  '© 2024 All rights reserved',
];
const PROSE = Array.from(
  { length: 12 },
  (_, at) =>
    `The harbour of the town was built in the year ${1800 + at}, and its walls of grey stone still hold against the winter storms that come from the west every year.`,
);

/** Texts by what they try; bytes where they are no UTF-8. */
export const HOSTILE: readonly (readonly [name: string, text: string | Buffer])[] = [
  [
    'script',
    '<script>window.hacked = "script"</script><img src=x onerror="window.hacked=\'img\'">',
  ],
  [
    'markup',
    '</bdi></li></ol></main><h1 id="injected">gone</h1><style>*{display:none}</style><!--',
  ],
  ['handlers', '" onmouseover="window.hacked=1" autofocus onfocus="window.hacked=2" x="'],
  [
    'links',
    '<a href="javascript:window.hacked=3">x</a> <iframe src="https://evil.example/"></iframe> <link rel=stylesheet href=//evil.example/x.css>',
  ],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what pages of others hold
  ['template', '${window.hacked=4} {{constructor.constructor("window.hacked=5")()}} <%= 7*7 %>'],
  ['right to left', 'safe \u202egnp.exe\u202c \u2066hidden\u2069 \u200b\ufeff\u061c end'],
  ['terminal', '\u001b[31mred\u001b[0m \u001b]0;title\u0007 \u009b2J \b\b\b \r over'],
  ['nul', 'before\u0000after \u0001\u0002\u0003'],
  ['separators', 'one\u2028two\u2029three\u0085four\u000bfive'],
  ['marks', `Z${'\u0335\u0321\u031b'.repeat(300)}algo`],
  ['long line', 'x'.repeat(1 << 20)],
  ['long words', 'lorem ipsum '.repeat(100_000)],
  [
    'many lines',
    Array.from({ length: 30_000 }, (_, at) =>
      at % 40 === 0 ? 'Menu' : `row ${at} of a table`,
    ).join('\n'),
  ],
  [
    'broken utf-8',
    Buffer.concat([
      Buffer.from('broken '),
      Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80]),
      Buffer.from(' end'),
    ]),
  ],
  ['proto', '__proto__ constructor toString hasOwnProperty'],
  ['emoji', '👩‍👩‍👧‍👦'.repeat(500)],
  ['empty', ''],
];

/** Writes the corpus: every document twice, whole and between a menu and prose. */
export async function writeHostile(path: string): Promise<number> {
  const texts: Buffer[] = [];
  const ids: string[] = [];
  const domains: string[] = [];
  for (const [name, text] of HOSTILE) {
    const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text);
    const around = [...MENU, ...PROSE.slice(0, 6)].join('\n');
    texts.push(
      bytes,
      Buffer.concat([
        Buffer.from(`${around}\n`),
        bytes,
        Buffer.from(`\n${PROSE.slice(6).join('\n')}\n${MENU.join('\n')}`),
      ]),
    );
    const shown = Buffer.isBuffer(text) ? name : text.slice(0, 150);
    ids.push(name, `<b>${name}</b> ${shown}`);
    domains.push(
      name === 'proto' ? '__proto__' : `${name}.example`,
      `"><script>window.hacked=6</script>${name}`,
    );
  }
  const extra = ['id', 'domain', 'language', 'url'].map((name) => ({
    name,
    type: 'string' as const,
  }));
  const sink = await openSink({ format: 'parquet', path, columns: [], textColumn: 'text', extra });
  await sink.write({
    text: texts,
    rows: null,
    carry: null,
    extra: {
      id: ids,
      domain: domains,
      language: domains.map((_, at) => (at % 3 === 0 ? 'constructor' : '<i>en</i>')),
      url: domains.map((domain) => `javascript:window.hacked=7//${domain}`),
    },
  });
  await sink.close();
  return texts.length;
}
