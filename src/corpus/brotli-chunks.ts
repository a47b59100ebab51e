/**
 * Column chunks that are compressed with brotli. Node has the decoder, the addon has none: the chunks of a unit are
 * copied with their pages decoded to a temporary file, from which the reader of leaf columns takes them.
 *
 * A decoded page keeps its header, whose compressed length and checksum mean the page as it was; the reader knows that
 * pages of this codec lie decoded.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress, crc32 } from 'node:zlib';
import type { FileMetaData } from 'hyparquet';
import { GristmillError, isGristmillError } from '../errors.ts';
import { type DecodedChunks, withFile } from './parquet-file.ts';
import { chunkStart } from './parquet-footer.ts';
import type { RangedFile } from './storage/types.ts';
import { readThrift, type ThriftStruct } from './thrift.ts';
import type { CorpusUnit } from './types.ts';

/** Room for headers, whose statistics may be long. */
const HEADER_BYTES = 1 << 16;
/** A small file must not fill the disk: decoded chunks may take this many times their size, and a GiB. */
const MOST_TIMES = 1024;
const MOST_BYTES = 2 ** 30;

const decompress = promisify(brotliDecompress);

type Meta = NonNullable<FileMetaData['row_groups'][number]['columns'][number]['meta_data']>;

/**
 * Decodes the brotli chunks of some leaves; null where there are none.
 *
 * @param leaves positions of the leaves that will be read
 * @param storedPath where the bytes lie, if not under `path`
 * @throws CORPUS_CORRUPT, CORPUS_UNSUPPORTED, CORPUS_READ_FAILED
 */
export async function decodeBrotli(
  path: string,
  footer: FileMetaData,
  unit: CorpusUnit,
  leaves: readonly number[],
  storedPath = path,
): Promise<DecodedChunks | null> {
  const wanted: { readonly rowGroup: number; readonly leaf: number; readonly meta: Meta }[] = [];
  for (let rowGroup = unit.rowGroupStart!; rowGroup < unit.rowGroupEnd!; rowGroup++) {
    for (const leaf of leaves) {
      const meta = footer.row_groups[rowGroup]!.columns[leaf]?.meta_data;
      if (meta?.codec === 'BROTLI' && meta.num_values > 0n) wanted.push({ rowGroup, leaf, meta });
    }
  }
  if (wanted.length === 0) return null;
  const folder = await mkdtemp(join(tmpdir(), 'gristmill-brotli-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const places = new Map<string, { offset: number; bytes: number }>();
  const target = join(folder, 'chunks');
  let out: FileHandle | null = null;
  try {
    const into = await open(target, 'wx', 0o600);
    out = into;
    await withFile(storedPath, async (_, source) => {
      let offset = 0;
      for (const { rowGroup, leaf, meta } of wanted) {
        const copy = new ChunkCopy({ path, rowGroup, meta, source, into, offset });
        await copy.run();
        places.set(`${rowGroup} ${leaf}`, { offset, bytes: copy.end - offset });
        offset = copy.end;
      }
    });
  } catch (error) {
    await out?.close();
    await remove();
    throw error;
  }
  await out.close();
  return { path: target, remove, find: (group, leaf) => places.get(`${group} ${leaf}`) ?? null };
}

interface ChunkPlace {
  readonly path: string;
  readonly rowGroup: number;
  readonly meta: Meta;
  readonly source: RangedFile;
  readonly into: FileHandle;
  readonly offset: number;
}

/** Copies one chunk page by page. */
class ChunkCopy {
  end: number;
  readonly #place: ChunkPlace;
  #at: number;

  constructor(place: ChunkPlace) {
    this.#place = place;
    this.#at = chunkStart(place.meta);
    this.end = place.offset;
  }

  async run(): Promise<void> {
    const start = this.#at;
    // What the headers declare, before anything is decoded: a page may unfold to a GiB.
    let declared = 0;
    await this.#pages(async (header, size) => {
      declared += size + this.#size(header, 2);
      this.#checkSize(declared);
    });
    this.#at = start;
    await this.#pages(async (header, size, stored) => {
      const body = await this.#read(this.#at + size, stored);
      const sum = header.get(4);
      if (typeof sum === 'bigint' && BigInt.asUintN(32, sum) !== BigInt(crc32(body))) {
        throw this.#corrupt("the page's checksum does not match");
      }
      const decoded = await this.#decode(header, body, this.#size(header, 2));
      await this.#write(await this.#read(this.#at, size));
      await this.#write(decoded);
    });
  }

  /** Visits the pages of the chunk: header, its size, and that of what follows it. */
  async #pages(
    visit: (header: ThriftStruct, size: number, stored: number) => Promise<void>,
  ): Promise<void> {
    const { meta } = this.#place;
    const chunkEnd = this.#at + Number(meta.total_compressed_size);
    let values = 0n;
    while (values < meta.num_values) {
      if (this.#at >= chunkEnd) throw this.#corrupt('the column chunk ends before its values do');
      const { header, size } = await this.#header(chunkEnd);
      const stored = this.#size(header, 3);
      if (this.#at + size + stored > chunkEnd) {
        throw this.#corrupt('the page runs over the end of its column chunk');
      }
      await visit(header, size, stored);
      const data = header.get(5) ?? header.get(8);
      if (data instanceof Map) {
        const count = (data as ThriftStruct).get(1);
        if (typeof count !== 'bigint' || count < 0n) throw this.#corrupt('a page without a count');
        values += count;
      }
      this.#at += size + stored;
    }
  }

  #checkSize(bytes: number): void {
    const { meta, path } = this.#place;
    const most = MOST_BYTES + MOST_TIMES * Number(meta.total_compressed_size);
    if (bytes <= most) return;
    const reason = `a brotli column of ${meta.total_compressed_size} bytes unfolds to more than ${most}`;
    throw new GristmillError('CORPUS_UNSUPPORTED', { file: path, reason });
  }

  async #header(chunkEnd: number): Promise<{ header: ThriftStruct; size: number }> {
    for (let room = HEADER_BYTES; ; room *= 8) {
      const length = Math.min(room, chunkEnd - this.#at);
      try {
        const { value, size } = readThrift(await this.#read(this.#at, length));
        return { header: value, size };
      } catch (error) {
        if (isGristmillError(error)) throw error;
        if (length < room || room > 2 ** 24) throw this.#corrupt('the page header is damaged');
      }
    }
  }

  #size(header: ThriftStruct, id: number): number {
    const size = header.get(id);
    if (typeof size === 'bigint' && size >= 0n && size < 2n ** 31n) return Number(size);
    throw this.#corrupt('the page header is damaged');
  }

  async #decode(header: ThriftStruct, body: Uint8Array, decoded: number): Promise<Uint8Array> {
    const second = header.get(8);
    let levels = 0;
    let plain = false;
    if (second instanceof Map) {
      const fields = second as ThriftStruct;
      levels = Number(fields.get(5) ?? 0n) + Number(fields.get(6) ?? 0n);
      plain = fields.get(7) === false;
      if (!(levels >= 0 && levels <= body.byteLength && levels <= decoded)) {
        throw this.#corrupt('the levels run over the end of the page');
      }
    }
    if (plain || decoded === levels) return body.subarray(0, decoded);
    try {
      const maxOutputLength = decoded - levels;
      const values = await decompress(body.subarray(levels), { maxOutputLength });
      if (values.byteLength !== maxOutputLength) throw new Error('shorter than declared');
      return levels === 0 ? values : Buffer.concat([body.subarray(0, levels), values]);
    } catch (cause) {
      throw this.#corrupt(`brotli: ${(cause as Error).message}`);
    }
  }

  async #read(at: number, length: number): Promise<Uint8Array> {
    const bytes = await this.#place.source.read(at, length);
    if (bytes.byteLength < length) throw this.#corrupt('the file ends inside the page');
    return bytes;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.byteLength) {
      const rest = bytes.byteLength - done;
      const { bytesWritten } = await this.#place.into.write(bytes, done, rest, this.end);
      done += bytesWritten;
      this.end += bytesWritten;
    }
  }

  #corrupt(reason: string): GristmillError {
    const { path, rowGroup, meta } = this.#place;
    const column = meta.path_in_schema.join('.');
    const details = { file: path, rowGroup, column, offset: this.#at, reason };
    return new GristmillError('CORPUS_CORRUPT', details);
  }
}
