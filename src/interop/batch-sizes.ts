/**
 * Batch sizes that change, in the form of other trainers.
 *
 * Read from: Megatron-LM megatron/core/num_microbatches_calculator.py (`--step-batch-size-schedule "T:B T:B"`, thresholds in
 * tokens, the first 0, beside `--train-samples`; `--global-batch-size` is ignored); OLMo-core
 * train/callbacks/batch_size_scheduler.py (sizes in tokens, each a whole multiple or part of the one before; it multiplies
 * rates by the root of the ratio). The others keep one size: they stop at a step and go on with another.
 */
import { type BatchRun, sequencesBefore } from '../schedules/batch-size.ts';
import type { ScheduleTarget } from './schedules/export.ts';
import { type ExportFile, jsonOf } from './schedules/target.ts';

/** What the form of a trainer needs. */
export interface BatchSizesToExport {
  readonly batches?: readonly BatchRun[] | null;
  readonly nSteps: number;
  readonly nCtx: number;
  /** Tokens that the trainer has counted in front of the stage; thresholds lie behind them. */
  readonly countedTokens: number;
  /** Whether the learning rate is one rate throughout. */
  readonly isFlat: boolean;
}

/** Files and what to mind; nothing where all batches are of one size. */
export function exportBatchSizes(
  target: ScheduleTarget,
  stage: BatchSizesToExport,
): { readonly files: ExportFile[]; readonly warnings: string[] } {
  const { batches, nSteps, nCtx, countedTokens, isFlat } = stage;
  if (!batches || batches.length === 0) return { files: [], warnings: [] };
  const runs = batches.map(({ firstStep, endStep, sequencesPerStep, firstSequence }) => ({
    ...{ firstStep, endStep, sequencesPerStep },
    firstToken: firstSequence * nCtx,
  }));
  const files: ExportFile[] = [
    { name: 'batch-sizes.json', text: `${jsonOf({ sequenceLength: nCtx, runs })}\n` },
  ];
  const nSequences = sequencesBefore({ batches }, 0, nSteps);
  if (target === 'megatron') {
    const thresholds = runs.map(({ firstToken, sequencesPerStep }, at) => {
      const threshold = at === 0 ? 0 : countedTokens + firstToken;
      return `${threshold}:${sequencesPerStep}`;
    });
    const samples = countedTokens / nCtx + nSequences;
    const text = `--step-batch-size-schedule "${thresholds.join(' ')}"\n--train-samples ${samples}\n`;
    files.push({ name: 'batch-size.args', text });
    const warnings = [
      'batch-size.args takes the place of --train-iters and --global-batch-size of schedule.args: Megatron-LM wants samples beside a schedule of batch sizes',
    ];
    if (!isFlat) {
      warnings.push(
        'Megatron-LM counts rates by samples, the plan by steps: with batch sizes that change, rates between the ends are not those of the plan',
      );
    }
    return { files, warnings };
  }
  if (target === 'olmo-core') {
    const isWhole = runs.every(
      ({ sequencesPerStep }, at) =>
        at === 0 || sequencesPerStep % runs[at - 1]!.sequencesPerStep === 0,
    );
    if (isWhole) {
      const list = (values: readonly string[]): string => values.join(', ');
      const text = [
        '# For OLMo-core: a callback of the trainer; the data loader begins with the first size.',
        'from olmo_core.train import Duration',
        'from olmo_core.train.callbacks import BatchSizeSchedulerCallback',
        '',
        'BATCH_SIZES = BatchSizeSchedulerCallback(',
        `    batch_sizes=[${list(runs.map((run) => String(run.sequencesPerStep * nCtx)))}],`,
        `    schedule=[${list(runs.map(({ firstToken }) => `Duration.tokens(${firstToken})`))}],`,
        ')',
        '',
      ].join('\n');
      files.push({ name: 'batch_sizes.py', text });
      const root =
        'OLMo-core multiplies rates by the root of the ratio of batch sizes too: those of the plan are not kept';
      return { files, warnings: [root] };
    }
    return { files, warnings: [stopAt('OLMo-core takes whole factors only', runs)] };
  }
  return { files, warnings: [stopAt('the trainer keeps one batch size', runs)] };
}

function stopAt(
  why: string,
  runs: readonly { readonly firstStep: number; readonly sequencesPerStep: number }[],
): string {
  const shown = runs
    .slice(0, 8)
    .map(({ firstStep, sequencesPerStep }) => `${sequencesPerStep} from step ${firstStep + 1}`);
  const more = runs.length > 8 ? ', …' : '';
  return `the batch size changes (${shown.join(', ')}${more}; batch-sizes.json), but ${why}: stop there and go on with another`;
}
