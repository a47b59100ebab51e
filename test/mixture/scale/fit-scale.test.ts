import { beforeAll, describe, expect, it } from 'vitest';
import { processOf } from '../../../src/mixture/sample/process-covariance.ts';
import { fitScale } from '../../../src/mixture/scale/fit-scale.ts';
import { type ScaleSurrogate, scaleFromJson } from '../../../src/mixture/scale/scale-surrogate.ts';
import type { ScaleReport } from '../../../src/mixture/scale/types.ts';
import { mixtures } from '../surrogates/runs-support.ts';
import { scaleRuns, trueLoss } from './synthetic.ts';

let surrogates: readonly ScaleSurrogate[];
let report: ScaleReport;
const fresh = mixtures(10, 3, 77).map((weight) => 0.1 + 0.7 * weight);

beforeAll(async () => {
  ({ surrogates, report } = await fitScale({ runs: scaleRuns(), seed: 0, blocks: true }));
}, 60_000);

describe('fitScale', () => {
  it('predicts a model four times the size on four times the tokens, and knows how far it is off', () => {
    const at = { params: 3.6e9, tokens: 4e10 };
    let covered = 0;
    for (const [target, surrogate] of surrogates.entries()) {
      const { mean, deviation } = surrogate.at(at).predict(fresh);
      for (let row = 0; row < 10; row++) {
        const weights = fresh.subarray(row * 3, row * 3 + 3);
        const loss = trueLoss(target, weights, at.params, at.tokens);
        expect(Math.abs(mean[row]! / loss - 1)).toBeLessThan(0.05);
        if (Math.abs(mean[row]! - loss) <= 1.645 * deviation![row]!) covered++;
      }
    }
    expect(covered).toBeGreaterThanOrEqual(24);
  });

  it('is less sure the further a scale lies beyond the runs', () => {
    const [first] = surrogates;
    const deviations = [9e8, 2e9, 8e9, 3e10].map(
      (params) => first!.at({ params, tokens: 1e10 }).predict(fresh).deviation![0]!,
    );
    const means = [9e8, 2e9, 8e9, 3e10].map(
      (params) => first!.at({ params, tokens: 1e10 }).predict(fresh).mean[0]!,
    );
    for (let at = 1; at < 4; at++) {
      expect(deviations[at]! / means[at]!).toBeGreaterThan(deviations[at - 1]! / means[at - 1]!);
      expect(means[at]).toBeLessThan(means[at - 1]!);
    }
  });

  it('reports every block, with every law', () => {
    expect(report.nSizes).toBe(3);
    expect(report.blocks.map(({ block }) => block)).toEqual([
      'size 3 of 3 from those below, at 67 % of their tokens',
      'size 3 of 3 from those below, at 50 % of their tokens',
      'last third of the tokens',
      'a fifth of the mixtures',
    ]);
    for (const { errors, covered } of report.blocks) {
      expect(Object.keys(errors).sort()).toEqual(['additive', 'capacity', 'ensemble', 'product']);
      expect(errors['ensemble']).toBeLessThan(0.03);
      expect(covered).toBeGreaterThan(0.5);
    }
  });

  it('has the gradient of its mean, where tokens are repeated too', () => {
    const point = fresh.slice(0, 3);
    for (const available of [undefined, [1e9, 2e8, null]]) {
      const surrogate = surrogates[1]!.at({ params: 5e8, tokens: 4e9, available });
      const slopes = surrogate.gradient(point);
      for (let at = 0; at < 3; at++) {
        const moved = (step: number) => {
          const next = point.slice();
          next[at]! += step;
          return surrogate.predict(next).mean[0]!;
        };
        const difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        expect(Math.abs(slopes[at]! - difference)).toBeLessThan(1e-3 * (1 + Math.abs(difference)));
      }
    }
  });

  it('reads back bit by bit', () => {
    for (const surrogate of surrogates) {
      const read = scaleFromJson(JSON.parse(JSON.stringify(surrogate.toJson())));
      const at = { params: 2e9, tokens: 2e10 };
      const [there, back] = [surrogate.at(at).predict(fresh), read.at(at).predict(fresh)];
      expect(back.mean).toEqual(there.mean);
      expect(back.deviation).toEqual(there.deviation);
    }
  });

  it('has no process that active designs of one scale could take for theirs', () => {
    // Its process has two columns more than there are domains, and was found by its name.
    expect(surrogates.map(processOf)).toEqual([null, null, null]);
  });

  it('refuses a file whose members are none', () => {
    const json = JSON.parse(JSON.stringify(surrogates[0]!.toJson()));
    expect(() => scaleFromJson({ ...json, members: [] })).toThrow(/members: expected some/);
    expect(() => scaleFromJson({ ...json, unitTokens: -1 })).toThrow(/unitTokens/);
    expect(() => scaleFromJson({ ...json, range: { params: [2, 1], tokens: [1, 2] } })).toThrow(
      /range.params/,
    );
  });

  it('loses by repeating a domain, and less than by not having it', () => {
    const surrogate = surrogates[0]!;
    const weights = Float64Array.of(0.6, 0.2, 0.2);
    const at = (available: readonly (number | null)[] | undefined) =>
      surrogate.at({ params: 9e8, tokens: 1e10, available }).predict(weights).mean[0]!;
    const plenty = at(undefined);
    expect(at([1e10, null, null])).toBe(plenty);
    const [some, little] = [at([1e9, null, null]), at([1e8, null, null])];
    expect(some).toBeGreaterThan(plenty);
    expect(little).toBeGreaterThan(some);
  });
});
