/**
 * Schedules of torchtitan: `LRSchedulersContainer.Config`.
 *
 * Form read from pytorch/torchtitan b5bcd76c, torchtitan/components/optimizer/lr_scheduler.py. With t = 1 for the first
 * step, W = warmup_steps (whole), T = total_steps, D = round(T · decay_ratio), or T − W without a ratio:
 *
 *     t <= W              t / W
 *     t <= T + 1 − D      1
 *     then                f + (1 − f) · s(x), x = (t − (T + 1 − D)) / D, f = min_lr_factor; s = 1 − x, 1 − √x or cosine
 *
 * times the optimizer's rate. The flat stretch is a step longer than W and D say; total_steps one below the steps that are
 * trained undoes that exactly where there is a flat stretch of a step or more.
 */
import { trapezoidOf, type Vocabulary } from './shape.ts';
import {
  type Candidate,
  decimal,
  type ExportFile,
  pythonOf,
  type ScheduleInput,
  type Settings,
  type StepSizes,
  type TableFacts,
  type TrainerSchedules,
} from './target.ts';

const SHAPES = { cosine: 'cosine', linear: 'linear', '1-sqrt': 'sqrt' } as const;

const vocabulary: Vocabulary = {
  trainer: 'torchtitan',
  shapes: ['cosine', 'linear', '1-sqrt'],
  holdShapes: ['cosine', 'linear', '1-sqrt'],
  tail: false,
  startLr: false,
  composes: false,
  laws: [],
};

/** torchtitan. */
export const torchtitan: TrainerSchedules = {
  vocabulary,
  convention:
    'torchtitan rounds phases to whole steps, and its decay starts a step late where no flat stretch precedes it',
  countsOn: false,
  candidates,
  write,
  loader,
};

interface TitanSettings {
  readonly lr: number;
  readonly warmup_steps: number;
  readonly total_steps: number;
  readonly decay_ratio: number | null;
  readonly decay_type: string;
  readonly min_lr_factor: number;
}

function candidates({ curve, nSteps }: ScheduleInput): readonly Candidate[] {
  const shape = trapezoidOf(curve);
  if (!shape || (shape.warmup > 0 && shape.startLr > 0) || shape.peakLr <= 0) return [];
  const { peakLr: lr, decay, hold, tail } = shape;
  const warmup = Math.round(shape.warmup);
  const of = (
    warmupSteps: number,
    totalSteps: number,
    ratio: number | null,
    type: string,
    factor: number,
  ): Candidate[] => {
    if (warmupSteps < 0 || totalSteps < Math.max(1, warmupSteps)) return [];
    const settings = {
      lr,
      warmup_steps: warmupSteps,
      total_steps: totalSteps,
      decay_ratio: ratio,
      decay_type: type,
      min_lr_factor: factor,
    };
    return [{ settings: { ...settings }, rateAt: (step) => rateOf(settings, step) }];
  };
  if (!decay) return of(warmup, nSteps, 0, 'linear', 1);
  const type = (SHAPES as Readonly<Record<string, string>>)[decay.shape];
  if (type === undefined || tail > 0) return [];
  const factor = decay.toLr / lr;
  const steps = Math.round(decay.steps);
  if (hold > 0)
    return [nSteps - 1, nSteps].flatMap((total) => of(warmup, total, steps / total, type, factor));
  return [
    ...of(warmup - 1, nSteps - 1, null, type, factor),
    ...of(warmup, nSteps, null, type, factor),
  ];
}

function rateOf(settings: TitanSettings, step: number): number {
  const { lr, warmup_steps: warmup, total_steps: total, min_lr_factor: least } = settings;
  if (step <= warmup) return (lr * step) / warmup;
  const ratio = settings.decay_ratio;
  const decay = Math.min(ratio === null ? total - warmup : pyRound(total * ratio), total - warmup);
  const start = total + 1 - decay;
  if (step <= start) return lr;
  const x = (step - start) / decay;
  const kind = settings.decay_type;
  const left =
    kind === 'linear'
      ? 1 - x
      : kind === 'sqrt'
        ? 1 - Math.sqrt(x)
        : (1 + Math.cos(Math.PI * x)) / 2;
  return lr * (least + (1 - least) * left);
}

/** Python's round(): halves go to the even neighbour. */
function pyRound(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Lines of the training configuration. */
function trainingConfig({ sequencesPerStep, nCtx }: StepSizes): string {
  return `training = TrainingConfig(
    steps=TRAINING_STEPS,
    global_batch_size=${sequencesPerStep},
    seq_len=${nCtx},
)
`;
}

function write({ lr, ...settings }: Settings, sizes: StepSizes): ExportFile {
  const fields = Object.entries(settings).map(([key, value]) => `    ${key}=${pythonOf(value)},\n`);
  const text = `# For a Trainer.Config of torchtitan: optimizer, lr_scheduler and training.
from torchtitan.components.optimizer import LRSchedulersContainer, default_adamw
from torchtitan.config import TrainingConfig

TRAINING_STEPS = ${sizes.nSteps}
${trainingConfig(sizes)}optimizer = default_adamw(lr=${pythonOf(lr!)})
lr_scheduler = LRSchedulersContainer.Config(
${fields.join('')})
`;
  return { name: 'schedule.py', text };
}

function loader(facts: TableFacts): ExportFile[] {
  const { peakLr, nSteps } = facts;
  const text = `"""Rates from a table for torchtitan: optimizer, lr_scheduler and training for a Trainer.Config."""

from dataclasses import dataclass

from lr_table import rate
from torchtitan.components.optimizer import LRSchedulersContainer, default_adamw
from torchtitan.config import TrainingConfig

TRAINING_STEPS = ${nSteps}
PEAK_LR = ${decimal(peakLr)}
${trainingConfig(facts)}

class TableSchedulers(LRSchedulersContainer):
    @dataclass(kw_only=True, slots=True)
    class Config(LRSchedulersContainer.Config):
        def build(self, *, optimizers, training_steps):
            # LambdaLR counts the steps that were made.
            return LRSchedulersContainer(optimizers, lambda made: rate(made + 1) / PEAK_LR)


optimizer = default_adamw(lr=PEAK_LR)
lr_scheduler = TableSchedulers.Config(warmup_steps=0)
`;
  return [{ name: 'torchtitan_lr_table.py', text }];
}
