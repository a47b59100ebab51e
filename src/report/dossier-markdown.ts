/**
 * A dossier as Markdown, in two forms: a plain one, and the order of sections of the European Commission's template for the public
 * summary of training content (Art. 53(1)(d) of Regulation (EU) 2024/1689; explanatory notice and template of 24 July 2025), in
 * words of our own. What the run cannot know stands as a marked blank; nothing here is legal advice, and it says so.
 *
 * Values are from outside: what is hidden in them is shown, and what Markdown would act on is escaped.
 */
import { escapeMarkup } from '../markup.ts';
import { printable } from '../printable.ts';
import type { Dossier, DossierGroup } from './dossier.ts';

const MAX_CELL = 300;
const MAX_LISTED = 200;
/** Bounds of the template's ranges of text, in tokens. */
const [SMALL, LARGE] = [1e9, 1e13];

/** Text as it may stand in a paragraph or a cell; for renderers that let HTML through, too. */
export function markdownText(value: string, maxChars: number = MAX_CELL): string {
  return escapeMarkup(printable(value, maxChars)).replace(
    /[\\`*_[\]()|~]/g,
    (character) => `\\${character}`,
  );
}

/** The plain form. */
export function dossierMarkdown(dossier: Dossier): string {
  const { corpus, removed, processing } = dossier;
  return lines(
    '# Where this corpus comes from',
    '',
    `Written by ${markdownText(dossier.madeBy)} from the ledger of the run in ${markdownText(corpus.folder)}.`,
    corpus.isWhole ? '' : '\n**The run is not finished: figures are of what is committed.**',
    '',
    '## The corpus',
    '',
    ...sizeRows(dossier),
    '',
    '## Sources',
    '',
    ...sourceRows(dossier),
    '',
    ...groupRows('Domains', dossier.domains, dossier),
    ...groupRows('Languages', dossier.languages, dossier),
    '## Processing',
    '',
    ...stepRows(dossier),
    '',
    '| option | value |',
    '|---|---|',
    ...Object.entries(processing.options).map(
      ([name, value]) => `| ${markdownText(name)} | ${markdownText(value)} |`,
    ),
    '',
    '## What was removed, and why',
    '',
    ...removedRows(dossier),
    '',
    '| reason | documents |',
    '|---|---:|',
    ...Object.entries(removed.reasons).map(
      ([reason, rows]) => `| ${markdownText(reason)} | ${figures(rows)} |`,
    ),
    '',
    '## What the run cannot know',
    '',
    ...dossier.unknown.map((what) => `- ${blank(what)}`),
    '',
  );
}

/** The order of the Commission's template. */
export function dossierArticle53(dossier: Dossier): string {
  const { corpus, domains, languages, removed } = dossier;
  return lines(
    '# Public summary of training content: draft of the part of one corpus',
    '',
    'In the order of the template under Art. 53(1)(d) of Regulation (EU) 2024/1689 (AI Act). Filled in from the ledger of one run; a summary has to cover all data of all stages of training. Not legal advice.',
    '',
    `- Version of the summary: ${blank('version')}`,
    `- Last update: ${blank('date')}`,
    '',
    '## 1. General information',
    '',
    '### 1.1 Provider',
    '',
    `- Name and contact: ${blank('provider')}`,
    `- Authorised representative in the Union: ${blank('name and contact, where there is one')}`,
    '',
    '### 1.2 Model',
    '',
    `- Names of the model and its versions: ${blank('models')}`,
    `- Models that it was made from: ${blank('models, with links to their summaries')}`,
    `- Date of placement on the Union market: ${blank('date')}`,
    '',
    '### 1.3 Kinds and sizes of data',
    '',
    '- Kind: text',
    ...sizeRange(corpus.tokens),
    `- Size of this corpus: ${figures(corpus.documents)} documents, ${figures(corpus.characters)} characters, ${figures(corpus.bytes)} bytes in files${corpus.tokens === null ? '' : `, about ${figures(corpus.tokens)} tokens`}`,
    `- What the content is: ${blank('a general description, such as news, fiction, scientific text, code')}`,
    `- Latest date of acquisition of the data: ${blank('month and year')}`,
    `- Languages: ${
      languages === null
        ? blank('no column of the inputs names them')
        : languages
            .slice(0, 60)
            .map(({ name, share }) => `${markdownText(name)} (${percent(share)})`)
            .join(', ')
    }`,
    `- Other kinds of data (images, sound, video): ${blank('of other corpora')}`,
    '',
    '## 2. Sources of the data',
    '',
    '### 2.1 Publicly available datasets',
    '',
    `${blank('which of the files below are such datasets, with names and links; the large ones one by one')}`,
    '',
    ...sourceRows(dossier),
    '',
    '### 2.2 Private datasets of third parties',
    '',
    `- Licensed from right holders: ${blank('yes or no, kinds')}`,
    `- Obtained otherwise: ${blank('yes or no, which, a description')}`,
    '',
    '### 2.3 Data crawled from the web',
    '',
    `- Crawlers, their purposes and behaviour: ${blank('names, whether they honour robots.txt and other reservations, paywalls, captchas')}`,
    `- Period of collection: ${blank('from, to')}`,
    `- Kinds of sites: ${blank('a description')}`,
    ...(domains === null
      ? [`- Domains of the most content: ${blank('no column of the inputs names them')}`]
      : topDomains(domains, dossier)),
    '',
    '### 2.4 Data of users',
    '',
    `${blank('whether prompts, uploads or other data of users of services are part of it, and of which services')}`,
    '',
    '### 2.5 Synthetic data',
    '',
    `${blank('whether it was made by models for training, and by which')}`,
    '',
    'The run itself writes no text: it removes and changes stretches of the documents that are there.',
    '',
    '### 2.6 Other sources',
    '',
    `${blank('any, with a description')}`,
    '',
    '## 3. Processing of the data',
    '',
    '### 3.1 Reservations of rights (text and data mining)',
    '',
    `${blank('measures before and during collection, and on requests after it; signatories of the code of practice refer to their policy')}`,
    '',
    '### 3.2 Removal of illegal content',
    '',
    `${blank('measures against such content; the steps below remove noise and unfit documents and are no such measure')}`,
    '',
    '### 3.3 Other processing',
    '',
    ...stepRows(dossier),
    '',
    ...removedRows(dossier),
    `- Reasons of documents: ${Object.entries(removed.reasons)
      .map(([reason, rows]) => `${markdownText(reason)} ${figures(rows)}`)
      .join(', ')}`,
    '',
  );
}

function lines(...parts: readonly string[]): string {
  return `${parts
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}

/** Marked, so that none is overlooked. */
function blank(what: string): string {
  return `**[TO FILL IN: ${what}]**`;
}

function figures(value: number): string {
  return value.toLocaleString('en-US');
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.001 && share > 0 ? 3 : 1)} %`;
}

function sizeRows({ corpus }: Dossier): string[] {
  return [
    `- documents: ${figures(corpus.documents)}`,
    `- characters: ${figures(corpus.characters)}`,
    `- bytes: ${figures(corpus.bytes)} in ${figures(corpus.files)} files`,
    corpus.tokens === null
      ? `- tokens: ${blank('not counted; --tokenizer counts them')}`
      : `- tokens: about ${figures(corpus.tokens)}`,
    `- made: ${corpus.from === null ? blank('dates of the run') : `${corpus.from} to ${corpus.to}`}`,
  ];
}

function sizeRange(tokens: number | null): string[] {
  const boxes = (chosen: number): string[] =>
    [
      'less than 1 billion tokens',
      '1 billion to 10 trillion tokens',
      'more than 10 trillion tokens',
    ].map((range, at) => `  - [${at === chosen ? 'x' : ' '}] ${range}`);
  if (tokens === null)
    return [`- Size: ${blank('tokens were not counted; --tokenizer counts them')}`, ...boxes(-1)];
  return [
    '- Size of this corpus alone; the range asked for is that of all data together:',
    ...boxes(tokens < SMALL ? 0 : tokens <= LARGE ? 1 : 2),
  ];
}

function sourceRows({ sources }: Dossier): string[] {
  const shown = sources.slice(0, MAX_LISTED);
  const bytes = sources.reduce((sum, source) => sum + source.bytes, 0);
  return [
    `${figures(sources.length)} files, ${figures(bytes)} bytes${shown.length < sources.length ? `; the first ${MAX_LISTED} are listed, all are in the JSON` : ''}.`,
    '',
    '| file | bytes | fingerprint |',
    '|---|---:|---|',
    ...shown.map(
      (source) =>
        `| ${markdownText(source.path)} | ${figures(source.bytes)} | ${markdownText(source.fingerprint)} |`,
    ),
  ];
}

function seen({ sample }: Dossier): string {
  return sample.isWhole
    ? `From all ${figures(sample.rows)} documents.`
    : `From a sample of ${figures(sample.rows)} documents, drawn in stretches with seed ${sample.seed}.`;
}

function groupRows(
  title: string,
  groups: readonly DossierGroup[] | null,
  dossier: Dossier,
): string[] {
  if (groups === null) {
    return [`## ${title}`, '', blank(`no column of the inputs names ${title.toLowerCase()}`), ''];
  }
  return [
    `## ${title}`,
    '',
    seen(dossier),
    '',
    '| name | documents | characters | share |',
    '|---|---:|---:|---:|',
    ...groups
      .slice(0, MAX_LISTED)
      .map(
        ({ name, documents, characters, share }) =>
          `| ${markdownText(name)} | ${figures(documents)} | ${figures(characters)} | ${percent(share)} |`,
      ),
    '',
  ];
}

/** A tenth of the domains, by content; the template has other rules for small providers. */
function topDomains(domains: readonly DossierGroup[], dossier: Dossier): string[] {
  const nTop = Math.max(1, Math.ceil((dossier.nDomains ?? domains.length) / 10));
  const shown = domains.slice(0, Math.min(nTop, MAX_LISTED));
  return [
    `- The ${figures(nTop)} domains of the most content, a tenth of ${figures(dossier.nDomains ?? domains.length)}${shown.length < nTop ? `; ${MAX_LISTED} are listed` : ''}. ${seen(dossier)}`,
    '',
    '| domain | share of characters |',
    '|---|---:|',
    ...shown.map(({ name, share }) => `| ${markdownText(name)} | ${percent(share)} |`),
  ];
}

function stepRows({ processing }: Dossier): string[] {
  return [
    `Versions: ${Object.entries(processing.versions)
      .map(([name, value]) => `${markdownText(name)} ${markdownText(value)}`)
      .join(', ')}.`,
    '',
    ...processing.steps.map(({ step, what, model, threshold }, at) => {
      const by = model
        ? ` Model ${markdownText(model.file)}, ${figures(model.bytes)} bytes, SHA-256 ${model.sha256}.`
        : '';
      const bound = threshold === null ? '' : ` Threshold ${threshold}.`;
      return `${at + 1}. ${step}: ${markdownText(what, 600)}.${by}${bound}`;
    }),
  ];
}

function removedRows({ removed }: Dossier): string[] {
  const share = (part: number, whole: number): string =>
    whole === 0 ? '–' : percent(part / whole);
  return [
    `- documents dropped: ${figures(removed.documentsDropped)} of ${figures(removed.documentsIn)} (${share(removed.documentsDropped, removed.documentsIn)})`,
    `- documents that lost lines or were changed: ${figures(removed.documentsEdited)}`,
    `- characters removed: ${figures(removed.charactersRemoved)} of ${figures(removed.charactersIn)} (${share(removed.charactersRemoved, removed.charactersIn)})`,
    `- documents that failed and stay as they were: ${figures(removed.documentsFailed)}`,
  ];
}
