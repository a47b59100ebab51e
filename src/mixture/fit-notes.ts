/** What a fit says of its runs: where they lie, what cannot be known from them, what makes predictions doubtful. */
import type { CrossValidation, SampledWeights } from './fit-types.ts';
import { isFarOutside, lossRange } from './predict.ts';
import { mean } from './statistics.ts';
import { GP_LIMITS } from './surrogates/gaussian-process.ts';
import { domainName, targetName } from './tables.ts';
import type { FittedSurrogate, RunTable, SurrogateFamilyName } from './types.ts';

/** Losses of one target, of some runs. */
export function lossesOf(
  { targets, losses }: RunTable,
  target: number,
  rows: Int32Array,
): Float64Array {
  return Float64Array.from(rows, (run) => losses[run * targets.length + target]!);
}

/** True for a target with the same loss in every run. */
export function isConstant({ targets, losses }: RunTable, target: number): boolean {
  for (let place = target; place < losses.length; place += targets.length) {
    if (losses[place] !== losses[target]) return false;
  }
  return true;
}

/** Where mixtures of the runs lie. */
export function sampledWeights({ domains, ids, weights }: RunTable): SampledWeights {
  const columns = domains.map((_, domain) =>
    Array.from(ids, (_, run) => weights[run * domains.length + domain]!),
  );
  return {
    mean: columns.map((column) => mean(column)),
    min: columns.map((column) => column.reduce((low, weight) => Math.min(low, weight), 1)),
    max: columns.map((column) => column.reduce((high, weight) => Math.max(high, weight), 0)),
  };
}

/** What a process leaves out. */
export function limitNotes(model: SurrogateFamilyName, nRuns: number): string[] {
  if ((model !== 'gp' && model !== 'ensemble') || nRuns <= GP_LIMITS.parameterRuns) return [];
  const { parameterRuns, runs } = GP_LIMITS;
  const held = nRuns > runs ? `, and it holds ${runs} of them` : '';
  return [
    `the Gaussian process of ${nRuns} runs has its parameters from ${parameterRuns} of them${held}, as its work grows with their cube`,
  ];
}

/** What makes the predictions of a target doubtful: corners far outside of its losses, folds worse than a plain mean. */
export function doubtsOf(
  runs: RunTable,
  surrogates: readonly FittedSurrogate[],
  validated: CrossValidation | null,
): string[] {
  const nDomains = runs.domains.length;
  const corners = new Float64Array(nDomains * nDomains);
  for (let domain = 0; domain < nDomains; domain++) corners[domain * nDomains + domain] = 1;
  return runs.targets.flatMap((target, targetIndex) => {
    const doubts: string[] = [];
    const seen = lossRange(runs, targetIndex);
    const far = Array.from(surrogates[targetIndex]!.predict(corners).mean).flatMap(
      (loss, domain) =>
        isFarOutside(loss, seen) ? [`${domainName(runs.domains[domain]!)} (${shown(loss)})`] : [],
    );
    const losses = `the losses of the runs (${seen.map(shown).join('..')})`;
    if (far.length > 0) {
      const more = far.length > 5 ? `, and ${far.length - 5} more` : '';
      doubts.push(
        `target ${targetName(target)}: far outside of ${losses} where one domain is all: ${far.slice(0, 5).join(', ')}${more}; nothing near there was run`,
      );
    }
    const own = validated?.targets[targetIndex];
    const all = Int32Array.from(runs.ids, (_, run) => run);
    const spread = deviationOf(lossesOf(runs, targetIndex, all));
    if (own && spread > 0 && !(own.rmse <= spread)) {
      doubts.push(
        `target ${targetName(target)}: left-out runs are predicted worse (RMSE ${shown(own.rmse)}) than by the mean of all (${shown(spread)})`,
      );
    }
    return doubts;
  });
}

function deviationOf(values: Float64Array): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}

function shown(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** A weight that divided sums have moved a little is the same one. */
const SAME_WEIGHT = 1e-5;

/** Consequences of the runs that the user should know of. */
export function notesOf(runs: RunTable, noCurve: boolean): string[] {
  const notes: string[] = [];
  const nRuns = runs.ids.length;
  const nDomains = runs.domains.length;
  if (nRuns <= nDomains) {
    notes.push(
      `${nRuns} runs of ${nDomains} domains: the effects of single domains cannot be told apart; the priors of the surrogate decide`,
    );
  }
  const constant = runs.targets.filter((_, target) => isConstant(runs, target));
  if (constant.length > 0) {
    const names = constant.map(targetName).join(', ');
    notes.push(`targets with the same loss in every run, predicted as that loss: ${names}`);
  }
  const { max, min } = sampledWeights(runs);
  const unseen = runs.domains.filter((_, domain) => max[domain] === 0).map(domainName);
  if (unseen.length > 0) {
    notes.push(
      `domains with weight 0 in every run, their effect is not known: ${unseen.join(', ')}`,
    );
  }
  const fixed = runs.domains
    .filter(
      (_, domain) => max[domain]! > 0 && max[domain]! - min[domain]! <= SAME_WEIGHT * max[domain]!,
    )
    .map(domainName);
  if (fixed.length > 0 && nRuns > 1) {
    notes.push(`domains with the same weight in every run: ${fixed.join(', ')}`);
  }
  if (noCurve) notes.push(`${nRuns} runs are too few for a learning curve`);
  return notes;
}
