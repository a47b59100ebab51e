/** A corpus of pages like the web's, made from a seed: what `npm run check:see` looks at a large run with. */
import { join } from 'node:path';

const MENU = [
  'Home',
  'Menu',
  'Log in',
  'Subscribe to our newsletter',
  'Share this page',
  'About us',
];
const END = ['Related articles', 'Cookie settings', '© 2024 All rights reserved', 'Back to top'];
const THINGS = ['harbour', 'mill', 'bridge', 'orchard', 'library', 'station', 'market', 'tower'];
const DEEDS = [
  'was built by the people of the valley in the year',
  'burnt down one winter night, and stood again in',
  'was bought by a society of readers who repaired it in',
  'lost its roof to a storm that came over the hills in',
];
const ROWS_A_FILE = 10_000;

function page(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  // A tenth of the pages is nothing but what surrounds a page.
  const nSentences = random() < 0.1 ? 0 : 2 + Math.floor(random() * 12);
  const sentences = Array.from({ length: nSentences }, () => {
    const year = 1700 + Math.floor(random() * 300);
    return `The old ${pick(THINGS)} ${pick(DEEDS)} ${year}, as is told in a chronicle that was found in the ${pick(THINGS)}.`;
  });
  const noise = (list) => list.filter(() => random() < 0.7);
  return [...noise(MENU), ...sentences, ...noise(END)].join('\n');
}

/**
 * Writes files of 10,000 rows.
 *
 * @param openSink the package's
 * @param random numbers in 0..1, of a seed
 * @returns bytes of text
 */
export async function writeCorpus(openSink, folder, nRows, random) {
  let bytes = 0;
  for (let first = 0; first < nRows; first += ROWS_A_FILE) {
    const n = Math.min(ROWS_A_FILE, nRows - first);
    const rows = Array.from({ length: n }, (_, at) => first + at);
    const text = rows.map(() => Buffer.from(page(random)));
    const name = `part-${String(first / ROWS_A_FILE).padStart(4, '0')}.parquet`;
    const extra = ['id', 'domain', 'language'].map((column) => ({ name: column, type: 'string' }));
    const path = join(folder, name);
    const sink = await openSink({
      format: 'parquet',
      path,
      columns: [],
      textColumn: 'text',
      extra,
    });
    await sink.write({
      text,
      rows: null,
      carry: null,
      extra: {
        id: rows.map((row) => `page-${row}`),
        domain: rows.map(() => `site-${Math.floor(random() ** 3 * 500)}.example`),
        language: rows.map((row) => ['en', 'en', 'de', 'fr'][row % 4]),
      },
    });
    await sink.close();
    bytes += text.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }
  return bytes;
}
