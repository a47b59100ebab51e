/** What blends for other trainers are made of. Types only. */

/** A domain of a blend. */
export interface BlendEntry {
  /** Distinct. */
  readonly name: string;
  /** 0 or more; all of them sum to 1. */
  readonly weight: number;
  /** Where its data lie, in the trainer's own form: a prefix, a folder, a file or a glob. */
  readonly path: string;
  /** Sequences of it that are trained on, where a plan counts them. */
  readonly nSequences?: number;
  /** Tokens that there are of it, where that is known. */
  readonly tokens?: number | undefined;
}

/** Steps that a blend is for. */
export interface BlendSizes {
  readonly nSteps: number;
  readonly sequencesPerStep: number;
  readonly nCtx: number;
  /** How often a sequence may be seen. */
  readonly maxEpochs: number;
}
