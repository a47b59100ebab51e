/**
 * Infinite schedules in the published form whose phases are given by where they end.
 *
 * The experiment files of arXiv 2403.08763 (`cooldown_iters_percent: 0.6`, `constant_iters_percent: 0.85`) and the code of
 * arXiv 2503.02844 give cumulative ends as shares of the whole; gpt-neox's later branch gives lengths behind the warm-up
 * under almost the same names. Reading ends is therefore a call of its own and never a guess.
 */
import { GristmillError } from '../errors.ts';
import { checkSchedule, type ScheduleSpec } from './spec.ts';

/** An infinite schedule by the ends of its phases. */
export interface CumulativeInfinite {
  readonly peakLr: number;
  readonly constantLr: number;
  readonly minLr: number;
  /** Share of the whole where the warm-up ends, 0..1. */
  readonly warmupEnd: number;
  /** Share of the whole where the cooldown ends; `warmupEnd..1`. */
  readonly cooldownEnd: number;
  /** Share of the whole where the constant phase ends; `cooldownEnd..1`. */
  readonly constantEnd: number;
  /** Default `cosine`. */
  readonly cooldown?: 'cosine' | 'inverse-sqrt' | 'linear';
  /** α of `inverse-sqrt`. Default 10, the published one. */
  readonly timescale?: number;
}

/**
 * The same schedule by the lengths of its phases; the exponential anneal takes what remains.
 *
 * @throws SCHEDULE_INVALID when the ends do not ascend
 */
export function infiniteFromEnds(ends: CumulativeInfinite): ScheduleSpec {
  const { warmupEnd, cooldownEnd, constantEnd, cooldown: shape = 'cosine', timescale = 10 } = ends;
  if (
    !(0 <= warmupEnd && warmupEnd <= cooldownEnd && cooldownEnd <= constantEnd && constantEnd <= 1)
  ) {
    const reason = `expected 0 <= warmupEnd <= cooldownEnd <= constantEnd <= 1, received ${warmupEnd}, ${cooldownEnd}, ${constantEnd}`;
    throw new GristmillError('SCHEDULE_INVALID', { where: 'the cumulative schedule', reason });
  }
  const { peakLr, constantLr, minLr } = ends;
  return checkSchedule(
    {
      kind: 'infinite',
      peakLr,
      constantLr,
      minLr,
      warmup: { fraction: warmupEnd },
      cooldown: {
        shape,
        length: { fraction: cooldownEnd - warmupEnd },
        ...(shape === 'inverse-sqrt' && { timescale }),
      },
      constant: { fraction: constantEnd - cooldownEnd },
      ...(constantEnd < 1 && { anneal: { shape: 'exponential' } }),
    },
    'the cumulative schedule',
  );
}
