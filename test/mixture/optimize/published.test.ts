/** The optimiser on fits of RegMix's published runs; skipped, loudly, where those are not at hand. */
import { beforeAll, describe, expect, it } from 'vitest';
import {
  hasPublishedRuns,
  PILE_CC,
  publishedRuns,
  regmixFolder,
} from '../../../bench/cases/mixture-figures.ts';
import { fitMixture } from '../../../src/mixture/fit.ts';
import type { FittedMixture } from '../../../src/mixture/fit-types.ts';
import {
  type OptimizeMixtureOptions,
  optimizeMixture,
} from '../../../src/mixture/optimize/optimize.ts';
import type { SurrogateFamilyName } from '../../../src/mixture/types.ts';

if (!hasPublishedRuns()) {
  console.warn(
    `optimiser: no data in ${regmixFolder}, proposals from the published runs are not checked`,
  );
}

async function fitOf(model: SurrogateFamilyName): Promise<FittedMixture> {
  const { train } = await publishedRuns();
  return fitMixture({ runs: train, model, folds: 0, targets: [PILE_CC] });
}

function optionsOf({ domains, sampled, surrogates, runs }: FittedMixture): OptimizeMixtureOptions {
  return {
    domains: domains.map((name, at) => ({ name, prior: sampled.mean[at]! })),
    targets: [{ name: 'pile_cc', surrogate: surrogates[0]! }],
    sampled: { domains, ids: runs.ids, weights: runs.weights },
  };
}

describe.skipIf(!hasPublishedRuns())('optimizeMixture on the published runs', () => {
  let gp: FittedMixture;
  beforeAll(async () => {
    gp = await fitOf('gp');
  }, 120_000);

  it('finds what was found by direct search on such a process, and refuses it: it is outside', async () => {
    const proposal = await optimizeMixture({ ...optionsOf(gp), outside: 'allow' });
    // Found before by another search under caps of 15 times the prior: pile_cc .898, ubuntu_irc .037, pubmed_abstracts .019.
    const weightOf = (name: string) => proposal.mixture[`train_the_pile_${name}`]!;
    expect(Math.abs(weightOf('pile_cc') - 0.89)).toBeLessThan(0.03);
    expect(Math.abs(weightOf('ubuntu_irc') - 0.037)).toBeLessThan(0.02);
    expect(Math.abs(weightOf('pubmed_abstracts') - 0.019)).toBeLessThan(0.02);
    expect(proposal.hull!.isInside).toBe(false);
    expect(proposal.value!).toBeLessThan(proposal.bestSampled!.value!);
    await expect(optimizeMixture(optionsOf(gp))).rejects.toThrow(/outside the hull/);
  }, 120_000);

  it('finds one inside the hull that is predicted hardly worse', async () => {
    const outside = await optimizeMixture({ ...optionsOf(gp), outside: 'allow' });
    const inside = await optimizeMixture({ ...optionsOf(gp), outside: 'inside' });
    expect(inside.hull!.distance).toBeLessThanOrEqual(0.02);
    expect(inside.value!).toBeLessThan(outside.value! + 0.02);
    expect(inside.value!).toBeLessThan(inside.bestSampled!.value!);
  }, 240_000);

  it('warns of the corner that a power law proposes', async () => {
    const { weights, warnings } = await optimizeMixture(optionsOf(await fitOf('power1')));
    expect(Math.max(...weights)).toBeGreaterThan(0.95);
    expect(warnings[0]!.kind).toBe('law-corner');
  }, 120_000);
});
