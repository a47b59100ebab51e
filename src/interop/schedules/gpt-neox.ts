/**
 * Schedules of gpt-neox: `lr-decay-style`.
 *
 * Form read from EleutherAI/gpt-neox ea7aefd8, megatron/learning_rates.py (AnnealingLR), megatron/training.py
 * (get_learning_rate_scheduler). With n its count of iterations, W = warmup · lr-decay-iters (not rounded) and
 * E = lr-decay-iters − W:
 *
 *     n <= W        lr · max(1, n) / W
 *     cosine        min + (lr − min) / 2 · (1 + cos(π (n − W) / E)); on up again behind the end
 *     linear        lr · (E − (n − W)) / E: down to 0, not to min_lr, which only cuts it off
 *     exponential   lr · exp(−0.693 (n − W) / E): a half-life, so that any ratio form is one of them
 *
 * all not below min_lr. The scheduler is stepped after the optimizer: step t is made with n = t − 1. The infinite schedules
 * of the paper are on its branches only, never on main: `infinite_lr` (38152424) has `infinite_cosine` and `infinite_inv_sqrt`
 * with phases by their lengths, and gets a file of its own beside the table. Its warm-up is lr · n / W.
 */
import { trapezoidOf, type Vocabulary, whole } from './shape.ts';
import {
  type Candidate,
  type ExportFile,
  jsonOf,
  type ScheduleInput,
  type Settings,
  type StepSizes,
  type TableFacts,
  type TrainerSchedules,
} from './target.ts';

/** Three digits of ln 2, as gpt-neox has it. */
const HALF_LIFE = 693 / 1000;

const vocabulary: Vocabulary = {
  trainer: 'gpt-neox',
  shapes: ['cosine', 'linear', 'exponential'],
  holdShapes: [],
  tail: false,
  startLr: false,
  composes: false,
  laws: [],
};

/** gpt-neox. */
export const gptNeox: TrainerSchedules = {
  vocabulary,
  convention: 'gpt-neox makes step t with the rate of t − 1',
  countsOn: true,
  candidates,
  write,
  loader,
  branch,
};

function candidates({ curve }: ScheduleInput): readonly Candidate[] {
  const shape = trapezoidOf(curve);
  if (!shape || (shape.warmup > 0 && shape.startLr > 0)) return [];
  const { peakLr, warmup, hold, decay, total } = shape;
  const of = (style: string, decayIters: number, minLr: number): Candidate[] => {
    if (!(decayIters >= 1) || warmup >= decayIters) return [];
    const settings = {
      lr: peakLr,
      min_lr: minLr,
      'lr-decay-style': style,
      'lr-decay-iters': decayIters,
      warmup: warmup / decayIters,
    };
    return [{ settings, rateAt: (step) => rateOf(settings, step - 1) }];
  };
  if (!decay) return of('constant', Math.ceil(total), peakLr);
  if (hold > 0) return [];
  const { toLr, steps } = decay;
  switch (decay.shape) {
    case 'cosine': {
      const end = whole(warmup + steps);
      return of('cosine', end ?? Math.round(warmup + steps), toLr);
    }
    case 'linear':
      return toLr < peakLr
        ? of('linear', Math.round(warmup + (steps * peakLr) / (peakLr - toLr)), toLr)
        : [];
    case 'exponential':
      return toLr < peakLr
        ? of(
            'exponential',
            Math.round(warmup + (steps * HALF_LIFE) / Math.log(peakLr / toLr)),
            toLr,
          )
        : [];
    default:
      return [];
  }
}

interface NeoxSettings {
  readonly lr: number;
  readonly min_lr: number;
  readonly 'lr-decay-style': string;
  readonly 'lr-decay-iters': number;
  readonly warmup: number;
}

function rateOf(settings: NeoxSettings, count: number): number {
  const { lr, min_lr: minLr, 'lr-decay-iters': decayIters } = settings;
  const warmup = settings.warmup * decayIters;
  if (warmup > 0 && count <= warmup) return (lr * Math.max(1, count)) / warmup;
  const x = (count - warmup) / (decayIters - warmup);
  switch (settings['lr-decay-style']) {
    case 'cosine':
      return Math.max(minLr + ((lr - minLr) / 2) * (1 + Math.cos(Math.PI * x)), minLr);
    case 'linear':
      return Math.max(lr * (1 - x), minLr);
    case 'exponential':
      return Math.max(lr * Math.exp(-HALF_LIFE * x), minLr);
    default:
      return Math.max(lr, minLr);
  }
}

function write(
  { lr, ...settings }: Settings,
  { nSteps, sequencesPerStep, nCtx }: StepSizes,
): ExportFile {
  const body = {
    optimizer: { params: { lr: lr! } },
    'train-iters': nSteps,
    ...batchSettings(sequencesPerStep, nCtx),
    ...settings,
  };
  const text = `# For a configuration of gpt-neox. It refuses a key in two files: merge "optimizer" into your own.\n${jsonOf(body)}\n`;
  return { name: 'schedule.yml', text };
}

/** gpt-neox makes the other two of these three from the devices. */
function batchSettings(sequencesPerStep: number, nCtx: number): Settings {
  return { train_batch_size: sequencesPerStep, seq_length: nCtx };
}

/** An infinite schedule for the branch `infinite_lr`, by lengths. */
function branch({
  curve,
  nSteps,
  sequencesPerStep,
  nCtx,
}: ScheduleInput): { readonly file: ExportFile; readonly warning: string } | null {
  const rest = [...curve.phases];
  const warmup = rest[0]?.name === 'warmup' ? rest.shift()! : null;
  const [cooldown, constant, anneal, ...more] = rest;
  if (warmup && warmup.from !== 0) return null;
  if (cooldown?.name !== 'cooldown' || constant?.name !== 'constant' || more.length > 0)
    return null;
  if (cooldown.shape !== 'cosine' && cooldown.shape !== 'inverse-sqrt') return null;
  if (anneal && (anneal.name !== 'anneal' || anneal.shape !== 'exponential')) return null;
  const shareOf = ({ start, end }: { readonly start: number; readonly end: number }): number =>
    (end - start) / nSteps;
  const settings: Settings = {
    optimizer: { params: { lr: cooldown.from } },
    'train-iters': nSteps,
    ...batchSettings(sequencesPerStep, nCtx),
    'lr-decay-iters': nSteps,
    'lr-decay-style': cooldown.shape === 'cosine' ? 'infinite_cosine' : 'infinite_inv_sqrt',
    warmup: warmup ? shareOf(warmup) : 0,
    cooldown_iters_perc: shareOf(cooldown),
    constant_iters_perc: shareOf(constant),
    constant_lr: cooldown.to,
    min_lr: anneal ? anneal.to : 0,
    ...(cooldown.timescale !== undefined && { timescale: cooldown.timescale }),
  };
  const text = `# For the branch infinite_lr of gpt-neox alone; percents are lengths of phases, as shares of the whole.\n${jsonOf(settings)}\n`;
  return {
    file: { name: 'schedule-infinite_lr.yml', text },
    warning:
      'schedule-infinite_lr.yml is for the branch infinite_lr of gpt-neox, which has this schedule: a step late, and it forgets constant_lr and the lengths of phases when it resumes',
  };
}

function loader({ firstStep, nSteps, sequencesPerStep, nCtx }: TableFacts): readonly ExportFile[] {
  const text = `"""Rates from a table for gpt-neox.

In megatron/training.py let get_learning_rate_scheduler() return TableLR(optimizer). "lr" of the optimizer may stay as it
is; use_checkpoint_lr_scheduler and override_lr_scheduler have no effect on a table.
"""

from lr_table import rate

# Iterations that gpt-neox has counted before the first step of the table.
FIRST_STEP = ${firstStep}


class TableLR:
    def __init__(self, optimizer, num_iters=FIRST_STEP):
        self.optimizer = optimizer
        self.step(num_iters)

    def get_lr(self):
        return rate(self.num_iters - FIRST_STEP + 1)

    def step(self, step_num=None):
        # Called after the optimizer: what is set here is the rate of the next step.
        self.num_iters = self.num_iters + 1 if step_num is None else step_num
        for group in self.optimizer.param_groups:
            group["lr"] = self.get_lr() / group.get("width_mult", 1)

    def state_dict(self):
        return {"num_iters": self.num_iters}

    def load_state_dict(self, state):
        self.step(state["num_iters"])
`;
  const options = jsonOf({
    'train-iters': firstStep + nSteps,
    ...batchSettings(sequencesPerStep, nCtx),
  });
  return [
    { name: 'gpt_neox_lr_table.py', text },
    { name: 'schedule.yml', text: `${options}\n` },
  ];
}
