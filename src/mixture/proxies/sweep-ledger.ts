/**
 * The output of a sweep, a folder or what lies below an address of a bucket: which proxies are finished, and their losses as one table. Its ledger is that of every kind of work
 * (work/ledger.ts), with the folder itself as its place; a proxy is a unit, called by its index.
 *
 *     sweep.json                     what makes it this sweep: store, settings, kind of device, versions; others are refused
 *     plan.json                      the mixtures that it is about now, by their indices
 *     runs/<index>.json              one record per finished proxy; it is made where none is
 *     trajectories/<index>.jsonl     its steps and measurements
 *     losses.csv (or .parquet)       losses of the finished rows of the mixtures, in their order, with params, tokens and epochs;
 *                                    written anew as a whole
 *     tmp/                           trajectories of proxies under way
 *     lock, workers/                 the process that writes alone, those that write side by side
 *
 * A proxy is finished when its record is there, and only then is it not run again. Records hold the mixture that they
 * are of: the table of mixtures may grow, but a row that is finished may not change. What is finished does not hang on
 * its trajectory, which may be removed.
 */
import { createHash } from 'node:crypto';
import { below } from '../../corpus/storage/addresses.ts';
import { GristmillError } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { changedKeys } from '../../same-run.ts';
import type { TakeLeaseOptions } from '../../work/lease.ts';
import { type Ledger, openLedger, recordNames } from '../../work/ledger.ts';
import { claimObject, type LedgerMember, parse, textOf } from '../../work/ledger-claim.ts';
import { idOfSame, type LedgerKind } from '../../work/ledger-kind.ts';
import { outputStore } from '../../work/open-output.ts';
import type { LedgerLayout, OutputStore, StoredFile } from '../../work/output-store.ts';
import { writeLosses } from '../tables.ts';
import type { LossTable } from '../types.ts';
import type { ProxyResult } from './proxy-run.ts';

/** Formats of the table of losses. */
export type LossFormat = 'csv' | 'parquet';

/** A finished proxy. */
export interface ProxyRunRecord extends ProxyResult {
  readonly id: string;
  /** Shares in the order of the store's domains. */
  readonly weights: readonly number[];
  readonly device: string;
  readonly seconds: number;
  /** The attempt that made it; sweeps of earlier versions do not say. */
  readonly attempt?: string;
  readonly trajectory?: StoredFile;
}

/** What makes a sweep the same sweep. */
export interface SweepIdentity {
  readonly format: 1;
  readonly versions: { readonly gristmill: string; readonly llamaCpp: string };
  /** SHA-256 of the token store. */
  readonly store: string;
  readonly settings: object;
  /** Kind of device. */
  readonly device: string;
  /** Sequences of each domain that proxies are given; null for all. Only where the sweep repeats as its target. */
  readonly repetition?: readonly (number | null)[];
}

/** What a sweep is about now: those who work side by side must agree on it. */
export interface SweepPlan {
  /** Indices of the mixtures, in their order. */
  readonly ids: readonly string[];
  /** Domains that losses are of. */
  readonly targets: readonly string[];
  /** Domains of the store, which epochs are of; plans of earlier versions do not say. */
  readonly domains?: readonly string[];
  /** Format of the table of losses. */
  readonly table: LossFormat;
  /** SHA-256 of indices and weights. */
  readonly mixtures: string;
}

/** Names of a sweep. */
export const SWEEP_LAYOUT: LedgerLayout = Object.freeze({
  folder: '',
  records: 'runs',
  runFile: 'sweep.json',
  results: ['trajectories'],
  resultName: /^[^.].*\.jsonl$/,
});

const PLAN = 'plan.json';
const MAX_NAMED = 8;
const MAX_NAME_CHARS = 60;

/** A sweep as ledgers know it. @param plan of those who work side by side; null where nobody is to */
export function sweepKind(
  plan: SweepPlan | null,
): LedgerKind<string, ProxyRunRecord, SweepIdentity> {
  return {
    command: 'mix train',
    layout: SWEEP_LAYOUT,
    nameOf: fileNameOf,
    keyOf: ({ id }) => id,
    noUnits: () => new Set(),
    isRecordName: (name) => name.endsWith('.json') && !name.startsWith('.'),
    recordIn: checkedRecord,
    filesOf: ({ trajectory }) => (trajectory ? [trajectory] : []),
    redoesDamaged: false,
    checkNew: () => undefined,
    runIdOf: ({ versions, store, settings, device, repetition }) =>
      idOfSame([versions, store, settings, device, plan, ...(repetition ? [repetition] : [])]),
    changes: (before, { versions, ...now }) => {
      // Sweeps of earlier versions do not say, and go on.
      const known = 'versions' in before ? { ...now, versions } : now;
      const changes = changedKeys(before, JSON.parse(JSON.stringify(known)));
      return changes.slice(0, MAX_NAMED);
    },
    sharesOutput: true,
    hasResults: async () => false,
    changed: (out, changes) =>
      new GristmillError('MIXTURE_RUN_CHANGED', { out, changes: changes.join(', ') }),
    failed: (path, reason, cause) =>
      new GristmillError('MIXTURE_WRITE_FAILED', { path, reason }, { cause }),
  };
}

/** Options of {@link SweepLedger.open}. */
export interface OpenSweepOptions extends TakeLeaseOptions {
  /** Works beside others; default: alone. */
  readonly member?: LedgerMember<string> | undefined;
  /** Told how many finished proxies are read. */
  readonly onChecked?: OnProgress | undefined;
}

/** An open sweep. */
export class SweepLedger {
  readonly losses: string;
  readonly plan: SweepPlan;
  /** Finished proxies by the id of their mixture, as far as this process knows of them. */
  readonly finished: ReadonlyMap<string, ProxyRunRecord>;
  readonly #store: OutputStore;
  readonly #ledger: Ledger<string, ProxyRunRecord>;
  readonly #isShared: boolean;
  /** Tables are written one after the other: two at once would share a partial file. */
  #written: Promise<void> = Promise.resolve();

  private constructor(
    store: OutputStore,
    plan: SweepPlan,
    {
      ledger,
      finished,
      isShared,
    }: {
      readonly ledger: Ledger<string, ProxyRunRecord>;
      readonly finished: ReadonlyMap<string, ProxyRunRecord>;
      readonly isShared: boolean;
    },
  ) {
    this.#store = store;
    this.#ledger = ledger;
    this.finished = finished;
    this.#isShared = isShared;
    this.plan = plan;
    this.losses = below(store.out, `losses.${plan.table}`);
  }

  /**
   * Opens a sweep, or refuses a folder that holds another.
   *
   * @throws MIXTURE_RUN_CHANGED naming what differs, RUN_OUTPUT_IN_USE, RUN_LEDGER_INVALID, MIXTURE_WRITE_FAILED, ABORTED
   */
  static async open(
    out: string,
    identity: SweepIdentity,
    plan: SweepPlan,
    options: OpenSweepOptions = {},
  ): Promise<SweepLedger> {
    const store = await outputStore(out, SWEEP_LAYOUT);
    const { member } = options;
    const kind = sweepKind(plan);
    const finished = new Map<string, ProxyRunRecord>();
    const total = plan.ids.length;
    const tell = counting(options.onChecked, { phase: 'checking', unit: 'proxies', total });
    const onRecord = (record: ProxyRunRecord): void => {
      finished.set(record.id, record);
      tell();
    };
    const ledger = await openLedger(store, kind, identity, { ...options, onRecord });
    try {
      const name = PLAN;
      const content = textOf({ format: 1, ...plan });
      const claimed = { name, content, what: 'the table of mixtures', run: kind.runIdOf(identity) };
      if (member) await claimObject(store, kind, claimed, member, options);
      else await store.replace(name, content);
      return new SweepLedger(store, plan, { ledger, finished, isShared: member !== undefined });
    } catch (error) {
      await ledger.close();
      throw coded(out, error);
    }
  }

  /** Whether the proxy is finished by now, by whomever. */
  isFinished(id: string): Promise<boolean> {
    return this.#ledger.isCommitted(id);
  }

  /** Makes room for a proxy. @returns path or address that its trajectory is written to */
  async begin(id: string): Promise<string> {
    await this.#ledger.beginUnit(id);
    return this.#ledger.pendingPath(id, trajectoryOf(id));
  }

  /** Commits a proxy whose trajectory is written. @returns false when another process has finished it; @throws MIXTURE_WRITE_FAILED */
  async commit(record: ProxyRunRecord, trajectoryBytes: number): Promise<boolean> {
    const trajectory = { path: trajectoryOf(record.id), bytes: trajectoryBytes };
    return this.#ledger.commitUnit({ ...record, trajectory });
  }

  /** Throws a proxy under way away. */
  async abandon(id: string): Promise<void> {
    await this.#ledger.abandonUnit(id).catch(() => undefined);
  }

  /** Writes the losses of what is finished by now, in the order of the plan. @throws MIXTURE_WRITE_FAILED */
  writeLosses(): Promise<void> {
    this.#written = this.#written.then(() => this.#writeLosses());
    return this.#written;
  }

  async #writeLosses(): Promise<void> {
    const { ids, targets } = this.plan;
    for (let nKnown = await this.#look(); ; ) {
      const records = ids.flatMap((id) => this.finished.get(id) ?? []);
      if (records.length === 0) return;
      await writeLosses(this.losses, {
        targets,
        ids: records.map(({ id }) => id),
        losses: Float64Array.from(records.flatMap(({ losses }) => losses)),
        ...this.#scales(records),
      });
      // Another may have finished one in between, and written its table before this one: the last look has them all.
      const nNow = await this.#look();
      if (nNow === nKnown) return;
      nKnown = nNow;
    }
  }

  /** Sizes, tokens and epochs of finished proxies; nothing where one of an earlier version does not say. */
  #scales(records: readonly ProxyRunRecord[]): Pick<LossTable, 'scales' | 'epochDomains'> {
    const { domains } = this.plan;
    const isKnown = ({ nParams, nTokens, epochs }: ProxyRunRecord): boolean =>
      nParams > 0 && nTokens > 0 && epochs?.length === domains?.length;
    if (domains === undefined || !records.every(isKnown)) return {};
    return {
      scales: {
        params: Float64Array.from(records, ({ nParams }) => nParams),
        tokens: Float64Array.from(records, ({ nTokens }) => nTokens),
        epochs: Float64Array.from(records.flatMap(({ epochs }) => epochs)),
      },
      epochDomains: domains,
    };
  }

  /** Learns of what others have finished. @returns how many of the plan are */
  async #look(): Promise<number> {
    const { ids } = this.plan;
    if (this.#isShared) {
      const there = new Set<string>();
      for await (const name of recordNames(this.#store, sweepKind(this.plan))) there.add(name);
      for (const id of ids) if (there.has(fileNameOf(id))) await this.isFinished(id);
    }
    return ids.reduce((sum, id) => sum + (this.finished.has(id) ? 1 : 0), 0);
  }

  /** Leaves a summary for whoever finishes the sweep. */
  leave(summary: object): Promise<void> {
    return this.#ledger.leave(summary);
  }

  /** What a failure means: RUN_LEASE_LOST where another process has taken the folder over, else itself. */
  explain(error: unknown): unknown {
    return this.#ledger.explain(error);
  }

  /** Gives the folder back. */
  close(): Promise<void> {
    return this.#ledger.close();
  }
}

/** The plan of the sweep in a folder; null where none was left. @throws RUN_LEDGER_INVALID */
export async function readSweepPlan(store: OutputStore): Promise<SweepPlan | null> {
  const text = await store.read(PLAN);
  if (text === null) return null;
  const file = below(store.out, PLAN);
  const plan = parse(file, text) as Partial<SweepPlan> | null;
  const texts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((each) => typeof each === 'string');
  const isWhole =
    texts(plan?.ids) && texts(plan.targets) && (plan.table === 'csv' || plan.table === 'parquet');
  if (!isWhole) throw invalid(file, 'not the plan of a sweep');
  return plan as SweepPlan;
}

/** Names mixtures: equal for tables that are the same. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

function trajectoryOf(id: string): string {
  return `trajectories/${fileNameOf(id)}.jsonl`;
}

/** A file name for any index: plain ones are themselves, others get a hash. */
export function fileNameOf(id: string): string {
  if (/^[0-9a-z][0-9a-z_.-]{0,59}$/.test(id)) return id;
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 16);
  return `${id.replace(/[^0-9A-Za-z_-]/g, '_').slice(0, MAX_NAME_CHARS - 20)}-${hash}`;
}

/** @throws RUN_LEDGER_INVALID */
function checkedRecord(
  value: unknown,
  { file, name }: { readonly file: string; readonly name: string },
): ProxyRunRecord {
  const record = value as Partial<ProxyRunRecord> | null;
  const numbers = (list: unknown): boolean =>
    Array.isArray(list) && list.every((each) => typeof each === 'number');
  if (typeof record?.id !== 'string' || !numbers(record.weights) || !numbers(record.losses)) {
    throw invalid(file, 'not the record of a proxy');
  }
  if (`${fileNameOf(record.id)}.json` !== name) throw invalid(file, `it is of index ${record.id}`);
  const { attempt, trajectory } = record;
  const isOurs =
    (attempt === undefined || (typeof attempt === 'string' && /^[\w-]+$/.test(attempt))) &&
    (trajectory === undefined || trajectory.path === trajectoryOf(record.id));
  if (!isOurs) throw invalid(file, 'it names files of others');
  return record as ProxyRunRecord;
}

function invalid(file: string, reason: string): GristmillError {
  return new GristmillError('RUN_LEDGER_INVALID', { file, reason });
}

function coded(path: string, error: unknown): unknown {
  if (error instanceof GristmillError) return error;
  const reason = (error as Error).message;
  return new GristmillError('MIXTURE_WRITE_FAILED', { path, reason }, { cause: error });
}
