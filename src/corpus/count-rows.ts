/**
 * How many rows there are to read, for who says how far it is: those of Parquet and of texts are known, lines are counted.
 * Counting reads a file once more, which is little beside what is asked about each of its rows.
 */
import { readLines } from './byte-lines.ts';
import { formatOf } from './formats.ts';
import { remoteScheme } from './storage/addresses.ts';
import type { CorpusFormat, CorpusPlan } from './types.ts';

/** Options of {@link countRows}. */
export interface CountRowsOptions {
  /** No more are counted. Default: all. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Of lines no more is held. */
const COUNTED_LINE_BYTES = 1 << 16;

/**
 * Rows of a plan, at most `limit`; null where only reading tells (Arrow), and for lines behind a network.
 *
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID, ABORTED
 */
export async function countRows(
  plan: CorpusPlan,
  { limit = Number.POSITIVE_INFINITY, signal }: CountRowsOptions = {},
): Promise<number | null> {
  let nRows = 0;
  for (const { fileIndex, byteStart, byteEnd, nRows: known } of plan.units) {
    if (nRows >= limit) break;
    const { path, format, schema } = plan.files[fileIndex]!;
    if (known === null && plan.schemas[schema]!.family !== 'jsonl') return null;
    const of = { path, format, byteStart, byteEnd, zstdWindowLog: plan.zstdWindowLog, signal };
    const own = known ?? (await countLines(of, limit - nRows));
    if (own === null) return null;
    nRows += own;
  }
  return Math.min(nRows, limit);
}

/** Rows of files of JSON lines, at most `limit`; null where one is no such file, or lies behind a network. @throws as {@link countRows} */
export async function countJsonLines(
  paths: readonly string[],
  { limit = Number.POSITIVE_INFINITY, signal }: CountRowsOptions = {},
): Promise<number | null> {
  let nRows = 0;
  for (const path of paths) {
    const format = formatOf(path);
    if (!format?.startsWith('jsonl')) return null;
    const own = await countLines(
      { path, format, byteStart: null, byteEnd: null, signal },
      limit - nRows,
    );
    if (own === null) return null;
    nRows += own;
  }
  return Math.min(nRows, limit);
}

async function countLines(
  source: {
    readonly path: string;
    readonly format: CorpusFormat;
    readonly byteStart: number | null;
    readonly byteEnd: number | null;
    readonly zstdWindowLog?: number;
    readonly signal: AbortSignal | undefined;
  },
  limit: number,
): Promise<number | null> {
  if (remoteScheme(source.path) !== null) return null;
  const counts = { lines: 0, rows: 0 };
  for await (const _ of readLines({ ...source, maxLineBytes: COUNTED_LINE_BYTES }, counts)) {
    if (counts.rows >= limit) break;
  }
  return counts.rows;
}
