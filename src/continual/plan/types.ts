/**
 * A plan with everything decided: what resolvePlan() makes of a configuration, `continue plan` prints, `continue run`
 * carries out and the exporters write down.
 *
 * A sequence is `nCtx` tokens; counts are exact, because the blend is a function of weights and position
 * (tokens/blend.ts: each source has its share to less than one sequence after every step).
 */
import type { BatchRun } from '../../schedules/batch-size.ts';
import type { LrCurve } from '../../schedules/curve.ts';
import type { DecayShape, ScheduleSpec } from '../../schedules/spec.ts';

/** Where a stage's sequences come from. */
export interface PlanSource {
  readonly dataset: string;
  /** `replay`: only sequences that were seen on the way to this stage. */
  readonly kind: 'new' | 'replay';
  /** Share within its segment; they sum to 1. */
  readonly weight: number;
  readonly nSequences: number;
  readonly nTokens: number;
}

/** Steps of a stage under one blend: `firstStep <= step < endStep`, counted from 0. */
export interface PlanSegment {
  readonly firstStep: number;
  readonly endStep: number;
  readonly sources: readonly PlanSource[];
}

/** How replayed sequences are chosen. */
export interface PlanReplay {
  /** Of the stage's sequences, 0..1; the tokens of the stage stay what they are (compute-equivalent replay). */
  readonly share: number;
  readonly order: 'original' | 'reshuffled';
  readonly seed: number;
  readonly offset: number;
}

/** A checkpoint that a stage leaves behind: its end, the last step before the anneal, or what its last ones are merged into. */
export type CheckpointName = 'annealed' | 'constant' | 'merged';

/** Checkpoints that are merged instead of a decay. */
export interface PlanMerge {
  /** The decay that the weights stand for; see schedules/merge-weights.ts. */
  readonly shape: DecayShape;
  /** Share of the rate that it ends at. */
  readonly end: number;
  readonly timescale: number | null;
  /** Steps between two checkpoints. */
  readonly every: number;
  /** Steps of the stage behind which they lie, the last one its end. */
  readonly steps: readonly number[];
  /** Of each, 0 or more; they sum to 1. */
  readonly weights: readonly number[];
}

/** A stage. */
export interface PlanStage {
  readonly index: number;
  readonly name: string;
  /** Made elsewhere: nothing is run. */
  readonly done: boolean;
  readonly nSteps: number;
  readonly nSequences: number;
  readonly nTokens: number;
  readonly schedule: ScheduleSpec;
  readonly curve: LrCurve;
  /** Steps by the size of their batches; null where all are of the plan's. */
  readonly batches?: readonly BatchRun[] | null;
  /** Index of the stage it starts from and which of its checkpoints; null for the first weights. */
  readonly from: { readonly stage: number; readonly checkpoint: CheckpointName } | null;
  readonly optimizer: 'reset' | 'keep';
  /** Steps after which the checkpoint `constant` is kept; null where the curve has no constant phase in front of its last descent. */
  readonly constantStep: number | null;
  /** Null where nothing is merged: then the model of the stage is its end. */
  readonly merge: PlanMerge | null;
  readonly segments: readonly PlanSegment[];
  readonly replay: PlanReplay | null;
  readonly maxEpochs: number;
  /** Tokens of each dataset that the model has seen when the stage ends, on its own lineage. */
  readonly seenTokens: Readonly<Record<string, number>>;
}

/** A plan. */
export interface ContinualPlan {
  readonly name: string;
  readonly seed: number;
  readonly nCtx: number;
  readonly sequencesPerStep: number;
  readonly tokensPerStep: number;
  /** λ of AdamW. */
  readonly weightDecay: number;
  readonly stages: readonly PlanStage[];
  readonly totals: {
    /** Of all stages that are run. */
    readonly tokens: number;
    /** Of training anew on everything at every stage that is run (the union of all data up to it). */
    readonly retrainTokens: number;
    /** `tokens / retrainTokens`. */
    readonly computeRatio: number;
  };
  /** What is legal and unwise, in words. */
  readonly notes: readonly string[];
}
