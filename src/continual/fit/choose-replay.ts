/**
 * The share of replay to take, from fitted losses: the least one that keeps forgetting within a tolerance, or the one
 * that minimises a weighted average of losses.
 *
 * The answer lies within the shares of the pilots, or there is none: an optimum at the edge may as well lie beyond it.
 * At 0 nothing lies beyond, and 0 is an answer.
 */
import { GristmillError } from '../../errors.ts';
import { own } from '../../own.ts';
import { lossAt, placeWithin, type ReplayFit, type ReplayPlace } from './fit-replay.ts';
import { percentText } from './pilots.ts';

/** Options of {@link chooseReplay}. */
export type ChooseReplayOptions = {
  readonly fit: ReplayFit;
  /** Default: the largest of the pilots. */
  readonly tokens?: number;
  /** Default: the largest of the pilots. */
  readonly params?: number;
} & (
  | {
      /** How far the old losses may rise over the base, in the unit of the losses, 0 or more. */
      readonly tolerance: number;
      /**
       * The old loss before the continuation: one for all old sets, or by set. Default: that at the start of the pilots
       * where all have the same, else what is predicted for the most replay of the pilots.
       */
      readonly base?: number | Readonly<Record<string, number>>;
    }
  | {
      /** Weights of validation sets in the average, 0 or more, not all 0. */
      readonly weights: Readonly<Record<string, number>>;
    }
);

/** A chosen share. */
export interface ReplayChoice {
  /** 0..1. */
  readonly replay: number;
  /** At that share, by validation set. */
  readonly predicted: Readonly<Record<string, number>>;
  /** Predicted minus base, of the old sets; with a tolerance. */
  readonly rises?: Readonly<Record<string, number>>;
  /** With weights: the weighted average. */
  readonly average?: number;
}

/** Shares looked at before the best one is narrowed down. */
const N_GRID = 400;
const N_HALVINGS = 60;

/**
 * Chooses a share of replay.
 *
 * @throws CONTINUAL_EXTRAPOLATION when the answer is not within the pilots; OPTION_INVALID
 * @see CMR, arXiv 2407.17467: the most new data whose rise of the old loss stays within a tolerance
 */
export function chooseReplay(options: ChooseReplayOptions): ReplayChoice {
  const { fit } = options;
  const [low, high] = fit.spans.replay;
  const { tokens, params } = options;
  const sizes = {
    ...(tokens !== undefined && { tokens }),
    ...(params !== undefined && { params }),
  };
  const place = placeWithin(fit, { replay: low, ...sizes });
  const at = (replay: number): ReplayPlace => ({ ...place, replay });
  const predict = (replay: number): Record<string, number> =>
    Object.fromEntries(fit.losses.map((loss) => [loss.set, lossAt(loss, at(replay))]));
  if ('weights' in options) return lowestAverage(options.weights, fit, predict);

  const { tolerance } = options;
  if (!(tolerance >= 0 && Number.isFinite(tolerance))) {
    invalid('tolerance', 'a finite number, 0 or more', tolerance);
  }
  const bases = basesOf(options.base, fit, predict(high));
  const risesAt = (replay: number): Record<string, number> => {
    const predicted = predict(replay);
    return Object.fromEntries(bases.map(([set, base]) => [set, predicted[set]! - base]));
  };
  const holds = (replay: number): boolean =>
    Object.values(risesAt(replay)).every((rise) => rise <= tolerance);
  if (!holds(high)) {
    const worst = Object.entries(risesAt(high)).reduce((most, one) =>
      one[1] > most[1] ? one : most,
    );
    outside(
      fit,
      `a rise of at most ${tolerance}`,
      `${worst[0]} is still ${figure(worst[1])} above its base at the most replay that was tried`,
    );
  }
  let [below, above] = [low, high];
  if (holds(low)) {
    if (low > 0) {
      const reason = 'the least replay that was tried already keeps to it, and less may do';
      outside(fit, `a rise of at most ${tolerance}`, reason);
    }
    above = low;
  } else {
    for (let halving = 0; halving < N_HALVINGS; halving++) {
      const middle = (below + above) / 2;
      if (holds(middle)) above = middle;
      else below = middle;
    }
  }
  return { replay: above, predicted: predict(above), rises: risesAt(above) };
}

function basesOf(
  base: number | Readonly<Record<string, number>> | undefined,
  fit: ReplayFit,
  atMost: Readonly<Record<string, number>>,
): (readonly [set: string, base: number])[] {
  const old = fit.losses.filter(({ side }) => side === 'old').map(({ set }) => set);
  if (old.length === 0) invalid('tolerance', 'a fit of at least one set of old data', 'none');
  return old.map((set) => {
    const value =
      base === undefined
        ? (startOf(fit, set) ?? atMost[set]!)
        : typeof base === 'number'
          ? base
          : own(base, set);
    if (!(value !== undefined && Number.isFinite(value))) {
      invalid('base', `a finite number for ${set}`, value ?? 'nothing');
    }
    return [set, value!] as const;
  });
}

/** The loss that all pilots started from, where there is one. */
export function startOf({ pilots }: ReplayFit, set: string): number | null {
  const starts = pilots.map(({ start }) => own(start ?? {}, set));
  const [first] = starts;
  return first !== undefined && starts.every((start) => start === first) ? first : null;
}

function lowestAverage(
  weights: Readonly<Record<string, number>>,
  fit: ReplayFit,
  predict: (replay: number) => Record<string, number>,
): ReplayChoice {
  const entries = Object.entries(weights);
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [set, weight] of entries) {
    if (!fit.losses.some((loss) => loss.set === set)) {
      invalid('weights', `sets of ${fit.losses.map((loss) => loss.set).join(', ')}`, set);
    }
    if (!(weight >= 0 && Number.isFinite(weight)))
      invalid(`weights.${set}`, 'a finite number, 0 or more', weight);
  }
  if (!(total > 0)) invalid('weights', 'at least one above 0', total);
  const averageAt = (replay: number): number => {
    const predicted = predict(replay);
    return entries.reduce((sum, [set, weight]) => sum + weight * predicted[set]!, 0) / total;
  };
  const [low, high] = fit.spans.replay;
  const grid = Array.from({ length: N_GRID + 1 }, (_, at) => low + ((high - low) * at) / N_GRID);
  const averages = grid.map(averageAt);
  const best = averages.indexOf(Math.min(...averages));
  if (best === N_GRID || (best === 0 && low > 0)) {
    const edge = best === 0 ? 'least' : 'most';
    outside(fit, 'the lowest average', `it falls up to the ${edge} replay that was tried`);
  }
  let [below, above] = [grid[Math.max(0, best - 1)]!, grid[Math.min(N_GRID, best + 1)]!];
  for (let halving = 0; halving < N_HALVINGS; halving++) {
    const first = below + (above - below) / 3;
    const second = above - (above - below) / 3;
    if (averageAt(first) <= averageAt(second)) above = second;
    else below = first;
  }
  const middle = (below + above) / 2;
  const replay = averageAt(low) <= averageAt(middle) ? low : middle;
  return { replay, predicted: predict(replay), average: averageAt(replay) };
}

function outside({ spans }: ReplayFit, what: string, reason: string): never {
  const [low, high] = spans.replay.map(percentText);
  throw new GristmillError('CONTINUAL_EXTRAPOLATION', {
    what,
    reason,
    quantity: 'replay',
    low,
    high,
  });
}

function figure(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
