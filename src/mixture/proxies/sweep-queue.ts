/** A sweep on a board: submitting its proxies, and a worker's session that trains them. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { remoteScheme, withoutSecrets } from '../../corpus/storage/addresses.ts';
import { refuseOption } from '../../options.ts';
import { describeTokenStore, localTokenStore } from '../../tokens/store-cache.ts';
import { type OnWork, WorkTeller } from '../../work/activity.ts';
import type { TakeLeaseOptions } from '../../work/lease.ts';
import { recordNames } from '../../work/ledger.ts';
import { outputStore, runNameAt } from '../../work/open-output.ts';
import type { Board, BoardRun } from '../../work/queue/board.ts';
import { ownSession } from '../../work/queue/own-session.ts';
import {
  type SubmitOptions,
  type SubmittedRun,
  submitterName,
  submitUnits,
} from '../../work/queue/submit.ts';
import type { WorkSession } from '../../work/queue/take.ts';
import { ProxyHost } from './proxy-host.ts';
import { isOfProxy, runUnit } from './proxy-runner.ts';
import { checkSame, planSweep, prepareSweep, type SweepSubject } from './sweep.ts';
import { fileNameOf, SWEEP_LAYOUT, SweepLedger, sweepKind } from './sweep-ledger.ts';

/** What a queue has of a sweep: all of it, as its table may lie where workers do not see it. */
export interface QueuedSweep extends Omit<SweepSubject, 'mixtures'> {
  readonly mixtures: {
    readonly domains: readonly string[];
    readonly ids: readonly string[];
    readonly weights: readonly number[];
  };
}

/**
 * Begins a sweep in its folder and enqueues the proxies that are left.
 *
 * @throws as trainProxies() before its first proxy
 */
export async function submitSweep(
  board: Board,
  { out, ...subject }: SweepSubject & { readonly out: string },
  submitOptions: SubmitOptions & TakeLeaseOptions = {},
): Promise<SubmittedRun> {
  refuseSecrets(subject.store);
  using described = await describeTokenStore(subject.store, submitOptions.signal);
  const { identity, plan, rows } = planSweep(subject, described);
  const member = { name: submitterName(), units: plan.ids };
  const ledger = await SweepLedger.open(out, identity, plan, { ...submitOptions, member });
  try {
    for (const row of rows) checkSame(ledger, row, out);
    const done = new Set([...rows.keys()].filter((row) => ledger.finished.has(rows[row]!.id)));
    const { mixtures, store } = subject;
    const weights = [...mixtures.weights];
    const spec: QueuedSweep = {
      ...subject,
      store: remoteScheme(store) === null ? resolve(store) : store,
      mixtures: { domains: mixtures.domains, ids: mixtures.ids, weights },
    };
    const runId = sweepKind(plan).runIdOf(identity);
    const begun = { kind: 'mix train', out, runId, units: rows.length, done, spec };
    return await submitUnits(board, begun, submitOptions);
  } finally {
    await ledger.close();
  }
}

/** What others see says nobody how to get in. @throws OPTION_INVALID */
function refuseSecrets(store: string): void {
  if (withoutSecrets(store) === store) return;
  const expected = 'an address without what it takes to get in, in a run for a queue';
  refuseOption('store', expected, withoutSecrets(store));
}

/** Proxies of a sweep on the board that are finished. */
export async function finishedProxies({ out, spec }: BoardRun): Promise<ReadonlySet<number>> {
  const { ids } = (spec as QueuedSweep).mixtures;
  const there = new Set<string>();
  const store = await outputStore(out, SWEEP_LAYOUT);
  for await (const name of recordNames(store, sweepKind(null))) there.add(name);
  return new Set([...ids.keys()].filter((row) => there.has(fileNameOf(ids[row]!))));
}

/** Options of {@link openSweepSession}. */
export interface SweepSessionOptions {
  /** Of this process, in the ledger. */
  readonly name: string;
  /** Default: the sweep's. */
  readonly device?: string | undefined;
  /** CPU threads of a proxy; default: the cores, divided by the devices. */
  readonly threads?: number | undefined;
  readonly onNotice?: (line: string) => void;
  readonly onWork?: OnWork | undefined;
  /** Script of the child processes; tests give one that dies. */
  readonly processFile?: string;
}

/** A session that trains proxies, one at a time on each device: none waits here while another worker has nothing to do. */
export function openSweepSession(
  { out, spec }: BoardRun,
  { name, device, threads, onNotice, onWork, processFile }: SweepSessionOptions,
): WorkSession {
  const queued = spec as QueuedSweep;
  const mixtures = { ...queued.mixtures, weights: Float64Array.from(queued.mixtures.weights) };
  const subject: SweepSubject = { ...queued, mixtures, ...(device && { device }) };
  const nDevices = (subject.device ?? 'cpu').split(',').length;
  return ownSession(nDevices, async () => {
    const { store: from, storeCacheBytes: maxBytes } = subject;
    const teller = new WorkTeller(onWork);
    const kept = { onNotice, maxBytes };
    const local = await teller.timed('fetch', () => localTokenStore(from, kept));
    const opening = async () => {
      const { identity, plan, rows, devices } = prepareSweep(subject, local.path);
      const member = { name, units: [], mayBegin: false };
      const ledger = await SweepLedger.open(out, identity, plan, { member, onNotice });
      const run = runNameAt(sweepKind(plan).runIdOf(identity), out);
      const opened = { worker: name, device: devices.join(','), units: null, resumed: 0 };
      teller.tell(() => ({ kind: 'run', run, out, ...opened }));
      teller.worked();
      return { rows, devices, ledger };
    };
    const { rows, devices, ledger } = await opening().catch(async (error: unknown) => {
      await local.release();
      throw error;
    });
    const free = devices.map((device) => ({ device, host: new ProxyHost(processFile) }));
    const all = [...free];
    const nThreads = threads ?? Math.max(1, Math.floor(availableParallelism() / devices.length));
    return {
      async do(unit) {
        const row = rows[unit]!;
        if (await ledger.isFinished(row.id)) return { isOurs: false, counts: {}, seconds: 0 };
        const place = free.pop()!;
        teller.tell(() => ({ kind: 'unit-begun', unit: row.id }));
        try {
          const { settings } = subject;
          const store = local.path;
          const { isOurs, nTokens, seconds } = await runUnit(row, {
            ...{ ledger, store, settings, nThreads, teller },
            ...place,
          });
          await teller.timed('table', () => ledger.writeLosses());
          const counts = { tokens: nTokens };
          teller.tell(() => ({ kind: 'unit-done', unit: row.id, isOurs, seconds, counts }));
          return { isOurs, counts, seconds };
        } catch (error) {
          const [code, message] = isOfProxy(error)
            ? [error.code, error.message]
            : ['UNEXPECTED', String(error)];
          teller.tell(() => ({ kind: 'unit-failed', unit: row.id, code, message }));
          throw error;
        } finally {
          free.push(place);
        }
      },
      isOfUnit: isOfProxy,
      async close() {
        for (const { host } of all) host.stop();
        await ledger.close();
        await local.release();
      },
    };
  });
}
