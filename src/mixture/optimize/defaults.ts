/** Defaults of `optimizeMixture`, apart from it: the help of the command names them. */

/** Defaults of {@link optimizeMixture}. */
export const OPTIMIZE_MIXTURE_DEFAULTS = Object.freeze({
  nDraws: 100_000,
  nAveraged: 128,
  hullTolerance: 0.02,
  nUnits: 10_000,
  nStarts: 12,
});
