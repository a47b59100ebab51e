/**
 * One proxy as a unit of a sweep: trained in a process of its own, committed, or told why not.
 *
 * A proxy that diverges, or whose process dies twice, has failed: that is said of the proxy, and the sweep goes on. One that
 * somebody else has finished meanwhile is done.
 */
import { GristmillError, isGristmillError } from '../../errors.ts';
import { WorkTeller } from '../../work/activity.ts';
import { ChildDied } from '../../work/service.ts';
import type { ProxyHost } from './proxy-host.ts';
import type { ProxyRecord } from './proxy-run.ts';
import type { ProxySettings } from './settings.ts';
import type { ProxyRunRecord, SweepLedger } from './sweep-ledger.ts';

/** A row of the mixtures. */
export interface PendingProxy {
  readonly id: string;
  /** Shares in the order of the store's domains. */
  readonly weights: readonly number[];
  /** Sequences of each domain that it is given; null for all. */
  readonly sequences: readonly (number | null)[] | null;
}

/** Options of {@link runUnit}. */
export interface RunUnitOptions {
  readonly ledger: SweepLedger;
  readonly host: ProxyHost;
  /** Folder of the token store. */
  readonly store: string;
  readonly settings: ProxySettings;
  readonly device: string;
  readonly nThreads: number;
  readonly onRecord?: (record: ProxyRecord, tokensPerSecond: number) => void;
  /** Told of steps, time of stages, and a process that died. */
  readonly teller?: WorkTeller;
  /** Whether the host was stopped by its owner: its death is nobody's. */
  readonly isStopped?: () => boolean;
}

const MAX_DEATHS = 2;

/** Steps of a proxy as they are told, and their time. */
class TrainedSteps {
  seconds = 0;
  readonly #nTokens: number;
  readonly #teller: WorkTeller;

  constructor({ batch, nCtx }: ProxySettings, teller: WorkTeller) {
    this.#nTokens = batch * nCtx;
    this.#teller = teller;
  }

  add({ loss }: ProxyRecord, tokensPerSecond: number): void {
    if (loss === undefined) return;
    const seconds = this.#nTokens / tokensPerSecond;
    this.seconds += seconds;
    this.#teller.took('train', seconds);
    this.#teller.worked(() => ({ steps: 1, tokens: { trained: this.#nTokens } }));
  }
}

/** What became of a proxy. */
export interface DoneProxy {
  /** False when another process has finished it. */
  readonly isOurs: boolean;
  readonly nTokens: number;
  readonly seconds: number;
}

/** Whether an error says something of one proxy, and nothing of the sweep. */
export function isOfProxy(error: unknown): error is GristmillError {
  return (
    isGristmillError(error, 'TRAIN_NON_FINITE') || isGristmillError(error, 'MIXTURE_PROXY_DIED')
  );
}

/**
 * Trains a proxy and commits it.
 *
 * @throws TRAIN_NON_FINITE, MIXTURE_PROXY_DIED ({@link isOfProxy}); ChildDied when the host was stopped; what ends a sweep
 */
export async function runUnit(row: PendingProxy, options: RunUnitOptions): Promise<DoneProxy> {
  const { ledger, host, store, settings, device, nThreads, onRecord, isStopped } = options;
  const teller = options.teller ?? new WorkTeller(undefined);
  const { id, weights, sequences } = row;
  const started = performance.now();
  const secondsSince = (): number => (performance.now() - started) / 1000;
  for (let deaths = 0; ; ) {
    try {
      const trajectory = await ledger.begin(id);
      const request = { store, settings, weights, sequences, device, nThreads, trajectory };
      const began = performance.now();
      const trained = new TrainedSteps(settings, teller);
      const { result, trajectoryBytes } = await host.run(request, (told, tokensPerSecond) => {
        trained.add(told, tokensPerSecond);
        onRecord?.(told, tokensPerSecond);
      });
      // What is left of the time: the start of the process, its batches, measurements.
      teller.took('measure', Math.max(0, (performance.now() - began) / 1000 - trained.seconds));
      teller.worked();
      const seconds = secondsSince();
      const record: ProxyRunRecord = { ...result, id, weights, device, seconds };
      const isOurs = await teller.timed('commit', () => ledger.commit(record, trajectoryBytes));
      return { isOurs, nTokens: result.nTokens, seconds };
    } catch (error) {
      await ledger.abandon(id);
      if (isStopped?.() === true) throw error;
      // The winner takes the places of the others away, under their hands.
      if (await ledger.isFinished(id))
        return { isOurs: false, nTokens: 0, seconds: secondsSince() };
      if (!(error instanceof ChildDied)) throw error;
      deaths++;
      const { exit, lastWords } = error;
      if (deaths < MAX_DEATHS) {
        teller.tell(() => ({ kind: 'unit-retried', unit: id, reason: exit }));
        continue;
      }
      throw new GristmillError('MIXTURE_PROXY_DIED', {
        ...{ run: id, device, exit, count: deaths, lastWords },
      });
    }
  }
}
