/** Which documents an expert kept: the ids of `documents.parquet` with the label `keep`. */

import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { planCorpus } from '../corpus/plan.ts';
import { readRowBatches, requireColumn } from '../corpus/rows.ts';

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
  const options = { inputs: [file], failFast: true, ...(signal && { signal }) };
  const found = await planCorpus(options);
  const prefix = prefixIn(found.columns.map(({ name }) => name));
  const idColumn = `${prefix}id`;
  // The corpus's own choice is the plain name: most files are planned once.
  const whole = found.idColumn === idColumn ? found : await planCorpus({ ...options, idColumn });
  const label = `${prefix}label`;
  requireColumn(whole, label, file);
  const plan = onlyColumns(whole, new Set([whole.textColumn, whole.idColumn, label]));
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const kept = new Set<string>();
  for await (const { batch, columns } of readRowBatches(plan, signal)) {
    const labels = (await columns()).get(label) ?? [];
    const { id } = batch;
    labels.forEach((label, row) => {
      if (label !== 'keep' || !id || isNullAt(id, row)) return;
      kept.add(decoder.decode(bytesAt(id, row)));
    });
  }
  return kept;
}

/** What the names of added columns begin with (`statusPrefix`); they stand behind those of the corpus. */
function prefixIn(names: readonly string[]): string {
  const scores = names.findLast((name) => name.endsWith(SCORE));
  const prefix = scores?.slice(0, -SCORE.length) ?? '';
  return names.includes(`${prefix}label`) ? prefix : '';
}

const SCORE = 'edu_score';
