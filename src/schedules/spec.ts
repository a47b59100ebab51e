/**
 * Schedules as JSON or YAML: what they may say. curve.ts gives them their meaning.
 *
 * Learning rates are absolute. Every phase has a length (lengths.ts); the one that is left out takes what remains.
 */
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { faultText } from '../schema.ts';
import { lengthSchema } from './lengths.ts';

const rate = z.number().min(0).refine(Number.isFinite, { error: 'expected a finite number' });

/** Forms of a way from one rate to a lower one; curve.ts has the formulas. */
export const DECAY_SHAPES = Object.freeze([
  'linear',
  'cosine',
  'inverse-sqrt',
  '1-sqrt',
  'exponential',
] as const);

/** Name of a form. */
export type DecayShape = (typeof DECAY_SHAPES)[number];

const shape = z.enum(DECAY_SHAPES);
const timescale = z.number().positive();

const warmup = {
  /**
   * The length that the schedule is made for, where training ends before it (4T of 5T tokens): lengths are shares of it,
   * and the curve is cut off. Without it the whole.
   */
  horizon: lengthSchema.optional(),
  /** Linear, from `warmupStartLr` up to the peak. None without it. */
  warmup: lengthSchema.optional(),
  warmupStartLr: rate.default(0),
};

const decayPhase = z.strictObject({
  shape,
  length: lengthSchema.optional(),
  /** α of `inverse-sqrt`. */
  timescale: timescale.optional(),
});

const simple = [
  /** One rate. */
  z.strictObject({ kind: z.literal('constant'), peakLr: rate, ...warmup }),
  /** Straight down to `minLr`, and on from there. */
  z.strictObject({
    kind: z.literal('linear'),
    peakLr: rate,
    minLr: rate.default(0),
    ...warmup,
    decay: lengthSchema.optional(),
  }),
  /** Half a cosine down to `minLr`, and on from there. */
  z.strictObject({
    kind: z.literal('cosine'),
    peakLr: rate,
    minLr: rate.default(0),
    ...warmup,
    decay: lengthSchema.optional(),
  }),
  /** `peakLr · √(τ / (τ + steps since the warm-up))`, not below `minLr`. */
  z.strictObject({
    kind: z.literal('inverse-sqrt'),
    peakLr: rate,
    minLr: rate.default(0),
    ...warmup,
    /** τ. Default: the warm-up. */
    timescale: lengthSchema.optional(),
  }),
  /** Warm-up and decay again and again: one cycle for every length. */
  z.strictObject({
    kind: z.literal('rewarm'),
    peakLr: rate,
    minLr: rate.default(0),
    /** Of each cycle: a fraction is a share of the cycle. */
    ...warmup,
    decayShape: shape.default('cosine'),
    timescale: timescale.optional(),
    cycles: z.array(lengthSchema).min(1).max(10_000),
  }),
  /** Warm-up, cooldown, constant, anneal: arXiv 2403.08763, section 7. */
  z.strictObject({
    kind: z.literal('infinite'),
    /** Needed with a warm-up or cooldown. */
    peakLr: rate.optional(),
    constantLr: rate,
    minLr: rate.default(0),
    ...warmup,
    cooldown: decayPhase.optional(),
    constant: lengthSchema.optional(),
    /** Down to `minLr`; none without it. */
    anneal: z
      .strictObject({
        shape: shape.default('exponential'),
        length: lengthSchema.optional(),
        timescale: timescale.optional(),
      })
      .optional(),
  }),
  /** Warm-up, stable, decay: arXiv 2404.06395; 2405.18392 for `1-sqrt`. */
  z.strictObject({
    kind: z.literal('wsd'),
    peakLr: rate,
    minLr: rate.default(0),
    ...warmup,
    decay: decayPhase,
  }),
  /** WSD-S: stable and decay in every period, without a warm-up between: arXiv 2410.05192. */
  z.strictObject({
    kind: z.literal('wsds'),
    peakLr: rate,
    minLr: rate.default(0),
    ...warmup,
    periods: z.array(lengthSchema).min(1).max(10_000),
    /** A fraction is a share of the period. */
    decay: decayPhase.extend({ length: lengthSchema }),
  }),
  /** `min(peakLr, a · tokens^b)`, then a decay: PowerLR, arXiv 2408.13359. */
  z.strictObject({
    kind: z.literal('power'),
    peakLr: rate,
    minLr: rate.default(0),
    ...warmup,
    /** The paper's a times its batch size β. */
    a: z.number().positive(),
    b: z.number().max(0).default(-0.51),
    decay: decayPhase.optional(),
  }),
] as const;

type Simple = z.infer<(typeof simple)[number]>;
type SimpleInput = z.input<(typeof simple)[number]>;

/** A checked schedule. */
export type ScheduleSpec =
  | Simple
  | {
      readonly kind: 'composite';
      readonly parts: readonly {
        readonly length?: Simple['warmup'];
        readonly schedule: ScheduleSpec;
      }[];
    };

/** A schedule as it is written. */
export type ScheduleInput =
  | SimpleInput
  | {
      readonly kind: 'composite';
      readonly parts: readonly {
        readonly length?: SimpleInput['warmup'];
        readonly schedule: ScheduleInput;
      }[];
    };

/** Names of the kinds. */
export const SCHEDULE_KINDS = Object.freeze([
  'constant',
  'linear',
  'cosine',
  'inverse-sqrt',
  'rewarm',
  'infinite',
  'wsd',
  'wsds',
  'power',
  'composite',
] as const);

/** Checks a schedule; within other schemas too. Composites are at most one level deep. */
export const scheduleSchema: z.ZodType<ScheduleSpec, ScheduleInput> = z.discriminatedUnion('kind', [
  ...simple,
  /** One schedule after the other, each over its own length. */
  z.strictObject({
    kind: z.literal('composite'),
    parts: z
      .array(
        z.strictObject({
          length: lengthSchema.optional(),
          schedule: z.discriminatedUnion('kind', [...simple]),
        }),
      )
      .min(1)
      .max(1000),
  }),
]) as unknown as z.ZodType<ScheduleSpec, ScheduleInput>;

/**
 * Checks a schedule.
 *
 * @param where named in the error
 * @throws SCHEDULE_INVALID naming every key that is wrong
 */
export function checkSchedule(input: unknown, where = 'the schedule'): ScheduleSpec {
  const parsed = scheduleSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const reason = faultText(parsed.error, input, 'schedule');
  throw new GristmillError('SCHEDULE_INVALID', { where, reason });
}
