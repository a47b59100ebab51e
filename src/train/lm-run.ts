/**
 * Training of language models, `pretrain` and `sft`: data, steps, measurements, export.
 *
 * `tokenizer.gguf` lies in the run's folder where one is trained; run-folder.ts has the other files.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { planTexts, readStrings } from '../corpus/texts.ts';
import { writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { inspectModel } from '../model/inspect.ts';
import { isTokenizer, trainTokenizer } from '../model/tokenizer-training.ts';
import { requireDevices } from '../native/devices.ts';
import { native } from '../native/index.ts';
import { loadProfile } from '../refine/find-profile.ts';
import { hashOf } from '../same-run.ts';
import { lrCurve } from '../schedules/curve.ts';
import { learningRateAt } from '../schedules/schedule.ts';
import {
  type BatchSource,
  pretrainSource,
  type SourceSettings,
  sftSource,
} from './batch-source.ts';
import type { LmTrainConfig } from './config.ts';
import { checkVocabulary, shapeOf } from './model-shape.ts';
import { RunFolder } from './run-folder.ts';
import type { TrainHooks, TrainSummary } from './run-types.ts';
import { taughtOps } from './taught-ops.ts';
import { openTrainer, type Trainer } from './trainer.ts';

/** Runs a checked configuration. @throws as trainModel() */
export async function runLmTraining(
  config: LmTrainConfig,
  hooks: TrainHooks,
): Promise<TrainSummary> {
  const { model, tokenizer: given, device = 'cpu' } = config;
  requireDevices([device]);
  if ('from' in model) {
    await checkVocabulary(model.from, given && 'path' in given ? given.path : model.from);
  }
  // A schedule that cannot be is told before anything is made; by epochs it is known with the data only.
  if (config.steps !== undefined) ratesOf(config, config.steps)(0);
  using folder = await claim(config, hooks);
  try {
    return await train(config, hooks, folder);
  } catch (error) {
    throw folder.explain(error);
  }
}

async function train(
  config: LmTrainConfig,
  hooks: TrainHooks,
  folder: RunFolder,
): Promise<TrainSummary> {
  const tokenizerPath = await tokenizerOf(config, hooks.signal);
  const tokenizer = await native().openTokenizer(tokenizerPath);
  try {
    const { batch, seed } = config;
    const settings = { tokenizer, tokenizerPath, batch, seed, signal: hooks.signal };
    const source = await sourceOf(config, settings);
    const validation = await validationOf(config, settings);
    const shape = await shapeOf(config.model, tokenizer.info.nTokens);
    const { nSeq, nCtx } = config.batch;
    await using trainer = await openTrainer({
      shape,
      nSeq,
      nCtx,
      seed: config.seed,
      ...config.optimizer,
      ...(config.nThreads !== undefined && { nThreads: config.nThreads }),
      ...(config.device !== undefined && { device: config.device }),
      ...(config.precision !== undefined && { precision: config.precision }),
    });
    if ('from' in config.model) await trainer.importGguf(config.model.from);
    const data = { source, validation, tokenizerPath };
    return await new LmRun(config, folder, trainer, data).execute(hooks);
  } finally {
    tokenizer.dispose();
  }
}

class LmRun {
  readonly #config: LmTrainConfig;
  readonly #folder: RunFolder;
  readonly #trainer: Trainer;
  readonly #source: BatchSource;
  readonly #validation: BatchSource | null;
  readonly #tokenizerPath: string;

  constructor(
    config: LmTrainConfig,
    folder: RunFolder,
    trainer: Trainer,
    data: {
      readonly source: BatchSource;
      readonly validation: BatchSource | null;
      readonly tokenizerPath: string;
    },
  ) {
    this.#config = config;
    this.#folder = folder;
    this.#trainer = trainer;
    this.#source = data.source;
    this.#validation = data.validation;
    this.#tokenizerPath = data.tokenizerPath;
  }

  async execute({ signal, onProgress, onPhase }: TrainHooks): Promise<TrainSummary> {
    const { batch, checkpointEvery, evalEvery } = this.#config;
    const perStep = batch.nSeq * batch.accumulate;
    const totalSteps =
      this.#config.steps ??
      Math.max(1, Math.round((this.#config.epochs! * this.#source.nSequences) / perStep));
    const rateAt = ratesOf(this.#config, totalSteps);
    rateAt(0);
    const resumedAt = await this.#resume();
    let step = resumedAt;
    let next = step < totalSteps ? this.#source.batches(step) : [];
    while (step < totalSteps && !signal?.aborted) {
      const lr = rateAt(step);
      const made = this.#trainer.steps([{ batches: next, lr }]);
      // The next batches are built while the trainer's thread computes.
      if (step + 1 < totalSteps) next = this.#source.batches(step + 1);
      const { losses, gradNorms, seconds } = await made;
      step++;
      const record = { step, loss: losses[0]!, lr, gradNorm: gradNorms[0]! };
      this.#folder.add(record);
      const tokensPerSecond = (perStep * batch.nCtx) / seconds[0]!;
      onProgress?.({ ...record, totalSteps, tokensPerSecond });
      const atEnd = step === totalSteps;
      if (this.#validation && (atEnd || (evalEvery > 0 && step % evalEvery === 0))) {
        const validationLoss = await this.#measure(this.#validation);
        this.#folder.add({ step, validationLoss });
        onProgress?.({ step, validationLoss, totalSteps, tokensPerSecond });
      }
      if (atEnd || (checkpointEvery > 0 && step % checkpointEvery === 0)) await this.#checkpoint();
    }
    // An interrupt in front of the first step leaves nothing that another run would have to give way to.
    if (step < totalSteps && step > resumedAt) await this.#checkpoint();
    const { model } = this.#folder;
    if (step >= totalSteps && (await this.#folder.lacksModel(onPhase))) {
      await this.#describe(model);
      await this.#export(model);
    }
    return {
      out: this.#config.out,
      model,
      nParams: this.#trainer.info.nParams,
      steps: step,
      resumedAt,
      ...this.#folder.last(),
      nTokens: this.#source.nTokens,
      skipped: this.#source.skipped,
      interrupted: step < totalSteps,
    };
  }

  /** Continues from the checkpoint, if there is one; losses behind it are made again. */
  async #resume(): Promise<number> {
    const { checkpoint } = this.#folder;
    const { step, state } = existsSync(checkpoint)
      ? await this.#trainer.loadCheckpoint(checkpoint)
      : { step: 0, state: '' };
    this.#folder.resumeAt(step, state);
    return step;
  }

  async #measure(validation: BatchSource): Promise<number> {
    let sum = 0;
    let weight = 0;
    for (const batch of validation.all()) {
      const { losses } = await this.#trainer.forward(batch);
      for (const loss of losses) sum += loss;
      weight += losses.length;
    }
    return weight === 0 ? Number.NaN : sum / weight;
  }

  async #checkpoint(): Promise<void> {
    await this.#trainer.saveCheckpoint(this.#folder.checkpoint, this.#folder.checkpointState());
    await this.#folder.plot();
  }

  async #export(path: string): Promise<void> {
    const { batch, export: wanted, model } = this.#config;
    // A model that comes from a file keeps its context, where the examples were shorter.
    const given = 'from' in model ? (await inspectModel(model.from)).nCtxTrain : 0;
    await this.#trainer.exportGguf({
      path,
      ...wanted,
      nCtx: Math.max(batch.nCtx, given),
      tokenizerPath: this.#tokenizerPath,
    });
  }

  /** Says beside the model how it was asked, so that `refine` asks it the same way; with the ops that it was taught. */
  async #describe(path: string): Promise<void> {
    const { data, objective } = this.#config;
    if (objective !== 'sft' || data.profile === undefined) return;
    let profile = loadProfile(data.profile, undefined);
    const { chunk, dialect } = profile;
    if (chunk?.ops && data.stage !== 'document') {
      const ops = await taughtOps(data.inputs, dialect);
      if (ops.length > 0) profile = { ...profile, chunk: { ...chunk, ops } };
    }
    const beside = path.replace(/\.gguf$/, '.profile.json');
    writeDurably(beside, `${JSON.stringify(profile, null, 2)}\n`);
  }
}

/** Rates by step, 0 for the first one. @throws SCHEDULE_INVALID */
function ratesOf({ schedule, batch }: LmTrainConfig, totalSteps: number): (step: number) => number {
  if (!('curve' in schedule)) return (step) => learningRateAt(step, { ...schedule, totalSteps });
  const tokensPerStep = batch.nSeq * batch.accumulate * batch.nCtx;
  const curve = lrCurve(schedule.curve, { totalSteps, tokensPerStep }, 'schedule.curve');
  return (step) => curve.at(step + 1);
}

async function claim(config: LmTrainConfig, { signal, onPhase }: TrainHooks): Promise<RunFolder> {
  const { out, nThreads: _, checkpointEvery: __, ...same } = config;
  const files: Record<string, string> = {};
  const inputs = [...config.data.inputs, ...(config.validation?.inputs ?? [])];
  if (config.objective === 'pretrain') {
    const { files: found } = await planTexts({
      inputs,
      signal,
      onNotice: onPhase,
      ...(config.data.textColumn !== undefined && { textColumn: config.data.textColumn }),
    });
    for (const { path, fingerprint } of found) files[path] = fingerprint;
  } else {
    for (const path of inputs) files[path] = await hashOf(path);
    const { profile } = config.data;
    if (profile !== undefined && existsSync(profile)) files[profile] = await hashOf(profile);
  }
  for (const path of [
    'from' in config.model ? config.model.from : null,
    config.tokenizer && 'path' in config.tokenizer ? config.tokenizer.path : null,
  ]) {
    if (path !== null && path !== undefined) files[path] = await hashOf(path);
  }
  const options = { signal, onNotice: onPhase };
  return RunFolder.claim(out, { config: same, files }, config.export.name, options);
}

async function tokenizerOf(config: LmTrainConfig, signal?: AbortSignal): Promise<string> {
  const { tokenizer, out } = config;
  if (!tokenizer) return (config.model as { readonly from: string }).from;
  if ('path' in tokenizer) return tokenizer.path;
  const path = join(out, 'tokenizer.gguf');
  if (await isTokenizer(path)) return path;
  if (config.objective !== 'pretrain') {
    throw new GristmillError('TRAIN_CONFIG_INVALID', {
      file: 'the configuration',
      reason: 'tokenizer.train needs the objective pretrain; give the path of a tokenizer',
    });
  }
  const { inputs, textColumn } = config.data;
  const plan = await planTexts({ inputs, signal, ...(textColumn !== undefined && { textColumn }) });
  const texts = readStrings(plan, signal);
  const { vocabSize } = tokenizer.train;
  await trainTokenizer({ texts, vocabSize, path, ...(signal && { signal }) });
  return path;
}

type LmSettings = SourceSettings & { readonly tokenizerPath: string };

function sourceOf(config: LmTrainConfig, settings: LmSettings): Promise<BatchSource> {
  return config.objective === 'pretrain'
    ? pretrainSource(config.data, settings)
    : sftSource(config.data.inputs, { ...settings, chat: config.data });
}

async function validationOf(
  config: LmTrainConfig,
  settings: LmSettings,
): Promise<BatchSource | null> {
  if (!config.validation) return null;
  return config.objective === 'pretrain'
    ? pretrainSource({ ...config.validation, maskDocuments: config.data.maskDocuments }, settings)
    : sftSource(config.validation.inputs, { ...settings, chat: config.data });
}
