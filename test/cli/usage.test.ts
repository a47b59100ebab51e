/** What the command says to who uses it wrongly, or does not know it yet. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examplesOf, pathOf } from '../../src/cli/help.ts';
import { gristmillProgram } from '../../src/cli/program.ts';
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

/** Every command that does something, by its words. */
async function leaves(): Promise<string[][]> {
  const visit = (command: Command): string[][] =>
    command.commands.length === 0 ? [pathOf(command)] : command.commands.flatMap(visit);
  return visit(await gristmillProgram());
}

describe('every command', () => {
  it('has examples that it takes itself, options in groups, and a page', async () => {
    const all = await leaves();
    expect(all.length).toBeGreaterThan(35);
    for (const path of all) {
      const program = await gristmillProgram(path[0]);
      let command: Command = program;
      for (const word of path) command = command.commands.find((one) => one.name() === word)!;
      let help = '';
      command.configureOutput({
        writeOut: (text) => {
          help += text;
        },
      });
      command.outputHelp();
      expect(help).toContain(`\nDocumentation: docs/commands/${path.join('-')}.md`);
      expect(help).toMatch(/\nGeneral:\n {2}--config <file>/);
      // Options without a group come under this heading.
      expect([path, /^Options:/m.test(help)]).toEqual([path, false]);
      for (const [line] of examplesOf(command)) {
        expect(help).toContain(`  $ ${line}`);
        expect(line).toContain(`gristmill ${path.join(' ')}`);
      }
      const has = examplesOf(command).length > 0;
      expect([path, has]).toEqual([
        path,
        !['pause', 'resume', 'cancel', 'retry', 'build-native'].includes(path.at(-1)!),
      ]);
    }
  });

  it('has examples whose flags it has', async () => {
    const program = await gristmillProgram();
    const visit = (command: Command): void => {
      for (const [line] of examplesOf(command)) {
        const own = line.slice(line.indexOf('gristmill '));
        for (const [, flag] of own.matchAll(/ (--[a-z-]+)/g)) {
          expect([line, command.options.some(({ long }) => long === flag)]).toEqual([line, true]);
        }
      }
      command.commands.forEach(visit);
    };
    visit(program);
  });
});

describe('--quiet', () => {
  it('leaves results and errors', async () => {
    const loud = await run(['refine', corpus, '--out', join(folder, 'loud'), '--limit', '2']);
    expect(loud.stderr).toContain('loading models');
    const quiet = await run([
      'refine',
      corpus,
      '--out',
      join(folder, 'q'),
      '--limit',
      '2',
      '--quiet',
    ]);
    expect([quiet.code, quiet.stderr]).toEqual([0, '']);
    expect(quiet.stdout.toString()).toContain('rows in');
    const wrong = await run(['show', join(folder, 'none'), '--quiet']);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('RUN_NOT_FOUND')]);
  });
});

describe('errors', () => {
  it('name the place that explains them, for people and for programs', async () => {
    const args = ['show', join(folder, 'none')];
    const { stderr } = await run(args);
    expect(stderr).toMatch(
      /^gristmill: RUN_NOT_FOUND: .*\n {2}see docs\/errors\.md#run_not_found\n$/,
    );
    const asked = JSON.parse((await run([...args, '--json'])).stderr);
    expect(asked.error).toMatchObject({
      code: 'RUN_NOT_FOUND',
      docs: 'docs/errors.md#run_not_found',
    });
  });
});

/** What a terminal would act on: ESC, C1 CSI, a bell, a change of direction, a carriage return. */
const HOSTILE = 'a\u001b[31mb\u009b2Jc\u0007d\u202ee';
const RAW = /(?![\n\t])[\p{Cc}\u202a-\u202e]/u;

describe('text from outside', () => {
  const dir = join(folder, `in-${HOSTILE}`);
  const file = join(dir, `${HOSTILE}.jsonl`);
  const refined = join(folder, `out-${HOSTILE}`);
  beforeAll(async () => {
    mkdirSync(dir);
    const page = `Menu ${HOSTILE}\nThis is a whole sentence of a text that stays, as it is long enough.\n`;
    const rows = [1, 2, 3].map((id) => ({ id: `${HOSTILE}${id}`, [HOSTILE]: page.repeat(id) }));
    writeFileSync(file, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n{"no": 1}\nnone\n`);
    const { code } = await run([
      'refine',
      dir,
      '--out',
      refined,
      '--text-column',
      HOSTILE,
      '--id-column',
      'id',
      '--retention',
      '0.9',
    ]);
    expect([0, 3]).toContain(code);
  });

  it.each([
    ['a plan', ['refine', dir, '--out', 'o', '--text-column', HOSTILE, '--plan']],
    [
      'what is removed',
      ['refine', dir, '--out', join(folder, 'shown'), '--text-column', HOSTILE, '--show', '3'],
    ],
    ['an estimate', ['refine', dir, '--out', 'o', '--text-column', HOSTILE, '--estimate']],
    ['a missing column', ['refine', dir, '--out', 'o', '--text-column', `${HOSTILE}x`]],
    ['a missing file', ['refine', `${dir}x`, '--out', 'o']],
    ['documents', ['show', refined]],
    ['a comparison', ['compare', refined, refined]],
    ['a condition', ['show', refined, '--where', HOSTILE]],
    ['a report', ['report', refined, '--out', join(folder, `${HOSTILE}.html`)]],
    ['no run', ['report', dir]],
    ['no model', ['models', 'inspect', file]],
    ['no configuration', ['train', file]],
    ['no table', ['mix', 'fit', '--mixtures', file, '--losses', file, '--out', 'o']],
    ['no plan', ['continue', 'plan', file]],
    ['no corpus', ['eval', 'lm', '--model', file, '--data', file]],
    ['a file of flags', ['refine', dir, '--out', 'o', '--config', file]],
    ['a flag', ['refine', dir, '--out', 'o', `--${HOSTILE}`]],
    ['a value', ['refine', dir, '--out', 'o', '--format', HOSTILE]],
    ['a command', [HOSTILE]],
  ])('reaches no terminal as it is: %s', async (_, args) => {
    const { stdout, stderr } = await run(args, { env: { NO_COLOR: '1' } });
    expect(stdout.toString() + stderr).not.toMatch(RAW);
    expect(stdout.length + stderr.length).toBeGreaterThan(10);
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
