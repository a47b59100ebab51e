/** Fits of runs of several sizes and token counts, as `fitMixture` makes them: intervals come from blocks of scale (scale/). */
import { performance } from 'node:perf_hooks';
import { GristmillError } from '../errors.ts';
import { isConstant, notesOf, sampledWeights } from './fit-notes.ts';
import {
  FIT_DEFAULTS,
  type FitMixtureOptions,
  type FittedMixture,
  foldsAsked,
  type TargetCalibration,
} from './fit-types.ts';
import { fitScale, SCALE_MIN_RUNS } from './scale/fit-scale.ts';
import type { ScaleReport } from './scale/types.ts';
import { targetName } from './tables.ts';
import type { RunTable } from './types.ts';

/**
 * Fits all targets at once.
 *
 * @param start of the call, `performance.now()`
 * @throws OPTION_INVALID for runs without scales or with losses that are not above 0, MIXTURE_DATA_TOO_SMALL, ABORTED
 */
export async function fitOverScales(
  runs: RunTable,
  { seed = FIT_DEFAULTS.seed, folds = FIT_DEFAULTS.folds, ...options }: FitMixtureOptions,
  start: number,
): Promise<FittedMixture> {
  const { scales, domains, targets } = runs;
  const nRuns = runs.ids.length;
  if (scales === undefined) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'model',
      expected: 'columns params and tokens in a table of the runs, for model scale',
      received: 'scale, and neither',
    });
  }
  if (nRuns < SCALE_MIN_RUNS) {
    const what = `surrogate scale of ${domains.length} domains`;
    throw new GristmillError('MIXTURE_DATA_TOO_SMALL', {
      what,
      minimum: SCALE_MIN_RUNS,
      received: nRuns,
    });
  }
  const bad = runs.losses.findIndex((loss) => !(loss > 0));
  if (bad >= 0) {
    const [run, target] = [Math.floor(bad / targets.length), bad % targets.length];
    throw new GristmillError('OPTION_INVALID', {
      option: 'runs',
      expected: 'losses above 0, for model scale',
      received: `${runs.losses[bad]} of ${targetName(targets[target]!)} in run ${runs.ids[run]}`,
    });
  }
  const { signal, onProgress } = options;
  const { surrogates, report } = await fitScale({
    runs: { ...runs, scales },
    seed,
    blocks: foldsAsked(folds, nRuns) > 0,
    signal,
    onProgress,
  });
  return {
    model: 'scale',
    seed,
    domains,
    targets,
    surrogates,
    calibration: targets.map((): TargetCalibration => ({ deviation: null, halfWidths: null })),
    sampled: sampledWeights(runs),
    runs,
    report: {
      nRuns,
      constantTargets: targets.filter((_, target) => isConstant(runs, target)),
      notes: [...notesOf(runs, false), ...scaleNotes(report)],
      crossValidation: null,
      learningCurve: null,
      scale: report,
      seconds: (performance.now() - start) / 1000,
    },
  };
}

function scaleNotes({ nSizes, blocks }: ScaleReport): string[] {
  const notes: string[] = [];
  if (nSizes < 3) {
    notes.push(
      `${nSizes} sizes of models: how losses fall with size is not measured by leaving one out, and intervals beyond the runs are guesses`,
    );
  }
  if (blocks.length === 0)
    notes.push('no blocks were left out: intervals are those of the fit itself');
  return notes;
}
