import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ProxyRecord, runProxy } from '../../../src/mixture/proxies/proxy-run.ts';
import { PROXY_PRESETS, proxySettings } from '../../../src/mixture/proxies/settings.ts';
import { subsetOf } from '../../../src/mixture/repetition/plan.ts';
import { openTokenStore, type TokenStore } from '../../../src/tokens/token-store.ts';
import { openTrainer } from '../../../src/train/trainer.ts';
import { quick, smallStore } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-proxy-'));
let store: TokenStore;
beforeAll(async () => {
  store = openTokenStore(await smallStore(folder));
});
afterAll(() => {
  store.dispose();
  rmSync(folder, { recursive: true, force: true });
});
const device = 'cpu';

describe('runProxy', () => {
  it('gives the same losses to the bit on one thread and on two, and logs its way', async () => {
    const weights = [0.5, 0.3, 0.2];
    const records: ProxyRecord[] = [];
    const settings = quick();
    const one = await runProxy({
      store,
      settings,
      weights,
      device,
      nThreads: 1,
      onRecord: (record) => records.push(record),
    });
    expect(await runProxy({ store, settings, weights, device, nThreads: 2 })).toEqual(one);
    expect(records.map(({ step, validation }) => (validation ? -step : step))).toEqual([
      1, 2, 3, 4, -4, 5, 6, -6,
    ]);
    const last = records.at(-1)!.validation!;
    expect(Object.keys(last)).toEqual(['maths', 'news', 'web']);
    expect(Object.values(last)).toEqual(one.losses);
    expect(one.nTokens).toBe(6 * 8 * 16);
    const seen = store.index.domains.map(({ train }) => Math.floor((train.nTokens - 1) / 16));
    expect(one.epochs).toEqual([24, 14, 10].map((count, domain) => count / seen[domain]!));
  });

  it('is given a part of a domain, the same one every time, and repeats it', async () => {
    const weights = [0.5, 0.3, 0.2];
    const settings = quick();
    const read = new Set<number>();
    const watched = new Proxy(store, {
      get: (of, key) => {
        if (key === 'index') return of.index;
        return (domain: number, part: 'train' | 'validation', start: number, count: number) => {
          if (part === 'train' && domain === 0) read.add(start / 16);
          return of.read(domain, part, start, count);
        };
      },
    });
    const all = await runProxy({ store, settings, weights, device, nThreads: 1 });
    const sequences = [3, null, 1e9];
    const given = { settings, weights, sequences, device, nThreads: 1 };
    const part = await runProxy({ store: watched, ...given });
    const nSequences = Math.floor((store.index.domains[0]!.train.nTokens - 1) / 16);
    expect([...read].sort((one, other) => one - other)).toEqual([
      ...subsetOf(store.index.domains[0]!.name, 3, { nSequences, seed: settings.seed }),
    ]);
    // 24 of 48 sequences are of the first domain.
    expect(part.epochs).toEqual([24 / 3, all.epochs[1], all.epochs[2]]);
    expect(part.losses).not.toEqual(all.losses);
    expect(await runProxy({ store, ...given })).toEqual(part);
  });

  it('measures the mean over fixed windows, each token predicted from its window', async () => {
    const settings = quick({
      steps: 1,
      peakLr: 0,
      evalWindows: 3,
      nCtx: 8,
      microBatch: 2,
      batch: 2,
    });
    const weights = [1, 0, 0];
    const { losses } = await runProxy({ store, settings, weights, device, nThreads: 1 });
    // The learning rate is 0: the model is the one that the seed gives.
    const { nEmbd, nHead, nFf, nLayer, tied, initDeviation } = settings;
    const nVocab = store.index.tokenizer.nTokens;
    const shape = { nVocab, nEmbd, nLayer, nHead, nHeadKv: nHead, nHeadDim: nEmbd / nHead, nFf };
    await using trainer = await openTrainer({
      shape: { ...shape, ropeTheta: 1e4, rmsEpsilon: 1e-5, tied, nClasses: 0 },
      nCtx: 8,
      nSeq: 1,
      initDeviation,
    });
    const { nTokens } = store.index.domains[0]!.validation;
    const available = Math.floor((nTokens - 1) / 8);
    const own: number[] = [];
    for (const window of [0, 1, 2]) {
      const start = Math.floor((window * available) / 3) * 8;
      const tokens = store.read(0, 'validation', start, 9);
      const batch = { tokens: tokens.slice(0, 8), labels: tokens.slice(1) };
      const positions = Int32Array.from({ length: 8 }, (_, at) => at);
      own.push(...(await trainer.forward({ ...batch, positions })).losses);
    }
    expect(losses[0]).toBeCloseTo(own.reduce((sum, loss) => sum + loss, 0) / 24, 5);
  });

  it('learns what it is given: the domain with the weight ends lower', async () => {
    const settings = quick({ steps: 60, evalEvery: 0, peakLr: 1e-2 });
    const run = (weights: number[]) =>
      runProxy({ store, settings, weights, device, nThreads: 1 }).then(({ losses }) => losses);
    const maths = await run([1, 0, 0]);
    const web = await run([0, 0, 1]);
    expect(maths[0]).toBeLessThan(web[0]!);
    expect(web[2]).toBeLessThan(maths[2]!);
  });

  it('blends by draw, too, and other seeds give other runs', async () => {
    const run = (overrides: Parameters<typeof quick>[0]) =>
      runProxy({
        store,
        settings: quick(overrides),
        weights: [0.4, 0.3, 0.3],
        device,
        nThreads: 1,
      });
    const [exact, drawn, other] = [
      await run({}),
      await run({ blend: 'iid' }),
      await run({ blend: 'iid', seed: 1 }),
    ];
    expect(new Set([exact, drawn, other].map(({ losses }) => losses[0])).size).toBe(3);
    expect(drawn.epochs).not.toEqual(other.epochs);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    const options = { store, settings: quick(), weights: [1, 0, 0], device, nThreads: 1 };
    await expect(
      runProxy({ ...options, onRecord: () => controller.abort(), signal: controller.signal }),
    ).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('proxySettings', () => {
  it('has the published proxy', () => {
    const { nEmbd, nLayer, nFf } = PROXY_PRESETS['1m'];
    // Matrices of attention and SwiGLU, norms and the final norm: research counts 1,312,000.
    const params = nLayer * (4 * nEmbd * nEmbd + 3 * nEmbd * nFf + 2 * nEmbd) + nEmbd;
    expect(params).toBe(1_312_000);
    expect(PROXY_PRESETS['1m'].batch * PROXY_PRESETS['1m'].nCtx).toBe(1_048_576);
  });

  it('takes overrides and names what is wrong', () => {
    expect(proxySettings('tiny', { batch: 4, steps: 10 })).toMatchObject({
      microBatch: 4,
      warmupSteps: 10,
    });
    for (const [overrides, option] of [
      [{ batch: 20, microBatch: 16 }, 'batch'],
      [{ nHead: 3 }, 'nEmbd'],
      [{ steps: 0 }, 'steps'],
      [{ warmupSteps: 400 }, 'warmupSteps'],
    ] as const) {
      expect(() => proxySettings('tiny', overrides)).toThrow(`option ${option}:`);
    }
    expect(() => proxySettings('huge' as 'tiny')).toThrow(/1m or tiny/);
  });
});
