/**
 * Schedules of the Trainer of Hugging Face transformers, and of Axolotl, which builds on it.
 *
 * Forms read from transformers 5.23.0, optimization.py and trainer.py; axolotl-ai-cloud/axolotl 067b021c,
 * src/axolotl/core/trainers/mixins/scheduler.py and utils/schedulers.py. LambdaLR counts the steps that were made: step t
 * has s = t − 1. With W = warmup_steps, T = max_steps, all times learning_rate:
 *
 *     constant                   1
 *     constant_with_warmup       s / W, then 1
 *     cosine_warmup_with_min_lr  (s + 1) / W, or r + (1 − r) s / (W − 1) with warmup_lr_rate r;
 *                                then m + (1 − m)(1 + cos(π (s + 1 − W) / (T − W))) / 2, m = min_lr_rate
 *     linear                     s / W, then (T − s) / (T − W)
 *     polynomial                 s / W, then m + (1 − m)(1 − (s − W) / (T − W))^power, m = lr_end / learning_rate
 *     inverse_sqrt               s / W, then 1 / √((s + τ − W) / τ), τ = timescale
 *     warmup_stable_decay        m + (1 − m) s / W, 1 for num_stable_steps, then m + (1 − m) d(x) over num_decay_steps,
 *                                d linear, cosine or 1-sqrt, then m = min_lr_ratio
 *     Axolotl, lr_scheduler cosine with cosine_min_lr_ratio m and cosine_constant_lr_ratio c:
 *                                s / W, then m + (1 − m)(1 + cos(π (min(s, C) − W) / (C − W))) / 2, C = ⌊cT⌋
 *
 * Only the first cosine counts from 1; with m = 1 it is an exact constant behind a warm-up, too. The others come a step
 * late, which a flat stretch can undo.
 */
import { lawOf, trapezoidOf, type Vocabulary } from './shape.ts';
import {
  type Candidate,
  decimal,
  type ExportFile,
  jsonOf,
  type ScheduleInput,
  type Settings,
  type StepSizes,
  type TableFacts,
  type TrainerSchedules,
  yamlOf,
} from './target.ts';

const vocabulary: Vocabulary = {
  trainer: 'HF Trainer',
  shapes: ['cosine', 'linear', '1-sqrt'],
  holdShapes: ['cosine', 'linear', '1-sqrt'],
  tail: true,
  startLr: true,
  composes: false,
  laws: ['root'],
};

const convention =
  'transformers makes step t with the rate of t − 1 (all but cosine_warmup_with_min_lr) and knows whole steps only';

/** The Trainer of transformers: TrainingArguments as JSON. */
export const hf: TrainerSchedules = {
  vocabulary,
  convention,
  countsOn: false,
  candidates: (input) => candidates(input, false),
  write: trainingArguments,
  loader: hfLoader,
};

/** Axolotl: the same schedules as YAML, and two of its own. */
export const axolotl: TrainerSchedules = {
  vocabulary: { ...vocabulary, trainer: 'Axolotl' },
  convention,
  countsOn: false,
  candidates: (input) => candidates(input, true),
  write: ({ lr_scheduler_type: type, ...settings }, sizes) => ({
    name: 'schedule.yml',
    text: `${axolotlBatch(sizes)}${yamlOf({ sequence_len: sizes.nCtx, lr_scheduler: type!, ...settings })}`,
  }),
  loader: axolotlLoader,
};

/** What depends on the devices is said beside. */
function axolotlBatch({ sequencesPerStep }: StepSizes): string {
  return `# A step is ${sequencesPerStep} sequences: micro_batch_size x gradient_accumulation_steps x devices must be ${sequencesPerStep}.\n`;
}

function trainingArguments(settings: Settings): ExportFile {
  return { name: 'training_args.json', text: `${jsonOf(settings)}\n` };
}

/** Settings, and the multiple of learning_rate at s steps made. */
interface Form {
  readonly type: string;
  readonly warmup: number;
  readonly kwargs?: Settings;
  readonly more?: Settings;
  readonly factor: (made: number) => number;
}

function candidates(input: ScheduleInput, isAxolotl: boolean): readonly Candidate[] {
  const { curve, nSteps } = input;
  const root = lawOf(curve, 'root');
  const shape = trapezoidOf(curve);
  const peakLr = root?.peakLr ?? shape?.peakLr;
  if (peakLr === undefined || !(peakLr > 0)) return [];
  const forms = root
    ? rootForms(Math.round(root.warmup), root.law.timescale!)
    : trapezoidForms(input, isAxolotl);
  return forms
    .filter(({ warmup }) => warmup >= 0)
    .map(({ type, warmup, kwargs, more, factor }) => ({
      settings: {
        learning_rate: peakLr,
        lr_scheduler_type: type,
        ...(kwargs && { lr_scheduler_kwargs: kwargs }),
        ...more,
        warmup_steps: warmup,
        max_steps: nSteps,
      },
      rateAt: (step) => peakLr * factor(step - 1),
    }));
}

function rootForms(wholeWarmup: number, timescale: number): Form[] {
  return [wholeWarmup - 1, wholeWarmup].map((warmup) => ({
    type: 'inverse_sqrt',
    warmup,
    kwargs: { timescale },
    factor: (made) =>
      made < warmup ? made / warmup : 1 / Math.sqrt((made + timescale - warmup) / timescale),
  }));
}

function trapezoidForms({ curve, nSteps }: ScheduleInput, isAxolotl: boolean): Form[] {
  const { startLr, peakLr, warmup: exactWarmup, hold, decay, tail } = trapezoidOf(curve)!;
  const warmup = Math.round(exactWarmup);
  const fromZero = startLr === 0 || exactWarmup === 0;
  if (!decay) {
    if (warmup === 0) return [{ type: 'constant', warmup: 0, factor: () => 1 }];
    return [cosineForm(warmup, nSteps, 1, warmupRate(warmup, startLr / peakLr))];
  }
  const least = decay.toLr / peakLr;
  const forms: Form[] = [];
  if (decay.shape === 'cosine' && hold === 0 && tail === 0) {
    forms.push(cosineForm(warmup, nSteps, least, warmupRate(warmup, startLr / peakLr)));
  }
  if (decay.shape === 'linear' && hold === 0 && tail === 0 && fromZero) {
    forms.push(...[warmup - 1, warmup].map((late) => linearForm(late, nSteps, least, decay.toLr)));
  }
  if (isAxolotl && decay.shape === 'cosine' && hold === 0 && fromZero && least > 0 && tail > 0) {
    forms.push(
      ...[warmup - 1, warmup].map((late) =>
        constantCosineForm(late, nSteps, least, warmup + Math.round(decay.steps) - 1),
      ),
    );
  }
  if (decay.shape === 'linear' || decay.shape === 'cosine' || decay.shape === '1-sqrt') {
    const wsd = (late: number, stable: number): Form[] =>
      stable >= 0
        ? [stableForm(decay.shape, { warmup: late, stable, decay: Math.round(decay.steps), least })]
        : [];
    const flat = Math.round(hold);
    forms.push(...wsd(warmup - 1, flat), ...wsd(warmup, flat - 1), ...wsd(warmup, flat));
  }
  return forms;
}

/** warmup_lr_rate for a warm-up that starts above 0: the rate of step 1. */
function warmupRate(warmup: number, start: number): number | null {
  return start > 0 && warmup > 1 ? start + (1 - start) / warmup : null;
}

function cosineForm(
  warmup: number,
  total: number,
  least: number,
  warmupLrRate: number | null,
): Form {
  return {
    type: 'cosine_warmup_with_min_lr',
    warmup,
    kwargs: {
      min_lr_rate: least,
      ...(warmupLrRate !== null && { warmup_lr_rate: warmupLrRate }),
    },
    factor: (made) => {
      if (made < warmup) {
        return warmupLrRate === null
          ? (made + 1) / Math.max(1, warmup)
          : warmupLrRate + ((1 - warmupLrRate) * made) / Math.max(1, warmup - 1);
      }
      const x = (made - warmup + 1) / Math.max(1, total - warmup);
      return Math.max(0, ((1 + Math.cos(Math.PI * x)) / 2) * (1 - least) + least);
    },
  };
}

function linearForm(warmup: number, total: number, least: number, toLr: number): Form {
  const factor = (made: number): number =>
    made < warmup
      ? made / warmup
      : least + (1 - least) * (1 - (made - warmup) / Math.max(1, total - warmup));
  return toLr === 0
    ? { type: 'linear', warmup, factor }
    : { type: 'polynomial', warmup, kwargs: { lr_end: toLr, power: 1 }, factor };
}

function constantCosineForm(warmup: number, total: number, least: number, end: number): Form {
  // A hair above, so that the trainer's ⌊ratio · T⌋ is the step that is meant.
  const ratio = (end + 1e-3) / total;
  const last = Math.floor(total * ratio);
  return {
    type: 'cosine',
    warmup,
    more: { cosine_min_lr_ratio: least, cosine_constant_lr_ratio: ratio },
    factor: (made) => {
      if (made < warmup) return made / Math.max(1, warmup);
      const x = (Math.min(made, last) - warmup) / Math.max(1, last - warmup);
      return least + ((1 - least) * (1 + Math.cos(Math.PI * x))) / 2;
    },
  };
}

function stableForm(
  shape: string,
  {
    warmup,
    stable,
    decay,
    least,
  }: {
    readonly warmup: number;
    readonly stable: number;
    readonly decay: number;
    readonly least: number;
  },
): Form {
  return {
    type: 'warmup_stable_decay',
    warmup,
    kwargs: {
      num_stable_steps: stable,
      num_decay_steps: decay,
      warmup_type: 'linear',
      decay_type: shape,
      min_lr_ratio: least,
    },
    factor: (made) => {
      if (made < warmup) return least + (1 - least) * (made / warmup);
      const x = (made - warmup - stable) / Math.max(1, decay);
      if (x < 0) return 1;
      if (x >= 1) return least;
      const left =
        shape === 'linear'
          ? 1 - x
          : shape === 'cosine'
            ? (1 + Math.cos(Math.PI * x)) / 2
            : 1 - Math.sqrt(x);
      return least + (1 - least) * left;
    },
  };
}

function hfLoader({ peakLr, nSteps }: TableFacts): ExportFile[] {
  const text = `"""Rates from a table for the Trainer of transformers: use TableTrainer in place of Trainer.

Options that go with it are in training_args.json.
"""

from lr_table import rate
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer

# learning_rate of the training arguments.
PEAK_LR = ${decimal(peakLr)}


def table_scheduler(optimizer):
    # LambdaLR counts the steps that were made.
    return LambdaLR(optimizer, lambda made: rate(made + 1) / PEAK_LR)


class TableTrainer(Trainer):
    def create_scheduler(self, num_training_steps, optimizer=None):
        if self.lr_scheduler is None:
            self.lr_scheduler = table_scheduler(optimizer or self.optimizer)
            self._created_lr_scheduler = True
        return self.lr_scheduler
`;
  const options = {
    learning_rate: peakLr,
    lr_scheduler_type: 'constant',
    warmup_steps: 0,
    max_steps: nSteps,
  };
  return [{ name: 'hf_lr_table.py', text }, trainingArguments(options)];
}

function axolotlLoader(facts: TableFacts): ExportFile[] {
  const { peakLr, nSteps, nCtx } = facts;
  const text = `"""Rates from a table for Axolotl, as a plugin that schedule.yml names."""

from axolotl.integrations.base import BasePlugin
from lr_table import rate
from torch.optim.lr_scheduler import LambdaLR

# learning_rate of the configuration.
PEAK_LR = ${decimal(peakLr)}


class TablePlugin(BasePlugin):
    def create_lr_scheduler(self, cfg, trainer, optimizer, num_training_steps):
        # LambdaLR counts the steps that were made.
        return LambdaLR(optimizer, lambda made: rate(made + 1) / PEAK_LR)
`;
  const options = {
    sequence_len: nCtx,
    learning_rate: peakLr,
    warmup_steps: 0,
    max_steps: nSteps,
  };
  const yaml = `${axolotlBatch(facts)}${yamlOf(options)}plugins:\n  - axolotl_lr_table.TablePlugin\n`;
  return [
    { name: 'axolotl_lr_table.py', text },
    { name: 'schedule.yml', text: yaml },
  ];
}
