/**
 * The files behind tables: CSV and flat Parquet, read as records of strings so that both get the same checks.
 *
 * Parquet values are numbers and strings; a null is an empty field. Pages come from hyparquet, which the package has,
 * as tables are small; codecs are ours.
 */
import { readFile, stat } from 'node:fs/promises';
import { parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { COMPRESSORS, readFooter, withFile } from '../corpus/parquet-file.ts';
import { nameOf, remoteScheme, shownAddress } from '../corpus/storage/addresses.ts';
import { lookAt, openFile } from '../corpus/storage/storages.ts';
import { type CsvRecords, parseCsv } from '../csv.ts';
import { GristmillError, isGristmillError } from '../errors.ts';

/** A table of runs is a few MB; this bounds what a wrong file can take. */
const MAX_FILE_BYTES = 256 * 2 ** 20;
/** Parquet of few bytes may stand for many values. */
const MAX_VALUES = 2e7;

/** True for names that end in `.parquet`. */
export function isParquet(path: string): boolean {
  return nameOf(path).toLowerCase().endsWith('.parquet');
}

/**
 * Reads the records of a `.parquet` file, or of any other as CSV, wherever it lies.
 *
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID, MIXTURE_TABLE_INVALID
 */
export async function readRecords(path: string): Promise<CsvRecords> {
  const isRemote = remoteScheme(path) !== null;
  const file = isRemote ? shownAddress(path) : path;
  let size: number;
  try {
    size = isRemote ? (await lookAt(file)).bytes : (await stat(file)).size;
    if (size <= MAX_FILE_BYTES && !isParquet(file)) {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        isRemote ? await readRemote(file) : await readFile(file),
      );
      return parseCsv(text, file);
    }
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    const reason = cause instanceof TypeError ? 'it is not UTF-8' : (cause as Error).message;
    throw new GristmillError('CORPUS_READ_FAILED', { file, reason }, { cause });
  }
  if (size > MAX_FILE_BYTES) {
    const reason = `${size} bytes are more than a table may have (${MAX_FILE_BYTES})`;
    throw new GristmillError('CORPUS_READ_FAILED', { file, reason });
  }
  return readParquetRecords(file);
}

async function readRemote(file: string): Promise<Uint8Array> {
  const opened = await openFile(file);
  try {
    return await opened.read(0, opened.bytes);
  } finally {
    await opened.close();
  }
}

async function readParquetRecords(path: string): Promise<CsvRecords> {
  const metadata = await readFooter(path);
  const header = metadata.schema[0]!.num_children === undefined ? [] : topLevelNames(metadata);
  const nValues = Number(metadata.num_rows) * header.length;
  if (nValues > MAX_VALUES) {
    const reason = `${nValues} values are more than a table may have (${MAX_VALUES})`;
    throw new GristmillError('CORPUS_READ_FAILED', { file: path, reason });
  }
  try {
    const rows = await withFile(path, (file) =>
      parquetReadObjects({ file, metadata, compressors: COMPRESSORS }),
    );
    return { header, rows: rows.map((row) => header.map((name) => fieldOf(row[name]))) };
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason }, { cause });
  }
}

function topLevelNames({
  schema,
}: {
  readonly schema: readonly { name: string; num_children?: number }[];
}): string[] {
  const names: string[] = [];
  // Depth first; what lies below a group is skipped with it.
  let toSkip = 0;
  for (const { name, num_children: nChildren = 0 } of schema.slice(1)) {
    if (toSkip === 0) names.push(name);
    else toSkip--;
    toSkip += nChildren;
  }
  return names;
}

function fieldOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A Parquet file of an index of strings and columns of doubles. */
export function parquetOf(
  indexColumn: string,
  ids: readonly string[],
  columns: readonly { readonly name: string; readonly values: readonly number[] }[],
): Uint8Array {
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: indexColumn, data: [...ids], type: 'STRING' as const, nullable: false },
        ...columns.map(({ name, values }) => ({
          name,
          data: [...values],
          type: 'DOUBLE' as const,
          nullable: false,
        })),
      ],
    }),
  );
}
