/**
 * A run without a ledger: an Arrow IPC stream to standard output, for pipes. Nothing is resumed; a unit that fails
 * ends the run, because what was written cannot be taken back. Dropped rows are left out of the stream unless they are asked
 * for; rows that cannot be rows go to a file of their own, or end the run.
 *
 * What comes on standard input is answered: each of its record batches by one of the output, of its rows in their order, before
 * more is read. A batch is cut inside, so that its size bounds memory only by its own bytes and those of its answer; who writes
 * a batch and then reads needs no second thread.
 */
import { randomBytes } from 'node:crypto';
import { type ByteViews, NULL_VIEW } from '../batch/byte-views.ts';
import { STDIN } from '../corpus/formats.ts';
import { keptMetadata } from '../corpus/metadata.ts';
import { planCorpus } from '../corpus/plan.ts';
import { refusedRows } from '../corpus/refused-rows.ts';
import type { ValueProblem } from '../corpus/reject-reasons.ts';
import { openAnswerSink, openSink } from '../corpus/sink.ts';
import type { CorpusColumn, CorpusPlan, CorpusUnit, UnitBatch } from '../corpus/types.ts';
import { openUnit } from '../corpus/unit.ts';
import { placesOf, type RowPlace } from '../corpus/unit-files.ts';
import { anyOf, GristmillError, isGristmillError } from '../errors.ts';
import { refuseOption } from '../options.ts';
import { ActivityTeller } from './activity.ts';
import { CommittedTotals } from './committed-totals.ts';
import { batchBounds, openCore, openExecution, openSlabs, type ResolvedRefiner } from './core.ts';
import { parseDevices } from './devices.ts';
import { pulledFrom } from './input-waits.ts';
import { IN_FLIGHT, type RunSettings } from './lanes.ts';
import { firstRows, rejectModeOf, rowsIn } from './limited-rows.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, judgeBatch } from './refine-batch.ts';
import { type ColumnRows, rowsWhere, withRefused } from './refined-rows.ts';
import { openRejected } from './rejected-output.ts';
import { checkReserved, statusColumns } from './reserved-columns.ts';
import { jsonOptionsOf, type ListedInputs } from './run-options.ts';
import { openRunSites, wantsSites } from './run-sites.ts';
import {
  addCounts,
  type RefineCounts,
  type RunOutcome,
  rejectedCounts,
  ZERO_COUNTS,
} from './statistics.ts';
import { Stopping } from './stopping.ts';
import { extraColumns, extraValues, reservedNames } from './unit-writer.ts';

/** Key of the metadata of an answer: the number of the record batch that it is of, from 0. */
const SEQUENCE = 'gristmill.sequence';

/** A batch of a unit on its way. */
interface Piece {
  readonly unit: CorpusUnit;
  readonly input: UnitBatch;
  readonly placeOf: (row: bigint) => RowPlace;
}

/** Refines `options.inputs` to standard output. */
export async function streamRun(
  options: ListedInputs,
  resolved: ResolvedRefiner,
  { started, drop, place }: RunSettings,
): Promise<RunOutcome> {
  const planned = await planCorpus({
    inputs: options.inputs,
    ...(options.textColumn !== undefined && { textColumn: options.textColumn }),
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    ...(options.textPer !== undefined && { textPer: options.textPer }),
    ...jsonOptionsOf(options, true),
    failFast: true,
    ...(options.signal && { signal: options.signal }),
  });
  const known = wantsSites(options) ? await openRunSites(planned, options) : null;
  using _ = known?.sites;
  const plan = known?.plan ?? planned;
  const slabs = openSlabs(options);
  const pool = openExecution(resolved, slabs, options.workers);
  const devices = parseDevices(options.device ?? 'cpu');
  if (devices.length > 1) {
    refuseOption('device', 'one device, as a stream is written in order', options.device);
  }
  const device = devices[0]!;
  const settings = {
    keepOriginal: options.keepOriginal ?? false,
    droppedText: false,
    ...statusColumns(options),
  };
  checkReserved(plan, settings);
  checkOneSchema(plan);
  const isAnswering = plan.files.every(({ path }) => path === STDIN);
  let counts: RefineCounts = ZERO_COUNTS;
  let interrupted = false;
  let unitsDone = 0;
  using stopping = new Stopping(options.signal);
  place.onOpening();
  const core = await openCore(resolved, options, device, pool, {
    sites: known?.sites ?? null,
  }).catch(async (error: unknown) => {
    await pool.destroy();
    throw error;
  });
  place.onRunning();
  const activity = new ActivityTeller(options.onActivity);
  activity.tell(() => ({
    ...{ kind: 'run', run: randomBytes(6).toString('hex'), worker: null, device, out: '-' },
    ...{ units: null, rows: null, bytes: null, committed: new CommittedTotals(plan).work },
  }));
  async function* read(): AsyncGenerator<Piece> {
    let rowsLeft = options.limit ?? Number.POSITIVE_INFINITY;
    for (const unit of plan.units) {
      if (rowsLeft <= 0) return;
      const file = plan.files[unit.fileIndex]!.path;
      const batches = openUnit(plan, unit, slabs, {
        aligned: true,
        ...batchBounds(resolved, options, device),
        reject: rejectModeOf('arrow'),
        reserved: reservedNames(settings),
        signal: anyOf(drop, stopping.giveUp)!,
      });
      const placeOf = placesOf(plan, unit);
      const pulled = pulledFrom(file, batches, place);
      let isInside = false;
      for await (const input of activity.reading(firstRows(pulled, rowsLeft))) {
        // What has begun to be answered is in flight.
        if (options.signal?.aborted && !isInside) {
          interrupted = true;
          return;
        }
        isInside = isAnswering && !input.endsRecordBatch;
        rowsLeft -= rowsIn(input);
        yield { unit, input, placeOf };
      }
      unitsDone++;
    }
  }
  try {
    const rejected = await openRejected(options.rejected);
    const sinkOptions = {
      stream: process.stdout,
      columns: options.keepDropped ? withNullableText(plan) : plan.columns,
      textColumn: plan.textColumn,
      extra: extraColumns(settings),
      replace: settings.replaceStatus,
      metadata: await keptMetadata(plan, plan.units[0]!),
    };
    const answers = isAnswering ? await openAnswerSink(sinkOptions) : null;
    const sink = answers ?? (await openSink({ ...sinkOptions, format: 'arrow' }));
    const write = async ({ input, placeOf }: Piece, rows: ColumnRows): Promise<RefineCounts> => {
      await rejected.write(placeOf, input.rejected);
      const { rows: staying, texts } = writtenTexts(rows, options);
      const extra = extraValues(rows, settings);
      const refused = new Map<number, ValueProblem>();
      const { carry } = input;
      const refuse = (row: number, problem: ValueProblem): void => {
        refused.set(row, problem);
      };
      await activity.timed('write', () =>
        place.waiting('output', () =>
          sink.write({ text: texts, rows: staying, carry, extra, refuse }),
        ),
      );
      place.onWritten();
      await rejected.write(placeOf, await refusedRows(input, plan.textColumn, refused));
      const written = withRefused(rows, refused);
      rows.release();
      input.batch.release();
      input.carry.release();
      const counts = addCounts(written.counts, rejectedCounts(input.rejected));
      activity.worked(1, counts.rowsIn);
      activity.tell(() => ({ kind: 'written', counts }));
      return counts;
    };
    const refined = (pieces: AsyncIterable<Piece>) => {
      const judged = mapOrdered(pieces, IN_FLIGHT, async (piece) => ({
        piece,
        judged: await stopping.computing(
          activity.timed('judge', () =>
            judgeBatch(core, piece.input.batch, piece.input.rowStatus, {
              guard: place.guard,
              place: { unit: piece.unit.index, firstRow: piece.input.firstRow },
              signal: drop,
            }),
          ),
        ),
      }));
      return mapOrdered(judged, IN_FLIGHT, async ({ piece, judged }) => ({
        piece,
        rows: await stopping.computing(
          activity.timed('execute', () => executeBatch(core, judged, drop)),
        ),
      }));
    };
    const pieces = read();
    try {
      place.onStreamed({ kind: 'begin', answers: isAnswering, textColumn: plan.textColumn });
      for (let sequence = 0; ; sequence++) {
        const first = await pieces.next();
        if (first.done) break;
        let own: RefineCounts = ZERO_COUNTS;
        for await (const { piece, rows } of refined(upToEnd(first.value, pieces, isAnswering))) {
          const added = await write(piece, rows);
          own = addCounts(own, added);
          counts = addCounts(counts, added);
        }
        if (!answers) break;
        const metadata = [[SEQUENCE, String(sequence)] as const];
        await place.waiting('output', () => answers.answer(metadata));
        place.onWritten();
        const { rowsIn, kept, edited, dropped, failed } = own;
        place.onStreamed({ kind: 'batch', sequence, rowsIn, kept, edited, dropped, failed });
      }
      await sink.close();
      await rejected.close();
    } catch (error) {
      await pieces.return(undefined);
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

/** Pieces from `first` on; up to the end of its record batch where that is answered. */
async function* upToEnd(
  first: Piece,
  rest: AsyncGenerator<Piece>,
  isAnswering: boolean,
): AsyncGenerator<Piece> {
  yield first;
  let last = first;
  while (!(isAnswering && last.input.endsRecordBatch)) {
    const next = await rest.next();
    if (next.done) return;
    last = next.value;
    yield last;
  }
}

/** Which rows are written, and their texts. */
function writtenTexts(
  { batch, columns }: ColumnRows,
  { keepDropped = false, droppedText = false }: ListedInputs,
): { readonly rows: Int32Array | null; readonly texts: ByteViews } {
  if (!keepDropped) return { rows: rowsWhere(columns, false), texts: columns.text };
  const texts = {
    ...columns.text,
    bufferOf: columns.text.bufferOf.slice(),
    starts: columns.text.starts.slice(),
    sizes: columns.text.sizes.slice(),
  };
  const { offsets } = batch.text;
  for (const row of rowsWhere(columns, true)) {
    // The batch's own text is the first buffer.
    texts.bufferOf[row] = droppedText ? 0 : NULL_VIEW;
    texts.starts[row] = offsets[row]!;
    texts.sizes[row] = offsets[row + 1]! - offsets[row]!;
  }
  return { rows: null, texts };
}

/** The columns when a text may be null: that of a dropped row is. */
function withNullableText({ columns, textColumn }: CorpusPlan): CorpusColumn[] {
  return columns.map((column) => {
    if (column.name !== textColumn) return column;
    const [element, ...rest] = column.elements;
    return {
      ...column,
      elements: [{ ...element!, repetition_type: 'OPTIONAL' as const }, ...rest],
      ...(column.arrow && { arrow: { ...column.arrow, nullable: true } }),
    };
  });
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
