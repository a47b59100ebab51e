/**
 * What a start loads, counted and not timed. `gristmill --version` took half a second of CPU and the whole library, a run
 * of one row all of zod and apache-arrow, and a thread for its one program.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distFile, packageRoot } from '../../src/paths.ts';

/** Writes the URL of every module, and the path of every addon, beside the process that loads it. */
const PROBE = `
import { appendFileSync } from 'node:fs';
import { register } from 'node:module';
const hooks = \`
import { appendFileSync } from 'node:fs';
export function load(url, context, next) {
  appendFileSync(process.env.LOADED, process.pid + ' ' + url + String.fromCharCode(10));
  return next(url, context);
}\`;
register('data:text/javascript,' + encodeURIComponent(hooks));
const { dlopen } = process;
process.dlopen = (module, file, ...rest) => {
  appendFileSync(process.env.LOADED, process.pid + ' addon:' + file + '\\n');
  return dlopen.call(process, module, file, ...rest);
};
`;

const DEFINITIONS = readdirSync(join(packageRoot, 'src/cli/commands')).length;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-start-'));
  writeFileSync(join(folder, 'probe.mjs'), PROBE);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a process has loaded. */
interface Loaded {
  /** Our files, relative to dist/. */
  readonly own: readonly string[];
  readonly ownBytes: number;
  /** Built-in modules that are imported by name. */
  readonly builtins: readonly string[];
  readonly addons: number;
  /** Anything else: packages. */
  readonly others: readonly string[];
}

let runs = 0;
/** Runs the command; what its processes have loaded, in the order of their starts. */
function loadedBy(...args: string[]): Loaded[] {
  const log = join(folder, `loaded-${runs++}`);
  writeFileSync(log, '');
  const env = {
    ...process.env,
    LOADED: log,
    NODE_OPTIONS: `--import ${join(folder, 'probe.mjs')}`,
  };
  const ran = spawnSync(process.execPath, [distFile('cli/main.js'), ...args], {
    env,
    encoding: 'utf8',
  });
  expect(ran).toMatchObject({ status: 0, stderr: '' });
  const processes = new Map<string, Set<string>>();
  for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
    const [pid, url] = line.split(/ (.*)/s) as [string, string];
    processes.set(pid, (processes.get(pid) ?? new Set()).add(url));
  }
  return [...processes.values()].map((urls) => {
    const all = [...urls].filter((url) => !url.startsWith('data:') && !url.includes(folder));
    const files = all.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url));
    const dist = join(packageRoot, 'dist/');
    const own = files.filter((file) => file.startsWith(dist));
    return {
      own: own.map((file) => relative(dist, file)),
      ownBytes: own.reduce((sum, file) => sum + statSync(file).size, 0),
      builtins: all.filter((url) => url.startsWith('node:')),
      addons: all.filter((url) => url.startsWith('addon:')).length,
      others: files.filter((file) => !file.startsWith(dist)),
    };
  });
}

describe('a start loads', () => {
  it.each(['--version', '-V'])('no program for %s', (flag) => {
    const [only, ...more] = loadedBy(flag);
    expect(more).toEqual([]);
    expect(only!.own.length).toBeLessThanOrEqual(6);
    expect(only!.ownBytes).toBeLessThan(20_000);
    expect(only).toMatchObject({ addons: 0, others: [] });
    expect([...only!.builtins].sort()).toEqual(['node:os', 'node:path', 'node:url']);
  });

  // `mix --help` loaded 39 files and took 0.45 s of CPU, as it brought all that the commands do along.
  it.each([
    // A file for each that defines commands, and what all of them share.
    [['--help'], DEFINITIONS + 15],
    [['mix', '--help'], 12],
    [['continue', 'run', '--help'], 12],
    [['annotate', '--help'], 12],
    [['eval', '--help'], 12],
  ])('definitions only for %j', (args, files) => {
    const [only, ...more] = loadedBy(...args);
    expect(more).toEqual([]);
    expect(only!.own.length).toBeLessThanOrEqual(files);
    expect(only!.ownBytes).toBeLessThan(340_000);
    expect(only).toMatchObject({ addons: 0, others: [] });
  });

  it('two processes for a run, one file each and a few small ones, no package, the addon in one', () => {
    const path = join(folder, 'one.jsonl');
    writeFileSync(path, `${JSON.stringify({ text: 'A single row of text, short and clean.' })}\n`);
    const [supervisor, worker, ...more] = loadedBy(
      'refine',
      path,
      '--out',
      join(folder, 'out'),
      '--json',
    );
    expect(more).toEqual([]);
    expect(supervisor!.own[0]).toBe('cli/main.js');
    expect(supervisor!.own.length).toBeLessThanOrEqual(8);
    expect(supervisor!.ownBytes).toBeLessThan(240_000);
    expect(supervisor).toMatchObject({ addons: 0, others: [] });
    expect(worker!.own[0]).toBe('refine/run-worker.js');
    expect(worker!.own.length).toBeLessThanOrEqual(3);
    expect(worker!.ownBytes).toBeLessThan(700_000);
    expect(worker).toMatchObject({ addons: 1, others: [] });
  });
});
