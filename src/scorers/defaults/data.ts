/**
 * What the package's refiners learn from, from a folder of files; models/README.md says where each comes from.
 *
 *     labelled pages     dev dev-math articlebody debian-manuals ftr-rules harvest-forum52 newspaper-tests
 *                        postlight-fixtures readability-tests        lines judged, whole pages
 *                        dev-snippets                                some lines judged
 *     made pages         sentences → made-pages.ts                   twelve languages
 *     documents          dev-docquality documents-hplt2              judged
 *                        documents-installed                         good, of many kinds, collected from packages
 *                        models/documents/*.jsonl                    good and bad, authored
 *
 * A file lies in the folder itself or in a folder of it. Files that are not there are left out, and said; dev.jsonl.gz must
 * be there.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { groupBy } from '../../groups.ts';
import {
  type GoldPage,
  goldPageOf,
  KEEP,
  REMOVE,
  readGoldPages,
  readRows,
  requiredString,
} from '../gold.ts';
import type { KindExample } from './document-stack.ts';
import { makePages } from './made-pages.ts';
import { MADE_LANGUAGES, readPhraseBook } from './made-phrases.ts';
import { readSentences } from './made-sentences.ts';

const PAGE_FILES = [
  'dev',
  'dev-math',
  'articlebody',
  'debian-manuals',
  'ftr-rules',
  'harvest-forum52',
  'newspaper-tests',
  'postlight-fixtures',
  'readability-tests',
];
/** Documents of a kind that lines are learnt from: more of one kind say nothing new. */
const MAX_OF_A_KIND = 250;
const MAX_DOCUMENT_CHARS = 12_000;

/** A whole document, good or bad. */
export interface KindDocument {
  readonly id: string;
  readonly kind: string;
  readonly language: string;
  readonly text: string;
  /** Lines that may go; of a bad document all. */
  readonly removable: readonly number[];
  readonly label: 0 | 1;
}

/** A file of the data, in the folder or in one of its folders; in the folder where it is nowhere. */
export function dataFile(data: string, name: string): string {
  const own = join(data, `${name}.jsonl.gz`);
  if (existsSync(own) || !statSync(data, { throwIfNoEntry: false })?.isDirectory()) return own;
  const inside = readdirSync(data).sort();
  return inside.map((folder) => join(data, folder, `${name}.jsonl.gz`)).find(existsSync) ?? own;
}

/** Where things are. */
export interface DataFolders {
  /** Labelled data that is not ours. */
  readonly data: string;
  /** Ours: `models/` of the repository, with `documents/` and `pages/templates/`. */
  readonly models: string;
}

/** Pages by what they are. */
export interface PageData {
  /** Real pages with a verdict for each line. */
  readonly pages: GoldPage[];
  /** Real pages of which some lines were judged. */
  readonly partial: GoldPage[];
  readonly made: GoldPage[];
}

/** Reads pages. @throws TRAIN_GOLD_INVALID, CORPUS_* */
export async function readPageData(
  { data, models }: DataFolders,
  log: (line: string) => void,
): Promise<PageData> {
  const pages: GoldPage[] = [];
  for (const name of PAGE_FILES) pages.push(...(await pagesIn(data, name, log)));
  return {
    pages,
    partial: await pagesIn(data, 'dev-snippets', log),
    made: await madePages({ data, models }, log),
  };
}

/** Everything that the chunk refiner learns from. @throws TRAIN_GOLD_INVALID, CORPUS_* */
export async function readStackData(
  folders: DataFolders,
  log: (line: string) => void,
): Promise<PageData & { readonly documents: GoldPage[] }> {
  const pages = await readPageData(folders, log);
  const documents = documentPages([
    ...(await readAuthored(folders.models)),
    ...(await readInstalled(folders.data, log)),
  ]);
  return { ...pages, documents };
}

async function pagesIn(
  data: string,
  name: string,
  log: (line: string) => void,
): Promise<GoldPage[]> {
  const file = dataFile(data, name);
  if (!existsSync(file) && name !== 'dev') {
    log(`${file} is not there: left out`);
    return [];
  }
  const pages: GoldPage[] = [];
  for await (const page of readGoldPages(file)) pages.push(page);
  return pages;
}

const MADE_PAGES_A_LANGUAGE = 120;

async function madePages(
  { data, models }: DataFolders,
  log: (line: string) => void,
): Promise<GoldPage[]> {
  const file = dataFile(data, 'sentences');
  if (!existsSync(file)) {
    log(`${file} is not there: no made pages`);
    return [];
  }
  const sentences = await readSentences(file);
  return MADE_LANGUAGES.flatMap((language, index) =>
    makePages({
      language,
      book: readPhraseBook(join(models, 'pages', 'templates'), language),
      documents: sentences.get(language) ?? [],
      part: 'training',
      nPages: MADE_PAGES_A_LANGUAGE,
      seed: 1 + index,
    }).map((page, at) => goldPageOf({ ...page }, { file, line: at + 1 })),
  );
}

/** Authored documents. @throws TRAIN_GOLD_INVALID */
export async function readAuthored(models: string): Promise<KindDocument[]> {
  const folder = join(models, 'documents');
  const documents: KindDocument[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.jsonl')) continue;
    const file = join(folder, name);
    for await (const { row, line } of readRows(file, undefined)) {
      const place = { file, line };
      const text = requiredString(row, 'text', place);
      documents.push({
        id: `authored/${requiredString(row, 'id', place)}`,
        kind: requiredString(row, 'kind', place),
        language: requiredString(row, 'language', place),
        text,
        removable: (row['removable'] as number[] | undefined) ?? [],
        label: name === 'bad.jsonl' ? 0 : 1,
      });
    }
  }
  return documents;
}

/** Documents that packages bring. @throws TRAIN_GOLD_INVALID */
export async function readInstalled(
  data: string,
  log: (line: string) => void,
): Promise<KindDocument[]> {
  const file = dataFile(data, 'documents-installed');
  if (!existsSync(file)) {
    log(`${file} is not there: left out`);
    return [];
  }
  const documents: KindDocument[] = [];
  for await (const { row, line } of readRows(file, undefined)) {
    const place = { file, line };
    documents.push({
      id: `installed/${requiredString(row, 'id', place)}`,
      kind: requiredString(row, 'kind', place),
      language: requiredString(row, 'language', place),
      text: requiredString(row, 'text', place),
      removable: [],
      label: 1,
    });
  }
  return documents;
}

/** Good documents as pages whose lines stay, at most {@link MAX_OF_A_KIND} of a kind, evenly spaced. */
export function documentPages(documents: readonly KindDocument[]): GoldPage[] {
  const good = documents.filter(({ label }) => label === 1);
  return [...groupBy(good, ({ kind }) => kind).values()].flatMap((own) => {
    const stride = Math.max(1, own.length / MAX_OF_A_KIND);
    return own
      .filter((_, index) => Math.floor(index / stride) !== Math.floor((index - 1) / stride))
      .map(pageOf);
  });
}

function pageOf({ id, kind, language, text, removable }: KindDocument): GoldPage {
  const lines = text.slice(0, MAX_DOCUMENT_CHARS).split('\n');
  const labels = new Uint8Array(lines.length).fill(KEEP);
  for (const line of removable) if (line < lines.length) labels[line] = REMOVE;
  const goldText = lines.filter((_, line) => labels[line] === KEEP).join('\n');
  return {
    ...{ id, domain: '', language, source: `document-${kind}`, pageType: 'document' },
    ...{ text: lines.join('\n'), lines, labels, goldText },
  };
}

/** What documents weigh in training, by where they are from. */
export const DOCUMENT_WEIGHTS = Object.freeze({
  judged: 15,
  hplt: 1,
  authored: 4,
  installed: 0.25,
  main: 0.5,
  page: 2,
  rest: 0.5,
  madeRest: 0.3,
  madePage: 0.6,
});

/** Pages of less content than this are neither good nor bad. */
const MIN_CONTENT_CHARS = 400;
/** Lines of noise that make a document. */
const MIN_REST_LINES = 20;
const MAX_REST_LINES = 300;

/** Documents, good and bad, for the document refiner. @throws TRAIN_GOLD_INVALID, CORPUS_* */
export async function readExamples(
  folders: DataFolders,
  log: (line: string) => void,
): Promise<KindExample[]> {
  const { data, models } = folders;
  const examples: KindExample[] = [];
  const add = (id: string, kind: string, text: string, label: 0 | 1, weight: number): void => {
    if (text.trim() !== '') examples.push({ id, kind, text, label, weight });
  };
  const weights = DOCUMENT_WEIGHTS;
  await judged(dataFile(data, 'dev-docquality'), log, (row, place) => {
    const id = requiredString(row, 'id', place);
    // One kind of document, judged one by one: parts of it are left out in turn.
    const kind = `judged-${[...id].reduce((sum, letter) => sum + letter.codePointAt(0)!, 0) % 6}`;
    add(id, kind, requiredString(row, 'text', place), row['label'] === 1 ? 1 : 0, weights.judged);
  });
  await judged(dataFile(data, 'documents-hplt2'), log, (row, place) => {
    const id = requiredString(row, 'id', place);
    const kind = `hplt-${requiredString(row, 'language', place)}`;
    const label = row['label'] === 1 && !row['porn'] ? 1 : 0;
    add(id, kind, requiredString(row, 'text', place), label, weights.hplt);
  });
  for (const one of await readAuthored(models)) {
    add(one.id, `authored-${one.kind}`, one.text, one.label, weights.authored);
  }
  for (const one of await readInstalled(data, log)) {
    add(one.id, one.kind.startsWith('code') ? 'code' : one.kind, one.text, 1, weights.installed);
  }
  const { pages, made } = await readPageData(folders, log);
  for (const page of pages) addPage(page, add);
  for (const page of made) {
    add(page.id, page.source, page.text, 1, weights.madePage);
    const rest = linesOf(page, REMOVE);
    if (rest.length > 5) add(page.id, page.source, rest.join('\n'), 0, weights.madeRest);
  }
  return examples;
}

type Add = (id: string, kind: string, text: string, label: 0 | 1, weight: number) => void;

/** The page, its main content, and what is left without it. */
function addPage(page: GoldPage, add: Add): void {
  const { id, source, text, goldText } = page;
  const weights = DOCUMENT_WEIGHTS;
  if (goldText !== null) add(id, source, goldText, 1, weights.main);
  if (linesOf(page, KEEP).join('\n').length > MIN_CONTENT_CHARS) {
    add(id, source, text, 1, weights.page);
  }
  const rest = linesOf(page, REMOVE);
  if (rest.length <= MIN_REST_LINES) return;
  add(id, source, rest.slice(0, MAX_REST_LINES).join('\n'), 0, weights.rest);
  // A head alone: the menus that come before anything else.
  const head = 12 + (id.length % 30);
  if (rest.length > 3 * MIN_REST_LINES) {
    add(id, source, rest.slice(0, head).join('\n'), 0, weights.rest);
  }
}

function linesOf({ lines, labels }: GoldPage, label: number): string[] {
  return lines.filter((_, line) => labels[line] === label);
}

type Rows = Parameters<typeof requiredString>[0];

async function judged(
  file: string,
  log: (line: string) => void,
  take: (row: Rows, place: { readonly file: string; readonly line: number }) => void,
): Promise<void> {
  if (!existsSync(file)) {
    log(`${file} is not there: left out`);
    return;
  }
  for await (const { row, line } of readRows(file, undefined)) take(row, { file, line });
}
