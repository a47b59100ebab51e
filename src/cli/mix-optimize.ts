/** `gristmill mix optimize`: parsing and printing around the mixture room. */
import { GristmillError, printable } from '../errors.ts';
import { targetColumn } from '../mixture/fit.ts';
import { loadFit } from '../mixture/fit-file.ts';
import type { FittedMixture } from '../mixture/fit-types.ts';
import { digitsOf, targetsOf } from '../mixture/fitted-targets.ts';
import { readFrozenGroups } from '../mixture/optimize/frozen-file.ts';
import type { ObjectiveTarget } from '../mixture/optimize/objective.ts';
import {
  type MixtureProposal,
  type OptimizeMixtureOptions,
  optimizeMixture,
} from '../mixture/optimize/optimize.ts';
import { fitAt, rangeOfFit, scalesTowards } from '../mixture/scale/at.ts';
import type { Scale } from '../mixture/scale/types.ts';
import { domainName, writeMixtures } from '../mixture/tables.ts';
import type { MixtureTable, RunTable } from '../mixture/types.ts';
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
  readonly at?: Pick<Scale, 'params' | 'tokens'>;
  readonly allowBeyond?: boolean;
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
      const { fit: loaded } = await loadFit(file);
      const domains = domainsFrom(flags.domains, loaded);
      const options = {
        domains,
        ...{ objective, method, kl, confidence, seed, signal, onProgress: tellOn(line) },
        ...({ relativeToPrior, outside, nDraws: flags.draws, nAveraged: flags.top } as const),
        ...boundsOf(flags, loaded.domains),
        frozen: freeze === undefined ? undefined : readFrozenGroups(freeze, loaded.domains),
        sampled: distinctMixtures(loaded.runs),
        seenEpochs: mostEpochs(loaded.runs),
      };
      const proposal = flags.at
        ? await optimizeAt(loaded, options, flags)
        : await optimizeMixture({ ...options, targets: chosenTargets(loaded, flags) });
      line.stop();
      for (const path of out) await writeProposal(path, proposal);
      printResult(json, proposal, () => `${proposalText(proposal)}${pathText(proposal)}`);
      for (const { message } of json ? [] : proposal.warnings) {
        say(`warning: ${message}`);
      }
    },
  );
}

/** A proposal, and those on the way to its scale. */
interface ProposalAt extends MixtureProposal {
  readonly at?: Scale;
  readonly path?: readonly { readonly at: Scale; readonly weights: readonly number[] }[];
}

/** Scales at which the mixture is shown on its way. */
const N_SCALES = 4;

/** The best mixture at a scale, and at smaller ones: tokens that there are of each domain make repetition cost. */
async function optimizeAt(
  fit: FittedMixture,
  options: Omit<OptimizeMixtureOptions, 'targets'>,
  flags: OptimizeFlags,
): Promise<ProposalAt> {
  const available = options.domains.map(({ tokens }) => tokens ?? null);
  const target = { ...flags.at!, available };
  const best = (at: Scale, beyond: boolean | undefined): Promise<MixtureProposal> =>
    optimizeMixture({
      ...options,
      targets: chosenTargets(fitAt(fit, at, { beyond }), flags),
      budgetTokens: options.budgetTokens ?? at.tokens,
    });
  const proposal = await best(target, flags.allowBeyond);
  const range = rangeOfFit(fit)!;
  const path: { at: Scale; weights: readonly number[] }[] = [];
  for (const at of scalesTowards(range, target, N_SCALES).slice(0, -1)) {
    path.push({ at, weights: (await best(at, true)).weights });
  }
  return { ...proposal, at: target, path: [...path, { at: target, weights: proposal.weights }] };
}

/** Most epochs of each domain in the runs; undefined where they do not say. */
function mostEpochs({ domains, scales }: RunTable): number[] | undefined {
  if (!scales?.epochs) return undefined;
  const { epochs } = scales;
  return domains.map((_, domain) =>
    epochs.reduce(
      (most, times, at) => (at % domains.length === domain ? Math.max(most, times) : most),
      0,
    ),
  );
}

/** Mixtures of runs, each once: runs of several sizes have the same ones. */
function distinctMixtures({ domains, ids, weights }: RunTable): MixtureTable {
  const seen = new Map<string, number>();
  for (const run of ids.keys()) {
    const key = weights.subarray(run * domains.length, (run + 1) * domains.length).join();
    if (!seen.has(key)) seen.set(key, run);
  }
  const rows = [...seen.values()];
  return {
    domains,
    ids: rows.map((run) => ids[run]!),
    weights: Float64Array.from(
      rows.flatMap((run) => [
        ...weights.subarray(run * domains.length, (run + 1) * domains.length),
      ]),
    ),
  };
}

/** How the mixture moves with scale. */
function pathText({ path, domains, nUnits }: ProposalAt): string {
  if (path === undefined) return '';
  const short = (value: number): string => value.toExponential(1).replace('e+', 'e');
  const digits = Math.min(4, digitsOf(nUnits));
  const rows = path.map(({ at, weights }) => [
    short(at.params),
    short(at.tokens),
    ...weights.map((weight) => weight.toFixed(digits)),
  ]);
  const names = domains.map((name) => printable(domainName(name)));
  return `\n${table([['params', 'tokens', ...names], ...rows])}`;
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
