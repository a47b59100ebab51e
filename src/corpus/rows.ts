/**
 * The rows of a plan for what learns from them or counts them: batches in order, other columns as plain values.
 *
 * A batch and its columns are released when the next one is asked for, or when nobody goes on asking.
 */
import type { DocumentBatch } from '../batch/document-batch.ts';
import { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import type { OnProgress } from '../progress.ts';
import { readingCount } from './read-progress.ts';
import { isStringElement } from './schema.ts';
import type { CarriedColumns, CorpusPlan, PlainValue } from './types.ts';
import { openUnit } from './unit.ts';

/** A batch of rows; its memory is valid until the next one is asked for. */
export interface RowBatch {
  readonly batch: DocumentBatch;
  /** `Uint8Array[nDocs]`: ROW_OK, ROW_NULL or ROW_INVALID_UTF8. */
  readonly rowStatus: Uint8Array;
  /** The other columns of the plan by name (the first of a name that repeats); all texts are strings. */
  columns(): Promise<ReadonlyMap<string, readonly PlainValue[]>>;
}

const SLABS = { slabBytes: 32 * 2 ** 20, nSlabs: 2 };

/** Reads the rows of a plan in order. @throws CORPUS_*, ABORTED */
export async function* readRowBatches(
  plan: CorpusPlan,
  signal?: AbortSignal,
  onProgress?: OnProgress,
): AsyncGenerator<RowBatch> {
  const slabs = new SlabPool(SLABS);
  const count = readingCount(plan, onProgress);
  for (const unit of plan.units) {
    const options = { aligned: true, ...(signal && { signal }) };
    for await (const { batch, carry, rowStatus } of openUnit(plan, unit, slabs, options)) {
      const textBytes = batch.text.offsets.at(-1)!;
      try {
        yield { batch, rowStatus, columns: () => columnsByName(carry) };
      } finally {
        batch.release();
        carry.release();
      }
      count.batch(rowStatus.length, textBytes);
    }
    count.unit(unit);
  }
}

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

/** What learns from rows reads text as text: bytes that are no UTF-8 become U+FFFD. */
async function columnsByName(
  carry: CarriedColumns,
): Promise<ReadonlyMap<string, readonly PlainValue[]>> {
  const values = await carry.select(null).plain();
  const byName = new Map<string, readonly PlainValue[]>();
  for (const [at, column] of carry.columns.entries()) {
    if (byName.has(column.name)) continue;
    const isText = column.elements.length === 1 && isStringElement(column.elements[0]!);
    const asText = (value: PlainValue): PlainValue =>
      value instanceof Uint8Array ? lossy.decode(value) : value;
    byName.set(column.name, isText ? values[at]!.map(asText) : values[at]!);
  }
  return byName;
}

/**
 * Refuses a plan without a column.
 *
 * @param file named in the error
 * @throws CORPUS_COLUMN_MISSING
 */
export function requireColumn({ columns }: CorpusPlan, column: string, file: string): void {
  const known = columns.map(({ name }) => name);
  if (known.includes(column)) return;
  throw new GristmillError('CORPUS_COLUMN_MISSING', {
    file,
    column,
    suggestion: '',
    columns: known.join(', '),
  });
}
