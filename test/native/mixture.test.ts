import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.ts';
import { addonFile } from '../../src/paths.ts';
import { mixtures, runsOf, typicalLoss } from '../mixture/surrogates/runs-support.ts';

describe('fits beside one another', () => {
  it('share a signal without a warning, also those that wait, and stop with it', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const data = runsOf(300, 10, 61, typicalLoss, 0.05);
    const controller = new AbortController();
    const request = { ...data, start: new Float64Array(), maxIterations: 1000 };
    const fits = Array.from({ length: 40 }, () =>
      native().mixture.fitProcess(request, controller.signal),
    );
    setTimeout(() => controller.abort(), 20);
    const ends = await Promise.allSettled(fits);
    expect(ends.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(30);
    for (const end of ends) {
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'ABORTED' });
    }
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
    // The turns of aborted fits are free again.
    const quick = { ...request, maxIterations: 0 };
    await Promise.all(
      Array.from({ length: 8 }, () => native().mixture.fitProcess(quick, undefined)),
    );
  });
});

describe('the addon', () => {
  const data = runsOf(20, 3, 62, typicalLoss);

  it.each([
    ['weights', { weights: data.weights.subarray(1) }],
    ['losses', { weights: new Float64Array(), losses: new Float64Array() }],
    ['start', { start: new Float64Array(2) }],
    ['maxIterations', { maxIterations: -1 }],
    ['nDomains', { nDomains: 0 }],
  ])('refuses a fit with wrong %s', async (option, change) => {
    const request = { ...data, start: new Float64Array(), maxIterations: 1, ...change };
    await expect(native().mixture.fitProcess(request, undefined)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option },
    });
  });

  it('refuses trees whose walk would not end or leave the table', () => {
    const leaves = Int32Array.of(-1, -1);
    const trees = {
      base: 0,
      roots: Int32Array.of(0),
      domains: Int32Array.of(0, ...leaves),
      children: Int32Array.of(1, 0, 0),
      splits: new Float64Array(3),
    };
    const unseen = mixtures(4, 3, 63);
    const predict = (change: object) =>
      native().mixture.predictTrees({ ...trees, ...change }, 3, unseen);
    expect(predict({})).toEqual(new Float64Array(4));
    for (const change of [
      { children: Int32Array.of(0, 0, 0) },
      { children: Int32Array.of(2, 0, 0) },
      { domains: Int32Array.of(3, ...leaves) },
      { roots: Int32Array.of(3) },
      { splits: new Float64Array(2) },
    ]) {
      expect(() => predict(change)).toThrowError(
        expect.objectContaining({ code: 'OPTION_INVALID' }),
      );
    }
  });
});

/** What a process prints that computes with one set of kernels; plain JavaScript, because Node runs nothing else. */
const CHILD = `
const addon = require(process.argv[1]);
const cancel = new Int32Array(1);
const none = new Float64Array();
(async () => {
  const out = [];
  for (const nRuns of [3, 50, 131]) {
    const nDomains = 9;
    const weights = Float64Array.from({ length: nRuns * nDomains }, (_, at) => ((at * 7919) % 101) / 500);
    const losses = Float64Array.from({ length: nRuns }, (_, run) => 2 + Math.sin(run) + weights[run * 9]);
    const parameters = new Float64Array(nDomains + 3).fill(0.2);
    parameters[nDomains + 2] = -2;
    const gradient = new Float64Array(nDomains + 3);
    out.push(addon.surrogateObjective('gp', { weights, losses, nDomains, parameters, gradient }), ...gradient);
    const trees = await addon.fitTrees({
      weights, losses, nDomains, heldOutWeights: none, heldOutLosses: none, nRounds: 30, nLeaves: 31, minLeaf: 2,
      maxBins: 255, learningRate: 0.1, patience: 1, cancel,
    });
    const means = new Float64Array(nRuns);
    addon.predictTrees(trees, { nDomains, mixtures: weights, means, nThreads: 1 });
    out.push(...means);
  }
  process.stdout.write(JSON.stringify(out));
})();
`;

/** Prints fitted trees, every digit of them. */
const TREES_CHILD = `
const addon = require(process.argv[1]);
const [nRuns, nDomains] = [301, 9];
const none = new Float64Array();
const weights = Float64Array.from({ length: nRuns * nDomains }, (_, at) => Math.max(0, ((at * 7919) % 101) - 40) / 300);
const losses = Float64Array.from({ length: nRuns }, (_, run) => 2 + Math.sin(run) + weights[run * 9] ** 2);
addon
  .fitTrees({
    weights, losses, nDomains, heldOutWeights: none, heldOutLosses: none, nRounds: 50, nLeaves: 31, minLeaf: 5,
    maxBins: 255, learningRate: 0.1, patience: 1, cancel: new Int32Array(1),
  })
  .then(({ domains, splits }) => process.stdout.write(JSON.stringify([...domains, ...splits])));
`;

describe('the kernels', () => {
  it('agree, whatever instructions the processor has', () => {
    const results = ['baseline', 'avx2', 'avx512'].map((set) => {
      const child = spawnSync(process.execPath, ['-e', CHILD, addonFile], {
        encoding: 'utf8',
        env: { ...process.env, GRISTMILL_MIXTURE_KERNELS: set },
      });
      expect(child.stderr).toBe('');
      return JSON.parse(child.stdout) as number[];
    });
    for (const result of results) {
      expect(result).toHaveLength(results[0]!.length);
      for (const [at, value] of result.entries()) {
        expect(Math.abs(value - results[0]![at]!)).toBeLessThan(1e-9 * (1 + Math.abs(value)));
      }
    }
  });

  it('grow the same trees to the bit, whatever instructions the processor has', () => {
    const [baseline, avx2] = ['baseline', 'avx2'].map((set) => {
      const child = spawnSync(process.execPath, ['-e', TREES_CHILD, addonFile], {
        encoding: 'utf8',
        env: { ...process.env, GRISTMILL_MIXTURE_KERNELS: set },
      });
      expect(child.stderr).toBe('');
      return child.stdout;
    });
    expect(baseline!.length).toBeGreaterThan(1000);
    expect(avx2).toBe(baseline);
  });
});
