/**
 * A run: a corpus in, a refined corpus and a ledger out.
 *
 * Per device there is a lane: one stream of batches over the units that are left, in order, through
 * read → engine → execute → write, each step overlapping with the next batch's previous step. Batches never cross a
 * unit and their composition is a function of the unit alone, so the output does not depend on lanes, workers or
 * interruptions. A unit that fails (a corrupt page, say) is thrown away and named; the others go on.
 */
import { SLAB_POOL_DEFAULTS, SlabPool } from '../batch/slab-pool.ts';
import { planCorpus } from '../corpus/plan.ts';
import { openUnit } from '../corpus/read.ts';
import type { CorpusPlan, CorpusUnit, SinkFormat, UnitBatch } from '../corpus/types.ts';
import { type ErrorCode, GristmillError, isGristmillError } from '../errors.ts';
import { llamaCppVersion, version } from '../version.ts';
import {
  type OpenCore,
  openCore,
  openExecution,
  type RefineOptions,
  type ResolvedRefiner,
  resolveRefiner,
} from './core.ts';
import { defaultSizes, parseDevices } from './devices.ts';
import { isEngineGone } from './engine.ts';
import { type Ledger, openLedger, type UnitRecord } from './ledger.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, type JudgedBatch, judgeBatch, type RefinedRows } from './refine-batch.ts';
import type { RunIdentity } from './run-identity.ts';
import { addCounts, type RefineCounts, type RunSummary, ZERO_COUNTS } from './statistics.ts';
import { streamRun } from './stream-run.ts';
import { type OutputSettings, openUnitWriter, type UnitWriter } from './unit-writer.ts';

/** Options of {@link refineCorpus}. */
export interface RefineCorpusOptions extends RefineOptions {
  /** Files, folders and globs; `-` is an Arrow IPC stream on standard input. */
  readonly inputs: readonly string[];
  /** Output folder; `-` writes an Arrow IPC stream to standard output, without a ledger. */
  readonly out: string;
  /** Column with the text; default `text`. */
  readonly textColumn?: string;
  /** Column that names documents in dropped/. */
  readonly idColumn?: string;
  /** Add `gristmill_original`, the text as it came; default false. */
  readonly keepOriginal?: boolean;
  /** Keep the texts of dropped documents in dropped/; default false. */
  readonly droppedText?: boolean;
  /** Default: `jsonl.zst` when every input is JSONL, else `parquet`. */
  readonly format?: 'parquet' | 'jsonl.zst';
  /** Rows of an output row group; default 10,000. */
  readonly rowGroupRows?: number;
  /** Bytes of text of an output row group; default 64 MB. */
  readonly rowGroupBytes?: number;
  /** Compression of the output, 1..19; default 3. */
  readonly zstdLevel?: number;
  /** Stop after this many rows, in the order of the plan. */
  readonly limit?: number;
  /** Stop at the first bad file or unit; default false. */
  readonly failFast?: boolean;
  /** Keep each engine in a process of its own, restarted when it dies; default true. */
  readonly isolate?: boolean;
  /** Bytes of one shared-memory slab, and their number per lane; default 64 MiB, 3. */
  readonly slabBytes?: number;
  readonly nSlabs?: number;
  /** Return after planning: the summary then counts nothing. */
  readonly planOnly?: boolean;
  /** Aborted: units in flight are finished, then the run returns with `interrupted`. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RefineProgress) => void;
  /** One line that a person should see: random models, restarts, the plan. */
  readonly onNotice?: (line: string) => void;
}

/** How far a run is. */
export interface RefineProgress {
  readonly rows: number;
  /** Rows of the plan, where all formats tell. */
  readonly nRows: number | null;
  readonly rowsResumed: number;
  readonly bytes: number;
  readonly nBytes: number;
  readonly bytesResumed: number;
  readonly kept: number;
  readonly edited: number;
  readonly dropped: number;
  readonly failed: number;
  readonly seconds: number;
  readonly docsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly done: boolean;
}

/** Defaults of {@link RefineCorpusOptions} that are part of a run's identity. */
export const REFINE_DEFAULTS = Object.freeze({
  textColumn: 'text',
  keepOriginal: false,
  droppedText: false,
  zstdLevel: 3,
  rowGroupRows: 10_000,
  rowGroupBytes: 64_000_000,
});

/** Documents of one batch: enough to fill 256 slots four times, little enough that three batches fit the slabs. */
const BATCH_ROWS = 1024;
const BATCH_BYTES = 8 * 2 ** 20;
/** Batches that the engine, and the executors, have under way at a time: one is computed, one waits. */
const IN_FLIGHT = 2;

/**
 * Refines a corpus. Running it again on the same output folder resumes.
 *
 * @throws OPTION_INVALID, CORPUS_*, ENGINE_*, PROFILE_*, RUN_*
 * @see ProX, arXiv 2409.17115 §2
 */
export async function refineCorpus(options: RefineCorpusOptions): Promise<RunSummary> {
  const notice = options.onNotice ?? (() => undefined);
  const started = performance.now();
  const resolved = await resolveRefiner(options);
  for (const stage of ['document', 'chunk'] as const) {
    const random = resolved[stage]?.model.random;
    if (random) {
      notice(`${stage} model "${random}": random weights, its verdicts mean nothing`);
    }
  }
  if (options.out === '-') return streamRun(options, resolved, started);
  const plan = await planCorpus({
    inputs: options.inputs,
    textColumn: options.textColumn ?? REFINE_DEFAULTS.textColumn,
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    failFast: options.failFast ?? false,
  });
  notice(describePlan(plan));
  const output = outputSettings(options, plan);
  if (options.planOnly) return summarise([], plan, options.out, started, emptyTally());
  const ledger = openLedger(options.out, identityOf(options, resolved, plan, output));
  try {
    return await new Run(options, resolved, plan, output, ledger, started).execute();
  } finally {
    ledger.close();
  }
}

/** One line about a plan. */
export function describePlan(plan: CorpusPlan): string {
  const bytes = plan.units.reduce((sum, unit) => sum + unit.bytes, 0);
  const rows = totalRows(plan.units);
  const parts = [
    `${plan.files.length} files`,
    `${plan.units.length} units`,
    rows === null ? null : `${rows.toLocaleString('en')} rows`,
    `${(bytes / 1e6).toFixed(1)} MB`,
    plan.failedFiles.length > 0 ? `${plan.failedFiles.length} files cannot be read` : null,
  ];
  return `plan: ${parts.filter((part) => part !== null).join(', ')}`;
}

function outputSettings(options: RefineCorpusOptions, plan: CorpusPlan): OutputSettings {
  const jsonl = plan.files.length > 0 && plan.files.every((f) => f.format.startsWith('jsonl'));
  const format: SinkFormat = options.format ?? (jsonl ? 'jsonl.zst' : 'parquet');
  const chosen = { ...REFINE_DEFAULTS, ...options };
  const { keepOriginal, droppedText, zstdLevel, rowGroupRows, rowGroupBytes } = chosen;
  for (const [option, value, least, most] of [
    ['zstdLevel', zstdLevel, 1, 19],
    ['rowGroupRows', rowGroupRows, 1, 2 ** 31],
    ['rowGroupBytes', rowGroupBytes, 1, 2 ** 31],
    ['limit', options.limit ?? 0, 0, Number.MAX_SAFE_INTEGER],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      const expected = `a whole number in ${least}..${most}`;
      throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
    }
  }
  return { format, keepOriginal, droppedText, zstdLevel, rowGroupRows, rowGroupBytes };
}

function identityOf(
  options: RefineCorpusOptions,
  resolved: ResolvedRefiner,
  plan: CorpusPlan,
  output: OutputSettings,
): RunIdentity {
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const model = (stage: 'document' | 'chunk') => {
    const found = resolved[stage]?.model;
    return found ? { path: found.path, bytes: found.bytes, sha256: found.sha256 } : null;
  };
  return {
    format: 1,
    versions: { gristmill: version, llamaCpp: llamaCppVersion },
    options: {
      ...resolved.options,
      ...output,
      dialect: resolved.dialect,
      textColumn: plan.textColumn,
      idColumn: plan.idColumn,
      documentProfile: resolved.document?.profile ?? null,
      chunkProfile: resolved.chunk?.profile ?? null,
      limit: options.limit ?? null,
      deviceKind: device === 'cpu' ? 'cpu' : 'cuda',
      slots: options.slots ?? defaultSizes(device).nSlots,
    },
    models: { document: model('document'), chunk: model('chunk') },
    inputs: plan.files.map(({ path, bytes, fingerprint }) => ({ path, bytes, fingerprint })),
    units: plan.units.length,
  };
}

/** A unit that will be refined, with the rows that a limit leaves of it. */
interface LimitedUnit {
  readonly unit: CorpusUnit;
  readonly maxRows: number;
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

interface RunError {
  readonly input: string;
  readonly code: string;
  readonly message: string;
}

/** Mutable tally of a run: what this command did itself. */
interface Tally {
  rows: number;
  tokens: number;
  bytes: number;
  unitsResumed: number;
  bytesResumed: number;
  rowsResumed: number;
  readonly errors: RunError[];
  interrupted: boolean;
}

function emptyTally(): Tally {
  return {
    rows: 0,
    tokens: 0,
    bytes: 0,
    unitsResumed: 0,
    bytesResumed: 0,
    rowsResumed: 0,
    errors: [],
    interrupted: false,
  };
}

class Run {
  readonly #options: RefineCorpusOptions;
  readonly #resolved: ResolvedRefiner;
  readonly #plan: CorpusPlan;
  readonly #output: OutputSettings;
  readonly #ledger: Ledger;
  readonly #started: number;
  readonly #tally = emptyTally();
  /** Counts of units in flight, for progress only. */
  readonly #inFlight = new Map<number, RefineCounts>();

  constructor(
    options: RefineCorpusOptions,
    resolved: ResolvedRefiner,
    plan: CorpusPlan,
    output: OutputSettings,
    ledger: Ledger,
    started: number,
  ) {
    this.#options = options;
    this.#resolved = resolved;
    this.#plan = plan;
    this.#output = output;
    this.#ledger = ledger;
    this.#started = started;
  }

  async execute(): Promise<RunSummary> {
    for (const record of this.#ledger.committed.values()) {
      this.#tally.unitsResumed++;
      this.#tally.rowsResumed += record.counts.rowsIn;
      this.#tally.bytesResumed += this.#plan.units[record.unit]?.bytes ?? 0;
    }
    for (const { path, code, message } of this.#plan.failedFiles) {
      this.#tally.errors.push({ input: path, code, message });
    }
    const left = this.#unitsLeft();
    if (left.length > 0) await this.#runLanes(left);
    this.#progress(true);
    const { out } = this.#options;
    const records = [...this.#ledger.committed.values()];
    return summarise(records, this.#plan, out, this.#started, this.#tally);
  }

  /** Units not yet committed, cut to the limit. */
  #unitsLeft(): LimitedUnit[] {
    const { limit } = this.#options;
    if (limit === undefined) {
      return this.#plan.units
        .filter((unit) => !this.#ledger.committed.has(unit.index))
        .map((unit) => ({ unit, maxRows: Number.POSITIVE_INFINITY }));
    }
    const left: LimitedUnit[] = [];
    let rows = limit;
    for (const unit of this.#plan.units) {
      if (rows <= 0) break;
      const record = this.#ledger.committed.get(unit.index);
      if (!record) left.push({ unit, maxRows: rows });
      rows -= record?.counts.rowsIn ?? unit.nRows ?? 0;
    }
    return left;
  }

  async #runLanes(left: LimitedUnit[]): Promise<void> {
    const options = this.#options;
    const devices = parseDevices(options.device ?? 'cpu');
    // Where a format does not tell its rows, a limit is only known unit by unit: one lane then.
    const countsAhead =
      options.limit === undefined || left.every(({ unit }) => unit.nRows !== null);
    const lanes = devices.slice(
      0,
      countsAhead ? Math.max(1, Math.min(devices.length, left.length)) : 1,
    );
    const queue = left[Symbol.iterator]();
    const failures = await Promise.allSettled(lanes.map((device) => this.#runLane(device, queue)));
    for (const failure of failures) if (failure.status === 'rejected') throw failure.reason;
  }

  async #runLane(device: string, queue: Iterator<LimitedUnit>): Promise<void> {
    const { slabBytes, nSlabs, workers, onNotice } = this.#options;
    const slabs = new SlabPool({
      slabBytes: slabBytes ?? SLAB_POOL_DEFAULTS.slabBytes,
      nSlabs: nSlabs ?? SLAB_POOL_DEFAULTS.nSlabs,
    });
    const pool = openExecution(this.#resolved, slabs, workers);
    let core: OpenCore | undefined;
    try {
      const opened = await openCore(
        this.#resolved,
        this.#options,
        device,
        pool,
        this.#options.isolate ?? true,
        (exit) => onNotice?.(`the engine on ${device} died (${exit}) and was started again`),
      );
      core = opened;
      const batches = this.#read(queue, slabs);
      const judged = mapOrdered(batches, IN_FLIGHT, (item) =>
        attempt(item, (input) => judgeBatch(opened, input.batch, input.rowStatus)),
      );
      const executed = mapOrdered(judged, IN_FLIGHT, (item) =>
        attempt(item, (_, value: JudgedBatch) => executeBatch(opened, value)),
      );
      await this.#write(executed);
    } finally {
      await core?.dispose();
      await pool.destroy();
    }
  }

  /** Batches of the units in the queue; asks for the next unit only when the last one is read. */
  async *#read(queue: Iterator<LimitedUnit>, slabs: SlabPool): AsyncGenerator<LaneItem<null>> {
    let unknownLeft = this.#options.limit;
    for (let next = queue.next(); !next.done; next = queue.next()) {
      if (this.#options.signal?.aborted) {
        this.#tally.interrupted = true;
        return;
      }
      const { unit } = next.value;
      // Rows of earlier units that did not tell their number count against the limit as they are read.
      let rowsLeft = next.value.maxRows;
      if (unit.nRows === null && unknownLeft !== undefined)
        rowsLeft = Math.min(rowsLeft, unknownLeft);
      try {
        const unitBatches = openUnit(this.#plan, unit, slabs, {
          batchRows: BATCH_ROWS,
          batchBytes: BATCH_BYTES,
          ...(Number.isFinite(rowsLeft) && { maxRows: rowsLeft }),
        });
        for await (const input of unitBatches) {
          if (unknownLeft !== undefined) unknownLeft -= input.batch.nDocs;
          yield { kind: 'batch', unit, input, value: null };
        }
        yield { kind: 'end', unit };
      } catch (error) {
        yield { kind: 'failed', unit, error };
      }
    }
  }

  /** Writes batches in order; commits a unit at its end, throws it away at its failure. */
  async #write(items: AsyncIterable<LaneItem<RefinedRows>>): Promise<void> {
    let open: { unit: CorpusUnit; writer: UnitWriter; counts: RefineCounts; since: number } | null =
      null;
    let failedUnit = -1;
    const begin = async (unit: CorpusUnit) => {
      this.#ledger.beginUnit(unit.index);
      const writer = await openUnitWriter(this.#options.out, this.#plan, unit.index, this.#output);
      return { unit, writer, counts: ZERO_COUNTS, since: performance.now() };
    };
    const fail = async (unit: CorpusUnit, error: unknown) => {
      await open?.writer.abort();
      open = null;
      failedUnit = unit.index;
      this.#inFlight.delete(unit.index);
      this.#ledger.abandonUnit(unit.index);
      if (this.#options.failFast || isFatal(error)) throw error;
      this.#tally.errors.push(runError(this.#nameOf(unit), error));
    };
    try {
      for await (const item of items) {
        const { unit } = item;
        if (item.kind === 'failed') {
          if (unit.index !== failedUnit) await fail(unit, item.error);
          continue;
        }
        if (unit.index === failedUnit) {
          if (item.kind === 'batch') releaseItem(item.input, item.value);
          continue;
        }
        try {
          open ??= await begin(unit);
          if (item.kind === 'batch') {
            try {
              await open.writer.write(item.input, item.value);
              open.counts = addCounts(open.counts, item.value.counts);
            } finally {
              releaseItem(item.input, item.value);
            }
            this.#tally.rows += item.value.counts.rowsIn;
            this.#tally.tokens += item.value.counts.promptTokens + item.value.counts.newTokens;
            this.#inFlight.set(unit.index, open.counts);
          } else {
            await this.#commit(open);
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
    const files = await open.writer.close();
    const seconds = (performance.now() - open.since) / 1000;
    this.#ledger.commitUnit({
      unit: unit.index,
      input: this.#nameOf(unit),
      counts,
      files,
      seconds,
    });
    this.#tally.bytes += unit.bytes;
    this.#inFlight.delete(unit.index);
  }

  #nameOf(unit: CorpusUnit): string {
    const path = this.#plan.files[unit.fileIndex]?.path ?? '?';
    if (unit.rowGroupStart !== null)
      return `${path}[row groups ${unit.rowGroupStart}..${unit.rowGroupEnd! - 1}]`;
    if (unit.byteStart !== null) return `${path}[bytes ${unit.byteStart}..${unit.byteEnd}]`;
    return path;
  }

  #progress(done: boolean): void {
    const { onProgress } = this.#options;
    if (!onProgress) return;
    let counts = ZERO_COUNTS;
    for (const record of this.#ledger.committed.values()) counts = addCounts(counts, record.counts);
    for (const inFlight of this.#inFlight.values()) counts = addCounts(counts, inFlight);
    const seconds = (performance.now() - this.#started) / 1000;
    const { kept, edited, dropped, failed, rowsIn: rows } = counts;
    const nRows = totalRows(this.#plan.units);
    onProgress({
      rows,
      nRows: nRows === null ? null : Math.min(nRows, this.#options.limit ?? nRows),
      rowsResumed: this.#tally.rowsResumed,
      bytes: this.#tally.bytes + this.#tally.bytesResumed,
      nBytes: this.#plan.units.reduce((sum, unit) => sum + unit.bytes, 0),
      bytesResumed: this.#tally.bytesResumed,
      kept,
      edited,
      dropped,
      failed,
      seconds,
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

function releaseItem(input: UnitBatch, value: RefinedRows | null): void {
  value?.release();
  input.batch.release();
  input.carry.release();
}

/** Failures that would repeat with every unit: the engine is gone, or the output cannot be written. */
function isFatal(error: unknown): boolean {
  return (
    !isGristmillError(error) ||
    isEngineGone(error) ||
    ['RUN_OUTPUT_FAILED', 'RUN_CONSERVATION', 'CORPUS_WRITE_FAILED'].includes(error.code)
  );
}

function runError(input: string, error: unknown): RunError {
  const code: ErrorCode | 'UNEXPECTED' = isGristmillError(error) ? error.code : 'UNEXPECTED';
  return { input, code, message: error instanceof Error ? error.message : String(error) };
}

function totalRows(units: readonly CorpusUnit[]): number | null {
  return units.reduce<number | null>(
    (sum, unit) => (sum === null || unit.nRows === null ? null : sum + unit.nRows),
    0,
  );
}

function summarise(
  records: readonly UnitRecord[],
  plan: CorpusPlan,
  out: string,
  started: number,
  tally: Tally,
): RunSummary {
  const counts = records.reduce<RefineCounts>((sum, r) => addCounts(sum, r.counts), ZERO_COUNTS);
  const seconds = (performance.now() - started) / 1000;
  return {
    ...counts,
    units: plan.units.length,
    unitsResumed: tally.unitsResumed,
    unitsFailed: tally.errors.length - plan.failedFiles.length,
    seconds,
    docsPerSecond: tally.rows / seconds,
    tokensPerSecond: tally.tokens / seconds,
    interrupted: tally.interrupted,
    out,
    errors: tally.errors,
  };
}
