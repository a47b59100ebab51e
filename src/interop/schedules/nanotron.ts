/**
 * Schedules of nanotron: `optimizer.learning_rate_scheduler`.
 *
 * Form read from huggingface/nanotron 2411b022, src/nanotron/helpers.py (lr_scheduler_builder), config/config.py
 * (LRSchedulerArgs), trainer.py. Its LambdaLR counts the steps that were made: step t has s = t − 1. With
 * W = lr_warmup_steps, S = lr_decay_starting_step, D = lr_decay_steps:
 *
 *     s <= W      learning_rate · s / W; learning_rate with lr_warmup_style constant
 *     s < S       learning_rate
 *     s < S + D   down to min_decay_lr over x = (s − S) / D: cosine, linear or 1-sqrt
 *     then        min_decay_lr
 *
 * A linear warm-up makes its first step with the rate 0, even one of no steps; without a warm-up the style constant and a
 * decay that starts a step sooner are exact.
 */
import { trapezoidOf, type Vocabulary } from './shape.ts';
import {
  type Candidate,
  decimal,
  type ExportFile,
  type ScheduleInput,
  type Settings,
  type StepSizes,
  type TableFacts,
  type TrainerSchedules,
  yamlOf,
} from './target.ts';

const vocabulary: Vocabulary = {
  trainer: 'nanotron',
  shapes: ['cosine', 'linear', '1-sqrt'],
  holdShapes: ['cosine', 'linear', '1-sqrt'],
  tail: true,
  startLr: false,
  composes: false,
  laws: [],
};

/** nanotron. */
export const nanotron: TrainerSchedules = {
  vocabulary,
  convention: 'nanotron makes step t with the rate of t − 1 and knows whole steps only',
  countsOn: false,
  candidates,
  write,
  loader,
};

interface NanotronSettings {
  readonly learning_rate: number;
  readonly lr_warmup_steps: number;
  readonly lr_warmup_style: string;
  readonly lr_decay_style: string;
  readonly lr_decay_starting_step: number;
  readonly lr_decay_steps: number;
  readonly min_decay_lr: number;
}

function candidates({ curve, nSteps }: ScheduleInput): readonly Candidate[] {
  const shape = trapezoidOf(curve);
  if (!shape || (shape.warmup > 0 && shape.startLr > 0) || !(shape.peakLr > 0)) return [];
  const { peakLr, hold, decay } = shape;
  const style = decay?.shape ?? 'linear';
  if (style !== 'linear' && style !== 'cosine' && style !== '1-sqrt') return [];
  const warmup = Math.round(shape.warmup);
  const flatEnd = warmup + Math.round(hold);
  const found: Candidate[] = [];
  for (const warmupSteps of [warmup - 1, warmup]) {
    for (const start of decay ? [flatEnd - 1, flatEnd] : [nSteps]) {
      if (warmupSteps < 0 || start < warmupSteps) continue;
      const settings: NanotronSettings = {
        learning_rate: peakLr,
        lr_warmup_steps: warmupSteps,
        lr_warmup_style: warmupSteps === 0 ? 'constant' : 'linear',
        lr_decay_style: style,
        lr_decay_starting_step: start,
        lr_decay_steps: decay ? Math.max(1, Math.round(decay.steps)) : 1,
        min_decay_lr: decay ? decay.toLr : peakLr,
      };
      found.push({ settings: { ...settings }, rateAt: (step) => rateOf(settings, step - 1) });
    }
  }
  return found;
}

function rateOf(settings: NanotronSettings, made: number): number {
  const { learning_rate: lr, lr_warmup_steps: warmup, min_decay_lr: least } = settings;
  if (made <= warmup) {
    return settings.lr_warmup_style === 'constant' ? lr : (lr * made) / Math.max(warmup, 1);
  }
  const start = settings.lr_decay_starting_step;
  if (made < start) return lr;
  if (made >= start + settings.lr_decay_steps) return least;
  const x = (made - start) / settings.lr_decay_steps;
  const style = settings.lr_decay_style;
  const left =
    style === 'cosine'
      ? (1 + Math.cos(Math.PI * x)) / 2
      : style === 'linear'
        ? 1 - x
        : 1 - Math.sqrt(x);
  return least + (lr - least) * left;
}

function write(settings: Settings, { nSteps, sequencesPerStep, nCtx }: StepSizes): ExportFile {
  const body: Settings = {
    tokens: { train_steps: nSteps, sequence_length: nCtx },
    optimizer: { learning_rate_scheduler: settings },
  };
  const batch = `# A step is ${sequencesPerStep} sequences: micro_batch_size x batch_accumulation_per_replica x parallelism.dp must be ${sequencesPerStep}.\n`;
  return { name: 'schedule.yaml', text: `${batch}${yamlOf(body)}` };
}

function loader(facts: TableFacts): ExportFile[] {
  const { peakLr, nSteps } = facts;
  const text = `"""Rates from a table for nanotron: call use_table(trainer) between DistributedTrainer(…) and trainer.train(…)."""

from lr_table import rate
from torch.optim.lr_scheduler import LambdaLR

# learning_rate of schedule.yaml.
PEAK_LR = ${decimal(peakLr)}


def use_table(trainer):
    optimizer = trainer.optimizer.get_base_optimizer()
    # A loaded optimizer brings the rates of its own run along.
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = PEAK_LR
    made = trainer.metadata.last_train_step
    trainer.lr_scheduler = LambdaLR(
        optimizer, lambda count: rate(count + 1) / PEAK_LR, last_epoch=made - 1
    )
`;
  const settings: NanotronSettings = {
    learning_rate: peakLr,
    lr_warmup_steps: 0,
    lr_warmup_style: 'constant',
    lr_decay_style: 'linear',
    lr_decay_starting_step: nSteps,
    lr_decay_steps: 1,
    min_decay_lr: peakLr,
  };
  return [{ name: 'nanotron_lr_table.py', text }, write({ ...settings }, facts)];
}
