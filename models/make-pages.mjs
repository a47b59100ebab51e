/**
 * Makes training pages in the languages of models/pages/templates:
 * `node models/make-pages.mjs SENTENCES OUT [training|held-out] [SEED] [PAGES [ENGLISH]]`.
 *
 * SENTENCES is what models/collect-sentences.mjs wrote; OUT becomes gzip JSON lines of the form of dev.jsonl.gz
 * (models/README.md), PAGES a language (default 120), ENGLISH of them English (default 60). The same seed, the same file.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { makePages } from '../dist/scorers/defaults/made-pages.js';
import { MADE_LANGUAGES, readPhraseBook } from '../dist/scorers/defaults/made-phrases.js';
import { readSentences } from '../dist/scorers/defaults/made-sentences.js';

const [file, out, part = 'training', seed = '1', nPages = '120', nEnglish = '60', ...rest] =
  process.argv.slice(2);
if (out === undefined || rest.length > 0 || !['training', 'held-out'].includes(part)) {
  process.stderr.write(
    'usage: node models/make-pages.mjs SENTENCES OUT [training|held-out] [SEED] [PAGES [ENGLISH]]\n',
  );
  process.exit(2);
}
const templates = join(dirname(fileURLToPath(import.meta.url)), 'pages', 'templates');
const sentences = await readSentences(file);
const pages = MADE_LANGUAGES.flatMap((language) => {
  const documents = sentences.get(language);
  if (documents === undefined) {
    process.stderr.write(`${language}: no sentences, no pages\n`);
    return [];
  }
  return makePages({
    language,
    book: readPhraseBook(templates, language),
    documents,
    part,
    nPages: Number(language === 'en' ? nEnglish : nPages),
    seed: Number(seed),
  });
});
writeFileSync(out, gzipSync(`${pages.map((page) => JSON.stringify(page)).join('\n')}\n`));
for (const language of MADE_LANGUAGES) {
  const own = pages.filter((page) => page.language === language);
  const nLines = own.reduce((sum, page) => sum + page.n_lines, 0);
  process.stderr.write(`${language}\t${own.length} pages\t${nLines} lines\n`);
}
