/**
 * `npm run docs`: the site in build/site, with the reference of every export at /api/. What only this needs is a package of its
 * own (docs/package.json), installed here by its lock file. Warnings and dead links fail it.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
    copyFileSync(join(root, name), join(gathered, name));
  }
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
