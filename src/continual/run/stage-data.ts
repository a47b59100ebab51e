/**
 * The sequences of a stage: a pure function of (plan, store, what was seen before, position).
 *
 * A dataset has one order of its sequences in an epoch, drawn from (the plan's seed, its name, the epoch); new data go on
 * in it where the lineage left off, so that none is seen twice before all were. What was seen of a dataset is therefore
 * a count: the first so many positions of that order. Replay takes from these, each at most once in a stage, in the
 * order they were seen or in one drawn from (the replay's seed, the name), from `offset` on and around the end.
 *
 * Sources are blended within each segment by exact quotas (tokens/blend.ts).
 *
 * @see arXiv 2403.08763, section 4.1 (compute-equivalent replay)
 */
import { GristmillError } from '../../errors.ts';
import { Counts, own } from '../../own.ts';
import { sequencesBefore } from '../../schedules/batch-size.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import { Blend, seedOf } from '../../tokens/blend.ts';
import { sequencesOf } from '../../tokens/store-batches.ts';
import { SequenceOrder } from '../../tokens/token-data.ts';
import type { TokenStore } from '../../tokens/token-store.ts';
import { shortfallText } from '../plan/resolve.ts';
import type { ContinualPlan, PlanReplay, PlanSegment, PlanStage } from '../plan/types.ts';

/**
 * New sequences of each dataset that a model was trained on, over its whole lineage; above the dataset's size where it
 * was seen more than once. Replayed sequences do not count: they were seen before.
 */
export type SeenSequences = Readonly<Record<string, number>>;

/** A sequence of a stage. */
export interface StageSequence {
  /** Of the store. */
  readonly domain: number;
  /** 0..nSequences-1 of the domain: tokens `sequence · nCtx` and on. */
  readonly sequence: number;
  readonly kind: 'new' | 'replay';
}

/** Options of {@link StageData}. */
export interface StageDataOptions {
  readonly plan: Pick<ContinualPlan, 'seed' | 'nCtx' | 'sequencesPerStep'>;
  readonly stage: PlanStage;
  /** With a domain for every dataset. */
  readonly store: TokenStore;
  /** At the stage's start. */
  readonly seen: SeenSequences;
  /** Of these, what stages saw that were made elsewhere: it is there for replay, and counts for no epoch. Default none. */
  readonly elsewhere?: SeenSequences;
}

/** A source that is replayed, as a manifest has it. */
export interface ReplayedSource {
  readonly dataset: string;
  /** Distinct sequences of it that were seen before. */
  readonly nSeen: number;
  /** In the order of the replay, `[nReplayed]`. */
  readonly sequences: Int32Array;
}

interface Segment {
  readonly firstPosition: number;
  readonly endPosition: number;
  readonly blend: Blend;
  /** Of each source: how many of it the segments in front take. */
  readonly before: Float64Array;
  readonly sources: readonly Source[];
}

/** A dataset as new or as replayed data; the same object in all segments. */
interface Source {
  readonly dataset: string;
  readonly domain: number;
  readonly kind: 'new' | 'replay';
  at(index: number): number;
}

/** See the file's header. */
export class StageData {
  readonly nPositions: number;
  readonly #stage: PlanStage;
  readonly #seen: SeenSequences;
  readonly #segments: readonly Segment[];
  /** Positions in front of a step. */
  readonly #before: (step: number) => number;
  readonly #replays = new Map<string, ReplayedSource>();

  /**
   * @throws CONTINUAL_DATA_TOO_SMALL for new data that would be seen more than `maxEpochs` times or fill no sequence,
   *   CONTINUAL_REPLAY_TOO_SMALL, OPTION_INVALID for a dataset that the store has not
   */
  constructor({ plan, stage, store, seen, elsewhere = {} }: StageDataOptions) {
    const { nCtx, seed, sequencesPerStep } = plan;
    this.#stage = stage;
    this.#seen = seen;
    const before = (step: number): number => sequencesBefore(stage, sequencesPerStep, step);
    this.#before = before;
    this.nPositions = before(stage.nSteps);
    const totals = totalsOf(stage.segments, before);
    const sources = new Map<string, Source>();
    for (const [key, { dataset, kind, count }] of totals) {
      const domain = domainOf(store, dataset, stage.name);
      const nSequences = sequencesOf(store, domain, nCtx);
      const order = new SequenceOrder(nSequences, seedOf(seed, dataset));
      const nBefore = own(seen, dataset) ?? 0;
      const nSeen = Math.min(nBefore, nSequences);
      const facts = { stage: stage.name, dataset, unit: `sequences of ${nCtx} tokens` };
      if (kind === 'new') {
        const { maxEpochs } = stage;
        const needed = nBefore - (own(elsewhere, dataset) ?? 0) + count;
        if (count > 0 && needed > maxEpochs * nSequences) {
          const { unit } = facts;
          throw new GristmillError('CONTINUAL_DATA_TOO_SMALL', {
            ...{ stage: stage.name, dataset },
            shortfall: shortfallText(needed, nSequences, { unit, maxEpochs }),
          });
        }
        sources.set(key, {
          dataset,
          domain,
          kind,
          at: (index) => order.at(nBefore + index, 1)[0]!,
        });
        continue;
      }
      if (count > nSeen) {
        const details = { ...facts, needed: count, available: nSeen };
        throw new GristmillError('CONTINUAL_REPLAY_TOO_SMALL', details);
      }
      const eligible = replayOrder(order, nSeen, dataset, stage.replay);
      this.#replays.set(dataset, { dataset, nSeen, sequences: eligible.slice(0, count) });
      sources.set(key, { dataset, domain, kind, at: (index) => eligible[index]! });
    }
    this.#segments = segmentsOf(stage.segments, before, sources);
  }

  /** Replayed sources, by name. */
  get replays(): readonly ReplayedSource[] {
    return [...this.#replays.values()].sort((left, right) =>
      left.dataset < right.dataset ? -1 : 1,
    );
  }

  /** The sequences at positions `first .. first + count - 1` of the stage, in `0..nPositions`. */
  at(first: number, count: number): StageSequence[] {
    const found: StageSequence[] = [];
    for (const { firstPosition, endPosition, blend, before, sources } of this.#segments) {
      const from = Math.max(first, firstPosition);
      const end = Math.min(first + count, endPosition);
      if (from >= end) continue;
      for (const { domain: source, index } of blend.at(from - firstPosition, end - from)) {
        const { domain, kind, at } = sources[source]!;
        found.push({ domain, kind, sequence: at(before[source]! + index) });
      }
    }
    return found;
  }

  /** What was seen in front of a position, the lineage included. */
  seenBefore(position: number): SeenSequences {
    const seen = new Counts(this.#seen);
    for (const { dataset, kind, count } of this.countsBefore(position)) {
      if (kind === 'new') seen.add(dataset, count);
    }
    return seen.toObject();
  }

  /** Sequences of each source of the stage in front of a position. */
  countsBefore(
    position: number,
  ): { readonly dataset: string; readonly kind: 'new' | 'replay'; readonly count: number }[] {
    return [...totalsOf(this.#stage.segments, this.#before, position).values()];
  }
}

/** Sequences of each source in a stage, or in front of a position of it. */
function totalsOf(
  segments: readonly PlanSegment[],
  before: (step: number) => number,
  position = Number.POSITIVE_INFINITY,
) {
  const totals = new Map<
    string,
    { readonly dataset: string; readonly kind: 'new' | 'replay'; readonly count: number }
  >();
  for (const segment of segments) {
    const first = before(segment.firstStep);
    const end = Math.min(before(segment.endStep), position);
    const counts = blendOf(segment).countsBefore(Math.max(0, end - first));
    for (const [source, { dataset, kind }] of segment.sources.entries()) {
      const key = keyOf(kind, dataset);
      const count = (totals.get(key)?.count ?? 0) + counts[source]!;
      totals.set(key, { dataset, kind, count });
    }
  }
  return totals;
}

function segmentsOf(
  segments: readonly PlanSegment[],
  positionOf: (step: number) => number,
  sources: ReadonlyMap<string, Source>,
): Segment[] {
  const taken = new Map<string, number>();
  return segments.map((segment) => {
    const firstPosition = positionOf(segment.firstStep);
    const endPosition = positionOf(segment.endStep);
    const blend = blendOf(segment);
    const counts = blend.countsBefore(endPosition - firstPosition);
    const keys = segment.sources.map(({ kind, dataset }) => keyOf(kind, dataset));
    const before = Float64Array.from(keys, (key) => taken.get(key) ?? 0);
    for (const [source, key] of keys.entries()) taken.set(key, before[source]! + counts[source]!);
    return {
      firstPosition,
      endPosition,
      blend,
      before,
      sources: keys.map((key) => sources.get(key)!),
    };
  });
}

function blendOf({ sources }: PlanSegment): Blend {
  return new Blend({ weights: sources.map(({ weight }) => weight), kind: 'exact', seed: 0 });
}

function keyOf(kind: string, dataset: string): string {
  return `${kind} ${dataset}`;
}

/** A dataset without a document is no domain of a store. */
function domainOf({ index }: TokenStore, dataset: string, stage: string): number {
  const domain = index.domains.findIndex(({ name }) => name === dataset);
  if (domain >= 0) return domain;
  const shortfall = 'has no document';
  throw new GristmillError('CONTINUAL_DATA_TOO_SMALL', { stage, dataset, shortfall });
}

/** What was seen of a dataset, as it is replayed. */
function replayOrder(
  order: SequenceOrder,
  nSeen: number,
  dataset: string,
  replay: PlanReplay | null,
): Int32Array {
  const seen = Int32Array.from(order.at(0, nSeen));
  if (replay?.order === 'reshuffled') shuffle(seen, seededRandom(seedOf(replay.seed, dataset)));
  const offset = nSeen === 0 ? 0 : (replay?.offset ?? 0) % nSeen;
  return Int32Array.from(seen, (_, index) => seen[(index + offset) % nSeen]!);
}
