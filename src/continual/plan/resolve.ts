/**
 * From a written plan to one with everything decided: steps, curves, blends, exact counts, what was seen on the way.
 *
 * Replay is compute-equivalent: it takes its share of a stage's sequences from the new data, and the tokens of the stage
 * stay what they are. Without `replay.from` it is split over all datasets seen on the way to the stage, in proportion to
 * tokens seen of each, replays included (arXiv 2403.08763; derived from the weights in its experiment files):
 *
 *     Pile 300B, then splits of SlimPajama of 100B with 5 %     behind the 1st: Pile 305, SP1 95
 *     stage 2   Pile 305/400 · 5 = 3.8125        SP1 95/400 · 5 = 1.1875
 *     stage 3   Pile 308.8125/500 · 5 = 3.088125 SP1 96.1875/500 · 5 = 0.961875  SP2 95/500 · 5 = 0.95
 *
 * The rule takes tokens as they are written, not as whole steps hold them (rounded down), so that weights do not depend on
 * the batch; what was seen (`seenTokens`) is counted exactly. Only a stage's own way counts: one that starts from a
 * constant-phase checkpoint has not seen what its parent saw in the anneal.
 */
import { GristmillError, printable } from '../../errors.ts';
import { type BatchRun, batchRuns, sequencesBefore } from '../../schedules/batch-size.ts';
import { type LrCurve, lrCurve } from '../../schedules/curve.ts';
import type { ScheduleSpec } from '../../schedules/spec.ts';
import type { PlanConfig, StageConfig } from './config.ts';
import { countsUpTo, sequenceCounts } from './counts.ts';
import { planMerge } from './merge.ts';
import { notesOf } from './notes.ts';
import { filledSchedule, type PlanRates, PRESETS, type Preset, ratesOf } from './presets.ts';
import { type SeenData, seenAfter } from './seen.ts';
import { segmentSteps, type Until } from './segments.ts';
import type {
  CheckpointName,
  ContinualPlan,
  PlanReplay,
  PlanSegment,
  PlanSource,
  PlanStage,
} from './types.ts';

/** Options of {@link resolvePlan}. */
export interface ResolvePlanOptions {
  /** Named in errors. Default `the plan`. */
  readonly file?: string;
  /** Tokens to train on of each dataset, where they are known better than `datasets.*.tokens` says. */
  readonly available?: Readonly<Record<string, number>>;
}

/** A stage and what resolving others needs of it. */
interface Resolved {
  readonly stage: PlanStage;
  readonly nominalTokens: number;
  /** On the way to its start. */
  readonly seenBefore: SeenData;
  readonly tokensBefore: number;
}

/** Share, dataset, new or not. */
type Weighted = Pick<PlanSource, 'dataset' | 'kind' | 'weight'>;

/**
 * Decides everything about a plan.
 *
 * @throws CONTINUAL_PLAN_INVALID naming stage, key, value and bound; SCHEDULE_INVALID; CONTINUAL_DATA_TOO_SMALL and
 *   CONTINUAL_REPLAY_TOO_SMALL where the sizes of datasets are known
 * @see arXiv 2403.08763, section 5
 */
export function resolvePlan(
  config: PlanConfig,
  { file = 'the plan', available = {} }: ResolvePlanOptions = {},
): ContinualPlan {
  const resolver = new Resolver(config, file, available);
  for (const stage of config.stages) resolver.add(stage);
  return resolver.plan();
}

class Resolver {
  readonly #config: PlanConfig;
  readonly #file: string;
  readonly #available: ReadonlyMap<string, number>;
  readonly #preset: Preset | null;
  readonly #sequencesPerStep: number;
  readonly #tokensPerStep: number;
  readonly #resolved: Resolved[] = [];

  constructor(config: PlanConfig, file: string, available: Readonly<Record<string, number>>) {
    this.#config = config;
    this.#file = file;
    this.#preset = config.preset ? PRESETS[config.preset] : null;
    const { nSeq, nCtx, accumulate } = config.batch;
    this.#sequencesPerStep = nSeq * accumulate;
    this.#tokensPerStep = this.#sequencesPerStep * nCtx;
    if (!Number.isSafeInteger(this.#tokensPerStep)) {
      this.#refuse(`batch: ${this.#tokensPerStep} tokens a step, at most 2^53 - 1 can be counted`);
    }
    this.#available = new Map(
      Object.entries(config.datasets).flatMap(([name, { tokens }]) => {
        const known = Object.hasOwn(available, name) ? available[name] : tokens;
        return known === undefined ? [] : [[name, Math.floor(known / nCtx)]];
      }),
    );
    if (config.rates) this.#checkRates(config.rates);
  }

  add(stage: StageConfig): void {
    const index = this.#resolved.length;
    const refuse = (reason: string): never => this.#refuse(`stage ${stage.name}: ${reason}`);
    if (this.#resolved.some(({ stage: { name } }) => name === stage.name)) {
      refuse('name: there is another stage of that name');
    }
    const from = this.#startOf(stage, index, refuse);
    this.#checkDone(stage, from, refuse);
    const parent = from && this.#resolved[from.stage]!;
    const nominalTokens = this.#nominalTokens(stage, refuse);
    const batches = this.#batchesOf(stage, nominalTokens, refuse);
    const nSteps =
      batches?.at(-1)?.endStep ?? stage.steps ?? Math.floor(nominalTokens / this.#tokensPerStep);
    if (nSteps < 1) {
      refuse(
        `tokens: ${nominalTokens} are less than a step, which is ${this.#tokensPerStep} of them`,
      );
    }
    const nSequences = sequencesBefore({ batches }, this.#sequencesPerStep, nSteps);
    const nTokens = nSequences * this.#config.batch.nCtx;
    if (!Number.isSafeInteger(nTokens)) {
      refuse(`tokens: ${nTokens} of them, at most 2^53 - 1 can be counted`);
    }
    const schedule = stage.schedule ?? this.#presetSchedule(parent, refuse);
    const curve = lrCurve(
      schedule,
      { totalSteps: nSteps, tokensPerStep: nTokens / nSteps },
      `plan ${this.#file}: stage ${stage.name}: schedule`,
    );
    const seenBefore = this.#seenAt(from);
    const blends = this.#blendsOf(stage, from !== null, refuse);
    const replay = this.#replayOf(stage, index, seenBefore, blends, refuse);
    const replayed = replay ? this.#replaySources(stage, replay.share, seenBefore, refuse) : [];
    const ranges = segmentSteps(
      blends.map(({ until }) => until),
      curve,
      nSteps,
      refuse,
    );
    const segments = blends.map(({ weights }, part) =>
      this.#segmentOf(withReplay(weights, replayed, replay?.share ?? 0), ranges[part]!, batches),
    );
    const bare = {
      index,
      name: stage.name,
      done: stage.done,
      ...{ nSteps, nSequences, nTokens, schedule, curve, batches, from, segments, replay },
      optimizer: this.#optimizerOf(stage, from, refuse),
      merge: planMerge(stage, nSteps, nTokens / nSteps, refuse),
      constantStep: constantStepOf(curve),
      maxEpochs: stage.maxEpochs ?? 1,
      seenTokens: {},
    } satisfies PlanStage;
    const seen = seenAfter(seenBefore, bare, nSteps, nominalTokens);
    if (!stage.done) this.#checkSizes(bare, seenBefore, seen);
    const seenTokens = Object.fromEntries(
      [...seen].map(([name, { nSequences: count }]) => [name, count * this.#config.batch.nCtx]),
    );
    const tokensBefore = parent
      ? parent.tokensBefore +
        this.#config.batch.nCtx *
          sequencesBefore(parent.stage, this.#sequencesPerStep, this.#stepsTaken(from))
      : 0;
    this.#resolved.push({
      stage: { ...bare, seenTokens },
      ...{ nominalTokens, seenBefore, tokensBefore },
    });
  }

  plan(): ContinualPlan {
    const { name, seed, batch, stages: written } = this.#config;
    const stages = this.#resolved.map(({ stage }) => stage);
    const isRun = this.#resolved.filter(({ stage }) => !stage.done);
    if (isRun.length === 0) this.#refuse('stages: all are done; nothing is left to run');
    const tokens = isRun.reduce((sum, { stage }) => sum + stage.nTokens, 0);
    const retrainTokens = isRun.reduce(
      (sum, { stage, tokensBefore }) => sum + tokensBefore + stage.nTokens,
      0,
    );
    const plan = {
      ...{ name, seed, stages },
      nCtx: batch.nCtx,
      sequencesPerStep: this.#sequencesPerStep,
      tokensPerStep: this.#tokensPerStep,
      weightDecay: this.#config.optimizer.weightDecay,
      totals: { tokens, retrainTokens, computeRatio: tokens / retrainTokens },
      notes: [],
    } satisfies ContinualPlan;
    const notes = notesOf(plan, {
      preset: this.#config.preset ?? null,
      writtenTokens: written.map(({ tokens: count }) => count ?? null),
      datasets: Object.keys(this.#config.datasets),
    });
    return { ...plan, notes };
  }

  #startOf(
    stage: StageConfig,
    index: number,
    refuse: (reason: string) => never,
  ): PlanStage['from'] {
    const { start } = stage;
    if (index === 0) {
      if (start) refuse('start: it is the first stage, which starts from the first weights');
      return null;
    }
    const name = start?.stage;
    const at =
      name === undefined
        ? index - 1
        : this.#resolved.findIndex(({ stage: { name: other } }) => other === name);
    if (at < 0) {
      const known = this.#resolved.map(({ stage: { name: other } }) => other).join(', ');
      refuse(`start.stage: no stage ${name} in front of it; those are: ${known}`);
    }
    const parent = this.#resolved[at]!.stage;
    const checkpoint: CheckpointName = start?.checkpoint ?? this.#preset?.start ?? 'annealed';
    if (checkpoint === 'merged' && !parent.merge) {
      refuse(`start: merged, but ${name ?? parent.name} merges nothing; give it a merge`);
    }
    if (checkpoint === 'constant' && parent.constantStep === null) {
      const hint = start
        ? parent.curve.phases.at(-1)!.name === 'constant'
          ? 'in front of a descent; its end is its constant phase, so write annealed'
          : 'start from its end (annealed)'
        : `the preset ${this.#config.preset} starts there; give the stage another start, or ${parent.name} another schedule`;
      refuse(
        `start: constant, but the schedule of ${parent.name} (${parent.schedule.kind}) has no constant phase; ${hint}`,
      );
    }
    return { stage: at, checkpoint };
  }

  /** Merged weights have no moments. */
  #optimizerOf(
    { optimizer }: StageConfig,
    from: PlanStage['from'],
    refuse: (reason: string) => never,
  ): PlanStage['optimizer'] {
    if (from?.checkpoint !== 'merged') return optimizer ?? this.#preset?.optimizer ?? 'reset';
    if (optimizer === 'keep')
      refuse('optimizer: keep, but it starts from merged weights, which have none');
    return 'reset';
  }

  /** Stages that are done are in front, and the weights that were given are those of one checkpoint. */
  #checkDone(
    { done }: StageConfig,
    from: PlanStage['from'],
    refuse: (reason: string) => never,
  ): void {
    const before = this.#resolved.map(({ stage }) => stage);
    const lastDone = before.findLast((stage) => stage.done);
    if (done) {
      const run = before.find((stage) => !stage.done);
      if (run) refuse(`done: stages that are done come first, but ${run.name} in front is not`);
      if (!this.#config.model || !('from' in this.#config.model)) {
        refuse('done: model.from is needed beside it, the weights that were made');
      }
      return;
    }
    const parent = from && before[from.stage]!;
    if (!parent?.done) return;
    if (parent !== lastDone) {
      refuse(
        `start.stage: ${parent.name} is done, but model.from holds the weights of ${lastDone!.name}, the last stage that is`,
      );
    }
    const other = before.find(
      (stage) =>
        !stage.done &&
        stage.from?.stage === parent.index &&
        stage.from.checkpoint !== from!.checkpoint,
    );
    if (other) {
      refuse(
        `start: ${from!.checkpoint} of ${parent.name}, but ${other.name} starts from its other checkpoint, and model.from is one of them`,
      );
    }
  }

  #nominalTokens({ tokens, steps }: StageConfig, refuse: (reason: string) => never): number {
    if ((tokens === undefined) === (steps === undefined)) {
      const received = tokens === undefined ? 'neither' : `tokens ${tokens} and steps ${steps}`;
      refuse(`tokens: expected one of tokens and steps, received ${received}`);
    }
    return tokens ?? steps! * this.#tokensPerStep;
  }

  /** Runs of batch sizes; null where there is one size. */
  #batchesOf(
    { batchSize, tokens, schedule, done }: StageConfig,
    nominalTokens: number,
    refuse: (reason: string) => never,
  ): PlanStage['batches'] & (readonly BatchRun[] | null) {
    if (!batchSize) return null;
    if (done) refuse('batchSize: the stage is done, its batches were made');
    if (tokens === undefined) {
      refuse('batchSize: give the stage tokens, as steps of several sizes do not say how many');
    }
    if (schedule?.kind === 'power') {
      refuse('batchSize: the schedule power counts tokens by steps of one size');
    }
    const { nSeq, nCtx } = this.#config.batch;
    const runs = batchRuns(batchSize, {
      nSequences: Math.floor(nominalTokens / nCtx),
      fullBatch: this.#sequencesPerStep,
      microBatch: nSeq,
      nCtx,
    });
    if (runs.length === 0) {
      refuse(`tokens: ${nominalTokens} are less than a step of its first batch size`);
    }
    return runs;
  }

  #presetSchedule(parent: Resolved | null, refuse: (reason: string) => never): ScheduleSpec {
    const preset = this.#preset;
    if (!preset) return refuse('schedule: missing; give it one, or give the plan a preset');
    const known = this.#ratesFor(parent);
    return filledSchedule(parent ? preset.later : preset.first, known, (rate) =>
      refuse(
        `schedule: the preset ${this.#config.preset} needs ${rate}, but ${
          parent
            ? `the schedule of ${parent.stage.name} (${parent.stage.schedule.kind}) gives none`
            : 'no stage is in front of it'
        }; give the stage a schedule, or the plan \`rates\``,
      ),
    );
  }

  #ratesFor(parent: Resolved | null): PlanRates {
    const { rates } = this.#config;
    if (!rates) {
      return parent
        ? ratesOf(parent.stage.curve)
        : { peakLr: null, constantLr: null, minLr: null, lastLr: null };
    }
    const { peakLr, minLr = peakLr / 10 } = rates;
    const lastLr = parent ? ratesOf(parent.stage.curve).lastLr : null;
    return { peakLr, minLr, constantLr: rates.constantLr ?? (peakLr + minLr) / 2, lastLr };
  }

  #checkRates({ peakLr, minLr, constantLr }: NonNullable<PlanConfig['rates']>): void {
    const low = minLr ?? peakLr / 10;
    if (low > peakLr) this.#refuse(`rates.minLr: ${low} is above peakLr ${peakLr}`);
    if (constantLr !== undefined && (constantLr < low || constantLr > peakLr)) {
      this.#refuse(`rates.constantLr: ${constantLr} is not in ${low}..${peakLr}`);
    }
  }

  /** The stage's own blends, each summing to 1. */
  #blendsOf(
    { data }: StageConfig,
    isLater: boolean,
    refuse: (reason: string) => never,
  ): { readonly weights: Weighted[]; readonly until: Until | undefined }[] {
    const parts = Array.isArray(data) ? data : [{ data }];
    const inTwo = isLater && parts.length === 2 ? (this.#preset?.until ?? undefined) : undefined;
    return parts.map((part, at) => {
      const key = Array.isArray(data) ? `data.${at}.data` : 'data';
      const until: Until | undefined = 'until' in part ? part.until : undefined;
      return {
        weights: this.#sharesOf(part.data, key, refuse).map(([dataset, weight]) => ({
          ...{ dataset, weight },
          kind: 'new',
        })),
        until: until ?? (at === 0 ? inTwo : undefined),
      };
    });
  }

  /** Weights by dataset, normalised; those of 0 left out. */
  #sharesOf(
    weights: Readonly<Record<string, number>>,
    key: string,
    refuse: (reason: string) => never,
  ): (readonly [dataset: string, share: number])[] {
    const entries = Object.entries(weights);
    const { datasets } = this.#config;
    const unknown = entries.find(([name]) => !Object.hasOwn(datasets, name));
    if (unknown) {
      refuse(
        `${key}: no dataset ${unknown[0]}; those are: ${printable(Object.keys(datasets).join(', '))}`,
      );
    }
    const sum = entries.reduce((total, [, weight]) => total + weight, 0);
    if (!(sum > 0 && Number.isFinite(sum))) {
      refuse(`${key}: the weights sum to ${sum}, expected more than 0`);
    }
    return entries.flatMap(([name, weight]) => (weight > 0 ? [[name, weight / sum]] : []));
  }

  #replayOf(
    { replay }: StageConfig,
    index: number,
    seen: SeenData,
    blends: readonly { readonly weights: readonly Weighted[] }[],
    refuse: (reason: string) => never,
  ): PlanReplay | null {
    if (index === 0) {
      if (replay && replay.share > 0) {
        refuse(`replay: ${replay.share}, but nothing was seen before the first stage`);
      }
      return null;
    }
    const own = new Set(blends.flatMap(({ weights }) => weights.map(({ dataset }) => dataset)));
    const leavesOut = [...seen.keys()].some((name) => !own.has(name));
    const share = replay?.share ?? (leavesOut ? (this.#preset?.replay ?? 0) : 0);
    if (share === 0) return null;
    const { order = 'original', seed, offset = 0 } = replay && 'order' in replay ? replay : {};
    return { share, order, seed: seed ?? this.#config.seed, offset };
  }

  #replaySources(
    { replay, name }: StageConfig,
    share: number,
    seen: SeenData,
    refuse: (reason: string) => never,
  ): Weighted[] {
    const from = replay && 'from' in replay ? replay.from : undefined;
    if (from) {
      return this.#sharesOf(from, 'replay.from', refuse).map(([dataset, weight]) => {
        if (!seen.has(dataset)) {
          const known = [...seen.keys()].join(', ');
          refuse(`replay.from: ${dataset} was not seen on the way to ${name}; seen: ${known}`);
        }
        return { dataset, kind: 'replay', weight: weight * share };
      });
    }
    const total = [...seen.values()].reduce((sum, { nominalTokens }) => sum + nominalTokens, 0);
    return [...seen].map(([dataset, { nominalTokens }]) => ({
      dataset,
      kind: 'replay',
      weight: (nominalTokens / total) * share,
    }));
  }

  #segmentOf(
    sources: readonly Weighted[],
    range: { readonly firstStep: number; readonly endStep: number },
    batches: PlanStage['batches'],
  ): PlanSegment {
    const before = (step: number): number =>
      sequencesBefore({ batches: batches ?? null }, this.#sequencesPerStep, step);
    const nSequences = before(range.endStep) - before(range.firstStep);
    const counts = sequenceCounts(
      sources.map(({ weight }) => weight),
      nSequences,
    );
    return {
      ...range,
      sources: sources.map((source, at) => ({
        ...source,
        nSequences: counts[at]!,
        nTokens: counts[at]! * this.#config.batch.nCtx,
      })),
    };
  }

  #stepsTaken(from: PlanStage['from']): number {
    if (!from) return 0;
    const { stage } = this.#resolved[from.stage]!;
    return from.checkpoint === 'constant' ? stage.constantStep! : stage.nSteps;
  }

  #seenAt(from: PlanStage['from']): SeenData {
    if (!from) return new Map();
    const { stage, seenBefore, nominalTokens } = this.#resolved[from.stage]!;
    return seenAfter(seenBefore, stage, this.#stepsTaken(from), nominalTokens);
  }

  /** New data are read on where the way to the stage has left them; replay reads each sequence once. */
  #checkSizes(stage: PlanStage, before: SeenData, after: SeenData): void {
    const { nCtx } = this.#config.batch;
    const { maxEpochs } = stage;
    for (const [dataset, { nNewRun }] of after) {
      const there = this.#available.get(dataset);
      if (there === undefined || nNewRun <= Math.floor(there * maxEpochs)) continue;
      if (nNewRun === (before.get(dataset)?.nNewRun ?? 0)) continue;
      throw new GristmillError('CONTINUAL_DATA_TOO_SMALL', {
        ...{ stage: stage.name, dataset },
        shortfall: shortfallText(nNewRun * nCtx, there * nCtx, { unit: 'tokens', maxEpochs }),
      });
    }
    for (const { dataset, kind, nSequences } of countsUpTo(stage, stage.nSteps)) {
      if (kind === 'new') continue;
      const once = before.get(dataset)?.nNew ?? 0;
      const there = Math.min(once, this.#available.get(dataset) ?? once);
      if (nSequences <= there) continue;
      throw new GristmillError('CONTINUAL_REPLAY_TOO_SMALL', {
        ...{ stage: stage.name, dataset },
        needed: nSequences * nCtx,
        available: there * nCtx,
        unit: 'tokens',
      });
    }
  }

  #refuse(reason: string): never {
    throw new GristmillError('CONTINUAL_PLAN_INVALID', { file: this.#file, reason });
  }
}

/** How a dataset is too small. */
export function shortfallText(
  needed: number,
  available: number,
  { unit, maxEpochs }: { readonly unit: string; readonly maxEpochs: number },
): string {
  return `is needed for ${needed} ${unit}, but ${available} are there in at most ${maxEpochs} epochs`;
}

/** A blend with replay in it; what has no share is left out. */
function withReplay(
  own: readonly Weighted[],
  replayed: readonly Weighted[],
  share: number,
): Weighted[] {
  return [
    ...own.map((source) => ({ ...source, weight: source.weight * (1 - share) })),
    ...replayed,
  ].filter(({ weight }) => weight > 0);
}

/** A constant-phase checkpoint needs a step; a curve that never anneals has only its end. */
function constantStepOf(curve: LrCurve): number | null {
  const step = curve.lastConstantStep;
  return step !== null && step >= 1 ? step : null;
}
