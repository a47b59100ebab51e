/**
 * Small runs of continual pre-training on the languages of continual-language.ts, by the library's own stages: a run
 * starts from a checkpoint or from new weights, and leaves checkpoints behind.
 */
import { join } from 'node:path';
import type { PlanSource, PlanStage } from '../../src/continual/plan/types.ts';
import type { SeenSequences } from '../../src/continual/run/stage-data.ts';
import { measureSets, type StageRecord, trainStage } from '../../src/continual/run/stage-loop.ts';
import { lrCurve } from '../../src/schedules/curve.ts';
import { checkSchedule, type ScheduleInput } from '../../src/schedules/spec.ts';
import { type ValidationSet, validationSets } from '../../src/tokens/store-batches.ts';
import type { TokenStore } from '../../src/tokens/token-store.ts';
import { newShape } from '../../src/train/model-shape.ts';
import { openTrainer, type Trainer } from '../../src/train/trainer.ts';
import { type LanguageName, writeLanguages } from './continual-language.ts';

/** Sizes of the runs. */
export interface LabSettings {
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nFf: number;
  readonly nCtx: number;
  /** Sequences of a step. */
  readonly nSeq: number;
  /** Steps of a phase. */
  readonly nSteps: number;
  /** η_max. */
  readonly peakLr: number;
  /** η_min. */
  readonly minLr: number;
  /** Share of a phase. */
  readonly warmup: number;
  /** Validation windows of each set. */
  readonly windows: number;
  /** Phases of the old language that the store has text for. */
  readonly oldPhases: number;
}

/** The size that runs in seconds. */
export const SMALL: LabSettings = {
  nEmbd: 32,
  nLayer: 2,
  nHead: 2,
  nFf: 88,
  nCtx: 32,
  nSeq: 32,
  nSteps: 400,
  peakLr: 3e-3,
  minLr: 3e-4,
  warmup: 0.01,
  windows: 256,
  oldPhases: 2,
};

/** A shorter one at a lower rate: there the rate decides how much of the new language is learnt. */
export const SHORT: LabSettings = { ...SMALL, nSteps: 300, peakLr: 2e-3, minLr: 2e-4 };

/** The size of the bench. */
export const LARGE: LabSettings = {
  ...SMALL,
  nEmbd: 48,
  nFf: 128,
  nSteps: 600,
  oldPhases: 3,
};

/** Losses by validation set. */
type Losses = Readonly<Record<string, number>>;

/** Where a run stands: what another one may start from. */
export interface Checkpoint {
  readonly file: string;
  readonly seen: SeenSequences;
  readonly losses: Readonly<Record<string, number>>;
}

/** A run. */
export interface RunRequest {
  /** Takes part in the names of files. */
  readonly name: string;
  /** Default: new weights. */
  readonly from?: Checkpoint;
  /** Weights of new data. */
  readonly data: Partial<Readonly<Record<LanguageName, number>>>;
  /** Share of the old language. Default 0. */
  readonly replay?: number;
  readonly order?: 'original' | 'reshuffled';
  readonly schedule: ScheduleInput;
  /** Default: a phase. */
  readonly nSteps?: number;
  readonly optimizer?: 'reset' | 'keep';
  /** Steps between measurements. Default: the end only. */
  readonly evalEvery?: number;
  /** Steps after which it is given up. Default: none. */
  readonly stopAt?: number;
  /** Steps behind which the weights are kept in memory, to be merged. */
  readonly keepWeights?: readonly number[];
  /** Keep the checkpoint of the constant phase's last step. */
  readonly keepConstant?: boolean;
}

/** Weights by tensor. */
export type Weights = ReadonlyMap<string, Float32Array>;

/** What a run gave. */
export interface LabRun extends Checkpoint {
  readonly measured: readonly (readonly [step: number, losses: Readonly<Record<string, number>>])[];
  readonly constant: Checkpoint | null;
  /** Of the steps that were asked for, in their order. */
  readonly weights: readonly Weights[];
  /** Learning rates by step. */
  readonly rates: Float64Array;
  readonly seconds: number;
}

/** A place for runs: a store and a trainer, for one seed. */
export class Lab {
  readonly settings: LabSettings;
  readonly #folder: string;
  readonly #seed: number;
  readonly #store: TokenStore;
  readonly #validation: readonly ValidationSet[];
  readonly #trainer: Trainer;
  readonly #start: Checkpoint;

  private constructor(
    settings: LabSettings,
    {
      folder,
      seed,
      store,
      trainer,
    }: {
      readonly folder: string;
      readonly seed: number;
      readonly store: TokenStore;
      readonly trainer: Trainer;
    },
  ) {
    this.settings = settings;
    this.#folder = folder;
    this.#seed = seed;
    this.#store = store;
    this.#trainer = trainer;
    const { nCtx, nSeq, windows } = settings;
    this.#validation = validationSets(store, { nCtx, nSeq, windows });
    this.#start = { file: join(folder, 'start.checkpoint'), seen: {}, losses: {} };
  }

  /** Writes the languages and opens a trainer of one thread. */
  static async open(settings: LabSettings, folder: string, seed: number): Promise<Lab> {
    const { nEmbd, nLayer, nHead, nFf, nCtx, nSeq, nSteps, oldPhases } = settings;
    const phase = (nSteps + 1) * nSeq * nCtx;
    const store = writeLanguages(join(folder, 'store'), {
      seed,
      nTokens: { old: oldPhases * phase, weak: phase, strong: phase },
    });
    const trainer = await openTrainer({
      shape: newShape({ nEmbd, nLayer, nHead, nFf, tied: false }, store.index.tokenizer.nTokens),
      nCtx,
      nSeq,
      nThreads: 1,
      seed,
      initDeviation: 0.08,
    });
    const lab = new Lab(settings, { folder, seed, store, trainer });
    await trainer.saveCheckpoint(lab.#start.file);
    return lab;
  }

  /** The paper's schedule: warm-up and a cosine from `peakLr` to a tenth of it. */
  cosine(peakLr = this.settings.peakLr, warmup = this.settings.warmup): ScheduleInput {
    return {
      kind: 'cosine',
      peakLr,
      minLr: Math.min(peakLr, (peakLr / this.settings.peakLr) * this.settings.minLr),
      ...(warmup > 0 && { warmup: { fraction: warmup } }),
    };
  }

  /** Trains and measures. */
  async run(request: RunRequest): Promise<LabRun> {
    const {
      name,
      from = this.#start,
      data,
      replay = 0,
      order = 'original',
      evalEvery = 0,
    } = request;
    const { nSteps = this.settings.nSteps } = request;
    const { nCtx, nSeq } = this.settings;
    const trainer = this.#trainer;
    await trainer.loadCheckpoint(from.file);
    if (request.optimizer !== 'keep') await trainer.resetOptimizer();
    const curve = lrCurve(request.schedule, { totalSteps: nSteps });
    const constantStep = request.keepConstant ? curve.lastConstantStep : null;
    const stage: PlanStage = {
      index: 0,
      name,
      done: false,
      nSteps,
      nSequences: nSteps * nSeq,
      nTokens: nSteps * nSeq * nCtx,
      schedule: checkSchedule(request.schedule),
      curve,
      from: null,
      optimizer: request.optimizer ?? 'reset',
      constantStep,
      merge: null,
      segments: [
        { firstStep: 0, endStep: nSteps, sources: sourcesOf(data, replay, nSteps * nSeq, nCtx) },
      ],
      replay: replay > 0 ? { share: replay, order, seed: this.#seed, offset: 0 } : null,
      maxEpochs: 1,
      seenTokens: {},
    };
    const measured: [number, Readonly<Record<string, number>>][] = [];
    const weights: Weights[] = [];
    const constantFile = join(this.#folder, `${name}-constant.checkpoint`);
    let constantLosses: Readonly<Record<string, number>> = {};
    const stop = new AbortController();
    const start = performance.now();
    const result = await trainStage({
      plan: { seed: this.#seed, nCtx, sequencesPerStep: nSeq },
      stage,
      store: this.#store,
      seen: from.seen,
      trainer,
      validation: this.#validation,
      evalEvery,
      signal: stop.signal,
      onRecord: ({ step, validation }: StageRecord) => {
        if (validation) measured.push([step, validation]);
      },
      onStep: async (step, losses) => {
        if (step === request.stopAt) stop.abort();
        if (request.keepWeights?.includes(step)) weights.push(await this.#weights());
        if (step !== constantStep) return;
        constantLosses = losses ?? {};
        await trainer.saveCheckpoint(constantFile);
      },
    });
    const file = join(this.#folder, `${name}.checkpoint`);
    await trainer.saveCheckpoint(file);
    const share = constantStep === null ? 0 : constantStep / nSteps;
    return {
      file,
      seen: result.seen,
      losses: result.losses!,
      measured,
      weights,
      rates: Float64Array.from({ length: nSteps }, (_, step) => curve.at(step + 1)),
      constant:
        constantStep === null
          ? null
          : {
              file: constantFile,
              seen: scaled(from.seen, result.seen, share),
              losses: constantLosses,
            },
      seconds: (performance.now() - start) / 1000,
    };
  }

  /** Losses of a weighted sum of weights; the trainer's own are lost. */
  async measureMerge(all: readonly Weights[], shares: ArrayLike<number>): Promise<Losses> {
    for (const [name, values] of all[0]!) {
      const sum = Float64Array.from(values, () => 0);
      for (const [at, weights] of all.entries()) {
        weights.get(name)!.forEach((value, index) => {
          sum[index]! += shares[at]! * value;
        });
      }
      await this.#trainer.writeTensor(name, Float32Array.from(sum));
    }
    return measureSets(this.#trainer, this.#validation, 0);
  }

  async #weights(): Promise<Weights> {
    const found = new Map<string, Float32Array>();
    for (const { name } of this.#trainer.info.tensors) {
      found.set(name, await this.#trainer.readTensor(name));
    }
    return found;
  }

  async dispose(): Promise<void> {
    await this.#trainer.dispose();
    this.#store.dispose();
  }
}

/** What was seen at a share of a run of one dataset. */
function scaled(before: SeenSequences, after: SeenSequences, share: number): SeenSequences {
  return Object.fromEntries(
    Object.entries(after).map(([name, count]) => {
      const start = before[name] ?? 0;
      return [name, start + Math.round((count - start) * share)];
    }),
  );
}

function sourcesOf(
  data: Partial<Readonly<Record<LanguageName, number>>>,
  replay: number,
  nSequences: number,
  nCtx: number,
): PlanSource[] {
  const total = Object.values(data).reduce((sum, weight) => sum + weight, 0);
  const source = (dataset: string, kind: 'new' | 'replay', weight: number): PlanSource => {
    const count = Math.round(weight * nSequences);
    return { dataset, kind, weight, nSequences: count, nTokens: count * nCtx };
  };
  const fresh = Object.entries(data).map(([name, weight]) =>
    source(name, 'new', (weight / total) * (1 - replay)),
  );
  return replay > 0 ? [...fresh, source('old', 'replay', replay)] : fresh;
}
