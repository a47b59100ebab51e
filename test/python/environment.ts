/**
 * Virtual environments of Python for tests, made once and kept: GRISTMILL_VENVS or node_modules/.cache/gristmill. What cannot be
 * made (no Python with venv, no package index) is said, and its tests are skipped.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
/** The package's sources, for PYTHONPATH. */
export const sources = join(root, 'python/src');

const INSTALL_MS = 1_500_000;

/** @returns the interpreter, or null, said on stderr, where there is none */
export function environmentWith(packages: readonly string[]): string | null {
  const folder = process.env['GRISTMILL_VENVS'] ?? join(root, 'node_modules/.cache/gristmill');
  const name = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12);
  const environment = join(folder, `venv-${name}`);
  const python = join(environment, 'bin/python');
  const complete = join(environment, 'complete');
  if (existsSync(complete)) return python;
  const fail = (what: string, { stderr }: { readonly stderr: string | null }): null => {
    rmSync(environment, { recursive: true, force: true });
    const last = (stderr ?? '').trim().split('\n').at(-1);
    process.stderr.write(`SKIPPED: tests with ${packages.join(', ')}: ${what}: ${last}\n`);
    return null;
  };
  mkdirSync(folder, { recursive: true });
  const options = { encoding: 'utf8', timeout: INSTALL_MS } as const;
  const made = spawnSync('python3', ['-m', 'venv', environment], options);
  if (made.status !== 0) return fail('no Python 3 with venv', { stderr: made.stderr ?? null });
  const flags = ['--disable-pip-version-check', '--only-binary', ':all:', '--retries', '1'];
  // pyspark is published as sources only, which need no compiler.
  const sourcesOf = ['--no-binary', 'pyspark'];
  const args = ['-m', 'pip', 'install', '-q', ...flags, ...sourcesOf, ...packages];
  const installed = spawnSync(python, args, options);
  if (installed.status !== 0) return fail('nothing can be installed', installed);
  writeFileSync(complete, '');
  return python;
}
