import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProxy } from '../../../src/mixture/proxies/proxy-run.ts';
import { type TrainProxiesOptions, trainProxies } from '../../../src/mixture/proxies/sweep.ts';
import { fileNameOf } from '../../../src/mixture/proxies/sweep-ledger.ts';
import { readLosses, writeMixtures } from '../../../src/mixture/tables.ts';
import { distFile } from '../../../src/paths.ts';
import { openTokenStore } from '../../../src/tokens/token-store.ts';
import { mixtureTable, quick, smallStore } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-sweep-'));
let store: string;
beforeAll(async () => {
  store = await smallStore(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const mixtures = mixtureTable([
  ['10', [1, 0, 0]],
  ['2', [0.2, 0.3, 0.5]],
  ['a/b', [0, 0.6, 0.4]],
]);
const options = (out: string, more: Partial<TrainProxiesOptions> = {}): TrainProxiesOptions => ({
  mixtures,
  store,
  settings: quick(),
  out: join(folder, out),
  ...more,
});
const text = (out: string, name = 'losses.csv') => readFileSync(join(folder, out, name), 'utf8');

describe('trainProxies', () => {
  it('writes the losses of every mixture in the published form, whatever the number of jobs', async () => {
    const summary = await trainProxies(options('two', { jobs: 2, nThreads: 1 }));
    expect(summary).toMatchObject({ nRuns: 3, nTrained: 3, nResumed: 0, failures: [] });
    await trainProxies(options('one', { jobs: 1, nThreads: 2 }));
    expect(text('one')).toBe(text('two'));
    expect(text('one').split('\n')[0]).toBe(
      'index,metric/maths_val_loss,metric/news_val_loss,metric/web_val_loss',
    );
    const read = await readLosses(summary.losses!);
    expect(read.ids).toEqual(['10', '2', 'a/b']);
    // A run on its own gives the same.
    using opened = openTokenStore(store);
    const settings = quick();
    const weights = [0.5, 0.3, 0.2];
    const own = await runProxy({ store: opened, settings, weights, device: 'cpu', nThreads: 1 });
    expect([...read.losses.slice(3, 6)]).toEqual(own.losses);
    const trajectory = text('one', `trajectories/${fileNameOf('2')}.jsonl`);
    expect(trajectory.trim().split('\n')).toHaveLength(8);
    expect(text('two', `trajectories/${fileNameOf('2')}.jsonl`)).toBe(trajectory);
  });

  it('goes on with a longer table, and runs nothing again', async () => {
    const before = statSync(join(folder, 'one/runs/10.json')).mtimeMs;
    const longer = mixtureTable([
      ['7', [0.1, 0.8, 0.1]],
      ['10', [1, 0, 0]],
      ['2', [0.2, 0.3, 0.5]],
    ]);
    const summary = await trainProxies(options('one', { mixtures: longer }));
    expect(summary).toMatchObject({ nRuns: 3, nResumed: 2, nTrained: 1 });
    expect(statSync(join(folder, 'one/runs/10.json')).mtimeMs).toBe(before);
    expect((await readLosses(summary.losses!)).ids).toEqual(['7', '10', '2']);
    const { losses } = await trainProxies(options('one', { mixtures: longer, format: 'parquet' }));
    const asParquet = await readLosses(losses!);
    expect(asParquet).toEqual(await readLosses(summary.losses!));
  });

  it('refuses other settings and other weights under a finished index, naming them', async () => {
    await expect(
      trainProxies(options('two', { settings: quick({ evalEvery: 2, seed: 3 }) })),
    ).rejects.toMatchObject({
      code: 'MIXTURE_RUN_CHANGED',
      details: { changes: 'settings.evalEvery: 4 -> 2, settings.seed: 0 -> 3' },
    });
    const changed = mixtureTable([['2', [0.2, 0.4, 0.4]]]);
    await expect(trainProxies(options('two', { mixtures: changed }))).rejects.toMatchObject({
      code: 'MIXTURE_RUN_CHANGED',
      details: { changes: 'the weights of index 2, which is finished' },
    });
  });

  it('refuses a domain that the store lacks, and one that fills no sequence', async () => {
    const other = { domains: ['train_web', 'train_law'], ids: ['1'] };
    const withWeights = (weights: number[]) => ({ ...other, weights: Float64Array.from(weights) });
    await expect(
      trainProxies(options('none', { mixtures: withWeights([0.5, 0.5]) })),
    ).rejects.toMatchObject({ code: 'MIXTURE_DOMAIN_UNKNOWN', details: { domain: 'train_law' } });
    await expect(
      trainProxies(options('none', { settings: quick({ nCtx: 65_536 }) })),
    ).rejects.toMatchObject({ code: 'MIXTURE_DOMAIN_TOO_SMALL' });
    const summary = await trainProxies(options('zero', { mixtures: withWeights([1, 0]) }));
    expect(summary.nTrained).toBe(1);
  });

  it('stops when it is told to, and the same call finishes', async () => {
    const controller = new AbortController();
    const settings = quick({ steps: 40 });
    const first = await trainProxies(
      options('stopped', {
        settings,
        jobs: 1,
        signal: controller.signal,
        onProgress: ({ nFinished, step }) => {
          if (nFinished === 1 && step === 2) controller.abort();
        },
      }),
    );
    expect(first).toMatchObject({ nTrained: 1, interrupted: true });
    const second = await trainProxies(options('stopped', { settings }));
    expect(second).toMatchObject({ nResumed: 1, nTrained: 2, interrupted: false });
  });

  it('leaves out a run whose process dies twice, and names it', async () => {
    const deadly = join(folder, 'deadly.mjs');
    const real = JSON.stringify(distFile('mixture/proxies/proxy-process.js'));
    writeFileSync(
      deadly,
      `import ${real};\nprocess.prependListener('message', ({ request }) => { if (request?.weights[2] === 1) process.exit(9); });\n`,
    );
    const summary = await trainProxies(options('deadly', { jobs: 1, processFile: deadly }));
    expect(summary).toMatchObject({ nTrained: 2, interrupted: false });
    expect(summary.failures).toMatchObject([{ run: '10', code: 'MIXTURE_PROXY_DIED' }]);
    expect((await readLosses(summary.losses!)).ids).toEqual(['2', 'a/b']);
    expect(await trainProxies(options('deadly'))).toMatchObject({ nResumed: 2, nTrained: 1 });
    expect(text('deadly')).toBe(text('two'));
  });

  it('leaves out a run that diverges', async () => {
    const summary = await trainProxies(
      options('diverged', { settings: quick({ peakLr: 1e30, steps: 30, clipNorm: 0 }) }),
    );
    expect(summary.losses).toBeNull();
    expect(summary.failures.map(({ code }) => code)).toEqual(Array(3).fill('TRAIN_NON_FINITE'));
  });
});

describe('gristmill mix train', () => {
  it('killed outright, goes on without repeating a finished run', async () => {
    const rows = [1, 2, 3, 4, 5, 6, 7, 8].map(
      (row) => [`${row}`, [row / 10, 0.2, 0.8 - row / 10]] as const,
    );
    const table = join(folder, 'mixtures.csv');
    await writeMixtures(table, mixtureTable(rows));
    const flags = '--preset tiny --steps 12 --batch 4 --eval-windows 4 --eval-every 0 --threads 1';
    const command = (out: string, jobs: number) =>
      spawn(
        process.execPath,
        [
          ...[distFile('cli/main.js'), 'mix', 'train', '--mixtures', table, '--store', store],
          ...['--out', join(folder, out), '--jobs', `${jobs}`, '--json', ...flags.split(' ')],
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
    const output = async (child: ReturnType<typeof command>) => {
      let said = '';
      child.stdout!.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const [code] = (await once(child, 'close')) as [number];
      return { code, said };
    };
    const records = () => {
      const runs = join(folder, 'killed/runs');
      return existsSync(runs) ? readdirSync(runs).filter((name) => /^\d+\.json$/.test(name)) : [];
    };
    const killed = command('killed', 2);
    while (records().length < 2 && killed.exitCode === null) await sleep(5);
    killed.kill('SIGKILL');
    await once(killed, 'close');
    const finished = records();
    expect(finished.length).toBeGreaterThanOrEqual(2);
    expect(finished.length).toBeLessThan(8);
    const timesOf = () =>
      finished.map((name) => statSync(join(folder, 'killed/runs', name)).mtimeMs);
    const times = timesOf();
    const { code, said } = await output(command('killed', 1));
    expect(code).toBe(0);
    expect(JSON.parse(said)).toMatchObject({
      nRuns: 8,
      nResumed: finished.length,
      nTrained: 8 - finished.length,
    });
    expect(timesOf()).toEqual(times);
    expect((await output(command('whole', 2))).code).toBe(0);
    expect(text('killed')).toBe(text('whole'));
  });
});
