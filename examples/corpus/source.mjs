/**
 * Reads the authored sources of the example corpus.
 *
 * Articles (`articles-*.txt`): records that begin with a header line
 *
 *     @@@ kind language domain slug tag,tag,…
 *
 * then the title, then the body, one line of the page a line. In a body
 *
 *     ~ text        a noise line that stands at this place of the page (caption, advertisement, …)
 *     ## text       a heading (content; feeds the table of contents)
 *     % name        a post by `name` begins (forum, questions)
 *     !squares a b  a computed table of squares, cubes and roots
 *     ⇥ and ␤       a tab, and U+2028 (a line separator that is content, not a line end)
 *
 * Chrome (`chrome/<language>.txt`): `[name]` opens a pool, every further line is one block of it, `¦` breaks a
 * block into lines.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** @typedef {{ text: string, role: 'content' | 'noise' | 'heading' | 'post' }} SourceLine */
/**
 * @typedef {object} Source
 * @property {string} kind
 * @property {string} language
 * @property {string} domain
 * @property {string} slug
 * @property {string[]} tags
 * @property {string} title
 * @property {SourceLine[]} body
 */
/** @typedef {Map<string, string[]>} Chrome */

const here = new URL('.', import.meta.url);

/** @param {string} line @returns {SourceLine[]} */
function parseBodyLine(line) {
  const text = line.replaceAll('⇥', '\t').replaceAll('␤', '\u2028');
  if (text.startsWith('~ ')) return [{ text: text.slice(2), role: 'noise' }];
  if (text.startsWith('## ')) return [{ text: text.slice(3), role: 'heading' }];
  if (text.startsWith('% ')) return [{ text: text.slice(2), role: 'post' }];
  if (!text.startsWith('!squares ')) return [{ text, role: 'content' }];
  const [, first, last] = text.split(' ').map(Number);
  /** @type {SourceLine[]} */
  const rows = [];
  for (let n = first ?? 1; n <= (last ?? 0); n++) {
    const cells = [n, n * n, n * n * n, Math.sqrt(n).toFixed(5)];
    rows.push({ text: cells.join('\t'), role: 'content' });
  }
  return rows;
}

/** @param {string} record @param {string} file @returns {Source} */
function parseRecord(record, file) {
  const [header = '', title = '', ...lines] = record.replace(/\n+$/, '').split('\n');
  const [kind, language, domain, slug, tags] = header.trim().split(/\s+/);
  if (!kind || !language || !domain || !slug || !title) {
    throw new Error(`${file}: record "${header}" needs kind, language, domain, slug and a title`);
  }
  const body = lines.flatMap(parseBodyLine);
  return { kind, language, domain, slug, tags: tags ? tags.split(',') : [], title, body };
}

/** Reads every `articles-*.txt`, in the order of the file names. @returns {Source[]} */
export function readSources() {
  const files = readdirSync(here).filter((name) => /^articles-.*\.txt$/.test(name));
  return files.sort().flatMap((file) => {
    const records = readFileSync(new URL(file, here), 'utf8').split(/^@@@ /m);
    return records.slice(1).map((record) => parseRecord(record, file));
  });
}

/** Reads the chrome pools of every language. @returns {Map<string, Chrome>} */
export function readChrome() {
  const dir = new URL('chrome/', here);
  /** @type {Map<string, Chrome>} */
  const languages = new Map();
  for (const file of readdirSync(dir).sort()) {
    /** @type {Chrome} */
    const pools = new Map();
    let name = '';
    for (const line of readFileSync(new URL(file, dir), 'utf8').split('\n')) {
      const opened = /^\[([\w.]+)\]$/.exec(line);
      if (opened) name = opened[1] ?? '';
      else if (line.trim() !== '') pools.set(name, [...(pools.get(name) ?? []), line]);
    }
    languages.set(file.replace('.txt', ''), pools);
  }
  return languages;
}
