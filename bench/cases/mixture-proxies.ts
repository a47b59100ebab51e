/**
 * Case `mixture-proxies`: RegMix (arXiv 2407.01492) end to end on real domains at our scale.
 *
 *     80 mixtures ─► 80 tiny proxies ─► fit on 64, rank correlation on the 16 others ─► proposal for a target
 *     proposal, prior, uniform ─► models of four times the size, four times the tokens, three seeds each ─► target losses
 *
 * The target is the mean validation loss of web and maths pages. The prior is the share of tokens that the domains have.
 * Data: $GRISTMILL_DATA/web-gold and web-raw (default ../shared/data beside the package); without it no rows.
 * Work is kept in bench/.cache/mixture-proxies: a second run goes on where the first one stopped.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fitMixture } from '../../src/mixture/fit.ts';
import { optimizeMixture } from '../../src/mixture/optimize/optimize.ts';
import { predictMixtures } from '../../src/mixture/predict.ts';
import { type ProxySettings, proxySettings } from '../../src/mixture/proxies/settings.ts';
import { trainProxies } from '../../src/mixture/proxies/sweep.ts';
import { sampleMixtures } from '../../src/mixture/sample/sample.ts';
import { spearman } from '../../src/mixture/statistics.ts';
import { joinRuns, readLosses } from '../../src/mixture/tables.ts';
import type { MixtureTable, RunTable } from '../../src/mixture/types.ts';
import { packageRoot } from '../../src/paths.ts';
import { tokenizeDomains } from '../../src/tokens/tokenize.ts';
import type { Bench, BenchTable } from '../types.ts';
import { writeDomains } from './mixture-proxies-data.ts';

const VOCABULARY = 2048;
const N_TRAIN = 64;
const N_UNSEEN = 16;
const TARGETS = ['web', 'maths'] as const;
const SEEDS = [1, 2, 3];
/** Four times the parameters of the layers and of the tokens of `tiny`. */
const LARGER: Partial<ProxySettings> = {
  nEmbd: 128,
  nFf: 384,
  steps: 1200,
  warmupSteps: 60,
  evalEvery: 0,
};

export const bench: Bench = {
  name: 'mixture-proxies',
  async run({ quick, log }) {
    const folder = process.env['GRISTMILL_BENCH_FOLDER'] ?? join(process.cwd(), 'bench');
    const data = process.env['GRISTMILL_DATA'] ?? join(folder, '..', '..', 'shared', 'data');
    const ranks: BenchTable = {
      title: 'Tiny proxies on seven real domains: predicted and true losses of unseen mixtures',
      columns: ['target', 'runs', 'unseen', 'Spearman', 'RMSE', '90 % covers'],
      rows: [],
      notes: [],
    };
    if (!existsSync(join(data, 'web-gold', 'dev.jsonl.gz'))) {
      return { ...ranks, notes: [`no data in ${data}: nothing was measured`] };
    }
    const work = join(folder, '.cache', quick ? 'mixture-proxies-quick' : 'mixture-proxies');
    const vendor = join(packageRoot, 'native', 'vendor', 'llama.cpp');
    const files = await writeDomains(data, vendor, join(work, 'domains'));
    const store = join(work, 'store');
    const index = await tokenizeDomains({
      sources: files.map(({ name, file }) => ({ name, inputs: [file] })),
      tokenizer: { trainSize: VOCABULARY },
      out: store,
      validationShare: 0.1,
    });
    const domains = index.domains.map(({ name, train }) => ({ name, tokens: train.nTokens }));
    const nTrain = quick ? 12 : N_TRAIN;
    const nUnseen = quick ? 4 : N_UNSEEN;
    const mixtures = await sampleMixtures({
      domains,
      n: nTrain + nUnseen,
      way: 'regmix-paper',
      seed: 42,
    });
    const train = async (
      table: MixtureTable,
      name: string,
      overrides: Partial<ProxySettings>,
    ): Promise<RunTable> => {
      const settings = proxySettings(
        'tiny',
        quick ? { ...overrides, steps: 20, warmupSteps: 5 } : overrides,
      );
      const out = join(work, name);
      const summary = await trainProxies({ mixtures: table, store, settings, out });
      log(
        `${name}: ${summary.nTrained} trained, ${summary.nResumed} known, ${summary.seconds.toFixed(0)} s`,
      );
      return joinRuns(table, await readLosses(summary.losses!));
    };
    const runs = await train(mixtures, 'sweep', {});
    const known = rowsOf(runs, 0, nTrain);
    const unseen = rowsOf(runs, nTrain, nTrain + nUnseen);
    const fit = await fitMixture({ runs: known, model: 'ensemble', seed: 0 });
    const predictions = predictMixtures(fit, unseen);
    for (const [column, { target, mean, halfWidth }] of predictions.entries()) {
      const truth = Float64Array.from(
        unseen.ids,
        (_, row) => unseen.losses[row * unseen.targets.length + column]!,
      );
      const errors = mean.map((value, row) => value - truth[row]!);
      const covered = errors.filter(
        (error, row) => halfWidth && Math.abs(error) <= halfWidth[row]!,
      );
      (ranks.rows as (string | number)[][]).push([
        target,
        nTrain,
        nUnseen,
        spearman(mean, truth) ?? 'constant',
        Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length),
        covered.length / errors.length,
      ]);
    }
    const targets = TARGETS.map((name) => {
      const column = fit.targets.findIndex((target) => target.includes(name));
      return { name, weight: 1, surrogate: fit.surrogates[column]! };
    });
    const proposal = await optimizeMixture({
      domains,
      targets,
      sampled: known,
      outside: 'inside',
      seed: 0,
    });
    const uniform = domains.map(() => 1 / domains.length);
    const total = domains.reduce((sum, { tokens }) => sum + tokens, 0);
    const prior = domains.map(({ tokens }) => tokens / total);
    const contenders: MixtureTable = {
      domains: mixtures.domains,
      ids: ['proposal', 'prior', 'uniform'],
      weights: Float64Array.from([...proposal.weights, ...prior, ...uniform]),
    };
    const bySeed: RunTable[] = [];
    for (const seed of quick ? [1] : SEEDS) {
      bySeed.push(await train(contenders, `larger-${seed}`, { ...LARGER, seed }));
    }
    const rows = contenders.ids.map((id, row) => {
      const losses = bySeed.map((table) => {
        const own = table.ids.indexOf(id);
        const of = (name: string): number =>
          table.losses[
            own * table.targets.length + table.targets.findIndex((target) => target.includes(name))
          ]!;
        return TARGETS.reduce((sum, name) => sum + of(name), 0) / TARGETS.length;
      });
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
      const weights = contenders.weights.subarray(row * domains.length, (row + 1) * domains.length);
      return [
        id,
        domains.map(({ name }, at) => `${name} ${weights[at]!.toFixed(3)}`).join(', '),
        mean,
        losses.map((loss) => loss.toFixed(4)).join(' '),
      ];
    });
    return [
      ranks,
      {
        title: 'Models of four times the size on three mixtures: mean loss of web and maths',
        columns: ['mixture', 'weights', 'mean', 'by seed'],
        rows,
        notes: [
          `proposal for the mean of ${TARGETS.join(' and ')}; predicted by the proxies' fit: ${proposal.predicted.map(({ target, mean }) => `${target} ${mean.toFixed(3)}`).join(', ')}`,
          ...proposal.warnings.map(({ message }) => message),
        ],
      },
    ];
  },
};

/** Runs `[start, end)` of a table. */
function rowsOf(runs: RunTable, start: number, end: number): RunTable {
  const nDomains = runs.domains.length;
  const nTargets = runs.targets.length;
  return {
    ...runs,
    ids: runs.ids.slice(start, end),
    weights: runs.weights.slice(start * nDomains, end * nDomains),
    losses: runs.losses.slice(start * nTargets, end * nTargets),
  };
}
