/** Hostile pages, as bytes: what a crawler brings home and what nobody should send. */
import fc from 'fast-check';

const encoder = new TextEncoder();
const of = (text: string): Uint8Array => encoder.encode(text);

/** Bytes that are no UTF-8, and some that nearly are. */
const BROKEN: readonly (readonly number[])[] = [
  [0x80],
  [0xff],
  [0xc0, 0xaf],
  [0xc2],
  [0xe0, 0x80, 0x80],
  [0xe4, 0xb8],
  [0xed, 0xa0, 0x80],
  [0xed, 0xb0, 0x80],
  [0xed, 0xa1, 0x80, 0xed, 0xb0, 0x80],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf0, 0x9f, 0x98],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xfe, 0xfe, 0xff],
];

const PIECES = [
  'The river was high that year, and nobody remembered when it had been so wide.',
  'Home',
  'Sign in | Cart (0) · Contact » More',
  '12:30 3.5 $ 14.00 €12 1987 2100 ٣٫٥ 1٢3٤ ½ Ⅻ ２０２４',
  'https://example.org www.example.org a // b ://www.',
  'const x = {a: [1, 2], b: "#"}; // @me',
  'Größe ÉCOLE ǅ ß İ ı ΣΑΣ ﬁ ½ ㎏ ＡＢＣ１２３',
  '東京タワーは高い。これはペンです。',
  '我的书是新的，他们在这里。你好！',
  'ภาษาไทยไม่มีช่องว่างระหว่างคำ',
  'هذا هو النص الذي في الكتاب، هل تفهم؟',
  'यह हिन्दी में है। किताब की है॥',
  'e\u0301 a\u0308\u0323 \u0300start c\u0327\u0302',
  '👩\u200d👩\u200d👧\u200d👦 🇫🇷 👍🏽 😀😀',
  '𠀀𠀁 𩸽 𝒳𝓎 𐐀𐐨 \u{3fffd}',
  '\u0000',
  '\r',
  '\t',
  ' ',
  '\u00a0\u2003\u3000\ufeff',
  '\u2028\u2029\u0085\u000b\u000c',
  '\n',
  '\n\n',
  '\r\n',
  '•',
  '- ',
  '— “Done.”',
  '完了。',
  '...',
  '0',
  'a',
  'der Hund und die Katze это не так và của là',
];

const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...PIECES).map(of) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }).map(of) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }).map(of) },
  { weight: 3, arbitrary: fc.constantFrom(' ', '\n', ', ', '. ').map(of) },
  { weight: 1, arbitrary: fc.constantFrom(...BROKEN).map((bytes) => Uint8Array.from(bytes)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) },
);

/** Pages of up to some hundred lines. */
export const hostilePage: fc.Arbitrary<Uint8Array> = fc
  .array(piece, { maxLength: 120 })
  .map((parts) => Buffer.concat(parts));

/** Pages that are too large to draw. */
const LARGE = {
  'a million lines': (nLines = 1_000_000) => Array.from({ length: nLines }, lineOf).join('\n'),
  'a line of ten megabytes': (nWords = 800_000) =>
    `Menu\n${Array.from({ length: nWords }, (_, word) => `word${(word * word) % 5003} of 1`).join(' ')}\nEnd.`,
  'a million empty lines': (nLines = 1_000_000) => '\n'.repeat(nLines),
  'a long line without a space': (nChars = 1_000_000) => 'x'.repeat(nChars),
  'Han without a space': (nTimes = 60_000) => '我们在这里工作'.repeat(nTimes),
  'what is no UTF-8': (nBytes = 100_000) => new Uint8Array(nBytes).fill(0xff),
} as const;
type LargePage = keyof typeof LARGE;

/** Names of the pages of {@link largePage}. */
export const LARGE_PAGES = Object.keys(LARGE) as LargePage[];

/** A large page. @param size of it, in what its name says; default: as large as its name says */
export function largePage(name: LargePage, size?: number): Uint8Array {
  const made = LARGE[name](size);
  return typeof made === 'string' ? of(made) : made;
}

/** Seven of eight lines are blank: the oracle is in no hurry. */
function lineOf(_: unknown, index: number): string {
  if (index % 8 !== 0) return index % 3 === 0 ? '  ' : '';
  if (index % 7 === 0) return PIECES[0]!;
  return `${PIECES[(index / 8) % 6]} ${index % 901}`;
}
