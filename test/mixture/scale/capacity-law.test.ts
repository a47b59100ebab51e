import { describe, expect, it } from 'vitest';
import { CapacityLaw, fitCapacityLaw } from '../../../src/mixture/scale/capacity-law.ts';
import { mixtures } from '../surrogates/runs-support.ts';

const N_DOMAINS = 3;
// b, c, A, a, E by domain, and H.
const truth = Float64Array.of(
  ...[0.3, 0.5, 0.4, 1.5, 0.8, 1.9, 0.3, 0.4, 0.5, 0.4, 0.5, 0.3, 1.4, 0.6, 1.8, 0.05],
).map(Math.log);

function lossAt(law: CapacityLaw, domain: number, shares: Float64Array, n: number, d: number) {
  const capacities = law.capacities(shares, 0, n);
  return law.loss(domain, capacities[domain]!, law.data(shares[domain]!, d));
}

describe('CapacityLaw', () => {
  it('has the slopes of its differences, by parameters and weights', () => {
    for (const floor of [0.05, 0.9]) {
      const parameters = truth.slice();
      parameters[15] = Math.log(floor);
      const law = new CapacityLaw(parameters);
      const shares = Float64Array.of(0.55, 0.1, 0.35);
      const [n, d] = [1.7, 4];
      for (let domain = 0; domain < N_DOMAINS; domain++) {
        const [byParameters, byWeights] = [new Float64Array(16), new Float64Array(3)];
        law.capacities(shares, 0, n);
        law.slopes(domain, { shares, data: shares, offset: 0, tokens: d }, byParameters, byWeights);
        for (let at = 0; at < 16; at++) {
          const moved = (step: number) => {
            const next = parameters.slice();
            next[at]! += step;
            return lossAt(new CapacityLaw(next), domain, shares, n, d);
          };
          expect(byParameters[at]).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 6);
        }
        for (let at = 0; at < 3; at++) {
          const moved = (step: number) => {
            const next = shares.slice();
            next[at]! += step;
            return lossAt(law, domain, next, n, d);
          };
          expect(byWeights[at]).toBeCloseTo((moved(1e-6) - moved(-1e-6)) / 2e-6, 4);
        }
      }
    }
  });
});

describe('fitCapacityLaw', () => {
  it('predicts larger models and more tokens where the law is true', async () => {
    const law = new CapacityLaw(truth);
    const drawn = mixtures(12, N_DOMAINS, 5).map((weight) => 0.08 + 0.76 * weight);
    const at = (sizes: readonly number[], tokens: readonly number[]) => {
      const rows = sizes.flatMap((n) =>
        tokens.flatMap((d) => Array.from({ length: 12 }, (_, mixture) => ({ n, d, mixture }))),
      );
      const shares = rows.map(({ mixture }) => drawn.subarray(mixture * 3, mixture * 3 + 3));
      const weights = Float64Array.from(shares.flatMap((row) => [...row]));
      return {
        rows: {
          nRuns: rows.length,
          nDomains: N_DOMAINS,
          weights,
          dataWeights: weights,
          params: Float64Array.from(rows, ({ n }) => n),
          tokens: Float64Array.from(rows, ({ d }) => d),
        },
        losses: Float64Array.from(
          rows.flatMap(({ n, d }, row) =>
            [0, 1, 2].map((domain) => lossAt(law, domain, shares[row]!, n, d)),
          ),
        ),
      };
    };
    const seen = at([0.3, 0.8, 2], [1, 2, 4]);
    const counts = new Float64Array(seen.rows.nRuns).fill(1);
    const options = { seed: 0, nStarts: 3, maxIterations: 150 };
    const fitted = await fitCapacityLaw(seen.rows, seen.losses, counts, options);
    const ahead = at([5], [8]);
    for (let run = 0; run < ahead.rows.nRuns; run++) {
      const shares = ahead.rows.weights.subarray(run * 3, run * 3 + 3);
      for (let domain = 0; domain < 3; domain++) {
        const ratio = lossAt(fitted, domain, shares, 5, 8) / ahead.losses[run * 3 + domain]!;
        expect(Math.abs(ratio - 1)).toBeLessThan(0.01);
      }
    }
  });
});
