/** From a folder of labelled data to the tables and the figure of models/README.md; see tables.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GristmillError } from '../../errors.ts';
import type { LineReport } from '../eval-lines.ts';
import type { ChunkValidation } from './chunk.ts';
import { type DataFolders, readExamples, readPageData, readStackData } from './data.ts';
import type { DocumentStackValidation } from './document-stack.ts';
import { validateStack } from './line-stack.ts';
import {
  type DocumentContender,
  defaultDocumentContender,
  kindsLeftOut,
  LINE_CONTENDERS,
  type LineContender,
  newDomains,
  sourcesLeftOut,
  type TableOptions,
} from './tables.ts';
import {
  documentKindsTable,
  documentsTable,
  groupsTable,
  lengthsTable,
  lineKindsTable,
  measuresTable,
  sourcesTable,
} from './tables-markdown.ts';
import { tradeOffFigure } from './trade-off-figure.ts';

const BEGIN = '<!-- tables: begin (npm run models:tables) -->';
const END = '<!-- tables: end -->';
const FIGURE = '![noise removed against content kept](trade-off.svg)';
/** Languages and types of page with fewer say nothing. */
const MIN_PAGES = 20;

/** Options of {@link measureTables}. */
export interface MeasureOptions extends TableOptions {
  /** Folder of labelled data, as for training. */
  readonly data: string;
  /** Folder of the models and their records. */
  readonly models: string;
}

/** What was measured. */
export interface TableMeasures {
  readonly nPages: number;
  /** Sources of the pages, by which kinds of documents are told apart. */
  readonly sources: readonly string[];
  /** Sources left out; the default refiner is the last. */
  readonly lines: readonly LineContender[];
  readonly domains: Awaited<ReturnType<typeof newDomains>>;
  /** Kinds left out; the default refiner is the last. */
  readonly documents: readonly DocumentContender[];
}

/** Measures everything. @throws TRAIN_GOLD_INVALID, CORPUS_*, ABORTED */
export async function measureTables({
  data,
  models,
  ...options
}: MeasureOptions): Promise<TableMeasures> {
  const { log = () => undefined } = options;
  const folders = { data, models };
  const { pages } = await readPageData(folders, log);
  const { whole, light } = await chunkValidation(folders, options);
  const others = await sourcesLeftOut(pages, LINE_CONTENDERS, options);
  const examples = await readExamples(folders, () => undefined);
  const record = recordOf<DocumentStackValidation>(models, 'default-document');
  return {
    nPages: pages.length,
    sources: [...new Set(pages.map(({ source }) => source))],
    lines: [...others, { name: '**default-chunk**', hasScores: true, whole, light }],
    domains: await newDomains(pages, LINE_CONTENDERS, options),
    documents: [...(await kindsLeftOut(examples, options)), defaultDocumentContender(record)],
  };
}

/** The tables, and the figure as SVG. */
export async function renderTables({
  nPages,
  sources,
  lines,
  domains,
  documents,
}: TableMeasures): Promise<{ readonly markdown: string; readonly figure: string }> {
  const thinned = lines.map(({ light: report, ...rest }) => ({ ...rest, report }));
  const folds = domains.map(({ whole: report, ...rest }) => ({ ...rest, report }));
  const scored = lines.filter(({ hasScores }) => hasScores);
  const parts: readonly (readonly [text: string, table: string])[] = [
    [
      `**Sources left out** (${nPages} pages in six groups of sources; each group is scored by a refiner that saw none of them). Macro-F1 and word F1 at probability 0.5; "noise removed at .99" asks for the threshold that keeps that share of content characters; its interval is that of domains drawn anew; "pages alike" lets the characters of every page sum to one.`,
      sourcesTable(lines),
    ],
    [
      '**The same, lightly noisy** (a tenth of the noise lines left, as an extractor leaves them):',
      measuresTable(thinned),
    ],
    [
      '**New domains of known sources** (five folds by domain, as a reserved part of the same data would be; figures flatter):',
      measuresTable(folds),
    ],
    [
      '**By type of page**, sources left out: macro-F1, and noise removed at .99 of the content of that type.',
      groupsTable('type of page', lines, ({ byPageType }) => byPageType, MIN_PAGES),
    ],
    ['**By source**, left out:', groupsTable('source', lines, ({ bySource }) => bySource, 2)],
    [
      '**By language**, sources left out:',
      groupsTable('language', lines, ({ byLanguage }) => byLanguage, MIN_PAGES),
    ],
    [
      '**Content lines that the verdict takes**, by kind of line, sources left out:',
      lineKindsTable(lines),
    ],
    [
      '**What .99 means for a short page.** The share is one over many pages, most of whose characters stand on long ones. The threshold that keeps .99 of all content of pages whose source was left out does this to pages by the content they have:',
      lengthsTable(lines.at(-1)!.whole),
    ],
    [
      '**Documents, kinds left out.** Good ones are counted as a mean over kinds (source of pages, language or part of the judged ones, kind of text):',
      documentsTable(documents),
    ],
    [
      'Dropped, by where documents are from; rules by their verdict, the others at the threshold that keeps .995 of the good ones:',
      documentKindsTable(documents, new Set(sources)),
    ],
  ];
  return {
    markdown: [FIGURE, ...parts.map(([text, table]) => `${text}\n\n${table}`)].join('\n\n'),
    figure: await tradeOffFigure('Noise removed against content kept, sources left out', [
      ...scored,
      ...lines.filter(({ hasScores }) => !hasScores),
    ]),
  };
}

/** From the record; anew where that was written before there were curves in it. @throws as {@link measureTables} */
async function chunkValidation(
  folders: DataFolders,
  { signal, log = () => undefined }: TableOptions,
): Promise<Pick<ChunkValidation, 'whole' | 'light'>> {
  const record = recordOf<ChunkValidation>(folders.models, 'default-chunk');
  const known = record.whole as Partial<LineReport>;
  if (known.tradeOff && known.tail?.byLength) return record;
  log('default-chunk.json has no curve: its validation is done again');
  return validateStack({
    ...(await readStackData(folders, log)),
    signal,
    onGroup: (group, sources) => log(`default-chunk: group ${group + 1}, ${sources.join(', ')}`),
  });
}

function recordOf<Validation>(models: string, name: string): Validation {
  const text = readFileSync(join(models, `${name}.json`), 'utf8');
  return (JSON.parse(text) as { readonly validation: Validation }).validation;
}

/** A README with new tables between its markers. @throws OPTION_INVALID when they are not there */
export function putTables(readme: string, markdown: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END, begin);
  if (begin < 0 || end < 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'README.md',
      expected: `the lines ${BEGIN} and ${END}`,
      received: 'a text without them',
    });
  }
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${markdown}\n\n${readme.slice(end)}`;
}
