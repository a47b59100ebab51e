/**
 * How a model of N parameters shares its capacity among domains (arXiv 2606.08167): the inner problem of the law.
 *
 *     minimise Σ_j h_j c_j x_j^(−b_j)   subject to   Σ_j x_j = N + (K − 1) H,   x_j ≥ H
 *
 * At the optimum (KKT) x_j = max(H, (h_j b_j c_j / λ)^(1/(b_j + 1))). The sum falls and is convex in log λ, so Newton's
 * method from a λ that is too small goes down to the root without stepping over it.
 */

/** Parameters of the inner problem. */
export interface CapacityParameters {
  /** Exponents, `[nDomains]`, above 0. */
  readonly b: Float64Array;
  /** Factors, `[nDomains]`, above 0. */
  readonly c: Float64Array;
  /** Least capacity of a domain, above 0, in the unit of N. */
  readonly floor: number;
}

const MAX_STEPS = 100;
const CLOSE = 1e-13;

/**
 * The capacities of one mixture.
 *
 * @param weights `[nDomains]`, from `offset` on
 * @param size N
 * @param capacities `[nDomains]`, written over
 */
export function shareCapacity(
  { b, c, floor }: CapacityParameters,
  weights: Float64Array,
  offset: number,
  size: number,
  capacities: Float64Array,
): void {
  const nDomains = b.length;
  const total = size + (nDomains - 1) * floor;
  let logPrice = Number.NEGATIVE_INFINITY;
  const logTotal = Math.log(total);
  for (let domain = 0; domain < nDomains; domain++) {
    const demand = demandOf(b, c, domain, weights[offset + domain]!);
    // Alone, this domain would take everything at this price.
    logPrice = Math.max(logPrice, demand - (b[domain]! + 1) * logTotal);
  }
  for (let step = 0; step < MAX_STEPS; step++) {
    let sum = 0;
    let slope = 0;
    for (let domain = 0; domain < nDomains; domain++) {
      const demand = demandOf(b, c, domain, weights[offset + domain]!);
      const wanted = Math.exp((demand - logPrice) / (b[domain]! + 1));
      const isFree = wanted > floor;
      const capacity = isFree ? wanted : floor;
      capacities[domain] = capacity;
      sum += capacity;
      if (isFree) slope += capacity / (b[domain]! + 1);
    }
    const over = sum - total;
    if (!(over > CLOSE * total) || slope === 0) return;
    logPrice += over / slope;
  }
}

function demandOf(b: Float64Array, c: Float64Array, domain: number, weight: number): number {
  return Math.log(weight * b[domain]! * c[domain]!);
}
