/** What a proposal says of itself: predictions with intervals, and warnings. */
import type { TargetCalibration } from '../fit-types.ts';
import { halfWidthsOf, isFarOutside, reachingBack } from '../predict.ts';
import type { MixtureBounds } from '../simplex.ts';
import type { SurrogateFamilyName } from '../types.ts';
import type { MixtureObjective, ObjectiveTarget } from './objective.ts';

/** A prediction of one target. */
export interface TargetForecast {
  readonly target: string;
  /** Predicted loss. */
  readonly mean: number;
  /** Of a new run's loss; null where the surrogate has none, and then there is no interval. */
  readonly deviation: number | null;
  /** 90 % interval. */
  readonly low: number | null;
  readonly high: number | null;
}

/** A mixture and what is predicted for it. */
export interface MixtureForecast {
  /** `[nDomains]`. */
  readonly weights: readonly number[];
  readonly predicted: readonly TargetForecast[];
  /** Value of the objective, penalties included; null where it is infinite. */
  readonly value: number | null;
}

/** Why a proposal deserves a second look. */
export interface ProposalWarning {
  readonly kind:
    | 'corner'
    | 'law-corner'
    | 'at-bound'
    | 'outside-hull'
    | 'outside-losses'
    | 'no-deviation'
    | 'repeats'
    | 'not-better-than-sampled';
  readonly message: string;
}

/** Without calibration: half widths of the normal distribution, and none where there is no deviation. */
const NORMAL: TargetCalibration = { deviation: null, halfWidths: null };
/** A mixture with a weight of at least this is a corner: the other domains hardly count. */
const CORNER = 0.95;
const LAWS: ReadonlySet<SurrogateFamilyName> = new Set(['mixing-law', 'power1', 'power2']);

/** Predictions for one mixture. */
export function describeMixture(
  weights: Float64Array,
  targets: readonly ObjectiveTarget[],
  objective: MixtureObjective,
): MixtureForecast {
  const predicted = targets.map(
    ({ name, surrogate, calibration = NORMAL, seen }): TargetForecast => {
      const { mean, deviation } = surrogate.predict(weights);
      const loss = mean[0]!;
      const given = halfWidthsOf(calibration, { nRows: 1, deviation, level: 0.9 });
      const half = (seen ? reachingBack(given, mean, seen) : given)?.[0] ?? null;
      if (half === null) {
        return { target: name, mean: loss, deviation: null, low: null, high: null };
      }
      return {
        target: name,
        mean: loss,
        deviation: deviation?.[0] ?? calibration.deviation,
        low: loss - half,
        high: loss + half,
      };
    },
  );
  const value = objective.values(weights)[0]!;
  return { weights: [...weights], predicted, value: Number.isFinite(value) ? value : null };
}

/** What {@link warningsOf} looks at. */
interface Judged extends MixtureForecast {
  readonly domains: readonly string[];
  readonly nUnits: number;
  readonly hull: { readonly distance: number; readonly isInside: boolean } | null;
  readonly bestSampled: (MixtureForecast & { readonly id: string }) | null;
  /** Times each domain would be seen; null where nobody knows. */
  readonly epochs: readonly (number | null)[];
}

/** Epochs above those of the runs that are nothing to speak of: 1.05 is no repetition. */
const EPOCHS_ROUNDING = 0.1;

/** Says which domains would be repeated more than any run did; null for none. */
function repeatsOf(
  { domains, epochs }: Judged,
  targets: readonly ObjectiveTarget[],
  seen: readonly number[] | null,
): ProposalWarning | null {
  const beyond = domains.flatMap((name, at) => {
    const times = epochs[at] ?? 0;
    const most = Math.max(1, seen?.[at] ?? 1);
    return times > most + EPOCHS_ROUNDING ? [{ name, times, most }] : [];
  });
  if (beyond.length === 0) return null;
  const shown = beyond
    .map(({ name, times, most }) =>
      seen === null
        ? `${name} ${times.toFixed(1)}`
        : `${name} ${times.toFixed(1)} (${most.toFixed(1)})`,
    )
    .join(', ');
  const what = seen === null ? 'times' : 'times (the runs at most)';
  const isPriced = targets.every(({ surrogate }) => surrogate.family === 'scale');
  const cost = isPriced
    ? 'what that costs is extrapolated'
    : 'what that costs is not in the prediction';
  const message = `seen ${what}: ${shown}; ${cost}. Cap it with --max-epochs, or train proxies that repeat as this run will (mix sample --repetition)`;
  return { kind: 'repeats', message };
}

/** Warnings of a proposal, most serious first. */
export function warningsOf(
  proposal: Judged,
  {
    targets,
    bounds,
    seenEpochs,
  }: {
    readonly targets: readonly ObjectiveTarget[];
    readonly bounds: MixtureBounds;
    /** Most epochs of each domain in the runs; null where they do not say. */
    readonly seenEpochs: readonly number[] | null;
  },
): ProposalWarning[] {
  const { weights, domains, nUnits, hull, bestSampled, value } = proposal;
  const warnings: ProposalWarning[] = [];
  const laws = targets.filter(({ surrogate }) => LAWS.has(surrogate.family));
  for (const [at, weight] of weights.entries()) {
    if (weight < CORNER) continue;
    const where = `${domains[at]} has ${weight} of the mixture`;
    if (laws.length > 0) {
      const families = [...new Set(laws.map(({ surrogate }) => surrogate.family))].join(', ');
      const message = `${where}: a law (${families}) proposes a degenerate corner, as laws do when one domain lowers the loss most. Fit gp or ensemble, or use kl, confidence or max`;
      warnings.push({ kind: 'law-corner', message });
    } else {
      warnings.push({ kind: 'corner', message: `${where}: a corner, the others hardly count` });
    }
  }
  if (hull !== null && !hull.isInside) {
    const message = `it lies ${hull.distance.toPrecision(3)} (L1) outside the hull of the sampled mixtures: predictions there are extrapolation`;
    warnings.push({ kind: 'outside-hull', message });
  }
  for (const [at, { name, seen }] of targets.entries()) {
    const { mean } = proposal.predicted[at]!;
    if (seen === undefined || !isFarOutside(mean, seen)) continue;
    const range = `${seen[0].toPrecision(4)} to ${seen[1].toPrecision(4)}`;
    const message = `${name} is predicted at ${mean.toPrecision(4)}, but the runs have ${range}: nothing was measured there`;
    warnings.push({ kind: 'outside-losses', message });
  }
  const isBest = bestSampled?.value === undefined || bestSampled.value === null || value === null;
  if (!isBest && value >= bestSampled.value!) {
    const message = `sampled mixture ${bestSampled.id} is predicted at least as good`;
    warnings.push({ kind: 'not-better-than-sampled', message });
  }
  const capped = domains.filter((_, at) => {
    const upper = bounds.upper[at]!;
    return upper > 0 && upper < 1 && weights[at]! > upper - 1 / nUnits;
  });
  if (capped.length > 0) {
    const message = `at their largest weight: ${capped.join(', ')}: the caps bind`;
    warnings.push({ kind: 'at-bound', message });
  }
  const repeats = repeatsOf(proposal, targets, seenEpochs);
  if (repeats) warnings.push(repeats);
  const blind = targets.filter((_, at) => proposal.predicted[at]!.deviation === null);
  if (blind.length > 0) {
    const names = blind.map(({ name, surrogate }) => `${name} (${surrogate.family})`).join(', ');
    warnings.push({ kind: 'no-deviation', message: `no interval is known for ${names}` });
  }
  return warnings;
}
