/**
 * What a file says of itself beside its columns: key-value metadata of other programs (`huggingface`, `pandas`, `geo` …),
 * which goes along to what is made of the file.
 */
import { ARROW_SCHEMA_KEY } from './arrow-fields.ts';
import { arrowMetadata } from './arrow-read.ts';
import { readFooter } from './parquet-file.ts';
import type { CorpusPlan, CorpusUnit, KeyValues } from './types.ts';

/**
 * Metadata that the output of a unit keeps of its file. Arrow's copy of a schema is not among it: sinks write one of
 * their own columns.
 *
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function keptMetadata(plan: CorpusPlan, unit: CorpusUnit): Promise<KeyValues> {
  const file = plan.files[unit.fileIndex]!;
  if (file.format === 'arrow') return arrowMetadata(file.path);
  if (file.format !== 'parquet') return [];
  const { key_value_metadata: found = [] } = await readFooter(file.path, file.fingerprint);
  return found.flatMap(({ key, value }) =>
    key === ARROW_SCHEMA_KEY ? [] : [[key, value] as const],
  );
}
