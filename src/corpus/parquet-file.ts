/**
 * A Parquet file's footer and where its leaf columns lie. Metadata comes from hyparquet, pages from our decoder.
 *
 * Nothing here trusts the footer: offsets and sizes are checked against the file before they are used.
 */
import { brotliDecompressSync } from 'node:zlib';
import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import type { Compressors } from 'hyparquet/src/types.js';
import { GristmillError, isGristmillError } from '../errors.ts';
import { type BlockCodec, type LeafReader, type LeafSegment, native } from '../native/index.ts';
import { UnsupportedError } from './footer-fields.ts';
import { chunkStart, parseFooter } from './parquet-footer.ts';
import { codecIndex, type Leaf } from './schema.ts';
import { remoteScheme } from './storage/addresses.ts';
import { openFile } from './storage/storages.ts';
import { withTail } from './storage/tail.ts';
import type { RangedFile } from './storage/types.ts';

/** A footer is a few MB at most; a damaged length must not become an allocation. */
const MAX_FOOTER_BYTES = 1 << 30;

/** Bytes of an open file, as hyparquet asks for them. */
function bufferOfFile(file: RangedFile): AsyncBuffer {
  const { bytes: byteLength } = file;
  return {
    byteLength,
    async slice(start, end = byteLength) {
      const from = Math.max(0, start < 0 ? byteLength + start : start);
      const length = Math.max(0, Math.min(end, byteLength) - from);
      const bytes = await file.read(from, length);
      if (bytes.byteLength < length) throw new Error('the file ends early');
      const { buffer, byteOffset } = bytes;
      const isWhole = buffer.byteLength === length;
      return (isWhole ? buffer : buffer.slice(byteOffset, byteOffset + length)) as ArrayBuffer;
    },
  };
}

/** Runs `use` with the open file; failures to open or read are coded. */
export async function withFile<T>(
  path: string,
  use: (buffer: AsyncBuffer, file: RangedFile) => Promise<T>,
): Promise<T> {
  const opened = await openFile(path);
  const file = remoteScheme(path) === null ? opened : withTail(opened);
  try {
    return await use(bufferOfFile(file), file);
  } finally {
    await file.close();
  }
}

const cache = new Map<string, FileMetaData>();
const CACHED_FOOTERS = 8;
/** Bytes of theirs as they lie in their files; as objects they take some thirty times that. The last one is always kept. */
const CACHED_FOOTER_BYTES = 4 * 2 ** 20;

/**
 * The footer of a Parquet file. Footers of the last few files are kept: units of one file come in a row.
 *
 * @throws CORPUS_FILE_INVALID when it is not a Parquet file or its footer is damaged
 * @throws CORPUS_UNSUPPORTED when it is encrypted, or of codecs or types that are not read
 */
export async function readFooter(path: string, fingerprint?: string): Promise<FileMetaData> {
  const key = fingerprint === undefined ? null : `${fingerprint}\n${path}`;
  const known = key === null ? undefined : cache.get(key);
  if (known) return known;
  try {
    const metadata = await withFile(path, async (buffer) => {
      const length = await checkFrame(buffer);
      const start = buffer.byteLength - 8 - length;
      const bytes = new Uint8Array(await buffer.slice(start, start + length));
      return parseFooter(bytes, buffer.byteLength);
    });
    if (key !== null) {
      cache.set(key, metadata);
      let bytes = 0;
      for (const { metadata_length } of cache.values()) bytes += metadata_length;
      for (const [oldest, { metadata_length }] of cache) {
        const fits = cache.size <= CACHED_FOOTERS && bytes <= CACHED_FOOTER_BYTES;
        if (fits || cache.size === 1) break;
        cache.delete(oldest);
        bytes -= metadata_length;
      }
    }
    return metadata;
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    if (cause instanceof UnsupportedError) {
      const details = { file: path, reason: cause.message };
      throw new GristmillError('CORPUS_UNSUPPORTED', details, { cause });
    }
    const reason = `not a readable Parquet file: ${(cause as Error).message}`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason }, { cause });
  }
}

/** Length of the footer. */
async function checkFrame(buffer: AsyncBuffer): Promise<number> {
  if (buffer.byteLength < 12) throw new Error(`${buffer.byteLength} bytes are too few`);
  const head = Buffer.from(await buffer.slice(0, 4)).toString('latin1');
  const tail = Buffer.from(await buffer.slice(buffer.byteLength - 8, buffer.byteLength));
  const magic = tail.toString('latin1', 4);
  if (magic === 'PARE') throw new UnsupportedError('its footer is encrypted');
  if (head !== 'PAR1' || magic !== 'PAR1') throw new Error('the PAR1 marks are missing');
  const length = tail.readUInt32LE(0);
  if (length > Math.min(buffer.byteLength - 12, MAX_FOOTER_BYTES)) {
    throw new Error(`its footer would take ${length} of ${buffer.byteLength} bytes`);
  }
  return length;
}

/** Where the brotli chunks of a unit lie with their pages decoded. */
export interface DecodedChunks {
  readonly path: string;
  /** By row group and leaf. */
  find(rowGroup: number, leaf: number): { readonly offset: number; readonly bytes: number } | null;
  remove(): Promise<void>;
}

/**
 * Opens one leaf column over a range of row groups.
 *
 * @param decoded where its brotli chunks lie decoded
 * @param storedPath where the bytes of its chunks lie, if not under `path`
 */
export function openLeaf(
  path: string,
  footer: FileMetaData,
  leaf: Leaf,
  rowGroupStart: number,
  rowGroupEnd: number,
  decoded: DecodedChunks | null = null,
  storedPath?: string,
): LeafReader {
  const segments = footer.row_groups
    .slice(rowGroupStart, rowGroupEnd)
    .flatMap((group, at): LeafSegment[] => {
      if (group.num_rows === 0n) return [];
      const meta = group.columns[leaf.index]?.meta_data;
      if (!meta) {
        const reason = `row group ${rowGroupStart + at} has no column ${leaf.path.join('.')}`;
        throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason });
      }
      const place = decoded?.find(rowGroupStart + at, leaf.index);
      return [
        {
          offset: place?.offset ?? chunkStart(meta),
          bytes: place?.bytes ?? Number(meta.total_compressed_size),
          nValues: Number(meta.num_values),
          nRows: Number(group.num_rows),
          codec: codecIndex(meta.codec),
          rowGroup: rowGroupStart + at,
        },
      ];
    });
  const decodedPath = decoded?.path;
  return new (native().LeafReader)({
    ...leaf.type,
    path,
    ...(decodedPath !== undefined && { decodedPath }),
    ...(storedPath !== undefined && { storedPath }),
    // The first C++ writers, until 2.0.0.
    alwaysCompressed: /^parquet-cpp version [01]\./.test(footer.created_by ?? ''),
    segments,
  });
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
  LZ4: decoder('lz4'),
  LZ4_RAW: decoder('lz4_raw'),
  BROTLI: (input, outputLength) =>
    outputLength === 0
      ? new Uint8Array(0)
      : brotliDecompressSync(input, { maxOutputLength: outputLength }),
};
