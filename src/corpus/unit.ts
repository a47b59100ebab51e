/** Opening a unit of a plan: the format decides who reads, the batches look the same. */
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError, isGristmillError, untilAborted } from '../errors.ts';
import { openArrowUnit } from './arrow-read.ts';
import { alignedTo, withConstants } from './carry.ts';
import { isIdentical } from './column-match.ts';
import { openJsonlUnit } from './jsonl-read.ts';
import { openParquetUnit } from './parquet-read.ts';
import { partitionValue } from './partitions.ts';
import { carriedColumns } from './schema.ts';
import { remoteScheme } from './storage/addresses.ts';
import type {
  CorpusPlan,
  CorpusUnit,
  RejectMode,
  SourceFile,
  TextsAndSites,
  UnitBatch,
} from './types.ts';
import { checkUnchanged } from './unchanged.ts';

/** Options of {@link openUnit}. */
export interface UnitOptions {
  /** Most rows of a batch. Default 2048. */
  readonly batchRows?: number;
  /** Bytes of text of a batch; a longer document is a batch of its own. Default 8 MiB. */
  readonly batchBytes?: number;
  /** Carry the columns of the plan, whatever the unit's file has, in the plan's types. Default: those of the file. */
  readonly aligned?: boolean;
  /**
   * Where the caller has a place for rows that cannot be rows ({@link UnitBatch.rejected}): `lines` rejects what is no
   * row of JSON, `values` also what the plan's columns do not hold exactly, for outputs with typed columns. Default:
   * the first such row ends the unit by an error.
   */
  readonly reject?: RejectMode;
  /** Names that fields of JSON lines must not have, because the caller adds such columns. Default none. */
  readonly reserved?: ReadonlySet<string>;
  readonly signal?: AbortSignal;
}

/** Defaults of {@link UnitOptions}. */
export const BATCH_DEFAULTS = Object.freeze({ batchRows: 2048, batchBytes: 8 * 2 ** 20 });

/**
 * Batches of a unit, in order; their composition is a function of the unit and the options alone. The caller releases
 * each `batch` and its `carry` when nothing will ask for them again.
 *
 * @throws CORPUS_CHANGED when the file is another one than was planned, before its first batch or behind its last
 * @throws CORPUS_CORRUPT, CORPUS_READ_FAILED, CORPUS_LINE_INVALID, CORPUS_VALUE_INVALID, ABORTED
 */
export function openUnit(
  plan: CorpusPlan,
  unit: CorpusUnit,
  pool: SlabPool,
  options: UnitOptions = {},
): AsyncGenerator<UnitBatch> {
  const batch = {
    batchRows: options.batchRows ?? BATCH_DEFAULTS.batchRows,
    batchBytes: options.batchBytes ?? BATCH_DEFAULTS.batchBytes,
    reject: options.reject,
    reserved: options.reserved,
    signal: options.signal,
  };
  for (const name of ['batchRows', 'batchBytes'] as const) {
    if (Number.isSafeInteger(batch[name]) && batch[name] >= 1 && batch[name] < 2 ** 31) continue;
    const expected = 'a whole number in 1..2^31-1';
    throw new GristmillError('OPTION_INVALID', { option: name, expected, received: batch[name] });
  }
  const file = plan.files[unit.fileIndex]!;
  const own = viewOf(plan, file);
  const open = { parquet: openParquetUnit, arrow: openArrowUnit, jsonl: openJsonlUnit };
  const { family } = plan.schemas[file.schema]!;
  const batches = open[family](own, unit, pool, batch);
  const rows = framed(plan, own, file, batches, options.aligned ?? false);
  // Of many files each is looked at when it is read.
  const whole = unit.nFiles === undefined ? guarded(file, rows) : rows;
  return options.signal ? untilStopped(whole, options.signal, releaseBatch) : whole;
}

/**
 * Texts of a unit beside its plan's site column and nothing else of its rows, in order. Lines of JSON that are no rows are
 * passed over; no string is made of any.
 *
 * @throws as {@link openUnit}
 */
export async function* openTextsAndSites(
  plan: CorpusPlan,
  unit: CorpusUnit,
  pool: SlabPool,
  options: UnitOptions & { readonly nThreads: number },
): AsyncGenerator<TextsAndSites> {
  const { batchBytes = BATCH_DEFAULTS.batchBytes, nThreads, signal } = options;
  const file = plan.files[unit.fileIndex]!;
  if (plan.schemas[file.schema]!.family === 'jsonl' && unit.nFiles === undefined) {
    // Runs that count nothing do without it.
    const { openJsonlTexts } = await import('./jsonl-texts.ts');
    const own = viewOf(plan, file);
    const texts = openJsonlTexts(own, unit, { batchBytes, nThreads, signal });
    const whole = guarded(file, texts);
    yield* signal ? untilStopped(whole, signal, () => undefined) : whole;
    return;
  }
  for await (const { batch, rowStatus, carry } of openUnit(plan, unit, pool, {
    ...options,
    reject: 'lines',
  })) {
    try {
      yield { nDocs: batch.nDocs, text: batch.text, site: batch.site, rowStatus };
    } finally {
      batch.release();
      carry.release();
    }
  }
}

/**
 * Begins to fetch a unit that will be opened soon, where it lies behind a network: its reader is not kept waiting then.
 * Does nothing for others.
 */
export async function prepareUnit(
  plan: CorpusPlan,
  unit: CorpusUnit,
  signal?: AbortSignal,
): Promise<void> {
  const file = plan.files[unit.fileIndex]!;
  if (file.format !== 'parquet' || remoteScheme(file.path) === null) return;
  const { fetchAhead } = await import('./staged-chunks.ts');
  fetchAhead(file, unit, viewOf(plan, file).columns, signal);
}

/** The plan as if all of it had the columns of one file. */
function viewOf(plan: CorpusPlan, { schema }: SourceFile): CorpusPlan {
  const { columns } = plan.schemas[schema]!;
  const has = (wanted: string | null | undefined): boolean =>
    columns.some(({ name }) => name === wanted);
  return {
    ...plan,
    columns,
    idColumn: has(plan.idColumn) ? plan.idColumn : null,
    siteColumn: (has(plan.siteColumn) && plan.siteColumn) || null,
  };
}

/** Columns that a file's folders give it, besides those it has itself. */
export function partitionsOf(plan: CorpusPlan, file: SourceFile) {
  const names = new Set(plan.schemas[file.schema]!.columns.map(({ name }) => name));
  return plan.partitions.flatMap((column, at) => {
    if (names.has(column.name)) return [];
    return [{ column, value: partitionValue(column, file.partition[at] ?? null) }];
  });
}

/** Batches with the columns that the caller asked for. */
async function* framed(
  plan: CorpusPlan,
  own: CorpusPlan,
  file: SourceFile,
  batches: AsyncGenerator<UnitBatch>,
  aligned: boolean,
): AsyncGenerator<UnitBatch> {
  const constants = partitionsOf(plan, file);
  const given = [...own.columns, ...constants.map(({ column }) => column)];
  const isAligned =
    given.length === plan.columns.length &&
    given.every((column, at) => isIdentical(column, plan.columns[at]!));
  const wanted = aligned && !isAligned ? carriedColumns(plan.columns, plan.textColumn) : null;
  for await (const input of batches) {
    let { carry } = input;
    if (constants.length > 0) carry = withConstants(carry, constants);
    if (wanted) carry = alignedTo(wanted, carry);
    yield { ...input, carry };
  }
}

/** Makes sure that the file is what was planned, before it is read and when it was. */
async function* guarded<T>(file: SourceFile, batches: AsyncGenerator<T>): AsyncGenerator<T> {
  await checkUnchanged(file, true);
  try {
    yield* batches;
  } catch (error) {
    // What a file that changes looks like to its reader is damage of any kind.
    if (!isGristmillError(error, 'ABORTED')) await checkUnchanged(file);
    throw error;
  }
  await checkUnchanged(file);
}

/** The same batches; the signal ends a read that nothing comes from, as of a FIFO or of standard input. */
async function* untilStopped<T>(
  batches: AsyncGenerator<T>,
  signal: AbortSignal,
  release: (batch: T) => void,
): AsyncGenerator<T> {
  let pulling: Promise<IteratorResult<T>> | null = null;
  try {
    for (;;) {
      pulling = batches.next();
      const pulled = await untilAborted(pulling, signal, 'reading');
      pulling = null;
      if (pulled.done) return;
      yield pulled.value;
    }
  } finally {
    // What is still read is given back when it comes; it may never come.
    const ended = pulling?.then(({ done, value }) => {
      if (!done) release(value);
    });
    const closed = Promise.allSettled([ended, batches.return(undefined)]);
    if (!pulling || !signal.aborted) await closed;
  }
}

function releaseBatch({ batch, carry }: UnitBatch): void {
  batch.release();
  carry.release();
}
