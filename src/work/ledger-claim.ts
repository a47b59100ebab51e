/**
 * Who may write an output, and as which run: alone, or side by side with others that are members of the same one.
 *
 * Each takes its own lease before it looks at those that exclude it, so that of two that exclude each other at least one
 * sees the other. The identity of a run is made by the first member and read by the others; where nothing has been produced
 * and nobody is at work, it gives way to another.
 */
import { below } from '../corpus/storage/addresses.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import {
  clearLease,
  factsOf,
  HERE,
  type Lease,
  type TakeLeaseOptions,
  takeStored,
} from './lease.ts';
import type { LedgerKind } from './ledger-kind.ts';
import type { OutputStore } from './output-store.ts';

/** A process that works beside others. */
export interface LedgerMember<Key = number> {
  /** One process at a time has it: letters, digits and `-`. */
  readonly name: string;
  /** Units whose records are read at once; others are looked at when they are asked for. */
  readonly units: readonly Key[];
  /** Whether it may begin the run, or put it in the place of one that has produced nothing. Default true. */
  readonly mayBegin?: boolean;
}

/** What claims ask of a kind, whatever its units are. */
// biome-ignore lint/suspicious/noExplicitAny: a kind of any units and records
export type AnyKind<Identity extends object> = LedgerKind<any, any, Identity>;

/** Names in the ledger: of the process that works alone. */
export const WHOLE_LEASE = 'lock';
/** Leases and summaries of those that work side by side. */
export const WORKERS = 'workers';

/** Of the process that puts another run in the place of one that has produced nothing. */
const CLAIM_LEASE = 'claim';
const CLAIM_TRIES = 300;
const CLAIM_WAIT_MS = 50;

/** The only process that writes. @throws RUN_OUTPUT_IN_USE when anybody else does */
export async function takeWhole(store: OutputStore, options: TakeLeaseOptions): Promise<Lease> {
  const { out } = store;
  const lease = await takeStored(
    out,
    nameIn(store, WHOLE_LEASE),
    store.lease(WHOLE_LEASE),
    options,
  );
  try {
    await Promise.all(
      (await memberLeases(store)).map((name) =>
        clearLease(out, nameIn(store, name), store.lease(name), options),
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
  run: string,
  member: Pick<LedgerMember, 'name'>,
  options: TakeLeaseOptions,
): Promise<Lease> {
  const { out } = store;
  const name = leaseNameOf(member);
  const facts = { run };
  const lease = await takeStored(out, nameIn(store, name), store.lease(name), {
    ...options,
    facts,
  });
  try {
    await clearLease(out, nameIn(store, WHOLE_LEASE), store.lease(WHOLE_LEASE), options);
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** Names of members' leases. */
export async function memberLeases(store: OutputStore): Promise<string[]> {
  const names = await store.list(WORKERS);
  return names.filter((name) => name.endsWith('.lock')).map((name) => `${WORKERS}/${name}`);
}

function leaseNameOf({ name }: Pick<LedgerMember, 'name'>): string {
  return `${WORKERS}/${name}.lock`;
}

/** How messages name an object of a ledger. */
export function nameIn({ out, layout }: OutputStore, name: string): string {
  return below(out, layout.folder === '' ? name : `${layout.folder}/${name}`);
}

/** Where this process is the only one. */
export async function claim<Identity extends object>(
  store: OutputStore,
  kind: AnyKind<Identity>,
  identity: Identity,
): Promise<void> {
  const { runFile } = store.layout;
  if (await hasProduced(store, kind)) {
    const changes = changesOf(store, kind, await store.read(runFile), identity);
    if (changes.length > 0) throw changed(store, kind, changes);
  } else await store.replace(runFile, textOf(identity));
}

/** The first of several makes the identity, the others are held against it. */
export async function claimBeside<Identity extends object>(
  store: OutputStore,
  kind: AnyKind<Identity>,
  identity: Identity,
  member: Pick<LedgerMember, 'name' | 'mayBegin'>,
  options: TakeLeaseOptions,
): Promise<void> {
  const { runFile } = store.layout;
  if (member.mayBegin === false) {
    const found = await store.read(runFile);
    if (found === null) {
      const details = { path: store.out, kinds: kind.command };
      throw new GristmillError('RUN_NOT_FOUND', details);
    }
    const changes = changesOf(store, kind, found, identity);
    if (changes.length > 0) throw changed(store, kind, changes);
    return;
  }
  if (await store.create(runFile, textOf(identity))) return;
  const differences = async (): Promise<string[]> =>
    changesOf(store, kind, await store.read(runFile), identity);
  if ((await differences()).length === 0) return;
  // Another run's: it gives way where it has produced nothing, to one at a time.
  const turn = await takeTurn(store, options);
  try {
    const changes = await differences();
    if (changes.length === 0) return;
    const isTaken =
      (await hasProduced(store, kind)) ||
      (await isUsed(store, kind.runIdOf(identity), member, options));
    if (isTaken) throw changed(store, kind, changes);
    await store.replace(runFile, textOf(identity));
  } finally {
    await turn.release();
  }
}

/**
 * Puts an object that goes with a run in the place of one that says something else, while nobody works by that.
 *
 * @param what its contents are, where it is refused
 * @param run the caller's, as its lease has it
 */
export async function claimObject<Identity extends object>(
  store: OutputStore,
  kind: AnyKind<Identity>,
  { name, content, what, run }: ClaimedObject,
  member: Pick<LedgerMember, 'name'>,
  options: TakeLeaseOptions,
): Promise<void> {
  if (await store.create(name, content)) return;
  if ((await store.read(name)) === content) return;
  const turn = await takeTurn(store, options);
  try {
    if ((await store.read(name)) === content) return;
    if (await isUsed(store, run, member, options)) throw changed(store, kind, [what]);
    await store.replace(name, content);
  } finally {
    await turn.release();
  }
}

/** See {@link claimObject}. */
export interface ClaimedObject {
  readonly name: string;
  readonly content: string;
  readonly what: string;
  readonly run: string;
}

/** Waits for the others that want the same. */
async function takeTurn(store: OutputStore, options: TakeLeaseOptions): Promise<Lease> {
  const { out } = store;
  const { world = HERE } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await takeStored(out, nameIn(store, CLAIM_LEASE), store.lease(CLAIM_LEASE), options);
    } catch (error) {
      if (!isGristmillError(error, 'RUN_OUTPUT_IN_USE') || attempt === CLAIM_TRIES) throw error;
      await world.sleep(CLAIM_WAIT_MS * (1 + Math.random()));
    }
  }
}

/** Whether somebody is at work on another run than `own`. */
async function isUsed(
  store: OutputStore,
  own: string,
  member: Pick<LedgerMember, 'name'>,
  options: TakeLeaseOptions,
): Promise<boolean> {
  for (const name of await memberLeases(store)) {
    const lease = store.lease(name);
    const facts = await factsOf(lease);
    if (name === leaseNameOf(member) || facts === null || facts['run'] === own) continue;
    try {
      await clearLease(store.out, nameIn(store, name), lease, options);
    } catch (error) {
      if (isGristmillError(error, 'RUN_OUTPUT_IN_USE')) return true;
      throw error;
    }
  }
  return false;
}

async function hasProduced<Identity extends object>(
  store: OutputStore,
  kind: AnyKind<Identity>,
): Promise<boolean> {
  if (await kind.hasResults(store)) return true;
  for await (const name of store.names(store.layout.records)) {
    if (kind.isRecordName(name)) return true;
  }
  return false;
}

/** What differs between the run that lies there and `identity`. */
export function changesOf<Identity extends object>(
  store: OutputStore,
  kind: AnyKind<Identity>,
  before: string | null,
  identity: Identity,
): string[] {
  return before === null ? [] : kind.changes(identityIn<Identity>(store, before), identity);
}

/** The identity in the text of a run file. @throws RUN_LEDGER_INVALID */
export function identityIn<Identity extends object>(store: OutputStore, text: string): Identity {
  return parse(nameIn(store, store.layout.runFile), text) as Identity;
}

/** The error of a run that is another one. */
export function changed<Identity extends object>(
  { out }: OutputStore,
  kind: AnyKind<Identity>,
  changes: readonly string[],
): GristmillError {
  return kind.changed(out, changes);
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
