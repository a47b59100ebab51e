/**
 * The lanes of a run: one per device, each a stream of batches over the units that are left.
 *
 *     read → engine → execute → write, each step overlapping with the next batch's previous step
 *
 * Batches never cross a unit and their composition is a function of the unit alone, so the output does not depend on
 * lanes, workers or interruptions. A unit that fails (a corrupt page, say) is thrown away and named; the others go on.
 *
 * Beyond 500 lines, as the state that all steps of a run share is its private one.
 */
import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import type { CorpusPlan, CorpusUnit, UnitBatch } from '../corpus/types.ts';
import { checkUnchanged } from '../corpus/unchanged.ts';
import { openUnit, prepareUnit } from '../corpus/unit.ts';
import { inputName, placesOf } from '../corpus/unit-files.ts';
import {
  anyOf,
  type ErrorCode,
  isGristmillError,
  throwIfAborted,
  untilAborted,
} from '../errors.ts';
import type { ExecutionPool } from '../program/pool.ts';
import type { ScoreKeeper } from '../scores/keeper.ts';
import type { Sites } from '../sites/site-file.ts';
import { ActivityTeller, workOf } from './activity.ts';
import { CommittedTotals } from './committed-totals.ts';
import {
  batchBounds,
  type OpenCore,
  openCore,
  openExecution,
  openSlabs,
  type ResolvedRefiner,
} from './core.ts';
import { parseDevices, precisionNotices } from './devices.ts';
import { pulledFrom } from './input-waits.ts';
import type { JudgedBatch } from './judged-batch.ts';
import type { Ledger } from './ledger.ts';
import { firstRows, rejectModeOf, rowsIn } from './limited-rows.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, judgeBatch } from './refine-batch.ts';
import type { ColumnRows } from './refined-rows.ts';
import type { ReusedUnits } from './reused-units.ts';
import type { RefineCorpusOptions } from './run-options.ts';
import type { RunPlace } from './run-place.ts';
import {
  addCounts,
  type RefineCounts,
  type RunOutcome,
  rejectedCounts,
  ZERO_COUNTS,
} from './statistics.ts';
import { Stopping } from './stopping.ts';
import { emptyTally, runError, summarise, type Tally, totalRows } from './tally.ts';
import { type LimitedUnit, queueOf, type UnitQueue, unitsLeft } from './unit-queue.ts';
import type { UnitRecord } from './unit-record.ts';
import {
  formatOfUnit,
  type OutputSettings,
  openUnitWriter,
  reservedNames,
  type UnitWriter,
} from './unit-writer.ts';

/** Batches that the engine, and the executors, have under way at a time: one is computed, one waits. */
export const IN_FLIGHT = 2;

/** What a run is given besides its options. */
export interface RunSettings {
  /** The units of the plan that are this run's; default all. */
  readonly share?: readonly CorpusUnit[];
  /** As `performance.now()` says it. */
  readonly started: number;
  /** Ends computations and reads under way. */
  readonly drop: AbortSignal | undefined;
  readonly place: RunPlace;
  /** Null where no scores are kept. */
  readonly keeper?: ScoreKeeper | null;
  /** What the ledger's units come to, as it tells of them; default none. */
  readonly totals?: CommittedTotals;
  /** Kept scores that take the place of models; null where those are asked. */
  readonly reused?: ReusedUnits | null;
  /** Counts of the sites that pages are from; null where nobody asks for them. */
  readonly sites?: Sites | null;
  /** What the run is called outside, where somebody asks; and its worker, in the ledger. */
  readonly nameOf?: () => string;
  readonly worker?: string | null;
}

/** What flows through a lane; the end of a unit, or its failure, travels behind its batches. */
type LaneItem<Batch> =
  | {
      readonly kind: 'batch';
      readonly unit: CorpusUnit;
      readonly input: UnitBatch;
      readonly value: Batch;
    }
  | { readonly kind: 'end'; readonly unit: CorpusUnit }
  | { readonly kind: 'failed'; readonly unit: CorpusUnit; readonly error: unknown };

/** A device with its models, ready to read. */
interface Lane {
  readonly device: string;
  readonly slabs: SlabPool;
  readonly core: OpenCore;
  dispose(): Promise<void>;
}

/** One run over the units that its ledger does not hold yet. */
export class Run {
  readonly #options: RefineCorpusOptions;
  readonly #resolved: ResolvedRefiner;
  readonly #plan: CorpusPlan;
  readonly #output: OutputSettings;
  readonly #ledger: Ledger;
  readonly #started: number;
  readonly #tally: Tally;
  readonly #stopping: Stopping;
  /** Ends computations and reads under way; `options.signal`, which fires with it, those to come. */
  readonly #drop: AbortSignal | undefined;
  readonly #place: RunPlace;
  readonly #keeper: ScoreKeeper | null;
  readonly #share: readonly CorpusUnit[];
  readonly #reused: ReusedUnits | null;
  readonly #sites: Sites | null;
  readonly #names: Pick<RunSettings, 'nameOf' | 'worker'>;
  readonly #activity: ActivityTeller;
  /** Documents that were told, by status. */
  readonly #nTold = new Map<string, number>();
  readonly #planned: { readonly nRows: number | null; readonly nBytes: number };
  readonly #totals: CommittedTotals;
  /** Counts of units in flight, for progress only. */
  readonly #inFlight = new Map<number, RefineCounts>();

  constructor(
    options: RefineCorpusOptions,
    resolved: ResolvedRefiner,
    plan: CorpusPlan,
    output: OutputSettings,
    ledger: Ledger,
    {
      started,
      drop,
      place,
      keeper = null,
      reused = null,
      sites = null,
      totals = new CommittedTotals(plan),
      share = plan.units,
      ...names
    }: RunSettings,
  ) {
    this.#share = share;
    this.#options = options;
    this.#resolved = resolved;
    this.#plan = plan;
    this.#output = output;
    this.#ledger = ledger;
    this.#started = started;
    this.#tally = emptyTally(plan);
    this.#stopping = new Stopping(options.signal);
    this.#drop = drop;
    this.#place = place;
    this.#keeper = keeper;
    this.#reused = reused;
    this.#sites = sites;
    this.#totals = totals;
    this.#names = names;
    this.#activity = new ActivityTeller(options.onActivity);
    this.#planned = {
      nRows: totalRows(share),
      nBytes: share.reduce((sum, unit) => sum + unit.bytes, 0),
    };
  }

  async execute(): Promise<RunOutcome> {
    using _ = this.#stopping;
    this.#begin();
    const left = this.#place.feed ? [] : this.#left();
    try {
      if (left.length > 0 || this.#place.feed) {
        if (!this.#reused) this.#options.onNotice?.('loading models');
        this.#place.onOpening();
        this.#progress(false);
        await this.#runLanes(left);
      }
    } catch (error) {
      if (!this.#isInterrupt(error)) throw error;
      this.#tally.interrupted = true;
    }
    this.#activity.worked(0, 0);
    this.#progress(true);
    const { out } = this.#options;
    const { work } = this.#totals;
    const nUnits = this.#place.feed ? work.units : this.#share.length;
    return summarise(work, this.#plan, out, this.#started, this.#tally, nUnits);
  }

  #left(): LimitedUnit[] {
    return unitsLeft(this.#share, this.#ledger, this.#options.limit, this.#totals);
  }

  /** What is committed already: by earlier commands, and by workers of this one that died. */
  #begin(): void {
    const { work: committed } = this.#totals;
    const { units, counts, inputBytes } = committed;
    const tokens = counts.promptTokens + counts.newTokens;
    const found = { units, rows: counts.rowsIn, bytes: inputBytes, tokens };
    this.#place.onBegun(found);
    this.#activity.tell(() => {
      const { nameOf, worker = null } = this.#names;
      const name = nameOf?.() ?? '';
      const { nRows: rows, nBytes: bytes } = this.#planned;
      const ahead = this.#place.feed
        ? { units: null, rows: null, bytes: null }
        : { units: this.#share.length, rows, bytes };
      const { device = 'cpu', out } = this.#options;
      return { kind: 'run', run: name, worker, device, out, ...ahead, committed };
    });
    const before = this.#place.before ?? found;
    this.#tally.unitsResumed = before.units;
    this.#tally.rowsResumed = before.rows;
    this.#tally.bytesResumed = before.bytes;
    this.#tally.rows = found.rows - before.rows;
    this.#tally.bytes = found.bytes - before.bytes;
    this.#tally.tokens = found.tokens - before.tokens;
  }

  async #runLanes(left: LimitedUnit[]): Promise<void> {
    const options = this.#options;
    const devices = parseDevices(options.device ?? 'cpu');
    // Where a format does not tell its rows, a limit is only known unit by unit: one lane then.
    const countsAhead =
      options.limit === undefined || left.every(({ unit }) => unit.nRows !== null);
    const nUseful = this.#place.feed ? devices.length : left.length;
    const nLanes = countsAhead ? Math.max(1, Math.min(devices.length, nUseful)) : 1;
    const lanes = devices.slice(0, nLanes);
    const queue = queueOf(left, this.#place, this.#plan, this.#ledger, (unit) =>
      this.#noteOthers(unit),
    );
    // All are open before the first reads: a device that is not there, or is full, is no news after a day on the other.
    const opened = await Promise.allSettled(lanes.map((device) => this.#openLane(device)));
    const open = opened.filter((lane) => lane.status === 'fulfilled').map(({ value }) => value);
    const failed = opened.find((lane) => lane.status === 'rejected');
    if (failed) {
      await Promise.all(open.map((lane) => lane.dispose()));
      throw failed.reason;
    }
    this.#place.onRunning();
    const failures = await Promise.allSettled(open.map((lane) => this.#runLane(lane, queue)));
    for (const failure of failures) if (failure.status === 'rejected') throw failure.reason;
  }

  /** Counts a unit that somebody else has committed. */
  async #noteOthers(unit: number): Promise<void> {
    const record = await this.#ledger.recordOf(unit);
    if (!record) return;
    this.#tally.bytes += this.#plan.units[unit]!.bytes;
    this.#tellDone(record, false);
    this.#place.feed?.onCommitted(record, false);
  }

  async #openLane(device: string): Promise<Lane> {
    const { workers, onNotice } = this.#options;
    const slabs = openSlabs(this.#options);
    const pool = openExecution(this.#resolved, slabs, workers);
    try {
      const core = await this.#open(device, pool);
      for (const line of [...precisionNotices(device, core.infos), ...core.notices])
        onNotice?.(line);
      const dispose = async (): Promise<void> => {
        await core.dispose();
        await pool.destroy();
      };
      return { device, slabs, core, dispose };
    } catch (error) {
      await pool.destroy();
      throw error;
    }
  }

  async #runLane({ device, slabs, core: opened, dispose }: Lane, queue: UnitQueue): Promise<void> {
    try {
      const batches = this.#read(queue, slabs, device);
      const judged = mapOrdered(batches, IN_FLIGHT, (item) =>
        attempt(item, (input) =>
          this.#stopping.computing(
            this.#activity.timed(
              'judge',
              async () =>
                this.#reused?.judge(item.unit.index, input) ??
                judgeBatch(opened, input.batch, input.rowStatus, {
                  guard: this.#place.guard,
                  place: { unit: item.unit.index, firstRow: input.firstRow },
                  keeper: this.#keeper,
                  signal: this.#drop,
                }),
            ),
          ),
        ),
      );
      const executed = mapOrdered(judged, IN_FLIGHT, (item) =>
        attempt(item, (_, value: JudgedBatch) =>
          this.#stopping.computing(
            this.#activity.timed('execute', () => executeBatch(opened, value, this.#drop)),
          ),
        ),
      );
      await this.#write(executed);
    } finally {
      await dispose();
    }
  }

  /** Loads the models; one that is loading is not waited for by a run that is told to stop. */
  async #open(device: string, pool: ExecutionPool): Promise<OpenCore> {
    const { signal } = this.#options;
    throwIfAborted(signal, 'the run');
    const opening = openCore(this.#resolved, this.#options, device, pool, {
      allLines: this.#keeper?.all ?? false,
      keepsLines: this.#keeper !== null,
      isReuse: this.#reused !== null,
      sites: this.#sites,
    });
    try {
      return await untilAborted(opening, signal, 'loading models');
    } catch (error) {
      opening.then(
        (core) => core.dispose(),
        () => undefined,
      );
      throw error;
    }
  }

  /** Batches of the units in the queue; asks for the next unit only when the last one is read. */
  async *#read(queue: UnitQueue, slabs: SlabPool, device: string): AsyncGenerator<LaneItem<null>> {
    let unknownLeft = this.#options.limit;
    for (let next = await queue.next(); next !== null; next = await queue.next()) {
      if (this.#options.signal?.aborted) {
        this.#tally.interrupted = true;
        return;
      }
      const { unit } = next;
      // A unit that failed may be handed out again, right after: its reads are told apart by their own object.
      const read = { ...unit };
      // Rows of earlier units that did not tell their number count against the limit as they are read.
      let rowsLeft = next.maxRows;
      if (unit.nRows === null && unknownLeft !== undefined)
        rowsLeft = Math.min(rowsLeft, unknownLeft);
      try {
        const unitBatches = openUnit(this.#plan, unit, slabs, {
          ...batchBounds(this.#resolved, this.#options, device),
          reject: rejectModeOf(formatOfUnit(this.#plan, unit.index, this.#output)),
          reserved: reservedNames(this.#output),
          signal: anyOf(this.#drop, this.#stopping.giveUp)!,
        });
        const upcoming = queue.upcoming();
        if (upcoming) await prepareUnit(this.#plan, upcoming, this.#stopping.giveUp);
        const pulled = pulledFrom(this.#plan.files[unit.fileIndex]!.path, unitBatches, this.#place);
        for await (const input of this.#activity.reading(firstRows(pulled, rowsLeft))) {
          throwIfAborted(this.#drop, 'the run');
          this.#stopping.moved();
          if (unknownLeft !== undefined) unknownLeft -= rowsIn(input);
          yield { kind: 'batch', unit: read, input, value: null };
        }
        yield { kind: 'end', unit: read };
      } catch (error) {
        yield { kind: 'failed', unit: read, error };
      }
    }
  }

  /** Writes batches in order; commits a unit at its end, throws it away at its failure. */
  async #write(items: AsyncIterable<LaneItem<ColumnRows>>): Promise<void> {
    let open: { unit: CorpusUnit; writer: UnitWriter; counts: RefineCounts; since: number } | null =
      null;
    let failedRead: CorpusUnit | null = null;
    const begin = async (unit: CorpusUnit) => {
      const input = inputName(this.#plan, unit);
      this.#activity.tell(() => ({ kind: 'unit-begun', unit: unit.index, input }));
      await this.#ledger.beginUnit(unit.index);
      const writer = await openUnitWriter(this.#ledger, this.#plan, unit.index, this.#output);
      return { unit, writer, counts: ZERO_COUNTS, since: performance.now() };
    };
    const settle = async (unit: CorpusUnit, error: unknown) => {
      await open?.writer.abort();
      open = null;
      failedRead = unit;
      this.#inFlight.delete(unit.index);
      // Of an output that cannot be written it fails too; whoever commits the unit throws away what is left.
      await this.#ledger.abandonUnit(unit.index).catch(() => undefined);
      if (this.#isInterrupt(error)) {
        this.#activity.tell(() => ({ kind: 'unit-left', unit: unit.index }));
        this.#tally.interrupted = true;
        return;
      }
      if (!isGristmillError(error, 'RUN_LEASE_LOST') && (await this.#isOthers(unit.index))) {
        await this.#noteOthers(unit.index);
        return;
      }
      const failure = runError(inputName(this.#plan, unit), error);
      this.#activity.tell(() => ({ kind: 'unit-failed', unit: unit.index, ...failure }));
      if (this.#options.failFast || isFatal(error)) throw error;
      this.#place.feed?.onFailed(unit.index, error);
      this.#tally.errors.push(failure);
    };
    const fail = async (unit: CorpusUnit, error: unknown) => {
      try {
        await settle(unit, error);
      } catch (fatal) {
        // Reading is over before this failure is passed on, and it may wait for a unit that nobody has.
        this.#place.feed?.end();
        throw fatal;
      }
    };
    try {
      for await (const item of items) {
        const { unit } = item;
        if (item.kind === 'failed') {
          if (unit !== failedRead) await fail(unit, item.error);
          continue;
        }
        if (unit === failedRead) {
          if (item.kind === 'batch') releaseItem(item.input, item.value);
          continue;
        }
        try {
          open ??= await begin(unit);
          if (item.kind === 'batch') {
            try {
              const { writer } = open;
              const written = await this.#activity.timed('write', () =>
                writer.write(item.input, item.value),
              );
              this.#tellDocuments(unit, item.input, written);
              await this.#place.flushed();
              const rejected = rejectedCounts(item.input.rejected);
              open.counts = addCounts(addCounts(open.counts, written.counts), rejected);
            } finally {
              releaseItem(item.input, item.value);
            }
            this.#place.onWritten();
            this.#tally.rows += rowsIn(item.input);
            this.#tally.tokens += item.value.counts.promptTokens + item.value.counts.newTokens;
            this.#inFlight.set(unit.index, open.counts);
            this.#activity.worked(1, rowsIn(item.input));
          } else {
            const ended = open;
            await this.#activity.timed('commit', () => this.#commit(ended));
            open = null;
          }
          this.#progress(false);
        } catch (error) {
          await fail(unit, error);
        }
      }
    } catch (error) {
      await open?.writer.abort();
      throw error;
    }
  }

  async #commit(open: {
    unit: CorpusUnit;
    writer: UnitWriter;
    counts: RefineCounts;
    since: number;
  }) {
    const { unit, counts } = open;
    const { files, scores } = await open.writer.close();
    // Carried columns are read while they are written, behind the reader's own last look; those of many files are in memory.
    if (unit.nFiles === undefined) await checkUnchanged(this.#plan.files[unit.fileIndex]!);
    const seconds = (performance.now() - open.since) / 1000;
    const record: UnitRecord = {
      unit: unit.index,
      input: inputName(this.#plan, unit),
      counts,
      files,
      ...(scores && { scores }),
      seconds,
      endedAt: Date.now(),
    };
    const isOurs = await this.#ledger.commitUnit(record);
    this.#inFlight.delete(unit.index);
    this.#stopping.moved();
    this.#place.onCommitted();
    if (!isOurs) {
      await this.#noteOthers(unit.index);
      return;
    }
    this.#tally.bytes += unit.bytes;
    this.#tellDone(record, true);
    this.#place.feed?.onCommitted(record, true);
  }

  #tellDone(record: UnitRecord, isOurs: boolean): void {
    this.#activity.tell(() => {
      const { unit, seconds } = record;
      return { kind: 'unit-done', unit, isOurs, seconds, ...workOf(record, this.#plan) };
    });
  }

  /** Whether a unit that failed here is done, as another has won it and thrown the files of this one away. */
  async #isOthers(unit: number): Promise<boolean> {
    try {
      return await this.#ledger.isCommitted(unit);
    } catch {
      return false;
    }
  }

  /** A failure that says no more than that the run was told to stop. */
  #isInterrupt(error: unknown): boolean {
    return this.#options.signal?.aborted === true && isGristmillError(error, 'ABORTED');
  }

  #tellDocuments(unit: CorpusUnit, { batch, rowNumbers }: UnitBatch, rows: ColumnRows): void {
    const { onDocument, documentLimit = Number.POSITIVE_INFINITY } = this.#options;
    if (!onDocument) return;
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const placeOf = placesOf(this.#plan, unit);
    const { id, text } = batch;
    for (const [row, status] of rows.status.entries()) {
      const nTold = this.#nTold.get(status) ?? 0;
      if (nTold >= documentLimit) continue;
      this.#nTold.set(status, nTold + 1);
      onDocument({
        id: id && !isNullAt(id, row) ? decoder.decode(bytesAt(id, row)) : null,
        row: Number(placeOf(rowNumbers[row]!).row),
        status,
        reason: rows.reason[row]!,
        before: () => decoder.decode(bytesAt(text, row)),
        after: () => {
          const left = rows.texts[row];
          return status === 'dropped' || !left ? null : decoder.decode(left);
        },
      });
    }
  }

  #progress(done: boolean): void {
    const { onProgress } = this.#options;
    if (!onProgress) return;
    let { counts } = this.#totals;
    for (const inFlight of this.#inFlight.values()) counts = addCounts(counts, inFlight);
    const seconds = (performance.now() - this.#started) / 1000;
    const { kept, edited, dropped, failed, rowsIn: rows } = counts;
    const { nRows, nBytes } = this.#planned;
    onProgress({
      rows,
      nRows: nRows === null ? null : Math.min(nRows, this.#options.limit ?? nRows),
      rowsResumed: this.#tally.rowsResumed,
      bytes: this.#tally.bytes + this.#tally.bytesResumed,
      nBytes,
      bytesResumed: this.#tally.bytesResumed,
      kept,
      edited,
      dropped,
      failed,
      seconds,
      newTokens: counts.newTokens,
      docsPerSecond: this.#tally.rows / seconds,
      tokensPerSecond: this.#tally.tokens / seconds,
      done,
    });
  }
}

/** Runs a step on the batches of a lane; a step's failure becomes the unit's. */
async function attempt<In, Out>(
  item: LaneItem<In>,
  step: (input: UnitBatch, value: In) => Promise<Out>,
): Promise<LaneItem<Out>> {
  if (item.kind !== 'batch') return item;
  const { unit, input } = item;
  try {
    return { kind: 'batch', unit, input, value: await step(input, item.value) };
  } catch (error) {
    releaseItem(input, null);
    return { kind: 'failed', unit, error };
  }
}

function releaseItem(input: UnitBatch, value: ColumnRows | null): void {
  value?.release();
  input.batch.release();
  input.carry.release();
}

const FATAL: ReadonlySet<string> = new Set<ErrorCode>([
  'RUN_OUTPUT_FAILED',
  'RUN_LEASE_LOST',
  'RUN_CHANGED',
  'RUN_CONSERVATION',
  'CORPUS_WRITE_FAILED',
  // A GPU without room for a step has none for the next unit's either.
  'ENGINE_OUT_OF_MEMORY',
]);

/** Failures that would repeat with every unit: the engine is gone, or the output cannot be written. */
function isFatal(error: unknown): boolean {
  return !isGristmillError(error) || FATAL.has(error.code);
}
