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
import { dirname, join } from 'node:path';
import { defaultModelFile } from '../../src/paths.ts';
import { LIGHT_SHARE } from '../../src/scorers/defaults/chunk.ts';
import { dataFile, readExamples, readStackData } from '../../src/scorers/defaults/data.ts';
import type { KindExample } from '../../src/scorers/defaults/document-stack.ts';
import type { StackData } from '../../src/scorers/defaults/line-stack.ts';
import { foldOf, type GoldPage, KEEP, REMOVE } from '../../src/scorers/gold.ts';
import { thinNoise } from '../../src/scorers/thin-noise.ts';
import type { BenchContext } from '../types.ts';
import type { ClozeText } from './refining-pays-cloze.ts';

const N_FOLDS = 5;
const HELD_OUT_FOLD = 0;
/** Characters of a held-out text, in whole lines: many domains, not a few long pages, make the measure. */
const HELD_OUT_CHARS = 2500;
/** `quick` looks at every so-manieth page. */
const QUICK_STRIDE = 8;

/** The same pages with much noise, and with little. */
export interface Corpus {
  readonly name: string;
  readonly pages: readonly GoldPage[];
}

/** What the case works on. */
export interface PaysData {
  /** English pages of folds 1 to 4, in the same order in each. */
  readonly corpora: readonly Corpus[];
  /** Content of English pages of unseen domains. */
  readonly heldOut: readonly ClozeText[];
  /** What cross-fitted refiners of lines learn from: all languages, nothing held out. */
  readonly lines: StackData;
  /** The same of documents. */
  readonly examples: readonly KindExample[];
}

/** The folder of labelled data, or null with the place where it was looked for. */
export function goldFolder(): { readonly folder: string | null; readonly looked: string } {
  const bench = process.env['GRISTMILL_BENCH_FOLDER'] ?? join(process.cwd(), 'bench');
  const looked = process.env['GRISTMILL_DATA'] ?? join(bench, '..', '..', 'shared', 'data');
  return { folder: existsSync(dataFile(looked, 'dev')) ? looked : null, looked };
}

/** Reads and splits the pages. */
export async function readPaysData(data: string, context: BenchContext): Promise<PaysData> {
  const some = <T>(rows: readonly T[]): readonly T[] =>
    context.quick ? rows.filter((_, row) => row % QUICK_STRIDE === 0) : rows;
  const folders = { data, models: dirname(defaultModelFile('chunk')) };
  const isSeen = (page: GoldPage): boolean => foldOf(page, N_FOLDS) !== HELD_OUT_FOLD;
  const isEnglish = ({ language, goldText }: GoldPage): boolean =>
    language === 'en' && goldText !== null && foldText(goldText) !== '';
  const read = await readStackData(folders, context.log);
  const all = some(read.pages);
  const seen = all.filter(isSeen);
  const pages = seen.filter(isEnglish);
  const silent = () => undefined;
  const held = new Set(read.pages.filter((page) => !isSeen(page)).map(({ id }) => id));
  const examples = await readExamples(folders, silent);
  return {
    corpora: [
      { name: 'noisy pages', pages },
      { name: 'lightly noisy text', pages: pages.map((page) => thinNoise(page, LIGHT_SHARE)) },
    ],
    heldOut: all
      .filter((page) => !isSeen(page) && isEnglish(page))
      .map(({ id, goldText }) => ({ id, text: beginning(foldText(goldText!)) })),
    lines: {
      pages: seen,
      partial: some(read.partial).filter(isSeen),
      made: some(read.made),
      documents: some(read.documents),
    },
    examples: some(examples.filter(({ id }) => !held.has(id))),
  };
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
