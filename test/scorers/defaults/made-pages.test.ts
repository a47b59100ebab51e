/** Made training pages: every language and type, labels that fit, and nothing of the held-out part in training. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MADE_PAGE_TYPES } from '../../../src/scorers/defaults/made-content.ts';
import {
  type MadePage,
  makePages,
  NOISE_SHARES,
} from '../../../src/scorers/defaults/made-pages.ts';
import {
  heldOutPhrases,
  isHeldOut,
  MADE_LANGUAGES,
  type MadeLanguage,
  type MadePart,
  partOfBook,
  readPhraseBook,
} from '../../../src/scorers/defaults/made-phrases.ts';
import {
  partOfDocuments,
  readSentences,
  type SentenceDocument,
} from '../../../src/scorers/defaults/made-sentences.ts';
import { type GoldPage, REMOVE, readGoldPages, UNSCORED } from '../../../src/scorers/gold.ts';

const TEMPLATES = fileURLToPath(new URL('../../../models/pages/templates', import.meta.url));
const N_PAGES = 63;
/** Menu separators of made-desk.ts and joints of made-noise.ts that a phrase of a row stands between. */
const JOINTS = [
  ' | ',
  ' · ',
  '\t',
  ' / ',
  ' » ',
  ' - ',
  '|',
  ' • ',
  ', ',
  ' > ',
  ' › ',
  '>',
  ' → ',
];
const SLOTS = new Set(
  'n m p name place word product site date time year month ago price phone email d dd mm y weekday'.split(
    ' ',
  ),
);

/** Sentences in which every word names its document. */
const DOCUMENTS: readonly SentenceDocument[] = Array.from({ length: 90 }, (_, number) => {
  const name = `q${String(number).padStart(3, '0')}z`;
  const sentences = Array.from(
    { length: 12 },
    (_, sentence) => `${Array.from({ length: 5 + (sentence % 7) }, () => name).join(' ')}.`,
  );
  return { name, licence: number % 2 === 0 ? 'CC0-1.0' : 'CC-BY-4.0', sentences };
});

function pagesOf(
  language: MadeLanguage,
  part: MadePart,
  { seed = 7, nPages = N_PAGES } = {},
): MadePage[] {
  const book = readPhraseBook(TEMPLATES, language);
  return makePages({ language, book, documents: DOCUMENTS, part, nPages, seed });
}

/** The text of a phrase between its slots. */
const literals = (phrase: string): string[] => phrase.split(/\{\w+\}/);

/** Each line, and what stands between the joints of rows. */
const partsOf = (lines: readonly string[]): ReadonlySet<string> =>
  new Set(lines.flatMap((line) => [line, ...JOINTS.flatMap((joint) => line.split(joint))]));

describe('readPhraseBook', () => {
  it.each(MADE_LANGUAGES)(
    '%s: lists without doubles, slots that are known, both parts of each list',
    (language) => {
      const book = readPhraseBook(TEMPLATES, language);
      for (const [list, phrases] of Object.entries(book)) {
        expect(new Set(phrases).size, list).toBe(phrases.length);
        for (const phrase of phrases) {
          const slots = [...phrase.matchAll(/\{(\w*)\}/g)].map(([, slot]) => slot!);
          expect(
            slots.filter((slot) => !SLOTS.has(slot)),
            phrase,
          ).toEqual([]);
          expect(phrase, list).toBe(phrase.trim());
          expect(phrase).not.toMatch(/[\n\r\u2028]/);
        }
      }
      expect(book.months).toHaveLength(12);
      expect(book.weekdays).toHaveLength(7);
      for (const entry of book.specs) expect(entry).toMatch(/^[^=]+=[^=]+$/);
      expect(Object.values(book).flat().length).toBeGreaterThan(700);
      const held = heldOutPhrases(book);
      const all = new Set(Object.values(partOfBook(book, 'training')).flat());
      expect(held.size / (held.size + all.size)).toBeGreaterThan(0.12);
      expect(held.size / (held.size + all.size)).toBeLessThan(0.28);
    },
  );

  it('names the file and the list that is not there', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gristmill-made-'));
    await writeFile(join(folder, 'de.json'), JSON.stringify({ months: ['Januar'] }));
    expect(() => readPhraseBook(folder, 'de')).toThrow(
      /de\.json: weekdays: expected a list of phrases/,
    );
    await rm(folder, { recursive: true });
  });
});

describe('makePages', () => {
  it('makes the same pages of the same seed, and others of another', () => {
    expect(pagesOf('ja', 'training')).toEqual(pagesOf('ja', 'training'));
    const [one, other] = [1, 2].map((seed) => pagesOf('ja', 'training', { seed, nPages: 21 }));
    expect(one!.map(({ text }) => text)).not.toEqual(other!.map(({ text }) => text));
  });

  describe.each(MADE_LANGUAGES)('in %s', (language) => {
    let pages: MadePage[];
    let heldOut: MadePage[];
    beforeAll(() => {
      pages = pagesOf(language, 'training');
      heldOut = pagesOf(language, 'held-out');
    });

    it('has a label and a mask for each line, and the kept lines as gold text', () => {
      for (const page of [...pages, ...heldOut]) {
        const lines = page.text.split('\n');
        expect(lines).toHaveLength(page.n_lines);
        expect(page.line_labels).toMatch(/^[01]+$/);
        expect(page.line_mask).toMatch(/^[01]+$/);
        expect(page.line_labels).toHaveLength(page.n_lines);
        expect(page.line_mask).toHaveLength(page.n_lines);
        expect(lines.filter((line) => line.trim() === '')).toEqual([]);
        const kept = lines.filter(
          (_, at) => page.line_labels[at] === '1' && page.line_mask[at] === '1',
        );
        expect(page.gold_text).toBe(kept.join('\n'));
        expect(page.text).not.toMatch(/\{\w+\}/);
        expect(page.licence).toMatch(/^((CC-BY-4\.0|CC0-1\.0)(, |$)){0,2}$/);
      }
      expect(new Set([...pages, ...heldOut].map(({ id }) => id)).size).toBe(2 * N_PAGES);
    });

    it('repeats no sentence of the book in the content of a page', () => {
      const book = readPhraseBook(TEMPLATES, language);
      const prose = new Set([...book.serviceProse, ...book.productProse, ...book.answers]);
      for (const page of pages) {
        const said = page.gold_text.split('\n').filter((line) => prose.has(line));
        expect(new Set(said).size, page.id).toBe(said.length);
      }
    });

    it('has pages of every type', () => {
      for (const own of [pages, heldOut]) {
        expect(new Set(own.map(({ page_type }) => page_type))).toEqual(new Set(MADE_PAGE_TYPES));
      }
    });

    it('keeps the share of noise within its bounds, and spreads it over them', () => {
      const shares = pages.map(({ line_labels, line_mask }) => {
        const scored = [...line_mask].flatMap((flag, at) =>
          flag === '1' ? [line_labels[at]!] : [],
        );
        const nNoise = scored.filter((label) => label === '0').length;
        const nKept = scored.length - nNoise;
        const { least, most } = NOISE_SHARES;
        // Lines are whole: half a line of rounding.
        expect(nNoise).toBeGreaterThanOrEqual(Math.max(1, (least / (1 - least)) * nKept - 0.5));
        expect(nNoise).toBeLessThanOrEqual(Math.max(1, (most / (1 - most)) * nKept + 0.5));
        return nNoise / scored.length;
      });
      expect(shares.filter((share) => share < 0.35).length).toBeGreaterThan(N_PAGES / 8);
      expect(shares.filter((share) => share > 0.65).length).toBeGreaterThan(N_PAGES / 8);
      expect(Math.max(...pages.map(({ n_lines }) => n_lines))).toBeLessThan(1000);
    });

    it('says nothing of the held-out phrases and documents in training, and nothing else in judging', () => {
      const book = readPhraseBook(TEMPLATES, language);
      const held = heldOutPhrases(book);
      const training = new Set(Object.values(partOfBook(book, 'training')).flat());
      expect([...training].filter((phrase) => held.has(phrase))).toEqual([]);
      const text = pages.map((page) => page.text).join('\n');
      const parts = partsOf(text.split('\n'));
      const said = [...training].join('\n');
      // Where a phrase of training holds it ("Next »"), a part of a row proves nothing.
      const own = [...held].filter((phrase) => !said.includes(phrase));
      expect(own.length).toBeGreaterThan(80);
      expect(own.filter((phrase) => parts.has(phrase))).toEqual([]);
      const telling = own
        .flatMap(literals)
        .filter((literal) => literal.length >= 10 && !said.includes(literal));
      expect(telling.length).toBeGreaterThan(20);
      expect(telling.filter((literal) => text.includes(literal))).toEqual([]);
      const judged = heldOut.map((page) => page.text).join('\n');
      expect(telling.filter((literal) => judged.includes(literal)).length).toBeGreaterThan(10);
      for (const { name } of DOCUMENTS) {
        expect((isHeldOut(name) ? text : judged).includes(name), name).toBe(false);
      }
      expect(partOfDocuments(DOCUMENTS, 'held-out').length).toBeGreaterThan(8);
    });
  });
});

describe('files', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gristmill-made-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('reads made pages back as labelled pages', async () => {
    const path = join(folder, 'made.jsonl');
    const pages = pagesOf('th', 'training', { nPages: 7 });
    await writeFile(path, pages.map((page) => `${JSON.stringify(page)}\n`).join(''));
    const read: GoldPage[] = [];
    for await (const page of readGoldPages(path)) read.push(page);
    expect(read.map(({ id, language, domain }) => ({ id, language, domain }))).toEqual(
      pages.map(({ id, language, domain }) => ({ id, language, domain })),
    );
    for (const [at, { labels }] of read.entries()) {
      const { line_labels, line_mask } = pages[at]!;
      expect([...labels].map((label) => (label === UNSCORED ? '0' : '1')).join('')).toBe(line_mask);
      expect([...labels].filter((label) => label === REMOVE)).toHaveLength(
        [...line_labels].filter((label) => label === '0').length,
      );
    }
  });

  it('reads sentences in documents, each language for itself', async () => {
    const path = join(folder, 'sentences.jsonl');
    const row = (language: string, document: string, sentence: string) =>
      `${JSON.stringify({ language, source: 's', licence: 'CC0-1.0', document, sentence })}\n`;
    await writeFile(
      path,
      row('de', 'a', 'Eins.') +
        row('fr', 'a', 'Un.') +
        row('de', 'a', 'Zwei.') +
        row('de', 'b', 'Drei.'),
    );
    const read = await readSentences(path);
    expect(read.get('de')).toEqual([
      { name: 'a', licence: 'CC0-1.0', sentences: ['Eins.', 'Zwei.'] },
      { name: 'b', licence: 'CC0-1.0', sentences: ['Drei.'] },
    ]);
    expect(read.get('fr')!.map(({ sentences }) => sentences)).toEqual([['Un.']]);
    await writeFile(path, '{"language":"de","document":"a","licence":"CC0-1.0"}\n');
    await expect(readSentences(path)).rejects.toMatchObject({ code: 'TRAIN_GOLD_INVALID' });
  });
});
