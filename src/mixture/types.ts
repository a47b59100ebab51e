/**
 * The vocabulary of mixtures: domains, tables of runs, surrogates. Types only.
 *
 * A mixture is a point of the simplex: one weight a domain, 0..1, summing to 1. A run is a mixture with the losses that a
 * model trained on it reached. All tables are row-major `Float64Array`s (RegMix, arXiv 2407.01492 §3).
 */

/** Mixtures of the same domains. */
export interface MixtureTable {
  /** Column names, `nDomains` of them, distinct. */
  readonly domains: readonly string[];
  /** Names of the rows, distinct: the `index` column of a file. */
  readonly ids: readonly string[];
  /** `[nMixtures × nDomains]`, each row summing to 1. */
  readonly weights: Float64Array;
}

/** Losses of runs; nats a token unless the caller says otherwise. */
export interface LossTable {
  /** Column names, `nTargets` of them, distinct. */
  readonly targets: readonly string[];
  readonly ids: readonly string[];
  /** `[nRuns × nTargets]`, finite. */
  readonly losses: Float64Array;
  /** Where the table has them; epochs are of {@link LossTable.epochDomains}. */
  readonly scales?: RunScales | undefined;
  /** Short names of the domains that epochs are of. */
  readonly epochDomains?: readonly string[] | undefined;
}

/** Size and tokens of runs, `[nRuns]` each. */
export interface RunScales {
  /** Parameters of the models. */
  readonly params: Float64Array;
  /** Tokens they were trained on. */
  readonly tokens: Float64Array;
  /** `[nRuns × nDomains]`: how often each domain was seen; null where it is not known. */
  readonly epochs: Float64Array | null;
}

/** Runs joined on their ids. */
export interface RunTable {
  readonly domains: readonly string[];
  readonly targets: readonly string[];
  readonly ids: readonly string[];
  /** `[nRuns × nDomains]`. */
  readonly weights: Float64Array;
  /** `[nRuns × nTargets]`. */
  readonly losses: Float64Array;
  /** Where the table has them. */
  readonly scales?: RunScales | undefined;
}

/** Rows of one target, as a surrogate is fitted on them. */
export interface SurrogateData {
  readonly nRuns: number;
  readonly nDomains: number;
  /** `[nRuns × nDomains]`, row-major. */
  readonly weights: Float64Array;
  /** `[nRuns]`. */
  readonly losses: Float64Array;
}

/** Predictions for mixtures of one target. */
export interface Prediction {
  /** `[nMixtures]`. */
  readonly mean: Float64Array;
  /** Standard deviation of a new run's loss, `[nMixtures]`; null where the surrogate has no idea of it. */
  readonly deviation: Float64Array | null;
}

/** A fitted surrogate of one target. Plain data behind it: {@link FittedSurrogate.toJson} and its family's `fromJson`. */
export interface FittedSurrogate {
  readonly family: SurrogateFamilyName;
  readonly nDomains: number;
  /** What its deviations were multiplied by, so that they hold; 1 without it. */
  readonly deviationScale?: number;
  /** @param weights `[nMixtures × nDomains]`, row-major */
  predict(weights: Float64Array): Prediction;
  /**
   * Gradient of the mean by the weights at one mixture, `[nDomains]`; null where the surrogate has none (trees).
   *
   * @param weights `[nDomains]`
   */
  gradient(weights: Float64Array): Float64Array | null;
  /** What `JSON.stringify` can write: numbers, strings, arrays, objects. Predictions after reading are bit-equal. */
  toJson(): unknown;
}

/**
 * Names of the families. `ensemble` is the plain mean of gp, power1, power2 and gbdt; `scale` is fitted to runs of several sizes
 * and token counts (`src/mixture/scale`).
 */
export type SurrogateFamilyName =
  | 'ridge'
  | 'gbdt'
  | 'mixing-law'
  | 'power1'
  | 'power2'
  | 'gp'
  | 'ensemble'
  | 'scale';

/** Options that every family takes. */
export interface FitOptions {
  /** Of starts and folds. Default 0: the same data and seed give the same bytes. */
  readonly seed?: number;
  /** Deviations without a scale of their own: for fits in folds, which another one's scale is put on. Default false. */
  readonly unscaled?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A family of surrogates. */
export interface SurrogateFamily {
  readonly name: SurrogateFamilyName;
  /** Fewest runs that it can be fitted on, for so many domains. */
  minRuns(nDomains: number): number;
  /** Fits one target. @throws MIXTURE_DATA_TOO_SMALL, ABORTED */
  fit(data: SurrogateData, options?: FitOptions): Promise<FittedSurrogate>;
  /** Reads what {@link FittedSurrogate.toJson} gave. @throws MIXTURE_FIT_INVALID */
  fromJson(json: unknown): FittedSurrogate;
}
