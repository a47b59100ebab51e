/** Types of fits over size and tokens. */

/** Where a loss is asked for. */
export interface Scale {
  /** Parameters of the model. */
  readonly params: number;
  /** Tokens that it is trained on. */
  readonly tokens: number;
  /** Tokens that there are of each domain, by domain; what is seen more often counts less. Default: as many as are needed. */
  readonly available?: readonly (number | null)[] | undefined;
}

/** Runs without their losses. */
export interface ScaleRows {
  readonly nRuns: number;
  readonly nDomains: number;
  /** `[nRuns × nDomains]`. */
  readonly weights: Float64Array;
  /** The same, with what repetition takes off (repetition.ts); `weights` themselves where nothing is repeated. */
  readonly dataWeights: Float64Array;
  /** Parameters of the models, in units that make them about 1, `[nRuns]`. */
  readonly params: Float64Array;
  /** Tokens that they were trained on, in units that make them about 1, `[nRuns]`. */
  readonly tokens: Float64Array;
}

/** Smallest and largest sizes and tokens of runs. */
export interface ScaleRange {
  readonly params: readonly [least: number, most: number];
  readonly tokens: readonly [least: number, most: number];
}

/** One law of an ensemble, and how much it counts. */
export interface ScaleMember {
  readonly form: 'additive' | 'product' | 'capacity';
  /** 0..1; the members' sum to 1. */
  readonly weight: number;
  /** Logarithms. */
  readonly parameters: Float64Array;
}

/** Deviations of the logarithm of a loss. Squares add up, and with them the mean square of how far the laws are apart. */
export interface ScaleDeviation {
  /** Between the runs. */
  readonly inside: number;
  /** For each unit of distance beyond the runs, see `distanceFrom`. */
  readonly byDistance: number;
}

/** How well runs of a block are predicted by fits without them. */
export interface BlockReport {
  /** What was left out, in words. */
  readonly block: string;
  readonly nRuns: number;
  /** Mean relative error of each law alone and of the ensemble, mean over the targets. */
  readonly errors: Readonly<Record<string, number>>;
  /** Share of the 90 % intervals that hold the loss, after calibration. */
  readonly covered: number;
}

/** What is known of a fit over scales. */
export interface ScaleReport {
  readonly range: ScaleRange;
  readonly nSizes: number;
  /** R of repetition.ts; null where no run repeats. */
  readonly repeatWorth: number | null;
  readonly blocks: readonly BlockReport[];
}
