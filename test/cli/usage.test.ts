/** What the command says to who uses it wrongly, or does not know it yet. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { distFile, packageRoot } from '../../src/paths.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-usage-'));
const out = join(folder, 'out');
const corpus = join(packageRoot, 'examples/corpus.parquet');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gristmill', () => {
  // The help went to stderr with code 2, so `gristmill | less` was empty.
  it.each([[[]], [['mix']], [['models']]])('%j prints its help to stdout', async (args) => {
    const { code, stdout, stderr } = await run(args);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.toString()).toMatch(/^Usage: gristmill .*\[command\]/);
  });

  it('finds every command that its help lists, under the same words', async () => {
    const { stdout } = await run(['--help']);
    const listed = stdout.toString().matchAll(/^ {2}([a-z][\w-]*) (.*)$/gm);
    const names = [...listed].map(([, name]) => name!).filter((name) => name !== 'help');
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) {
      const { code, stdout: help } = await run([name, '--help']);
      expect([name, code]).toEqual([name, 0]);
      expect(help.toString().slice(0, 40)).toContain(`Usage: gristmill ${name} `);
    }
  });

  it.each([
    // It said that --out is missing.
    [
      ['refine', 'x', '--outt', 'o'],
      [/unknown option '--outt'/, /Did you mean --out\?/],
    ],
    [['refine', '--outt', 'o'], [/unknown option '--outt'/]],
    [
      ['mix', 'sample', '--domians', 'x'],
      [/unknown option '--domians'/, /--domains/],
    ],
    [['train', '--ouut', 'x', 'y'], [/unknown option '--ouut'/]],
    // It named one of the two.
    [['refine'], [/missing: INPUTS, --out <dir>/]],
    [['refine', '--json'], [/missing: INPUTS, --out <dir>/]],
    [['refine', '-'], [/missing: --out <dir>/]],
    [['refine', '--out', 'o'], [/missing required argument 'inputs'/]],
    [['refin'], [/unknown command 'refin'/, /Did you mean refine\?/]],
  ])('%j is bad usage', async (args, messages) => {
    const { code, stdout, stderr } = await run(args);
    expect([code, stdout.toString()]).toEqual([2, '']);
    for (const message of messages) expect(stderr).toMatch(message);
    expect(stderr).toContain('--help');
  });

  // Some ended with code 1, and with the names of the library's options.
  it.each([
    [['refine', corpus, '--out', out, '--stages', 'chunks'], /--stages.*document,chunk/],
    [['refine', corpus, '--out', out, '--retention', '99'], /--retention.*0\.\.1/],
    [
      ['refine', corpus, '--out', out, '--retention', '0.9', '--line-threshold', '0.3'],
      /option --retention: .*--line-threshold/,
    ],
    [['refine', corpus, '--out', out, '--slots', '999'], /option --slots: .*1\.\.256.*999/],
    [['refine', corpus, '--out', out, '--zstd-level', '20'], /option --zstd-level: .*1\.\.19/],
    [['refine', corpus, '--out', out, '--slab-mb', '4096'], /option --slab-mb: /],
    [['refine', corpus, '--out', out, '--device', 'tpu'], /option --device: /],
    [
      ['refine', corpus, '--out', out, '--stages', 'document', '--retention', '0.9'],
      /option --retention: /,
    ],
    [
      ['refine', corpus, '--out', out, '--doc-mode', 'generate'],
      /option --doc-mode: expected score/,
    ],
  ])('%j is refused in the words of the command', async (args, message) => {
    const { code, stderr } = await run(args);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(stderr).not.toMatch(/\b(?:lineThreshold|documentMode|slabBytes|zstdLevel)\b/);
  });
});

describe('gristmill refine', () => {
  it('says that it loads models, and how a model without a profile is asked', async () => {
    const model = join(folder, 'tiny.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: model, seed: 1 });
    const args = ['refine', corpus, '--chunk-model', model, '--limit', '1', '--out', out];
    const { code, stderr } = await run(args);
    expect(code).toBe(0);
    expect(stderr).toMatch(/chunk model .*tiny\.gguf: no profile beside it, .* profile prox says/);
    expect(stderr).toMatch(/loading models\ngristmill: 0\.0% \| 0 docs/);
    const named = await run([...args, '--profile', 'prox', '--plan']);
    expect(named.stderr).not.toContain('no profile');
  });
});

describe('gristmill refine --out -', () => {
  it('prints its summary as JSON to stderr with --json', async () => {
    const { code, stdout, stderr } = await run([
      ...['refine', corpus, '--out', '-', '--json', '--limit', '3'],
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stderr)).toMatchObject({ rowsIn: 3, units: 1, unitsDone: 1, out: '-' });
    expect(stdout.subarray(0, 4).toString('hex')).toBe('ffffffff');
  });

  const script = spawnSync('script', ['--version']).status === 0 && process.platform === 'linux';
  it.skipIf(!script)('writes no Arrow IPC to a terminal', () => {
    const command = `${process.execPath} ${distFile('cli/main.js')} refine ${corpus} --out -`;
    const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([2, expect.stringContaining('option --out: ')]);
  });
});
