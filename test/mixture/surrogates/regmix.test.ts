/**
 * The published runs of RegMix (sail-sg/regmix, 512 proxies): rank correlations on unseen mixtures, target pile_cc.
 * Figures of every target are the bench's.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SURROGATE_FAMILIES } from '../../../src/mixture/surrogates/families.ts';
import type { SurrogateData } from '../../../src/mixture/types.ts';
import { seededRandom, shuffle } from '../../../src/seeded.ts';

const FOLDER = new URL('../../../../shared/data/regmix/', import.meta.url).pathname;
const TARGET = 'metric/the_pile_pile_cc_val_loss';
const missing = !existsSync(FOLDER);
if (missing) console.warn(`skipped: ${FOLDER} is not there`);

function table(file: string) {
  const [head, ...rows] = readFileSync(`${FOLDER}${file}`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  return { head: head!, rows: new Map(rows.map((row) => [row[0]!, row.slice(1).map(Number)])) };
}

function read(mixtureFile: string, lossFile: string): SurrogateData {
  const mixtures = table(mixtureFile);
  const losses = table(lossFile);
  const target = losses.head.indexOf(TARGET) - 1;
  const ids = [...mixtures.rows.keys()].filter((id) => losses.rows.has(id));
  return {
    nRuns: ids.length,
    nDomains: mixtures.head.length - 1,
    weights: Float64Array.from(ids.flatMap((id) => mixtures.rows.get(id)!)),
    losses: Float64Array.from(ids, (id) => losses.rows.get(id)![target]!),
  };
}

function some(data: SurrogateData, nRuns: number, seed: number): SurrogateData {
  const order = Int32Array.from({ length: data.nRuns }, (_, run) => run);
  shuffle(order, seededRandom(seed));
  const chosen = Array.from(order.subarray(0, nRuns));
  const { nDomains } = data;
  return {
    nRuns,
    nDomains,
    weights: Float64Array.from(
      chosen.flatMap((run) =>
        Array.from(data.weights.subarray(run * nDomains, (run + 1) * nDomains)),
      ),
    ),
    losses: Float64Array.from(chosen, (run) => data.losses[run]!),
  };
}

/** Spearman's correlation × 100; ties share their rank. */
function spearman(left: Float64Array, right: Float64Array): number {
  const ranks = [left, right].map((values) =>
    values.map((value) => {
      let rank = 0;
      for (const other of values) rank += other < value ? 1 : other === value ? 0.5 : 0;
      return rank;
    }),
  );
  const middle = left.length / 2;
  const sum = (first: Float64Array, second: Float64Array) =>
    first.reduce((total, rank, at) => total + (rank - middle) * (second[at]! - middle), 0);
  const [one, other] = ranks as [Float64Array, Float64Array];
  return (100 * sum(one, other)) / Math.sqrt(sum(one, one) * sum(other, other));
}

describe.skipIf(missing)('on the published runs', () => {
  const data = missing ? null : read('train_mixture_1m.csv', 'train_pile_loss_1m.csv');
  const small = missing ? null : read('test_mixture_1m.csv', 'test_pile_loss_1m.csv');
  const large = missing ? null : read('test_mixture_60m.csv', 'test_pile_loss_60m.csv');

  it.each([
    ['gbdt', 98.8, 98.4],
    ['gp', 99.3, 98.8],
    ['power1', 96.9, 96.3],
    ['power2', 97.8, 97.5],
    ['mixing-law', 96, 95.5],
    ['ridge', 90, 89.1],
    ['ensemble', 99.1, 98.7],
  ] as const)('%s ranks unseen mixtures', { timeout: 60_000 }, async (name, at1M, at60M) => {
    const fit = await SURROGATE_FAMILIES[name].fit(data!);
    const { mean, deviation } = fit.predict(small!.weights);
    expect(spearman(mean, small!.losses)).toBeGreaterThan(at1M);
    expect(spearman(fit.predict(large!.weights).mean, large!.losses)).toBeGreaterThan(at60M);
    if (deviation === null) return;
    const inside = small!.losses.filter(
      (loss, at) => Math.abs(loss - mean[at]!) <= 1.645 * deviation[at]!,
    );
    expect(inside.length / small!.nRuns).toBeGreaterThan(0.85);
    expect(inside.length / small!.nRuns).toBeLessThan(0.97);
  });

  it('64 runs are enough for the ensemble', { timeout: 60_000 }, async () => {
    const fits = await Promise.all(
      Array.from({ length: 12 }, (_, seed) =>
        SURROGATE_FAMILIES.ensemble.fit(some(data!, 64, seed)),
      ),
    );
    const mean = (unseen: SurrogateData) =>
      fits.reduce(
        (sum, fit) => sum + spearman(fit.predict(unseen.weights).mean, unseen.losses) / fits.length,
        0,
      );
    expect(mean(small!)).toBeGreaterThan(97.4);
    expect(mean(large!)).toBeGreaterThan(97);
  });
});
