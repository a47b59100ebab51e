import { describe, expect, it } from 'vitest';
import { fitMixture } from '../../src/mixture/fit.ts';
import { isFarOutside, predictMixtures } from '../../src/mixture/predict.ts';
import { mixingLaw } from '../../src/mixture/surrogates/mixing-law.ts';
import type { RunTable } from '../../src/mixture/types.ts';
import { seededRandom } from '../../src/seeded.ts';

function runs(lossOf: (share: number, run: number) => number, nRuns = 20): RunTable {
  const random = seededRandom(4);
  const weights = new Float64Array(nRuns * 2);
  for (let run = 0; run < nRuns; run++) {
    const share = 0.05 + 0.2 * random();
    weights.set([share, 1 - share], run * 2);
  }
  return {
    domains: ['train_ash', 'train_elm'],
    targets: ['metric/leaf_val_loss'],
    ids: Array.from({ length: nRuns }, (_, run) => String(run)),
    weights,
    losses: Float64Array.from({ length: nRuns }, (_, run) => lossOf(weights[run * 2]!, run)),
  };
}
const ends = { domains: ['ash', 'elm'], ids: ['a', 'e'], weights: Float64Array.of(1, 0, 0, 1) };

describe('isFarOutside', () => {
  it('is beyond the losses by more than their width, and for what is no number', () => {
    const seen = [3, 4] as const;
    expect([2, 3, 4, 5].map((loss) => isFarOutside(loss, seen))).toEqual(Array(4).fill(false));
    expect([1.99, 5.01, Number.NaN, Infinity].map((loss) => isFarOutside(loss, seen))).toEqual(
      Array(4).fill(true),
    );
  });
});

describe('predictMixtures', () => {
  it('flags what leaves the losses of the runs, with an interval that reaches back to them', async () => {
    const table = runs((share, run) => 3 + 2 * share + 0.01 * (run % 3));
    const fit = await fitMixture({ runs: table, model: 'mixing-law' });
    // A law as an older version fitted it: its corner is at 1e28.
    const exploded = mixingLaw.fromJson({
      family: 'mixing-law',
      nDomains: 2,
      parameters: [1.1, 64.5, -2],
    });
    const [ofFit] = predictMixtures(fit, ends);
    const [prediction] = predictMixtures({ ...fit, surrogates: [exploded] }, ends);
    const least = Math.min(...table.losses);
    const largest = Math.max(...table.losses);
    expect(prediction!.seen).toEqual([least, largest]);
    expect(prediction!.outside).toEqual([{ row: 0, mean: prediction!.mean[0] }]);
    expect(prediction!.mean[0]).toBeGreaterThan(1e27);
    expect(prediction!.mean[0]! - prediction!.halfWidth![0]!).toBeLessThanOrEqual(largest);
    for (const one of [ofFit!, prediction!]) {
      for (const [row, mean] of one.mean.entries()) {
        expect(one.halfWidth![row]!).toBeGreaterThan(0);
        expect(mean - one.halfWidth![row]!).toBeLessThanOrEqual(largest);
        expect(mean + one.halfWidth![row]!).toBeGreaterThanOrEqual(least);
      }
    }
  });

  it('has no interval for a target that never changed', async () => {
    const fit = await fitMixture({ runs: runs(() => 3), model: 'power1' });
    expect(predictMixtures(fit, ends)[0]).toMatchObject({ halfWidth: null, outside: [] });
  });
});

describe('notes of a fit', () => {
  it('name corners far outside of the losses, and folds worse than the mean', async () => {
    const steep = await fitMixture({
      runs: runs((share) => 1 + Math.exp(3 * share)),
      model: 'mixing-law',
    });
    expect(steep.report.notes.join('\n')).toMatch(
      /target leaf: far outside of the losses of the runs \(2\.\d+\.\.3\.\d+\) where one domain is all: ash/,
    );
    const noise = seededRandom(9);
    const wild = await fitMixture({
      runs: runs((_, run) => (noise() < 0.3 ? 9 : 3 + (run % 2)), 16),
      model: 'ridge',
    });
    expect(wild.report.notes.join('\n')).toMatch(
      /left-out runs are predicted worse \(RMSE .*\) than/,
    );
  });

  it('name a domain whose weight divided sums have moved a little', async () => {
    const table = runs((share) => 3 + share);
    const weights = new Float64Array(20 * 3);
    for (let run = 0; run < 20; run++) {
      const sum = run % 2 === 0 ? 1 : 0.999999;
      const share = table.weights[run * 2]!;
      weights.set([0.5 / sum, share / sum, (sum - 0.5 - share) / sum], run * 3);
    }
    const fit = await fitMixture({
      runs: { ...table, domains: ['oak', 'ash', 'elm'], weights },
      model: 'gp',
      folds: 0,
    });
    expect(fit.report.notes).toContain('domains with the same weight in every run: oak');
  });
});
