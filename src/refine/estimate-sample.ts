/**
 * A sample of a corpus, refined into nothing: read, judged, executed and written to nowhere, with what it took.
 *
 *     units (all, or some) ──► ranges of 16 rows ──► one of every k, at random ──► held in memory, a round at a time
 *     a round               ──► models ──► execution ──► sinks that count bytes
 *
 * Reading and refining are timed apart: of what is read only a part is refined.
 */
import { Writable } from 'node:stream';
import type { DocumentBatch } from '../batch/document-batch.ts';
import { openSink } from '../corpus/sink.ts';
import type { CorpusPlan, CorpusSink, CorpusUnit, UnitBatch } from '../corpus/types.ts';
import { openUnit, partitionsOf } from '../corpus/unit.ts';
import { throwIfAborted } from '../errors.ts';
import type { NativeTokenizer } from '../native/tokenizer.ts';
import type { Random } from '../seeded.ts';
import { type OpenCore, openCore, openExecution, openSlabs, type ResolvedRefiner } from './core.ts';
import { batchRows, defaultSizes } from './devices.ts';
import { IN_FLIGHT } from './lanes.ts';
import { rejectModeOf, rowsIn } from './limited-rows.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, judgeBatch } from './refine-batch.ts';
import type { ColumnRows } from './refined-rows.ts';
import type { ListedInputs } from './run-options.ts';
import {
  droppedColumns,
  extraColumns,
  extraValues,
  formatOfUnit,
  type OutputSettings,
} from './unit-writer.ts';

/** Rows of a range. */
export const RANGE_ROWS = 16;
/** A round is refined when it has so many ranges, or bytes of text. */
const ROUND_RANGES = 64;
const ROUND_BYTES = 64 * 2 ** 20;
/** Ranges that are refined once before anything is timed: code that has just started is several times slower. */
const WARMING_RANGES = 12;

/** What was measured of a range. */
export interface SampledRange {
  readonly unit: number;
  readonly rows: number;
  readonly staying: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly charsIn: number;
  readonly charsOut: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** From the end of the range before to its own, models and writing included. */
  readonly seconds: number;
}

/** What was measured of a unit that was read. */
export interface SampledUnit {
  readonly unit: number;
  readonly rows: number;
  /** Of text. */
  readonly bytes: number;
  readonly nRanges: number;
  readonly seconds: number;
}

/** See the file's header. */
export interface Sample {
  readonly units: readonly SampledUnit[];
  readonly ranges: readonly SampledRange[];
  /** Loading the models. */
  readonly openingSeconds: number;
  /** Of the sample's output, all files. */
  readonly bytesWritten: number;
}

/** What a sample is drawn from. */
export interface SampleRequest {
  readonly options: ListedInputs;
  readonly resolved: ResolvedRefiner;
  readonly plan: CorpusPlan;
  readonly output: OutputSettings;
  readonly units: readonly CorpusUnit[];
  /** One of so many ranges is refined. */
  readonly stride: number;
  readonly random: Random;
  readonly device: string;
  readonly batchBytes: number;
  readonly tokenizer: NativeTokenizer;
}

interface HeldRange {
  readonly unit: number;
  readonly input: UnitBatch;
}

/** Draws and refines a sample. @throws CORPUS_*, ENGINE_*, ABORTED */
export async function refineSample(request: SampleRequest): Promise<Sample> {
  const { options, resolved, plan, units, device } = request;
  // Ranges that are held would keep slabs from being used again: they get memory of their own then.
  const slabs = openSlabs({ ...options, ownBufferAfterMs: 1 });
  const pool = openExecution(resolved, slabs, options.workers);
  const began = performance.now();
  const core = await openCore(resolved, options, device, pool);
  let openingSeconds = (performance.now() - began) / 1000;
  let isWarm = false;
  const writer = new SampleWriter(request);
  const ranges: SampledRange[] = [];
  const read: SampledUnit[] = [];
  let held: HeldRange[] = [];
  let heldBytes = 0;
  const refineHeld = async (): Promise<void> => {
    const round = held;
    held = [];
    heldBytes = 0;
    if (!isWarm) openingSeconds += await warm(core, round, writer, request);
    isWarm = true;
    ranges.push(...(await refineRound(core, round, writer, request)));
  };
  try {
    // One of every `stride` ranges, counted over all units.
    let nSeen = 0;
    let chosen = 0;
    for (const unit of units) {
      let [rows, bytes, nRanges, spent] = [0, 0, 0, 0];
      let since = performance.now();
      const batches = openUnit(plan, unit, slabs, {
        batchRows: RANGE_ROWS,
        batchBytes: request.batchBytes,
        reject: rejectModeOf(formatOfUnit(plan, unit.index, request.output)),
        ...(options.signal && { signal: options.signal }),
      });
      for await (const input of batches) {
        throwIfAborted(options.signal, 'the estimate');
        const own = textBytes(input.batch);
        rows += rowsIn(input);
        bytes += own;
        const at = nSeen % request.stride;
        if (at === 0) chosen = Math.floor(request.random() * request.stride);
        if (at === chosen) {
          held.push({ unit: unit.index, input });
          heldBytes += own;
        } else {
          input.batch.release();
          input.carry.release();
        }
        nRanges++;
        nSeen++;
        if (held.length >= ROUND_RANGES || heldBytes >= ROUND_BYTES) {
          spent += performance.now() - since;
          await refineHeld();
          since = performance.now();
        }
      }
      spent += performance.now() - since;
      read.push({ unit: unit.index, rows, bytes, nRanges, seconds: spent / 1000 });
      // What is held may be read from its file still.
      if (units.length > 1 && held.length >= ROUND_RANGES / 2) await refineHeld();
    }
    await refineHeld();
    return { units: read, ranges, openingSeconds, bytesWritten: await writer.close() };
  } finally {
    for (const { input } of held) {
      input.batch.release();
      input.carry.release();
    }
    await core.dispose();
    await pool.destroy();
  }
}

/** Refines some ranges that will be refined again, and says in how many seconds. */
async function warm(
  core: OpenCore,
  round: readonly HeldRange[],
  writer: SampleWriter,
  { options }: SampleRequest,
): Promise<number> {
  const since = performance.now();
  for (const { unit, input } of round.slice(0, WARMING_RANGES)) {
    const judged = await judgeBatch(core, input.batch, input.rowStatus, options);
    const rows = await executeBatch(core, judged, options.signal);
    await writer.write(unit, input, rows, true);
    rows.release();
  }
  return (performance.now() - since) / 1000;
}

async function refineRound(
  core: OpenCore,
  round: readonly HeldRange[],
  writer: SampleWriter,
  { options, tokenizer, device }: SampleRequest,
): Promise<SampledRange[]> {
  const source = async function* (): AsyncGenerator<HeldRange> {
    yield* round;
  };
  // As many rows as a run has under way, whose batches are larger.
  const { slots = defaultSizes(device).nSlots } = options;
  const atOnce = Math.ceil((IN_FLIGHT * batchRows(slots)) / RANGE_ROWS);
  const ranges: SampledRange[] = [];
  const judged = mapOrdered(source(), atOnce, async ({ unit, input }) => {
    const { batch, rowStatus } = input;
    return { unit, input, value: await judgeBatch(core, batch, rowStatus, options) };
  });
  const executed = mapOrdered(judged, atOnce, async ({ unit, input, value }) => {
    return { unit, input, rows: await executeBatch(core, value, options.signal) };
  });
  const done: (HeldRange & { readonly rows: ColumnRows; readonly seconds: number })[] = [];
  try {
    let since = performance.now();
    for await (const { unit, input, rows } of executed) {
      await writer.write(unit, input, rows);
      const now = performance.now();
      done.push({ unit, input, rows, seconds: (now - since) / 1000 });
      since = now;
    }
    // Apart from the rest, as it is no part of refining.
    for (const { unit, input, rows, seconds } of done) {
      const tokens = await tokensOf(tokenizer, input.batch, rows);
      const { kept, edited, failed, charsIn, charsOut } = rows.counts;
      ranges.push({
        unit,
        rows: rowsIn(input),
        staying: kept + edited + failed,
        bytesIn: textBytes(input.batch),
        bytesOut: rows.texts.reduce((sum, text, row) => {
          return sum + (rows.status[row] === 'dropped' ? 0 : (text?.byteLength ?? 0));
        }, 0),
        ...{ charsIn, charsOut, ...tokens, seconds },
      });
    }
    return ranges;
  } finally {
    for (const { rows } of done) rows.release();
    for (const { input } of round) {
      input.batch.release();
      input.carry.release();
    }
  }
}

/** Bytes of a batch's texts. */
export function textBytes({ nDocs, text }: DocumentBatch): number {
  return nDocs === 0 ? 0 : text.offsets[nDocs]! - text.offsets[0]!;
}

async function tokensOf(
  tokenizer: NativeTokenizer,
  { nDocs, text }: DocumentBatch,
  { status, texts }: ColumnRows,
): Promise<{ tokensIn: number; tokensOut: number }> {
  const offsets = text.offsets.subarray(0, nDocs + 1);
  const before = await tokenizer.encode({ data: text.data, offsets });
  let tokensOut = 0;
  const edited: Uint8Array[] = [];
  for (let row = 0; row < nDocs; row++) {
    if (status[row] === 'edited') edited.push(texts[row]!);
    else if (status[row] !== 'dropped') tokensOut += before.starts[row + 1]! - before.starts[row]!;
  }
  const starts = new Int32Array(edited.length + 1);
  for (const [at, bytes] of edited.entries()) starts[at + 1] = starts[at]! + bytes.byteLength;
  const data = new Uint8Array(starts[edited.length]!);
  for (const [at, bytes] of edited.entries()) data.set(bytes, starts[at]);
  const after = await tokenizer.encode({ data, offsets: starts });
  return { tokensIn: before.ids.length, tokensOut: tokensOut + after.ids.length };
}

/** Sinks that write to nowhere and count; one for each form that rows have. */
class SampleWriter {
  readonly #request: SampleRequest;
  readonly #sinks = new Map<string, Promise<CorpusSink>>();
  readonly #warmingSinks = new Map<string, Promise<CorpusSink>>();

  constructor(request: SampleRequest) {
    this.#request = request;
  }

  /** @param isWarming whether the rows count for nothing */
  async write(unit: number, input: UnitBatch, rows: ColumnRows, isWarming = false): Promise<void> {
    const { output } = this.#request;
    if (input.batch.nDocs === 0) return;
    const pick = (wanted: boolean): Int32Array =>
      Int32Array.from(rows.status.keys()).filter(
        (row) => (rows.status[row] === 'dropped') === wanted,
      );
    const refuse = (): void => undefined;
    const extra = extraValues(rows, output);
    const staying = await this.#sink(unit, true, isWarming);
    await staying.write({ text: rows.texts, rows: pick(false), carry: input.carry, extra, refuse });
    const prefix = output.statusPrefix ?? '';
    const nothing = rows.status.map(() => null);
    const taken = {
      [`${prefix}id`]: nothing,
      [`${prefix}file`]: nothing,
      [`${prefix}row`]: input.rowNumbers,
      [`${prefix}reason`]: rows.reason,
      [`${prefix}score`]: Array.from(rows.score, (score) => (Number.isNaN(score) ? null : score)),
      [`${prefix}program`]: rows.program,
    };
    const dropped = await this.#sink(unit, false, isWarming);
    const { text } = input.batch;
    await dropped.write({ text, rows: pick(true), carry: null, extra: taken, refuse });
  }

  async close(): Promise<number> {
    let bytes = 0;
    for (const sink of this.#warmingSinks.values()) await (await sink).close();
    for (const sink of this.#sinks.values()) bytes += (await (await sink).close()).bytes;
    return bytes;
  }

  #sink(unit: number, isStaying: boolean, isWarming: boolean): Promise<CorpusSink> {
    const sinks = isWarming ? this.#warmingSinks : this.#sinks;
    const { plan, output } = this.#request;
    const file = plan.files[plan.units[unit]!.fileIndex]!;
    const format = formatOfUnit(plan, unit, output);
    const partitions = partitionsOf(plan, file).map(({ column }) => column);
    const key = JSON.stringify([
      isStaying,
      format,
      file.schema,
      partitions.map(({ name }) => name),
    ]);
    const known = sinks.get(key);
    if (known) return known;
    const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
    const { zstdLevel, rowGroupRows, rowGroupBytes } = output;
    const common = { format, stream, zstdLevel, rowGroupRows, rowGroupBytes };
    const own = [...plan.schemas[file.schema]!.columns, ...partitions];
    const textOnly = own.filter(({ name }) => name === plan.textColumn);
    const sink = isStaying
      ? openSink({
          ...common,
          columns: own,
          textColumn: plan.textColumn,
          extra: extraColumns(output),
          replace: output.replaceStatus,
        })
      : openSink({
          ...common,
          columns: output.droppedText ? textOnly : [],
          textColumn: output.droppedText ? plan.textColumn : null,
          extra: droppedColumns(output),
        });
    sinks.set(key, sink);
    return sink;
  }
}
