/**
 * Training of a line scorer as a run: folds for the measures, the calibration and the thresholds, then one model on
 * all pages (defaults/chunk.ts has the steps).
 *
 * `validation.json` in the run's folder keeps what the folds said, so that a resumed run does not ask them again. The
 * stack below the network is fitted anew on resuming: it is a function of the pages alone.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isGristmillError } from '../errors.ts';
import { packEncoder } from '../lines/encoder-file.ts';
import { hashOf } from '../same-run.ts';
import type { LineTrainConfig } from '../train/config.ts';
import { RunFolder } from '../train/run-folder.ts';
import type { TrainHooks, TrainSummary } from '../train/run-types.ts';
import { BOOSTED_DEFAULTS } from './baselines/boosted.ts';
import { type ChunkValidation, trainDefaultChunk, validateChunk } from './defaults/chunk.ts';
import { type GoldPage, readGoldPages, UNSCORED } from './gold.ts';
import { LINE_TRAINING_DEFAULTS, type LineTrainingOptions } from './line-score/training.ts';

type KeptValidation = Omit<ChunkValidation, 'scores'>;

/** Runs a checked configuration. @throws as trainModel() */
export async function runLineTraining(
  config: LineTrainConfig,
  hooks: TrainHooks,
): Promise<TrainSummary> {
  using folder = await claim(config, hooks);
  try {
    return await train(config, hooks, folder);
  } catch (error) {
    throw folder.explain(error);
  }
}

async function train(
  config: LineTrainConfig,
  { signal, onProgress, onPhase = () => undefined }: TrainHooks,
  folder: RunFolder,
): Promise<TrainSummary> {
  const pages = await pagesOf(config.data.inputs, signal);
  const extraPages = await pagesOf(config.extra?.inputs ?? [], signal);
  const training = optionsOf(config);
  const shared = { pages, extraPages, training, signal };
  const nTokens = pages.reduce((sum, { labels }) => sum + scoredLines(labels), 0);
  const state = { steps: 0, resumedAt: 0, nParams: 0 };
  const summary = (interrupted: boolean, validation?: KeptValidation): TrainSummary => ({
    out: config.out,
    model: folder.model,
    ...state,
    ...folder.last(),
    nTokens,
    skipped: {},
    interrupted,
    ...(validation && { validation: { whole: validation.whole, light: validation.light } }),
  });
  try {
    const validation = await validationOf(config, folder, () => {
      const onFold = (fold: number): void => onPhase(`fold ${fold + 1} of ${config.folds}`);
      return validateChunk({ ...shared, nFolds: config.folds, onFold });
    });
    onPhase('training on all pages');
    const { trainer, encoder } = await trainDefaultChunk({
      ...shared,
      checkpoint: {
        path: folder.checkpoint,
        every: config.checkpointEvery,
        state: () => folder.checkpointState(),
        onStart: (step, checkpointState) => {
          state.resumedAt = step;
          state.steps = step;
          folder.resumeAt(step, checkpointState);
        },
        onSaved: () => folder.plot(),
      },
      onStep: ({ step, totalSteps, loss, lr, gradNorm, seconds }) => {
        state.steps = step;
        const record = { step, loss, lr, gradNorm };
        folder.add(record);
        const tokensPerSecond = (training.nCtx * training.nSeq) / seconds;
        onProgress?.({ ...record, totalSteps, tokensPerSecond });
      },
    });
    try {
      state.nParams = trainer.info.nParams;
      const { calibration, thresholds } = validation;
      const kind = 'line-score';
      if (await folder.lacksModel(onPhase)) {
        await trainer.exportGguf({
          path: folder.model,
          ...config.export,
          nCtx: training.nCtx,
          kind,
          encoder: packEncoder({
            kind,
            head: 'network',
            treeShare: 1,
            encoder,
            calibration,
            thresholds,
          }),
        });
      }
    } finally {
      await trainer.dispose();
    }
    return summary(false, validation);
  } catch (error) {
    if (signal?.aborted && isGristmillError(error) && error.code === 'ABORTED')
      return summary(true);
    throw error;
  }
}

async function claim(config: LineTrainConfig, { signal, onPhase }: TrainHooks): Promise<RunFolder> {
  const { out, nThreads: _, checkpointEvery: __, ...same } = config;
  const files: Record<string, string> = {};
  for (const path of [...config.data.inputs, ...(config.extra?.inputs ?? [])]) {
    files[path] = await hashOf(path);
  }
  const options = { signal, onNotice: onPhase };
  return RunFolder.claim(out, { config: same, files }, config.export.name, options);
}

function optionsOf({ training, nThreads }: LineTrainConfig): LineTrainingOptions {
  const { stack, ...given } = training;
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return {
    ...LINE_TRAINING_DEFAULTS,
    ...(Object.fromEntries(set) as Partial<LineTrainingOptions>),
    boosted: stack ? BOOSTED_DEFAULTS : null,
    ...(nThreads !== undefined && { nThreads }),
  };
}

async function validationOf(
  { folds }: LineTrainConfig,
  folder: RunFolder,
  make: () => Promise<ChunkValidation>,
): Promise<KeptValidation> {
  const file = folder.file('validation.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as KeptValidation;
  const { scores: _, ...validation } = await make();
  folder.write('validation.json', `${JSON.stringify({ nFolds: folds, ...validation }, null, 2)}\n`);
  return validation;
}

async function pagesOf(inputs: readonly string[], signal?: AbortSignal): Promise<GoldPage[]> {
  const pages: GoldPage[] = [];
  for (const file of inputs) {
    for await (const page of readGoldPages(file, signal)) pages.push(page);
  }
  return pages;
}

function scoredLines(labels: Uint8Array): number {
  return labels.reduce((count, label) => count + (label === UNSCORED ? 0 : 1), 0);
}
