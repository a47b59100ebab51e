/**
 * Corpora for tests: seeded pages that read a little like the web, written by our own sink.
 */

import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { seededRandom as seeded } from '../../src/seeded.ts';

export { seeded };

const WORDS =
  'the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years where much your way down should because long each just those people too mister good very make world still see own work men day get here between both life being under never same another know year while last might us great old'.split(
    ' ',
  );
const CHROME = [
  'Home | About | Contact | Blog',
  'Share on Facebook · Share on X · Email',
  'We use cookies to improve your experience. Accept all',
  '© 2024 Example Pages. All rights reserved.',
  'Subscribe to our newsletter',
  'Read more: 10 related stories',
];

/** Seeded page texts. */
export function testTexts(nRows: number, seed: number): string[] {
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  return Array.from({ length: nRows }, () => {
    const lines = Array.from({ length: 2 + Math.floor(random() * 10) }, () => {
      if (random() < 0.3) return pick(CHROME);
      if (random() < 0.05) return '';
      if (random() < 0.05) return 'Grüße aus Köln — 東京の天気は晴れ';
      return `${Array.from({ length: 4 + Math.floor(random() * 16) }, () => pick(WORDS)).join(' ')}.`;
    });
    return lines.join('\n');
  });
}

/** Writes a Parquet corpus with the columns id, text and n (a 64-bit number). */
export async function writeTestCorpus(
  path: string,
  { nRows, rowGroupRows, seed }: { nRows: number; rowGroupRows: number; seed: number },
): Promise<string[]> {
  const texts = testTexts(nRows, seed);
  const sink = await openSink({
    format: 'parquet',
    path,
    columns: [stringColumn('text')],
    textColumn: 'text',
    extra: [
      { name: 'id', type: 'string' },
      { name: 'n', type: 'double' },
    ],
    rowGroupRows,
  });
  const encoder = new TextEncoder();
  await sink.write({
    text: texts.map((text) => encoder.encode(text)),
    rows: null,
    carry: null,
    extra: {
      id: texts.map((_, row) => `doc-${row}`),
      n: texts.map((_, row) => row),
    },
  });
  await sink.close();
  return texts;
}
