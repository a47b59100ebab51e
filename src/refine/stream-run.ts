/**
 * A run without a ledger: an Arrow IPC stream to standard output, for pipes. Nothing is resumed; a unit that fails
 * ends the run, because what was written cannot be taken back. Dropped rows are left out of the stream; rows that
 * cannot be rows go to a file of their own, or end the run.
 */
import { keptMetadata } from '../corpus/metadata.ts';
import { planCorpus } from '../corpus/plan.ts';
import { refusedRows } from '../corpus/refused-rows.ts';
import type { ValueProblem } from '../corpus/reject-reasons.ts';
import { openSink } from '../corpus/sink.ts';
import type { CorpusPlan, CorpusUnit, UnitBatch } from '../corpus/types.ts';
import { openUnit } from '../corpus/unit.ts';
import { anyOf, GristmillError, isGristmillError } from '../errors.ts';
import { openCore, openExecution, openSlabs, type ResolvedRefiner } from './core.ts';
import { batchRows, defaultSizes, parseDevices } from './devices.ts';
import { pulledFrom } from './input-waits.ts';
import { BATCH_BYTES, IN_FLIGHT, type RunSettings } from './lanes.ts';
import { firstRows, rejectModeOf, rowsIn } from './limited-rows.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, judgeBatch, withRefused } from './refine-batch.ts';
import { openRejected } from './rejected-output.ts';
import { checkReserved, statusColumns } from './reserved-columns.ts';
import { jsonOptionsOf, type ListedInputs } from './run-options.ts';
import {
  addCounts,
  type RefineCounts,
  type RunOutcome,
  rejectedCounts,
  ZERO_COUNTS,
} from './statistics.ts';
import { Stopping } from './stopping.ts';
import { extraColumns, extraValues, reservedNames } from './unit-writer.ts';

/** Refines `options.inputs` to standard output. */
export async function streamRun(
  options: ListedInputs,
  resolved: ResolvedRefiner,
  { started, drop, place }: RunSettings,
): Promise<RunOutcome> {
  const plan = await planCorpus({
    inputs: options.inputs,
    textColumn: options.textColumn ?? 'text',
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    ...jsonOptionsOf(options, true),
    failFast: true,
    ...(options.signal && { signal: options.signal }),
  });
  const slabs = openSlabs(options);
  const pool = openExecution(resolved, slabs, options.workers);
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const settings = {
    keepOriginal: options.keepOriginal ?? false,
    droppedText: false,
    ...statusColumns(options),
  };
  checkReserved(plan, settings);
  checkOneSchema(plan);
  let counts: RefineCounts = ZERO_COUNTS;
  let interrupted = false;
  let unitsDone = 0;
  using stopping = new Stopping(options.signal);
  place.onOpening();
  const core = await openCore(resolved, options, device, pool).catch(async (error: unknown) => {
    await pool.destroy();
    throw error;
  });
  place.onRunning();
  async function* read(): AsyncGenerator<{ unit: CorpusUnit; input: UnitBatch; file: string }> {
    let rowsLeft = options.limit ?? Number.POSITIVE_INFINITY;
    for (const unit of plan.units) {
      if (rowsLeft <= 0) return;
      const file = plan.files[unit.fileIndex]!.path;
      const batches = openUnit(plan, unit, slabs, {
        aligned: true,
        batchRows: batchRows(options.slots ?? defaultSizes(device).nSlots),
        batchBytes: BATCH_BYTES,
        reject: rejectModeOf('arrow'),
        reserved: reservedNames(settings),
        signal: anyOf(drop, stopping.giveUp)!,
      });
      const pulled = pulledFrom(file, batches, place);
      for await (const input of firstRows(pulled, rowsLeft)) {
        if (options.signal?.aborted) {
          interrupted = true;
          return;
        }
        rowsLeft -= rowsIn(input);
        yield { unit, input, file };
      }
      unitsDone++;
    }
  }
  try {
    const rejected = await openRejected(options.rejected);
    const sink = await openSink({
      format: 'arrow',
      stream: process.stdout,
      columns: plan.columns,
      textColumn: plan.textColumn,
      extra: extraColumns(settings),
      replace: settings.replaceStatus,
      metadata: await keptMetadata(plan, plan.units[0]!),
    });
    try {
      const judged = mapOrdered(read(), IN_FLIGHT, async ({ unit, input, file }) => ({
        input,
        file,
        judged: await stopping.computing(
          judgeBatch(core, input.batch, input.rowStatus, {
            guard: place.guard,
            place: { unit: unit.index, firstRow: input.firstRow },
            signal: drop,
          }),
        ),
      }));
      const executed = mapOrdered(judged, IN_FLIGHT, async ({ input, file, judged }) => ({
        input,
        file,
        rows: await stopping.computing(executeBatch(core, judged, drop)),
      }));
      for await (const { input, file, rows } of executed) {
        await rejected.write(file, input.rejected);
        const staying = Int32Array.from(rows.status.keys()).filter(
          (row) => rows.status[row] !== 'dropped',
        );
        const extra = extraValues(rows, settings);
        const refused = new Map<number, ValueProblem>();
        const { carry } = input;
        const refuse = (row: number, problem: ValueProblem): void => {
          refused.set(row, problem);
        };
        await place.waiting('output', () =>
          sink.write({ text: rows.texts, rows: staying, carry, extra, refuse }),
        );
        place.onWritten();
        await rejected.write(file, await refusedRows(input, plan.textColumn, refused));
        const written = withRefused(rows, refused);
        counts = addCounts(addCounts(counts, written.counts), rejectedCounts(input.rejected));
        rows.release();
        input.batch.release();
        input.carry.release();
      }
      await sink.close();
      await rejected.close();
    } catch (error) {
      await Promise.allSettled([sink.abort(), rejected.abort()]);
      // What was written stays: its end is missing, and the reader is told by it.
      if (options.signal?.aborted && isGristmillError(error, 'ABORTED')) interrupted = true;
      else throw error;
    }
  } finally {
    await core.dispose();
    await pool.destroy();
  }
  const seconds = (performance.now() - started) / 1000;
  return {
    ...counts,
    units: plan.units.length,
    unitsResumed: 0,
    unitsDone,
    unitsFailed: 0,
    seconds,
    docsPerSecond: counts.rowsIn / seconds,
    tokensPerSecond: (counts.promptTokens + counts.newTokens) / seconds,
    interrupted,
    out: '-',
    errors: [],
  };
}

/** A stream has one schema. @throws CORPUS_SCHEMA_MIXED */
function checkOneSchema({ files, schemas }: CorpusPlan): void {
  const [first] = files;
  const family = first && schemas[first.schema]!.family;
  const other = files.find(({ schema }) => schemas[schema]!.family !== family);
  if (!first || !other) return;
  const details = { first: first.path, second: other.path };
  throw new GristmillError('CORPUS_SCHEMA_MIXED', details);
}
