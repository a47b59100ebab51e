/**
 * A sweep: one proxy for every mixture of a table, over one token store, spread over processes and devices.
 *
 * Runs are handed out one by one to child processes; which of them runs what changes nothing, because a run is a
 * function of store, settings and mixture. Finished runs are never repeated (sweep-ledger.ts). A proxy that diverges,
 * or whose process dies twice, is left out and named; the same call tries it again.
 */
import { availableParallelism } from 'node:os';
import { parseDevices } from '../../device-names.ts';
import { GristmillError, isGristmillError } from '../../errors.ts';
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
import { sequencesOf, validatedDomains } from '../../tokens/store-batches.ts';
import { openTokenStore, type TokenStore } from '../../tokens/token-store.ts';
import { ChildDied } from '../../work/service.ts';
import { domainName } from '../tables.ts';
import type { MixtureTable } from '../types.ts';
import { ProxyHost } from './proxy-host.ts';
import { checkSequences } from './proxy-run.ts';
import type { ProxySettings } from './settings.ts';
import { type LossFormat, SweepLedger } from './sweep-ledger.ts';

/** Options of {@link trainProxies}. */
export interface TrainProxiesOptions {
  /** Domains by name, with or without `train_`; domains of the store that it lacks have the weight 0. */
  readonly mixtures: MixtureTable;
  /** What messages call the mixtures. Default `mixtures`. */
  readonly mixturesName?: string;
  /** Folder of a token store, see {@link tokenizeDomains}. */
  readonly store: string;
  readonly settings: ProxySettings;
  /** Folder of the sweep. */
  readonly out: string;
  /** Proxies at a time. Default: one for every core or device. */
  readonly jobs?: number | undefined;
  /** CPU threads of a proxy. Default: the cores divided by the jobs. No part of the result. */
  readonly nThreads?: number | undefined;
  /** `cpu` (default), `cuda:0` or `cuda:0,1`. */
  readonly device?: string;
  /** Of the table of losses. Default `csv`. */
  readonly format?: LossFormat;
  readonly onProgress?: (progress: SweepProgress) => void;
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

const MAX_DEATHS = 2;

const OPTION_TABLE: OptionTable<TrainProxiesOptions> = {
  mixtures: anObject,
  mixturesName: text,
  store: name,
  settings: anObject,
  out: name,
  jobs: whole(1),
  nThreads: whole(1),
  device: name,
  format: text,
  onProgress: callback,
  onNotice: callback,
  signal: abortSignal,
  processFile: name,
};

/**
 * Trains the proxies of a sweep; the same call again goes on.
 *
 * @throws MIXTURE_RUN_CHANGED, MIXTURE_DOMAIN_UNKNOWN, MIXTURE_DOMAIN_TOO_SMALL, TRAIN_STORE_INVALID, OPTION_INVALID,
 *   RUN_OUTPUT_IN_USE, RUN_LEASE_LOST, TRAIN_OUT_OF_MEMORY; ABORTED while it waits for a lease
 */
export async function trainProxies(options: TrainProxiesOptions): Promise<SweepSummary> {
  checkOptions<TrainProxiesOptions>('trainProxies', options, OPTION_TABLE, [
    'mixtures',
    'store',
    'settings',
    'out',
  ]);
  const { mixtures, settings, out, device = 'cpu', format = 'csv', signal } = options;
  using store = openTokenStore(options.store);
  const devices = parseDevices(device);
  const weights = weightsOf(store, options);
  const targets = validatedDomains(store).map((domain) => store.index.domains[domain]!.name);
  if (targets.length === 0) {
    const reason = 'no domain holds out two tokens or more for validation';
    throw new GristmillError('TRAIN_STORE_INVALID', { path: options.store, reason });
  }
  const kind = devices[0]!.replace(/:.*/, '');
  const identity = { store: store.sha256, settings, device: kind };
  const ledger = await SweepLedger.open(out, identity, format, options);
  try {
    const rows = mixtures.ids.map((id, row) => ({ id, weights: weights[row]! }));
    for (const row of rows) checkSame(ledger, row, out);
    const pending = rows.filter(({ id }) => !ledger.finished.has(id));
    const sweep = new Sweep(options, ledger, pending, devices);
    const started = performance.now();
    await ledger.writeLosses(mixtures.ids, targets);
    await sweep.run(() => ledger.writeLosses(mixtures.ids, targets));
    const nResumed = rows.length - pending.length;
    const nFinished = rows.filter(({ id }) => ledger.finished.has(id)).length;
    return {
      out,
      losses: nFinished > 0 ? ledger.losses : null,
      nRuns: rows.length,
      nResumed,
      nTrained: nFinished - nResumed,
      failures: sweep.failures,
      unmeasured: store.index.domains
        .map(({ name }) => name)
        .filter((name) => !targets.includes(name)),
      interrupted: signal?.aborted === true && nFinished + sweep.failures.length < rows.length,
      seconds: (performance.now() - started) / 1000,
    };
  } catch (error) {
    throw ledger.explain(error);
  } finally {
    ledger.close();
  }
}

interface PendingRun {
  readonly id: string;
  readonly weights: readonly number[];
}

class Sweep {
  readonly failures: { run: string; code: string; message: string }[] = [];
  readonly #options: TrainProxiesOptions;
  readonly #ledger: SweepLedger;
  readonly #pending: PendingRun[];
  readonly #devices: readonly string[];
  readonly #nThreads: number;
  readonly #hosts: ProxyHost[];
  #stopped = false;

  constructor(
    options: TrainProxiesOptions,
    ledger: SweepLedger,
    pending: readonly PendingRun[],
    devices: readonly string[],
  ) {
    const nCores = availableParallelism();
    const onCpu = devices[0] === 'cpu';
    const wished = checkCount('jobs', options.jobs) ?? (onCpu ? nCores : devices.length);
    const jobs = Math.max(1, Math.min(wished, pending.length));
    this.#options = options;
    this.#ledger = ledger;
    this.#pending = [...pending];
    this.#devices = devices;
    this.#nThreads =
      checkCount('nThreads', options.nThreads) ?? Math.max(1, Math.floor(nCores / jobs));
    this.#hosts = Array.from({ length: jobs }, () => new ProxyHost(options.processFile));
  }

  async run(onFinished: () => Promise<void>): Promise<void> {
    const { signal } = this.#options;
    const stop = (): void => {
      this.#stopped = true;
      for (const host of this.#hosts) host.stop();
    };
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    // Tables are written one after the other: two at once would share a partial file.
    let written = Promise.resolve();
    try {
      const lanes = this.#hosts.map(async (host, lane) => {
        for (;;) {
          const run = this.#stopped ? undefined : this.#pending.shift();
          if (!run) return;
          if (!(await this.#one(host, run, this.#devices[lane % this.#devices.length]!))) continue;
          written = written.then(onFinished);
          await written;
        }
      });
      await Promise.all(lanes);
    } finally {
      signal?.removeEventListener('abort', stop);
      stop();
    }
  }

  /** @returns whether the run is finished */
  async #one(host: ProxyHost, run: PendingRun, device: string): Promise<boolean> {
    const { store, settings, mixtures, onProgress } = this.#options;
    const request = {
      store,
      settings,
      weights: run.weights,
      device,
      nThreads: this.#nThreads,
      trajectory: this.#ledger.trajectory(run.id),
    };
    for (let deaths = 0; ; ) {
      const started = performance.now();
      try {
        const result = await host.run(request, ({ step, loss }, tokensPerSecond) => {
          onProgress?.({
            run: run.id,
            step,
            totalSteps: settings.steps,
            loss,
            tokensPerSecond,
            nFinished: this.#ledger.finished.size,
            nRuns: mixtures.ids.length,
          });
        });
        const seconds = (performance.now() - started) / 1000;
        this.#ledger.commit({ ...result, ...run, device, seconds });
        return true;
      } catch (error) {
        if (this.#stopped) return false;
        if (isGristmillError(error, 'TRAIN_NON_FINITE')) {
          this.failures.push({ run: run.id, code: error.code, message: error.message });
          return false;
        }
        if (!(error instanceof ChildDied)) throw error;
        deaths++;
        if (deaths < MAX_DEATHS) continue;
        const { exit, lastWords } = error;
        const details = { run: run.id, device, exit, count: deaths, lastWords };
        const { code, message } = new GristmillError('MIXTURE_PROXY_DIED', details);
        this.failures.push({ run: run.id, code, message });
        return false;
      }
    }
  }
}

/** Shares of every row in the order of the store. @throws MIXTURE_DOMAIN_UNKNOWN, MIXTURE_DOMAIN_TOO_SMALL */
function weightsOf(
  store: TokenStore,
  { mixtures, mixturesName = 'mixtures', settings, store: where }: TrainProxiesOptions,
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
          where,
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

function checkSame(ledger: SweepLedger, row: PendingRun, out: string): void {
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
