/** Column chunks of a unit whose file lies behind an address, fetched before its leaf columns are read. */
import type { FileMetaData } from 'hyparquet';
import { readFooter } from './parquet-file.ts';
import { chunkStart } from './parquet-footer.ts';
import { columnsOf, leavesOf } from './schema.ts';
import { type ByteRange, type StagedFile, stageRanges } from './storage/staged-file.ts';
import { openFile } from './storage/storages.ts';
import type { CorpusColumn, CorpusUnit, SourceFile } from './types.ts';

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

/** Positions of the leaves of some columns. */
function leavesIn(footer: FileMetaData, names: ReadonlySet<string>): number[] {
  let leafStart = 0;
  return columnsOf(footer.schema).flatMap((column) => {
    const leaves = leavesOf(column, leafStart);
    leafStart += leaves.length;
    return names.has(column.name) ? leaves.map(({ index }) => index) : [];
  });
}

/** Units whose chunks are fetched before anybody has opened them. */
const ahead = new Map<string, Promise<StagedFile>>();
/** One for each of some lanes; what is never opened goes when others come. */
const MAX_AHEAD = 4;

function keyOf({ path, fingerprint }: SourceFile, unit: CorpusUnit): string {
  return `${path}\n${fingerprint}\n${unit.index}`;
}

/** Begins to fetch what a unit will be opened with; its failure is told when it is opened. */
export function fetchAhead(
  file: SourceFile,
  unit: CorpusUnit,
  wanted: readonly CorpusColumn[],
  signal?: AbortSignal,
): void {
  const key = keyOf(file, unit);
  if (ahead.has(key)) return;
  const fetching = (async () => {
    const footer = await readFooter(file.path, file.fingerprint);
    const leaves = leavesIn(footer, new Set(wanted.map(({ name }) => name)));
    return stagedChunks(file.path, footer, unit, leaves, signal);
  })();
  fetching.catch(() => undefined);
  ahead.set(key, fetching);
  for (const [other, staged] of ahead) {
    if (ahead.size <= MAX_AHEAD) break;
    ahead.delete(other);
    staged.then((each) => each.release()).catch(() => undefined);
  }
}

/** What was fetched of a unit by {@link fetchAhead}, to be released by the caller; null where nothing was, or it failed. */
export async function takeAhead(file: SourceFile, unit: CorpusUnit): Promise<StagedFile | null> {
  const key = keyOf(file, unit);
  const fetching = ahead.get(key);
  ahead.delete(key);
  return (await fetching?.catch(() => null)) ?? null;
}

/**
 * Fetches the chunks of some leaves of a file behind an address; local files are read where they lie.
 *
 * @throws CORPUS_CHANGED, CORPUS_READ_FAILED, STORAGE_*, ABORTED
 */
export async function stagedChunks(
  path: string,
  footer: FileMetaData,
  unit: Pick<CorpusUnit, 'rowGroupStart' | 'rowGroupEnd'>,
  leaves: readonly number[],
  signal?: AbortSignal,
): Promise<StagedFile> {
  return stageRanges(await openFile(path, signal), chunkRanges(footer, unit, leaves), signal);
}
