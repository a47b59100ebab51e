/** Opening a unit of a plan: the format decides who reads, the batches look the same. */
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import { openArrowUnit } from './arrow-read.ts';
import { openJsonlUnit } from './jsonl-read.ts';
import { openParquetUnit } from './parquet-read.ts';
import type { CorpusPlan, CorpusUnit, UnitBatch } from './types.ts';

/** Options of {@link openUnit}. */
export interface UnitOptions {
  /** Most rows of a batch. Default 2048. */
  readonly batchRows?: number;
  /** Bytes of text of a batch; a longer document is a batch of its own. Default 8 MiB. */
  readonly batchBytes?: number;
  readonly signal?: AbortSignal;
}

/** Defaults of {@link UnitOptions}. */
export const BATCH_DEFAULTS = Object.freeze({ batchRows: 2048, batchBytes: 8 * 2 ** 20 });

/**
 * Batches of a unit, in order; their composition is a function of the unit and the options alone. The caller releases
 * each `batch` and its `carry` when nothing will ask for them again.
 *
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
    signal: options.signal,
  };
  for (const name of ['batchRows', 'batchBytes'] as const) {
    if (Number.isSafeInteger(batch[name]) && batch[name] >= 1 && batch[name] < 2 ** 31) continue;
    const expected = 'a whole number in 1..2^31-1';
    throw new GristmillError('OPTION_INVALID', { option: name, expected, received: batch[name] });
  }
  const format = plan.files[unit.fileIndex]!.format;
  if (format === 'parquet') return openParquetUnit(plan, unit, pool, batch);
  if (format === 'arrow') return openArrowUnit(plan, unit, pool, batch);
  return openJsonlUnit(plan, unit, pool, batch);
}
