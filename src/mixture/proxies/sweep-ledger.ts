/**
 * The folder of a sweep: which proxies are finished, and their losses as one table.
 *
 *     sweep.json                     what makes it this sweep: store, settings, kind of device; others are refused
 *     runs/<index>.json              one record per finished proxy; it appears by one rename
 *     trajectories/<index>.jsonl     its steps and measurements
 *     losses.csv (or .parquet)       losses of the finished rows of the mixtures, in their order; written anew as a whole
 *     lock                           the process that writes
 *
 * A proxy is finished when its record is there, and only then is it not run again. Records hold the mixture that they
 * are of: the table of mixtures may grow, but a row that is finished may not change.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readLedgerJson, writeDurably } from '../../durable-files.ts';
import { GristmillError } from '../../errors.ts';
import { makeFolder } from '../../local-path.ts';
import { changedKeys } from '../../same-run.ts';
import { type Lease, type TakeLeaseOptions, takeLease } from '../../work/lease.ts';
import { writeLosses } from '../tables.ts';
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
}

/** An open sweep; one process at a time holds it. */
export class SweepLedger {
  /** Finished proxies by the id of their mixture. */
  readonly finished = new Map<string, ProxyRunRecord>();
  readonly losses: string;
  readonly #out: string;
  readonly #lease: Lease;

  private constructor(out: string, format: LossFormat, lease: Lease) {
    this.#out = out;
    this.#lease = lease;
    this.losses = join(out, `losses.${format}`);
  }

  /**
   * Opens a sweep, or refuses a folder that holds another.
   *
   * @throws MIXTURE_RUN_CHANGED naming what differs, RUN_OUTPUT_IN_USE, RUN_LEDGER_INVALID, MIXTURE_WRITE_FAILED, ABORTED
   */
  static async open(
    out: string,
    identity: object,
    format: LossFormat,
    options: TakeLeaseOptions = {},
  ): Promise<SweepLedger> {
    let lease: Lease | null = null;
    try {
      lease = await takeLease(out, join(out, 'lock'), options);
      for (const part of ['runs', 'trajectories']) makeFolder(join(out, part));
      const ledger = new SweepLedger(out, format, lease);
      ledger.#claim(identity);
      ledger.#read();
      return ledger;
    } catch (error) {
      lease?.release();
      throw coded(out, error);
    }
  }

  /** Where a proxy's trajectory belongs. */
  trajectory(id: string): string {
    return join(this.#out, 'trajectories', `${fileNameOf(id)}.jsonl`);
  }

  /** Commits a proxy. @throws MIXTURE_WRITE_FAILED */
  commit(record: ProxyRunRecord): void {
    const path = join(this.#out, 'runs', `${fileNameOf(record.id)}.json`);
    this.#lease.check();
    try {
      writeDurably(path, `${JSON.stringify(record, null, 2)}\n`);
    } catch (error) {
      throw coded(path, error);
    }
    this.finished.set(record.id, record);
  }

  /** Writes the losses of the finished ones among `ids`, in that order. @throws MIXTURE_WRITE_FAILED */
  async writeLosses(ids: readonly string[], targets: readonly string[]): Promise<void> {
    const records = ids.flatMap((id) => this.finished.get(id) ?? []);
    if (records.length === 0) return;
    this.#lease.check();
    await writeLosses(this.losses, {
      targets,
      ids: records.map(({ id }) => id),
      losses: Float64Array.from(records.flatMap(({ losses }) => losses)),
    });
  }

  /** What a failure means: RUN_LEASE_LOST where another process has taken the folder over, else itself. */
  explain(error: unknown): unknown {
    return this.#lease.explain(error);
  }

  /** Gives the folder back. */
  close(): void {
    this.#lease.release();
  }

  #claim(identity: object): void {
    const file = join(this.#out, 'sweep.json');
    const now = JSON.parse(JSON.stringify({ format: 1, ...identity })) as object;
    const hasProduced = readdirSync(join(this.#out, 'runs')).some((name) => name.endsWith('.json'));
    // What has produced nothing blocks nothing.
    if (!existsSync(file) || !hasProduced) {
      writeDurably(file, `${JSON.stringify(now, null, 2)}\n`);
      return;
    }
    const changes = changedKeys(readLedgerJson(file), now);
    if (changes.length > 0) {
      const named = changes.slice(0, 8).join(', ');
      throw new GristmillError('MIXTURE_RUN_CHANGED', { out: this.#out, changes: named });
    }
  }

  #read(): void {
    const folder = join(this.#out, 'runs');
    for (const name of readdirSync(folder).sort()) {
      if (!name.endsWith('.json') || name.startsWith('.')) continue;
      const record = readLedgerJson(join(folder, name)) as ProxyRunRecord;
      this.finished.set(record.id, record);
    }
  }
}

/** A file name for any index: plain ones are themselves, others get a hash. */
export function fileNameOf(id: string): string {
  if (/^[0-9a-z][0-9a-z_.-]{0,59}$/.test(id)) return id;
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 16);
  return `${id.replace(/[^0-9A-Za-z_-]/g, '_').slice(0, 40)}-${hash}`;
}

function coded(path: string, error: unknown): unknown {
  if (error instanceof GristmillError) return error;
  const reason = (error as Error).message;
  return new GristmillError('MIXTURE_WRITE_FAILED', { path, reason }, { cause: error });
}
