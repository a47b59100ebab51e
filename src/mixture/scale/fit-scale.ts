/**
 * Fits over mixture, size and tokens, all targets at once: laws, a Gaussian process on what they leave, and intervals that
 * are calibrated on blocks of scale that were left out (blocks.ts), not on random folds: runs of one size at
 * neighbouring token counts tell each other's losses, and random folds would call that knowledge.
 *
 * What blocks decide, over all targets together: how much each law counts (the inverse of its squared error, none of
 * more than twice the best's error), whether the process is used, and the deviations. Early losses of a run lie above any
 * law (warm-up): a run counts by the square of its share of the most tokens of its size.
 */
import { throwIfAborted } from '../../errors.ts';
import { mean } from '../statistics.ts';
import {
  conditionProcess,
  gaussianProcess,
  processParameters,
} from '../surrogates/gaussian-process.ts';
import { domainName, targetName } from '../tables.ts';
import type { FittedSurrogate, RunScales, RunTable } from '../types.ts';
import { blocksOf, type ScaleBlock } from './blocks.ts';
import { CapacityLaw, fitCapacityLaw } from './capacity-law.ts';
import { type Combined, coveredOf, deviationsOf } from './deviations.ts';
import { fitInteractionLaw, InteractionLaw } from './interaction-laws.ts';
import { REPEAT_WORTH, REPEAT_WORTHS, repeatedShare } from './repetition.ts';
import { pick, pickRows, rangeOf, rowsAt, thinned } from './scale-rows.ts';
import {
  distanceFrom,
  processColumns,
  type ScaleModel,
  ScaleSurrogate,
} from './scale-surrogate.ts';
import type {
  BlockReport,
  ScaleDeviation,
  ScaleMember,
  ScaleRange,
  ScaleReport,
  ScaleRows,
} from './types.ts';

/** Fewest runs of a fit over scales. */
export const SCALE_MIN_RUNS = 16;

const FORMS = ['additive', 'product', 'capacity'] as const;
type Form = ScaleMember['form'];

/** Iterations of a fit, and of one that goes on from the whole fit's parameters. */
const ITERATIONS = { whole: 80, continued: 30 };
/** Runs that the capacity law is fitted on: all targets are in one problem. */
const CAPACITY_RUNS = 240;
const CAPACITY_STARTS = 2;
/** Runs that parameters of the process are fitted on, and that it holds. */
const PROCESS_RUNS = { parameters: 240, held: 1000 };
/** What a law may be worse than the best one, and still count. */
const WORST_RATIO = 2;
/** Power of a run's share of its size's tokens. */
const LATE = 2;

/** Options of {@link fitScale}. */
export interface FitScaleOptions {
  readonly runs: RunTable & { readonly scales: RunScales };
  readonly seed: number;
  /** Whether to leave blocks out; without them all laws count the same, and deviations are those of the fit. */
  readonly blocks: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?:
    | ((progress: { readonly done: number; readonly total: number }) => void)
    | undefined;
}

/** Parameters of the laws of one target. */
type Laws = Partial<Readonly<Record<Form, Float64Array>>>;

/** Predictions of a block's runs by laws that did not see them. */
interface Held {
  readonly block: ScaleBlock;
  readonly laws: readonly Laws[];
  readonly distance: Float64Array;
  /** `[nTargets]`: logarithms by law, `[nHeld]`. */
  readonly logs: readonly Partial<Record<Form, Float64Array>>[];
  /** `[nTargets]`: what the process adds, by the laws it stands on. */
  readonly rests: readonly (Float64Array | null)[];
}

/** Fits all targets. @throws ABORTED */
export async function fitScale(options: FitScaleOptions): Promise<{
  readonly surrogates: readonly ScaleSurrogate[];
  readonly report: ScaleReport;
}> {
  return new ScaleFit(options).run();
}

class ScaleFit {
  readonly #options: FitScaleOptions;
  readonly #nTargets: number;
  readonly #units: { readonly params: number; readonly tokens: number };
  readonly #range: ScaleRange;
  /** Target of each domain, where every domain has one. */
  readonly #targetOf: Int32Array | null;
  #rows: ScaleRows;
  #worth: number | null = null;

  constructor(options: FitScaleOptions) {
    this.#options = options;
    const { domains, targets, scales } = options.runs;
    this.#nTargets = targets.length;
    const middle = (values: Float64Array): number => Math.exp(mean(values.map(Math.log)));
    this.#units = { params: middle(scales.params), tokens: middle(scales.tokens) };
    this.#range = { params: rangeOf(scales.params), tokens: rangeOf(scales.tokens) };
    const names = targets.map((target) => baseName(target));
    const found = Int32Array.from(domains, (domain) => names.indexOf(baseName(domain)));
    this.#targetOf = found.every((target) => target >= 0) ? found : null;
    this.#rows = this.#rowsFor(REPEAT_WORTH);
  }

  async run(): Promise<{ surrogates: ScaleSurrogate[]; report: ScaleReport }> {
    const { runs, seed, blocks: wantsBlocks, onProgress } = this.#options;
    const blocks = wantsBlocks ? blocksOf(this.#rows, SCALE_MIN_RUNS, seed) : [];
    const total = this.#nTargets * (blocks.length + 1);
    let done = 0;
    const step = (): void => onProgress?.({ done: ++done, total });
    await this.#chooseWorth();
    const whole = await this.#laws(null, null, step);
    const held: Held[] = [];
    for (const block of blocks) held.push(await this.#leaveOut(block, whole, step));
    const weights = this.#memberWeights(held);
    const usesProcess = held.length === 0 || this.#helpsProcess(held, weights);
    const combined = held.map((one) => this.#combine(one, weights, usesProcess));
    const all = Int32Array.from({ length: this.#rows.nRuns }, (_, run) => run);
    const deviations = deviationsOf(
      combined,
      (target) => this.#residuals(target, whole[target]!, weights, all),
      this.#nTargets,
    );
    const surrogates: ScaleSurrogate[] = [];
    for (let target = 0; target < this.#nTargets; target++) {
      const members = this.#members(whole[target]!, weights);
      const process = usesProcess
        ? await this.#process(target, whole[target]!, weights, null)
        : null;
      const rivals = held
        .filter(({ block }) => block.kind !== 'mixtures')
        .map(({ laws }) => this.#members(laws[target]!, weights));
      const deviation = deviations[target]!;
      surrogates.push(this.#surrogate(target, { members, rivals, process, deviation }));
    }
    return {
      surrogates,
      report: {
        range: this.#range,
        nSizes: new Set(runs.scales.params).size,
        repeatWorth: this.#worth,
        blocks: this.#report(held, combined, deviations),
      },
    };
  }

  #surrogate(
    target: number,
    own: Pick<ScaleModel, 'members' | 'rivals' | 'process' | 'deviation'>,
  ): ScaleSurrogate {
    const { params, tokens } = this.#options.runs.scales;
    const largest = this.#range.params[1];
    const atLargest = tokens.filter((_, run) => params[run] === largest);
    return new ScaleSurrogate({
      nDomains: this.#rows.nDomains,
      unitParams: this.#units.params,
      unitTokens: this.#units.tokens,
      domain: this.#targetOf?.indexOf(target) ?? -1,
      ...own,
      repeatWorth: this.#worth ?? REPEAT_WORTH,
      range: this.#range,
      home: { params: largest, tokens: atLargest.reduce((most, amount) => Math.max(most, amount)) },
    });
  }

  #rowsFor(worth: number): ScaleRows {
    const { weights, domains, ids, scales } = this.#options.runs;
    const { epochs } = scales;
    const dataWeights =
      epochs === null
        ? weights
        : weights.map((weight, at) => weight * repeatedShare(epochs[at]!, worth));
    return {
      nRuns: ids.length,
      nDomains: domains.length,
      weights,
      dataWeights,
      params: scales.params.map((value) => value / this.#units.params),
      tokens: scales.tokens.map((value) => value / this.#units.tokens),
    };
  }

  /** R of repetition by the additive law's fit, where runs repeat. */
  async #chooseWorth(): Promise<void> {
    const { epochs } = this.#options.runs.scales;
    if (epochs === null || epochs.every((times) => times <= 1)) return;
    let best = { worth: REPEAT_WORTH, value: Number.POSITIVE_INFINITY };
    for (const worth of REPEAT_WORTHS) {
      const rows = this.#rowsFor(worth);
      let value = 0;
      for (let target = 0; target < this.#nTargets; target++) {
        const { losses, counts } = this.#lossesOf(rows, target, null);
        const { signal } = this.#options;
        const settings = { form: 'additive' as const, maxIterations: ITERATIONS.continued, signal };
        value += (await fitInteractionLaw(rows, losses, counts, settings)).value;
      }
      if (value < best.value) best = { worth, value };
    }
    this.#worth = best.worth;
    this.#rows = this.#rowsFor(best.worth);
  }

  /** Laws of all targets, on some runs; from parameters of the whole fit where there are. */
  async #laws(
    runs: Int32Array | null,
    from: readonly Laws[] | null,
    step: () => void,
  ): Promise<Laws[]> {
    const { signal, seed } = this.#options;
    const rows = runs === null ? this.#rows : rowsAt(this.#rows, runs);
    const maxIterations = from ? ITERATIONS.continued : ITERATIONS.whole;
    const laws: Laws[] = [];
    for (let target = 0; target < this.#nTargets; target++) {
      throwIfAborted(signal, 'the scale fit');
      const { losses, counts } = this.#lossesOf(rows, target, runs);
      const fitForm = async (form: 'additive' | 'product') => {
        const settings = {
          form,
          maxIterations,
          start: from ? from[target]![form] : undefined,
          signal,
        };
        return (await fitInteractionLaw(rows, losses, counts, settings)).law.parameters;
      };
      laws.push({ additive: await fitForm('additive'), product: await fitForm('product') });
      step();
    }
    if (this.#targetOf === null) return laws;
    const kept = thinned(rows.nRuns, CAPACITY_RUNS, seed);
    const part = rowsAt(rows, kept);
    const own = Int32Array.from(kept, (at) => runs?.[at] ?? at);
    const start = from ? from[this.#targetOf[0]!]!.capacity : undefined;
    const law = await fitCapacityLaw(part, this.#domainLosses(own), this.#lateness(part), {
      ...{ seed, nStarts: CAPACITY_STARTS, maxIterations, start, signal },
    });
    return laws.map((found, target) =>
      this.#targetOf!.includes(target) ? { ...found, capacity: law.parameters } : found,
    );
  }

  async #leaveOut(block: ScaleBlock, whole: readonly Laws[], step: () => void): Promise<Held> {
    const laws = await this.#laws(block.train, whole, step);
    const { params, tokens } = this.#options.runs.scales;
    const range = {
      params: rangeOf(pick(params, block.train)),
      tokens: rangeOf(pick(tokens, block.train)),
    };
    const distance = Float64Array.from(block.held, (run) =>
      distanceFrom(range, { params: params[run]!, tokens: tokens[run]! }),
    );
    const logs = laws.map((own, target) => this.#logsOf(own, target, block.held));
    const rests: (Float64Array | null)[] = [];
    for (let target = 0; target < this.#nTargets; target++) {
      const equal = new Map<Form, number>([
        ['additive', 1],
        ['product', 1],
      ]);
      const process = await this.#process(target, laws[target]!, equal, block.train);
      rests.push(process?.predict(this.#processRows(block.held, range)).mean ?? null);
    }
    return { block, laws, distance, logs, rests };
  }

  /** The process on what laws leave; null where they leave nothing. */
  async #process(
    target: number,
    laws: Laws,
    weights: ReadonlyMap<Form, number>,
    runs: Int32Array | null,
  ): Promise<FittedSurrogate | null> {
    const { seed, signal } = this.#options;
    const all = runs ?? Int32Array.from({ length: this.#rows.nRuns }, (_, run) => run);
    const residuals = this.#residuals(target, laws, weights, all);
    const data = (most: number) => {
      const kept = thinned(all.length, most, seed);
      const own = Int32Array.from(kept, (at) => all[at]!);
      return {
        nRuns: own.length,
        nDomains: this.#rows.nDomains + 2,
        weights: this.#processRows(own, this.#range),
        losses: Float64Array.from(kept, (at) => residuals[at]!),
      };
    };
    const small = await gaussianProcess.fit(data(PROCESS_RUNS.parameters), { seed, signal });
    const parameters = processParameters(small) as Float64Array | undefined;
    if (parameters === undefined) return null;
    return conditionProcess(data(PROCESS_RUNS.held), parameters, signal);
  }

  #residuals(
    target: number,
    laws: Laws,
    weights: ReadonlyMap<Form, number>,
    runs: Int32Array,
  ): Float64Array {
    const centre = combineLogs(this.#logsOf(laws, target, runs), weights, runs.length).centre;
    return centre.map((log, at) => Math.log(this.#loss(runs[at]!, target)) - log);
  }

  /** Rows of the process, drawn into a range. */
  #processRows(runs: Int32Array, range: ScaleRange): Float64Array {
    const { params, tokens } = this.#options.runs.scales;
    const within = (value: number, [least, most]: readonly [number, number]): number =>
      Math.min(most, Math.max(least, value));
    return processColumns(
      pickRows(this.#rows.weights, runs, this.#rows.nDomains),
      this.#rows.nDomains,
      (row) => [
        within(params[runs[row]!]!, range.params) / this.#units.params,
        within(tokens[runs[row]!]!, range.tokens) / this.#units.tokens,
      ],
    );
  }

  #logsOf(laws: Laws, target: number, runs: Int32Array): Partial<Record<Form, Float64Array>> {
    const { weights, dataWeights, params, tokens, nDomains } = this.#rows;
    const logs: Partial<Record<Form, Float64Array>> = {};
    for (const form of ['additive', 'product'] as const) {
      const law = new InteractionLaw(form, laws[form]!);
      logs[form] = Float64Array.from(runs, (run) =>
        Math.log(law.loss(weights, dataWeights, run * nDomains, params[run]!, tokens[run]!)),
      );
    }
    if (laws.capacity) {
      const law = new CapacityLaw(laws.capacity);
      const domain = this.#targetOf!.indexOf(target);
      logs.capacity = Float64Array.from(runs, (run) => {
        const capacities = law.capacities(weights, run * nDomains, params[run]!);
        const data = law.data(dataWeights[run * nDomains + domain]!, tokens[run]!);
        return Math.log(law.loss(domain, capacities[domain]!, data));
      });
    }
    return logs;
  }

  /** How much each law counts; all the same without blocks, the capacity law not. */
  #memberWeights(held: readonly Held[]): ReadonlyMap<Form, number> {
    const asked = held.filter(({ block }) => block.kind === 'forward');
    const judged = asked.length > 0 ? asked : held;
    if (judged.length === 0)
      return new Map([
        ['additive', 1],
        ['product', 1],
      ]);
    const errors = FORMS.flatMap((form) => {
      const squares = judged.flatMap(({ block, logs }) =>
        logs.flatMap((own, target) =>
          own[form] ? [mean(this.#squares(own[form], block.held, target))] : [],
        ),
      );
      return squares.length === 0 ? [] : [{ form, error: mean(squares) }];
    });
    const best = Math.min(...errors.map(({ error }) => error));
    return new Map(
      errors
        .filter(({ error }) => error <= WORST_RATIO ** 2 * best)
        .map(({ form, error }) => [form, best / error]),
    );
  }

  #squares(logs: Float64Array, runs: Int32Array, target: number): Float64Array {
    return logs.map((log, at) => (log - Math.log(this.#loss(runs[at]!, target))) ** 2);
  }

  #helpsProcess(held: readonly Held[], weights: ReadonlyMap<Form, number>): boolean {
    const errorWith = (uses: boolean): number =>
      mean(
        held.flatMap((one) =>
          this.#combine(one, weights, uses).map(({ errors }) =>
            mean(errors.map((error) => error ** 2)),
          ),
        ),
      );
    return errorWith(true) < errorWith(false);
  }

  /** Errors of the logarithm, and how far the laws are apart, of a block's runs, by target. */
  #combine(
    { block, logs, rests, distance }: Held,
    weights: ReadonlyMap<Form, number>,
    uses: boolean,
  ): Combined[] {
    return logs.map((own, target) => {
      const { centre, spread } = combineLogs(own, weights, block.held.length);
      const rest = uses ? rests[target] : null;
      const errors = centre.map(
        (log, at) => log + (rest?.[at] ?? 0) - Math.log(this.#loss(block.held[at]!, target)),
      );
      return { errors, spread, distance, kind: block.kind };
    });
  }

  #members(laws: Laws, weights: ReadonlyMap<Form, number>): ScaleMember[] {
    const own = FORMS.filter((form) => weights.has(form) && laws[form]);
    const total = own.reduce((sum, form) => sum + weights.get(form)!, 0);
    return own.map((form) => ({
      form,
      weight: weights.get(form)! / total,
      parameters: laws[form]!,
    }));
  }

  #report(
    held: readonly Held[],
    combined: readonly (readonly Combined[])[],
    deviations: readonly ScaleDeviation[],
  ): BlockReport[] {
    return held.map(({ block, logs }, index) => {
      const relative = (errors: Float64Array): number =>
        mean(errors.map((error) => Math.abs(Math.expm1(error))));
      const errors: Record<string, number> = {
        ensemble: mean(combined[index]!.map((own) => relative(own.errors))),
      };
      for (const form of FORMS) {
        const own = logs.flatMap((each, target) =>
          each[form]
            ? [
                relative(
                  each[form].map((log, at) => log - Math.log(this.#loss(block.held[at]!, target))),
                ),
              ]
            : [],
        );
        if (own.length > 0) errors[form] = mean(own);
      }
      return {
        block: block.name,
        nRuns: block.held.length,
        errors,
        covered: coveredOf(combined[index]!, deviations),
      };
    });
  }

  #loss(run: number, target: number): number {
    return this.#options.runs.losses[run * this.#nTargets + target]!;
  }

  #lossesOf(rows: ScaleRows, target: number, runs: Int32Array | null) {
    const losses = Float64Array.from({ length: rows.nRuns }, (_, at) =>
      this.#loss(runs?.[at] ?? at, target),
    );
    return { losses, counts: this.#lateness(rows) };
  }

  #domainLosses(runs: Int32Array): Float64Array {
    const targetOf = this.#targetOf!;
    return Float64Array.from({ length: runs.length * targetOf.length }, (_, at) =>
      this.#loss(runs[Math.floor(at / targetOf.length)]!, targetOf[at % targetOf.length]!),
    );
  }

  /** How much rows count. */
  #lateness({ params, tokens }: ScaleRows): Float64Array {
    const most = new Map<number, number>();
    for (const [run, size] of params.entries()) {
      most.set(size, Math.max(most.get(size) ?? 0, tokens[run]!));
    }
    return tokens.map((amount, run) => (amount / most.get(params[run]!)!) ** LATE);
  }
}

/** Weighted mean of the laws' logarithms, and the weighted mean square of their distances from it. */
function combineLogs(
  logs: Partial<Record<Form, Float64Array>>,
  weights: ReadonlyMap<Form, number>,
  nRows: number,
): { readonly centre: Float64Array; readonly spread: Float64Array } {
  const own = FORMS.filter((form) => weights.has(form) && logs[form]);
  const total = own.reduce((sum, form) => sum + weights.get(form)!, 0);
  const centre = new Float64Array(nRows);
  const spread = new Float64Array(nRows);
  for (const form of own) {
    for (let at = 0; at < nRows; at++)
      centre[at]! += (weights.get(form)! / total) * logs[form]![at]!;
  }
  for (const form of own) {
    for (let at = 0; at < nRows; at++) {
      spread[at]! += (weights.get(form)! / total) * (logs[form]![at]! - centre[at]!) ** 2;
    }
  }
  return { centre, spread };
}

function baseName(name: string): string {
  return targetName(domainName(name));
}
