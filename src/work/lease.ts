/**
 * Who may write a folder: a lease, taken by one process at a time, of whatever room.
 *
 * Invariants
 *  1. Of all that take a lease at once, exactly one gets it; a stale one too (the store's exclusive create and replace).
 *  2. A holder gives a sign of life every {@link BEAT_MS} ms from a thread of its own. Whether it lives is judged by what
 *     of it changes under the eyes of the one that asks, never by comparing the clocks of two machines.
 *  3. A holder that is seen to have ended (same boot, same namespace, no such process) is replaced at once. One that
 *     cannot be seen is replaced when it gave no sign for as long as its lease says, whatever the one that asks would have
 *     said of its own; a sign refuses the other at once.
 *  4. A holder that was stopped for longer finds its lease gone: {@link Lease.check} throws before it commits.
 *
 * The store is a file here (lease-file.ts); anything with an exclusive create and a conditional replace can be one.
 */
import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, GristmillError, throwIfAborted } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { type Check, refuseOption, whole } from '../options.ts';
import { sweepAfter } from '../pending-file.ts';
import { isCertainlyGone, markOf, ownIdentity, type ProcessIdentity } from '../process-identity.ts';
import { leaseFile } from './lease-file.ts';
import type { LeaseStore, LeaseView, Soon } from './lease-store.ts';

/** A holder that gave no sign of life for so long has lost its lease, unless somebody says otherwise. */
export const LEASE_MS = 30_000;
/** Where nobody passes an option: of all commands, and of the processes that they start. */
export const LEASE_VARIABLE = 'GRISTMILL_LEASE_SECONDS';
/** A sign of life on a bucket takes five seconds and more; what nobody can wait for helps nobody. */
const LEASE_SECONDS = [10, 3600] as const;
/** From one sign of life to the next. */
export const BEAT_MS = 1_000;
const LOOK_MS = 100;
/** Silence before somebody is told that there is a wait. */
const NOTICE_MS = 3 * BEAT_MS;

/** A lease that is held. */
export interface Lease extends Disposable {
  /** Asked before anything is committed. @throws RUN_LEASE_LOST when somebody else has it by now */
  check(): void;
  /** What a failure of the holder's means: RUN_LEASE_LOST where another has its folder, else itself. */
  explain(error: unknown): unknown;
  /**
   * Gives it back; never throws, so that no error of the holder's is hidden by it. What comes back is to be waited for where
   * the lease is kept behind a network.
   */
  release(): Soon<void>;
}

/** Options of {@link takeLease}. */
export interface TakeLeaseOptions {
  /** Told once when there is something to wait for. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Silence after which others may take it. Default: {@link LEASE_VARIABLE}, else {@link LEASE_MS}. Tests wait for less. */
  readonly leaseMs?: number | undefined;
  /** What others can read of the holder, in words of its own room; see {@link factsOf}. */
  readonly facts?: Readonly<Record<string, string>>;
  /** Default {@link HERE}. */
  readonly world?: LeaseWorld;
}

/** What leases know of the world: the process that asks, its clock, and what it holds itself. */
export interface LeaseWorld {
  readonly identity: ProcessIdentity;
  /** Milliseconds that only grow. */
  nowMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Leases of this process: it need not watch itself. */
  readonly held: Set<string>;
}

/** Length of a lease as an option of a call, in seconds. */
export const leaseOption: Check = whole(...LEASE_SECONDS);

/** @throws OPTION_INVALID for a variable that is no length of a lease */
function leaseMsHere(env = process.env): number {
  const said = env[LEASE_VARIABLE];
  if (said === undefined || said === '') return LEASE_MS;
  const seconds = /^\d{1,9}$/.test(said) ? Number(said) : said;
  if (!leaseOption.accepts(seconds)) {
    refuseOption(LEASE_VARIABLE, leaseOption.expected, said);
  }
  return Number(seconds) * 1000;
}

/** Codes of folders that cannot be written. */
export type WriteFailure = Extract<ErrorCode, `${string}_WRITE_FAILED`>;

/** This process and its clock; a simulation has others. */
export const HERE: LeaseWorld = {
  get identity() {
    return ownIdentity();
  },
  nowMs: () => performance.now(),
  sleep: (ms, signal) =>
    sleep(ms, undefined, signal && { signal }).catch(() => undefined) as Promise<void>,
  held: new Set(),
};

/**
 * Takes the lease `file` of the folder `out`; the file's folder is made.
 *
 * @throws RUN_OUTPUT_IN_USE when its holder lives, ABORTED while it waits; what the file system throws
 */
export async function takeLease(
  out: string,
  file: string,
  options: TakeLeaseOptions = {},
): Promise<Lease> {
  makeFolder(dirname(file));
  return takeStored(out, file, leaseFile(file), options);
}

/**
 * Waits until nobody holds a lease, and takes away what one left that has ended.
 *
 * @param name as messages have it
 * @throws RUN_OUTPUT_IN_USE when its holder lives, ABORTED while it waits; what the store throws
 */
export async function clearLease(
  out: string,
  name: string,
  store: LeaseStore,
  options: TakeLeaseOptions = {},
): Promise<void> {
  if (!(await store.read())) return;
  const lease = await takeStored(out, name, store, { ...options, facts: CLEARING });
  await lease.release();
}

/** What the holder of a lease says of itself; null where nobody holds it. */
export async function factsOf(
  store: LeaseStore,
): Promise<Readonly<Record<string, unknown>> | null> {
  const found = await store.read();
  if (!found) return null;
  try {
    return (JSON.parse(found.content) as { facts?: Record<string, unknown> }).facts ?? {};
  } catch {
    return {};
  }
}

/** Held for a moment, by one that takes away what another left: to be waited for. */
const CLEARING = { clearing: 'yes' } as const;

function isClearing({ content }: LeaseView): boolean {
  return content.includes(JSON.stringify(CLEARING));
}

/** As {@link takeLease}, in a store of any kind; `name` is what messages call it. */
export async function takeStored(
  out: string,
  name: string,
  store: LeaseStore,
  { onNotice, signal, leaseMs = leaseMsHere(), facts, world = HERE }: TakeLeaseOptions = {},
): Promise<Lease> {
  const own = world.identity;
  const mine = JSON.stringify({ ...own, token: randomUUID(), leaseMs, ...(facts && { facts }) });
  const watch = new Watch(world, leaseMs);
  let isTold = false;
  for (let first: string | null = null; ; ) {
    throwIfAborted(signal, 'waiting for a lease');
    const found = await store.read();
    if (!found) {
      if (await store.create(mine)) return held(store, mine, out, { leaseMs, world });
      continue;
    }
    const isPassing = isClearing(found);
    // Another holder than the one that was there at first has just taken it: it lives.
    if (!isPassing) first ??= found.content;
    const lives = first !== found.content || world.held.has(found.content) || watch.isAlive(found);
    if (!isPassing && lives) {
      throw new GristmillError('RUN_OUTPUT_IN_USE', { out, ...holderOf(found), lock: name });
    }
    if (watch.isStale(found)) {
      const isStale = (view: LeaseView): boolean => watch.isStale(view);
      if (await store.replace(found.content, mine, isStale)) {
        const gone = identityIn(found);
        if (gone && (gone.pid !== own.pid || markOf(gone) !== markOf(own))) sweepAfter(gone, out);
        return held(store, mine, out, { leaseMs, world });
      }
    } else if (!isTold && watch.silenceMs(found) > Math.min(NOTICE_MS, watch.leaseMs(found) / 2)) {
      isTold = true;
      const { pid, host } = holderOf(found);
      onNotice?.(
        `${out} was in use by process ${pid} on ${host}: waiting up to ${watch.leaseMs(found) / 1000} s for a sign of life`,
      );
    }
    await world.sleep(store.lookMs ?? LOOK_MS, signal);
  }
}

/**
 * Does work under the lease `file` of the folder `out`, and gives it back. Coded errors stay, what the file system throws
 * is one of `code`, and either is RUN_LEASE_LOST where another has the folder by then.
 *
 * @throws as {@link takeLease} and the work; `code` with path and reason
 */
export async function withLease<T>(
  out: string,
  file: string,
  code: WriteFailure,
  options: TakeLeaseOptions,
  work: (lease: Lease) => Promise<T> | T,
): Promise<T> {
  let lease: Lease | null = null;
  try {
    lease = await takeLease(out, file, options);
    return await work(lease);
  } catch (caught) {
    const error = lease?.explain(caught) ?? caught;
    if (error instanceof GristmillError) throw error;
    const reason = (error as Error).message;
    throw new GristmillError(code, { path: out, reason }, { cause: error });
  } finally {
    await lease?.release();
  }
}

function held(
  store: LeaseStore,
  mine: string,
  out: string,
  { leaseMs, world }: { readonly leaseMs: number; readonly world: LeaseWorld },
): Lease {
  world.held.add(mine);
  let stop: (() => void) | null = null;
  const release = (): Soon<void> => {
    if (!world.held.delete(mine)) return;
    try {
      stop?.();
      // What cannot be removed goes stale by itself.
      return Promise.resolve(store.remove(mine)).catch(() => undefined);
    } catch {
      // As above.
    }
  };
  try {
    stop = store.beat(BEAT_MS);
  } catch (error) {
    void release();
    throw error;
  }
  const lost = (): GristmillError | null => {
    const found = world.held.has(mine) ? store.held() : null;
    if (found?.content === mine) return null;
    const holder = found ? holderOf(found) : { pid: 'none', host: '?' };
    return new GristmillError('RUN_LEASE_LOST', { out, ...holder, seconds: leaseMs / 1000 });
  };
  return {
    check() {
      const error = lost();
      if (error) throw error;
    },
    explain(error) {
      try {
        return lost() ?? error;
      } catch {
        return error;
      }
    },
    release,
    [Symbol.dispose]: () => void release(),
  };
}

/** What was seen of holders while this process asks. */
class Watch {
  readonly #own: ProcessIdentity;
  readonly #world: LeaseWorld;
  readonly #leaseMs: number;
  readonly #seen = new Map<string, { readonly beat: string; readonly sinceMs: number }>();

  constructor(world: LeaseWorld, leaseMs: number) {
    this.#own = world.identity;
    this.#world = world;
    this.#leaseMs = leaseMs;
  }

  /** It gave a sign of life since it was first looked at. */
  isAlive(view: LeaseView): boolean {
    return this.#firstOf(view).beat !== view.beat;
  }

  silenceMs(view: LeaseView): number {
    return this.isAlive(view) ? 0 : this.#world.nowMs() - this.#firstOf(view).sinceMs;
  }

  isStale(view: LeaseView): boolean {
    const holder = identityIn(view);
    if (holder && isCertainlyGone(holder, this.#own)) return true;
    return this.silenceMs(view) >= this.leaseMs(view);
  }

  /** What its holder has said; of one that says nothing, as earlier versions, our own. */
  leaseMs({ content }: LeaseView): number {
    try {
      const { leaseMs } = JSON.parse(content) as { leaseMs?: unknown };
      const isLength = Number.isSafeInteger(leaseMs) && Number(leaseMs) > 0;
      if (isLength && Number(leaseMs) <= LEASE_SECONDS[1] * 1000) return Number(leaseMs);
    } catch {
      // A torn one.
    }
    return this.#leaseMs;
  }

  #firstOf({ content, beat }: LeaseView) {
    const known = this.#seen.get(content) ?? { beat, sinceMs: this.#world.nowMs() };
    this.#seen.set(content, known);
    return known;
  }
}

/** Null for what is no record of ours, as a torn one. */
function identityIn({ content }: LeaseView): ProcessIdentity | null {
  try {
    const { pid, startTime, bootId, pidNamespace, host } = JSON.parse(content) as ProcessIdentity;
    const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
    if (!Number.isSafeInteger(pid) || pid < 1 || typeof host !== 'string') return null;
    return {
      ...{ pid, host, startTime: text(startTime) },
      ...{ bootId: text(bootId), pidNamespace: text(pidNamespace) },
    };
  } catch {
    return null;
  }
}

function holderOf(view: LeaseView): { readonly pid: number | string; readonly host: string } {
  const { pid = '?', host = '?' } = identityIn(view) ?? {};
  return { pid, host };
}
