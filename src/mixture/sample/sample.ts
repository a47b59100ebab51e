/**
 * Mixtures to train proxies on: one call for every way of choosing them.
 */
import { GristmillError } from '../../errors.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  listOf,
  number,
  type OptionTable,
  text,
} from '../../options.ts';
import type { OnProgress } from '../../progress.ts';
import { checkDomains, type DomainSpec, priorOf } from '../domains.ts';
import { unitsToWeights } from '../simplex.ts';
import type { FittedSurrogate, MixtureTable } from '../types.ts';
import { type ActiveDesign, drawActive } from './active.ts';
import { type DesignedRun, type DesignScale, drawActiveScales } from './active-scales.ts';
import { mixtureBounds } from './bounds.ts';
import { type Draws, drawPublished, type PublishedSettings, SAMPLER_PRESETS } from './published.ts';
import { drawSpaceFilling, smallestDistance } from './space-filling.ts';

/** Ways to choose mixtures; see docs of the files beside this one. */
export const SAMPLE_WAYS = ['regmix', 'regmix-paper', 'space-filling', 'active'] as const;
/** A way of {@link SAMPLE_WAYS}. */
export type SampleWay = (typeof SAMPLE_WAYS)[number];

/** Options of {@link sampleMixtures}. */
export interface SampleMixturesOptions {
  readonly domains: readonly DomainSpec[];
  /** Mixtures, 1..100,000. */
  readonly n: number;
  /** Default `regmix`. */
  readonly way?: SampleWay | undefined;
  /** Changes of the preset's settings; `regmix` and `regmix-paper` only. */
  readonly settings?: Partial<PublishedSettings> | undefined;
  /** Tokens of the run that the mixtures are for; with it, epoch caps. */
  readonly budgetTokens?: number | undefined;
  readonly maxEpochs?: number | undefined;
  readonly min?: Readonly<Record<string, number>> | undefined;
  readonly max?: Readonly<Record<string, number>> | undefined;
  /** Weights are multiples of 1/nUnits. Default: the preset's; 5000 for `space-filling` and `active`. */
  readonly nUnits?: number | undefined;
  /** Fitted targets: `active` asks them. */
  readonly targets?: readonly { readonly name: string; readonly surrogate: FittedSurrogate }[];
  /** Fits of model `scale`: `active` chooses sizes and tokens among `scales` too, for what is to be known `at` another. */
  readonly scales?: readonly DesignScale[] | undefined;
  readonly at?: DesignScale | undefined;
  /** Mixtures there are already: `space-filling` keeps away from them, `active` takes them as running. */
  readonly existing?: MixtureTable | undefined;
  /** Default 42. */
  readonly seed?: number | undefined;
  /** Told how many draws, or chosen mixtures, there are. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Mixtures and how they came about. */
export interface SampledMixtures extends MixtureTable {
  readonly way: SampleWay;
  readonly seed: number;
  /** `[nMixtures × nDomains]`: weights are `units / nUnits`; each row's units sum to nUnits exactly. */
  readonly units: Int32Array;
  readonly nUnits: number;
  /** Of the published sampler. */
  readonly counts: Draws['counts'] | null;
  /** Of active designs: uncertainty before and after, by target. */
  readonly deviations: ActiveDesign['deviations'] | null;
  /** Of active designs over scales: size, tokens, compute and gain of each row. */
  readonly design: readonly Omit<DesignedRun, 'units'>[] | null;
  /** Smallest Hellinger distance between two of the mixtures, 0..1; null for more than 2000. */
  readonly smallestDistance: number | null;
  /** Share of zero weights, mean number of domains that count (exp of the entropy), mean largest weight. */
  readonly statistics: {
    readonly zeros: number;
    readonly effectiveDomains: number;
    readonly largestWeight: number;
  };
}

/** The grid of designs that have no preset. */
const DESIGN_UNITS = 5000;

const OPTION_TABLE: OptionTable<SampleMixturesOptions> = {
  domains: listOf(anObject),
  n: number,
  way: text,
  settings: anObject,
  budgetTokens: number,
  maxEpochs: number,
  min: anObject,
  max: anObject,
  nUnits: number,
  targets: listOf(anObject),
  scales: listOf(anObject, 1),
  at: anObject,
  existing: anObject,
  seed: number,
  onProgress: callback,
  signal: abortSignal,
};

/**
 * Chooses mixtures; their ids are `1`, `2`, ….
 *
 * @throws OPTION_INVALID, MIXTURE_DOMAINS_INVALID, MIXTURE_BOUNDS_INFEASIBLE, MIXTURE_SAMPLE_FAILED, ABORTED
 * @see RegMix, arXiv 2407.01492 §3.1
 */
export async function sampleMixtures(options: SampleMixturesOptions): Promise<SampledMixtures> {
  checkOptions<SampleMixturesOptions>('sampleMixtures', options, OPTION_TABLE, ['domains', 'n']);
  const { n, way = 'regmix', seed = 42 } = options;
  checkWhole('n', n, 100_000);
  const domains = checkDomains(options.domains);
  const prior = priorOf(domains);
  const names = domains.map(({ name }) => name);
  checkExisting(options, names);
  const { rows, nUnits, counts, deviations, design } = await draw(options, prior, way, seed);
  const units = new Int32Array(n * names.length);
  for (const [row, own] of rows.entries()) units.set(own, row * names.length);
  return {
    ...{ domains: names, way, seed, units, nUnits, counts, deviations, design },
    ids: rows.map((_, row) => String(row + 1)),
    weights: unitsToWeights(units, nUnits),
    smallestDistance: n > 1 && n <= 2000 ? smallestDistance(rows, nUnits) : null,
    statistics: statisticsOf(rows, nUnits),
  };
}

interface Drawn {
  readonly rows: readonly Int32Array[];
  readonly nUnits: number;
  readonly counts: Draws['counts'] | null;
  readonly deviations: ActiveDesign['deviations'] | null;
  readonly design: SampledMixtures['design'];
}

async function draw(
  options: SampleMixturesOptions,
  prior: Float64Array,
  way: SampleWay,
  seed: number,
): Promise<Drawn> {
  const { n, domains, budgetTokens, maxEpochs, min, max, signal, onProgress } = options;
  if (!SAMPLE_WAYS.includes(way)) throw bad('way', `one of ${SAMPLE_WAYS.join(', ')}`, way);
  const isPublished = way === 'regmix' || way === 'regmix-paper';
  const nUnits =
    options.nUnits ??
    options.settings?.nUnits ??
    (isPublished ? SAMPLER_PRESETS[way].nUnits : DESIGN_UNITS);
  checkWhole('nUnits', nUnits, 1e8);
  const bounds = mixtureBounds({ domains, budgetTokens, maxEpochs, min, max, nUnits });
  if (isPublished) {
    const settings = { ...SAMPLER_PRESETS[way], ...options.settings, nUnits };
    checkSettings(settings);
    return {
      ...(await drawPublished({ n, prior, bounds, settings, seed, signal, onProgress })),
      deviations: null,
      design: null,
    };
  }
  if (options.settings !== undefined) throw bad('settings', 'a published preset', way);
  const existing = rowsOf(options.existing);
  const common = { n, prior, bounds, nUnits, seed, signal, onProgress };
  if (way === 'space-filling') {
    const rows = await drawSpaceFilling({ ...common, existing });
    return { rows, nUnits, counts: null, deviations: null, design: null };
  }
  const { targets = [] } = options;
  if (targets.length === 0) throw bad('targets', 'a fit, for an active design', 'none');
  const other = targets.find(({ surrogate }) => surrogate.nDomains !== prior.length);
  if (other) throw bad('targets', `fits of ${prior.length} domains`, other.surrogate.nDomains);
  const { at, scales } = options;
  if ((at === undefined) !== (scales === undefined)) {
    throw bad('at', 'scales to choose among beside it, and it beside them', 'one of both');
  }
  if (at === undefined || scales === undefined) {
    const chosen = await drawActive({ ...common, targets, pending: existing });
    return { ...chosen, nUnits, counts: null, design: null };
  }
  for (const { params, tokens } of [at, ...scales]) {
    if (params > 0 && tokens > 0 && Number.isFinite(params * tokens)) continue;
    throw bad('scales', 'params and tokens above 0', `params ${params}, tokens ${tokens}`);
  }
  if (existing.length > 0) {
    throw bad('existing', 'nothing, in a design over scales', 'mixtures without a size');
  }
  const { runs, deviations } = await drawActiveScales({ ...common, targets, at, scales });
  return {
    rows: runs.map(({ units }) => units),
    ...{ nUnits, counts: null, deviations },
    design: runs.map(({ units: _units, ...run }) => run),
  };
}

function rowsOf(table: MixtureTable | undefined): Float64Array[] {
  if (table === undefined) return [];
  const nDomains = table.domains.length;
  return table.ids.map((_, row) => table.weights.slice(row * nDomains, (row + 1) * nDomains));
}

function statisticsOf(rows: readonly Int32Array[], nUnits: number): SampledMixtures['statistics'] {
  let nZeros = 0;
  let effective = 0;
  let largest = 0;
  for (const row of rows) {
    let entropy = 0;
    for (const unit of row) {
      if (unit === 0) nZeros++;
      else entropy -= (unit / nUnits) * Math.log(unit / nUnits);
    }
    effective += Math.exp(entropy);
    largest += Math.max(...row) / nUnits;
  }
  const nRows = rows.length;
  return {
    zeros: nZeros / nRows / rows[0]!.length,
    effectiveDomains: effective / nRows,
    largestWeight: largest / nRows,
  };
}

function checkExisting({ existing }: SampleMixturesOptions, names: readonly string[]): void {
  if (existing === undefined || existing.domains.join('\n') === names.join('\n')) return;
  throw bad('existing', `mixtures of ${names.join(', ')}`, existing.domains.join(', '));
}

function checkSettings(settings: PublishedSettings): void {
  const { temperature, minStrength, maxStrength, maxUsage, minWeight, dedupeDistance } = settings;
  checkWhole('nStrengths', settings.nStrengths, 10_000);
  checkWhole('multiplier', settings.multiplier, 1_000_000);
  const isOff =
    !(temperature > 0 && temperature <= 1 && minStrength > 0 && maxStrength >= minStrength) ||
    !(maxUsage > 0 && minWeight >= 0 && minWeight < 1 && dedupeDistance >= 0);
  if (!isOff) return;
  const expected =
    'temperature in 0..1, 0 < minStrength ≤ maxStrength, maxUsage above 0, minWeight in 0..1, dedupeDistance at least 0';
  throw bad('settings', expected, JSON.stringify(settings));
}

function checkWhole(option: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return;
  throw bad(option, `a whole number of 1..${most}`, value);
}

function bad(option: string, expected: string, received: unknown): GristmillError {
  return new GristmillError('OPTION_INVALID', { option, expected, received });
}
