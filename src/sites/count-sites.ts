/**
 * Counting the lines of a corpus by site: which of them stand on more than one page of theirs, and on how many.
 *
 *     unit ──► batches ──► C++ counts (native/sites) ──► part ──┐
 *     unit ──► …                                       ──► part ──┴─► merge ──► FILE
 *
 * Units are counted in any order, by one process or by several beside each other (`worker`); the file is a function of the
 * inputs and of the options that its identity names. A count that was cut off goes on where it was. Memory is bounded:
 * records of a unit are spilled, and parts are merged side by side (native/sites/part_file.h).
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { SlabPool } from '../batch/slab-pool.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { planCorpus } from '../corpus/plan.ts';
import { type CorpusPlan, type CorpusUnit, ROW_INVALID_UTF8 } from '../corpus/types.ts';
import { openTextsAndSites } from '../corpus/unit.ts';
import { inputName } from '../corpus/unit-files.ts';
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { localPath } from '../local-path.ts';
import { native } from '../native/index.ts';
import type { PartCounts } from '../native/sites.ts';
import {
  abortSignal,
  callback,
  checkOptions,
  either,
  given,
  listOf,
  name,
  type OptionTable,
  oneOf,
  whole,
} from '../options.ts';
import { version } from '../version.ts';
import { type Ledger, openLedger } from '../work/ledger.ts';
import { outputFolder } from '../work/output-folder.ts';
import { shareOf, type WorkerShare, workerName, workerOption } from '../work/worker-share.ts';
import { COUNT_DEFAULTS } from './count-defaults.ts';
import { siteColumnOf } from './site-column.ts';
import { fileHash, idInMeta, type SiteCounts } from './site-file.ts';
import { SiteNames } from './site-names.ts';
import {
  COUNT_KIND,
  type CountIdentity,
  type CountRecord,
  countIdOf,
  partPath,
} from './sites-ledger.ts';

/** Options of {@link countSites}. */
export interface CountSitesOptions {
  /** Files, folders and globs, or one of them. */
  readonly inputs: string | readonly string[];
  /** The file that is made; what is under way lies in `FILE.counting`. */
  readonly out: string;
  /** Column of URLs, hosts or domains; default the only one that goes by its name. */
  readonly siteColumn?: string;
  readonly textColumn?: string;
  /** What a document of plain text (.txt) is. Default a file. */
  readonly textPer?: 'file' | 'line';
  /** Rows of a unit, about; default 10,000. */
  readonly unitRows?: number;
  /** CPU threads; default all. The file does not depend on it. */
  readonly threads?: number;
  /** One of several processes that count side by side; the file is made by a call without it. */
  readonly worker?: WorkerShare;
  readonly onNotice?: (line: string) => void;
  readonly onProgress?: (progress: CountProgress) => void;
  readonly signal?: AbortSignal;
}

/** How far a count is. */
export interface CountProgress {
  /** Bytes of the inputs that are counted. */
  readonly bytes: number;
  readonly nBytes: number;
  readonly pages: number;
}

/** What a count has come to. */
export interface CountSummary {
  readonly out: string;
  readonly siteColumn: string;
  /** Units of the plan, or of the share; those that were counted before. */
  readonly units: number;
  readonly unitsResumed: number;
  /** Rows that have a site. */
  readonly rows: number;
  readonly lines: number;
  /** What the file holds; null for a worker's share. */
  readonly counts: SiteCounts | null;
  readonly seconds: number;
}

const TABLE: OptionTable<CountSitesOptions> = {
  inputs: { ...either(name, listOf(name, 1)), expected: 'a path, or an array of at least one' },
  out: name,
  siteColumn: name,
  textColumn: name,
  textPer: oneOf(['file', 'line']),
  unitRows: whole(1),
  threads: whole(1, 512),
  worker: workerOption,
  onNotice: callback,
  onProgress: callback,
  signal: abortSignal,
};

/** Lines of JSON whose fields are looked at: only the name of one column is wanted, and more would take longer than counting them. */
const LOOKED_AT_LINES = 1000;
/** Units that are counted side by side: each has its records in memory. */
const MOST_LANES = 3;
const BATCH = { batchRows: 4096, batchBytes: 8 * 2 ** 20 };

/**
 * Counts a corpus by site. The same call again goes on, or says what is there.
 *
 * @throws OPTION_INVALID, SITES_COLUMN_UNKNOWN, CORPUS_*, RUN_CHANGED, RUN_OUTPUT_IN_USE, RUN_OUTPUT_FAILED,
 *   SITES_FILE_INVALID, ABORTED
 */
export async function countSites(asked: CountSitesOptions): Promise<CountSummary> {
  checkOptions('countSites', asked, TABLE, ['inputs', 'out']);
  const options = given(asked);
  const { signal, onNotice, siteColumn: wish, unitRows = COUNT_DEFAULTS.unitRows } = options;
  const out = localPath(options.out, 'output', '--out');
  const plan = await planCorpus({
    inputs: [options.inputs].flat(),
    idColumn: null,
    unitRows,
    inferLines: LOOKED_AT_LINES,
    exclude: [out, workFolder(out)],
    ...(options.textColumn !== undefined && { textColumn: options.textColumn }),
    ...(options.textPer !== undefined && { textPer: options.textPer }),
    onNotice,
    ...(signal && { signal }),
  });
  const siteColumn = siteColumnOf(plan, wish);
  onNotice?.(`sites by column ${siteColumn}`);
  return countPlanned(plan, siteColumn, out, options);
}

/** What {@link countPlanned} needs of the options. */
export type CountSettings = Pick<
  CountSitesOptions,
  'unitRows' | 'textPer' | 'threads' | 'worker' | 'onProgress' | 'signal'
> & {
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Make a file anew that was made of other inputs; default: refuse. */
  readonly isReplaced?: boolean;
};

/** Counts the units of a plan. @param out a local file @throws as {@link countSites} */
export async function countPlanned(
  planned: CorpusPlan,
  siteColumn: string,
  out: string,
  options: CountSettings,
): Promise<CountSummary> {
  const started = performance.now();
  const { worker, signal, onNotice, onProgress } = options;
  const plan = {
    ...onlyColumns(planned, new Set([planned.textColumn, siteColumn])),
    idColumn: null,
    siteColumn,
  };
  const identity = identityOf(planned, siteColumn, options);
  const id = countIdOf(identity);
  const made = await madeBefore(out, id, options.isReplaced ?? false);
  const share = worker ? shareOf(plan.units, worker) : plan.units;
  const told = { out, siteColumn, units: share.length };
  const seconds = (): number => (performance.now() - started) / 1000;
  if (made) {
    onNotice?.(`${out} has been made of these inputs already`);
    const { rows, lines } = made;
    return { ...told, unitsResumed: share.length, rows, lines, counts: made, seconds: seconds() };
  }
  const work = workFolder(out);
  const counted = { pages: 0, lines: 0 };
  const ledger = await openLedger(outputFolder(work, COUNT_KIND.layout), COUNT_KIND, identity, {
    onRecord({ pages, lines }) {
      counted.pages += pages;
      counted.lines += lines;
    },
    member: worker && { name: workerName(worker), units: share.map(({ index }) => index) },
    onNotice,
    signal,
  });
  try {
    const left = share.filter(({ index }) => !ledger.committed.has(index));
    const nBytes = share.reduce((sum, { bytes }) => sum + bytes, 0);
    const progress = { bytes: nBytes - left.reduce((sum, { bytes }) => sum + bytes, 0), pages: 0 };
    const unitsResumed = share.length - left.length;
    const threads = options.threads ?? availableParallelism();
    const nLanes = Math.max(1, Math.min(MOST_LANES, threads >> 1, left.length));
    const counting: Counting = {
      plan,
      ledger,
      nThreads: Math.max(1, Math.floor(threads / nLanes)),
      signal,
      onPages(pages) {
        progress.pages += pages;
        onProgress?.({ ...progress, nBytes });
      },
    };
    let failure: { readonly error: unknown } | null = null;
    const lane = async (): Promise<void> => {
      const slabs = new SlabPool();
      for (let unit = left.shift(); unit && failure === null; unit = left.shift()) {
        try {
          await countUnit(counting, unit, slabs);
          progress.bytes += unit.bytes;
          counting.onPages(0);
        } catch (error) {
          failure ??= { error };
        }
      }
    };
    await Promise.all(Array.from({ length: nLanes }, lane));
    if (failure) throw (failure as { readonly error: unknown }).error;
    const { pages: rows, lines } = counted;
    if (worker) {
      const summary = { ...told, unitsResumed, rows, lines, counts: null, seconds: seconds() };
      await ledger.leave(summary);
      return summary;
    }
    onNotice?.(`merging ${share.length} parts`);
    const parts = share.map(({ index }) => `${work}/${partPath(index)}`);
    const meta = JSON.stringify({ format: 1, id, siteColumn, rows, lines });
    const counts = await native().sites.merge({ parts, out, meta }, signal);
    const whole: SiteCounts = { ...counts, siteColumn, rows, lines, ...(await fileHash(out)) };
    return { ...told, unitsResumed, rows, lines, counts: whole, seconds: seconds() };
  } catch (error) {
    throw ledger.explain(error);
  } finally {
    await ledger.close();
    if (existsSync(out) && !worker) await rm(work, { recursive: true, force: true });
  }
}

/** Where what is under way lies. */
export function workFolder(out: string): string {
  return `${out}.counting`;
}

function identityOf(
  plan: CorpusPlan,
  siteColumn: string,
  { textPer, unitRows = COUNT_DEFAULTS.unitRows }: CountSettings,
): CountIdentity {
  return {
    format: 1,
    versions: { gristmill: version },
    siteColumn,
    textColumn: plan.textColumn,
    unitRows,
    ...(textPer !== undefined && { textPer }),
    inputs: plan.files.map(({ path, bytes, fingerprint }) => {
      return { path: resolve(path), bytes, fingerprint };
    }),
    units: plan.units.length,
  };
}

/** What lies at `out`, if it was made of the same inputs; null where nothing lies there. @throws RUN_CHANGED */
async function madeBefore(
  out: string,
  id: string,
  isReplaced: boolean,
): Promise<SiteCounts | null> {
  if (!existsSync(out)) return null;
  const table = await native()
    .sites.openTable(out)
    .catch((error: unknown) => {
      if (isReplaced) return null;
      throw error;
    });
  if (!table) return null;
  try {
    const meta = idInMeta(table.meta);
    if (meta?.id !== id) {
      if (isReplaced) return null;
      const changes = 'it is the count of other inputs, or by other columns';
      throw new GristmillError('RUN_CHANGED', { out, changes });
    }
    const { siteColumn, rows, lines } = meta;
    return { ...table.counts, siteColumn, rows, lines, ...(await fileHash(out)) };
  } finally {
    table.dispose();
  }
}

interface Counting {
  readonly plan: CorpusPlan;
  readonly ledger: Ledger<number, CountRecord>;
  readonly nThreads: number;
  readonly signal: AbortSignal | undefined;
  onPages(pages: number): void;
}

/** Counts one unit and commits it; one that somebody else has committed meanwhile is theirs. */
async function countUnit(counting: Counting, unit: CorpusUnit, slabs: SlabPool): Promise<void> {
  const { plan, ledger, signal } = counting;
  const { index } = unit;
  const started = performance.now();
  try {
    await ledger.beginUnit(index);
    const counts = await writePart(
      counting,
      unit,
      ledger.pendingPath(index, partPath(index)),
      slabs,
    );
    throwIfAborted(signal, 'counting');
    await ledger.commitUnit({
      unit: index,
      input: inputName(plan, unit),
      seconds: (performance.now() - started) / 1000,
      pages: counts.pages,
      lines: counts.lines,
      file: { path: partPath(index), bytes: counts.bytes },
    });
  } catch (error) {
    await ledger.abandonUnit(index).catch(() => undefined);
    const isTheirs =
      !isGristmillError(error, 'ABORTED') && (await ledger.isCommitted(index).catch(() => false));
    if (!isTheirs) throw error;
  }
}

async function writePart(
  { plan, nThreads, signal, onPages }: Counting,
  unit: CorpusUnit,
  path: string,
  slabs: SlabPool,
): Promise<PartCounts> {
  const counter = native().sites.openCounter({ path, nThreads });
  const names = new SiteNames();
  try {
    for await (const { nDocs, text, site, rowStatus } of openTextsAndSites(plan, unit, slabs, {
      ...BATCH,
      nThreads,
      ...(signal && { signal }),
    })) {
      if (site === null || nDocs === 0) continue;
      const sites = names.of(site);
      for (const [row, status] of rowStatus?.entries() ?? []) {
        if (status === ROW_INVALID_UTF8) sites.siteOf[row] = -1;
      }
      const { data, offsets } = text;
      await counter.add({ data, offsets, ...sites }, signal);
      onPages(nDocs);
    }
    return await counter.finish(signal);
  } finally {
    counter.dispose();
  }
}
