/**
 * Which checkpoint came from which, and what a model had seen at each.
 *
 * Stages form a tree: each starts from the end of another one, or from the last step before its anneal. Counts follow a
 * checkpoint's own way; what a stage saw behind its constant phase is not on the way of those that start from there.
 */

import { Counts, own } from '../../own.ts';
import { sequencesBefore } from '../../schedules/batch-size.ts';
import type { TokenStore } from '../../tokens/token-store.ts';
import { countsUpTo } from '../plan/counts.ts';
import type { CheckpointName, ContinualPlan, PlanStage } from '../plan/types.ts';
import { type SeenSequences, StageData } from './stage-data.ts';
import type { StageLosses } from './stage-loop.ts';

/** Tokens of a dataset on a checkpoint's way. */
export interface SeenTokens {
  readonly newTokens: number;
  readonly replayedTokens: number;
}

/** A checkpoint, as lineage.json has it. */
export interface Checkpoint {
  /** `<stage>/<kind>`. */
  readonly id: string;
  readonly stage: string;
  readonly kind: CheckpointName;
  /** Steps of the stage that are made. */
  readonly step: number;
  /** Id of the checkpoint that its stage started from; null for the first weights. */
  readonly parent: string | null;
  /** Relative to the run's folder; the file of `model.from` for a stage made elsewhere. */
  readonly file: string;
  readonly sha256: string;
  /** Its size; runs of earlier versions do not say. */
  readonly bytes?: number;
  /** What `merged` is made of: steps of the stage, and the weight of each. */
  readonly of?: readonly { readonly step: number; readonly weight: number }[];
  /** By dataset. */
  readonly seen: Readonly<Record<string, SeenTokens>>;
  /** By validation set, nats a token; null for a stage made elsewhere. */
  readonly losses: StageLosses | null;
}

/** Sequences by dataset on the way to a checkpoint. */
export interface LineageCounts {
  /** New ones. */
  readonly seen: SeenSequences;
  readonly replayed: SeenSequences;
  /** Of `seen`, those of stages that were made elsewhere. */
  readonly elsewhere: SeenSequences;
}

const NOTHING: LineageCounts = { seen: {}, replayed: {}, elsewhere: {} };

/** Id of a checkpoint. */
export function checkpointId(stage: Pick<PlanStage, 'name'>, kind: CheckpointName): string {
  return `${stage.name}/${kind}`;
}

/** The counts of a plan over a store. */
export class Lineage {
  readonly #plan: ContinualPlan;
  readonly #data: readonly (StageData | null)[];
  readonly #starts: readonly LineageCounts[];

  /**
   * Counts every stage, so that what does not suffice is said before anything is trained.
   *
   * @throws CONTINUAL_DATA_TOO_SMALL, CONTINUAL_REPLAY_TOO_SMALL, OPTION_INVALID
   */
  constructor(plan: ContinualPlan, store: TokenStore) {
    const starts: LineageCounts[] = [];
    const data: (StageData | null)[] = [];
    this.#plan = plan;
    this.#starts = starts;
    this.#data = data;
    for (const stage of plan.stages) {
      const start = stage.from ? this.at(stage.from.stage, stage.from.checkpoint) : NOTHING;
      starts.push(start);
      data.push(stage.done ? null : new StageData({ plan, stage, store, ...start }));
    }
  }

  /** At the start of a stage. */
  start(stage: number): LineageCounts {
    return this.#starts[stage]!;
  }

  /** The sequences of a stage; null where it was made elsewhere. */
  data(stage: number): StageData | null {
    return this.#data[stage]!;
  }

  /** At a checkpoint of a stage. */
  at(index: number, kind: CheckpointName): LineageCounts {
    const stage = this.#plan.stages[index]!;
    const step = stepOf(stage, kind);
    const counts =
      this.#data[index]?.countsBefore(sequencesBefore(stage, this.#plan.sequencesPerStep, step)) ??
      countsUpTo(stage, step).map(({ nSequences, ...source }) => ({
        ...source,
        count: nSequences,
      }));
    const start = this.#starts[index]!;
    const seen = new Counts(start.seen);
    const replayed = new Counts(start.replayed);
    const elsewhere = new Counts(start.elsewhere);
    for (const { dataset, kind: source, count } of counts) {
      const added = source === 'replay' ? [replayed] : stage.done ? [seen, elsewhere] : [seen];
      for (const each of added) each.add(dataset, count);
    }
    return {
      seen: seen.toObject(),
      replayed: replayed.toObject(),
      elsewhere: elsewhere.toObject(),
    };
  }

  /** Tokens by dataset at a checkpoint of a stage, in the order of names. */
  tokensAt(index: number, kind: CheckpointName): Record<string, SeenTokens> {
    const { seen, replayed } = this.at(index, kind);
    const { nCtx } = this.#plan;
    const names = [...new Set([...Object.keys(seen), ...Object.keys(replayed)])].sort();
    return Object.fromEntries(
      names.map((name) => [
        name,
        {
          newTokens: (own(seen, name) ?? 0) * nCtx,
          replayedTokens: (own(replayed, name) ?? 0) * nCtx,
        },
      ]),
    );
  }
}

/** Steps of a stage at one of its checkpoints. */
export function stepOf(stage: PlanStage, kind: CheckpointName): number {
  return kind === 'constant' ? stage.constantStep! : stage.nSteps;
}
