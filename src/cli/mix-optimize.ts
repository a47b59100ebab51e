/** `gristmill mix optimize`: parsing and printing around the mixture room. */
import { GristmillError, printable } from '../errors.ts';
import { targetColumn } from '../mixture/fit.ts';
import { loadFit } from '../mixture/fit-file.ts';
import type { FittedMixture } from '../mixture/fit-types.ts';
import { digitsOf, targetsOf } from '../mixture/fitted-targets.ts';
import { readFrozenGroups } from '../mixture/optimize/frozen-file.ts';
import type { ObjectiveTarget } from '../mixture/optimize/objective.ts';
import { type MixtureProposal, optimizeMixture } from '../mixture/optimize/optimize.ts';
import { domainName, writeMixtures } from '../mixture/tables.ts';
import { writeWhole } from '../mixture/write-whole.ts';
import { table } from './eval-refiner.ts';
import { untilInterrupted } from './interrupt.ts';
import { type BoundsFlags, boundsOf } from './mix-bounds.ts';
import { domainsFrom } from './mix-fitted.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult, say } from './say.ts';

/** Flags of `mix optimize`. */
export interface OptimizeFlags extends BoundsFlags {
  readonly target?: readonly string[];
  readonly targets?: ReadonlyMap<string, number>;
  readonly maximize?: readonly string[];
  readonly objective: 'mean' | 'worst';
  readonly relativeToPrior?: boolean;
  readonly domains?: string;
  readonly freeze?: string;
  readonly kl?: number;
  readonly confidence?: number;
  readonly method: 'gradient' | 'simulation';
  readonly draws: number;
  readonly top: number;
  readonly allowOutside?: boolean;
  readonly inside?: boolean;
  readonly seed: number;
  readonly out?: readonly string[];
  readonly json?: boolean;
}

/** The action of `mix optimize`. */
export async function optimize(file: string, flags: OptimizeFlags): Promise<void> {
  const { objective, method, kl, confidence, seed, out = [], json } = flags;
  const { relativeToPrior, freeze } = flags;
  const outside = flags.allowOutside ? 'allow' : flags.inside ? 'inside' : 'refuse';
  await untilInterrupted(
    { ending: 'stopping the search', ended: 'nothing was written' },
    async (signal) => {
      using line = progressLine(json);
      const { fit } = await loadFit(file);
      const proposal = await optimizeMixture({
        domains: domainsFrom(flags.domains, fit),
        targets: chosenTargets(fit, flags),
        ...{ objective, method, kl, confidence, seed, signal, onProgress: tellOn(line) },
        ...{ relativeToPrior, outside, nDraws: flags.draws, nAveraged: flags.top },
        ...boundsOf(flags, fit.domains),
        frozen: freeze === undefined ? undefined : readFrozenGroups(freeze, fit.domains),
        sampled: { domains: fit.domains, ids: fit.runs.ids, weights: fit.runs.weights },
      });
      line.stop();
      for (const path of out) await writeProposal(path, proposal);
      printResult(json, proposal, () => proposalText(proposal));
      for (const { message } of json ? [] : proposal.warnings) {
        say(`warning: ${message}`);
      }
    },
  );
}

function chosenTargets(
  fit: FittedMixture,
  { target, targets, maximize = [] }: OptimizeFlags,
): ObjectiveTarget[] {
  const upward = new Set(maximize.map((name) => targetColumn(fit.targets, name)));
  const all = targetsOf(fit).map((each, at) => ({ ...each, maximize: upward.has(at) }));
  if (target !== undefined && targets !== undefined) {
    throw new GristmillError('OPTION_INVALID', {
      option: '--targets',
      expected: 'one of --target and --targets',
      received: 'both',
    });
  }
  if (targets !== undefined) {
    return [...targets].map(([name, weight]) => ({
      ...all[targetColumn(fit.targets, name)]!,
      weight,
    }));
  }
  return target?.map((name) => all[targetColumn(fit.targets, name)]!) ?? all;
}

async function writeProposal(path: string, proposal: MixtureProposal): Promise<void> {
  if (path.toLowerCase().endsWith('.json')) {
    await writeWhole(path, `${JSON.stringify(proposal, null, 2)}\n`);
    return;
  }
  const { domains, weights, nUnits } = proposal;
  const row = { domains, ids: ['proposal'], weights: Float64Array.from(weights) };
  await writeMixtures(path, row, { digits: digitsOf(nUnits) });
}

/** Says so when the runs do not tell the proposal from the prior: every gain lies within its interval. */
function gainNote({ predicted, prior }: MixtureProposal): string {
  const gains = predicted.map(({ mean, low, high }, at) => ({
    gain: prior.predicted[at]!.mean - mean,
    half: low === null || high === null ? 0 : (high - low) / 2,
  }));
  if (gains.some(({ gain, half }) => Math.abs(gain) > half)) return '';
  const most = gains.reduce((best, one) => (one.gain > best.gain ? one : best));
  const gain = `${most.gain.toFixed(4)} (interval ±${most.half.toFixed(4)})`;
  return `\nthe gain over the prior lies within its interval, for every target: ${gain} at most.\nThese runs do not tell the two apart: more proxies, or longer ones, would\n`;
}

function proposalText(proposal: MixtureProposal): string {
  const { domains, weights, nUnits, epochs, prior, bestSampled, predicted } = proposal;
  const digits = Math.min(6, digitsOf(nUnits));
  const order = domains
    .map((_, at) => at)
    .sort((one, other) => weights[other]! - weights[one]! || one - other);
  const best = bestSampled === null ? [] : [`run ${printable(bestSampled.id)}`];
  const hasEpochs = epochs.some((times) => times !== null);
  const mixture = [
    ['domain', 'proposal', 'prior', ...best, ...(hasEpochs ? ['epochs'] : [])],
    ...order.map((at) => [
      printable(domainName(domains[at]!)),
      weights[at]!.toFixed(digits),
      prior.weights[at]!.toFixed(digits),
      ...(bestSampled ? [bestSampled.weights[at]!.toFixed(digits)] : []),
      ...(hasEpochs ? [epochs[at]?.toFixed(2) ?? '-'] : []),
    ]),
  ];
  const losses = [
    ['predicted loss', 'proposal', '90 % interval', 'prior', ...best],
    ...predicted.map(({ target, mean, low, high }, at) => [
      printable(target),
      mean.toFixed(4),
      low === null || high === null ? '-' : `${low.toFixed(4)}..${high.toFixed(4)}`,
      prior.predicted[at]!.mean.toFixed(4),
      ...(bestSampled ? [bestSampled.predicted[at]!.mean.toFixed(4)] : []),
    ]),
  ];
  return `${table(mixture)}\n${table(losses)}${gainNote(proposal)}`;
}
