/**
 * The one schedule of litgpt's `pretrain`: linear warm-up, cosine.
 *
 * Form read from Lightning-AI/litgpt 26857050, litgpt/pretrain.py (get_lr, fit), litgpt/args.py (TrainArgs). It counts
 * micro-batches of a device; with A of them in a step, i made before, W = A · lr_warmup_steps and M the micro-batches of
 * max_tokens:
 *
 *     i < W    lr · i / W
 *     then     min_lr + (lr − min_lr)(1 + cos(π (i − W) / (M − W))) / 2
 *
 * Step t is made with i = A · t − 1: the rate of t − 1/A. A depends on the devices, so it is asked for (1 is the worst case).
 */
import { trapezoidOf, type Vocabulary } from './shape.ts';
import {
  type Candidate,
  type ExportFile,
  type ScheduleInput,
  type Settings,
  type TableFacts,
  type TrainerSchedules,
  yamlOf,
} from './target.ts';

const vocabulary: Vocabulary = {
  trainer: 'litgpt',
  shapes: ['cosine'],
  holdShapes: [],
  tail: false,
  startLr: false,
  composes: false,
  laws: [],
};

/** litgpt. */
export const litgpt: TrainerSchedules = {
  vocabulary,
  convention:
    'litgpt makes step t with the rate of t − 1/A, A the micro-batches of a step on a device, and knows whole steps only',
  countsOn: false,
  candidates,
  write: (settings) => ({ name: 'schedule.yaml', text: yamlOf(settings) }),
  loader,
};

function candidates(input: ScheduleInput): readonly Candidate[] {
  const { curve, nSteps, sequencesPerStep, nCtx, iterationsPerStep } = input;
  const shape = trapezoidOf(curve);
  if (!shape || (shape.warmup > 0 && shape.startLr > 0)) return [];
  const { peakLr: lr, hold, decay, tail, warmup } = shape;
  if (decay ? decay.shape !== 'cosine' || hold > 0 || tail > 0 : false) return [];
  const minLr = decay ? decay.toLr : lr;
  const whole = Math.round(warmup);
  return (whole > 0 ? [whole - 1, whole] : [0])
    .filter((warmupSteps) => warmupSteps < nSteps)
    .map((warmupSteps) => ({
      settings: {
        optimizer: { class_path: 'torch.optim.AdamW', init_args: { lr } },
        train: {
          max_tokens: nSteps * sequencesPerStep * nCtx,
          global_batch_size: sequencesPerStep,
          max_seq_length: nCtx,
          lr_warmup_steps: warmupSteps,
          min_lr: minLr,
        },
      },
      rateAt: (step) => {
        const made = step * iterationsPerStep - 1;
        const warm = warmupSteps * iterationsPerStep;
        if (made < warm) return (lr * made) / warm;
        const x = (made - warm) / (nSteps * iterationsPerStep - warm);
        return minLr + ((lr - minLr) * (1 + Math.cos(Math.PI * x))) / 2;
      },
    }));
}

function loader({ peakLr, nSteps, sequencesPerStep, nCtx }: TableFacts): ExportFile[] {
  const text = `"""Rates from a table for litgpt: in place of \`litgpt pretrain\`, run a script that imports this module and then calls

    litgpt.pretrain.setup(...)

with the options of schedule.yaml; litgpt asks get_lr() for the rate of every micro-batch.
"""

import litgpt.pretrain
from lr_table import rate

TOTAL_STEPS = ${nSteps}


def table_lr(learning_rate, it, warmup_iters, max_iters, min_lr):
    iterations_per_step = max(1, max_iters // TOTAL_STEPS)
    return rate(it // iterations_per_step + 1)


litgpt.pretrain.get_lr = table_lr
`;
  const settings: Settings = {
    optimizer: { class_path: 'torch.optim.AdamW', init_args: { lr: peakLr } },
    train: {
      max_tokens: nSteps * sequencesPerStep * nCtx,
      global_batch_size: sequencesPerStep,
      max_seq_length: nCtx,
      lr_warmup_steps: 0,
      min_lr: peakLr,
    },
  };
  return [
    { name: 'litgpt_lr_table.py', text },
    { name: 'schedule.yaml', text: yamlOf(settings) },
  ];
}
