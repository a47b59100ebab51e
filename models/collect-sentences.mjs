/**
 * Collects running text for the made training pages: `node models/collect-sentences.mjs REPOS OUT`.
 *
 * REPOS holds a git checkout (or bare copy) of each repository of SOURCES under its own name, as `git clone --depth 1
 * https://github.com/<repository>` makes it; a missing one is skipped with a word. OUT becomes gzip JSON lines
 * `{language, source, licence, document, sentence}`, sentences of a document side by side and in its order. Text whose
 * source has no documents is cut into runs of twelve sentences. Nothing of it is committed; the licences allow
 * training and redistribution under their own terms (models/README.md names the sources).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const BY_SA_3 = 'CC-BY-SA-3.0';
const BY_SA_4 = 'CC-BY-SA-4.0';
const treebank = (name, language, licence, options = {}) => ({
  repository: `UniversalDependencies/UD_${name}`,
  language,
  licence,
  kind: 'conllu',
  ...options,
});
const PUD = {
  Arabic: 'ar',
  Chinese: 'zh',
  English: 'en',
  French: 'fr',
  German: 'de',
  Hindi: 'hi',
  Japanese: 'ja',
  Korean: 'ko',
  Portuguese: 'pt',
  Russian: 'ru',
  Spanish: 'es',
  Thai: 'th',
};
const GUIDE = {
  ar: 'ar',
  de: 'de',
  en: 'en',
  es: 'es',
  fr: 'fr',
  hi: 'hi',
  ja: 'ja',
  ko: 'ko',
  pt: 'pt',
  ru: 'ru',
  zh: 'zh-hans',
};
const SOURCES = [
  ...Object.entries(PUD).map(([name, language]) =>
    treebank(`${name}-PUD`, language, BY_SA_3, { documentOf: (id) => id.slice(0, 6) }),
  ),
  treebank('Chinese-GSDSimp', 'zh', BY_SA_4),
  treebank('English-EWT', 'en', BY_SA_4),
  treebank('French-GSD', 'fr', BY_SA_4),
  treebank('German-GSD', 'de', BY_SA_4),
  treebank('Japanese-GSD', 'ja', BY_SA_4),
  treebank('Korean-GSD', 'ko', BY_SA_4),
  treebank('Korean-Kaist', 'ko', BY_SA_4),
  treebank('Portuguese-Bosque', 'pt', BY_SA_4),
  treebank('Portuguese-GSD', 'pt', BY_SA_4),
  treebank('Russian-GSD', 'ru', BY_SA_4),
  treebank('Russian-Taiga', 'ru', BY_SA_4),
  treebank('Spanish-GSD', 'es', BY_SA_4),
  treebank('Thai-TUD', 'th', BY_SA_4),
  treebank('Vietnamese-VTB', 'vi', BY_SA_4, { spaced: true }),
  ...Object.entries(GUIDE).map(([language, folder]) => ({
    repository: 'github/opensource.guide',
    language,
    licence: 'CC-BY-4.0',
    kind: 'markdown',
    // English articles lie in the folder itself.
    matches: (path) =>
      language === 'en'
        ? /^_articles\/[^/]+\.md$/.test(path)
        : path.startsWith(`_articles/${folder}/`) && path.endsWith('.md'),
  })),
  ...['ar', 'hi', 'th', 'vi'].map((language) => ({
    repository: `reactjs/${language}.reactjs.org`,
    language,
    licence: 'CC-BY-4.0',
    kind: 'markdown',
    matches: (path) => /^content\/(docs|tutorial|community)\/.*\.md$/.test(path),
  })),
  {
    repository: 'PyThaiNLP/thaigov-v2-corpus',
    language: 'th',
    licence: 'public domain',
    kind: 'news',
    maxFiles: 400,
    matches: (path) => /^data\/202[0-4]\/.*\.txt$/.test(path),
  },
];

/** What most letters of a sentence must be; the Latin ones need a letter or word that tells them from English. */
const IS_LANGUAGE = {
  ar: (text) => scriptShare(text, /\p{Script=Arabic}/gu) > 0.7,
  hi: (text) => scriptShare(text, /\p{Script=Devanagari}/gu) > 0.7,
  ja: (text) =>
    scriptShare(text, /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー]/gu) > 0.6,
  ko: (text) => scriptShare(text, /\p{Script=Hangul}/gu) > 0.6,
  ru: (text) => scriptShare(text, /\p{Script=Cyrillic}/gu) > 0.7,
  th: (text) => scriptShare(text, /\p{Script=Thai}/gu) > 0.6,
  vi: (text) => scriptShare(text, /[ăâđêôơưà-ỹ]/giu) > 0.12,
  zh: (text) => scriptShare(text, /\p{Script=Han}/gu) > 0.6,
};
const DENSE = new Set(['zh', 'ja', 'ko']);
const MAX_PER_SOURCE = 4000;
const RUN = 12;

function scriptShare(text, script) {
  const letters = text.match(/[\p{L}\p{M}]/gu)?.length ?? 0;
  return letters === 0
    ? 0
    : (text.match(script)?.filter((c) => /[\p{L}\p{M}]/u.test(c)).length ?? 0) / letters;
}

function git(folder, ...words) {
  const result = spawnSync('git', ['-C', folder, '-c', 'core.quotepath=off', ...words], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  return result.status === 0 ? result.stdout : null;
}

const isSentence = (text, language) => {
  const length = [...text].length;
  if (length < (DENSE.has(language) ? 10 : 25) || length > 420) return false;
  if (/[{}<>|`\\_*#[\]]|https?:|^[-–=]|:$/.test(text)) return false;
  return IS_LANGUAGE[language]?.(text) ?? true;
};

/** Undoes the spaces of a tokenised line: none before a closing mark, none inside brackets and quotes. */
function unspaced(text) {
  let open = false;
  const quoted = text.replace(/ ?" ?/g, () => {
    open = !open;
    return open ? ' “' : '” ';
  });
  return quoted
    .replace(/ ([.,;:?!…)\]%])/g, '$1')
    .replace(/([([]) /g, '$1')
    .replace(/ \/ /g, '/')
    .replace(/”\s+([.,;:?!])/g, '”$1')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Sentences of treebank files as [document, sentence]; the poems among them are left out. */
function* fromConllu({ files, read, source }) {
  for (const path of files) {
    const content = read(path);
    if (content === null) continue;
    let document = null;
    let count = 0;
    for (const block of content.split(/\n\n+/)) {
      const comments = new Map(
        [...block.matchAll(/^# ?([\w ]+?) ?= ?(.*)$/gm)].map(([, key, value]) => [
          key,
          value.trim(),
        ]),
      );
      const text = comments.get('text');
      if (text === undefined || comments.get('genre') === 'poetry') continue;
      document = comments.get('newdoc id') ?? comments.get('newdoc_id') ?? document;
      const own =
        source.documentOf?.(comments.get('sent_id') ?? '') ??
        document ??
        `${path.replace(/.*\/|\.conllu$/g, '')}-${Math.floor(count / RUN)}`;
      count++;
      yield [own, source.spaced ? unspaced(text) : text];
    }
  }
}

/** Sentences of paragraphs and list items of Markdown. */
function* fromMarkdown({ files, read, source }) {
  for (const path of files) {
    const content = (read(path) ?? '')
      .replace(/^---\n[\s\S]*?\n---\n/, '')
      .replace(/```[\s\S]*?```/g, '\n')
      .replace(/<(aside|figure|script|style|iframe)[\s\S]*?<\/\1>/g, '\n')
      .replace(/<[^>\n]*>/g, ' ')
      .replace(/!\[[^\]]*\]\([^)]*\)/g, '')
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/\{[#%:][^}]*\}?\}/g, '');
    for (const paragraph of content.split(/\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.) )/)) {
      if (/^\s*(#|\||>|=)/.test(paragraph)) continue;
      const plain = paragraph
        .replace(/^\s*(?:[-*+]|\d+\.) +/, '')
        .replace(/\*{1,3}|`|\b_|_\b/g, '')
        .replace(/\s+/g, ' ');
      for (const sentence of sentencesOf(plain, source.language)) yield [path, sentence];
    }
  }
}

/** Sentences of one news story a file: a title, paragraphs, then where it is from. */
function* fromNews({ files, read, source }) {
  for (const path of files) {
    const [, ...lines] = (read(path) ?? '').split('\n');
    for (const line of lines) {
      if (/^\s*(ที่มา|วัน[^ ]+ที่)/.test(line)) continue;
      for (const sentence of sentencesOf(line.replace(/\s+/g, ' '), source.language))
        yield [path, sentence];
    }
  }
}

/** Thai ends no sentence with a mark: its clauses, which spaces part, are joined up to 60 characters and more. */
function sentencesOf(text, language) {
  if (language !== 'th') {
    const segmenter = new Intl.Segmenter(language, { granularity: 'sentence' });
    return [...segmenter.segment(text)].map(({ segment }) => segment.trim());
  }
  const sentences = [];
  let open = '';
  for (const clause of text.trim().split(' ')) {
    open = open === '' ? clause : `${open} ${clause}`;
    if (open.length < 60) continue;
    sentences.push(open);
    open = '';
  }
  return open === '' ? sentences : [...sentences, open];
}

const READERS = { conllu: fromConllu, markdown: fromMarkdown, news: fromNews };
const [repositories, out, ...rest] = process.argv.slice(2);
if (out === undefined || rest.length > 0) {
  process.stderr.write('usage: node models/collect-sentences.mjs REPOS OUT\n');
  process.exit(2);
}
const rows = [];
const seen = new Set();
for (const source of SOURCES) {
  const name = source.repository.split('/')[1];
  const folder = join(repositories, name);
  if (!existsSync(folder)) {
    process.stderr.write(`${source.repository}: not there, skipped\n`);
    continue;
  }
  const matches = source.matches ?? ((path) => /^[^/]+\.conllu$/.test(path));
  const order = (path) => createHash('sha256').update(path).digest('hex');
  let files =
    git(folder, 'ls-tree', '-r', '--name-only', 'HEAD')?.split('\n').filter(matches) ?? [];
  if (source.maxFiles !== undefined) {
    files = files.sort((a, b) => (order(a) < order(b) ? -1 : 1)).slice(0, source.maxFiles);
  }
  const read = (path) => git(folder, 'show', `HEAD:${path}`);
  let count = 0;
  const lengths = [];
  for (const [document, sentence] of READERS[source.kind]({ files, read, source })) {
    if (count >= MAX_PER_SOURCE) break;
    const key = `${source.language} ${sentence}`;
    if (seen.has(key) || !isSentence(sentence, source.language)) continue;
    seen.add(key);
    count++;
    lengths.push([...sentence].length);
    const { language, licence } = source;
    rows.push({ language, source: name, licence, document: `${name}:${document}`, sentence });
  }
  const middle = lengths.sort((a, b) => a - b)[lengths.length >> 1];
  process.stderr.write(
    `${source.language}\t${name}\t${source.licence}\t${count} sentences, half of ${middle} characters or more\n`,
  );
}
writeFileSync(out, gzipSync(`${rows.map((row) => JSON.stringify(row)).join('\n')}\n`));
