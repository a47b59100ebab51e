/** Column chunks of a unit whose file lies behind an address, fetched before its leaf columns are read. */
import type { FileMetaData } from 'hyparquet';
import { chunkStart } from './parquet-footer.ts';
import { type ByteRange, type StagedFile, stageRanges } from './storage/staged-file.ts';
import { openFile } from './storage/storages.ts';
import type { CorpusUnit } from './types.ts';

/** Where the chunks of some leaves lie in a file. */
export function chunkRanges(
  footer: FileMetaData,
  { rowGroupStart, rowGroupEnd }: Pick<CorpusUnit, 'rowGroupStart' | 'rowGroupEnd'>,
  leaves: readonly number[],
): ByteRange[] {
  return footer.row_groups.slice(rowGroupStart!, rowGroupEnd!).flatMap(({ columns }) =>
    leaves.flatMap((leaf) => {
      const meta = columns[leaf]?.meta_data;
      if (!meta) return [];
      const start = chunkStart(meta);
      return [{ start, end: start + Number(meta.total_compressed_size) }];
    }),
  );
}

/**
 * Fetches the chunks of some leaves of a file behind an address; local files are read where they lie.
 *
 * @throws CORPUS_CHANGED, CORPUS_READ_FAILED, STORAGE_*, ABORTED
 */
export async function stagedChunks(
  path: string,
  footer: FileMetaData,
  unit: CorpusUnit,
  leaves: readonly number[],
  signal?: AbortSignal,
): Promise<StagedFile> {
  return stageRanges(await openFile(path, signal), chunkRanges(footer, unit, leaves), signal);
}
