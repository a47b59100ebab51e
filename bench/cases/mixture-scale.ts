/**
 * Fits over sizes and token counts on the 2,452 published runs of arXiv 2606.08167 (github.com/meiqwq/Explaining-Data-Mixing-Scaling-Laws;
 * no licence is stated, so they are read from where the user keeps them: $GRISTMILL_SCALE_RUNS, the path of
 * dmsl_llm_slimpajama.csv). Fitted on models up to 680M and the first 60 % of their tokens; asked for 937M, 1.2B and 2.7B at every
 * token count beyond those fitted.
 */
import { existsSync, readFileSync } from 'node:fs';
import { parseCsv } from '../../src/csv.ts';
import { fitMixture } from '../../src/mixture/fit.ts';
import { fitAt } from '../../src/mixture/scale/at.ts';
import { type CapacityLaw, fitCapacityLaw } from '../../src/mixture/scale/capacity-law.ts';
import { mean, meanOf, spearman } from '../../src/mixture/statistics.ts';
import type { RunScales, RunTable } from '../../src/mixture/types.ts';
import type { Bench, BenchTable } from '../types.ts';

const FITTED_PARAMS = 680e6;
const FITTED_SHARE = 0.605;
const NORMAL_QUANTILE = 1.6448536269514722;

type Runs = RunTable & { readonly scales: RunScales };

/** What one model says of the runs that were held out, `[nRuns × nTargets]`. */
interface Said {
  readonly mean: Float64Array;
  readonly deviation: Float64Array | null;
  readonly seconds: number;
}

export const bench: Bench = {
  name: 'mixture-scale',
  async run({ quick, log }) {
    const path = process.env['GRISTMILL_SCALE_RUNS'] ?? '';
    const table = (rows: BenchTable['rows'], notes: readonly string[]): BenchTable => ({
      title:
        'Larger models and more tokens than were fitted: mean relative error, Spearman, coverage',
      columns: [
        'model',
        'relative error',
        '937M',
        '1.2B',
        '2.7B',
        'Spearman',
        'in a scale',
        '90 % covers',
        'CPU-s',
      ],
      rows,
      notes,
    });
    if (!existsSync(path)) {
      return table(
        [],
        [`no runs at GRISTMILL_SCALE_RUNS (${path || 'not set'}): nothing was measured`],
      );
    }
    const all = publishedRuns(path);
    const { fitted, held } = split(all);
    const contenders: readonly (readonly [string, () => Promise<Said>])[] = [
      ['gristmill, scale', () => scaleModel(fitted, held)],
      ['law of 2606.08167, log losses', () => publishedLaw(fitted, held, quick ? 1 : 3, 0)],
      [
        'law of 2606.08167, late runs count more',
        () => publishedLaw(fitted, held, quick ? 1 : 3, 2),
      ],
      ['no scale (ensemble)', () => withoutScale(fitted, held)],
    ];
    const rows: (string | number)[][] = [];
    const details: string[] = [];
    for (const [name, fit] of contenders) {
      log(name);
      const said = await fit();
      rows.push(rowOf(name, held, said));
      details.push(
        `${name}, by domain (relative error / Spearman in a scale): ${byTarget(held, said)}.`,
      );
    }
    return table(rows, [
      `${fitted.ids.length} rows fitted, ${held.ids.length} predicted; ${fitted.domains.length} domains, all of them targets. Spearman: over all held rows; in a scale: mixtures of one size and token count, mean over those with at least 20.`,
      ...details,
    ]);
  },
};

function publishedRuns(path: string): Runs {
  const { header, rows } = parseCsv(readFileSync(path, 'utf8'), path);
  const domains = header.filter((name) => name.startsWith('weight_')).map((name) => name.slice(7));
  const column = (name: string): number => header.indexOf(name);
  // Six rows lack a loss.
  const whole = rows.filter((row) => domains.every((name) => row[column(`${name}_loss`)] !== ''));
  const numbers = (name: string): number[] => whole.map((row) => Number(row[column(name)]));
  const weights = whole.flatMap((row) => {
    const own = domains.map((name) => Number(row[column(`weight_${name}`)]));
    const sum = own.reduce((total, weight) => total + weight);
    return own.map((weight) => weight / sum);
  });
  return {
    domains,
    targets: domains,
    ids: whole.map((_, row) => String(row)),
    weights: Float64Array.from(weights),
    losses: Float64Array.from(
      whole.flatMap((row) => domains.map((name) => Number(row[column(`${name}_loss`)]))),
    ),
    scales: {
      params: Float64Array.from(numbers('model_size')),
      tokens: Float64Array.from(numbers('n_tokens')),
      epochs: null,
    },
  };
}

function split(all: Runs): { readonly fitted: Runs; readonly held: Runs } {
  const { params, tokens } = all.scales;
  const most = new Map<number, number>();
  for (const [run, size] of params.entries()) {
    most.set(size, Math.max(most.get(size) ?? 0, tokens[run]!));
  }
  const rows = [...all.ids.keys()];
  const first = rows.filter(
    (run) =>
      params[run]! <= FITTED_PARAMS && tokens[run]! <= FITTED_SHARE * most.get(params[run]!)!,
  );
  const last = Math.max(...first.map((run) => tokens[run]!));
  const later = rows.filter((run) => params[run]! > FITTED_PARAMS && tokens[run]! > last);
  return { fitted: rowsOf(all, first), held: rowsOf(all, later) };
}

function rowsOf(
  { domains, targets, ids, weights, losses, scales }: Runs,
  rows: readonly number[],
): Runs {
  const cut = (values: Float64Array, width: number): Float64Array =>
    Float64Array.from(rows.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]));
  return {
    domains,
    targets,
    ids: rows.map((row) => ids[row]!),
    weights: cut(weights, domains.length),
    losses: cut(losses, targets.length),
    scales: { params: cut(scales.params, 1), tokens: cut(scales.tokens, 1), epochs: null },
  };
}

async function cpuSeconds<Result>(work: () => Promise<Result>): Promise<[Result, number]> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return [result, (user + system) / 1e6];
}

async function scaleModel(fitted: Runs, held: Runs): Promise<Said> {
  const [fit, seconds] = await cpuSeconds(() => fitMixture({ runs: fitted, model: 'scale' }));
  const [nDomains, nTargets] = [held.domains.length, held.targets.length];
  const said = {
    mean: new Float64Array(held.losses.length),
    deviation: new Float64Array(held.losses.length),
  };
  for (const run of held.ids.keys()) {
    const at = { params: held.scales.params[run]!, tokens: held.scales.tokens[run]! };
    const { surrogates } = fitAt(fit, at, { beyond: true });
    for (const [target, surrogate] of surrogates.entries()) {
      const predicted = surrogate.predict(held.weights.slice(run * nDomains, (run + 1) * nDomains));
      said.mean[run * nTargets + target] = predicted.mean[0]!;
      said.deviation[run * nTargets + target] = predicted.deviation![0]!;
    }
  }
  return { ...said, seconds };
}

async function publishedLaw(
  fitted: Runs,
  held: Runs,
  nStarts: number,
  late: number,
): Promise<Said> {
  const [unitParams, unitTokens] = [1e9, 1e9];
  const { params, tokens } = fitted.scales;
  const most = new Map<number, number>();
  for (const [run, size] of params.entries()) {
    most.set(size, Math.max(most.get(size) ?? 0, tokens[run]!));
  }
  const rows = {
    nRuns: fitted.ids.length,
    nDomains: fitted.domains.length,
    weights: fitted.weights,
    dataWeights: fitted.weights,
    params: params.map((value) => value / unitParams),
    tokens: tokens.map((value) => value / unitTokens),
  };
  const counts = tokens.map((amount, run) => (amount / most.get(params[run]!)!) ** late);
  const [law, seconds] = await cpuSeconds(() =>
    fitCapacityLaw(rows, fitted.losses, counts, { seed: 0, nStarts, maxIterations: 150 }),
  );
  return { mean: lawMeans(law, held, unitParams, unitTokens), deviation: null, seconds };
}

function lawMeans(
  law: CapacityLaw,
  held: Runs,
  unitParams: number,
  unitTokens: number,
): Float64Array {
  const nDomains = held.domains.length;
  const said = new Float64Array(held.losses.length);
  for (const run of held.ids.keys()) {
    const capacities = law.capacities(
      held.weights,
      run * nDomains,
      held.scales.params[run]! / unitParams,
    );
    for (let domain = 0; domain < nDomains; domain++) {
      const data = law.data(
        held.weights[run * nDomains + domain]!,
        held.scales.tokens[run]! / unitTokens,
      );
      said[run * nDomains + domain] = law.loss(domain, capacities[domain]!, data);
    }
  }
  return said;
}

async function withoutScale(fitted: Runs, held: Runs): Promise<Said> {
  // What RegMix does: one size at its most tokens, and its losses stand for all.
  const size = Math.max(...fitted.scales.params);
  const own = [...fitted.ids.keys()].filter((run) => fitted.scales.params[run] === size);
  const last = Math.max(...own.map((run) => fitted.scales.tokens[run]!));
  const { scales: _scales, ...runs } = rowsOf(
    fitted,
    own.filter((run) => fitted.scales.tokens[run] === last),
  );
  const [fit, seconds] = await cpuSeconds(() => fitMixture({ runs, model: 'ensemble', folds: 0 }));
  const nTargets = held.targets.length;
  const said = {
    mean: new Float64Array(held.losses.length),
    deviation: new Float64Array(held.losses.length),
  };
  for (const [target, surrogate] of fit.surrogates.entries()) {
    const predicted = surrogate.predict(held.weights);
    for (const run of held.ids.keys()) {
      said.mean[run * nTargets + target] = predicted.mean[run]!;
      said.deviation[run * nTargets + target] = predicted.deviation![run]!;
    }
  }
  return { ...said, seconds };
}

/** Numbers of a target, of some rows. */
function column(
  values: Float64Array,
  nTargets: number,
  target: number,
  rows: readonly number[],
): Float64Array {
  return Float64Array.from(rows, (run) => values[run * nTargets + target]!);
}

function errorOf(held: Runs, said: Said, target: number, rows: readonly number[]): number {
  const nTargets = held.targets.length;
  return mean(
    rows.map((run) =>
      Math.abs(said.mean[run * nTargets + target]! / held.losses[run * nTargets + target]! - 1),
    ),
  );
}

/** Spearman of mixtures at one size and token count, mean over those with at least 20. */
function withinScales(held: Runs, said: Said, target: number): number | null {
  const groups = new Map<string, number[]>();
  for (const run of held.ids.keys()) {
    const key = `${held.scales.params[run]} ${held.scales.tokens[run]}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  const nTargets = held.targets.length;
  return meanOf(
    [...groups.values()]
      .filter((rows) => rows.length >= 20)
      .map((rows) =>
        spearman(
          column(held.losses, nTargets, target, rows),
          column(said.mean, nTargets, target, rows),
        ),
      ),
  );
}

function rowOf(name: string, held: Runs, said: Said): (string | number)[] {
  const all = [...held.ids.keys()];
  const targets = [...held.targets.keys()];
  const nTargets = targets.length;
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const errorOn = (rows: readonly number[]): string =>
    percent(mean(targets.map((target) => errorOf(held, said, target, rows))));
  const ofSize = (size: number): readonly number[] =>
    all.filter((run) => held.scales.params[run] === size);
  const sizes = [...new Set(held.scales.params)].sort((one, other) => one - other);
  const rhos = targets.map((target) =>
    spearman(column(held.losses, nTargets, target, all), column(said.mean, nTargets, target, all)),
  );
  const covered =
    said.deviation === null
      ? '–'
      : percent(
          mean(
            Array.from(said.mean, (loss, at) =>
              Math.abs(loss - held.losses[at]!) <= NORMAL_QUANTILE * said.deviation![at]! ? 1 : 0,
            ),
          ),
        );
  return [
    name,
    errorOn(all),
    ...sizes.map((size) => errorOn(ofSize(size))),
    (meanOf(rhos) ?? 0).toFixed(4),
    (meanOf(targets.map((target) => withinScales(held, said, target))) ?? 0).toFixed(4),
    covered,
    said.seconds.toFixed(1),
  ];
}

function byTarget(held: Runs, said: Said): string {
  const all = [...held.ids.keys()];
  return held.targets
    .map((name, target) => {
      const error = (100 * errorOf(held, said, target, all)).toFixed(2);
      return `${name} ${error} % / ${withinScales(held, said, target)?.toFixed(3) ?? '–'}`;
    })
    .join(', ');
}
