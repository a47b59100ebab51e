/**
 * Trains one stage of a plan: steps, learning rates, measurements. It has no files; run.ts keeps them.
 *
 * What a step does is a function of (plan, store, what was seen before, step), so that a stage goes on from any step with
 * the trainer's state alone. On a CPU the same bits, whatever the number of threads.
 */
import { GristmillError, isGristmillError } from '../../errors.ts';
import type { TokenBatch } from '../../native/train.ts';
import { sequencesBefore } from '../../schedules/batch-size.ts';
import { lossOf, stepBatches, type ValidationSet } from '../../tokens/store-batches.ts';
import type { Trainer } from '../../train/trainer.ts';
import { type SeenSequences, StageData, type StageDataOptions } from './stage-data.ts';

/** A step or a measurement of a stage. */
export interface StageRecord {
  /** Steps of the stage that are made: 0 for a measurement at its start. */
  readonly step: number;
  /** Mean loss of the step, nats a token. */
  readonly loss?: number;
  readonly lr?: number;
  readonly gradNorm?: number;
  /** By validation set, nats a token. */
  readonly validation?: Readonly<Record<string, number>>;
}

/** Options of {@link trainStage}. */
export interface TrainStageOptions extends StageDataOptions {
  /** With the weights (and moments) to start from; its `nSeq` divides `plan.sequencesPerStep`. */
  readonly trainer: Trainer;
  /** Sets that are measured, each on its own; see validationSets(). */
  readonly validation: readonly ValidationSet[];
  /** Steps between measurements; 0 for the start, the checkpoints and the end only. Default 0. */
  readonly evalEvery?: number;
  /** Steps of the stage that the trainer has already made. Default 0. */
  readonly fromStep?: number;
  readonly onRecord?: (record: StageRecord, tokensPerSecond: number) => void;
  /** After every step and what is measured behind it; a checkpoint may be written here. */
  readonly onStep?: (step: number, losses: StageLosses | null) => Promise<void> | void;
  readonly signal?: AbortSignal | undefined;
}

/** Losses by validation set, nats a token. */
export type StageLosses = Readonly<Record<string, number>>;

/** What a stage gave. */
export interface StageResult {
  /** Steps that are made: fewer than the stage has when it was interrupted. */
  readonly step: number;
  /** The lineage's, this stage included. */
  readonly seen: SeenSequences;
  /** At the last measurement; null before the first. */
  readonly losses: StageLosses | null;
  /** Of the last step; NaN when none was made. */
  readonly trainLoss: number;
}

/**
 * Trains a stage. The signal ends it behind the step that is being made.
 *
 * The optimiser is not touched: resetOptimizer() is the caller's. The step `stage.constantStep` is measured always, and
 * `onStep` is called for it as for all others.
 *
 * @throws CONTINUAL_DATA_TOO_SMALL, CONTINUAL_REPLAY_TOO_SMALL, OPTION_INVALID, DISPOSED; TRAIN_NON_FINITE, naming the
 *   step of the stage that is not made: its own loss or gradients, or a measurement in front of it
 */
export async function trainStage(options: TrainStageOptions): Promise<StageResult> {
  const { plan, stage, store, trainer, validation, evalEvery = 0, fromStep = 0, signal } = options;
  const { nCtx, sequencesPerStep } = plan;
  const { nSeq } = trainer.options;
  const before = (made: number): number => sequencesBefore(stage, sequencesPerStep, made);
  if (sequencesPerStep % nSeq !== 0 || trainer.options.nCtx !== nCtx) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'trainer',
      expected: `${nCtx} tokens of context and a batch that divides ${sequencesPerStep}`,
      received: `${trainer.options.nCtx} and ${nSeq}`,
    });
  }
  const data = new StageData(options);
  const batchesOf = (step: number): TokenBatch[] =>
    stepBatches(store, data.at(before(step), before(step + 1) - before(step)), { nCtx, nSeq });
  let tokensPerSecond = 0;
  let losses: StageLosses | null = null;
  let trainLoss = Number.NaN;
  const measure = async (step: number): Promise<StageLosses> => {
    const byName = await measureSets(trainer, validation, step);
    losses = byName;
    if (validation.length > 0) options.onRecord?.({ step, validation: byName }, tokensPerSecond);
    return byName;
  };
  if (fromStep === 0) {
    const atStart = await measure(0);
    await options.onStep?.(0, atStart);
  }
  let step = fromStep;
  let next = step < stage.nSteps ? batchesOf(step) : [];
  while (step < stage.nSteps && !signal?.aborted) {
    const lr = stage.curve.at(step + 1);
    const made = trainer.steps([{ batches: next, lr }]);
    // The next batches are read while the trainer's thread computes.
    if (step + 1 < stage.nSteps) next = batchesOf(step + 1);
    const result = await made.catch((error: unknown) => {
      if (!isGristmillError(error, 'TRAIN_NON_FINITE')) throw error;
      // The trainer counts on over stages.
      const details = { ...error.details, step: step + 1 };
      throw new GristmillError('TRAIN_NON_FINITE', details, { cause: error });
    });
    step++;
    trainLoss = result.losses[0]!;
    tokensPerSecond = ((before(step) - before(step - 1)) * nCtx) / result.seconds[0]!;
    const record = { step, loss: trainLoss, lr, gradNorm: result.gradNorms[0]! };
    options.onRecord?.(record, tokensPerSecond);
    const isDue =
      step === stage.nSteps ||
      step === stage.constantStep ||
      (evalEvery > 0 && step % evalEvery === 0);
    const measured = isDue ? await measure(step) : null;
    await options.onStep?.(step, measured);
  }
  return { step, seen: data.seenBefore(before(step)), losses, trainLoss };
}

/**
 * Losses of the trainer's weights, each set on its own.
 *
 * @param step steps that are made
 * @throws TRAIN_NON_FINITE
 */
export async function measureSets(
  trainer: Trainer,
  validation: readonly ValidationSet[],
  step: number,
): Promise<StageLosses> {
  const found: [string, number][] = [];
  for (const { name, batches } of validation) {
    found.push([name, checkedLoss(await lossOf(trainer, batches), step)]);
  }
  return Object.fromEntries(found);
}

/**
 * A measured loss. A step whose own loss was finite may still have made weights that are of no use.
 *
 * @param step steps that are made
 * @throws TRAIN_NON_FINITE
 */
function checkedLoss(loss: number, step: number): number {
  if (Number.isFinite(loss)) return loss;
  throw new GristmillError('TRAIN_NON_FINITE', { step: step + 1, loss, gradNorm: 'not taken' });
}
