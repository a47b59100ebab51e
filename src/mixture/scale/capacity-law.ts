/**
 * The mixing law of arXiv 2606.08167, fitted to all domains at once:
 *
 *     L_i(h, N, D) = c_i x_i(h, N)^(−b_i) + A_i (D h_i)^(−a_i) + E_i
 *
 * with x the capacities of the inner problem (capacity.ts). 5K + 1 parameters, all above 0, searched as logarithms:
 *
 *     [ b × K | c × K | A × K | a × K | E × K | H ]
 *
 * Slopes through the inner problem come from its optimality conditions: with u_j = d log(h_j b_j c_j) − log x_j · db_j over
 * the domains above the floor, d log x_i = (u_i − d log λ) / (b_i + 1) and Σ_j x_j d log x_j = d(total).
 *
 * Deviations: weights below {@link LEAST_WEIGHT} count as that in the data term, whose loss is infinite at 0; residuals are of
 * log L, as relative errors are what is compared; a weak pull towards typical parameters keeps directions that runs
 * leave open from running away.
 */
import { seededRandom } from '../../seeded.ts';
import { shareCapacity } from './capacity.ts';
import { type LeastSquaresFit, leastSquares } from './least-squares.ts';
import type { ScaleRows } from './types.ts';

/** Smallest weight in the data term. */
export const LEAST_WEIGHT = 1e-4;
/** Of a parameter to where it starts, by run. */
const PULL = 1e-6;

/** Where slopes are asked for. */
export interface SlopesAt {
  readonly shares: Float64Array;
  /** Discounted for repetition. */
  readonly data: Float64Array;
  readonly offset: number;
  readonly tokens: number;
}

/** The law of some runs. */
export class CapacityLaw {
  readonly parameters: Float64Array;
  readonly nDomains: number;
  readonly nParameters: number;
  readonly #b: Float64Array;
  readonly #c: Float64Array;
  readonly #amount: Float64Array;
  readonly #a: Float64Array;
  readonly #rest: Float64Array;
  readonly #floor: number;
  readonly #capacities: Float64Array;

  /** @param parameters logarithms, `[5 × nDomains + 1]` */
  constructor(parameters: Float64Array) {
    this.parameters = parameters;
    const nDomains = (parameters.length - 1) / 5;
    this.nDomains = nDomains;
    this.nParameters = parameters.length;
    const part = (index: number): Float64Array =>
      parameters.slice(index * nDomains, (index + 1) * nDomains).map(Math.exp);
    this.#b = part(0);
    this.#c = part(1);
    this.#amount = part(2);
    this.#a = part(3);
    this.#rest = part(4);
    this.#floor = Math.exp(parameters[5 * nDomains]!);
    this.#capacities = new Float64Array(nDomains);
  }

  /** Capacities of the domains at one mixture; the array is written over by the next call. */
  capacities(weights: Float64Array, offset: number, size: number): Float64Array {
    const inner = { b: this.#b, c: this.#c, floor: this.#floor };
    shareCapacity(inner, weights, offset, size, this.#capacities);
    return this.#capacities;
  }

  /** Loss of a domain, given its capacity. */
  loss(domain: number, capacity: number, data: number): number {
    return (
      this.#c[domain]! * capacity ** -this.#b[domain]! +
      this.#amount[domain]! * data ** -this.#a[domain]! +
      this.#rest[domain]!
    );
  }

  /** Tokens of a domain, billions of which count. */
  data(weight: number, tokens: number): number {
    return tokens * Math.max(weight, LEAST_WEIGHT);
  }

  /** Slope of a domain's data term by its (discounted) weight. */
  dataSlope(domain: number, weight: number, tokens: number): number {
    if (!(weight > LEAST_WEIGHT)) return 0;
    const amount = this.#amount[domain]! * (weight * tokens) ** -this.#a[domain]!;
    return (-amount * this.#a[domain]!) / weight;
  }

  /**
   * Slopes of a domain's loss by the parameters' logarithms and by the weights, at the mixture whose capacities were last
   * asked for. What repetition does to the data term is left to the caller.
   */
  slopes(
    domain: number,
    { shares, data: discounted, offset, tokens }: SlopesAt,
    byParameters: Float64Array | null,
    byWeights: Float64Array | null,
  ): void {
    const nDomains = this.nDomains;
    const x = this.#capacities;
    const b = this.#b[domain]!;
    const term = this.#c[domain]! * x[domain]! ** -b;
    const data = this.data(discounted[offset + domain]!, tokens);
    const noise = this.#amount[domain]! * data ** -this.#a[domain]!;
    const logCapacity = Math.log(x[domain]!);
    if (byParameters !== null) {
      byParameters.fill(0);
      byParameters[domain] = -term * logCapacity * b;
      byParameters[nDomains + domain] = term;
      byParameters[2 * nDomains + domain] = noise;
      byParameters[3 * nDomains + domain] = -noise * Math.log(data) * this.#a[domain]!;
      byParameters[4 * nDomains + domain] = this.#rest[domain]!;
    }
    if (byWeights !== null) {
      byWeights.fill(0);
      byWeights[domain] = this.dataSlope(domain, discounted[offset + domain]!, tokens);
    }
    const place = 5 * nDomains;
    // By log x of the domain.
    const pull = -term * b;
    if (!(x[domain]! > this.#floor)) {
      if (byParameters !== null) byParameters[place] = pull;
      return;
    }
    let spread = 0;
    let nFree = 0;
    for (let other = 0; other < nDomains; other++) {
      if (!(x[other]! > this.#floor)) continue;
      spread += x[other]! / (this.#b[other]! + 1);
      nFree++;
    }
    const own = pull / (b + 1);
    for (let other = 0; other < nDomains; other++) {
      if (!(x[other]! > this.#floor)) continue;
      const share = x[other]! / (this.#b[other]! + 1) / spread;
      const byDemand = (other === domain ? own : 0) - own * share;
      if (byParameters !== null) {
        const exponent = this.#b[other]!;
        byParameters[other]! += byDemand * (1 - Math.log(x[other]!) * exponent);
        byParameters[nDomains + other]! += byDemand;
      }
      if (byWeights !== null) byWeights[other]! += byDemand / shares[offset + other]!;
    }
    if (byParameters !== null) byParameters[place]! += (own / spread) * (nFree - 1) * this.#floor;
  }
}

/** Options of {@link fitCapacityLaw}. */
export interface CapacityFitOptions {
  readonly seed: number;
  readonly nStarts: number;
  readonly maxIterations: number;
  /** Logarithms; instead of seeded starts. */
  readonly start?: Float64Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fits the law.
 *
 * @param rows of all runs
 * @param losses `[nRuns × nDomains]`, the loss of each domain in the order of the weights, above 0
 * @param rowWeights `[nRuns]`: how much a run counts
 * @throws ABORTED
 */
export async function fitCapacityLaw(
  rows: ScaleRows,
  losses: Float64Array,
  rowWeights: Float64Array,
  { seed, nStarts, maxIterations, start, signal }: CapacityFitOptions,
): Promise<CapacityLaw> {
  const { nRuns, nDomains, weights, dataWeights, params, tokens } = rows;
  const nParameters = 5 * nDomains + 1;
  const lowest = Float64Array.from({ length: nDomains }, (_, domain) => {
    let least = Number.POSITIVE_INFINITY;
    for (let run = 0; run < nRuns; run++) least = Math.min(least, losses[run * nDomains + domain]!);
    return least;
  });
  const problem = {
    nParameters,
    residuals(
      parameters: Float64Array,
      wantsSlopes: boolean,
      visit: (residual: number, slopes: Float64Array) => void,
    ): void {
      const law = new CapacityLaw(parameters);
      const slopes = new Float64Array(nParameters);
      for (let run = 0; run < nRuns; run++) {
        const offset = run * nDomains;
        const capacities = law.capacities(weights, offset, params[run]!);
        for (let domain = 0; domain < nDomains; domain++) {
          const data = law.data(dataWeights[offset + domain]!, tokens[run]!);
          const loss = law.loss(domain, capacities[domain]!, data);
          if (wantsSlopes) {
            const place = { shares: weights, data: dataWeights, offset, tokens: tokens[run]! };
            law.slopes(domain, place, slopes, null);
            const scale = rowWeights[run]! / loss;
            for (let at = 0; at < nParameters; at++) slopes[at]! *= scale;
          }
          visit(rowWeights[run]! * Math.log(loss / losses[offset + domain]!), slopes);
        }
      }
    },
  };
  const centre = new Float64Array(nParameters);
  for (let domain = 0; domain < nDomains; domain++) {
    centre[domain] = Math.log(0.4);
    centre[nDomains + domain] = Math.log(lowest[domain]!);
    centre[2 * nDomains + domain] = Math.log(0.3 * lowest[domain]!);
    centre[3 * nDomains + domain] = Math.log(0.5);
    centre[4 * nDomains + domain] = Math.log(0.6 * lowest[domain]!);
  }
  centre[5 * nDomains] = Math.log(0.01);
  const pull = new Float64Array(nParameters).fill(PULL * nRuns);
  const random = seededRandom(seed);
  let best: LeastSquaresFit | null = null;
  for (let index = 0; index < (start ? 1 : nStarts); index++) {
    const first = start ?? centre.map((value) => value + 0.6 * (random() - 0.5));
    const options = { start: first, centre, pull, maxIterations, signal };
    const found = await leastSquares(problem, options);
    if (best === null || found.value < best.value) best = found;
  }
  return new CapacityLaw(best!.parameters);
}
