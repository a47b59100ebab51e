/**
 * A sweep: one proxy for every mixture of a table, over one token store, spread over processes and devices; and over
 * machines, a share of the table each (`worker`).
 *
 * Runs are handed out one by one to child processes; which of them runs what changes nothing, because a run is a
 * function of store, settings and mixture. Finished runs are never repeated (sweep-ledger.ts). A proxy that diverges,
 * or whose process dies twice, is left out and named; the same call tries it again.
 */
import { availableParallelism } from 'node:os';
import { shownAddress } from '../../corpus/storage/addresses.ts';
import { parseDevices } from '../../device-names.ts';
import { GristmillError } from '../../errors.ts';
import { requireDevices } from '../../native/devices.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  name,
  type OptionTable,
  text,
  whole,
} from '../../options.ts';
import type { OnProgress } from '../../progress.ts';
import { sequencesOf, validatedDomains } from '../../tokens/store-batches.ts';
import { localTokenStore } from '../../tokens/store-cache.ts';
import { openTokenStore, type TokenStore } from '../../tokens/token-store.ts';
import { llamaCppVersion, version } from '../../version.ts';
import { type OnWork, WorkTeller } from '../../work/activity.ts';
import type { LedgerMember } from '../../work/ledger-claim.ts';
import { outputAddress, runNameAt } from '../../work/open-output.ts';
import { shareOf, type WorkerShare, workerName, workerOption } from '../../work/worker-share.ts';
import { type RepetitionPlan, subsetSequences } from '../repetition/plan.ts';
import { domainName } from '../tables.ts';
import type { MixtureTable } from '../types.ts';
import { ProxyHost } from './proxy-host.ts';
import { checkSequences } from './proxy-run.ts';
import { isOfProxy, type PendingProxy, runUnit } from './proxy-runner.ts';
import type { ProxySettings } from './settings.ts';
import {
  hashOf,
  type LossFormat,
  type SweepIdentity,
  SweepLedger,
  type SweepPlan,
  sweepKind,
} from './sweep-ledger.ts';

/** Options of {@link trainProxies}. */
export interface TrainProxiesOptions {
  /** Domains by name, with or without `train_`; domains of the store that it lacks have the weight 0. */
  readonly mixtures: MixtureTable;
  /** What messages call the mixtures. Default `mixtures`. */
  readonly mixturesName?: string;
  /** Folder of a token store, see `tokenizeDomains`, or its address: then it is fetched (tokens/store-cache.ts). */
  readonly store: string;
  readonly settings: ProxySettings;
  /** What the target has: domains are given in part, so that proxies repeat them as it will. Default: all of them are given. */
  readonly repetition?: RepetitionPlan | undefined;
  /** Folder of the sweep, or `s3://BUCKET/PREFIX`. */
  readonly out: string;
  /** Proxies at a time. Default: one for every core or device. */
  readonly jobs?: number | undefined;
  /** CPU threads of a proxy. Default: the cores divided by the jobs. No part of the result. */
  readonly nThreads?: number | undefined;
  /** `cpu` (default), `cuda:0` or `cuda:0,1`. */
  readonly device?: string;
  /** Of the table of losses. Default `csv`. */
  readonly format?: LossFormat;
  /** Trains only the share of one of several workers, side by side with the others, on one folder. Default: all. */
  readonly worker?: WorkerShare | undefined;
  readonly onProgress?: (progress: SweepProgress) => void;
  /** Told what the sweep does, for those who look at it from outside. */
  readonly onActivity?: OnWork | undefined;
  /** Most bytes of fetched token stores that are kept on the local disk. Default 64 GiB. */
  readonly storeCacheBytes?: number | undefined;
  /** Told how far a token store is fetched. */
  readonly onFetched?: OnProgress | undefined;
  /** One line that a person should see: a wait for a lease. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Script of the child processes; tests give one that dies. */
  readonly processFile?: string;
}

/** Told at every step of every proxy. */
export interface SweepProgress {
  /** Id of the mixture. */
  readonly run: string;
  readonly step: number;
  readonly totalSteps: number;
  /** Mean training loss of the step; at a measurement undefined. */
  readonly loss: number | undefined;
  readonly tokensPerSecond: number;
  /** Proxies that are finished, and all of them. */
  readonly nFinished: number;
  readonly nRuns: number;
}

/** What a sweep gave. */
export interface SweepSummary {
  readonly out: string;
  /** The table of losses; null while nothing is finished. */
  readonly losses: string | null;
  readonly nRuns: number;
  /** The worker whose share this was, where there were several: counts are of its share. */
  readonly worker?: WorkerShare;
  /** Finished before this call. */
  readonly nResumed: number;
  /** Finished by this call. */
  readonly nTrained: number;
  readonly failures: readonly {
    readonly run: string;
    readonly code: string;
    readonly message: string;
  }[];
  /** Domains that hold out too little to be measured: no column of the losses. */
  readonly unmeasured: readonly string[];
  /** True: stopped by `signal`; the same call goes on. */
  readonly interrupted: boolean;
  readonly seconds: number;
}

const OPTION_TABLE: OptionTable<TrainProxiesOptions> = {
  mixtures: anObject,
  mixturesName: text,
  store: name,
  settings: anObject,
  repetition: anObject,
  out: name,
  jobs: whole(1),
  nThreads: whole(1),
  device: name,
  format: text,
  worker: workerOption,
  onProgress: callback,
  storeCacheBytes: whole(1),
  onFetched: callback,
  onActivity: callback,
  onNotice: callback,
  signal: abortSignal,
  processFile: name,
};

/**
 * Trains the proxies of a sweep; the same call again goes on.
 *
 * @throws MIXTURE_RUN_CHANGED, MIXTURE_DOMAIN_UNKNOWN, MIXTURE_DOMAIN_TOO_SMALL, TRAIN_STORE_INVALID, OPTION_INVALID,
 *   RUN_OUTPUT_IN_USE, RUN_LEASE_LOST, TRAIN_OUT_OF_MEMORY; for a store behind an address TRAIN_STORE_CACHE_FAILED, STORAGE_*;
 *   ABORTED while it waits for a lease or fetches
 */
export async function trainProxies(options: TrainProxiesOptions): Promise<SweepSummary> {
  checkOptions<TrainProxiesOptions>('trainProxies', options, OPTION_TABLE, [
    'mixtures',
    'store',
    'settings',
    'out',
  ]);
  const { worker, signal, onNotice, onFetched, storeCacheBytes: maxBytes } = options;
  const out = outputAddress(options.out);
  const kept = { maxBytes, onNotice, signal, onProgress: onFetched };
  const teller = new WorkTeller(options.onActivity);
  await using local = await teller.timed('fetch', () => localTokenStore(options.store, kept));
  const prepared = prepareSweep(options, local.path);
  const { identity, plan, devices, unmeasured } = prepared;
  const share = worker ? shareOf(prepared.rows, worker) : prepared.rows;
  const member: LedgerMember<string> | undefined = worker && {
    name: workerName(worker),
    units: share.map(({ id }) => id),
  };
  requireDevices(devices);
  const ledger = await SweepLedger.open(out, identity, plan, { ...options, member });
  try {
    for (const row of share) checkSame(ledger, row, out);
    const pending = share.filter(({ id }) => !ledger.finished.has(id));
    const means = { devices, nRuns: share.length, teller };
    const sweep = new Sweep({ ...options, store: local.path }, ledger, pending, means);
    teller.tell(() => ({
      ...{ kind: 'run', run: runNameAt(sweepKind(plan).runIdOf(identity), out), out },
      ...{ worker: member?.name ?? null, device: devices.join(','), units: share.length },
      resumed: share.length - pending.length,
    }));
    teller.worked();
    const started = performance.now();
    await teller.timed('table', () => ledger.writeLosses());
    await sweep.run();
    const nResumed = share.length - pending.length;
    const nFinished = share.filter(({ id }) => ledger.finished.has(id)).length;
    const summary: SweepSummary = {
      out,
      losses: ledger.finished.size > 0 ? ledger.losses : null,
      nRuns: share.length,
      ...(worker && { worker }),
      nResumed,
      nTrained: nFinished - nResumed,
      failures: sweep.failures,
      unmeasured,
      interrupted: signal?.aborted === true && nFinished + sweep.failures.length < share.length,
      seconds: (performance.now() - started) / 1000,
    };
    await ledger.leave(summary);
    return summary;
  } catch (error) {
    throw ledger.explain(error);
  } finally {
    await ledger.close();
  }
}

/** What a sweep needs to know before it trains anything. */
export interface PreparedSweep {
  readonly identity: SweepIdentity;
  readonly plan: SweepPlan;
  readonly rows: readonly PlannedProxy[];
  readonly devices: readonly string[];
  /** Domains that hold out too little to be measured. */
  readonly unmeasured: readonly string[];
}

/** A proxy of a plan: all are of one size, which is what shares are balanced by. */
export interface PlannedProxy extends PendingProxy {
  readonly bytes: number;
}

/** What a sweep is about. */
export type SweepSubject = Pick<
  TrainProxiesOptions,
  | 'mixtures'
  | 'mixturesName'
  | 'store'
  | 'settings'
  | 'repetition'
  | 'device'
  | 'format'
  | 'storeCacheBytes'
>;

/** Looks at mixtures and a store in a folder. @throws as {@link trainProxies} before its first proxy */
export function prepareSweep(subject: SweepSubject, folder: string): PreparedSweep {
  using store = openTokenStore(folder);
  return planSweep(subject, store);
}

/** The same with what is known of the store. @throws as {@link prepareSweep} */
export function planSweep(subject: SweepSubject, store: TokenStore): PreparedSweep {
  const { mixtures, settings, device = 'cpu', format = 'csv' } = subject;
  const devices = parseDevices(device);
  const weights = weightsOf(store, subject);
  const names = store.index.domains.map(({ name }) => name);
  const targets = validatedDomains(store).map((domain) => names[domain]!);
  if (targets.length === 0) {
    const reason = 'no domain holds out two tokens or more for validation';
    throw new GristmillError('TRAIN_STORE_INVALID', { path: shownAddress(subject.store), reason });
  }
  const { ids } = mixtures;
  const sequences = sequencesGiven(store, subject, weights);
  return {
    identity: {
      format: 1,
      versions: { gristmill: version, llamaCpp: llamaCppVersion },
      store: store.sha256,
      settings,
      device: devices[0]!.replace(/:.*/, ''),
      ...(sequences && { repetition: sequences }),
    },
    plan: { ids, targets, domains: names, table: format, mixtures: hashOf([ids, weights]) },
    rows: ids.map((id, row) => ({ id, weights: weights[row]!, sequences, bytes: 0 })),
    devices,
    unmeasured: names.filter((name) => !targets.includes(name)),
  };
}

/** What a sweep is carried out with. */
interface SweepMeans {
  readonly devices: readonly string[];
  /** Of the share. */
  readonly nRuns: number;
  readonly teller: WorkTeller;
}

class Sweep {
  readonly failures: { run: string; code: string; message: string }[] = [];
  readonly #options: TrainProxiesOptions;
  readonly #ledger: SweepLedger;
  readonly #pending: PendingProxy[];
  readonly #nRuns: number;
  readonly #devices: readonly string[];
  readonly #nThreads: number;
  readonly #hosts: ProxyHost[];
  readonly #teller: WorkTeller;
  #stopped = false;

  constructor(
    options: TrainProxiesOptions,
    ledger: SweepLedger,
    pending: readonly PendingProxy[],
    { devices, nRuns, teller }: SweepMeans,
  ) {
    const nCores = availableParallelism();
    const onCpu = devices[0] === 'cpu';
    const wished = checkCount('jobs', options.jobs) ?? (onCpu ? nCores : devices.length);
    const jobs = Math.max(1, Math.min(wished, pending.length));
    this.#options = options;
    this.#ledger = ledger;
    this.#pending = [...pending];
    this.#nRuns = nRuns;
    this.#teller = teller;
    this.#devices = devices;
    this.#nThreads =
      checkCount('nThreads', options.nThreads) ?? Math.max(1, Math.floor(nCores / jobs));
    this.#hosts = Array.from({ length: jobs }, () => new ProxyHost(options.processFile));
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    const stop = (): void => {
      this.#stopped = true;
      for (const host of this.#hosts) host.stop();
    };
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    try {
      const lanes = this.#hosts.map(async (host, lane) => {
        for (;;) {
          const run = this.#stopped ? undefined : this.#pending.shift();
          if (!run) return;
          const isFinished = await this.#one(
            host,
            run,
            this.#devices[lane % this.#devices.length]!,
          );
          if (!isFinished) continue;
          await this.#teller.timed('table', () => this.#ledger.writeLosses());
          this.#teller.worked();
        }
      });
      await Promise.all(lanes);
    } finally {
      signal?.removeEventListener('abort', stop);
      stop();
    }
  }

  /** @returns whether the run is finished */
  async #one(host: ProxyHost, run: PendingProxy, device: string): Promise<boolean> {
    const { store, settings, onProgress } = this.#options;
    const ledger = this.#ledger;
    const teller = this.#teller;
    const unit = run.id;
    teller.tell(() => ({ kind: 'unit-begun', unit }));
    try {
      const { isOurs, nTokens, seconds } = await runUnit(run, {
        ...{ ledger, host, store, settings, device, nThreads: this.#nThreads, teller },
        isStopped: () => this.#stopped,
        onRecord: ({ step, loss }, tokensPerSecond) => {
          onProgress?.({
            run: run.id,
            step,
            totalSteps: settings.steps,
            loss,
            tokensPerSecond,
            nFinished: ledger.finished.size,
            nRuns: this.#nRuns,
          });
        },
      });
      const counts = { tokens: nTokens };
      teller.tell(() => ({ kind: 'unit-done', unit, isOurs, seconds, counts }));
      return true;
    } catch (error) {
      if (this.#stopped) {
        teller.tell(() => ({ kind: 'unit-left', unit }));
        return false;
      }
      if (!isOfProxy(error)) throw error;
      const { code, message } = error;
      teller.tell(() => ({ kind: 'unit-failed', unit, code, message }));
      this.failures.push({ run: run.id, code: error.code, message: error.message });
      return false;
    }
  }
}

/** Shares of every row in the order of the store. @throws MIXTURE_DOMAIN_UNKNOWN, MIXTURE_DOMAIN_TOO_SMALL */
function weightsOf(
  store: TokenStore,
  { mixtures, mixturesName = 'mixtures', settings, store: where }: SweepSubject,
): number[][] {
  const { domains } = store.index;
  const indexOf = new Map(domains.map(({ name }, domain) => [domainName(name), domain]));
  const nColumns = mixtures.domains.length;
  const target = mixtures.domains.map((name) => indexOf.get(domainName(name)));
  const short = new Set<number>();
  const rows = mixtures.ids.map((_, row) => {
    const weights = Array<number>(domains.length).fill(0);
    for (const [column, name] of mixtures.domains.entries()) {
      const weight = mixtures.weights[row * nColumns + column]!;
      if (weight === 0) continue;
      const domain = target[column];
      if (domain === undefined) {
        const known = domains.map((own) => own.name).join(', ');
        throw new GristmillError('MIXTURE_DOMAIN_UNKNOWN', {
          domain: name,
          file: mixturesName,
          where: shownAddress(where),
          known,
        });
      }
      if (sequencesOf(store, domain, settings.nCtx) === 0) short.add(domain);
      weights[domain] = weight;
    }
    return weights;
  });
  checkSequences(
    [...short].map((domain) => domains[domain]!),
    settings.nCtx,
  );
  return rows;
}

/** Sequences of every domain of the store that all proxies are given; null for all of all. @throws as subsetSequences() */
function sequencesGiven(
  store: TokenStore,
  { repetition, settings }: SweepSubject,
  weights: readonly (readonly number[])[],
): readonly (number | null)[] | null {
  if (repetition === undefined) return null;
  const { nCtx, steps, batch } = settings;
  const domains = store.index.domains.map(({ name }, domain) => ({
    name,
    nSequences: sequencesOf(store, domain, nCtx),
    mostWeight: weights.reduce((most, row) => Math.max(most, row[domain]!), 0),
  }));
  return subsetSequences(repetition, domains, { nTokens: steps * batch * nCtx, nCtx });
}

/** @throws MIXTURE_RUN_CHANGED for a proxy that is finished with other weights */
export function checkSame(ledger: SweepLedger, row: PendingProxy, out: string): void {
  const finished = ledger.finished.get(row.id);
  if (!finished) return;
  const isSame =
    finished.weights.length === row.weights.length &&
    finished.weights.every((weight, domain) => weight === row.weights[domain]);
  if (isSame) return;
  const changes = `the weights of index ${row.id}, which is finished`;
  throw new GristmillError('MIXTURE_RUN_CHANGED', { out, changes });
}

function checkCount(option: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= 1024)) {
    return value;
  }
  const expected = 'a whole number in 1..1024';
  throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
}
