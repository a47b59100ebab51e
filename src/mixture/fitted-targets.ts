/** What optimizing and active sampling take from a fit, and how weights are written. */
import type { FittedMixture } from './fit-types.ts';
import { lossRange } from './predict.ts';
import { targetName } from './tables.ts';

/** Targets of a fit under their short names. */
export function targetsOf(fit: FittedMixture) {
  return fit.surrogates.map((surrogate, at) => ({
    name: targetName(fit.targets[at]!),
    surrogate,
    calibration: fit.calibration[at]!,
    // Losses of other sizes and token counts are no bounds of those at this one.
    ...(surrogate.family !== 'scale' && { seen: lossRange(fit.runs, at) }),
  }));
}

/** Decimals that show multiples of 1/nUnits exactly, at most 12. */
export function digitsOf(nUnits: number): number {
  for (let digits = 1; digits < 12; digits++) {
    if (10 ** digits % nUnits === 0) return digits;
  }
  return 12;
}
