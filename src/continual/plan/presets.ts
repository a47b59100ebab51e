/**
 * Presets: what the stages of a plan leave out, as data, with where it is from and when it is advised.
 *
 * Their sources disagree about the rate that a continuation begins with, and each entry says so. Rates are not part of a
 * preset: they are `rates` of the plan, or else those of the stage that a stage starts from (its highest rate, the rate of
 * its constant phase, the rate it ends on).
 */
import type { LrCurve } from '../../schedules/curve.ts';
import { checkSchedule, type ScheduleSpec } from '../../schedules/spec.ts';
import { peakOf, type Until } from './segments.ts';
import type { CheckpointName } from './types.ts';

/** Rates that schedules are filled from. */
export interface PlanRates {
  readonly peakLr: number | null;
  readonly constantLr: number | null;
  readonly minLr: number | null;
  /** The rate that the stage before ends on. */
  readonly lastLr: number | null;
}

/** A rate of a schedule: one of the known ones, times a factor. */
export type PresetRate = readonly [rate: keyof PlanRates, times: number];

/** A schedule without its rates. */
export interface PresetSchedule {
  readonly rates: Readonly<Record<string, PresetRate>>;
  /** The rest of it, as it would be written. */
  readonly form: Readonly<Record<string, unknown>> & { readonly kind: ScheduleSpec['kind'] };
}

/** What a preset decides for stages that leave it out. */
export interface Preset {
  /** Where it is from. */
  readonly source: string;
  /** What it does. */
  readonly does: string;
  /** When it is advised, and by whom. */
  readonly advised: string;
  /** What speaks against it. */
  readonly against: string;
  /** Of a stage that starts from the first weights. */
  readonly first: PresetSchedule;
  /** Of every other stage. */
  readonly later: PresetSchedule;
  /** The checkpoint of the stage before that later stages start from. */
  readonly start: CheckpointName;
  readonly optimizer: 'reset' | 'keep';
  /** Share of replay in stages that leave out a dataset which was seen before them; 0 for none. */
  readonly replay: number;
  /** Where the first of two blends ends. */
  readonly until: Until | null;
}

/** Name of a preset. */
export type PresetName = 'rewarm' | 'infinite' | 'reuse' | 'microanneal';

const cosineWithWarmup: PresetSchedule = {
  rates: { peakLr: ['peakLr', 1], minLr: ['minLr', 1] },
  form: { kind: 'cosine', warmup: { fraction: 0.01 } },
};

/** The presets by name. */
export const PRESETS: Readonly<Record<PresetName, Preset>> = deepFrozen({
  rewarm: {
    source: 'arXiv 2403.08763, sections 5 and 6',
    does: 're-warms over 1 % of the stage to the peak of the stage before and decays by a cosine to its least rate; moments of the optimiser are reset; 5 % replay (the choice for a weak shift; for a strong one, such as another language, write `replay: 25 %`)',
    advised:
      'for many new tokens and strong shifts (200B and more in the paper): re-warmed models adapt better by a wide margin than those kept at the least rate',
    against:
      're-warming forgets: the loss rises even on unchanged data, more with higher peaks. arXiv 2407.07263 found any warm-up harmful behind a long pre-training (15B parameters, 8T tokens); arXiv 2503.02844 found infinite schedules better under shifts',
    first: cosineWithWarmup,
    later: cosineWithWarmup,
    start: 'annealed',
    optimizer: 'reset',
    replay: 0.05,
    until: null,
  },
  infinite: {
    source: 'arXiv 2403.08763, section 7; its experiment files adam_infcos_lr3e-4_3e-5_wu-001',
    does: 'warm-up 1 %, cooldown (cosine) 59 %, constant 25 %, exponential anneal 15 % for the first stage; later ones start from the checkpoint at the end of the constant phase, stay at its rate and anneal exponentially over their last 15 %; no re-warming, moments of the optimiser are kept',
    advised:
      'when the budget is open or more data will follow, and the constant-phase checkpoint was kept: similar losses to repeated cosines without a shift in the paper, better under shifts in arXiv 2503.02844',
    against:
      'needs a model that was pre-trained that way; the paper tested it without a shift and up to 405M parameters only, and names no replay for it: give one when the data shift',
    first: {
      rates: { peakLr: ['peakLr', 1], constantLr: ['constantLr', 1], minLr: ['minLr', 1] },
      form: {
        kind: 'infinite',
        warmup: { fraction: 0.01 },
        cooldown: { shape: 'cosine', length: { fraction: 0.59 } },
        constant: { fraction: 0.25 },
        anneal: { shape: 'exponential' },
      },
    },
    later: {
      rates: { constantLr: ['constantLr', 1], minLr: ['minLr', 1] },
      form: { kind: 'infinite', anneal: { shape: 'exponential', length: { fraction: 0.15 } } },
    },
    start: 'constant',
    optimizer: 'keep',
    replay: 0,
    until: null,
  },
  reuse: {
    source: 'arXiv 2407.07263',
    does: 'starts at the least rate of pre-training without a warm-up and decays by a cosine to a hundredth of it; of two blends the second (question answering there) begins where the rate is a fifth of its peak; old data stay in the first blend, not as replay',
    advised:
      'for few tokens next to the pre-training and data close to it, on a model that was annealed for long: any warm-up lowered the averages of a 15B model behind 8T tokens',
    against:
      'it adapts slowly: arXiv 2403.08763 found that staying at the least rate forgets least and learns least, and re-warms instead, with strong shifts and many tokens above all',
    first: cosineWithWarmup,
    later: {
      rates: { peakLr: ['minLr', 1], minLr: ['minLr', 0.01] },
      form: { kind: 'cosine' },
    },
    start: 'annealed',
    optimizer: 'reset',
    replay: 0,
    until: { lrFraction: 0.2 },
  },
  microanneal: {
    source: 'OLMo 3, arXiv 2512.13961, its mid-training',
    does: 'starts from the end of the stage before at the rate that it ends on, and decays by a line to 0; with `microanneal: { candidate, web, tokens }` two stages from one base, one on candidate and web in equal parts, one on web alone, of the same tokens (10B there), for `continue compare`',
    advised:
      'to judge a data set for the last part of a training before a long run has it: small differences of data show in a short anneal; integration tests of all candidates together come after it',
    against:
      'what helps alone may not help beside others, and half of the tokens of one set is more than a mixture will have of it; one pair of runs has no interval of training: repeat it with other seeds',
    first: cosineWithWarmup,
    later: {
      rates: { peakLr: ['lastLr', 1] },
      form: { kind: 'linear' },
    },
    start: 'annealed',
    optimizer: 'keep',
    replay: 0,
    until: null,
  },
});

/** The rates of a curve: its highest, that of the constant phase in front of its last descent, and the one it ends on. */
export function ratesOf(curve: LrCurve): PlanRates {
  const { phases, spec } = curve;
  const last = phases.at(-1)!;
  const declared = 'minLr' in spec && spec.minLr > 0 ? spec.minLr : null;
  const constant =
    last.name === 'constant'
      ? last
      : curve.lastConstantStep === null
        ? undefined
        : phases.findLast(({ name }) => name === 'constant');
  const isLow = last.name !== 'constant' && last.name !== 'warmup';
  return {
    peakLr: peakOf(curve),
    constantLr: constant?.to ?? null,
    minLr: isLow ? last.to : declared,
    lastLr: last.to,
  };
}

/**
 * A preset's schedule with rates in it.
 *
 * @param missing raises the plan's error for a rate that is not known, or 0 where that teaches or reaches nothing
 * @throws SCHEDULE_INVALID
 */
export function filledSchedule(
  { rates, form }: PresetSchedule,
  known: PlanRates,
  missing: (rate: keyof PlanRates) => never,
): ScheduleSpec {
  const filled = Object.entries(rates).map(([key, [rate, times]]) => {
    const value = known[rate];
    const mayBeZero = key === 'minLr' && form.kind !== 'infinite';
    return [key, value === null || (value === 0 && !mayBeZero) ? missing(rate) : value * times];
  });
  return checkSchedule({ ...form, ...Object.fromEntries(filled) });
}

function deepFrozen<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFrozen(part);
  }
  return Object.freeze(value);
}
