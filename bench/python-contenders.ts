/**
 * Python packages that benches compare with, installed on demand into an environment of their own.
 *
 * They lie in bench/.cache/python/NAME, the newest of the registry at the time; remove the folder for newer ones. PYTHON
 * names an interpreter that has them already. Where they cannot be installed the bench says so and goes on without.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The interpreter that has the packages; null when they cannot be had. */
export function pythonWith(
  name: string,
  packages: readonly string[],
  log: (line: string) => void,
): string | null {
  const own = process.env['PYTHON'];
  if (own !== undefined) return own;
  const folder = join(
    process.env['GRISTMILL_BENCH_FOLDER'] ?? join(process.cwd(), 'bench'),
    '.cache/python',
    name,
  );
  const python = join(folder, 'bin/python');
  const done = join(folder, 'installed');
  if (existsSync(done)) return python;
  log(`installing ${packages.join(', ')}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const steps: [string, string[]][] = [
    ['python3', ['-m', 'venv', folder]],
    [python, ['-m', 'pip', 'install', '--quiet', ...packages]],
  ];
  for (const [command, args] of steps) {
    const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status === 0) continue;
    log(`${command} ${args.join(' ')} failed: ${error?.message ?? `status ${status}`}`);
    return null;
  }
  writeFileSync(done, '');
  return python;
}

/** Runs a script of bench/python and reads the JSON object that it prints; null when it fails, which is logged. */
export function askPython<Answer>(
  python: string,
  script: string,
  args: readonly string[],
  log: (line: string) => void,
): Answer | null {
  const file = join(process.env['GRISTMILL_BENCH_FOLDER']!, 'python', script);
  const child = spawnSync(python, [file, ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (child.status === 0) return JSON.parse(child.stdout) as Answer;
  const why = child.stderr?.trim().split('\n').at(-1) ?? child.error;
  log(`${script} ${args.slice(1).join(' ')} did not run: ${why}`);
  return null;
}
