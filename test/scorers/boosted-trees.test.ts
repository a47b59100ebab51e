import { describe, expect, it } from 'vitest';
import { binRows, quantileBins } from '../../src/lines/bins.ts';
import {
  type BinnedRows,
  type BoostedTreesOptions,
  toColumns,
  trainBoostedTrees,
} from '../../src/scorers/boosted-trees.ts';
import { binOf } from '../oracle/pages/bins.ts';
import { treeLogits } from '../oracle/pages/trees.ts';
import { seeded } from '../support/corpus.ts';

const OPTIONS: BoostedTreesOptions = {
  nTrees: 1,
  nLeaves: 2,
  learningRate: 1,
  minHessian: 0.1,
  lambda: 1,
  rowShare: 1,
  featureShare: 1,
  seed: 1,
};

function rowsOf(
  binned: Uint8Array,
  nFeatures: number,
  targets: ArrayLike<number>,
  weights?: Float32Array,
): BinnedRows {
  const nRows = binned.length / nFeatures;
  return {
    nRows,
    nFeatures,
    maxBins: 8,
    columns: toColumns(binned, nFeatures),
    targets: Float32Array.from(targets),
    weights: weights ?? new Float32Array(nRows).fill(1),
  };
}

/** Random bins; the target is a noisy exclusive-or of two of the features. */
function xorRows(nRows: number, seed: number): { binned: Uint8Array; targets: Uint8Array } {
  const random = seeded(seed);
  const binned = Uint8Array.from({ length: nRows * 4 }, () => Math.floor(random() * 8));
  const targets = Uint8Array.from({ length: nRows }, (_, row) => {
    const odd = binned[row * 4 + 1]! > 3 !== binned[row * 4 + 2]! > 4;
    return (random() < 0.05 ? !odd : odd) ? 1 : 0;
  });
  return { binned, targets };
}

/** The best first split, by trying every cut over the rows. */
function bestCut({ nRows, nFeatures, columns, targets, weights }: BinnedRows, lambda: number) {
  let total = 0;
  let yes = 0;
  for (let row = 0; row < nRows; row++) {
    total += weights[row]!;
    yes += weights[row]! * targets[row]!;
  }
  const share = yes / total;
  let best = { gain: 0, feature: -1, cut: -1 };
  for (let feature = 0; feature < nFeatures; feature++) {
    for (let cut = 0; cut < 7; cut++) {
      const sides = [0, 1].map((side) => {
        let gradient = 0;
        let hessian = 0;
        for (let row = 0; row < nRows; row++) {
          if (columns[feature * nRows + row]! > cut === (side === 0)) continue;
          gradient += (share - targets[row]!) * weights[row]!;
          hessian += share * (1 - share) * weights[row]!;
        }
        return { gradient, hessian, score: gradient ** 2 / (hessian + lambda) };
      });
      const gain = sides[0]!.score + sides[1]!.score;
      if (gain > best.gain + 1e-9) best = { gain, feature, cut };
    }
  }
  return best;
}

describe('trainBoostedTrees', () => {
  it('splits first where trying every cut finds the largest gain', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = seeded(seed);
      const binned = Uint8Array.from({ length: 60 * 3 }, () => Math.floor(random() * 8));
      const targets = Array.from({ length: 60 }, (_, row) =>
        binned[row * 3 + (seed % 3)]! + random() * 4 > 5 ? 1 : 0,
      );
      const weights = Float32Array.from({ length: 60 }, () => (random() < 0.1 ? 0 : 1 + random()));
      const rows = rowsOf(binned, 3, targets, weights);
      const trees = trainBoostedTrees(rows, { ...OPTIONS, minHessian: 0 });
      const expected = bestCut(rows, OPTIONS.lambda);
      expect([trees.features[0], trees.cuts[0]]).toEqual([expected.feature, expected.cut]);
    }
  });

  it('gives leaves the Newton step of their rows', () => {
    // Two groups of four: one all yes, one all no; from probability 1/2: gradient ∓2, hessian 1.
    const binned = Uint8Array.of(0, 0, 0, 0, 5, 5, 5, 5);
    const trees = trainBoostedTrees(rowsOf(binned, 1, [1, 1, 1, 1, 0, 0, 0, 0]), OPTIONS);
    expect([...treeLogits(trees, Uint8Array.of(0, 7))]).toEqual([1, -1]);
  });

  it('learns what no single feature tells', () => {
    const train = xorRows(3000, 1);
    const test = xorRows(1000, 2);
    const options = { ...OPTIONS, nTrees: 40, nLeaves: 8, learningRate: 0.3, rowShare: 0.7 };
    const trees = trainBoostedTrees(rowsOf(train.binned, 4, train.targets), options);
    const logits = treeLogits(trees, test.binned);
    const nRight = logits.filter((logit, row) => logit > 0 === (test.targets[row] === 1)).length;
    expect(nRight / 1000).toBeGreaterThan(0.93);
  });

  it('gives the same trees for the same rows and seed, others for another seed', () => {
    const { binned, targets } = xorRows(500, 3);
    const options = { ...OPTIONS, nTrees: 5, nLeaves: 6, rowShare: 0.5, featureShare: 0.5 };
    const rows = rowsOf(binned, 4, targets);
    const first = trainBoostedTrees(rows, options);
    expect(trainBoostedTrees(rows, options)).toEqual(first);
    expect(trainBoostedTrees(rows, { ...options, seed: 2 })).not.toEqual(first);
  });

  it('does not look at rows without weight', () => {
    const { binned, targets } = xorRows(400, 4);
    const weights = Float32Array.from({ length: 400 }, (_, row) => (row < 300 ? 1 : 0));
    const options = { ...OPTIONS, nTrees: 5, nLeaves: 6 };
    const masked = trainBoostedTrees(rowsOf(binned, 4, targets, weights), options);
    const flipped = targets.map((target, row) => (row < 300 ? target : 1 - target));
    expect(trainBoostedTrees(rowsOf(binned, 4, flipped, weights), options)).toEqual(masked);
  });

  it('refuses to learn from nothing and stops when told', () => {
    const none = rowsOf(Uint8Array.of(1), 1, [1], Float32Array.of(0));
    expect(() => trainBoostedTrees(none, OPTIONS)).toThrow(/labelled rows/);
    const rows = rowsOf(Uint8Array.of(0, 1), 1, [0, 1]);
    const signal = AbortSignal.abort();
    expect(() => trainBoostedTrees(rows, { ...OPTIONS, signal })).toThrow(/aborted/);
  });
});

describe('quantileBins', () => {
  it('cuts where equal numbers of values fall and keeps flags apart', () => {
    const values = Float32Array.from({ length: 200 }, (_, at) =>
      at % 2 === 0 ? at / 2 : at < 190 ? 0 : 1,
    );
    const bins = quantileBins(values, { nFeatures: 2, maxBins: 4 });
    expect([...bins.cuts[0]!]).toEqual([25, 50, 75]);
    expect([...bins.cuts[1]!]).toEqual([1]);
    expect(binOf(bins.cuts[0]!, 24)).toBe(0);
    expect(binOf(bins.cuts[0]!, 25)).toBe(1);
    expect(binOf(bins.cuts[0]!, 1e9)).toBe(3);
    expect([...binRows(Float32Array.of(60, 1, -5, 0), bins)]).toEqual([2, 1, 0, 0]);
  });
});
