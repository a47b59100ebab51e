/**
 * A training run: from a configuration to a model, resumable at any time (run-folder.ts says what lies where).
 *
 * The same configuration and data give the same bits on a CPU, whatever the number of threads and interruptions.
 */
import { abortSignal, callback, checkOptions, type OptionTable } from '../options.ts';
import { runLineTraining } from '../scorers/line-run.ts';
import { checkTrainConfig, type TrainConfigInput } from './config.ts';
import { runLmTraining } from './lm-run.ts';
import type { TrainHooks, TrainSummary } from './run-types.ts';

const HOOKS_TABLE: OptionTable<TrainHooks> = {
  signal: abortSignal,
  onProgress: callback,
  onPhase: callback,
};

/**
 * Trains a model; the same call again resumes, or reports what is finished.
 *
 * @throws TRAIN_CONFIG_INVALID, TRAIN_RUN_CHANGED, TRAIN_DATA_TOO_SMALL, TRAIN_GOLD_INVALID, TRAIN_NON_FINITE, CORPUS_*, ENGINE_MODEL_*,
 *   ENGINE_DEVICE_MISSING before anything is written
 */
export async function trainModel(
  input: TrainConfigInput,
  hooks: TrainHooks = {},
): Promise<TrainSummary> {
  checkOptions<TrainHooks>('trainModel', hooks, HOOKS_TABLE);
  const config = checkTrainConfig(input);
  return config.objective === 'line-score'
    ? runLineTraining(config, hooks)
    : runLmTraining(config, hooks);
}
