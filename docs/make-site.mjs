/**
 * `npm run docs`: the site in build/site, with the reference of every export at /api/. What only this needs is a package of its
 * own (docs/package.json), installed here by its lock file. Warnings and dead links fail it.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { linksOf } from './markdown.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const docs = join(root, 'docs');
/** Pages and pictures, where readers find them; see .vitepress/config.mts. */
const gathered = join(docs, '.site');
const FOLDERS = ['docs', 'examples', 'python', 'models', 'bench'];
const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'];
const LEFT_OUT = /(?:^|\/)(?:node_modules|\.\w+|documents|pages|collect)\//;

if (!existsSync(join(docs, 'node_modules/vitepress'))) {
  run('npm ci', 'npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']);
}
gather();
const bin = (name) => join(docs, 'node_modules/.bin', name);
run('vitepress', bin('vitepress'), ['build', '.']);
run('typedoc', bin('typedoc'), ['--options', 'typedoc.json']);
copyFileSync(join(root, 'llms.txt'), join(root, 'build/site/llms.txt'));

function gather() {
  rmSync(gathered, { recursive: true, force: true });
  const found = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(folder, name),
    ),
  );
  const wanted = found.filter((name) => /\.(?:md|png|svg)$/.test(name) && !LEFT_OUT.test(name));
  for (const name of [...PAGES, ...wanted]) {
    mkdirSync(dirname(join(gathered, name)), { recursive: true });
    if (!name.endsWith('.md')) copyFileSync(join(root, name), join(gathered, name));
    else writeFileSync(join(gathered, name), withoutFiles(name, new Set([...PAGES, ...wanted])));
  }
}

/** A page whose links to files of the repository that are no pages are text: the site does not have those. */
function withoutFiles(page, there) {
  const text = readFileSync(join(root, page), 'utf8');
  const dead = linksOf(text)
    .map(({ target }) => target)
    .filter((target) => !/^(?:https?:|mailto:|#)/.test(target))
    .filter((target) => !there.has(join(dirname(page), target.replace(/#.*$/, ''))));
  return dead.reduce(
    (rest, target) => rest.replace(new RegExp(`\\[([^\\]]*)\\]\\(${escaped(target)}\\)`), '$1'),
    text,
  );
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Runs a program, shows what it says, and ends with it where it fails or warns. */
function run(name, command, args) {
  const ran = spawnSync(command, args, { cwd: docs, encoding: 'utf8', maxBuffer: 2 ** 26 });
  const said = `${ran.stdout}${ran.stderr}`;
  process.stdout.write(said);
  const warnings = said.split('\n').filter((line) => /\bwarn(?:ing)?\b/i.test(line));
  if (ran.status === 0 && warnings.length === 0) return;
  process.stderr.write(`docs: ${name}: exit code ${ran.status}, ${warnings.length} warnings\n`);
  process.exit(1);
}
