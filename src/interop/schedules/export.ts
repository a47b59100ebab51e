/**
 * Schedules for other trainers: their own options where those make the curve, a table with a loader elsewhere.
 *
 * Every candidate of a trainer is compared with the curve at every step; the files are written from the same settings. In
 * order: an own schedule that is exact (1e-6 of each step's rate); the nearest own one within `tolerance` of the largest
 * rate, with a warning that says by how much and with the table beside it; the table.
 */
import { GristmillError } from '../../errors.ts';
import type { LrCurve } from '../../schedules/curve.ts';
import { gptNeox } from './gpt-neox.ts';
import { axolotl, hf } from './hf.ts';
import { litgpt } from './litgpt.ts';
import { type Deviation, deviationOf, EXACT, largestRate } from './measure.ts';
import { megatron } from './megatron.ts';
import { mosaicmlStreaming } from './mosaicml-streaming.ts';
import { nanotron } from './nanotron.ts';
import { olmoCore } from './olmo-core.ts';
import { whatIsMissing } from './shape.ts';
import { lrTable, TABLE_FILE, tableFiles } from './table.ts';
import type { Candidate, ExportFile, ScheduleInput, TrainerSchedules } from './target.ts';
import { torchtitan } from './torchtitan.ts';

/** Trainers by name. */
export const SCHEDULE_TARGETS = Object.freeze([
  'gpt-neox',
  'megatron',
  'torchtitan',
  'hf',
  'nanotron',
  'olmo-core',
  'litgpt',
  'axolotl',
  'mosaicml-streaming',
] as const);

/** Name of a trainer. */
export type ScheduleTarget = (typeof SCHEDULE_TARGETS)[number];

const TRAINERS: Readonly<Record<ScheduleTarget, TrainerSchedules>> = {
  'gpt-neox': gptNeox,
  megatron,
  torchtitan,
  hf,
  nanotron,
  'olmo-core': olmoCore,
  litgpt,
  axolotl,
  'mosaicml-streaming': mosaicmlStreaming,
};

/** Whether a trainer keeps the optimizer's state together with its count of steps only. */
export function countsOn(target: ScheduleTarget): boolean {
  return TRAINERS[target].countsOn;
}

/** Options of {@link exportSchedule}. */
export interface ExportScheduleOptions {
  /** Its `totalSteps` are whole. */
  readonly curve: LrCurve;
  /** Sequences of a step over all devices. */
  readonly sequencesPerStep: number;
  /** Tokens of a sequence. */
  readonly nCtx: number;
  /** Micro-batches of a step on one device, where the trainer counts those (litgpt). Default 1, the worst case. */
  readonly iterationsPerStep?: number;
  /** Steps that gpt-neox or Megatron-LM has counted before the curve's first one. Own schedules start at 0: above it a table is written. Default 0. */
  readonly firstStep?: number;
  /** Share of the largest rate that an own schedule may be off by, 0..1. Default 0.01. */
  readonly tolerance?: number;
  /** Rows of a table; every step where there are no more steps than that. Default 5000, at least 2. */
  readonly maxTableRows?: number;
}

/** A schedule for a trainer. */
export interface ExportedSchedule {
  readonly files: readonly ExportFile[];
  /** `native`: the trainer's own options; `table`: an LR table with a loader. */
  readonly form: 'native' | 'table';
  /** Every step's rate is the curve's to 1e-6. */
  readonly exact: boolean;
  /** By how much it is not. */
  readonly deviation: Deviation;
  readonly warnings: readonly string[];
}

/**
 * A schedule in the form of a trainer.
 *
 * @throws OPTION_INVALID for an unknown trainer, a curve whose steps are not whole, a `firstStep` that the trainer cannot have
 * @see arXiv 2403.08763, section 7, for the schedules that no trainer has
 */
export function exportSchedule(
  target: ScheduleTarget,
  options: ExportScheduleOptions,
): ExportedSchedule {
  const trainer = Object.hasOwn(TRAINERS, target) ? TRAINERS[target] : undefined;
  if (!trainer) invalid('target', SCHEDULE_TARGETS.join(', '), target);
  const input = inputOf(options);
  const { firstStep = 0, tolerance = 0.01 } = options;
  const { vocabulary, convention } = trainer!;
  if (firstStep > 0) {
    if (!trainer!.countsOn) invalid('firstStep', `0 for ${target}, which counts anew`, firstStep);
    const why = `${vocabulary.trainer} goes on counting from step ${firstStep}, and its own schedules start at 0: an LR table is written`;
    return tableOf(trainer!, input, options, [why]);
  }
  const best = nearest(input.curve, trainer!.candidates(input));
  if (best && best.deviation.relative <= EXACT) {
    const files = [trainer!.write(best.candidate.settings, input)];
    return { files, form: 'native', exact: true, deviation: best.deviation, warnings: [] };
  }
  if (!best || best.deviation.ofPeak > tolerance) {
    const own = best
      ? `${vocabulary.trainer}: its nearest schedule is off by ${share(best.deviation)} (${convention})`
      : (trainer!.without ?? whatIsMissing(input.curve, vocabulary));
    const branch = trainer!.branch?.(input);
    const table = tableOf(trainer!, input, options, [`${own}: an LR table is written`]);
    return branch
      ? {
          ...table,
          files: [...table.files, branch.file],
          warnings: [...table.warnings, branch.warning],
        }
      : table;
  }
  const native = trainer!.write(best.candidate.settings, input);
  const table = tableOf(trainer!, input, options, []);
  const beside = table.files.filter(({ name }) => name !== native.name);
  return {
    files: [native, ...beside],
    form: 'native',
    exact: false,
    deviation: best.deviation,
    warnings: [
      `${convention}: off by ${share(best.deviation)}; ${TABLE_FILE} and its loader are ${table.exact ? 'exact' : `off by ${share(table.deviation)}`}`,
    ],
  };
}

function inputOf({
  curve,
  sequencesPerStep,
  nCtx,
  iterationsPerStep = 1,
  firstStep = 0,
  tolerance = 0.01,
  maxTableRows = 5000,
}: ExportScheduleOptions): ScheduleInput {
  const nSteps = curve.totalSteps;
  const check = (option: string, value: number, least: number): void => {
    if (!Number.isSafeInteger(value) || value < least)
      invalid(option, `a whole number of at least ${least}`, value);
  };
  check('totalSteps', nSteps, 1);
  check('sequencesPerStep', sequencesPerStep, 1);
  check('nCtx', nCtx, 1);
  check('iterationsPerStep', iterationsPerStep, 1);
  check('firstStep', firstStep, 0);
  check('maxTableRows', maxTableRows, 2);
  if (!(tolerance >= 0 && tolerance <= 1)) invalid('tolerance', 'a number in 0..1', tolerance);
  return { curve, nSteps, sequencesPerStep, nCtx, iterationsPerStep };
}

/** The first candidate that is exact, else the one with the least deviation. */
function nearest(
  curve: LrCurve,
  candidates: readonly Candidate[],
): { readonly candidate: Candidate; readonly deviation: Deviation } | null {
  let best: { readonly candidate: Candidate; readonly deviation: Deviation } | null = null;
  for (const candidate of candidates) {
    const deviation = deviationOf(curve, candidate.rateAt);
    if (deviation.relative <= EXACT) return { candidate, deviation };
    if (!best || deviation.ofPeak < best.deviation.ofPeak) best = { candidate, deviation };
  }
  return best;
}

function tableOf(
  trainer: TrainerSchedules,
  { curve, nSteps, sequencesPerStep, nCtx }: ScheduleInput,
  { firstStep = 0, maxTableRows = 5000 }: ExportScheduleOptions,
  warnings: readonly string[],
): ExportedSchedule {
  const table = lrTable(curve, nSteps, maxTableRows);
  const peakLr = largestRate(curve);
  const facts = { nSteps, peakLr, firstStep, sequencesPerStep, nCtx };
  const exact = table.deviation.relative <= EXACT;
  const rough = `${TABLE_FILE} has ${table.steps.length} breakpoints for ${nSteps} steps: off by ${share(table.deviation)} between them`;
  return {
    files: [...tableFiles(table), ...trainer.loader(facts)],
    form: 'table',
    exact,
    deviation: table.deviation,
    warnings: exact ? warnings : [...warnings, rough],
  };
}

function share({ ofPeak, step }: Deviation): string {
  return `up to ${(100 * ofPeak).toPrecision(2)} % of the largest rate (step ${step})`;
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
