/**
 * Schedules of OLMo-core: olmo_core.optim.scheduler.
 *
 * Form read from allenai/OLMo-core fa6c5014, src/olmo_core/optim/scheduler.py, train/trainer.py. Its count is raised before
 * the step is made: step t has c = t, or t · tokens of a step with `units: tokens`; all lengths are whole in their unit. So a
 * phase that does not end on a step can end on a token. With W = warmup, T = t_max:
 *
 *     ConstantScheduler     initial
 *     ConstantWithWarmup    warmup_min_lr + (initial − warmup_min_lr) · c / W up to W, then initial
 *     CosWithWarmup         then α + (initial − α)(1 + cos(π (c − W) / (T − W))) / 2, from T on α = alpha_f · initial
 *     LinearWithWarmup      then a line to α
 *     WSD                   initial, and a line to decay_min_lr over the last `decay` of the trainer's whole
 *     InvSqrtWithWarmup     α + (initial − α) · √(W / c)
 *     PowerLR               initial · (c / W)^b, then a line
 *     ComposableScheduler   stages of linear or cosine, each from start_lr (default: the end before) to end_lr over
 *                           `duration`; a stage holds for start <= c < end, then the last end_lr
 *
 * Our phases hold for start < t <= end. At a jump (a second warm-up) a stage of one unit keeps the rate of the end, and
 * the next one starts a unit later from the rate that it has there; only lines can.
 */
import type { LrCurve, Phase } from '../../schedules/curve.ts';
import { lawOf, type Trapezoid, trapezoidOf, type Vocabulary, whole } from './shape.ts';
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

const MAX_STAGES = 2000;

const vocabulary: Vocabulary = {
  trainer: 'OLMo-core',
  shapes: ['cosine', 'linear'],
  holdShapes: ['cosine', 'linear'],
  tail: true,
  startLr: true,
  composes: true,
  laws: ['root', 'power'],
};

/** OLMo-core. */
export const olmoCore: TrainerSchedules = {
  vocabulary,
  convention: 'OLMo-core knows whole steps or whole tokens only',
  countsOn: false,
  candidates,
  write,
  loader,
};

/** Counts of the trainer's unit. */
interface Unit {
  readonly name: 'steps' | 'tokens';
  /** Units of a step. */
  readonly perStep: number;
  /** Steps as whole units. */
  readonly count: (steps: number) => number;
}

function unitOf({ curve, sequencesPerStep, nCtx }: ScheduleInput): Unit {
  if (curve.phases.every(({ end }) => whole(end) !== null)) {
    return { name: 'steps', perStep: 1, count: Math.round };
  }
  const perStep = sequencesPerStep * nCtx;
  return { name: 'tokens', perStep, count: (steps) => Math.round(steps * perStep) };
}

function candidates(input: ScheduleInput): readonly Candidate[] {
  const { curve, nSteps } = input;
  const unit = unitOf(input);
  const found: Candidate[] = [];
  const add = (
    scheduler: string,
    lr: number,
    fields: Settings,
    rate: (count: number) => number,
  ): void => {
    found.push({
      settings: { lr, scheduler, units: unit.name, fields },
      rateAt: (step) => rate(step * unit.perStep),
    });
  };
  const shape = trapezoidOf(curve);
  if (shape) simple(shape, unit, nSteps, add);
  laws(curve, unit, nSteps, add);
  const stages = stagesOf(curve, unit);
  if (stages) {
    const lr = Math.max(...curve.phases.map(({ from, to }) => Math.max(from, to)));
    add('ComposableScheduler', lr, { stages: stages.map(stageFields) }, (count) =>
      stageRate(stages, count, lr),
    );
  }
  return found;
}

type Add = (
  scheduler: string,
  lr: number,
  fields: Settings,
  rate: (count: number) => number,
) => void;

function simple(shape: Trapezoid, unit: Unit, nSteps: number, add: Add): void {
  const { startLr, peakLr: lr, hold, decay, tail } = shape;
  if (!(lr > 0)) return;
  const warmup = unit.count(shape.warmup);
  const warmupMinLr = warmup > 0 ? startLr : 0;
  // Upstream asserts warmup_min_lr < initial.
  if (warmupMinLr >= lr) return;
  const warm = (count: number): number => warmupMinLr + ((lr - warmupMinLr) * count) / warmup;
  const head: Settings = { warmup, warmup_min_lr: warmupMinLr };
  if (!decay) {
    if (warmup === 0) add('ConstantScheduler', lr, {}, () => lr);
    else add('ConstantWithWarmup', lr, head, (count) => (count <= warmup ? warm(count) : lr));
    return;
  }
  const end = unit.count(shape.warmup + hold + decay.steps);
  const least = decay.toLr;
  if ((decay.shape === 'cosine' || decay.shape === 'linear') && hold === 0) {
    const alpha = least / lr;
    const name = decay.shape === 'cosine' ? 'CosWithWarmup' : 'LinearWithWarmup';
    add(name, lr, { ...head, alpha_f: alpha, t_max: end }, (count) => {
      if (count < warmup) return warm(count);
      const floor = lr * alpha;
      if (count >= end) return floor;
      const x = (count - warmup) / (end - warmup);
      return decay.shape === 'cosine'
        ? floor + ((lr - floor) * (1 + Math.cos(Math.PI * x))) / 2
        : lr - (lr - floor) * x;
    });
  }
  if (decay.shape === 'linear' && hold > 0 && tail === 0 && least < lr) {
    const total = nSteps * unit.perStep;
    const steps = unit.count(decay.steps);
    const fields = { ...head, decay: steps, decay_fraction: null, decay_min_lr: least };
    add('WSD', lr, fields, (count) => {
      if (count <= warmup) return warm(count);
      return count >= total - steps
        ? least + ((lr - least) * Math.min(total - count, steps)) / steps
        : lr;
    });
  }
}

function laws(curve: LrCurve, unit: Unit, nSteps: number, add: Add): void {
  const root = lawOf(curve, 'root');
  if (root && root.law.minLr === 0 && Math.abs(root.law.timescale! - root.warmup) < 1e-9) {
    const warmup = unit.count(root.warmup);
    const lr = root.peakLr;
    add('InvSqrtWithWarmup', lr, { warmup, alpha_f: 0 }, (count) =>
      count < warmup ? (lr * count) / warmup : lr * Math.sqrt(warmup / count),
    );
  }
  const [first, law, decay, more] = curve.phases;
  if (first?.name !== 'warmup' || law?.shape !== 'power' || more || first.from !== 0) return;
  if (decay && decay.shape !== 'linear') return;
  const { b } = law.power!;
  const lr = law.from;
  const warmup = unit.count(first.end);
  const tail = decay ? unit.count(decay.end - decay.start) : 0;
  const least = decay?.to ?? 0;
  const total = nSteps * unit.perStep;
  const fields = { warmup, b, decay: tail, decay_fraction: null, decay_min_lr: least };
  add('PowerLR', lr, fields, (count) => {
    if (count <= warmup) return (lr * count) / warmup;
    if (tail > 0 && count >= total - tail) {
      const start = lr * ((total - tail) / warmup) ** b;
      return least + ((start - least) * Math.min(total - count, tail)) / tail;
    }
    return lr * (count / warmup) ** b;
  });
}

/** A stage of ComposableScheduler. */
interface Stage {
  readonly shape: 'linear' | 'cosine';
  readonly duration: number;
  readonly startLr: number;
  readonly endLr: number;
}

/** Phases as stages, or null where one has another shape or a cosine begins at a jump. */
function stagesOf({ phases }: LrCurve, unit: Unit): Stage[] | null {
  const stages: Stage[] = [];
  let previous: Phase | null = null;
  for (const phase of phases) {
    const { shape, from, to } = phase;
    if (shape !== 'linear' && shape !== 'cosine' && shape !== 'constant') return null;
    if (stages.length > MAX_STAGES) return null;
    const kind = shape === 'cosine' ? 'cosine' : 'linear';
    const duration = unit.count(phase.end) - unit.count(phase.start);
    if (duration <= 0) return null;
    if (previous === null || previous.to === from) {
      stages.push({ shape: kind, duration, startLr: from, endLr: to });
    } else {
      if (kind === 'cosine') return null;
      stages.push({ shape: 'linear', duration: 1, startLr: previous.to, endLr: previous.to });
      const startLr = from + (to - from) / duration;
      if (duration > 1)
        stages.push({ shape: 'linear', duration: duration - 1, startLr, endLr: to });
    }
    previous = phase;
  }
  return stages;
}

function stageFields({ shape, duration, startLr, endLr }: Stage): Settings {
  return { duration, shape, start_lr: startLr, end_lr: endLr };
}

function stageRate(stages: readonly Stage[], count: number, initialLr: number): number {
  let start = 0;
  let last = initialLr;
  for (const { shape, duration, startLr, endLr } of stages) {
    if (count < start + duration) {
      const x = (count - start) / duration;
      return shape === 'linear'
        ? startLr + (endLr - startLr) * x
        : endLr + ((startLr - endLr) * (1 + Math.cos(Math.PI * x))) / 2;
    }
    last = endLr;
    start += duration;
  }
  return last;
}

function write(
  { lr, scheduler, units, fields }: Settings,
  { nSteps, sequencesPerStep, nCtx }: StepSizes,
): ExportFile {
  const isComposable = scheduler === 'ComposableScheduler';
  const names = isComposable
    ? ['ComposableScheduler', 'ComposableSchedulerStage', 'SchedulerUnits']
    : [String(scheduler), 'SchedulerUnits'];
  const lines = isComposable
    ? [
        '    stages=[',
        ...((fields as Settings)['stages'] as readonly Settings[]).map(
          (stage) => `        ComposableSchedulerStage(${keywords(stage)}),`,
        ),
        '    ],',
      ]
    : Object.entries(fields as Settings).map(([key, value]) => `    ${key}=${pythonOf(value)},`);
  const text = [
    '# For OLMo-core: lr of the OptimConfig, scheduler of the TrainModuleConfig, max_duration of the TrainerConfig.',
    `from olmo_core.optim.scheduler import ${names.join(', ')}`,
    'from olmo_core.train import Duration',
    '',
    `LR = ${pythonOf(lr!)}`,
    `MAX_STEPS = ${nSteps}`,
    `GLOBAL_BATCH_TOKENS = ${sequencesPerStep * nCtx}`,
    `SEQUENCE_LENGTH = ${nCtx}`,
    units === 'steps'
      ? 'MAX_DURATION = Duration.steps(MAX_STEPS)'
      : 'MAX_DURATION = Duration.tokens(MAX_STEPS * GLOBAL_BATCH_TOKENS)',
    `SCHEDULER = ${String(scheduler)}(`,
    `    units=SchedulerUnits.${String(units)},`,
    ...lines,
    ')',
    '',
  ].join('\n');
  return { name: 'schedule.py', text };
}

function keywords(fields: Settings): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${pythonOf(value)}`)
    .join(', ');
}

function loader({ peakLr, nSteps, sequencesPerStep, nCtx }: TableFacts): ExportFile[] {
  const text = `"""Rates from a table for OLMo-core: scheduler of the TrainModuleConfig, lr of the OptimConfig."""

from dataclasses import dataclass

from lr_table import rate
from olmo_core.optim.scheduler import Scheduler
from olmo_core.train import Duration

LR = ${decimal(peakLr)}
GLOBAL_BATCH_TOKENS = ${sequencesPerStep * nCtx}
SEQUENCE_LENGTH = ${nCtx}
MAX_DURATION = Duration.steps(${nSteps})


@Scheduler.register("gristmill_lr_table")
@dataclass
class TableScheduler(Scheduler):
    def get_lr(self, initial_lr, current, t_max):
        # The trainer has counted the step that is about to be made.
        return initial_lr * (rate(current) / LR)


SCHEDULER = TableScheduler()
`;
  return [{ name: 'olmo_core_lr_table.py', text }];
}
