/**
 * A training run: from a configuration to a model, resumable at any time.
 *
 *     out/run.json        what makes it this run; another configuration or other data is refused
 *     out/tokenizer.gguf  where one is trained
 *     out/losses.jsonl    a line for every step, and for every measurement of the validation data
 *     out/loss.svg        the same as a picture
 *     out/checkpoint.bin  weights, moments and step; replaced as a whole
 *     out/model.gguf      the result; it is there only when the run is finished
 *
 * The same configuration and data give the same bits on a CPU, whatever the number of threads and interruptions.
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { planTexts, readStrings } from '../corpus/texts.ts';
import { GristmillError } from '../errors.ts';
import { trainTokenizer } from '../model/tokenizer-training.ts';
import { native } from '../native.ts';
import type { TrainShape } from '../native-train.ts';
import {
  type BatchSource,
  pretrainSource,
  type SourceSettings,
  sftSource,
} from './batch-source.ts';
import { checkTrainConfig, type TrainConfig, type TrainConfigInput } from './config.ts';
import { type LossPoint, lossPlot } from './loss-plot.ts';
import { learningRateAt } from './schedule.ts';
import { openTrainer, type Trainer, trainShapeOf } from './trainer.ts';

/** A step or a measurement, as losses.jsonl has it. */
export interface TrainRecord {
  readonly step: number;
  /** Mean loss of the step, in nats per target. */
  readonly loss?: number;
  readonly lr?: number;
  readonly gradNorm?: number;
  /** Mean loss over the validation data. */
  readonly validationLoss?: number;
}

/** How far a run is. */
export interface TrainProgress extends TrainRecord {
  readonly totalSteps: number;
  readonly tokensPerSecond: number;
}

/** What a run gave. */
export interface TrainSummary {
  readonly out: string;
  readonly model: string;
  readonly nParams: number;
  readonly steps: number;
  /** Steps that were already made when this call began. */
  readonly resumedAt: number;
  readonly loss: number | null;
  readonly validationLoss: number | null;
  readonly nTokens: number;
  readonly skipped: Readonly<Record<string, number>>;
  /** True: stopped by `signal` after a checkpoint; the same call goes on. */
  readonly interrupted: boolean;
}

/** Hooks of {@link trainModel}. */
export interface TrainHooks {
  /** Aborted: the step under way is finished, a checkpoint is written, and the run returns. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainProgress) => void;
}

/**
 * Trains a model; the same call again resumes, or reports what is finished.
 *
 * @throws TRAIN_CONFIG_INVALID, TRAIN_RUN_CHANGED, TRAIN_DATA_TOO_SMALL, TRAIN_GOLD_INVALID, TRAIN_NON_FINITE, CORPUS_*, ENGINE_MODEL_*
 */
export async function trainModel(
  input: TrainConfigInput,
  hooks: TrainHooks = {},
): Promise<TrainSummary> {
  const config = checkTrainConfig(input);
  mkdirSync(config.out, { recursive: true });
  await claim(config);
  const tokenizerPath = await tokenizerOf(config);
  const tokenizer = await native().openTokenizer(tokenizerPath);
  try {
    const settings = { tokenizer, batch: config.batch, seed: config.seed };
    const source = await sourceOf(config, settings);
    const validation = await validationOf(config, settings);
    const shape = await shapeOf(config, tokenizer.info.nTokens);
    const { nSeq, nCtx } = config.batch;
    await using trainer = await openTrainer({
      shape,
      nSeq,
      nCtx,
      seed: config.seed,
      ...config.optimizer,
      ...(config.nThreads !== undefined && { nThreads: config.nThreads }),
    });
    if ('from' in config.model) await trainer.importGguf(config.model.from);
    return await new TrainRun(config, trainer, { source, validation, tokenizerPath }).execute(
      hooks,
    );
  } finally {
    tokenizer.dispose();
  }
}

class TrainRun {
  readonly #config: TrainConfig;
  readonly #trainer: Trainer;
  readonly #source: BatchSource;
  readonly #validation: BatchSource | null;
  readonly #tokenizerPath: string;
  #records: TrainRecord[] = [];

  constructor(
    config: TrainConfig,
    trainer: Trainer,
    data: {
      readonly source: BatchSource;
      readonly validation: BatchSource | null;
      readonly tokenizerPath: string;
    },
  ) {
    this.#config = config;
    this.#trainer = trainer;
    this.#source = data.source;
    this.#validation = data.validation;
    this.#tokenizerPath = data.tokenizerPath;
  }

  async execute({ signal, onProgress }: TrainHooks): Promise<TrainSummary> {
    const { batch, schedule, checkpointEvery, evalEvery } = this.#config;
    const perStep = batch.nSeq * batch.accumulate;
    const totalSteps =
      this.#config.steps ??
      Math.max(1, Math.round((this.#config.epochs! * this.#source.nSequences) / perStep));
    const resumedAt = await this.#resume();
    let step = resumedAt;
    let next = step < totalSteps ? this.#source.batches(step) : [];
    while (step < totalSteps && !signal?.aborted) {
      const lr = learningRateAt(step, { ...schedule, totalSteps });
      const made = this.#trainer.steps([{ batches: next, lr }]);
      // The next batches are built while the trainer's thread computes.
      if (step + 1 < totalSteps) next = this.#source.batches(step + 1);
      const { losses, gradNorms, seconds } = await made;
      step++;
      const record = { step, loss: losses[0]!, lr, gradNorm: gradNorms[0]! };
      this.#add(record);
      const tokensPerSecond = (perStep * batch.nCtx) / seconds[0]!;
      onProgress?.({ ...record, totalSteps, tokensPerSecond });
      const atEnd = step === totalSteps;
      if (this.#validation && (atEnd || (evalEvery > 0 && step % evalEvery === 0))) {
        const validationLoss = await this.#measure(this.#validation);
        this.#add({ step, validationLoss });
        onProgress?.({ step, validationLoss, totalSteps, tokensPerSecond });
      }
      if (atEnd || (checkpointEvery > 0 && step % checkpointEvery === 0)) await this.#checkpoint();
    }
    if (step < totalSteps) await this.#checkpoint();
    const model = join(this.#config.out, 'model.gguf');
    if (step >= totalSteps && !existsSync(model)) await this.#export(model);
    const last = this.#records.findLast(({ loss }) => loss !== undefined);
    const measured = this.#records.findLast(({ validationLoss }) => validationLoss !== undefined);
    return {
      out: this.#config.out,
      model,
      nParams: this.#trainer.info.nParams,
      steps: step,
      resumedAt,
      loss: last?.loss ?? null,
      validationLoss: measured?.validationLoss ?? null,
      nTokens: this.#source.nTokens,
      skipped: this.#source.skipped,
      interrupted: step < totalSteps,
    };
  }

  /** Continues from the checkpoint, if there is one; losses behind it are made again. */
  async #resume(): Promise<number> {
    const checkpoint = join(this.#config.out, 'checkpoint.bin');
    if (!existsSync(checkpoint)) {
      writeFileSync(this.#lossFile(), '');
      return 0;
    }
    const { step } = await this.#trainer.loadCheckpoint(checkpoint);
    this.#records = readRecords(this.#lossFile()).filter((record) => record.step <= step);
    const lines = this.#records.map((record) => `${JSON.stringify(record)}\n`).join('');
    const partial = `${this.#lossFile()}.partial`;
    writeFileSync(partial, lines);
    renameSync(partial, this.#lossFile());
    return step;
  }

  #add(record: TrainRecord): void {
    this.#records.push(record);
    appendFileSync(this.#lossFile(), `${JSON.stringify(record)}\n`);
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
    await this.#trainer.saveCheckpoint(join(this.#config.out, 'checkpoint.bin'));
    const points = (pick: (record: TrainRecord) => number | undefined): LossPoint[] =>
      this.#records.flatMap((record) => {
        const loss = pick(record);
        return loss === undefined ? [] : [{ step: record.step, loss }];
      });
    const plot = lossPlot(
      this.#config.export.name,
      points(({ loss }) => loss),
      points(({ validationLoss }) => validationLoss),
    );
    writeFileSync(join(this.#config.out, 'loss.svg'), plot);
  }

  async #export(path: string): Promise<void> {
    const { type, name } = this.#config.export;
    await this.#trainer.exportGguf({
      path,
      type,
      name,
      nCtx: this.#config.batch.nCtx,
      tokenizerPath: this.#tokenizerPath,
    });
  }

  #lossFile(): string {
    return join(this.#config.out, 'losses.jsonl');
  }
}

/** Takes the folder for this run, or refuses one that holds another. */
async function claim(config: TrainConfig): Promise<void> {
  const { out, nThreads: _, checkpointEvery: __, ...same } = config;
  const files: Record<string, string> = {};
  const inputs = [...config.data.inputs, ...(config.validation?.inputs ?? [])];
  if (config.objective === 'pretrain') {
    const { files: found } = await planTexts({
      inputs,
      ...(config.data.textColumn !== undefined && { textColumn: config.data.textColumn }),
    });
    for (const { path, fingerprint } of found) files[path] = fingerprint;
  } else {
    for (const path of inputs) files[path] = await hashOf(path);
  }
  for (const path of [
    'from' in config.model ? config.model.from : null,
    config.tokenizer && 'path' in config.tokenizer ? config.tokenizer.path : null,
  ]) {
    if (path !== null && path !== undefined) files[path] = await hashOf(path);
  }
  const identity = JSON.parse(JSON.stringify({ format: 1, config: same, files })) as object;
  const file = join(out, 'run.json');
  if (!existsSync(file)) {
    writeFileSync(`${file}.partial`, `${JSON.stringify(identity, null, 2)}\n`);
    renameSync(`${file}.partial`, file);
    return;
  }
  const changes = changedKeys(JSON.parse(readFileSync(file, 'utf8')), identity);
  if (changes.length > 0) {
    throw new GristmillError('TRAIN_RUN_CHANGED', { out, changes: changes.slice(0, 8).join(', ') });
  }
}

function changedKeys(before: unknown, now: unknown, path = ''): string[] {
  const isPlain = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null;
  if (!isPlain(before) || !isPlain(now)) {
    return before === now ? [] : [`${path}: ${JSON.stringify(before)} -> ${JSON.stringify(now)}`];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    changedKeys(before[key], now[key], path === '' ? key : `${path}.${key}`),
  );
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (cause) {
    throw new GristmillError(
      'CORPUS_READ_FAILED',
      { file: path, reason: (cause as Error).message },
      { cause },
    );
  }
  return hash.digest('hex');
}

async function tokenizerOf(config: TrainConfig): Promise<string> {
  const { tokenizer, out } = config;
  if (!tokenizer) return (config.model as { readonly from: string }).from;
  if ('path' in tokenizer) return tokenizer.path;
  const path = join(out, 'tokenizer.gguf');
  if (existsSync(path)) return path;
  if (config.objective !== 'pretrain') {
    throw new GristmillError('TRAIN_CONFIG_INVALID', {
      file: 'the configuration',
      reason: 'tokenizer.train needs the objective pretrain; give the path of a tokenizer',
    });
  }
  const { inputs, textColumn } = config.data;
  const plan = await planTexts({ inputs, ...(textColumn !== undefined && { textColumn }) });
  await trainTokenizer({ texts: readStrings(plan), vocabSize: tokenizer.train.vocabSize, path });
  return path;
}

function sourceOf(config: TrainConfig, settings: SourceSettings): Promise<BatchSource> {
  return config.objective === 'pretrain'
    ? pretrainSource(config.data, settings)
    : sftSource(config.data.inputs, settings);
}

async function validationOf(
  config: TrainConfig,
  settings: SourceSettings,
): Promise<BatchSource | null> {
  if (!config.validation) return null;
  return config.objective === 'pretrain'
    ? pretrainSource({ ...config.validation, maskDocuments: config.data.maskDocuments }, settings)
    : sftSource(config.validation.inputs, settings);
}

async function shapeOf({ model }: TrainConfig, nVocab: number): Promise<TrainShape> {
  if ('from' in model) return trainShapeOf(model.from);
  const { nEmbd, nHead, nHeadKv, nHeadDim, nFf, ...rest } = model.shape;
  return {
    ...rest,
    nVocab,
    nEmbd,
    nHead,
    nHeadKv: nHeadKv ?? nHead,
    nHeadDim: nHeadDim ?? Math.floor(nEmbd / nHead),
    nFf: nFf ?? Math.ceil((8 * nEmbd) / 3 / 32) * 32,
    nClasses: 0,
  };
}

function readRecords(file: string): TrainRecord[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      // A crash may leave half a line at the end.
      try {
        return line === '' ? [] : [JSON.parse(line) as TrainRecord];
      } catch {
        return [];
      }
    });
}
