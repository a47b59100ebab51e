/**
 * The figures that docs/numbers.md states, on RegMix's published runs; and laws whose optimum is known, which need no data.
 *
 * `npm run bench -- mixture` prints them.
 */
import { describe, expect, it } from 'vitest';
import {
  type Figures,
  figuresOf,
  hasPublishedRuns,
  meanFigures,
  PILE_CC,
  publishedRuns,
  regmixFolder,
} from '../../bench/cases/mixture-figures.ts';
import { fitMixture } from '../../src/mixture/fit.ts';
import { predictMixtures } from '../../src/mixture/predict.ts';
import type { SurrogateFamilyName } from '../../src/mixture/types.ts';
import { seededRandom } from '../../src/seeded.ts';
import { bowlLaw, drawMixture, type Law, linearLaw, powerLaw, runsOf } from './laws.ts';

if (!hasPublishedRuns()) {
  console.warn(`mixture figures: no data in ${regmixFolder}, the published runs are not checked`);
}

function expectCoverage({ coverages }: Figures): void {
  for (const coverage of coverages) {
    expect(coverage).toBeGreaterThanOrEqual(0.85);
    expect(coverage).toBeLessThanOrEqual(0.97);
  }
}

// About a minute of computing: slow where others use the cores too.
describe.skipIf(!hasPublishedRuns())(
  'surrogates on the published runs',
  { timeout: 900_000 },
  () => {
    it('gbdt is as good as published LightGBM, 13 targets', async () => {
      const { pileCc, all } = await figuresOf(await publishedRuns(), { model: 'gbdt' });
      expect(pileCc.small).toBeGreaterThanOrEqual(98.8);
      expect(pileCc.large).toBeGreaterThanOrEqual(98.4);
      expect(all.small).toBeGreaterThanOrEqual(98.85);
      expect(all.large).toBeGreaterThanOrEqual(98.3);
    });

    it('the ensemble is better, 13 targets, and its own intervals cover', async () => {
      const { pileCc, all, ...found } = await figuresOf(await publishedRuns(), {
        model: 'ensemble',
      });
      expect(pileCc.small).toBeGreaterThanOrEqual(99.1);
      expect(pileCc.large).toBeGreaterThanOrEqual(98.7);
      expect(all.small).toBeGreaterThanOrEqual(99.2);
      expect(all.large).toBeGreaterThanOrEqual(98.65);
      expect(found.coverages).toHaveLength(13);
      expect(found.coverage).toBeGreaterThanOrEqual(0.85);
      expect(found.coverage).toBeLessThanOrEqual(0.97);
      // Of single targets the widest intervals cover 98.4 %.
      for (const coverage of found.coverages) expect(coverage).toBeGreaterThanOrEqual(0.85);
    });

    it('intervals calibrated by cross-validation cover', async () => {
      const runs = await publishedRuns();
      for (const model of ['gp', 'gbdt', 'ensemble'] as const) {
        const figures = await figuresOf(runs, { model, targets: [PILE_CC], folds: 5 });
        expect(figures.coverages).toHaveLength(1);
        expectCoverage(figures);
      }
    });

    it('the ensemble needs few runs: 64, mean of 4 subsets', async () => {
      const runs = await publishedRuns();
      const all: Figures[] = [];
      for (const seed of [0, 1, 2, 3]) {
        all.push(await figuresOf(runs, { model: 'ensemble', nRuns: 64, seed }));
      }
      const { pileCc, all: targets } = meanFigures(all);
      expect(pileCc.small).toBeGreaterThanOrEqual(97.4);
      expect(pileCc.large).toBeGreaterThanOrEqual(97);
      expect(targets.small).toBeGreaterThanOrEqual(98);
      expect(targets.large).toBeGreaterThanOrEqual(97.4);
    });
  },
);

/** The mixture of lowest predicted loss among many, vertices included. */
async function proposed(
  model: SurrogateFamilyName,
  law: Law,
  nDomains: number,
): Promise<Float64Array> {
  const runs = runsOf({ law }, { nRuns: 128, nDomains, noise: 0.01, seed: 11 });
  const fit = await fitMixture({ runs, model, folds: 0 });
  const random = seededRandom(12);
  const nCandidates = 4000;
  const candidates = Array.from({ length: nCandidates }, (_, at) =>
    at < nDomains
      ? Float64Array.from({ length: nDomains }, (_, domain) => (domain === at ? 1 : 0))
      : drawMixture(nDomains, random),
  );
  const weights = new Float64Array(nCandidates * nDomains);
  for (const [row, candidate] of candidates.entries()) weights.set(candidate, row * nDomains);
  const table = { domains: runs.domains, ids: candidates.map((_, at) => String(at)), weights };
  const { mean } = predictMixtures(fit, table)[0]!;
  return candidates[mean.indexOf(Math.min(...mean))]!;
}

describe('laws of known optimum', () => {
  it.each(['ridge', 'gp', 'ensemble'] as const)(
    '%s finds the vertex of a linear law',
    async (model) => {
      const best = await proposed(model, linearLaw([0.3, 0.8, -0.4, 0.6]), 4);
      expect(best[2]).toBeGreaterThan(0.9);
    },
  );

  it.each(['mixing-law', 'power1', 'gp', 'ensemble'] as const)(
    '%s finds the vertex of a power law',
    async (model) => {
      const best = await proposed(model, powerLaw, 4);
      expect(best[0]).toBeGreaterThan(0.9);
    },
  );

  it.each(['gp', 'ensemble'] as const)('%s finds an optimum inside', async (model) => {
    const optimum = [0.5, 0.3, 0.2];
    const best = await proposed(model, bowlLaw(optimum), 3);
    for (const [domain, weight] of optimum.entries()) {
      expect(Math.abs(best[domain]! - weight)).toBeLessThan(0.12);
    }
  });
});
