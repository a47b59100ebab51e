/**
 * Runs the commands of README and guides, page by page, as a reader would: in one folder a page, in order, with `gristmill` on
 * the path. Exit code 1 names what failed.
 *
 *     node docs/check-commands.mjs [--slow] [PAGE…]   in this checkout, which must be built
 *     npm run check:docs                              from a clean clone: installs, builds, the quick start, then all of them
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shellBlocks } from './markdown.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
/** What a page may find in its folder, as in the repository's own. */
const VISIBLE = ['examples', 'models'];

/** Pages whose commands are run. */
export function pagesToRun(root = here) {
  const guides = readdirSync(join(root, 'docs/guides')).sort();
  return ['README.md', ...guides.map((name) => `docs/guides/${name}`)];
}

/** Runs the commands of a page. @returns what failed, in words */
export function runPage(page, { root = here, slow = false, log = () => {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-docs-'));
  try {
    for (const name of VISIBLE) symlinkSync(join(root, name), join(folder, name));
    mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
    symlinkSync(root, join(folder, 'node_modules/gristmill'));
    const shim = join(folder, 'node_modules/.bin/gristmill');
    writeFileSync(shim, `#!/bin/sh\nexec "${process.execPath}" "${root}/dist/cli/main.js" "$@"\n`);
    chmodSync(shim, 0o755);
    const env = {
      ...process.env,
      PATH: `${join(folder, 'node_modules/.bin')}:${process.env.PATH}`,
    };
    for (const { mark, number, script } of shellBlocks(readFileSync(join(root, page), 'utf8'))) {
      if (mark !== 'run: fast' && !(slow && mark === 'run: slow')) continue;
      log(`${page}:${number}`);
      const ran = spawnSync('bash', ['-euo', 'pipefail', '-c', script], {
        cwd: folder,
        env,
        encoding: 'utf8',
        maxBuffer: 2 ** 26,
      });
      if (ran.status === 0) continue;
      const said = `${ran.stdout}${ran.stderr}`.split('\n').slice(-20).join('\n');
      return `${page}, line ${number}: exit code ${ran.status}\n${script}\n${said}`;
    }
    return null;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A clean clone, installed and built; its quick start has run. */
function cleanClone() {
  const root = mkdtempSync(join(tmpdir(), 'gristmill-clone-'));
  const must = (command, args, cwd) => {
    const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${status}`);
  };
  must('git', ['clone', '-q', here, root]);
  const [start] = shellBlocks(readFileSync(join(root, 'README.md'), 'utf8')).filter(
    ({ mark }) => mark === 'quick start',
  );
  must('bash', ['-euo', 'pipefail', '-c', start.script], root);
  return root;
}

function main(args) {
  const slow = args.includes('--slow') || args.includes('--clone');
  const root = args.includes('--clone') ? cleanClone() : here;
  const named = args.filter((arg) => !arg.startsWith('--'));
  const pages = named.length > 0 ? named : pagesToRun(root);
  const log = (line) => process.stderr.write(`${line}\n`);
  let nFailed = 0;
  for (const page of pages) {
    const failure = runPage(page, { root, slow, log });
    if (failure === null) continue;
    nFailed += 1;
    log(failure);
  }
  if (args.includes('--clone')) rmSync(root, { recursive: true, force: true });
  log(`${pages.length} pages, ${nFailed} failed`);
  process.exitCode = nFailed > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
