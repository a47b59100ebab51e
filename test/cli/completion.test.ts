/** `gristmill completion`: the script of bash is run in bash; those of zsh and fish where they are installed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completionScript } from '../../src/cli/completion.ts';
import { gristmillProgram } from '../../src/cli/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-completion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

beforeAll(async () => {
  const program = await gristmillProgram();
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    writeFileSync(join(folder, `gristmill.${shell}`), completionScript(shell, program));
  }
  mkdirSync(join(folder, 'work/my corpus'), { recursive: true });
  writeFileSync(join(folder, 'work/plan one.yaml'), '');
});

/** What bash offers for a line, the last word of which is being written. */
function inBash(...words: string[]): string[] {
  const script = `
    source ${join(folder, 'gristmill.bash')}
    COMP_WORDS=(gristmill "$@"); COMP_CWORD=$#
    _gristmill
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const options = { cwd: join(folder, 'work'), encoding: 'utf8' } as const;
  return execFileSync('bash', ['-euc', script, 'bash', ...words], options)
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

describe('the script of bash', () => {
  it('offers commands and their commands', () => {
    expect(inBash('re')).toEqual(['refine', 'report']);
    expect(inBash('mix', 'p')).toEqual(['predict']);
    expect(inBash('cluster', 'sub')).toEqual([
      'submit',
      'submit-chunks',
      'submit-documents',
      'submit-sweep',
    ]);
  });

  it('offers the options of the command that the line is in', () => {
    expect(inBash('refine', 'corpus', '--ret')).toEqual(['--retention']);
    expect(inBash('mix', 'fit', '--los')).toEqual(['--losses']);
    expect(inBash('mix', 'fit', '--retention')).toEqual([]);
    // A value that is called like a command is none.
    expect(inBash('refine', 'x', '--out', 'mix', '--ret')).toEqual(['--retention']);
    expect(inBash('show', 'refined', '--no-p')).toEqual(['--no-pager']);
  });

  it('offers choices, files and folders as values, and nothing where it knows none', () => {
    expect(inBash('refine', 'x', '--format', '')).toEqual(['jsonl.zst', 'parquet']);
    expect(inBash('completion', '')).toEqual(['bash', 'fish', 'zsh']);
    expect(inBash('refine', '')).toEqual(['my corpus', 'plan one.yaml']);
    expect(inBash('refine', 'x', '--out', '')).toEqual(['my corpus']);
    expect(inBash('continue', 'plan', 'plan')).toEqual(['plan one.yaml']);
    expect(inBash('refine', 'x', '--limit', '')).toEqual([]);
  });

  it('offers every option that the help of a command lists', async () => {
    const program = await gristmillProgram();
    const mix = program.commands.find((one) => one.name() === 'mix')!;
    const sample = mix.commands.find((one) => one.name() === 'sample')!;
    const help = sample.helpInformation().matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm);
    const listed = [...help].map(([, name]) => name!);
    expect(listed.length).toBeGreaterThan(12);
    expect(inBash('mix', 'sample', '--')).toEqual([...listed].sort());
  });
});

describe.skipIf(!has('zsh'))('the script of zsh', () => {
  it('is read, and makes lists for a line', () => {
    const script = `
      autoload -Uz compinit; compinit -u -d ${join(folder, 'dump')}
      source ${join(folder, 'gristmill.zsh')}
      compadd() { print -r -- "$@"; }; _files() { print files "$@"; }
      _describe() { print -rl -- "$1" "\${(P@)2}"; }
      words=(gristmill mix fit --m); CURRENT=4; PREFIX=--m; _gristmill
      words=(gristmill refine x --format ''); CURRENT=5; PREFIX=''; _gristmill
      words=(gristmill refine ''); CURRENT=3; PREFIX=''; _gristmill`;
    const said = execFileSync('zsh', ['-fc', script], { encoding: 'utf8' }).split('\n');
    expect(said).toContain(
      '--mixtures:weights of the runs (.csv, .parquet): index, train_<domain>…',
    );
    expect(said).toContain('-- parquet jsonl.zst');
    expect(said).toContain('files');
  });
});

describe.skipIf(!has('fish'))('the script of fish', () => {
  it('completes lines', () => {
    const complete = (line: string): string[] => {
      const script = `source ${join(folder, 'gristmill.fish')}; complete -C ${JSON.stringify(line)}`;
      const out = execFileSync('fish', ['--no-config', '-c', script], { encoding: 'utf8' });
      return out.split('\n').map((one) => one.split('\t')[0]!);
    };
    expect(complete('gristmill mix pre')).toContain('predict');
    expect(complete('gristmill mix fit --los')).toContain('--losses');
    expect(complete('gristmill refine x --format ')).toEqual(
      expect.arrayContaining(['parquet', 'jsonl.zst']),
    );
    expect(complete('gristmill mix fit --reten')).not.toContain('--retention');
  });
});
