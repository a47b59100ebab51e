import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
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
import { finishSweep } from '../../../src/mixture/proxies/finish-sweep.ts';
import { runProxy } from '../../../src/mixture/proxies/proxy-run.ts';
import { type TrainProxiesOptions, trainProxies } from '../../../src/mixture/proxies/sweep.ts';
import { fileNameOf, SweepLedger } from '../../../src/mixture/proxies/sweep-ledger.ts';
import { joinRuns, readLosses, writeMixtures } from '../../../src/mixture/tables.ts';
import { distFile } from '../../../src/paths.ts';
import { openTokenStore } from '../../../src/tokens/token-store.ts';
import { start } from '../../cli/support.ts';
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
      'index,metric/maths_val_loss,metric/news_val_loss,metric/web_val_loss,params,tokens,epochs_maths,epochs_news,epochs_web',
    );
    const read = await readLosses(summary.losses!);
    expect(read.ids).toEqual(['10', '2', 'a/b']);
    // Sizes, tokens and epochs are in the table; epochs are those of the records.
    expect([...read.scales!.tokens]).toEqual([768, 768, 768]);
    expect(read.epochDomains).toEqual(['maths', 'news', 'web']);
    const record = JSON.parse(text('one', 'runs/2.json'));
    expect([...read.scales!.epochs!.slice(3, 6)]).toEqual(record.epochs);
    expect(read.scales!.params[1]).toBe(record.nParams);
    expect([...joinRuns(mixtures, read).scales!.epochs!.slice(3, 6)]).toEqual(
      [2, 1, 0].map((domain) => record.epochs[domain]),
    );
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

  it('repeats as its target will: the epochs of w T / U, whatever the proxy', async () => {
    // Web has 640 tokens for a target of 9,600; a proxy learns 768, in sequences of 16.
    const repetition = {
      targetTokens: 9600,
      domains: [
        { name: 'web', tokens: 640 },
        { name: 'news', tokens: 1e6 },
        { name: 'maths', tokens: null },
      ],
    };
    const own = mixtureTable([['m', [0.5, 0.25, 0.25]]]);
    const repeating = options('repeating', { mixtures: own, repetition });
    const summary = await trainProxies(repeating);
    const read = await readLosses(summary.losses!);
    // 640 · 768 / 9,600 tokens are 3.2 sequences, of which 3 are whole: 24 / 3, where the target has .5 · 9,600 / 640 = 7.5.
    expect(read.scales!.epochs![2]).toBe(8);
    expect(read.scales!.epochs![1]).toBeLessThan(1);
    const sweep = JSON.parse(text('repeating', 'sweep.json'));
    expect(sweep.repetition).toEqual([null, null, 3]);
    // Another target is another sweep; the same one goes on.
    expect(await trainProxies(repeating)).toMatchObject({ nResumed: 1, nTrained: 0 });
    const other = { ...repetition, targetTokens: 4800 };
    await expect(trainProxies({ ...repeating, repetition: other })).rejects.toThrowError(
      /repetition\.2: 3 -> 6/,
    );
    await expect(
      trainProxies(options('alone', { mixtures: own, repetition: { ...repetition, domains: [] } })),
    ).rejects.toThrowError(/nothing is said of domain maths/);
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

describe('workers of a sweep', () => {
  const rows = ['7', 'b c', '0', '12', 'x'].map(
    (id, row) => [id, [row / 10, 0.5, 0.5 - row / 10]] as const,
  );
  const five = { mixtures: mixtureTable(rows) };
  const share = (out: string, index: number, count = 3) =>
    trainProxies(options(out, { ...five, jobs: 1, worker: { index, count } }));

  it('write together the table that one machine writes, and finish finds it whole', async () => {
    await trainProxies(options('alone', five));
    const summaries = await Promise.all([0, 1, 2].map((index) => share('three', index)));
    expect(summaries.map(({ nRuns }) => nRuns).reduce((sum, n) => sum + n, 0)).toBe(5);
    expect(summaries.every(({ nRuns, nTrained }) => nTrained === nRuns && nRuns > 0)).toBe(true);
    // The one that ends last has written all of it, whoever that is.
    expect(text('three')).toBe(text('alone'));
    expect(await finishSweep(join(folder, 'three'))).toMatchObject({
      ...{ units: 5, unitsDone: 5, missing: [], orphans: 0, failures: [] },
    });
    expect(text('three')).toBe(text('alone'));
    expect(readdirSync(join(folder, 'three/workers'))).toEqual([]);
    expect(readdirSync(join(folder, 'three/tmp'))).toEqual([]);
    for (const name of readdirSync(join(folder, 'alone/trajectories'))) {
      expect(text('three', `trajectories/${name}`)).toBe(text('alone', `trajectories/${name}`));
    }
    // One machine finds nothing to do there.
    expect(await trainProxies(options('three', five))).toMatchObject({ nResumed: 5, nTrained: 0 });
  });

  it('are told what is missing when one did not come, and the errors of those that failed', async () => {
    await share('partly', 0, 2);
    const end = await finishSweep(join(folder, 'partly'));
    expect(end.units).toBe(5);
    expect(end.missing).toHaveLength(5 - end.unitsDone);
    expect(end.missing.length).toBeGreaterThan(0);
    await share('partly', 1, 2);
    expect(text('partly')).toBe(text('alone'));
    expect(await finishSweep(join(folder, 'partly'))).toMatchObject({ missing: [] });
    await expect(finishSweep(join(folder, 'nothing'))).rejects.toMatchObject({
      code: 'RUN_NOT_FOUND',
    });
  });

  it('refuse other settings, another version and another table by name', async () => {
    await share('same', 0);
    const other = { ...five, worker: { index: 1, count: 3 } };
    await expect(
      trainProxies(options('same', { ...other, settings: quick({ seed: 9 }) })),
    ).rejects.toMatchObject({
      code: 'MIXTURE_RUN_CHANGED',
      details: { changes: 'settings.seed: 0 -> 9' },
    });
    const file = join(folder, 'same/sweep.json');
    const identity = JSON.parse(readFileSync(file, 'utf8'));
    const versions = { ...identity.versions, gristmill: '0.0.9' };
    writeFileSync(file, JSON.stringify({ ...identity, versions }));
    await expect(share('same', 1)).rejects.toThrow(/versions\.gristmill: "0\.0\.9" -> /);
    // Of a sweep of an earlier version nobody knows, and it goes on.
    writeFileSync(file, JSON.stringify({ ...identity, versions: undefined }));
    expect(await share('same', 1)).toMatchObject({ nResumed: 0 });
    writeFileSync(file, JSON.stringify(identity));
    // While a worker lives that has another table.
    const { format: _, ...plan } = JSON.parse(text('same', 'plan.json'));
    const member = { name: 'held', units: [] };
    const held = await SweepLedger.open(join(folder, 'same'), identity, plan, { member });
    const longer = { mixtures: mixtureTable([...rows, ['more', [1, 0, 0]]]) };
    await expect(
      trainProxies(options('same', { ...longer, worker: { index: 2, count: 3 } })),
    ).rejects.toMatchObject({ details: { changes: 'the table of mixtures' } });
    await expect(trainProxies(options('same', five))).rejects.toMatchObject({
      code: 'RUN_OUTPUT_IN_USE',
    });
    await held.close();
    await trainProxies(options('same', { ...longer, worker: { index: 2, count: 3 } }));
    expect((await finishSweep(join(folder, 'same'))).units).toBe(6);
  });

  it('go on with a sweep of an earlier version, whose records name no attempt and no trajectory', async () => {
    const before = JSON.parse(text('alone', 'runs/7.json'));
    const { attempt: _a, trajectory: _t, ...record } = before;
    mkdirSync(join(folder, 'early/runs'), { recursive: true });
    writeFileSync(join(folder, 'early/runs/7.json'), JSON.stringify(record));
    const { versions: _v, ...identity } = JSON.parse(text('alone', 'sweep.json'));
    writeFileSync(join(folder, 'early/sweep.json'), JSON.stringify(identity));
    expect(await trainProxies(options('early', five))).toMatchObject({ nResumed: 1, nTrained: 4 });
    expect(text('early')).toBe(text('alone'));
  });
});

describe('gristmill mix train', () => {
  it('by three workers, one killed in the middle and started again: the table of one machine', async () => {
    const rows = [1, 2, 3, 4, 5, 6, 7].map(
      (row) => [`${row}`, [row / 10, 0.2, 0.8 - row / 10]] as const,
    );
    const table = join(folder, 'seven.csv');
    await writeMixtures(table, mixtureTable(rows));
    const flags = '--preset tiny --steps 12 --batch 4 --eval-windows 4 --eval-every 0 --threads 1';
    const command = (out: string, ...more: string[]) =>
      start([
        ...['mix', 'train', '--mixtures', table, '--store', store, '--out', join(folder, out)],
        ...['--jobs', '1', '--json', ...flags.split(' '), ...more],
      ]);
    expect((await command('seven').finished).code).toBe(0);
    const runs = join(folder, 'split/runs');
    const dying = command('split', '--worker', '1/3');
    while (!existsSync(runs) || readdirSync(runs).filter((name) => /^\d/.test(name)).length === 0) {
      if (dying.process.exitCode !== null) break;
      await sleep(5);
    }
    dying.process.kill('SIGKILL');
    await dying.finished;
    const others = ['0/3', '2/3', '1/3'].map(
      (worker) => command('split', '--worker', worker).finished,
    );
    for (const { code, stderr } of await Promise.all(others))
      expect([code, stderr]).toEqual([0, expect.any(String)]);
    expect(text('split')).toBe(text('seven'));
    const finished = await start(['cluster', 'finish', join(folder, 'split'), '--json']).finished;
    expect([finished.code, JSON.parse(finished.stdout.toString())]).toMatchObject([
      0,
      { units: 7, unitsDone: 7, missing: [] },
    ]);
    expect(text('split')).toBe(text('seven'));
  });

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
