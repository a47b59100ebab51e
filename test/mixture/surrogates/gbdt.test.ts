import { describe, expect, it } from 'vitest';
import {
  boostRounds,
  GBDT_DEFAULTS,
  gbdt,
  minLeafOf,
} from '../../../src/mixture/surrogates/gbdt.ts';
import type { SurrogateData } from '../../../src/mixture/types.ts';
import { lossesOf, mixtures, relativeError, rmse, runsOf, typicalLoss } from './runs-support.ts';

interface Node {
  readonly runs: readonly number[];
  readonly mean: number;
  split?: { domain: number; at: number; low: Node; high: Node };
}

/** Boosting by exhaustive search: the best leaf, domain and midpoint by squared error, one after another. */
function naive(data: SurrogateData, nRounds: number, nLeaves: number) {
  const { nRuns, nDomains, weights, losses } = data;
  const minLeaf = minLeafOf(nRuns);
  const base = losses.reduce((sum, loss) => sum + loss, 0) / nRuns;
  const predictions = new Float64Array(nRuns).fill(base);
  const trees: Node[] = [];
  for (let round = 0; round < nRounds; round++) {
    const residuals = losses.map((loss, run) => loss - predictions[run]!);
    const nodeOf = (runs: readonly number[]): Node => ({
      runs,
      mean: runs.reduce((sum, run) => sum + residuals[run]!, 0) / runs.length,
    });
    const errorOf = ({ runs, mean }: Node) =>
      runs.reduce((sum, run) => sum + (residuals[run]! - mean) ** 2, 0);
    const root = nodeOf(Array.from({ length: nRuns }, (_, run) => run));
    const leaves = [root];
    while (leaves.length < nLeaves) {
      let best: { gain: number; leaf: Node; split: NonNullable<Node['split']> } | undefined;
      for (const leaf of leaves) {
        for (let domain = 0; domain < nDomains; domain++) {
          const weightOf = (run: number) => weights[run * nDomains + domain]!;
          const values = [...new Set(leaf.runs.map(weightOf))].sort((left, right) => left - right);
          for (const [index, value] of values.slice(0, -1).entries()) {
            const at = (value + values[index + 1]!) / 2;
            const low = nodeOf(leaf.runs.filter((run) => weightOf(run) <= at));
            const high = nodeOf(leaf.runs.filter((run) => weightOf(run) > at));
            if (Math.min(low.runs.length, high.runs.length) < minLeaf) continue;
            const gain = errorOf(leaf) - errorOf(low) - errorOf(high);
            if (gain > (best?.gain ?? 1e-12))
              best = { gain, leaf, split: { domain, at, low, high } };
          }
        }
      }
      if (!best) break;
      best.leaf.split = best.split;
      leaves.splice(leaves.indexOf(best.leaf), 1, best.split.low, best.split.high);
    }
    for (const leaf of leaves) {
      for (const run of leaf.runs) predictions[run]! += GBDT_DEFAULTS.learningRate * leaf.mean;
    }
    trees.push(root);
  }
  return { predictions, trees };
}

describe('gbdt', () => {
  it.each([
    [12, 2, 25],
    [60, 4, 20],
    [130, 9, 6],
  ])(
    'grows the trees of an exhaustive search, %i runs of %i domains',
    async (nRuns, nDomains, nRounds) => {
      const data = runsOf(nRuns, nDomains, nRuns, typicalLoss, 0.05);
      const fit = await boostRounds(data, nRounds, undefined);
      const expected = naive(data, nRounds, GBDT_DEFAULTS.nLeaves);
      const { mean } = fit.predict(data.weights);
      expect(relativeError(mean, expected.predictions)).toBeLessThan(1e-9);
      const { roots } = fit.toJson() as { roots: number[] };
      expect(roots).toHaveLength(nRounds);
    },
  );

  it('parts no runs of one weight: coarse weights, lists of every length', async () => {
    for (let nRuns = 20; nRuns < 60; nRuns += 3) {
      const { nDomains, weights: fine, losses } = runsOf(nRuns, 5, nRuns, typicalLoss, 0.05);
      const weights = fine.map((weight) => Math.round(weight * 8) / 8);
      const data = { nRuns, nDomains, weights, losses };
      const { mean } = (await boostRounds(data, 8, undefined)).predict(weights);
      const { predictions } = naive(data, 8, GBDT_DEFAULTS.nLeaves);
      expect(relativeError(mean, predictions)).toBeLessThan(1e-9);
    }
  });

  it('bins what has more distinct weights than bins', async () => {
    const data = runsOf(1500, 3, 31, typicalLoss, 0.01);
    const fit = await gbdt.fit(data);
    const { splits, domains } = fit.toJson() as { splits: number[]; domains: number[] };
    for (let domain = 0; domain < 3; domain++) {
      const points = new Set(splits.filter((_, node) => domains[node] === domain));
      expect(points.size).toBeLessThan(GBDT_DEFAULTS.maxBins);
    }
    const unseen = mixtures(300, 3, 32);
    expect(rmse(fit.predict(unseen).mean, lossesOf(unseen, 3, typicalLoss))).toBeLessThan(0.03);
  });

  it('takes smaller leaves for fewer runs, never more than published', () => {
    expect([8, 32, 64, 128, 240, 512, 5000].map(minLeafOf)).toEqual([2, 2, 5, 10, 20, 20, 20]);
  });

  it('makes fewer rounds where held-out runs say so', async () => {
    // Nothing to learn: every further tree is worse.
    const noise = runsOf(200, 4, 33, () => 1, 1);
    const { roots } = (await gbdt.fit(noise)).toJson() as { roots: number[] };
    expect(roots.length).toBeLessThan(GBDT_DEFAULTS.nRounds / 2);
    const signal = (await gbdt.fit(runsOf(200, 4, 34, typicalLoss))).toJson() as {
      roots: number[];
    };
    expect(signal.roots.length).toBeGreaterThan(GBDT_DEFAULTS.nRounds / 2);
  });
});
