/**
 * The sidecar of a unit: the scores of its documents and lines, in blocks, so that a page of rows can be read without the
 * rest. `_gristmill/scores/part-00000.scores` beside `part-00000.parquet`; its size and hash are in the unit's record.
 *
 *     "GMSCORE1"
 *     block …          a zstd frame each, as below
 *     footer           a zstd frame of JSON: {"rows", "lines", "blocks": [[offset, bytes, rows, lines, firstRow, lastRow], …]}
 *     u32 LE           bytes of the footer's frame
 *     u32 LE           bytes of its JSON
 *     "GMSCORE1"
 *
 *     block of R rows and L lines, by columns; columns of more than a byte lie in planes: all lowest bytes first, and so on
 *       u32 × R        row of the input file, as a distance from the row before (the first: from firstRow)
 *       u8  × R        status: 0 kept, 1 edited, 2 dropped, 3 failed, 4 failed and in rejected/ instead of the part
 *       u8  × R        state: see ROW_STATES of batch-scores.ts
 *       f64 × R        score of the document, NaN where there is none
 *       u32 × R        lines that were scored
 *       u8  × R        actsFrom: the first edge at which enough speaks against the lines, 255 for none
 *       u8  × L        code of each line: the number of edges that are at most its score
 *
 * Rows are in the order of the input; those that could not be rows are not among them. Rows of statuses 0, 1 and 3 are, in
 * this order, the rows of the part; rows of status 2 those of dropped/. What codes mean (the edges) is one thing for the
 * whole run and stands in its run.json (layout.ts).
 */
import { OutputFile, type OutputResult } from '../corpus/output-file.ts';
import { openFile } from '../corpus/storage/storages.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import { type BatchScores, ROW_STATES } from './batch-scores.ts';

const MAGIC = 'GMSCORE1';
const TAIL_BYTES = 8 + MAGIC.length;
const ZSTD_LEVEL = 1;
/** Bytes of a row besides its lines. */
const ROW_BYTES = 4 + 1 + 1 + 8 + 4 + 1;
/** Lines and rows that a block has room for: far more than a batch of 2^31 bytes of text holds. */
const MAX_BLOCK = 2 ** 31 - 1;

/** Status byte of rows that are in rejected/. */
export const STATUS_REFUSED = 4;

/** Scores of consecutive rows, as they are written. */
export interface ScoreBlock extends BatchScores {
  /** Rows of the input file, ascending. */
  readonly rowNumbers: Float64Array;
  /** See the file's header. */
  readonly status: Uint8Array;
}

/** Where a block lies. */
export interface BlockPlace {
  readonly offset: number;
  readonly bytes: number;
  readonly nRows: number;
  readonly nLines: number;
  /** Rows of the input file. */
  readonly firstRow: number;
  readonly lastRow: number;
}

/** Writes one sidecar; calls one after the other. */
export class ScoreWriter {
  readonly #output: OutputFile;
  readonly #blocks: BlockPlace[] = [];
  #nRows = 0;
  #nLines = 0;

  private constructor(output: OutputFile) {
    this.#output = output;
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async create(path: string): Promise<ScoreWriter> {
    const output = await OutputFile.create({ path });
    await output.write(Buffer.from(MAGIC));
    return new ScoreWriter(output);
  }

  /** @throws CORPUS_WRITE_FAILED */
  async write(block: ScoreBlock): Promise<void> {
    const { nRows, codes, rowNumbers } = block;
    if (nRows === 0) return;
    const frame = native().zstdCompress(packed(block), ZSTD_LEVEL);
    const [firstRow, lastRow] = [rowNumbers[0]!, rowNumbers[nRows - 1]!];
    const { offset } = this.#output;
    const bytes = frame.byteLength;
    this.#blocks.push({ offset, bytes, nRows, nLines: codes.length, firstRow, lastRow });
    this.#nRows += nRows;
    this.#nLines += codes.length;
    await this.#output.write(frame);
  }

  /** The file is on the disk when this resolves. @throws CORPUS_WRITE_FAILED */
  async close(): Promise<OutputResult & { readonly rows: number }> {
    const blocks = this.#blocks.map(({ offset, bytes, nRows, nLines, firstRow, lastRow }) => {
      return [offset, bytes, nRows, nLines, firstRow, lastRow];
    });
    const json = Buffer.from(JSON.stringify({ rows: this.#nRows, lines: this.#nLines, blocks }));
    const frame = native().zstdCompress(json, ZSTD_LEVEL);
    const tail = Buffer.alloc(TAIL_BYTES);
    tail.writeUInt32LE(frame.byteLength, 0);
    tail.writeUInt32LE(json.byteLength, 4);
    tail.write(MAGIC, 8, 'latin1');
    await this.#output.write(frame);
    await this.#output.write(tail);
    return { ...(await this.#output.close()), rows: this.#nRows };
  }

  abort(): Promise<void> {
    return this.#output.abort();
  }
}

/** An open sidecar. */
export interface ScoreFile {
  readonly path: string;
  readonly nRows: number;
  readonly nLines: number;
  readonly blocks: readonly BlockPlace[];
  /** @throws RUN_LEDGER_INVALID */
  read(block: BlockPlace): Promise<ScoreBlock>;
  close(): Promise<void>;
}

/**
 * Opens a sidecar, local or in a bucket; of its blocks only what is asked for is read.
 *
 * @throws RUN_LEDGER_INVALID where it is damaged or missing; STORAGE_* of buckets
 */
export async function openScoreFile(path: string): Promise<ScoreFile> {
  const file = await openFile(path).catch((cause: unknown) => {
    const isStorages = isGristmillError(cause) && cause.code !== 'CORPUS_READ_FAILED';
    if (isStorages) throw cause;
    return refuse(path, (cause as Error).message);
  });
  const bytesAt = async (offset: number, bytes: number): Promise<Buffer> => {
    const read = await file.read(offset, bytes);
    return read.byteLength === bytes
      ? Buffer.from(read.buffer, read.byteOffset, bytes)
      : refuse(path, `it ends within ${bytes} bytes at ${offset}`);
  };
  try {
    const { bytes: size } = file;
    if (size < MAGIC.length + TAIL_BYTES) refuse(path, `${size} bytes are no file of scores`);
    const tail = await bytesAt(size - TAIL_BYTES, TAIL_BYTES);
    if (tail.toString('latin1', 8) !== MAGIC) refuse(path, 'it does not end as a file of scores');
    const [frameBytes, jsonBytes] = [tail.readUInt32LE(0), tail.readUInt32LE(4)];
    const footerAt = size - TAIL_BYTES - frameBytes;
    // An entry of a block has 14 bytes at the least, and a block has more.
    if (footerAt < MAGIC.length || jsonBytes > 64 + size * 16) {
      refuse(path, `a footer of ${frameBytes} bytes, ${jsonBytes} unpacked, in ${size} bytes`);
    }
    const json = unpacked(path, await bytesAt(footerAt, frameBytes), jsonBytes);
    const { nRows, nLines, blocks } = parseFooter(path, json, footerAt);
    return {
      ...{ path, nRows, nLines, blocks },
      read: async (place) => {
        const frame = await bytesAt(place.offset, place.bytes);
        const raw = unpacked(path, frame, place.nRows * ROW_BYTES + place.nLines);
        return unpackBlock(path, raw, place);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function refuse(file: string, reason: string): never {
  throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
}

function unpacked(path: string, frame: Uint8Array, bytes: number): Uint8Array {
  const raw = new Uint8Array(bytes);
  try {
    native().decompress('zstd', frame, raw);
  } catch (error) {
    refuse(path, (error as Error).message);
  }
  return raw;
}

function parseFooter(
  path: string,
  json: Uint8Array,
  footerAt: number,
): Pick<ScoreFile, 'nRows' | 'nLines' | 'blocks'> {
  let footer: { rows?: unknown; lines?: unknown; blocks?: unknown };
  try {
    footer = JSON.parse(Buffer.from(json).toString());
  } catch (error) {
    return refuse(path, (error as Error).message);
  }
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && +value! >= 0;
  if (!Array.isArray(footer.blocks)) refuse(path, 'its footer has no blocks');
  const sums = { rows: 0, lines: 0 };
  const blocks = (footer.blocks as unknown[]).map((entry, at): BlockPlace => {
    if (!Array.isArray(entry) || entry.length !== 6 || !entry.every(isCount)) {
      return refuse(path, `block ${at} of its footer is none`);
    }
    const [offset, bytes, nRows, nLines, firstRow, lastRow] = entry as number[];
    const isInside = offset! >= MAGIC.length && offset! + bytes! <= footerAt;
    const isSmall = nRows! > 0 && nRows! * ROW_BYTES + nLines! <= MAX_BLOCK;
    if (!isInside || !isSmall || lastRow! < firstRow! + nRows! - 1) {
      refuse(path, `block ${at} has ${nRows} rows and ${nLines} lines at ${offset}`);
    }
    sums.rows += nRows!;
    sums.lines += nLines!;
    const [place, size] = [
      { offset: offset!, bytes: bytes! },
      { nRows: nRows!, nLines: nLines! },
    ];
    return { ...place, ...size, firstRow: firstRow!, lastRow: lastRow! };
  });
  if (footer.rows !== sums.rows || footer.lines !== sums.lines) {
    refuse(path, `its blocks have ${sums.rows} rows and ${sums.lines} lines`);
  }
  return { nRows: sums.rows, nLines: sums.lines, blocks };
}

function packed({ nRows, rowNumbers, lineStarts, ...own }: ScoreBlock): Uint8Array {
  const { status, state, document, actsFrom, codes } = own;
  const raw = new Uint8Array(nRows * ROW_BYTES + codes.length);
  const distances = new Uint32Array(nRows);
  const counts = new Uint32Array(nRows);
  for (let row = 0; row < nRows; row++) {
    distances[row] = row === 0 ? 0 : rowNumbers[row]! - rowNumbers[row - 1]!;
    counts[row] = lineStarts[row + 1]! - lineStarts[row]!;
  }
  let at = 0;
  const put = (column: Uint8Array, width: number): void => {
    if (width === 1) raw.set(column, at);
    else {
      for (let row = 0; row < nRows; row++) {
        for (let byte = 0; byte < width; byte++) {
          raw[at + byte * nRows + row] = column[row * width + byte]!;
        }
      }
    }
    at += nRows * width;
  };
  put(bytesOf(distances), 4);
  put(status, 1);
  put(state, 1);
  put(bytesOf(document), 8);
  put(bytesOf(counts), 4);
  put(actsFrom, 1);
  raw.set(codes, at);
  return raw;
}

function unpackBlock(
  path: string,
  raw: Uint8Array,
  { nRows, nLines, firstRow, lastRow }: BlockPlace,
): ScoreBlock {
  let at = 0;
  const take = (width: number): Uint8Array => {
    const column = new Uint8Array(nRows * width);
    for (let row = 0; row < nRows; row++) {
      for (let byte = 0; byte < width; byte++) {
        column[row * width + byte] = raw[at + byte * nRows + row]!;
      }
    }
    at += nRows * width;
    return column;
  };
  const distances = new Uint32Array(take(4).buffer);
  const status = take(1);
  const state = take(1);
  const document = new Float64Array(take(8).buffer);
  const counts = new Uint32Array(take(4).buffer);
  const actsFrom = take(1);
  const codes = raw.subarray(at);
  const rowNumbers = new Float64Array(nRows);
  const lineStarts = new Int32Array(nRows + 1);
  for (let row = 0; row < nRows; row++) {
    rowNumbers[row] = (row === 0 ? firstRow : rowNumbers[row - 1]!) + distances[row]!;
    if ((row > 0 && distances[row] === 0) || lineStarts[row]! + counts[row]! > nLines) {
      refuse(path, `its row ${rowNumbers[row]} has ${counts[row]} lines`);
    }
    lineStarts[row + 1] = lineStarts[row]! + counts[row]!;
    if (state[row]! >= ROW_STATES.length || status[row]! > STATUS_REFUSED) {
      refuse(path, `its row ${rowNumbers[row]} has status ${status[row]} and state ${state[row]}`);
    }
  }
  if (lineStarts[nRows] !== nLines || rowNumbers[nRows - 1] !== lastRow) {
    refuse(
      path,
      `a block of ${nLines} lines to row ${lastRow} ends at row ${rowNumbers[nRows - 1]}`,
    );
  }
  return { nRows, rowNumbers, status, state, document, lineStarts, codes, actsFrom };
}

function bytesOf(column: Uint32Array | Float64Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}
