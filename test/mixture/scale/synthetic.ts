/** Runs over sizes and token counts by a law that is known. */
import type { RunScales, RunTable } from '../../../src/mixture/types.ts';
import { seededRandom } from '../../../src/seeded.ts';
import { mixtures } from '../surrogates/runs-support.ts';

export const DOMAINS = ['web', 'code', 'books'];

/** Loss of a domain: what a model of N learns of it, what D tokens tell of it; domains help each other. */
export function trueLoss(
  target: number,
  weights: ArrayLike<number>,
  params: number,
  tokens: number,
): number {
  const help = [0.3, 0.15, 0.05];
  let told = 0;
  for (let domain = 0; domain < 3; domain++) {
    told += weights[domain]! * (domain === target ? 1 : help[domain]!);
  }
  const rest = [1.6, 0.7, 1.9][target]!;
  return (
    rest + 1.2 * ((params / 1e8) * (0.5 + told)) ** -0.25 + 0.8 * ((tokens / 1e9) * told) ** -0.4
  );
}

/** Every mixture at every size and token count, with noise on the logarithm. */
export function scaleRuns({
  nMixtures = 16,
  sizes = [1e8, 3e8, 9e8],
  tokens = [2e9, 5e9, 1e10],
  noise = 0.002,
  seed = 3,
}: {
  readonly nMixtures?: number;
  readonly sizes?: readonly number[];
  readonly tokens?: readonly number[];
  readonly noise?: number;
  readonly seed?: number;
} = {}): RunTable & { readonly scales: RunScales } {
  const random = seededRandom(seed);
  // Away from the corners: a weight of 0 has an infinite loss in the published law.
  const drawn = mixtures(nMixtures, 3, seed).map((weight) => 0.1 + 0.7 * weight);
  const rows = sizes.flatMap((params) =>
    tokens.flatMap((amount) =>
      Array.from({ length: nMixtures }, (_, mixture) => ({
        params,
        amount,
        weights: drawn.subarray(mixture * 3, mixture * 3 + 3),
      })),
    ),
  );
  return {
    domains: DOMAINS.map((name) => `train_${name}`),
    targets: DOMAINS.map((name) => `metric/${name}_val_loss`),
    ids: rows.map((_, row) => `r${row}`),
    weights: Float64Array.from(rows.flatMap(({ weights }) => [...weights])),
    losses: Float64Array.from(
      rows.flatMap(({ params, amount, weights }) =>
        DOMAINS.map((_, target) => {
          const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(6.2831853 * random());
          return trueLoss(target, weights, params, amount) * Math.exp(noise * normal);
        }),
      ),
    ),
    scales: {
      params: Float64Array.from(rows, ({ params }) => params),
      tokens: Float64Array.from(rows, ({ amount }) => amount),
      epochs: null,
    },
  };
}
