/**
 * The stages of a chain: what each does is one or a few calls of the functions behind the commands, with the outputs of the
 * stage before in the place of files that a person would name.
 *
 *     DIR/refine/CORPUS/    gristmill refine INPUTS --out
 *     DIR/tokenize/         gristmill mix tokenize --out
 *     DIR/mix/              mix sample, train, fit, optimize: mixtures.csv, sweep/, fit.json, mixture.json
 *     DIR/continue/         gristmill continue run PLAN --out
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PlanConfig } from '../continual/plan/config.ts';
import { runPlan } from '../continual/run/run.ts';
import { GristmillError } from '../errors.ts';
import { orderDomains, readDomains } from '../mixture/domains.ts';
import { fitMixture } from '../mixture/fit.ts';
import { fitInput, loadFit, saveFit } from '../mixture/fit-file.ts';
import { digitsOf, targetsOf } from '../mixture/fitted-targets.ts';
import { optimizeMixture } from '../mixture/optimize/optimize.ts';
import { type ProxySettings, proxySettings } from '../mixture/proxies/settings.ts';
import { trainProxies } from '../mixture/proxies/sweep.ts';
import { sampleMixtures } from '../mixture/sample/sample.ts';
import {
  domainName,
  joinRuns,
  readLosses,
  readMixtures,
  targetName,
  writeMixtures,
} from '../mixture/tables.ts';
import { writeWhole } from '../mixture/write-whole.ts';
import { refineCorpus } from '../refine/run.ts';
import { type DomainSource, fingerprintsOf, planSources } from '../tokens/sources.ts';
import { STORE_INDEX, type StoreIndex } from '../tokens/token-store.ts';
import { tokenizeDomains } from '../tokens/tokenize.ts';
import {
  type ChainConfig,
  type ChainStage,
  mixtureDomains,
  planOf,
  usesMixture,
} from './config.ts';
import { filesIn, fingerprintOf } from './ledger.ts';

/** Told as a chain goes on. */
export interface ChainProgress {
  readonly stage: ChainStage;
  /** What is at work, in words. */
  readonly what: string;
  /** Of what is counted: rows, sources, proxies, steps. */
  readonly done: number;
  readonly total: number;
}

/** What stages need. */
export interface StageContext {
  readonly chain: ChainConfig;
  /** Of the chain, for errors. */
  readonly file: string;
  readonly out: string;
  readonly nThreads: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onNotice: ((line: string) => void) | undefined;
  readonly onProgress: ((progress: ChainProgress) => void) | undefined;
}

/** A stage. */
export interface Stage {
  /** What decides its results: threads and devices do not. */
  options(context: StageContext): unknown;
  /** Files that it reads, with fingerprints. */
  inputs(context: StageContext): Promise<Record<string, string>>;
  /** @returns whether the signal ended it; the same call goes on */
  run(context: StageContext): Promise<boolean>;
  /** Whether a file of its folder is a result. */
  isOutput(path: string): boolean;
}

const refine: Stage = {
  options: ({ chain }) => ({ ...chain.refine, corpora: refined(chain) }),
  async inputs({ chain, signal }) {
    const sources = refined(chain).map((name) => rawSource(chain, name));
    const { documentModel, chunkModel, profile } = chain.refine!;
    // Others are names of what the package has.
    const files = [documentModel, chunkModel, profile].filter((path) => path && existsSync(path));
    return { ...(await sourceFiles(sources, signal)), ...ownFiles(files as string[]) };
  },
  async run({ chain, out, nThreads, signal, onNotice, onProgress }) {
    const { corpora: _, ...options } = chain.refine!;
    for (const name of refined(chain)) {
      if (signal?.aborted) return true;
      const { inputs, textColumn } = chain.corpora[name]!;
      const summary = await refineCorpus({
        ...(options as object),
        inputs: [...inputs],
        ...(textColumn !== undefined && { textColumn }),
        ...(nThreads !== undefined && { threads: nThreads }),
        out: join(out, 'refine', name),
        ...(signal && { stop: signal }),
        ...(onNotice && { onNotice }),
        onProgress: ({ rows, nRows }) =>
          onProgress?.({ stage: 'refine', what: name, done: rows, total: nRows ?? rows }),
      });
      if (summary.interrupted) return true;
      const [fault] = summary.errors;
      if (fault) throw failed('refine', `${name}: ${fault.input}: ${fault.code}: ${fault.message}`);
    }
    return false;
  },
  isOutput: (path) => /\/part-[^/]*$/.test(path),
};

const tokenize: Stage = {
  options: ({ chain }) => ({
    ...chain.tokenize,
    corpora: Object.keys(chain.corpora).map((name) => {
      const { textColumn, where } = chain.corpora[name]!;
      return { name, ...(textColumn && { textColumn }), ...(where && { where }) };
    }),
  }),
  async inputs(context) {
    const { chain, signal } = context;
    const sources = Object.keys(chain.corpora).map((name) => trainedSource(context, name));
    const { tokenizer } = chain.tokenize!;
    const files = await sourceFiles(sources, signal);
    return 'path' in tokenizer ? { ...files, ...ownFiles([tokenizer.path]) } : files;
  },
  async run(context) {
    const { chain, out, signal, onNotice, onProgress } = context;
    const { tokenizer, validation } = chain.tokenize!;
    await tokenizeDomains({
      sources: Object.keys(chain.corpora).map((name) => trainedSource(context, name)),
      tokenizer: 'path' in tokenizer ? tokenizer.path : { trainSize: tokenizer.train.vocabSize },
      out: join(out, 'tokenize'),
      validationShare: validation,
      onNotice,
      signal,
      onProgress: ({ nSources, totalSources }) =>
        onProgress?.({ stage: 'tokenize', what: 'sources', done: nSources, total: totalSources }),
    });
    return false;
  },
  // What names files by time is left out: store.json, building.json, record.json.
  isOutput: (path) => !/(^|\/)(store|building|record)\.json$/.test(path) && !/(^|\/)\./.test(path),
};

const mix: Stage = {
  options: ({ chain }) => ({ ...chain.mix, corpora: mixtureDomains(chain) }),
  inputs: async ({ out }) => {
    const folder = join(out, 'tokenize');
    return ownFiles(
      filesIn(folder)
        .filter(tokenize.isOutput)
        .map((path) => join(folder, path)),
    );
  },
  async run({ chain, out, nThreads, signal, onNotice, onProgress }) {
    const { runs, sample, seed, proxy, model, folds, targets, kl, outside } = chain.mix!;
    const folder = join(out, 'mix');
    const [store, table, fitFile] = [
      join(out, 'tokenize'),
      join(folder, 'mixtures.csv'),
      join(folder, 'fit.json'),
    ];
    const wanted = mixtureDomains(chain);
    const all = readDomains(join(store, 'domains.json'));
    const domains = wanted.map((name) => {
      const domain = all.find((one) => one.name === name);
      return domain ?? fail('mix', `corpus ${name} has no document`);
    });
    if (!existsSync(table)) {
      const sampled = await sampleMixtures({ domains, n: runs, way: sample, seed, signal });
      await writeMixtures(table, sampled, { digits: digitsOf(sampled.nUnits) });
    }
    const { preset, ...changed } = proxy;
    const mixtures = await readMixtures(table);
    const sweep = await trainProxies({
      ...{
        mixtures,
        mixturesName: table,
        store,
        out: join(folder, 'sweep'),
        nThreads,
        onNotice,
        signal,
      },
      settings: proxySettings(preset, changed as Partial<ProxySettings>),
      onProgress: ({ nFinished, nRuns }) =>
        onProgress?.({ stage: 'mix', what: 'proxies', done: nFinished, total: nRuns }),
    });
    if (sweep.interrupted) return true;
    const [fault] = sweep.failures;
    if (fault) throw failed('mix', `proxy ${fault.run}: ${fault.code}: ${fault.message}`);
    const losses = await readLosses(sweep.losses!);
    const fitted = await fitMixture({
      runs: joinRuns(mixtures, losses, { files: { mixtures: table, losses: sweep.losses! } }),
      ...{ model, seed, folds: Math.min(folds, runs), signal },
    });
    await saveFit(fitFile, fitted, [await fitInput(table), await fitInput(sweep.losses!)]);
    const { fit } = await loadFit(fitFile);
    const weightOf = new Map(
      Object.entries(targets ?? Object.fromEntries(wanted.map((name) => [name, 1]))),
    );
    const chosen = targetsOf(fit)
      .map((target) => ({ ...target, weight: weightOf.get(targetName(target.name)) ?? 0 }))
      .filter(({ weight }) => weight > 0);
    if (chosen.length === 0) throw failed('mix', 'no corpus of its targets has held-out text');
    const proposal = await optimizeMixture({
      ...{ targets: chosen, kl, outside, seed, signal },
      domains: orderDomains(domains, fit.domains),
      sampled: { domains: fit.domains, ids: fit.runs.ids, weights: fit.runs.weights },
    });
    for (const { message } of proposal.warnings) onNotice?.(`mix: ${message}`);
    await writeWhole(join(folder, 'mixture.json'), `${JSON.stringify(proposal, null, 2)}\n`);
    return false;
  },
  isOutput: (path) => ['mixtures.csv', 'sweep/losses.csv', 'mixture.json'].includes(path),
};

const continued: Stage = {
  options: (context) => {
    // As in a run by itself, these change no result.
    const {
      nThreads: _,
      checkpointEvery: __,
      device: ___,
      datasets,
      ...plan
    } = planConfig(context);
    const own = Object.entries(datasets).map(([name, { inputs: ____, ...rest }]) => [name, rest]);
    return { ...plan, tokenizer: null, datasets: Object.fromEntries(own) };
  },
  async inputs(context) {
    const { datasets, validation, model } = planConfig(context);
    const sources = [...Object.entries(datasets), ...Object.entries(validation.sets)].map(
      ([name, { inputs, textColumn, where }]): DomainSource => ({
        name,
        inputs: [...inputs!],
        ...(textColumn && { textColumn }),
        ...(where && { where }),
      }),
    );
    return {
      ...(await sourceFiles(sources, context.signal)),
      ...ownFiles([tokenizerOf(context), ...(model && 'from' in model ? [model.from] : [])]),
      ...(usesMixture(context.chain) && ownFiles([join(context.out, 'mix', 'mixture.json')])),
    };
  },
  async run(context) {
    const { out, file, nThreads, signal, onNotice, onProgress } = context;
    const plan = planConfig(context);
    const { interrupted } = await runPlan(
      { ...plan, ...(nThreads !== undefined && { nThreads }) },
      {
        ...{ out: join(out, 'continue'), file, signal, onNotice },
        onProgress: ({ stage, step, totalSteps }) =>
          onProgress?.({ stage: 'continue', what: stage, done: step, total: totalSteps }),
      },
    );
    return interrupted;
  },
  isOutput: (path) =>
    ['lineage.json', 'summary.json'].includes(path) ||
    /^stages\/[^/]+\/(stage\.json|losses\.jsonl|[^/]+\.(ckpt|gguf))$/.test(path),
};

/** The stages by name. */
export const STAGES: Readonly<Record<ChainStage, Stage>> = {
  refine,
  tokenize,
  mix,
  continue: continued,
};

/** Corpora that are refined. */
export function refined({ refine: own, corpora }: ChainConfig): string[] {
  if (!own) return [];
  return own.corpora ?? Object.keys(corpora);
}

/** Files of a corpus as it is trained on: refined, or as they are written. */
export function trainedInputs(
  { chain, out }: Pick<StageContext, 'chain' | 'out'>,
  name: string,
): string[] {
  if (!refined(chain).includes(name)) return [...chain.corpora[name]!.inputs];
  const folder = join(out, 'refine', name);
  return filesIn(folder)
    .filter((path) => /^part-[^/]*$/.test(path))
    .map((path) => join(folder, path));
}

/** Weights of the mixture, as the file of the mix has them. */
export function mixtureWeights({
  chain,
  out,
}: Pick<StageContext, 'chain' | 'out'>): Record<string, number> {
  if (!chain.mix) return {};
  const { domains, weights } = JSON.parse(
    readFileSync(join(out, 'mix', 'mixture.json'), 'utf8'),
  ) as { readonly domains: readonly string[]; readonly weights: readonly number[] };
  return Object.fromEntries(domains.map((domain, at) => [domainName(domain), weights[at]!]));
}

/** The tokenizer that the tokens were made with. */
export function tokenizerOf({ out }: Pick<StageContext, 'out'>): string {
  const store = join(out, 'tokenize');
  const { tokenizer } = JSON.parse(readFileSync(join(store, STORE_INDEX), 'utf8')) as StoreIndex;
  return tokenizer.path === 'tokenizer.gguf' ? join(store, tokenizer.path) : tokenizer.path;
}

function planConfig(context: StageContext): PlanConfig {
  const tokenizer = { path: tokenizerOf(context) };
  const weights = mixtureWeights(context);
  return planOf(context.chain, tokenizer, weights, context.file, (name) =>
    trainedInputs(context, name),
  );
}

/** A corpus as it is written. */
export function rawSource({ corpora }: ChainConfig, name: string): DomainSource {
  const { inputs, textColumn, where } = corpora[name]!;
  return { name, inputs, ...(textColumn !== undefined && { textColumn }), ...(where && { where }) };
}

function trainedSource(context: StageContext, name: string): DomainSource {
  const inputs = trainedInputs(context, name);
  if (inputs.length === 0) throw failed('refine', `corpus ${name}: no document was kept`);
  return { ...rawSource(context.chain, name), inputs };
}

async function sourceFiles(
  sources: readonly DomainSource[],
  signal: AbortSignal | undefined,
): Promise<Record<string, string>> {
  return fingerprintsOf(await planSources(sources, signal));
}

function ownFiles(paths: readonly string[]): Record<string, string> {
  return Object.fromEntries(paths.map((path) => [path, fingerprintOf(path)]));
}

function failed(stage: ChainStage, reason: string): GristmillError {
  return new GristmillError('CHAIN_STAGE_FAILED', { stage, reason });
}

function fail(stage: ChainStage, reason: string): never {
  throw failed(stage, reason);
}
