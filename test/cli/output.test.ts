/**
 * Where commands cannot say what they have to say, or keep what they make: full disks behind a redirection ended in a stack,
 * a home that cannot be written in an error without a code, and an empty `XDG_CACHE_HOME` in a folder in the working directory.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gristmill-output-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(args: string[], { stdout = 'pipe' as 'pipe' | number, input = '', env = {} } = {}) {
  const result = spawnSync(process.execPath, [main, ...args], {
    cwd: folder,
    input,
    stdio: ['pipe', stdout, 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { code: result.status, stderr: result.stderr, stdout: result.stdout };
}

describe('standard output that is full', () => {
  it.each([
    ['text', ['continue', 'plan', '--presets']],
    ['JSON', ['continue', 'plan', '--presets', '--json']],
    ['help', ['--help']],
    ['rows', ['execute']],
  ])('is said in one line: %s', (_, args) => {
    const full = openSync('/dev/full', 'w');
    const { code, stderr } = run(args, {
      stdout: full,
      input: '{"text":"a","program":"keep_all()"}\n',
    });
    closeSync(full);
    expect(stderr).toMatch(/^gristmill: standard output: ENOSPC[^\n]*\n$/);
    expect(code).toBe(1);
  });
});

describe('usage errors', () => {
  it('quote what was given without its controls', () => {
    const { code, stderr } = run(['models', 'inspect', 'x', '--\u001b[31mx\u202e']);
    expect(stderr).toContain("'--\\u001b[31mx\\u202e'");
    expect(code).toBe(2);
  });
});

describe('a cache that cannot be written', () => {
  it('is named, with the way out', () => {
    const model = ['--document-model', 'random', '--stages', 'document'];
    writeFileSync(join(folder, 'in.jsonl'), '{"text":"a mill"}\n');
    const { code, stderr } = run(['refine', 'in.jsonl', '--out', 'out', ...model], {
      env: { HOME: '/proc/nowhere', XDG_CACHE_HOME: '' },
    });
    expect(stderr).toMatch(/MODEL_WRITE_FAILED: \/proc\/nowhere.*XDG_CACHE_HOME/);
    expect(code).toBe(1);
    expect(existsSync(join(folder, 'gristmill'))).toBe(false);
  });
});
