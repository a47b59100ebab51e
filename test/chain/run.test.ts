/** Whole chains: what they leave, that they go on after kills to the same bytes, and what they refuse. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkChain } from '../../src/chain/config.ts';
import type { StageRecord } from '../../src/chain/ledger.ts';
import { type RunChainResult, runChain } from '../../src/chain/run.ts';
import { seeded } from '../support/corpus.ts';
import { writeCorpora, writtenChain } from './support.ts';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gristmill-chain-'));
const path = (...names: string[]) => join(folder, ...names);
const json = (...names: string[]) => JSON.parse(readFileSync(path(...names), 'utf8'));
const chain = writtenChain(folder);
const run = (written: object = chain, rest: Partial<Parameters<typeof runChain>[1]> = {}) =>
  runChain(checkChain(written), { out: path('out'), nThreads: 1, ...rest });
const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

/** What a chain leaves: the files that its ledger names, by hash. */
function outputs(): Record<string, string> {
  const found = readdirSync(path('out', 'ledger'))
    .sort()
    .flatMap((name) => {
      const { outputs: own } = json('out', 'ledger', name) as StageRecord;
      return Object.entries(own!).map(([file, { sha256 }]) => {
        const bytes = readFileSync(path('out', file));
        expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
        return [file, sha256] as const;
      });
    });
  return Object.fromEntries(found);
}

let whole: RunChainResult;
let wholeOutputs: Record<string, string>;
let wholeReport: string;
beforeAll(async () => {
  writeCorpora(folder);
  whole = await run();
  wholeOutputs = outputs();
  wholeReport = readFileSync(path('out', 'report.json'), 'utf8');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a chain', () => {
  it('runs its stages in order, each from what the one before has left', () => {
    expect(whole).toMatchObject({
      interrupted: false,
      resumed: [],
      done: ['refine', 'tokenize', 'mix', 'continue'],
    });
    const records = ['1-refine', '2-tokenize', '3-mix', '4-continue'].map(
      (name) => json('out', 'ledger', `${name}.json`) as StageRecord,
    );
    const made = new Map(
      records.flatMap(({ outputs: own }) =>
        Object.entries(own!).map(([file, { sha256 }]) => [path('out', file), sha256]),
      ),
    );
    for (const [at, { inputs }] of records.entries()) {
      const own = Object.entries(inputs).filter(([file]) => made.has(file));
      // The first stage reads what was given; every other one reads what one before it made, as it was made.
      expect(own.length > 0).toBe(at > 0);
      for (const [file, { sha256 }] of own) expect(sha256).toBe(made.get(file));
    }
    // What is not refined is trained on as it is.
    expect(Object.keys(records[1]!.inputs)).toContain(path('data', 'tides.jsonl'));
    expect(Object.keys(records[1]!.inputs)).not.toContain(path('data', 'garden.jsonl'));
  });

  it('has a report from every checkpoint back to files and the models that judged them', () => {
    const { checkpoints, corpora, mixture } = whole.report!;
    expect(checkpoints.map(({ id }) => id)).toEqual([
      'base/annealed',
      'base/merged',
      'next/annealed',
    ]);
    const last = checkpoints.at(-1)!;
    expect(last.way).toEqual(['next/annealed', 'base/annealed']);
    expect(Object.keys(last.corpora).sort()).toEqual(['garden', 'kitchen', 'tides']);
    const { raw, refined } = corpora['garden']!;
    const hashOf = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
    for (const file of [...raw, ...refined!.files, ...last.corpora['garden']!])
      expect(file.sha256).toBe(hashOf(file.path));
    expect(raw.map((file) => file.path)).toEqual([path('data', 'garden.jsonl')]);
    expect(last.corpora['garden']).toEqual(refined!.files);
    expect(last.corpora['tides']).toEqual(corpora['tides']!.raw);
    expect(refined!.models).toMatchObject({ document: { sha256: expect.any(String) } });
    const { rowsIn, kept, edited, dropped, failed } = refined!.counts as Record<string, number>;
    expect(rowsIn).toBe(kept! + edited! + dropped! + failed!);
    expect(Object.values(mixture!).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 9);
    const file = path('out', last.file);
    expect(hashOf(file)).toBe(last.sha256);
    expect(readFileSync(path('out', 'report.md'), 'utf8')).toContain(
      'next/annealed ← base/annealed',
    );
  });

  it('is not made again by a second call, nor by inputs with another date', async () => {
    utimesSync(path('data', 'garden.jsonl'), new Date(0), new Date(0));
    const again = await run();
    expect(again).toMatchObject({ resumed: ['refine', 'tokenize', 'mix', 'continue'], done: [] });
    expect(readFileSync(path('out', 'report.json'), 'utf8')).toBe(wholeReport);
  });

  it('refuses changed inputs and options, naming stage, key and both values', async () => {
    const garden = path('data', 'garden.jsonl');
    cpSync(garden, path('kept.jsonl'));
    appendFileSync(garden, `${JSON.stringify({ text: 'One page more.' })}\n`);
    await expect(run()).rejects.toThrow(
      refused(
        'CHAIN_CHANGED',
        /stage refine had other inputs or options; changed: inputs\..*garden\.jsonl: "\w+" -> "\w+"/,
      ),
    );
    cpSync(path('kept.jsonl'), garden);
    const cases = [
      [
        { refine: { ...chain.refine, retention: 0.9 } },
        /stage refine .* options\.retention: undefined -> 0\.9/,
      ],
      [
        { tokenize: { ...chain.tokenize, validation: 0.3 } },
        /stage tokenize .* options\.validation: 0\.2 -> 0\.3/,
      ],
      [{ mix: { ...chain.mix, seed: 2 } }, /stage mix .* options\.seed: 1 -> 2/],
      [{ continue: { ...chain.continue, seed: 9 } }, /stage continue .* options\.seed: 0 -> 9/],
    ] as const;
    for (const [change, message] of cases) {
      await expect(run({ ...chain, ...change })).rejects.toThrow(refused('CHAIN_CHANGED', message));
    }
    expect(outputs()).toEqual(wholeOutputs);
  });

  it('makes a stage again whose output is gone or whose folder was removed, to the same bytes', async () => {
    rmSync(path('out', 'mix'), { recursive: true });
    const notices: string[] = [];
    rmSync(path('out', 'continue', 'stages', '01-next', 'model.gguf'));
    const again = await run(chain, { onNotice: (line) => notices.push(line) });
    expect(again).toMatchObject({ resumed: ['refine', 'tokenize'], done: ['mix', 'continue'] });
    expect(notices.join('\n')).toMatch(/stage continue: .*model\.gguf is gone or was cut/);
    expect(outputs()).toEqual(wholeOutputs);
    expect(readFileSync(path('out', 'report.json'), 'utf8')).toBe(wholeReport);
  });

  it('does not take a folder for its own that has no record', async () => {
    renameSync(path('out', 'ledger', '3-mix.json'), path('moved.json'));
    await expect(run()).rejects.toThrow(
      refused('CHAIN_STAGE_FAILED', /stage mix: .* is there without its record/),
    );
    renameSync(path('moved.json'), path('out', 'ledger', '3-mix.json'));
  });

  it('ends in good order when it is told to, and goes on', async () => {
    renameSync(path('out'), path('whole'));
    for (let calls = 0, steps = 0; ; calls++) {
      const controller = new AbortController();
      const { interrupted } = await run(chain, {
        signal: controller.signal,
        onProgress: () => {
          steps++;
          if (steps % 9 === 0) controller.abort();
        },
      });
      if (!interrupted) break;
      expect(calls).toBeLessThan(40);
    }
    expect(outputs()).toEqual(wholeOutputs);
    expect(readFileSync(path('out', 'report.json'), 'utf8')).toBe(wholeReport);
    rmSync(path('out'), { recursive: true });
  });
});

describe('a chain that is killed', () => {
  it('leaves the same bytes, wherever SIGKILL met it', async () => {
    rmSync(path('out'), { recursive: true, force: true });
    writeFileSync(path('chain.yaml'), JSON.stringify(chain));
    const random = seeded(7);
    /** Ends it once the chain has grown by so many files or steps, so that a kill hits every stage on any machine. */
    let seen = 0;
    const grown = (): number => {
      try {
        if (existsSync(path('out'))) seen = readdirSync(path('out'), { recursive: true }).length;
      } catch {
        // A folder in the making got its name while it was looked into.
      }
      return seen;
    };
    let kills = 0;
    for (;;) {
      const before = grown();
      const wait = 1 + Math.floor(random() * 12);
      const child: ChildProcess = spawn(
        process.execPath,
        [main, 'run', path('chain.yaml'), '--out', path('out'), '--threads', '1', '--json'],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      let words = '';
      child.stderr!.on('data', (piece) => {
        words += piece;
      });
      const ended = new Promise<number | null>((resolve) => {
        child.on('exit', (code) => resolve(code));
      });
      const timer = setInterval(() => {
        if (kills < MAX_KILLS && grown() >= before + wait) child.kill('SIGKILL');
      }, 20);
      const code = await ended;
      clearInterval(timer);
      if (code === 0) break;
      expect(code, words).toBeNull();
      kills++;
    }
    expect(kills).toBeGreaterThanOrEqual(3);
    expect(outputs()).toEqual(wholeOutputs);
    expect(readFileSync(path('out', 'report.json'), 'utf8')).toBe(wholeReport);
  });
});

const MAX_KILLS = 8;
