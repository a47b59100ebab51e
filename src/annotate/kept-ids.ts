/** Which documents an expert kept: the ids of `documents.parquet` with the label `keep`. */

import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import { SlabPool } from '../batch/slab-pool.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { planCorpus } from '../corpus/plan.ts';
import { openUnit } from '../corpus/unit.ts';
import { GristmillError } from '../errors.ts';

const SLABS = { slabBytes: 32 * 2 ** 20, nSlabs: 2 };

/**
 * Reads the ids.
 *
 * @param file a corpus file with the columns `id`, `text` and `label`
 * @throws CORPUS_*, ABORTED
 */
export async function readKeptIds(
  file: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const whole = await planCorpus({
    inputs: [file],
    idColumn: 'id',
    failFast: true,
    ...(signal && { signal }),
  });
  if (!whole.columns.some(({ name }) => name === 'label')) {
    throw new GristmillError('CORPUS_COLUMN_MISSING', {
      file,
      column: 'label',
      suggestion: '',
      columns: whole.columns.map(({ name }) => name).join(', '),
    });
  }
  const plan = onlyColumns(whole, new Set([whole.textColumn, 'id', 'label']));
  const slabs = new SlabPool(SLABS);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const kept = new Set<string>();
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, slabs, {
      ...(signal && { signal }),
    })) {
      try {
        const labels = (await carry.select(null).plain()).get('label') ?? [];
        const { id } = batch;
        labels.forEach((label, row) => {
          if (label !== 'keep' || !id || isNullAt(id, row)) return;
          kept.add(decoder.decode(bytesAt(id, row)));
        });
      } finally {
        batch.release();
        carry.release();
      }
    }
  }
  return kept;
}
