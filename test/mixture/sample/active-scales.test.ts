import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitMixture } from '../../../src/mixture/fit.ts';
import { targetsOf } from '../../../src/mixture/fitted-targets.ts';
import {
  choosePerCost,
  drawActiveScales,
  flopsOf,
} from '../../../src/mixture/sample/active-scales.ts';
import {
  type ProcessJson,
  posteriorCovariance,
} from '../../../src/mixture/sample/process-covariance.ts';
import { sampleMixtures } from '../../../src/mixture/sample/sample.ts';
import { seededRandom } from '../../../src/seeded.ts';
import { DOMAINS, scaleRuns } from '../scale/synthetic.ts';

const nColumns = 3;

function rowsOf(n: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  return Float64Array.from({ length: n * nColumns }, () => random());
}

const processOfSeed = (seed: number): ProcessJson => ({
  family: 'gp',
  ...{ nDomains: nColumns, nRuns: 6, lossScale: 0.5 },
  means: [-1.5, -1.4, -1.6],
  scales: [1, 0.9, 1.1],
  parameters: [0.5, 1 - 0.1 * (seed % 5), 0, 0.2, -1, -4],
  weights: [...rowsOf(6, seed + 100)],
});

/** Variance summed over `over` when the process has seen `more` too, from scratch. */
function variance(process: ProcessJson, over: Float64Array, more: Float64Array): number {
  const { matrix } = posteriorCovariance(process, over, more);
  const size = over.length / nColumns;
  let sum = 0;
  for (let at = 0; at < size; at++) sum += matrix[at * size + at]!;
  return sum;
}

describe('choosePerCost', () => {
  it('chooses what a process fitted anew for every candidate would: the largest fall for its cost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 1e6 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 5, maxLength: 8 }),
        async (seed, n, costs) => {
          const nRuns = costs.length;
          const [runs, targets] = [rowsOf(nRuns, seed), rowsOf(4, seed + 1)];
          const processes = [processOfSeed(seed), processOfSeed(seed + 1)];
          const covariances = processes.map((process) =>
            posteriorCovariance(process, Float64Array.from([...runs, ...targets])),
          );
          const chosen = await choosePerCost(covariances, { n, costs: Float64Array.from(costs) });
          const rowOf = (run: number) => [...runs.slice(run * nColumns, (run + 1) * nColumns)];
          const none = new Float64Array();
          const first = processes.map((process) => variance(process, targets, none));
          let taken: number[] = [];
          for (const { run, gain } of chosen) {
            const falls = costs.map((_, candidate) => {
              const now = Float64Array.from(taken.flatMap(rowOf));
              const more = Float64Array.from([...taken, candidate].flatMap(rowOf));
              const shares = processes.map(
                (process, at) =>
                  (variance(process, targets, now) - variance(process, targets, more)) / first[at]!,
              );
              return (shares[0]! + shares[1]!) / 2;
            });
            const values = falls.map((fall, at) => (taken.includes(at) ? -1 : fall / costs[at]!));
            expect(Math.abs(gain - falls[run]!)).toBeLessThan(1e-5);
            expect(values[run]!).toBeGreaterThan(Math.max(...values) - 1e-5);
            taken = [...taken, run];
          }
          expect(new Set(taken).size).toBe(n);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('takes the dear run only where it tells more for its cost', async () => {
    const process = processOfSeed(3);
    const [far, near] = [rowsOf(1, 1), rowsOf(1, 2)];
    const covariance = () => [
      posteriorCovariance(process, Float64Array.from([...far, ...near, ...near])),
    ];
    // The second run is the target itself.
    const even = await choosePerCost(covariance(), { n: 1, costs: Float64Array.of(1, 1) });
    expect(even[0]!.run).toBe(1);
    const dear = await choosePerCost(covariance(), { n: 1, costs: Float64Array.of(1, 1e9) });
    expect(dear[0]!.run).toBe(0);
  });
});

describe('drawActiveScales', () => {
  const at = { params: 9e8, tokens: 1e10 };
  const scales = [
    { params: 1e8, tokens: 2e9 },
    { params: 9e8, tokens: 1e10 },
  ];

  it('names sizes, tokens and mixtures of a fit over scales, and what they tell for their compute', async () => {
    const runs = scaleRuns({ nMixtures: 8, noise: 0.02 });
    const fit = await fitMixture({ runs, model: 'scale', folds: 0 });
    const targets = targetsOf(fit);
    const domains = DOMAINS.map((name) => ({ name: `train_${name}`, prior: 1 }));
    const options = { domains, n: 5, way: 'active', targets, at, scales, seed: 1 } as const;
    const sampled = await sampleMixtures(options);
    expect(sampled.ids).toHaveLength(5);
    for (const { params, tokens, flops, gain } of sampled.design!) {
      expect(scales).toContainEqual({ params, tokens });
      expect(flops).toBe(6 * params * tokens);
      expect(gain).toBeGreaterThan(0);
    }
    for (const { before, after } of sampled.deviations!) expect(after).toBeLessThan(before);
    expect(await sampleMixtures(options)).toEqual(sampled);
    expect(flopsOf(at)).toBe(5.4e19);

    const refused = (more: object) => sampleMixtures({ ...options, ...more });
    await expect(refused({ scales: undefined })).rejects.toThrowError(
      /at: expected scales to choose among/,
    );
    await expect(refused({ scales: [{ params: 0, tokens: 1 }] })).rejects.toThrowError(/params 0/);
    const plain = await fitMixture({ runs, model: 'ridge', folds: 0 });
    await expect(refused({ targets: targetsOf(plain) })).rejects.toThrowError(
      /a fit of model scale with a process/,
    );
  }, 60_000);

  it('refuses fits of other models', async () => {
    await expect(
      drawActiveScales({
        ...{ n: 1, prior: Float64Array.of(1), nUnits: 10, seed: 0, targets: [], scales, at },
        bounds: { lower: Float64Array.of(0), upper: Float64Array.of(1) },
      }),
    ).rejects.toThrowError(/a fit of model scale/);
  });
});
