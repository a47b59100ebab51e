/**
 * Collects good documents for training the document refiner, from what package managers have installed:
 *
 *     node models/collect-documents.mjs [--npm DIR]… [--pip DIR]… [--debian DIR]… [--checkout DIR]… --out DATA
 *
 * `--npm`      folder with node_modules at any depth (`npm install --ignore-scripts`)
 * `--pip`      site-packages, or the folder above several `pip install --target` folders
 * `--debian`   folder of packages unpacked each into a folder of its name (`dpkg -x`), or the root of a Debian system
 * `--checkout` folder of checked-out projects with a permissive LICENSE
 *
 * Writes DATA/documents-installed.jsonl.gz, a row a document: `{id, kind, source, package, licence, language, text}`,
 * source is npm, pip, debian or checkout. READMEs, changelogs, licences, guidelines, manual pages, documentation, help
 * texts, source code, configuration and tables are taken; texts are whole, 200 to 20,000 characters, UTF-8, of packages
 * with a permissive licence, and nearly the same text is taken once. A package gives at most five documents of a
 * language and 15 in all (a checkout 12 and 150), its kinds in turn (JavaScript and declarations once), a scope of npm 40.
 *
 * `collect/packages.json` names the packages and checkouts that our run was given.
 *
 * Packages in this project's package-lock.json are left out: their READMEs are what the refiners are measured on.
 * The result depends on nothing but the folders: files are taken in the order of a hash of their names. It is for
 * training only and stays out of the repository.
 */
import { createHash } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import { htmlText } from './collect/html.mjs';
import { isReadable, kindOf } from './collect/kinds.mjs';
import { languageOf } from './collect/language.mjs';
import { manualText } from './collect/manual.mjs';
import { NearDuplicates } from './collect/near-duplicates.mjs';
import { checkouts, debianPackages, npmPackages, pipPackages } from './collect/packages.mjs';

const MIN_CHARS = 200;
const MAX_CHARS = 20_000;
const PER_LANGUAGE = 5;
const PER_PACKAGE = 15;
/** A checkout holds translations, and few others do. */
const PER_CHECKOUT = { language: 12, all: 150 };
const PER_SCOPE = 40;
/** Kinds that are prose in some language. */
const PROSE = new Set(['documentation', 'tutorial', 'faq', 'help', 'readme', 'guidelines']);
/** Most documents of a kind that a package gives, where it is not as many as it has room for. */
const PER_KIND = {
  'code-js': 1,
  'api-declarations': 1,
  'code-ts': 1,
  'code-css': 1,
  'code-python': 2,
  licence: 1,
};
/** Candidates of a kind that are read of one package before the next kind has its turn. */
const MAX_TRIES = 12;

const SOURCES = { npm: npmPackages, pip: pipPackages, debian: debianPackages, checkout: checkouts };

/** Documents of one package, its kinds in turn. */
function* documentsOf({ source, name, licence, files, read }, known) {
  const byKind = new Map();
  for (const path of files) {
    const kind = kindOf(path);
    if (kind === null) continue;
    if (!byKind.has(kind)) byKind.set(kind, []);
    byKind.get(kind).push(path);
  }
  const queues = [...byKind].map(([kind, paths]) => ({
    kind,
    paths: paths.sort((left, right) => (rank(name, left) < rank(name, right) ? -1 : 1)),
  }));
  queues.sort((left, right) => (order(left.kind, name) < order(right.kind, name) ? -1 : 1));
  const taken = new Map();
  const limit = source === 'checkout' ? PER_CHECKOUT : { language: PER_LANGUAGE, all: PER_PACKAGE };
  const nOfKind = new Map();
  let nTaken = 0;
  let isOpen = true;
  while (isOpen && nTaken < limit.all) {
    isOpen = false;
    for (const { kind, paths } of queues) {
      let isTaken = false;
      for (let tries = 0; tries < MAX_TRIES && paths.length > 0 && nTaken < limit.all; tries++) {
        const path = paths.shift();
        const text = textOf(path, kind, read);
        if (text === null) continue;
        const language = languageOf(text);
        // Prose in no language that is known is an index or a stub.
        if (language === 'und' && PROSE.has(kind)) continue;
        if ((taken.get(language) ?? 0) >= limit.language || !known.isNew(text)) continue;
        taken.set(language, (taken.get(language) ?? 0) + 1);
        nTaken += 1;
        yield {
          id: `${source}:${name}:${path}`,
          kind,
          source,
          package: name,
          licence,
          language,
          text,
        };
        isTaken = true;
        break;
      }
      nOfKind.set(kind, (nOfKind.get(kind) ?? 0) + (isTaken ? 1 : 0));
      if (nOfKind.get(kind) >= (PER_KIND[kind] ?? Number.POSITIVE_INFINITY)) paths.length = 0;
      isOpen ||= paths.length > 0;
    }
  }
}

/** READMEs first, changelogs and licences (which look alike) last, the others in an order of the package's own. */
function order(kind, name) {
  const place = kind === 'readme' ? 0 : kind === 'changelog' ? 2 : kind === 'licence' ? 3 : 1;
  return `${place}${rank(name, kind)}`;
}

function rank(name, path) {
  return createHash('sha256').update(`${name}\n${path}`).digest('hex');
}

/** The text of a file as its kind is read; null for one that is no document. */
function textOf(path, kind, read) {
  const stored = read(path);
  if (stored === null) return null;
  const plain = stored.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n');
  const isHtml = /\.html(\.gz)?$/.test(path) || /^\s*<(!doctype|html)/i.test(plain);
  const text = (kind === 'man' ? manualText(plain) : isHtml ? htmlText(plain) : plain)?.trim();
  if (text === undefined || text.length < MIN_CHARS || text.length > MAX_CHARS) return null;
  return isReadable(text, kind) ? text : null;
}

/** Every document of the folders given. */
function* collect(folders, leftOut) {
  const known = new NearDuplicates();
  const scopes = new Map();
  for (const [source, packages] of Object.entries(SOURCES)) {
    const seen = new Set(source === 'npm' ? leftOut : []);
    for (const folder of folders[source] ?? []) {
      for (const found of packages(folder, seen)) {
        const scope = /^(@[^/]+)\//.exec(found.name)?.[1];
        for (const document of documentsOf(found, known)) {
          if (scope !== undefined) {
            const nOfScope = (scopes.get(scope) ?? 0) + 1;
            if (nOfScope > PER_SCOPE) break;
            scopes.set(scope, nOfScope);
          }
          yield document;
        }
      }
    }
  }
}

/** Names of the packages that this project's lock file installs. */
function lockedPackages() {
  const lock = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const { packages } = JSON.parse(readFileSync(lock, 'utf8'));
  return Object.keys(packages).flatMap((path) => /.*node_modules\/(.+)$/.exec(path)?.[1] ?? []);
}

const folderOption = { type: 'string', multiple: true };
const { values } = parseArgs({
  options: {
    npm: folderOption,
    pip: folderOption,
    debian: folderOption,
    checkout: folderOption,
    out: { type: 'string' },
  },
});
if (
  values.out === undefined ||
  Object.keys(SOURCES).every((source) => values[source] === undefined)
) {
  process.stderr.write(
    'usage: node models/collect-documents.mjs [--npm|--pip|--debian|--checkout DIR]... --out DATA\n',
  );
  process.exit(2);
}
mkdirSync(values.out, { recursive: true });
const counts = { kind: new Map(), source: new Map(), language: new Map(), licence: new Map() };
let nDocuments = 0;
function* rows() {
  for (const document of collect(values, lockedPackages())) {
    nDocuments += 1;
    for (const [column, count] of Object.entries(counts)) {
      count.set(document[column], (count.get(document[column]) ?? 0) + 1);
    }
    yield `${JSON.stringify(document)}\n`;
  }
}
const file = join(values.out, 'documents-installed.jsonl.gz');
await pipeline(rows, createGzip(), createWriteStream(file));
process.stdout.write(`${nDocuments} documents in ${file}\n`);
for (const [column, count] of Object.entries(counts)) {
  const sorted = [...count].sort((left, right) => right[1] - left[1]);
  process.stdout.write(`by ${column}: ${sorted.map(([name, n]) => `${name} ${n}`).join(', ')}\n`);
}
