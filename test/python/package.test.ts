/** The Python package with pyarrow alone: checks.py, a check at a time. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { environmentWith, root, sources } from './environment.ts';

const python = environmentWith(['pyarrow']);
const script = join(root, 'test/python/checks.py');
/** Functions of checks.py that are checks: those whose names say something. */
const checks = [...readFileSync(script, 'utf8').matchAll(/^def ([a-z]+(?:_[a-z]+){3,})\(\):$/gm)];

/** Runs a script of Python to its end. */
function runPython(args: readonly string[]): Promise<[code: number | null, said: string]> {
  const command = [process.execPath, join(root, 'dist/cli/main.js')];
  const env = {
    ...process.env,
    PYTHONPATH: sources,
    PYTHONDONTWRITEBYTECODE: '1',
    GRISTMILL_COMMAND: command.map((word) => `'${word}'`).join(' '),
  };
  const child = spawn(python!, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk;
    });
  }
  return new Promise((resolve) => child.once('close', (code) => resolve([code, said])));
}

describe.skipIf(python === null)('the Python package', () => {
  it('has checks', () => expect(checks.length).toBeGreaterThan(6));

  it.each(checks.map(([, name]) => [name!]))('%s', async (name) => {
    expect(await runPython([script, name])).toEqual([0, '']);
  });
});
