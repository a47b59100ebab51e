/**
 * Builds `corpus.parquet` and `corpus-labels.jsonl` from the sources in `corpus/`: `node examples/build-corpus.mjs`.
 *
 * A function of the sources alone: no clock, no locale, no platform, so that the committed files can be compared
 * byte for byte with a rebuild. Labels name the lines of a page that are not its content.
 */
import { realpathSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { hopelessPages } from './corpus/hopeless.mjs';
import { renderPage } from './corpus/page.mjs';
import { Random } from './corpus/random.mjs';
import { readChrome, readSources } from './corpus/source.mjs';

/** Small row groups, so that even this corpus plans into several units. */
export const ROW_GROUP_ROWS = 64;

/** @typedef {import('./build-corpus.d.mts').CorpusRow} CorpusRow */
/** @typedef {import('./build-corpus.d.mts').CorpusLabel} CorpusLabel */
/** @typedef {import('./corpus/page.mjs').PageLine} PageLine */

/** Runs of letters and digits; Han, kana and Thai count one a character. @param {string} text */
function countWords(text) {
  const single = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/gu;
  const alone = text.match(single)?.length ?? 0;
  const runs = text.replace(single, ' ').match(/[\p{L}\p{N}]+/gu)?.length ?? 0;
  return alone + runs;
}

/** Share of the characters that stand in lines of at least 60: a naive score, as crawls carry. @param {string} text */
function naiveQuality(text) {
  const lines = text.split('\n');
  const inLong = lines.filter((line) => line.length >= 60).join('').length;
  return text.length === 0 ? 0 : Math.round((inLong / text.length) * 1e4) / 1e4;
}

/** Inclusive, 0-based ranges of the lines that are not content. @param {PageLine[]} lines */
function removedRanges(lines) {
  /** @type {[number, number][]} */
  const ranges = [];
  lines.forEach((line, lineIndex) => {
    const last = ranges.at(-1);
    if (line.keep) return;
    if (last && last[1] === lineIndex - 1) last[1] = lineIndex;
    else ranges.push([lineIndex, lineIndex]);
  });
  return ranges;
}

/** @param {import('./corpus/source.mjs').Source} source @param {string | null} text @returns {CorpusRow} */
function toRow(source, text) {
  const random = new Random(`row ${source.kind} ${source.language} ${source.slug}`);
  const section = random.chance(0.5) ? `/${source.tags[0] ?? source.kind}` : '';
  const number = random.chance(0.3) ? `-${random.int(1000, 99999)}` : '';
  const crawledMs = Date.UTC(2025, 0, 1) + random.int(0, 300 * 86400) * 1000;
  return {
    id: `${source.kind}-${source.language}-${source.slug}`,
    url: `https://www.${source.domain}${section}/${source.slug}${number}`,
    domain: source.domain,
    language: source.language,
    kind: source.kind,
    text,
    n_words: countWords(text ?? ''),
    tags: source.tags,
    meta: { crawl_ts: new Date(crawledMs), quality: text === null ? null : naiveQuality(text) },
  };
}

/** @returns {{ row: CorpusRow, label: CorpusLabel }[]} */
function buildDocuments() {
  const sources = readSources();
  const languages = readChrome();
  const pages = sources.map((source) => {
    const chrome = languages.get(source.language);
    if (!chrome) throw new Error(`no chrome for language ${source.language}`);
    const near = sources.filter(({ language }) => language === source.language);
    const alike = near.filter(({ kind }) => kind === source.kind);
    const general = ['article', 'blog'].includes(source.kind) ? chrome.get('headlines') : [];
    const neighbours = alike.length > 6 ? alike : near;
    const headlines = [...neighbours.map(({ title }) => title), ...(general ?? [])];
    const lines = renderPage(source, chrome, headlines);
    const lineEnd = source.tags.includes('crlf') ? '\r\n' : '\n';
    const row = toRow(source, lines.map(({ text }) => text).join(lineEnd));
    return { row, label: { id: row.id, drop: false, remove: removedRanges(lines) } };
  });
  const hopeless = hopelessPages().map(({ text, missing, ...source }) => {
    const whole = toRow({ ...source, kind: 'hopeless', title: '', body: [] }, text);
    const row = missing === undefined ? whole : { ...whole, [missing]: null };
    /** @type {CorpusLabel} */
    const label = { id: row.id, drop: true, remove: [] };
    return { row, label };
  });
  const documents = [...pages, ...hopeless];
  return new Random('order').sample(documents, documents.length);
}

const SCHEMA = /** @type {import('hyparquet').SchemaElement[]} */ ([
  { name: 'root', num_children: 9 },
  ...['id', 'url', 'domain', 'language', 'kind', 'text'].map((name) => ({
    name,
    type: 'BYTE_ARRAY',
    converted_type: 'UTF8',
    repetition_type: name === 'text' ? 'OPTIONAL' : 'REQUIRED',
  })),
  { name: 'n_words', type: 'INT32', repetition_type: 'REQUIRED' },
  { name: 'tags', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  { name: 'meta', repetition_type: 'OPTIONAL', num_children: 2 },
  {
    name: 'crawl_ts',
    type: 'INT64',
    converted_type: 'TIMESTAMP_MILLIS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
    repetition_type: 'OPTIONAL',
  },
  { name: 'quality', type: 'DOUBLE', repetition_type: 'OPTIONAL' },
]);

/**
 * Builds the corpus in memory.
 *
 * @returns {import('./build-corpus.d.mts').BuiltCorpus}
 */
export function buildCorpus() {
  const documents = buildDocuments();
  const rows = documents.map(({ row }) => row);
  const names = /** @type {const} */ ([
    'id',
    'url',
    'domain',
    'language',
    'kind',
    'text',
    'n_words',
    'tags',
    'meta',
  ]);
  const parquet = parquetWriteBuffer({
    columnData: names.map((name) => ({ name, data: rows.map((row) => row[name]) })),
    schema: SCHEMA,
    rowGroupSize: ROW_GROUP_ROWS,
    createdBy: 'gristmill examples',
  });
  const labels = documents.map(({ label }) => `${JSON.stringify(label)}\n`).join('');
  return { rows, parquet: new Uint8Array(parquet), labels };
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { rows, parquet, labels } = buildCorpus();
  writeFileSync(new URL('corpus.parquet', import.meta.url), parquet);
  writeFileSync(new URL('corpus-labels.jsonl', import.meta.url), labels);
  process.stdout.write(`corpus.parquet: ${rows.length} documents, ${parquet.length} bytes\n`);
}
