/**
 * Pages of the case `refining-pays`: what is learnt from, what is held out, and how much content a refined page kept.
 *
 *     fold 0 of 5     held out: the main content that people wrote down is what every model is measured on
 *     folds 1 to 4    the training text of every arm, and all that cross-fitted refiners may learn from
 *
 * Folds never cut a domain. Written content has empty lines between paragraphs, pages have none: left as they are,
 * the empty lines alone would decide between the arms. Content is therefore folded as page text was.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  foldOf,
  type GoldDocument,
  type GoldPage,
  KEEP,
  REMOVE,
  readGoldDocuments,
  readGoldPages,
} from '../../src/train/gold.ts';

const N_FOLDS = 5;
const HELD_OUT_FOLD = 0;
/** Characters of a held-out text, in whole lines: many domains, not a few long pages, make the measure. */
const HELD_OUT_CHARS = 2500;
/** `quick` looks at every so-manieth page. */
const QUICK_STRIDE = 6;

/** What the case works on. */
export interface PaysData {
  /** English pages that every arm makes its training text of. */
  readonly pages: readonly GoldPage[];
  /** Content of English pages of unseen domains. */
  readonly heldOut: readonly string[];
  /** What cross-fitted refiners learn from: pages of all languages, further pages, judged documents. */
  readonly refinerPages: readonly GoldPage[];
  readonly extraPages: readonly GoldPage[];
  readonly documents: readonly GoldDocument[];
}

/** The folder of labelled pages, or null with the place where it was looked for. */
export function goldFolder(): { readonly folder: string | null; readonly looked: string } {
  const bench = process.env['GRISTMILL_BENCH_FOLDER'] ?? join(process.cwd(), 'bench');
  const data = process.env['GRISTMILL_DATA'] ?? join(bench, '..', '..', 'shared', 'data');
  const looked = join(data, 'web-gold');
  return { folder: existsSync(join(looked, 'dev.jsonl.gz')) ? looked : null, looked };
}

/** Reads and splits the pages. */
export async function readPaysData(folder: string, quick: boolean): Promise<PaysData> {
  const some = <T>(rows: readonly T[]): readonly T[] =>
    quick ? rows.filter((_, row) => row % QUICK_STRIDE === 0) : rows;
  const file = (name: string): string => join(folder, `${name}.jsonl.gz`);
  const isHeldOut = (page: GoldPage): boolean => foldOf(page, N_FOLDS) === HELD_OUT_FOLD;
  const pages = some(await collect(readGoldPages(file('dev'))));
  const extra = some([
    ...(await collect(readGoldPages(file('dev-math')))),
    ...(await collect(readGoldPages(file('dev-snippets')))),
  ]);
  const refinerPages = pages.filter((page) => !isHeldOut(page));
  const isEnglish = ({ language, goldText }: GoldPage): boolean =>
    language === 'en' && goldText !== null && foldText(goldText) !== '';
  return {
    pages: refinerPages.filter(isEnglish),
    heldOut: pages
      .filter((page) => isHeldOut(page) && isEnglish(page))
      .map(({ goldText }) => beginning(foldText(goldText!))),
    refinerPages,
    extraPages: extra.filter((page) => !isHeldOut(page)),
    documents: await collect(readGoldDocuments(file('dev-docquality'))),
  };
}

async function collect<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

/** White space as page text has it: one space between words, no empty lines. */
export function foldText(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line !== '')
    .join('\n');
}

/** The first lines of a text, the first of them whatever its length. */
function beginning(text: string): string {
  const lines = text.split('\n');
  let chars = 0;
  const end = lines.findIndex((line, index) => {
    chars += line.length + 1;
    return index > 0 && chars > HELD_OUT_CHARS;
  });
  return (end < 0 ? lines : lines.slice(0, end)).join('\n');
}

/** Shares of the characters of labelled lines that are left in the texts of an arm. */
export interface LinesLeft {
  readonly content: number;
  readonly noise: number;
}

/**
 * What refining did to content and noise.
 *
 * @param texts by page: some of its lines, in order; empty where the page was dropped
 */
export function linesLeft(pages: readonly GoldPage[], texts: readonly string[]): LinesLeft {
  const all = [0, 0];
  const left = [0, 0];
  pages.forEach(({ lines, labels }, page) => {
    const kept = texts[page] === '' ? [] : texts[page]!.split('\n');
    let next = 0;
    lines.forEach((line, index) => {
      const stays = next < kept.length && kept[next] === line;
      if (stays) next++;
      const label = labels[index]!;
      if (label !== KEEP && label !== REMOVE) return;
      all[label]! += line.length;
      if (stays) left[label]! += line.length;
    });
  });
  return { content: left[KEEP]! / all[KEEP]!, noise: left[REMOVE]! / all[REMOVE]! };
}
