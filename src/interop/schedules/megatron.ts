/**
 * Schedules of Megatron-LM: `--lr-decay-style`.
 *
 * Form read from NVIDIA/Megatron-LM d98e8a64, megatron/core/optimizer_param_scheduler.py (get_lr) and
 * megatron/training/training.py (get_optimizer_param_scheduler, train_step). It counts samples; with n samples made
 * before, W of the warm-up (a fraction is not rounded), D to the end of the decay, V of the WSD decay:
 *
 *     n <= W               init + (lr − init) · n / W
 *     constant             lr
 *     n > D                min
 *     inverse-square-root  lr · √W / √n, not below min
 *     linear, cosine       over (n − W) / (D − W)
 *     WSD                  lr until D − V, then linear, cosine or minus_sqrt (1 − √x) over x = (n − D + V) / V
 *
 * Its WSD "exponential" is min + (lr − min)(2 · 0.5^x − 1): a line with a slight bend. The paper's exponential anneal is
 * lr · (min / lr)^x and is never written as the former.
 *
 * The scheduler is stepped after the optimizer, so that step t is made with the samples of t − 1 steps. A warm-up of W − 1
 * steps from the rate of step 1 and a decay that ends at T − 1 undo that exactly, where there is a warm-up of a step or
 * more, or a flat stretch. A descent that starts at once is a WSD decay a step longer than the whole: it begins before
 * the count does.
 */
import { lawOf, trapezoidOf, type Vocabulary, whole } from './shape.ts';
import {
  type Candidate,
  decimal,
  type ExportFile,
  type ScheduleInput,
  type Settings,
  type TableFacts,
  type TrainerSchedules,
} from './target.ts';

const vocabulary: Vocabulary = {
  trainer: 'Megatron-LM',
  shapes: ['cosine', 'linear', '1-sqrt'],
  holdShapes: ['cosine', 'linear', '1-sqrt'],
  tail: true,
  startLr: true,
  composes: false,
  laws: ['root'],
};

/** Megatron-LM. */
export const megatron: TrainerSchedules = {
  vocabulary,
  convention: 'Megatron-LM makes step t with the rate of t − 1',
  countsOn: true,
  candidates,
  write,
  loader,
};

/** A schedule in steps as Megatron counts them, 0 for the first one. */
interface Plan {
  readonly lr: number;
  readonly minLr: number;
  readonly initLr: number;
  readonly warmup: number;
  readonly decayEnd: number;
  readonly style: 'constant' | 'linear' | 'cosine' | 'inverse-square-root' | 'WSD';
  readonly wsd?: { readonly style: 'linear' | 'cosine' | 'minus_sqrt'; readonly steps: number };
}

function candidates(input: ScheduleInput): readonly Candidate[] {
  return plansOf(input).flatMap((plan) => {
    const settings = settingsOf(plan, input);
    return settings ? [{ settings, rateAt: rates(settings, input) }] : [];
  });
}

function plansOf({ curve }: ScheduleInput): Plan[] {
  const root = lawOf(curve, 'root');
  if (root && Math.abs(root.law.timescale! - root.warmup) < 1e-9) {
    const { peakLr: lr, warmup, law } = root;
    const common = { lr, minLr: law.minLr!, initLr: 0, style: 'inverse-square-root' } as const;
    return [{ ...common, warmup, decayEnd: Math.ceil(curve.totalSteps) }];
  }
  const shape = trapezoidOf(curve);
  if (!shape) return [];
  const { startLr, peakLr: lr, warmup, hold, decay, total } = shape;
  const end = decay ? warmup + hold + decay.steps : total;
  const minLr = decay ? decay.toLr : lr;
  const forms: Pick<Plan, 'style' | 'wsd'>[] = [];
  if (!decay) forms.push({ style: 'constant' });
  else {
    const { steps } = decay;
    const { shape: name } = decay;
    if ((name === 'linear' || name === 'cosine') && hold === 0) forms.push({ style: name });
    if (name === 'linear' || name === 'cosine')
      forms.push({ style: 'WSD', wsd: { style: name, steps } });
    if (name === '1-sqrt') forms.push({ style: 'WSD', wsd: { style: 'minus_sqrt', steps } });
  }
  const timings = [{ initLr: startLr, warmup, decayEnd: end }];
  if (warmup >= 1) {
    const initLr = startLr + (lr - startLr) / warmup;
    timings.unshift({ initLr, warmup: warmup - 1, decayEnd: end - 1 });
  } else if (warmup === 0) {
    timings.unshift({ initLr: lr, warmup: 0, decayEnd: end - 1 });
  }
  return forms.flatMap((form) =>
    timings
      .filter((timing) => timing.decayEnd > timing.warmup && timing.decayEnd > 0)
      .map((timing) => ({ lr, minLr, ...timing, ...form })),
  );
}

function settingsOf(
  plan: Plan,
  { nSteps, sequencesPerStep, nCtx }: ScheduleInput,
): Settings | null {
  const { lr, minLr, initLr, warmup, decayEnd, style, wsd } = plan;
  const end = whole(style === 'constant' ? Math.ceil(decayEnd) : decayEnd);
  const wsdSteps = wsd ? whole(wsd.steps) : 0;
  const bySteps = end !== null && wsdSteps !== null;
  const samples = (steps: number): number => Math.round(steps * sequencesPerStep);
  const unit = bySteps ? 'iters' : 'samples';
  const decay = bySteps ? end : samples(decayEnd);
  const wholeWarmup = bySteps ? whole(warmup) : null;
  if (!(decay > 0)) return null;
  return {
    'train-iters': bySteps ? nSteps : null,
    'train-samples': bySteps ? null : nSteps * sequencesPerStep,
    'global-batch-size': sequencesPerStep,
    'seq-length': nCtx,
    lr,
    'min-lr': minLr,
    'lr-decay-style': style,
    [`lr-decay-${unit}`]: decay,
    ...(wholeWarmup === null
      ? { 'lr-warmup-fraction': warmup / (bySteps ? decay : decay / sequencesPerStep) }
      : { 'lr-warmup-iters': wholeWarmup }),
    'lr-warmup-init': warmup > 0 ? initLr : 0,
    ...(wsd && {
      'lr-wsd-decay-style': wsd.style,
      [`lr-wsd-decay-${unit}`]: bySteps ? wsdSteps : samples(wsd.steps),
    }),
  };
}

function rates(settings: Settings, { sequencesPerStep }: ScheduleInput): (step: number) => number {
  const number = (key: string): number | undefined => settings[key] as number | undefined;
  const samples = (name: string): number =>
    number(`${name}-samples`) ?? (number(`${name}-iters`) ?? 0) * sequencesPerStep;
  const lr = number('lr')!;
  const minLr = number('min-lr')!;
  const initLr = number('lr-warmup-init')!;
  const decayEnd = samples('lr-decay');
  const fraction = number('lr-warmup-fraction');
  const warmup = fraction === undefined ? samples('lr-warmup') : fraction * decayEnd;
  const wsdDecay = samples('lr-wsd-decay');
  return (step) => {
    const made = (step - 1) * sequencesPerStep;
    if (warmup > 0 && made <= warmup) return initLr + (lr - initLr) * (made / warmup);
    const style = settings['lr-decay-style'];
    if (style === 'constant') return lr;
    if (made > decayEnd) return minLr;
    if (style === 'inverse-square-root') {
      return Math.max(minLr, lr * Math.sqrt(Math.max(warmup, 1) / Math.max(made, 1)));
    }
    const wsdStart = decayEnd - wsdDecay;
    if (style === 'WSD' && made <= wsdStart) return lr;
    const x =
      style === 'WSD' ? (made - wsdStart) / wsdDecay : (made - warmup) / (decayEnd - warmup);
    return minLr + (lr - minLr) * remaining(settings['lr-wsd-decay-style'] ?? style, x);
  };
}

function remaining(shape: unknown, x: number): number {
  if (shape === 'linear') return 1 - x;
  return shape === 'cosine' ? (1 + Math.cos(Math.PI * x)) / 2 : 1 - Math.sqrt(x);
}

function write(settings: Settings): ExportFile {
  const lines = Object.entries(settings)
    .filter(([, value]) => value !== null)
    .map(
      ([key, value]) => `--${key} ${typeof value === 'number' ? decimal(value) : String(value)}\n`,
    );
  return { name: 'schedule.args', text: lines.join('') };
}

function loader({ firstStep, peakLr, nSteps, sequencesPerStep, nCtx }: TableFacts): ExportFile[] {
  const text = `"""Rates from a table for Megatron-LM.

Call install() in the training script before pretrain(). Options that go with it are in schedule.args.
"""

import megatron.training.training as training
from lr_table import rate
from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler

# Iterations that Megatron-LM has counted before the first step of the table.
FIRST_STEP = ${firstStep}
SEQUENCES_PER_STEP = ${sequencesPerStep}


class TableScheduler(OptimizerParamScheduler):
    def get_lr(self, param_group):
        # num_steps counts the samples of the steps that were made.
        return rate(self.num_steps / SEQUENCES_PER_STEP - FIRST_STEP + 1)


def install():
    training.OptimizerParamScheduler = TableScheduler
`;
  const args: Settings = {
    'train-iters': firstStep + nSteps,
    'global-batch-size': sequencesPerStep,
    'seq-length': nCtx,
    lr: peakLr,
    'lr-decay-style': 'constant',
  };
  return [{ name: 'megatron_lr_table.py', text }, write(args)];
}
