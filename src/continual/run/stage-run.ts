/**
 * One stage in its folder, so that it survives a kill at any moment: what is made again is made the same.
 *
 *     losses.jsonl    a line for every step and every measurement
 *     replay.json     which sequences were replayed, where any were
 *     step-N.ckpt     weights, moments and step while it is trained: the last one, and the one before it as long as no
 *                     step was made from the last
 *     constant.ckpt   at the last step before the anneal, where the schedule has one
 *     annealed.ckpt   at the end
 *     merge-N.gguf    weights that wait to be merged, where the stage has a merge
 *     merged.gguf     what they are merged into, in float32: a checkpoint without moments
 *     loss.svg, .png  the way
 *     model.gguf      the model at the end; of a stage with a merge, the merged one
 *     stage.json      the record; written last, so that the stage is finished when it is there
 *
 * A checkpoint is written behind the records that belong to it, `constant` in front of any later one. It is good when a
 * step could be made from it: weights that a step with a finite loss has ruined are found by the next one.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pngOf } from '../../charts/png.ts';
import { readLedgerJson, writeDurably } from '../../durable-files.ts';
import { GristmillError, isGristmillError } from '../../errors.ts';
import { makeFolder } from '../../local-path.ts';
import { mergeModels } from '../../model/merge/merge.ts';
import { hashOf } from '../../same-run.ts';
import type { ValidationSet } from '../../tokens/store-batches.ts';
import type { TokenStore } from '../../tokens/token-store.ts';
import { markIn, RecordLog, type RecordMark } from '../../train/record-log.ts';
import { modelFault } from '../../train/run-folder.ts';
import type { Trainer } from '../../train/trainer.ts';
import type { Lease } from '../../work/lease.ts';
import type { ContinualPlan, PlanMerge, PlanStage } from '../plan/types.ts';
import { stageFigure } from './figure.ts';
import { type Checkpoint, checkpointId, type Lineage, stepOf } from './lineage.ts';
import { measureSets, type StageLosses, type StageRecord, trainStage } from './stage-loop.ts';

/** A finished stage, as stage.json has it. */
export interface StageSummary {
  readonly stage: string;
  readonly index: number;
  readonly steps: number;
  readonly tokens: number;
  /** Id of the checkpoint it started from; null for the first weights. */
  readonly parent: string | null;
  readonly optimizer: 'reset' | 'keep';
  /** What its sequences were. */
  readonly sources: readonly {
    readonly dataset: string;
    readonly kind: 'new' | 'replay';
    readonly sequences: number;
    readonly tokens: number;
  }[];
  /** By validation set, nats a token: at the start, where the checkpoint `constant` was kept, at the end. */
  readonly losses: {
    readonly start: StageLosses;
    readonly constant: StageLosses | null;
    readonly annealed: StageLosses;
    /** Of what was merged; null where nothing is. */
    readonly merged: StageLosses | null;
  };
  /** By validation set: the loss of the stage's model less that of the parent; above 0 what was forgotten. Null for the first stage. */
  readonly forgetting: StageLosses | null;
  readonly checkpoints: readonly Checkpoint[];
}

/** Options of {@link runStage}. */
export interface RunStageOptions {
  /** Folder of the run. */
  readonly out: string;
  readonly plan: ContinualPlan;
  readonly stage: PlanStage;
  readonly store: TokenStore;
  readonly lineage: Lineage;
  readonly validation: readonly ValidationSet[];
  readonly evalEvery: number;
  readonly lease: Lease;
  readonly checkpointEvery: number;
  /** GGUF file with the tokenizer, for the model that is exported. */
  readonly tokenizerPath: string;
  /** Opens a trainer with the first weights. */
  readonly open: () => Promise<Trainer>;
  readonly onRecord?: (record: StageRecord, tokensPerSecond: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a stage's last checkpoints are merged into, in its folder. */
const MERGED = 'merged.gguf';

/** Weights that wait to be merged. */
function mergeName(step: number): string {
  return `merge-${step}.gguf`;
}

function mergedOf({ steps, weights }: PlanMerge): NonNullable<Checkpoint['of']> {
  return steps.map((step, at) => ({ step, weight: weights[at]! }));
}

/** Folder of a stage, relative to the run's. */
export function stageFolder({ index, name }: PlanStage): string {
  return `stages/${String(index).padStart(2, '0')}-${name}`;
}

/**
 * The record of a stage that is finished, or null; null too where its model was cut, damaged or removed since, and its
 * last checkpoint is there to make it again from.
 *
 * @param onNotice told of a model that has to be made again
 * @throws RUN_LEDGER_INVALID for a damaged record; TRAIN_CHECKPOINT_INVALID for a checkpoint of another size than it had
 */
export async function finishedStage(
  out: string,
  stage: PlanStage,
  onNotice?: (line: string) => void,
): Promise<StageSummary | null> {
  const folder = join(out, stageFolder(stage));
  const file = join(folder, 'stage.json');
  if (!existsSync(file)) return null;
  const summary = readLedgerJson(file) as StageSummary;
  for (const { file: name, bytes } of summary.checkpoints) checkSize(join(out, name), bytes);
  const model = join(folder, 'model.gguf');
  const fault = await modelFault(model);
  if (fault === null || !existsSync(join(folder, 'annealed.ckpt'))) return summary;
  onNotice?.(`${fault}: it is made again from the checkpoint`);
  return null;
}

/** A checkpoint that was removed may not be needed any more; one that is there must be whole. */
function checkSize(path: string, bytes: number | undefined): void {
  if (bytes === undefined || !existsSync(path)) return;
  const found = statSync(path).size;
  if (found === bytes) return;
  const reason = `it has ${found} bytes, ${bytes} were written; without the folder of its stage, and those behind it, the stage is trained again`;
  throw new GristmillError('TRAIN_CHECKPOINT_INVALID', { path, reason });
}

/**
 * Trains a stage, or goes on with it.
 *
 * @returns null when the signal ended it; the same call goes on
 * @throws CONTINUAL_DIVERGED, TRAIN_*, Error of the file system
 */
export async function runStage(options: RunStageOptions): Promise<StageSummary | null> {
  return new StageRun(options).execute();
}

interface SavedStep {
  readonly step: number;
  /** In the stage's folder. */
  readonly name: string;
}

class StageRun {
  readonly #options: RunStageOptions;
  readonly #folder: string;
  readonly #log: RecordLog<StageRecord>;
  /** Checkpoints of the stage on the disk, the last one last. */
  readonly #saved: SavedStep[] = [];

  constructor(options: RunStageOptions) {
    this.#options = options;
    this.#folder = stageFolder(options.stage);
    makeFolder(join(options.out, this.#folder), 'CONTINUAL_WRITE_FAILED');
    this.#log = new RecordLog(this.#path('losses.jsonl'));
  }

  async execute(): Promise<StageSummary | null> {
    const { plan, stage, store, lineage, validation, evalEvery, signal } = this.#options;
    this.#writeManifest();
    await using trainer = await this.#options.open();
    const { fromStep, mark } = await this.#restore(trainer);
    this.#log.resumeAt(fromStep, mark);
    try {
      const { step } = await trainStage({
        ...{ plan, stage, store, trainer, validation, evalEvery, fromStep, signal },
        ...lineage.start(stage.index),
        onRecord: (record, tokensPerSecond) => {
          this.#log.add(record);
          this.#options.onRecord?.(record, tokensPerSecond);
        },
        onStep: (made) => this.#afterStep(trainer, made),
      });
      if (step === stage.nSteps) return await this.#finish(trainer);
      if (step > 0) await this.#saveStep(trainer, step);
      await this.#draw();
      return null;
    } catch (error) {
      if (!isGristmillError(error, 'TRAIN_NON_FINITE')) throw error;
      await this.#draw();
      throw this.#diverged(error);
    }
  }

  async #afterStep(trainer: Trainer, step: number): Promise<void> {
    const { stage, checkpointEvery } = this.#options;
    if (stage.merge?.steps.includes(step)) await this.#saveWeights(trainer, step);
    if (step === stage.constantStep) await this.#save(trainer, 'constant.ckpt', step);
    if (step === stage.nSteps) await this.#save(trainer, 'annealed.ckpt', step);
    else if (checkpointEvery > 0 && step > 0 && step % checkpointEvery === 0) {
      await this.#saveStep(trainer, step);
    }
  }

  async #saveStep(trainer: Trainer, step: number): Promise<void> {
    await this.#save(trainer, `step-${step}.ckpt`, step);
    const own = this.#saved.filter(({ name }) => name.startsWith('step-'));
    for (const older of own.slice(0, -2)) this.#remove(older);
  }

  async #save(trainer: Trainer, name: string, step: number): Promise<void> {
    this.#options.lease.check();
    this.#log.sync();
    const state = JSON.stringify({
      stage: this.#options.stage.name,
      step,
      records: this.#log.mark(),
    });
    await trainer.saveCheckpoint(this.#path(name), state);
    const known = this.#saved.findIndex((saved) => saved.name === name);
    if (known >= 0) this.#saved.splice(known, 1);
    this.#saved.push({ step, name });
  }

  /** Weights alone, to be merged: a third of a checkpoint, and what is forgotten with the merge. */
  async #saveWeights(trainer: Trainer, step: number): Promise<void> {
    this.#options.lease.check();
    await this.#export(trainer, mergeName(step), 'f32');
  }

  async #export(trainer: Trainer, name: string, type: 'f32' | 'bf16'): Promise<void> {
    const { plan, stage, tokenizerPath } = this.#options;
    await trainer.exportGguf({
      ...{ path: this.#path(name), type, tokenizerPath, nCtx: plan.nCtx },
      name: `${plan.name}: ${stage.name}`,
    });
  }

  #remove(saved: SavedStep): void {
    rmSync(this.#path(saved.name), { force: true });
    this.#saved.splice(this.#saved.indexOf(saved), 1);
  }

  /** Weights of the stage's own last checkpoint, else those that it starts from. @returns steps that are made */
  async #restore(
    trainer: Trainer,
  ): Promise<{ readonly fromStep: number; readonly mark: RecordMark | null }> {
    const { out, plan, stage } = this.#options;
    for (const name of readdirSync(join(out, this.#folder))) {
      // What a kill has left half written.
      if (/\.(partial|tmp)$/.test(name)) rmSync(this.#path(name));
      const found = /^(?:step-(\d+)|constant|annealed)\.ckpt$/.exec(name);
      if (!found) continue;
      const kept = name === 'annealed.ckpt' ? stage.nSteps : stage.constantStep;
      const step = found[1] === undefined ? kept : Number(found[1]);
      if (step !== null) this.#saved.push({ step, name });
    }
    this.#saved.sort((left, right) => left.step - right.step);
    const lastWhole = await this.#lastMergeable();
    for (const saved of [...this.#saved]) if (saved.step > lastWhole) this.#remove(saved);
    const last = this.#saved.at(-1);
    if (last) {
      const { state } = await trainer.loadCheckpoint(this.#path(last.name));
      return { fromStep: last.step, mark: markIn(state) };
    }
    if (!stage.from) return { fromStep: 0, mark: null };
    const parent = plan.stages[stage.from.stage]!;
    if (!parent.done) {
      const from = join(out, stageFolder(parent));
      if (stage.from.checkpoint === 'merged') await trainer.importGguf(join(from, MERGED));
      else await trainer.loadCheckpoint(join(from, `${stage.from.checkpoint}.ckpt`));
      if (stage.optimizer === 'reset') await trainer.resetOptimizer();
    }
    return { fromStep: 0, mark: null };
  }

  /** The last step that may be gone on from: in front of the first weights that are to be merged and are not there. */
  async #lastMergeable(): Promise<number> {
    const { merge } = this.#options.stage;
    if (!merge || (await modelFault(this.#path(MERGED))) === null) return Number.POSITIVE_INFINITY;
    const last = this.#saved.at(-1)?.step ?? 0;
    for (const step of merge.steps) {
      if (step > last) break;
      if ((await modelFault(this.#path(mergeName(step)))) !== null) return step - 1;
    }
    return Number.POSITIVE_INFINITY;
  }

  async #finish(trainer: Trainer): Promise<StageSummary> {
    const { stage, lease } = this.#options;
    lease.check();
    const merged = stage.merge && (await this.#merge(trainer, stage.merge));
    await this.#export(trainer, 'model.gguf', 'bf16');
    await this.#draw();
    for (const saved of [...this.#saved]) if (saved.name.startsWith('step-')) this.#remove(saved);
    for (const step of stage.merge?.steps ?? [])
      rmSync(this.#path(mergeName(step)), { force: true });
    const summary = await this.#summary(merged);
    writeDurably(this.#path('stage.json'), `${JSON.stringify(summary, null, 2)}\n`);
    return summary;
  }

  /** Merges, and takes the result into the trainer. @returns its losses */
  async #merge(trainer: Trainer, { steps, weights }: PlanMerge): Promise<StageLosses> {
    const { stage, plan, validation } = this.#options;
    const out = this.#path(MERGED);
    if ((await modelFault(out)) !== null) {
      const inputs = steps.map((step) => this.#path(mergeName(step)));
      await mergeModels({ inputs, out, weights, name: `${plan.name}: ${stage.name}, merged` });
    }
    await trainer.importGguf(out);
    return measureSets(trainer, validation, stage.nSteps);
  }

  async #summary(merged: StageLosses | null): Promise<StageSummary> {
    const { plan, stage, lineage } = this.#options;
    const start = this.#lossesAt(0);
    const annealed = this.#lossesAt(stage.nSteps);
    const constant = stage.constantStep === null ? null : this.#lossesAt(stage.constantStep);
    const parent = stage.from
      ? checkpointId(plan.stages[stage.from.stage]!, stage.from.checkpoint)
      : null;
    const checkpoints: Checkpoint[] = [];
    for (const [kind, losses] of [
      ['constant', constant],
      ['annealed', annealed],
      ['merged', merged],
    ] as const) {
      if (!losses) continue;
      const file = `${this.#folder}/${kind === 'merged' ? MERGED : `${kind}.ckpt`}`;
      checkpoints.push({
        id: checkpointId(stage, kind),
        stage: stage.name,
        kind,
        step: stepOf(stage, kind),
        parent,
        file,
        sha256: await hashOf(join(this.#options.out, file)),
        bytes: statSync(join(this.#options.out, file)).size,
        ...(kind === 'merged' && { of: mergedOf(stage.merge!) }),
        seen: lineage.tokensAt(stage.index, kind),
        losses,
      });
    }
    return {
      stage: stage.name,
      index: stage.index,
      steps: stage.nSteps,
      tokens: stage.nTokens,
      parent,
      optimizer: stage.optimizer,
      sources: lineage
        .data(stage.index)!
        .countsBefore(stage.nSequences)
        .map(({ dataset, kind, count }) => {
          return { dataset, kind, sequences: count, tokens: count * plan.nCtx };
        }),
      losses: { start, constant, annealed, merged },
      forgetting:
        stage.from &&
        Object.fromEntries(
          Object.entries(merged ?? annealed).map(([set, loss]) => [set, loss - start[set]!]),
        ),
      checkpoints,
    };
  }

  /** Which sequences are replayed: enough to make the stage's data again, from the store that its hash names. */
  #writeManifest(): void {
    const { plan, stage, store, lineage } = this.#options;
    const replays = lineage.data(stage.index)!.replays;
    if (replays.length === 0) return;
    const manifest = {
      stage: stage.name,
      store: store.sha256,
      nCtx: plan.nCtx,
      /** Of the datasets' own order. */
      planSeed: plan.seed,
      ...stage.replay,
      sources: replays.map(({ dataset, nSeen, sequences }) => ({
        dataset,
        nSeen,
        nReplayed: sequences.length,
        nTokens: sequences.length * plan.nCtx,
        sha256: createHash('sha256')
          .update(Buffer.from(sequences.buffer, sequences.byteOffset, sequences.byteLength))
          .digest('hex'),
        sequences: [...sequences],
      })),
    };
    writeDurably(this.#path('replay.json'), `${JSON.stringify(manifest)}\n`);
  }

  async #draw(): Promise<void> {
    const { plan, stage } = this.#options;
    const svg = await stageFigure(`${plan.name}, ${stage.name}`, this.#log.records);
    writeDurably(this.#path('loss.svg'), svg);
    writeDurably(this.#path('loss.png'), await pngOf(svg));
  }

  #lossesAt(step: number): StageLosses {
    return this.#log.records.find((one) => one.step === step && one.validation)?.validation ?? {};
  }

  /** Names the last checkpoint that a step was made from; those that none was made from are no place to go on from. */
  #diverged(error: GristmillError): GristmillError {
    const { plan, stage } = this.#options;
    const { loss, gradNorm } = error.details;
    // The trainer counts steps of the stages before, where the optimizer was kept.
    const nMade = this.#log.records.findLast((record) => record.loss !== undefined)?.step ?? 0;
    const step = nMade + 1;
    for (const saved of [...this.#saved]) {
      if (saved.step === nMade && saved.step > 0) this.#remove(saved);
    }
    const last = this.#saved.at(-1);
    const parent = stage.from && plan.stages[stage.from.stage]!;
    const start = !parent
      ? 'the first weights'
      : parent.done
        ? 'the given weights'
        : `${stageFolder(parent)}/${stage.from!.checkpoint === 'merged' ? MERGED : `${stage.from!.checkpoint}.ckpt`}`;
    const details = {
      stage: stage.name,
      ...{ step, loss, gradNorm },
      checkpoint: last ? `${this.#folder}/${last.name}` : start,
      goodStep: last?.step ?? (parent ? stepOf(parent, stage.from!.checkpoint) : 0),
    };
    return new GristmillError('CONTINUAL_DIVERGED', details, { cause: error });
  }

  #path(name: string): string {
    return join(this.#options.out, this.#folder, name);
  }
}
