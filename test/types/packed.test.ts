/** What publint and attw say of the packed package; .ci/pack-smoke asks them about the one that is published too. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: object;
};
const folder = mkdtempSync(join(tmpdir(), 'gristmill-packed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the packed package', () => {
  let archive: string;
  beforeAll(() => {
    const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
    execFileSync('npm', args, { cwd: root, stdio: 'ignore' });
    archive = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!);
  });

  it('has entries that are there, in the form that they say', () => {
    const said = tool('publint', 'run', archive, '--strict');
    expect(said).toMatchObject({ status: 0, stdout: expect.stringContaining('All good') });
  });

  // TypeScript's resolution of before node16 knows no entries, which is the only thing to be found.
  it('has the types of each entry, for import and for require', () => {
    const { stdout } = tool('attw', archive, '--format', 'json');
    const { problems } = JSON.parse(stdout).analysis as {
      problems: { kind: string; entrypoint: string; resolutionKind: string }[];
    };
    const entries = Object.keys(exports).filter((name) => !['.', './package.json'].includes(name));
    expect(problems).toEqual(
      entries.map((entrypoint) => ({ kind: 'NoResolution', entrypoint, resolutionKind: 'node10' })),
    );
  });
});

/** Into a file: attw ends before a pipe has taken all that it says. */
function tool(name: string, ...args: string[]): { status: number | null; stdout: string } {
  const said = join(folder, `${name}.out`);
  const file = openSync(said, 'w');
  const command = join(root, 'node_modules/.bin', name);
  const { status } = spawnSync(command, args, { stdio: ['ignore', file, 'inherit'] });
  closeSync(file);
  return { status, stdout: readFileSync(said, 'utf8') };
}
