/**
 * Power laws of size and tokens in which every domain helps a target by its own amount, for one target at a time:
 *
 *     additive   L = E + (N · Σ_j u_j h_j)^(−β) + (D · Σ_j v_j h_j)^(−α)
 *     product    L = (E + c N^(−β) + e D^(−α)) · (Σ_j u_j h_j)^(−γ)
 *
 * All parameters are above 0 and searched as logarithms:
 *
 *     additive   [ E, β, α, u × K, v × K ]          product   [ E, β, α, γ, c, e, u × K ]
 *
 * `additive` is the law of a target that learns from an effective number of tokens, and from an effective share of the model;
 * `product` has mixtures that keep their ratio of losses at every scale. Tokens that are repeated count less: the data term of
 * `additive` takes shares that are discounted already (repetition.ts).
 */
import { leastSquares } from './least-squares.ts';
import type { ScaleRows } from './types.ts';

/** Names of the laws. */
export type InteractionForm = 'additive' | 'product';

/** Pull of a parameter to where it starts, by run. */
const PULL = 2e-9;
/** Logarithms beyond this are no losses. */
const MAX_LOG = 60;

/** A law at its parameters. */
export class InteractionLaw {
  readonly form: InteractionForm;
  readonly parameters: Float64Array;
  readonly nDomains: number;
  readonly #values: Float64Array;

  /** @param parameters logarithms */
  constructor(form: InteractionForm, parameters: Float64Array) {
    this.form = form;
    this.parameters = parameters;
    this.nDomains = form === 'additive' ? (parameters.length - 3) / 2 : parameters.length - 6;
    this.#values = parameters.map((log) => Math.exp(Math.max(-MAX_LOG, Math.min(MAX_LOG, log))));
  }

  /**
   * Loss at one mixture. Slopes are by the logarithms of the parameters, and by shares of the model and of the data.
   *
   * @param shares `[nDomains]`, from `offset` on
   * @param data the same, discounted for repetition
   */
  loss(
    shares: Float64Array,
    data: Float64Array,
    offset: number,
    size: number,
    tokens: number,
    slopes: {
      readonly parameters: Float64Array;
      readonly shares: Float64Array;
      readonly data: Float64Array;
    } | null = null,
  ): number {
    return this.form === 'additive'
      ? this.#additive(shares, data, offset, size, tokens, slopes)
      : this.#product(data, offset, size, tokens, slopes);
  }

  #additive(
    shares: Float64Array,
    data: Float64Array,
    offset: number,
    size: number,
    tokens: number,
    slopes: Parameters<InteractionLaw['loss']>[5],
  ): number {
    const { nDomains } = this;
    const values = this.#values;
    const [rest, beta, alpha] = [values[0]!, values[1]!, values[2]!];
    let capacity = 0;
    let effective = 0;
    for (let domain = 0; domain < nDomains; domain++) {
      capacity += values[3 + domain]! * shares[offset + domain]!;
      effective += values[3 + nDomains + domain]! * data[offset + domain]!;
    }
    const logSize = Math.log(capacity * size);
    const logData = Math.log(effective * tokens);
    const bySize = Math.exp(-beta * logSize);
    const byData = Math.exp(-alpha * logData);
    if (slopes) {
      const { parameters } = slopes;
      parameters[0] = rest;
      parameters[1] = -bySize * beta * logSize;
      parameters[2] = -byData * alpha * logData;
      const sizePull = (-beta * bySize) / capacity;
      const dataPull = (-alpha * byData) / effective;
      for (let domain = 0; domain < nDomains; domain++) {
        const u = values[3 + domain]!;
        const v = values[3 + nDomains + domain]!;
        slopes.shares[domain] = sizePull * u;
        slopes.data[domain] = dataPull * v;
        parameters[3 + domain] = sizePull * u * shares[offset + domain]!;
        parameters[3 + nDomains + domain] = dataPull * v * data[offset + domain]!;
      }
    }
    return rest + bySize + byData;
  }

  #product(
    data: Float64Array,
    offset: number,
    size: number,
    tokens: number,
    slopes: Parameters<InteractionLaw['loss']>[5],
  ): number {
    const { nDomains } = this;
    const values = this.#values;
    const [rest, beta, alpha, gamma] = [values[0]!, values[1]!, values[2]!, values[3]!];
    let mixed = 0;
    for (let domain = 0; domain < nDomains; domain++) {
      mixed += values[6 + domain]! * data[offset + domain]!;
    }
    const logSize = Math.log(size);
    const logData = Math.log(tokens);
    // Shares sum to 1 or, discounted, to less: `mixed` counts what repetition costs.
    const bySize = values[4]! * Math.exp(-beta * logSize);
    const byData = values[5]! * Math.exp(-alpha * logData);
    const level = rest + bySize + byData;
    const logMixed = Math.log(mixed);
    const factor = Math.exp(-gamma * logMixed);
    if (slopes) {
      const { parameters } = slopes;
      parameters[0] = rest * factor;
      parameters[1] = -bySize * beta * logSize * factor;
      parameters[2] = -byData * alpha * logData * factor;
      parameters[3] = -level * factor * gamma * logMixed;
      parameters[4] = bySize * factor;
      parameters[5] = byData * factor;
      const pull = (-gamma * level * factor) / mixed;
      for (let domain = 0; domain < nDomains; domain++) {
        const u = values[6 + domain]!;
        slopes.shares[domain] = 0;
        slopes.data[domain] = pull * u;
        parameters[6 + domain] = pull * u * data[offset + domain]!;
      }
    }
    return level * factor;
  }
}

/** Options of {@link fitInteractionLaw}. */
export interface InteractionFitOptions {
  readonly form: InteractionForm;
  readonly maxIterations: number;
  /** Logarithms; instead of the form's own start. */
  readonly start?: Float64Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fits a law to the logarithms of losses.
 *
 * @param losses `[nRuns]`, above 0
 * @param rowWeights `[nRuns]`: how much a run counts
 * @returns the law, and half the sum of its squared residuals
 * @throws ABORTED
 */
export async function fitInteractionLaw(
  rows: ScaleRows,
  losses: Float64Array,
  rowWeights: Float64Array,
  { form, maxIterations, start, signal }: InteractionFitOptions,
): Promise<{ readonly law: InteractionLaw; readonly value: number }> {
  const { nRuns, nDomains, weights, dataWeights, params, tokens } = rows;
  const least = losses.reduce((low, loss) => Math.min(low, loss));
  const centre = startOf(form, nDomains, least);
  const nParameters = centre.length;
  const slopes = {
    parameters: new Float64Array(nParameters),
    shares: new Float64Array(nDomains),
    data: new Float64Array(nDomains),
  };
  const problem = {
    nParameters,
    residuals(
      parameters: Float64Array,
      wantsSlopes: boolean,
      visit: (residual: number, slopes: Float64Array) => void,
    ): void {
      const law = new InteractionLaw(form, parameters);
      for (let run = 0; run < nRuns; run++) {
        const [size, amount] = [params[run]!, tokens[run]!];
        const own = wantsSlopes ? slopes : null;
        const loss = law.loss(weights, dataWeights, run * nDomains, size, amount, own);
        const scale = rowWeights[run]! / loss;
        if (own) for (let at = 0; at < nParameters; at++) own.parameters[at]! *= scale;
        visit(rowWeights[run]! * Math.log(loss / losses[run]!), slopes.parameters);
      }
    },
  };
  const pull = new Float64Array(nParameters).fill(PULL * nRuns);
  const options = { start: start ?? centre, centre, pull, maxIterations, signal };
  const { parameters, value } = await leastSquares(problem, options);
  return { law: new InteractionLaw(form, parameters), value };
}

/** Typical parameters: losses of models of the middle size on the middle number of tokens. */
function startOf(form: InteractionForm, nDomains: number, least: number): Float64Array {
  const rest = Math.log(0.6 * least);
  const some = Math.log(0.2 * least);
  if (form === 'product') {
    const heads = [rest, Math.log(0.3), Math.log(0.5), Math.log(0.1), some, some];
    return Float64Array.from([...heads, ...new Array<number>(nDomains).fill(0)]);
  }
  const [beta, alpha] = [0.2, 0.5];
  // (Σ u h)^(−β) is a fifth of the loss where u = (0.2 · least)^(−1/β).
  return Float64Array.from([
    ...[rest, Math.log(beta), Math.log(alpha)],
    ...new Array<number>(nDomains).fill(-some / beta),
    ...new Array<number>(nDomains).fill(-some / alpha),
  ]);
}
