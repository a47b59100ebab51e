/**
 * A Parquet file's footer and where its leaf columns lie. Metadata comes from hyparquet, pages from our decoder.
 *
 * Nothing here trusts the footer: offsets and sizes are checked against the file before they are used.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { brotliDecompressSync } from 'node:zlib';
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  type RowGroup,
} from 'hyparquet';
import type { Compressors } from 'hyparquet/src/types.js';
import { GristmillError, isGristmillError } from '../errors.ts';
import { type BlockCodec, type LeafReader, type LeafSegment, native } from '../native.ts';
import { codecIndex, type Leaf } from './schema.ts';

/** A footer is a few MB at most; a damaged length must not become an allocation. */
const MAX_FOOTER_BYTES = 1 << 30;

/** Bytes of an open file, as hyparquet asks for them. */
export function bufferOfFile(handle: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      const from = Math.max(0, start < 0 ? byteLength + start : start);
      const buffer = new Uint8Array(Math.max(0, Math.min(end, byteLength) - from));
      let done = 0;
      while (done < buffer.byteLength) {
        const { bytesRead } = await handle.read(
          buffer,
          done,
          buffer.byteLength - done,
          from + done,
        );
        if (bytesRead === 0) throw new Error('the file ends early');
        done += bytesRead;
      }
      return buffer.buffer;
    },
  };
}

/** Runs `use` with the open file; failures to open or read are coded. */
export async function withFile<T>(
  path: string,
  use: (buffer: AsyncBuffer, handle: FileHandle) => Promise<T>,
): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (cause) {
    throw new GristmillError(
      'CORPUS_READ_FAILED',
      { file: path, reason: (cause as Error).message },
      { cause },
    );
  }
  try {
    return await use(bufferOfFile(handle, (await handle.stat()).size), handle);
  } finally {
    await handle.close();
  }
}

const cache = new Map<string, FileMetaData>();
const CACHED_FOOTERS = 8;

/**
 * The footer of a Parquet file. Footers of the last few files are kept: units of one file come in a row.
 *
 * @throws CORPUS_FILE_INVALID when it is not a Parquet file or its footer is damaged
 */
export async function readFooter(path: string, fingerprint?: string): Promise<FileMetaData> {
  const key = fingerprint === undefined ? null : `${fingerprint}\n${path}`;
  const known = key === null ? undefined : cache.get(key);
  if (known) return known;
  try {
    const metadata = await withFile(path, async (buffer) => {
      await checkFrame(buffer);
      const footer = await parquetMetadataAsync(buffer, { geoparquet: false });
      checkFooter(footer, buffer.byteLength);
      return footer;
    });
    if (key !== null) {
      cache.set(key, metadata);
      const oldest = cache.keys().next().value;
      if (cache.size > CACHED_FOOTERS && oldest !== undefined) cache.delete(oldest);
    }
    return metadata;
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    const reason = `not a readable Parquet file: ${(cause as Error).message}`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason }, { cause });
  }
}

async function checkFrame(buffer: AsyncBuffer): Promise<void> {
  if (buffer.byteLength < 12) throw new Error(`${buffer.byteLength} bytes are too few`);
  const head = Buffer.from(await buffer.slice(0, 4)).toString('latin1');
  const tail = Buffer.from(await buffer.slice(buffer.byteLength - 8, buffer.byteLength));
  const magic = tail.toString('latin1', 4);
  if (magic === 'PARE') throw new Error('its footer is encrypted');
  if (head !== 'PAR1' || magic !== 'PAR1') throw new Error('the PAR1 marks are missing');
  const length = tail.readUInt32LE(0);
  if (length > Math.min(buffer.byteLength - 12, MAX_FOOTER_BYTES)) {
    throw new Error(`its footer would take ${length} of ${buffer.byteLength} bytes`);
  }
}

function checkFooter(footer: FileMetaData, fileBytes: number): void {
  let rows = 0;
  for (const [rowGroup, group] of footer.row_groups.entries()) {
    rows += Number(group.num_rows);
    if (group.num_rows < 0n || group.num_rows > 2n ** 40n) {
      throw new Error(`row group ${rowGroup} declares ${group.num_rows} rows`);
    }
    for (const column of group.columns) {
      const meta = column.meta_data;
      if (!meta || column.file_path) throw new Error('its columns lie in other files');
      const start = chunkStart(meta);
      if (start < 4 || start + Number(meta.total_compressed_size) > fileBytes) {
        throw new Error(
          `row group ${rowGroup}, column ${meta.path_in_schema.join('.')} lies outside`,
        );
      }
    }
  }
  if (rows !== Number(footer.num_rows)) {
    throw new Error(`it declares ${footer.num_rows} rows, its row groups ${rows}`);
  }
}

type ColumnMeta = NonNullable<FileMetaData['row_groups'][number]['columns'][number]['meta_data']>;

function chunkStart(meta: ColumnMeta): number {
  const data = Number(meta.data_page_offset);
  const dictionary = Number(meta.dictionary_page_offset ?? 0);
  // Some writers leave 0 for "no dictionary".
  return dictionary > 0 ? Math.min(dictionary, data) : data;
}

/**
 * The chunk of a leaf: the one in its place, as the format has it, or, where chunks are missing or in another order,
 * the only one of its path. Paths are compared name by name: names may hold dots, and may repeat.
 */
function chunkOf(group: RowGroup, leaf: Leaf, nLeaves: number): ColumnMeta | undefined {
  const matches = (meta: ColumnMeta | undefined): boolean =>
    meta?.path_in_schema.length === leaf.path.length &&
    leaf.path.every((name, at) => meta.path_in_schema[at] === name);
  const inPlace = group.columns[leaf.index]?.meta_data;
  if (group.columns.length === nLeaves && matches(inPlace)) return inPlace;
  const found = group.columns.filter((chunk) => matches(chunk.meta_data));
  return found.length === 1 ? found[0]!.meta_data : undefined;
}

/** Opens one leaf column over a range of row groups. */
export function openLeaf(
  path: string,
  footer: FileMetaData,
  leaf: Leaf,
  rowGroupStart: number,
  rowGroupEnd: number,
): LeafReader {
  const name = leaf.path.join('.');
  const nLeaves = footer.schema.reduce((sum, { type }) => sum + (type ? 1 : 0), 0);
  const segments = footer.row_groups
    .slice(rowGroupStart, rowGroupEnd)
    .map((group, at): LeafSegment => {
      const meta = chunkOf(group, leaf, nLeaves);
      if (!meta) {
        const reason = `row group ${rowGroupStart + at} has no column ${name}`;
        throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason });
      }
      const bytes = Number(meta.total_compressed_size);
      return {
        offset: chunkStart(meta),
        bytes,
        nValues: Number(meta.num_values),
        nRows: Number(group.num_rows),
        // Twice: some writers count a page's header or its levels differently.
        maxPageBytes: 2 * Math.max(Number(meta.total_uncompressed_size), bytes) + 65536,
        codec: codecIndex(meta.codec),
        rowGroup: rowGroupStart + at,
      };
    });
  return new (native().LeafReader)({ ...leaf.type, path, segments });
}

function decoder(codec: BlockCodec) {
  return (input: Uint8Array, outputLength: number): Uint8Array => {
    const output = new Uint8Array(outputLength);
    native().decompress(codec, input, output);
    return output;
  };
}

/** Our codecs in the form hyparquet plugs in. */
export const COMPRESSORS: Compressors = {
  ZSTD: decoder('zstd'),
  SNAPPY: decoder('snappy'),
  GZIP: decoder('gzip'),
  LZ4_RAW: decoder('lz4_raw'),
  BROTLI: (input, outputLength) =>
    outputLength === 0
      ? new Uint8Array(0)
      : brotliDecompressSync(input, { maxOutputLength: outputLength }),
};
