/**
 * The end of a run that several workers have carried out on one output: every unit is there, what killed workers left is
 * gone, and the counts of all are one summary.
 *
 * Records are read one by one and only their sum is kept, so that a run may have millions of units.
 */
import { GristmillError } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import type { TakeLeaseOptions } from '../work/lease.ts';
import { discardAll } from '../work/ledger.ts';
import { takeWhole, WORKERS } from '../work/ledger-claim.ts';
import { MAX_MISSING, removeLeftovers, removeOrphans } from '../work/leftovers.ts';
import { outputStore } from '../work/open-output.ts';
import type { OutputStore } from '../work/output-store.ts';
import { committedUnits, readRecords, runFileOf } from './ledger.ts';
import { addCounts, type RefineCounts, type RunSummary, ZERO_COUNTS } from './statistics.ts';
import { filesOf, type UnitRecord } from './unit-record.ts';

/** Options of {@link finishRun}. */
export interface FinishRunOptions extends TakeLeaseOptions {
  /** Where the output lies; default: a folder. */
  readonly store?: OutputStore;
  /** Told how many records of units are read. */
  readonly onProgress?: OnProgress | undefined;
}

/** What {@link finishRun} found. */
export interface RunEnd extends RunSummary {
  /** Units that nobody has committed: the first {@link MAX_MISSING}. */
  readonly missing: readonly number[];
  /** Public files that belonged to no committed unit, and were removed. */
  readonly orphans: number;
}

/** Bits of the files of a unit. */
const FILE_BITS: Readonly<Record<string, number>> = { '': 2, dropped: 4, rejected: 8, scores: 16 };
const COMMITTED = 1;

/**
 * Checks that every unit of a run is committed, removes what belongs to none, and adds the counts up.
 *
 * @throws RUN_NOT_FOUND, RUN_OUTPUT_IN_USE while a worker lives, RUN_LEDGER_INVALID, ABORTED
 */
export async function finishRun(out: string, options: FinishRunOptions = {}): Promise<RunEnd> {
  const store = options.store ?? (await outputStore(out));
  const started = performance.now();
  const found = await store.read(store.layout.runFile);
  if (found === null) throw new GristmillError('RUN_NOT_FOUND', { path: out, kinds: 'refine' });
  const { units: nUnits, thresholds } = runFileOf(store, found);
  const lease = await takeWhole(store, options);
  try {
    const state = new Uint8Array(nUnits);
    const inputs = new Set<string>();
    const left = await workerErrors(store);
    for (const { input } of left) inputs.add(input);
    let counts: RefineCounts = ZERO_COUNTS;
    let nDone = 0;
    const committed = await committedUnits(store, nUnits);
    const tell = counting(options.onProgress, {
      ...{ phase: 'checking', unit: 'units', total: committed.size },
    });
    const reader = { store, nUnits, onNotice: options.onNotice };
    for await (const record of readRecords(reader, committed)) {
      tell();
      counts = addCounts(counts, record.counts);
      nDone++;
      state[record.unit] = bitsOf(record);
      inputs.delete(record.input);
    }
    await discardAll(store);
    const orphans = await removeOrphans(store, (path) => {
      const unit = Number(/part-(\d+)\./.exec(path)?.[1]);
      return ((state[unit] ?? 0) & bitOf(path)) !== 0;
    });
    const isComplete = nDone === nUnits;
    await removeLeftovers(store, isComplete);
    const seconds = (performance.now() - started) / 1000;
    return {
      ...counts,
      units: nUnits,
      unitsResumed: nDone,
      unitsDone: nDone,
      unitsFailed: nUnits - nDone,
      ...{ seconds, docsPerSecond: 0, tokensPerSecond: 0 },
      interrupted: false,
      out,
      thresholds,
      errors: left.filter(({ input }) => inputs.has(input)),
      missing: missingIn(state),
      orphans,
    };
  } catch (error) {
    throw lease.explain(error);
  } finally {
    await lease.release();
  }
}

function bitsOf(record: UnitRecord): number {
  return filesOf(record).reduce((bits, { path }) => bits | bitOf(path), COMMITTED);
}

function bitOf(path: string): number {
  return FILE_BITS[path.split('/').at(-2) ?? ''] ?? 0;
}

function missingIn(state: Uint8Array): number[] {
  const missing: number[] = [];
  for (const [unit, bits] of state.entries()) {
    if (bits !== 0) continue;
    missing.push(unit);
    if (missing.length === MAX_MISSING) break;
  }
  return missing;
}

/** What workers could not do, each failure once. */
async function workerErrors(store: OutputStore): Promise<RunSummary['errors']> {
  const errors = new Map<string, RunSummary['errors'][number]>();
  for (const name of await store.list(WORKERS)) {
    if (!name.endsWith('.json')) continue;
    const text = await store.read(`${WORKERS}/${name}`);
    for (const { input, code, message } of errorsIn(text)) {
      errors.set(`${input}\n${code}`, { input, code, message });
    }
  }
  return [...errors.values()];
}

/** A summary that was cut tells nothing: the units that are missing are found without it. */
function errorsIn(text: string | null): RunSummary['errors'] {
  try {
    const { errors } = JSON.parse(text ?? '{}') as Partial<RunSummary>;
    return Array.isArray(errors) ? errors : [];
  } catch {
    return [];
  }
}
