/**
 * How heavy the updates of each step are in the weights that training ends with: AdamW's implicit moving average.
 *
 * AdamW with decoupled decay makes θ_t = (1 − η_t λ) θ_{t−1} − η_t Δ_t, an exponential moving average of −Δ_t / λ with the
 * rate α_t = η_t λ. So the last weights are
 *
 *     θ_T = Π_t (1 − α_t) θ_0 + Σ_t c_t (−Δ_t / λ)        c_t = α_t Π_{j > t} (1 − α_j)
 *
 * and c_t says how heavy the data of step t are. Data are retained best, that is their loss under the last weights is
 * lowest, about where c_t is highest (arXiv 2509.25380: the training re-evaluation curve, TREC, is predicted from c_t and
 * from the share of training that is done; the latter's exponent is fitted to models and is left out here). Where several
 * checkpoints are merged (merge-weights.ts) c_t is the weighted sum of theirs.
 *
 * Without decay nothing is forgotten, and c_t is in proportion to η_t.
 *
 * @see arXiv 2405.13698 for the average, 2509.25380 for what it predicts
 */
import { GristmillError } from '../errors.ts';

/** A stretch of steps of one rate. */
export interface RateStretch {
  /** Steps, 1 or more. */
  readonly nSteps: number;
  /** Learning rate, 0 or more. */
  readonly lr: number;
}

/** Options of {@link emaWeights}. */
export interface EmaWeightsOptions {
  readonly stretches: readonly RateStretch[];
  /** λ of AdamW; times a rate at most 1. */
  readonly weightDecay: number;
  /**
   * Weights, in what is kept, of the checkpoints in front of the first stretch and behind each: `[nStretches + 1]`. Default:
   * the last one alone.
   */
  readonly kept?: ArrayLike<number> | undefined;
}

/** What is left of each stretch. */
export interface EmaWeights {
  /** Σ c_t / λ over the steps of each stretch; `[nStretches]`. Without decay Σ η_t. */
  readonly weights: Float64Array;
  /** Share of the first weights that is left, Π (1 − η λ) where nothing is merged. */
  readonly first: number;
}

/**
 * Weights of stretches of steps.
 *
 * @throws OPTION_INVALID
 */
export function emaWeights({ stretches, weightDecay, kept }: EmaWeightsOptions): EmaWeights {
  if (kept !== undefined && kept.length !== stretches.length + 1) {
    const expected = `${stretches.length + 1} weights`;
    throw new GristmillError('OPTION_INVALID', { option: 'kept', expected, received: kept.length });
  }
  const weights = new Float64Array(stretches.length);
  const keptAt = (at: number): number => kept?.[at] ?? (at === stretches.length ? 1 : 0);
  // What is left at last of an update made here, and of the weights here: the same.
  let left = keptAt(stretches.length);
  for (let at = stretches.length - 1; at >= 0; at--) {
    const { nSteps, lr } = stretches[at]!;
    const alpha = lr * weightDecay;
    if (!(lr >= 0 && weightDecay >= 0 && alpha <= 1 && nSteps >= 1)) {
      throw new GristmillError('OPTION_INVALID', {
        option: `stretches.${at}`,
        expected: 'a step or more, a rate and a decay of 0 or more, and at most 1 as their product',
        received: `${nSteps} steps, rate ${lr}, decay ${weightDecay}`,
      });
    }
    // Small rates stay exact with expm1 and log1p.
    const log = alpha < 1 ? nSteps * Math.log1p(-alpha) : Number.NEGATIVE_INFINITY;
    // Σ_{k < nSteps} (1 − α)^k
    weights[at] = lr * left * (alpha === 0 ? nSteps : -Math.expm1(log) / alpha);
    left = left * Math.exp(log) + keptAt(at);
  }
  return { weights, first: left };
}
