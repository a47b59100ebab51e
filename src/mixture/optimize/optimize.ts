/**
 * The best predicted mixture under what the caller allows (RegMix, arXiv 2407.01492 §3.3, with exact descent in place of
 * simulation; the constraints are those of Olmix, arXiv 2602.12237, and a penalty on uncertainty).
 *
 * `gradient`: descent from the best sampled mixtures, the prior and the best of random ones; the ends are rounded to the
 * grid and polished by moves between pairs of domains, judged by the exact objective. The polish also ends what is only
 * partly differentiable (the worst case, trees). `simulation`: the published way, then rounding.
 *
 * A surrogate knows nothing of mixtures outside the hull of those it was fitted on: such a proposal is refused unless
 * `outside` says otherwise. Laws (`mixing-law`, `power1`, `power2`) tend to corners of the simplex: a proposal there carries a warning.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError } from '../../errors.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  flag,
  listOf,
  number,
  type OptionTable,
  oneOf,
} from '../../options.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { type DomainSpec, priorOf } from '../domains.ts';
import { mixtureBounds } from '../sample/bounds.ts';
import { drawCandidates } from '../sample/candidates.ts';
import { type MixtureBounds, unitsToWeights } from '../simplex.ts';
import type { MixtureTable } from '../types.ts';
import { OPTIMIZE_MIXTURE_DEFAULTS } from './defaults.ts';
import { descend, type GridPoint, polish, valuesOf } from './descend.ts';
import { distanceToHull, type HullDistance } from './hull.ts';
import { MixtureObjective, type ObjectiveTarget } from './objective.ts';
import {
  describeMixture,
  type MixtureForecast,
  type ProposalWarning,
  warningsOf,
} from './proposal.ts';
import { simulate } from './simulate.ts';
import { type FrozenGroup, MixtureSpace } from './space.ts';

/** Options of {@link optimizeMixture}. */
export interface OptimizeMixtureOptions {
  /** In the order of the surrogates' weights. */
  readonly domains: readonly DomainSpec[];
  readonly targets: readonly ObjectiveTarget[];
  /** Default `mean`. */
  readonly objective?: 'mean' | 'worst' | undefined;
  /** Score losses by how far they lie above the prior's predicted loss. Default false: as they are. */
  readonly relativeToPrior?: boolean | undefined;
  /** Tokens of the run; with it, epoch caps. */
  readonly budgetTokens?: number | undefined;
  readonly maxEpochs?: number | undefined;
  /** Smallest and largest weights by domain. */
  readonly min?: Readonly<Record<string, number>> | undefined;
  readonly max?: Readonly<Record<string, number>> | undefined;
  readonly frozen?: readonly FrozenGroup[] | undefined;
  /** Weight of KL(w ‖ prior), nats. Default 0. Above it, domains of prior 0 stay at 0. */
  readonly kl?: number | undefined;
  /** Deviations added to every mean. Default 0. */
  readonly confidence?: number | undefined;
  /** Default `gradient`. */
  readonly method?: 'gradient' | 'simulation' | undefined;
  /** Of the simulation. Default 100,000 and 128; the paper's text has 1,000,000 and 100. */
  readonly nDraws?: number | undefined;
  readonly nAveraged?: number | undefined;
  /** Mixtures that the surrogates were fitted on: starts, comparison, hull. */
  readonly sampled?: MixtureTable | undefined;
  /** Most epochs of each domain in the runs behind the surrogates, `[nDomains]`: more are warned of. Default: not known. */
  readonly seenEpochs?: readonly number[] | undefined;
  /**
   * Outside their hull: `refuse` a proposal (default), `allow` it, or search `inside` only: the hull draws mixtures the more
   * strongly the further the proposal is outside, until it is within `hullTolerance`.
   */
  readonly outside?: 'refuse' | 'allow' | 'inside' | undefined;
  /** Distance (L1) that still counts as inside. Default 0.02: a hundredth of the weight elsewhere. */
  readonly hullTolerance?: number | undefined;
  /** Weights are multiples of 1/nUnits. Default 10,000. */
  readonly nUnits?: number | undefined;
  /** Starts of descents. Default 12. */
  readonly nStarts?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  /** Told how many descents, or draws, are done; from the beginning again for every search that `outside: 'inside'` takes. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A proposed mixture. */
export interface MixtureProposal extends MixtureForecast {
  readonly domains: readonly string[];
  readonly method: 'gradient' | 'simulation';
  readonly objective: 'mean' | 'worst';
  /** Weight by domain: the same as `weights`. */
  readonly mixture: Readonly<Record<string, number>>;
  /** `[nDomains]`: weights are `units / nUnits`; units sum to nUnits exactly. */
  readonly units: readonly number[];
  readonly nUnits: number;
  /** Times each domain's tokens are seen; null where budget or tokens are unknown. */
  readonly epochs: readonly (number | null)[];
  /** KL(w ‖ prior), nats; null where it is infinite. */
  readonly klToPrior: number | null;
  /** Null where no sampled mixtures were given. */
  readonly hull: { readonly distance: number; readonly isInside: boolean } | null;
  /** The prior, and the sampled mixture of the best predicted value. Neither need be feasible. */
  readonly prior: MixtureForecast;
  readonly bestSampled: (MixtureForecast & { readonly id: string }) | null;
  readonly warnings: readonly ProposalWarning[];
}

const OPTION_TABLE: OptionTable<OptimizeMixtureOptions> = {
  domains: listOf(anObject),
  targets: listOf(anObject),
  objective: oneOf(['mean', 'worst']),
  relativeToPrior: flag,
  budgetTokens: number,
  maxEpochs: number,
  min: anObject,
  max: anObject,
  frozen: listOf(anObject),
  kl: number,
  confidence: number,
  method: oneOf(['gradient', 'simulation']),
  nDraws: number,
  nAveraged: number,
  sampled: anObject,
  seenEpochs: listOf(number),
  outside: oneOf(['refuse', 'allow', 'inside']),
  hullTolerance: number,
  nUnits: number,
  nStarts: number,
  seed: number,
  onProgress: callback,
  signal: abortSignal,
};

/**
 * Finds the best predicted mixture.
 *
 * @throws OPTION_INVALID, MIXTURE_DOMAINS_INVALID, MIXTURE_BOUNDS_INFEASIBLE, MIXTURE_SAMPLE_FAILED, MIXTURE_OUTSIDE_HULL
 *   (its `details` hold the proposal's `weights`), ABORTED
 * @see RegMix §3.3
 */
export async function optimizeMixture(options: OptimizeMixtureOptions): Promise<MixtureProposal> {
  checkOptions<OptimizeMixtureOptions>('optimizeMixture', options, OPTION_TABLE, [
    'domains',
    'targets',
  ]);
  const { domains, sampled, signal, onProgress, kl = 0, confidence = 0, seed = 0 } = options;
  const { method = 'gradient', objective: kind = 'mean', outside = 'refuse' } = options;
  const { nUnits, nStarts, hullTolerance, nDraws, nAveraged } = withDefaults(options);
  checkSampled(options);
  const prior = priorOf(domains);
  const names = domains.map(({ name }) => name);
  const bounds = boundsOf(options, prior, nUnits);
  const space = new MixtureSpace({ domains: names, prior, bounds, nUnits, frozen: options.frozen });
  const targets = offsetTargets(options, prior);
  const settings = { targets, kind, prior, kl, confidence };
  const objective = new MixtureObjective(settings);
  const search: Search = {
    ...{ space, objective, prior, bounds, sampled },
    ...{ nStarts, seed, signal, onProgress },
  };
  const propose = async (own: MixtureObjective): Promise<Int32Array> => {
    // Looking for the nearest point of the hull costs far more than a prediction: fewer starts with it.
    const few = own === objective ? nStarts : Math.ceil(nStarts / 3);
    if (method === 'gradient') return descendFromAll({ ...search, objective: own, nStarts: few });
    const drawn = await simulate({ ...search, objective: own, nDraws, nAveraged });
    return space.toUnits(space.fromWeights(drawn.weights));
  };
  const hullOf = (own: Int32Array): HullDistance | null =>
    sampled === undefined
      ? null
      : distanceToHull(unitsToWeights(space.toDomainUnits(own), nUnits), sampled.weights);
  let units = await propose(objective);
  let hull = hullOf(units);
  const isOutside = (): boolean => hull !== null && hull.distance > hullTolerance;
  for (const pull of outside === 'inside' ? PULLS : []) {
    if (!isOutside()) break;
    const drawn = { ...settings, hull: { rows: sampled!.weights, pull } };
    units = await propose(new MixtureObjective(drawn));
    hull = hullOf(units);
  }
  const domainUnits = space.toDomainUnits(units);
  const weights = unitsToWeights(domainUnits, nUnits);
  if (isOutside() && outside !== 'allow') {
    throw new GristmillError('MIXTURE_OUTSIDE_HULL', {
      distance: Number(hull!.distance.toPrecision(3)),
      tolerance: hullTolerance,
      weights: Object.fromEntries(names.map((name, at) => [name, weights[at]!])),
    });
  }
  const forecast = (mixture: Float64Array): MixtureForecast =>
    describeMixture(mixture, targets, objective);
  const proposal = {
    ...forecast(weights),
    domains: names,
    method,
    objective: kind,
    mixture: Object.fromEntries(names.map((name, at) => [name, weights[at]!])),
    units: [...domainUnits],
    nUnits,
    epochs: domains.map(({ tokens }, at) =>
      options.budgetTokens !== undefined && tokens !== undefined && tokens > 0
        ? (weights[at]! * options.budgetTokens) / tokens
        : null,
    ),
    klToPrior: finiteKl(weights, prior),
    hull: hull && { distance: hull.distance, isInside: hull.distance <= hullTolerance },
    prior: forecast(prior),
    bestSampled: bestOf(sampled, objective, forecast),
  };
  return {
    ...proposal,
    warnings: warningsOf(proposal, { targets, bounds, seenEpochs: options.seenEpochs ?? null }),
  };
}

interface Search {
  readonly space: MixtureSpace;
  readonly objective: MixtureObjective;
  readonly prior: Float64Array;
  readonly bounds: MixtureBounds;
  readonly sampled: MixtureTable | undefined;
  readonly nStarts: number;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress | undefined;
}

/** Nats for a squared distance of 1 to the hull, one after the other: slopes are of about 1 nat, distances of about 0.01. */
const PULLS = [100, 1000, 10_000, 100_000];
/** Random mixtures among which starts are chosen. */
const RANDOM_STARTS = 256;
/** Ends of descents that go on under a sharper worst case. */
const N_SHARPENED = 3;
/** Ends of descents that are polished. */
const N_POLISHED = 2;
/** Sharpness of the smoothed worst case, by the spread of the starts' values. */
const SHARPNESS = [10, 100, 1000];

async function descendFromAll(search: Search): Promise<Int32Array> {
  const { space, objective, signal, seed } = search;
  const { starts, spread } = startsOf(search);
  const gridPoint = (point: Float64Array): GridPoint & { readonly point: Float64Array } => {
    const units = space.toUnits(point);
    return { point, units, value: valuesOf(space, objective, [units])[0]! };
  };
  const firsts = [];
  const nSharpened = objective.needsSharpness ? Math.min(N_SHARPENED, starts.length) : 0;
  const tell = counting(search.onProgress, {
    ...{ phase: 'searching', unit: 'descents' },
    // Polishing takes about as long as a descent.
    total: starts.length + nSharpened + N_POLISHED,
  });
  for (const start of starts) {
    // Descents are bounded but long: the event loop gets its turn between them.
    await setImmediate();
    const sharpness = SHARPNESS[0]! / spread;
    firsts.push(gridPoint(descend(space, objective, start, { sharpness, signal })));
    tell();
  }
  firsts.sort((one, other) => one.value - other.value);
  const ends: GridPoint[] = [...firsts];
  for (const { point: first } of firsts.slice(0, nSharpened)) {
    let point = first;
    for (const sharpness of SHARPNESS.slice(1)) {
      await setImmediate();
      point = descend(space, objective, point, { sharpness: sharpness / spread, signal });
    }
    ends.push(gridPoint(point));
    tell();
  }
  // The smoothest way to a corner may round badly; the starts themselves stay candidates.
  for (const start of starts.slice(0, 2)) {
    const units = space.toUnits(start);
    ends.push({ units, value: valuesOf(space, objective, [units])[0]! });
  }
  ends.sort((one, other) => one.value - other.value);
  const firstUnits = Math.ceil(space.nUnits / (objective.isSmooth ? 64 : 8));
  let best: GridPoint | null = null;
  for (const { units } of distinct(ends).slice(0, N_POLISHED)) {
    await setImmediate();
    const polished = polish(space, objective, units, { firstUnits, seed, signal });
    if (best === null || polished.value < best.value) best = polished;
    tell();
  }
  return best!.units;
}

/** Feasible starts: half from the best sampled mixtures, the prior, the rest from the best random ones. */
function startsOf({ space, objective, prior, bounds, sampled, nStarts, seed }: Search): {
  readonly starts: readonly Float64Array[];
  readonly spread: number;
} {
  const nDomains = space.nDomains;
  const { nUnits } = space;
  const fromSampled = Array.from({ length: sampled?.ids.length ?? 0 }, (_, row) =>
    space.fromWeights(sampled!.weights.slice(row * nDomains, (row + 1) * nDomains)),
  );
  const fromRandom = drawCandidates({ n: RANDOM_STARTS, prior, bounds, nUnits, seed }).map((row) =>
    space.fromWeights(unitsToWeights(row, nUnits)),
  );
  const ranked = (points: readonly Float64Array[]) => {
    const rows = new Float64Array(points.length * nDomains);
    for (const [row, point] of points.entries()) rows.set(space.toWeights(point), row * nDomains);
    const values = points.length > 0 ? objective.values(rows) : new Float64Array(0);
    return points
      .map((point, row) => ({ point, value: values[row]! }))
      .sort((one, other) => one.value - other.value);
  };
  const sampledRanked = ranked(fromSampled);
  const randomRanked = ranked(fromRandom);
  const nSampled = Math.min(sampledRanked.length, Math.ceil(nStarts / 2));
  const nRandom = Math.max(0, nStarts - nSampled - 1);
  const starts = [
    ...sampledRanked.slice(0, nSampled).map(({ point }) => point),
    space.fromWeights(prior),
    ...randomRanked.slice(0, nRandom).map(({ point }) => point),
  ];
  const values = [...sampledRanked, ...randomRanked].map(({ value }) => value);
  const finite = values.filter(Number.isFinite).sort((one, other) => one - other);
  // The lower half: where the optimum lies, losses differ less than among poor mixtures.
  const middle = finite[Math.floor(finite.length / 2)] ?? 1;
  return { starts, spread: Math.max(1e-6, middle - (finite[0] ?? 0)) };
}

function distinct(points: readonly GridPoint[]): GridPoint[] {
  return [...new Map(points.map((point) => [point.units.join(), point])).values()];
}

function boundsOf(
  options: OptimizeMixtureOptions,
  prior: Float64Array,
  nUnits: number,
): MixtureBounds {
  const { domains, budgetTokens, maxEpochs, min, kl = 0 } = options;
  const outside = kl > 0 ? domains.filter((_, at) => prior[at] === 0) : [];
  const max = { ...options.max, ...Object.fromEntries(outside.map(({ name }) => [name, 0])) };
  return mixtureBounds({ domains, budgetTokens, maxEpochs, min, max, nUnits });
}

function offsetTargets(
  { targets, relativeToPrior = false }: OptimizeMixtureOptions,
  prior: Float64Array,
): readonly ObjectiveTarget[] {
  if (!relativeToPrior) return targets;
  return targets.map((target) => ({ ...target, offset: target.surrogate.predict(prior).mean[0]! }));
}

function bestOf(
  sampled: MixtureTable | undefined,
  objective: MixtureObjective,
  forecast: (weights: Float64Array) => MixtureForecast,
): MixtureProposal['bestSampled'] {
  if (sampled === undefined) return null;
  const values = objective.values(sampled.weights);
  const best = values.indexOf(values.reduce((least, value) => Math.min(least, value)));
  const { nDomains } = objective;
  const weights = sampled.weights.slice(best * nDomains, (best + 1) * nDomains);
  return { id: sampled.ids[best]!, ...forecast(weights) };
}

function finiteKl(weights: Float64Array, prior: Float64Array): number | null {
  let sum = 0;
  for (const [at, weight] of weights.entries()) {
    if (weight > 0) sum += weight * Math.log(weight / prior[at]!);
  }
  return Number.isFinite(sum) ? sum : null;
}

function checkSampled({ sampled, domains }: OptimizeMixtureOptions): void {
  if (sampled === undefined) return;
  const wanted = domains.map(({ name }) => name);
  const isSame = sampled.domains.join('\n') === wanted.join('\n') && sampled.ids.length > 0;
  if (isSame && sampled.weights.length === wanted.length * sampled.ids.length) return;
  throw new GristmillError('OPTION_INVALID', {
    option: 'sampled',
    expected: `rows of the domains ${wanted.join(', ')}`,
    received: `${sampled.ids.length} rows of ${sampled.domains.join(', ')}`,
  });
}

function withDefaults(options: OptimizeMixtureOptions) {
  const { nDraws, nAveraged, hullTolerance, nUnits, nStarts } = {
    ...OPTIMIZE_MIXTURE_DEFAULTS,
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  } as typeof OPTIMIZE_MIXTURE_DEFAULTS;
  for (const [option, value] of Object.entries({ nDraws, nAveraged, nUnits, nStarts })) {
    if (Number.isSafeInteger(value) && value >= 1 && value <= 1e8) continue;
    const expected = 'a whole number of 1..1e8';
    throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
  }
  if (!(hullTolerance >= 0)) {
    const expected = 'a number of at least 0';
    throw new GristmillError('OPTION_INVALID', {
      option: 'hullTolerance',
      expected,
      received: hullTolerance,
    });
  }
  return { nDraws, nAveraged, hullTolerance, nUnits, nStarts };
}
