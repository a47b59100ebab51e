/**
 * What a file says of itself beside its columns: key-value metadata of other programs (`huggingface`, `pandas`, `geo` …),
 * which goes along to what is made of the file.
 */
import { readFooter } from './parquet-file.ts';
import type { CorpusPlan, CorpusUnit } from './types.ts';

/** Metadata in the order of the file; keys may repeat, values may be missing. */
export type KeyValues = readonly (readonly [key: string, value: string | undefined])[];

/**
 * Arrow's own copy of the schema names the columns one by one: with ours beside them it would be false, and readers
 * trust it.
 */
const OF_ALL_COLUMNS = new Set(['ARROW:schema']);

/** Metadata that the output of a unit keeps of its file. @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID */
export async function keptMetadata(plan: CorpusPlan, unit: CorpusUnit): Promise<KeyValues> {
  const file = plan.files[unit.fileIndex]!;
  if (file.format !== 'parquet') return [];
  const { key_value_metadata: found = [] } = await readFooter(file.path, file.fingerprint);
  return found.flatMap(({ key, value }) =>
    OF_ALL_COLUMNS.has(key) ? [] : [[key, value] as const],
  );
}
