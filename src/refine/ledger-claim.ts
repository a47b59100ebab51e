/**
 * Who may write an output, and as which run: alone, or side by side with others that are members of the same one.
 *
 * Each takes its own lease before it looks at those that exclude it, so that of two that exclude each other at least one
 * sees the other. The identity of a run is made by the first member and read by the others; where nothing has been produced
 * and nobody is at work, it gives way to another.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { below } from '../corpus/storage/addresses.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import {
  clearLease,
  factsOf,
  type Lease,
  type TakeLeaseOptions,
  takeStored,
} from '../work/lease.ts';
import { LEDGER_FOLDER } from '../work/output-folder.ts';
import type { OutputStore } from '../work/output-store.ts';
import { compareIdentity, type RunIdentity } from './run-identity.ts';

/** A process that works beside others. */
export interface LedgerMember {
  /** One process at a time has it: letters, digits and `-`. */
  readonly name: string;
  /** Units whose records are read at once; others are looked at when they are asked for. */
  readonly units: readonly number[];
  /** Whether it may begin the run, or put it in the place of one that has produced nothing. Default true. */
  readonly mayBegin?: boolean;
}

/** Names in the ledger. */
export const RUN_FILE = 'run.json';
/** Of the process that works alone. */
export const WHOLE_LEASE = 'lock';
/** Leases and summaries of those that work side by side. */
export const WORKERS = 'workers';

/** Of the process that puts another run in the place of one that has produced nothing. */
const CLAIM_LEASE = 'claim';
const CLAIM_TRIES = 300;
const CLAIM_WAIT_MS = 50;

/** Names of records among the objects of `units`. */
export const RECORD_NAME = /^\d+\.json$/;

/** The only process that writes. @throws RUN_OUTPUT_IN_USE when anybody else does */
export async function takeWhole(store: OutputStore, options: TakeLeaseOptions): Promise<Lease> {
  const { out } = store;
  const lease = await takeStored(out, nameIn(out, WHOLE_LEASE), store.lease(WHOLE_LEASE), options);
  try {
    await Promise.all(
      (await memberLeases(store)).map((name) =>
        clearLease(out, nameIn(out, name), store.lease(name), options),
      ),
    );
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** One of several. @throws RUN_OUTPUT_IN_USE when its name is taken, or somebody works alone */
export async function takeMembership(
  store: OutputStore,
  identity: RunIdentity,
  member: LedgerMember,
  options: TakeLeaseOptions,
): Promise<Lease> {
  const { out } = store;
  const name = leaseNameOf(member);
  const facts = { run: runIdOf(identity) };
  const lease = await takeStored(out, nameIn(out, name), store.lease(name), { ...options, facts });
  try {
    await clearLease(out, nameIn(out, WHOLE_LEASE), store.lease(WHOLE_LEASE), options);
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** Names a run: equal for all that may write one output side by side. */
export function runIdOf(identity: RunIdentity): string {
  const models = Object.entries(identity.models).map(([stage, model]) => [stage, model?.sha256]);
  const same = { ...identity, models, thresholds: null };
  return createHash('sha256').update(JSON.stringify(same)).digest('hex').slice(0, 16);
}

/** Names of members' leases. */
export async function memberLeases(store: OutputStore): Promise<string[]> {
  const names = await store.list(WORKERS);
  return names.filter((name) => name.endsWith('.lock')).map((name) => `${WORKERS}/${name}`);
}

function leaseNameOf({ name }: LedgerMember): string {
  return `${WORKERS}/${name}.lock`;
}

/** How messages name an object of a ledger. */
export function nameIn(out: string, name: string): string {
  return below(out, `${LEDGER_FOLDER}/${name}`);
}

/** Where this process is the only one. */
export async function claim(store: OutputStore, identity: RunIdentity): Promise<void> {
  if (await hasProduced(store)) {
    const changes = changesOf(store.out, await store.read(RUN_FILE), identity);
    if (changes.length > 0) throw changed(store.out, changes);
  } else await store.replace(RUN_FILE, textOf(identity));
}

/** The first of several makes the identity, the others are held against it. */
export async function claimBeside(
  store: OutputStore,
  identity: RunIdentity,
  member: LedgerMember,
  options: TakeLeaseOptions,
): Promise<void> {
  if (member.mayBegin === false) {
    const found = await store.read(RUN_FILE);
    if (found === null)
      throw new GristmillError('RUN_NOT_FOUND', { path: store.out, kinds: 'refine' });
    const changes = changesOf(store.out, found, identity);
    if (changes.length > 0) throw changed(store.out, changes);
    return;
  }
  if (await store.create(RUN_FILE, textOf(identity))) return;
  const isSame = async (): Promise<boolean> =>
    changesOf(store.out, await store.read(RUN_FILE), identity).length === 0;
  if (await isSame()) return;
  // Another run's: it gives way where it has produced nothing, to one at a time.
  const turn = await takeTurn(store, options);
  try {
    if (await isSame()) return;
    const isTaken = (await hasProduced(store)) || (await isUsed(store, identity, member, options));
    if (isTaken) {
      throw changed(store.out, changesOf(store.out, await store.read(RUN_FILE), identity));
    }
    await store.replace(RUN_FILE, textOf(identity));
  } finally {
    await turn.release();
  }
}

/** Waits for the others that want the same. */
async function takeTurn(store: OutputStore, options: TakeLeaseOptions): Promise<Lease> {
  const { out } = store;
  for (let attempt = 0; ; attempt++) {
    try {
      return await takeStored(out, nameIn(out, CLAIM_LEASE), store.lease(CLAIM_LEASE), options);
    } catch (error) {
      if (!isGristmillError(error, 'RUN_OUTPUT_IN_USE') || attempt === CLAIM_TRIES) throw error;
      await sleep(CLAIM_WAIT_MS * (1 + Math.random()));
    }
  }
}

/** Whether somebody is at work on another run than `identity`. */
async function isUsed(
  store: OutputStore,
  identity: RunIdentity,
  member: LedgerMember,
  options: TakeLeaseOptions,
): Promise<boolean> {
  const own = runIdOf(identity);
  for (const name of await memberLeases(store)) {
    const lease = store.lease(name);
    const facts = await factsOf(lease);
    if (name === leaseNameOf(member) || facts === null || facts['run'] === own) continue;
    try {
      await clearLease(store.out, nameIn(store.out, name), lease, options);
    } catch (error) {
      if (isGristmillError(error, 'RUN_OUTPUT_IN_USE')) return true;
      throw error;
    }
  }
  return false;
}

async function hasProduced(store: OutputStore): Promise<boolean> {
  if (await store.hasPublicFiles()) return true;
  return (await store.list('units')).some((name) => RECORD_NAME.test(name));
}

/** What differs between the run that lies there and `identity`. */
export function changesOf(out: string, before: string | null, identity: RunIdentity): string[] {
  return before === null ? [] : compareIdentity(runFileOf(out, before), identity);
}

/** The identity in the text of a run.json. @throws RUN_LEDGER_INVALID */
export function runFileOf(out: string, text: string): RunIdentity {
  return parse(nameIn(out, RUN_FILE), text) as RunIdentity;
}

/** @returns RUN_CHANGED */
export function changed(out: string, changes: readonly string[]): GristmillError {
  return new GristmillError('RUN_CHANGED', { out, changes: changes.join('; ') });
}

/** JSON as a ledger holds it. */
export function textOf(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** @throws RUN_LEDGER_INVALID */
export function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason }, { cause });
  }
}
