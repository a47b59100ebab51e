/**
 * Carries out a plan: tokens, then stage after stage, each from a checkpoint of another; everything in one folder.
 *
 *     run.json        what makes it this run; another plan or other data are refused
 *     store/          tokens of all datasets and validation sets, see tokens/tokenize.ts
 *     stages/NN-name/ see stage-run.ts
 *     lineage.json    every checkpoint: its parent, what it has seen, its losses, its hash
 *     summary.json    losses and forgetting by stage; it is there only when the run is finished
 *
 * Nothing in the results depends on time, threads or interruptions: on a CPU a run that was killed and called again
 * leaves the same bytes. Stages that were made elsewhere (`done`) count as seen; their weights are those of `model.from`.
 *
 * @see arXiv 2403.08763; keeping the checkpoint before the anneal: its section 7, and 2503.02844
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseDevices } from '../../device-names.ts';
import { readLedgerJson, writeDurably } from '../../durable-files.ts';
import { GristmillError } from '../../errors.ts';
import { requireDevices } from '../../native/devices.ts';
import { abortSignal, callback, checkOptions, name, type OptionTable } from '../../options.ts';
import { changedKeys, hashOf } from '../../same-run.ts';
import {
  type DomainSource,
  fingerprintsOf,
  hasDocuments,
  planSources,
} from '../../tokens/sources.ts';
import { sequencesOf, validationSets } from '../../tokens/store-batches.ts';
import { openTokenStore, STORE_INDEX, type TokenStore } from '../../tokens/token-store.ts';
import { type TokenizeProgress, tokenizeDomains } from '../../tokens/tokenize.ts';
import { KEEPS_TOKENIZER } from '../../train/config-parts.ts';
import { checkVocabulary, shapeOf } from '../../train/model-shape.ts';
import { openTrainer, type Trainer } from '../../train/trainer.ts';
import { type Lease, withLease } from '../../work/lease.ts';
import type { PlanConfig } from '../plan/config.ts';
import { resolvePlan } from '../plan/resolve.ts';
import type { ContinualPlan, PlanStage } from '../plan/types.ts';
import { type Checkpoint, checkpointId, Lineage } from './lineage.ts';
import type { StageRecord } from './stage-loop.ts';
import { finishedStage, runStage, type StageSummary } from './stage-run.ts';

/** Options of {@link runPlan}. */
export interface RunPlanOptions {
  /** Folder of the run. */
  readonly out: string;
  /** Named in errors. Default `the plan`. */
  readonly file?: string;
  readonly onTokenize?: (progress: TokenizeProgress) => void;
  readonly onProgress?: (progress: StageProgress) => void;
  /** One line that a person should see: a wait for a lease. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Ends the run behind the step that is being made; the same call goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** A step or a measurement of a run. */
export interface StageProgress extends StageRecord {
  readonly stage: string;
  readonly stageIndex: number;
  readonly nStages: number;
  readonly totalSteps: number;
  readonly tokensPerSecond: number;
}

/** What a run gave. */
export interface RunPlanSummary {
  readonly name: string;
  readonly nParams: number;
  readonly tokens: number;
  /** Tokens of all stages by those of training anew on everything at each. */
  readonly computeRatio: number;
  /** Those that are finished, in the order of the plan. */
  readonly stages: readonly StageSummary[];
  /** Of the plan: what is legal and unwise. */
  readonly notes: readonly string[];
}

/** A summary, and whether it is whole. */
export interface RunPlanResult extends RunPlanSummary {
  readonly out: string;
  /** True: ended by `signal` behind a checkpoint; the same call goes on. */
  readonly interrupted: boolean;
}

const OPTION_TABLE: OptionTable<RunPlanOptions> = {
  out: name,
  file: name,
  onTokenize: callback,
  onProgress: callback,
  onNotice: callback,
  signal: abortSignal,
};

/**
 * Carries out a plan, or goes on with it.
 *
 * @throws CONTINUAL_PLAN_INVALID for what running needs beyond a plan (data, model, tokenizer), CONTINUAL_RUN_CHANGED,
 *   CONTINUAL_DATA_TOO_SMALL, CONTINUAL_REPLAY_TOO_SMALL, CONTINUAL_DIVERGED, CONTINUAL_WRITE_FAILED, SCHEDULE_INVALID,
 *   RUN_OUTPUT_IN_USE, RUN_LEASE_LOST, RUN_LEDGER_INVALID, TRAIN_*, CORPUS_*, ENGINE_MODEL_*, ABORTED while it tokenizes
 */
export async function runPlan(config: PlanConfig, options: RunPlanOptions): Promise<RunPlanResult> {
  checkOptions<RunPlanOptions>('runPlan', options, OPTION_TABLE, ['out']);
  const { out, signal } = options;
  const needed = neededOf(config, options.file ?? 'the plan');
  // Before anything is tokenized, and before the folder is this plan's.
  requireDevices(parseDevices(config.device ?? 'cpu'));
  if (config.model && 'from' in config.model && typeof needed.tokenizer === 'string') {
    await checkVocabulary(config.model.from, needed.tokenizer);
  }
  return withLease(out, join(out, 'lock'), 'CONTINUAL_WRITE_FAILED', options, async (lease) => {
    await claim(config, needed, options);
    const storeFolder = join(out, 'store');
    if (!existsSync(join(storeFolder, STORE_INDEX))) await checkDocuments(config, needed, signal);
    const index = await tokenizeDomains({
      sources: needed.sources,
      tokenizer: needed.tokenizer,
      out: storeFolder,
      validationShare: config.validation.share,
      heldOut: Object.keys(config.validation.sets),
      ...(options.onTokenize && { onProgress: options.onTokenize }),
      onNotice: options.onNotice,
      signal,
    });
    using store = openTokenStore(storeFolder);
    const { path } = index.tokenizer;
    const tokenizerPath = typeof needed.tokenizer === 'string' ? path : join(storeFolder, path);
    return await new PlanRun(config, options, store, tokenizerPath, lease).execute();
  });
}

class PlanRun {
  readonly #config: PlanConfig;
  readonly #options: RunPlanOptions;
  readonly #store: TokenStore;
  readonly #tokenizerPath: string;
  readonly #plan: ContinualPlan;
  readonly #lease: Lease;

  constructor(
    config: PlanConfig,
    options: RunPlanOptions,
    store: TokenStore,
    tokenizerPath: string,
    lease: Lease,
  ) {
    const { nCtx } = config.batch;
    this.#lease = lease;
    this.#config = config;
    this.#options = options;
    this.#store = store;
    this.#tokenizerPath = tokenizerPath;
    this.#plan = resolvePlan(config, {
      ...(options.file !== undefined && { file: options.file }),
      available: Object.fromEntries(
        store.index.domains.map(({ name }, domain) => [
          name,
          sequencesOf(store, domain, nCtx) * nCtx,
        ]),
      ),
    });
  }

  async execute(): Promise<RunPlanResult> {
    const plan = this.#plan;
    const { out, signal, onProgress } = this.#options;
    const { batch, validation, checkpointEvery } = this.#config;
    const lineage = new Lineage(plan, this.#store);
    const sets = validationSets(this.#store, { ...batch, windows: validation.windows });
    const checkpoints: Checkpoint[] = [];
    const stages: StageSummary[] = [];
    let nParams = 0;
    const open = async (): Promise<Trainer> => {
      const trainer = await this.#open();
      nParams = trainer.info.nParams;
      return trainer;
    };
    for (const stage of plan.stages) {
      if (stage.done) {
        checkpoints.push(await this.#given(stage, lineage));
        continue;
      }
      const summary =
        (await finishedStage(out, stage, this.#options.onNotice)) ??
        (signal?.aborted
          ? null
          : await runStage({
              ...{ out, plan, stage, lineage, checkpointEvery, open, signal },
              store: this.#store,
              validation: sets,
              evalEvery: validation.every,
              tokenizerPath: this.#tokenizerPath,
              lease: this.#lease,
              onRecord: (record, tokensPerSecond) =>
                onProgress?.({
                  ...record,
                  tokensPerSecond,
                  stage: stage.name,
                  stageIndex: stage.index,
                  nStages: plan.stages.length,
                  totalSteps: stage.nSteps,
                }),
            }));
      if (!summary) break;
      stages.push(summary);
      checkpoints.push(...summary.checkpoints);
      this.#lease.check();
      const text = JSON.stringify({ format: 1, checkpoints }, null, 2);
      writeDurably(join(out, 'lineage.json'), `${text}\n`);
    }
    const interrupted = stages.length < plan.stages.filter(({ done }) => !done).length;
    if (nParams === 0) {
      await using trainer = await open();
      nParams = trainer.info.nParams;
    }
    const summary: RunPlanSummary = {
      name: plan.name,
      nParams,
      tokens: plan.totals.tokens,
      computeRatio: plan.totals.computeRatio,
      stages,
      notes: [...plan.notes, ...unmeasured(this.#store, this.#config)],
    };
    if (!interrupted) {
      this.#lease.check();
      writeDurably(join(out, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
    }
    return { out, ...summary, interrupted };
  }

  /** A trainer with the first weights. */
  async #open(): Promise<Trainer> {
    const { model, batch, seed, optimizer, nThreads, device } = this.#config;
    const trainer = await openTrainer({
      shape: await shapeOf(model!, this.#store.index.tokenizer.nTokens),
      nSeq: batch.nSeq,
      nCtx: batch.nCtx,
      seed,
      device,
      ...optimizer,
      ...(nThreads !== undefined && { nThreads }),
    });
    if ('from' in model!) {
      await trainer.importGguf(model.from).catch(async (error: unknown) => {
        await trainer.dispose();
        throw error;
      });
    }
    return trainer;
  }

  async #given(stage: PlanStage, lineage: Lineage): Promise<Checkpoint> {
    const { from } = this.#config.model as { readonly from: string };
    const parent = stage.from;
    return {
      id: checkpointId(stage, 'annealed'),
      stage: stage.name,
      kind: 'annealed',
      step: stage.nSteps,
      parent: parent && checkpointId(this.#plan.stages[parent.stage]!, parent.checkpoint),
      file: from,
      sha256: await hashOf(from),
      seen: lineage.tokensAt(stage.index, 'annealed'),
      losses: null,
    };
  }
}

/** What a run needs beyond a plan. */
interface Needed {
  readonly sources: readonly DomainSource[];
  readonly tokenizer: string | { readonly trainSize: number };
}

/** @throws CONTINUAL_PLAN_INVALID */
function neededOf({ datasets, validation, model, tokenizer }: PlanConfig, file: string): Needed {
  const refuse = (reason: string): never => {
    throw new GristmillError('CONTINUAL_PLAN_INVALID', { file, reason });
  };
  if (!model) return refuse('model: needed to run');
  const taken = Object.keys(validation.sets).find((name) => Object.hasOwn(datasets, name));
  if (taken !== undefined) refuse(`validation.sets.${taken}: there is a dataset of that name`);
  const sourceOf = (
    key: string,
    name: string,
    own: PlanConfig['datasets'][string],
  ): DomainSource => {
    const { inputs, textColumn, where } = own;
    if (!inputs) return refuse(`${key}.${name}.inputs: needed to run`);
    const given = { name, inputs };
    return { ...given, ...(textColumn !== undefined && { textColumn }), ...(where && { where }) };
  };
  const given = tokenizer ?? ('from' in model ? { path: model.from } : undefined);
  if ('from' in model && given && 'train' in given) {
    return refuse(`tokenizer: ${KEEPS_TOKENIZER}`);
  }
  if (!given) return refuse('tokenizer: needed to run a model that comes from no file');
  return {
    sources: [
      ...Object.entries(datasets).map(([name, own]) => sourceOf('datasets', name, own)),
      ...Object.entries(validation.sets).map(([name, own]) =>
        sourceOf('validation.sets', name, own),
      ),
    ],
    tokenizer: 'path' in given ? given.path : { trainSize: given.train.vocabSize },
  };
}

/** Every dataset of a stage has a document. @throws CONTINUAL_DATA_TOO_SMALL */
async function checkDocuments(
  { stages }: PlanConfig,
  { sources }: Needed,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const planned of await planSources(sources, signal)) {
    const dataset = 'name' in planned.source ? planned.source.name : '';
    const stage = stages.find(({ done, data }) => {
      const parts = Array.isArray(data) ? data.map((part) => part.data) : [data];
      return !done && parts.some((part) => Object.hasOwn(part, dataset) && part[dataset]! > 0);
    });
    if (!stage || (await hasDocuments(planned, signal))) continue;
    const shortfall = `has no document: ${planned.source.inputs.join(', ')}`;
    const details = { stage: stage.name, dataset, shortfall };
    throw new GristmillError('CONTINUAL_DATA_TOO_SMALL', details);
  }
}

/** Datasets of which nothing was held out. */
function unmeasured({ index }: TokenStore, { datasets }: PlanConfig): string[] {
  const names = index.domains
    .filter(({ name, validation }) => Object.hasOwn(datasets, name) && validation.nTokens <= 1)
    .map(({ name }) => name);
  if (names.length === 0) return [];
  return [
    `nothing was held out of ${names.join(', ')}, whose documents are too few: what is learnt and forgotten of it is not measured; cut long documents, raise validation.share, or give it a set of validation.sets`,
  ];
}

/** Takes the folder, or refuses one that holds another run. @throws CONTINUAL_RUN_CHANGED */
async function claim(
  config: PlanConfig,
  { sources, tokenizer }: Needed,
  { out, signal }: RunPlanOptions,
): Promise<void> {
  // Threads and checkpoints change no result.
  const { nThreads: _, checkpointEvery: __, ...plan } = config;
  const files = fingerprintsOf(await planSources(sources, signal));
  const given = config.model && 'from' in config.model ? config.model.from : null;
  for (const path of [given, tokenizer]) {
    if (typeof path === 'string') files[path] = await hashOf(path);
  }
  const now = JSON.parse(JSON.stringify({ format: 1, plan, files })) as object;
  const file = join(out, 'run.json');
  // What has produced nothing blocks nothing: no stage has a checkpoint yet.
  if (!existsSync(file) || !hasCheckpoints(join(out, 'stages'))) {
    rmSync(join(out, 'stages'), { recursive: true, force: true });
    writeDurably(file, `${JSON.stringify(now, null, 2)}\n`);
    return;
  }
  const changes = changedKeys(readLedgerJson(file), now);
  if (changes.length === 0) return;
  const named = changes.slice(0, 8).join(', ');
  throw new GristmillError('CONTINUAL_RUN_CHANGED', { out, changes: named });
}

function hasCheckpoints(stages: string): boolean {
  return (
    existsSync(stages) &&
    readdirSync(stages, { recursive: true }).some((name) => /\.(ckpt|gguf)$/.test(String(name)))
  );
}
