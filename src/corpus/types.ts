/**
 * The vocabulary of the corpus room: plans, units, batches on the way in, rows on the way out.
 *
 * A plan is plain data (JSON in and out): it can be printed, compared, stored and sent to another machine.
 */
import type { SchemaElement } from 'hyparquet';
import type { ByteViews } from '../batch/byte-views.ts';
import type { BytesColumn, DocumentBatch } from '../batch/document-batch.ts';
import type { ErrorCode } from '../errors.ts';
import type { ArrowField } from './arrow-schema.ts';
import type { JsonFields } from './json-line.ts';
import type { ValueProblem } from './reject-reasons.ts';

/** Formats of lines: `txt` is a document a file, `lines` a document a line. Tables and text become JSON lines on the way in (table-lines.ts). */
export type LinesFormat = `${'jsonl' | 'csv' | 'tsv' | 'txt' | 'lines'}${'' | '.gz' | '.zst'}`;

/** Formats a corpus is read from; `arrow` is an Arrow IPC stream, `memory` documents of the caller. */
export type CorpusFormat = 'parquet' | LinesFormat | 'arrow' | 'memory';

/** One input file. */
export interface SourceFile {
  /** Path as given, or `-` for standard input. */
  readonly path: string;
  readonly format: CorpusFormat;
  readonly bytes: number;
  /** Rows, where the format tells without reading everything. */
  readonly rows: number | null;
  /** Changes when the content changes; see {@link PlanOptions.fullHash}. */
  readonly fingerprint: string;
  /** Index into {@link CorpusPlan.schemas}. */
  readonly schema: number;
  /** Values of {@link CorpusPlan.partitions}, from the names of its folders; null where it has none. */
  readonly partition: readonly (string | null)[];
}

/** What is read, refined, written, committed and retried as one: a stretch of one file, or many small texts. */
export interface CorpusUnit {
  /** Stable name: the position among all units, zero-padded, so that names sort like units. */
  readonly id: string;
  readonly index: number;
  readonly fileIndex: number;
  /** Text that is a document a file: how many files from `fileIndex` on, where there are several. See unit-files.ts. */
  readonly nFiles?: number;
  /** Parquet: row groups `[rowGroupStart, rowGroupEnd)`. */
  readonly rowGroupStart: number | null;
  readonly rowGroupEnd: number | null;
  /** Plain JSONL: the lines that begin inside `[byteStart, byteEnd)`. */
  readonly byteStart: number | null;
  readonly byteEnd: number | null;
  readonly nRows: number | null;
  /** Bytes of the unit in its files. */
  readonly bytes: number;
}

/** Metadata in the order of the file; keys may repeat, values may be missing. */
export type KeyValues = readonly (readonly [key: string, value: string | undefined])[];

/** A top-level column, in Parquet's terms whatever the format: the schema elements of its subtree. */
export interface CorpusColumn {
  readonly name: string;
  /** Readable type, such as `string`, `int64` or `list<struct<a: double>>`. */
  readonly type: string;
  readonly elements: readonly SchemaElement[];
  /** The Arrow field that the column was or is to be: what Parquet's terms do not say. */
  readonly arrow?: ArrowField;
  /** Columns inferred from JSON: what their values were. */
  readonly json?: JsonValues;
}

/**
 * What the values of a JSON field were, as far as its column's type depends on it. Of the numbers: whether each one
 * fits the type exactly, and the most digits before and after the point.
 */
export interface JsonValues {
  readonly string: boolean;
  readonly boolean: boolean;
  /** An object or an array. */
  readonly nested: boolean;
  readonly number: boolean;
  readonly int64: boolean;
  readonly uint64: boolean;
  readonly double: boolean;
  readonly decimal: boolean;
  readonly wholeDigits: number;
  readonly scale: number;
}

/** A file that is left out, and why. */
export interface FailedFile {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** Columns that files have in common, in their order. */
export interface CorpusSchema {
  /** Formats that are read and written alike; only files of one family are held against each other. */
  readonly family: 'parquet' | 'jsonl' | 'arrow';
  readonly columns: readonly CorpusColumn[];
}

/** What lies in the inputs and is not read, by the reason. */
export interface LeftOut {
  /** Where results go: the folder itself, or files in it that were named. */
  readonly outputs: readonly string[];
  /** Folders that commands of ours have written. */
  readonly results: readonly { readonly path: string; readonly command: string }[];
  /** Number of files by their ending. */
  readonly otherFormats: Readonly<Record<string, number>>;
  /** Files of known formats, and folders, whose names begin with `_` or `.`. */
  readonly bookkeeping: number;
  /** Further names of files that are read once. */
  readonly repeated: number;
}

/** What will be read. Nothing is read before it is complete. */
export interface CorpusPlan {
  readonly files: readonly SourceFile[];
  readonly units: readonly CorpusUnit[];
  /** Columns that hold what every file has, those of the first file first. */
  readonly columns: readonly CorpusColumn[];
  /** Columns as the files have them; see {@link SourceFile.schema}. */
  readonly schemas: readonly CorpusSchema[];
  /** Columns from the names of folders (`lang=en/`); one that a file has itself is that file's. */
  readonly partitions: readonly CorpusColumn[];
  readonly textColumn: string;
  /** Nobody named the column, and it is not called `text`: its name is the only one that texts go by. */
  readonly isTextGuessed?: true;
  readonly idColumn: string | null;
  /** Column of URLs or hosts that batches hold beside the text; default none. */
  readonly siteColumn?: string | null;
  readonly failedFiles: readonly FailedFile[];
  readonly leftOut: LeftOut;
  readonly maxLineBytes: number;
  /** Whether the columns are chosen ones, and other fields of JSON lines nobody's concern; see `onlyColumns`. */
  readonly isPart?: boolean;
  /** Largest window of a zstd stream, as a power of two. */
  readonly zstdWindowLog: number;
}

/** Status of a row on arrival. */
export const ROW_OK = 0;
/** The text is null. */
export const ROW_NULL = 1;
/** The text is not well-formed UTF-8. */
export const ROW_INVALID_UTF8 = 2;

/** A batch of a unit. */
export interface UnitBatch {
  readonly batch: DocumentBatch;
  /** Index of the batch's first row inside the unit. */
  readonly firstRow: number;
  /** `Uint8Array[nDocs]`: {@link ROW_OK}, {@link ROW_NULL} or {@link ROW_INVALID_UTF8}. */
  readonly rowStatus: Uint8Array;
  /**
   * `BigInt64Array[nDocs]`, ascending: the rows' indices in their file, from 0; of JSON its lines that are not blank. Of a unit of
   * many files, each a row, the index of the file in the unit (`placesOf` tells where a row lies).
   */
  readonly rowNumbers: BigInt64Array;
  /** Rows between these that cannot be rows, ascending; a batch may hold nothing else. */
  readonly rejected: readonly RejectedRow[];
  /** The other columns of the same rows. */
  readonly carry: CarriedColumns;
  /** Arrow only: these are the last rows, or none, of a record batch of the input. */
  readonly endsRecordBatch?: boolean;
}

/** Texts of some rows, and where they are from; valid until the next ones are asked for. */
export interface TextsAndSites {
  readonly nDocs: number;
  readonly text: Pick<BytesColumn, 'data' | 'offsets'>;
  /** Null where the unit's file has no such column. */
  readonly site: Pick<BytesColumn, 'data' | 'offsets' | 'validity'> | null;
  /** As {@link UnitBatch.rowStatus}; null where all are well-formed or null. */
  readonly rowStatus: Uint8Array | null;
}

/** Which rows a reader of JSON lines rejects; see `UnitOptions.reject`. */
export type RejectMode = 'lines' | 'values';

/** A row that cannot be one: it counts as a row and is kept as it came. */
export interface RejectedRow {
  /** Its index, from 0, like those of {@link UnitBatch.rowNumbers}. */
  readonly row: bigint;
  /** A code of ALL_REASONS. */
  readonly reason: string;
  /** What is wrong with it and where, for people. */
  readonly detail: string;
  /** Its bytes; of a line that is too long the first ones. */
  readonly raw: Uint8Array;
}

/**
 * A value on the way from one format to another, exact and by position: read it with its column's {@link Shape}.
 *
 * | column                                    | value                                                             |
 * | ----------------------------------------- | ----------------------------------------------------------------- |
 * | boolean; INT32, FLOAT, DOUBLE; INT64      | `boolean`; `number`; `bigint`                                     |
 * | INT96                                     | `bigint`, the twelve bytes as an unsigned little-endian integer   |
 * | text: strings, JSON, enums                | `string`, or `Uint8Array` where the bytes are no UTF-8            |
 * | other bytes                               | `Uint8Array`; decimals in bytes are big-endian two's complement   |
 * | list, unannotated repeated field          | array of items                                                    |
 * | map                                       | array of `[key, value]` in file order, repeated keys and all      |
 * | struct                                    | array of the fields' values in the order of the schema            |
 *
 * Unsigned integers, decimals, dates and times are the (signed) integers that Parquet stores.
 */
export type PlainValue =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PlainValue[];

/** The columns besides the text, for the rows of one batch: untouched and typed. */
export interface CarriedColumns {
  readonly columns: readonly CorpusColumn[];
  readonly nRows: number;
  /** The rows with these indices (ascending), or all. */
  select(rows: Int32Array | null): CarriedRows;
  /** Says that no sink will ask again; open files and buffers may go. */
  release(): void;
}

/** Selected rows of {@link CarriedColumns}; a sink takes the form that costs it least. */
export interface CarriedRows {
  readonly nRows: number;
  /** One array of values per column of {@link CarriedColumns.columns}, in that order: names may repeat. */
  plain(): Promise<readonly (readonly PlainValue[])[]>;
  /** JSON sources only: the top-level fields of each row as the text they were written in. */
  readonly json: readonly JsonFields[] | null;
  /** Parquet sources only: writes a leaf column into a writer without decoding its meaning. */
  readonly leaves: LeafSource | null;
}

/** Leaf columns of selected rows, for Parquet sinks. */
export interface LeafSource {
  /**
   * @param column index in {@link CarriedColumns.columns}
   * @param leaf index among the column's leaves
   */
  appendTo(
    writer: import('../native/index.ts').LeafWriter,
    column: number,
    leaf: number,
  ): Promise<void>;
}

/** A column that the engine adds. */
export interface ExtraColumn {
  readonly name: string;
  readonly type: 'string' | 'double' | 'int64' | 'bytes';
}

/** Values of an extra column, by batch row. */
export type ExtraValues =
  | ByteViews
  | readonly (string | Uint8Array | null)[]
  | readonly (number | null)[]
  | readonly bigint[]
  | BigInt64Array
  | Float64Array;

/** Rows handed to a sink. All columns are indexed by batch row; `rows` says which are written. */
export interface SinkRows {
  /** The texts: a column in memory, or views. */
  readonly text: BytesColumn | ByteViews | readonly (Uint8Array | null)[];
  /** Ascending row indices, or null for all. */
  readonly rows: Int32Array | null;
  /** Null when the sink has no carried columns. */
  readonly carry: CarriedColumns | null;
  readonly extra: Readonly<Record<string, ExtraValues>>;
  /**
   * Told of each row, by its batch row, that the output has no form for; it is not written. Without it the first such
   * row is an error.
   */
  readonly refuse?: (row: number, problem: ValueProblem) => void;
}

/** What a closed sink wrote. */
export interface SinkResult {
  readonly bytes: number;
  /** Hex SHA-256 of the bytes. */
  readonly sha256: string;
  readonly rows: number;
}

/** Formats a corpus is written in. */
export type SinkFormat = 'parquet' | 'jsonl.zst' | 'arrow';

/** Writes rows in order. One call at a time. */
export interface CorpusSink {
  /** @throws CORPUS_WRITE_FAILED */
  write(rows: SinkRows): Promise<void>;
  /** Completes the output; it is on the disk when this resolves. @throws CORPUS_WRITE_FAILED */
  close(): Promise<SinkResult>;
  /** Gives up: closes and removes the file. */
  abort(): Promise<void>;
}

/** A sink of answers: what is written to it is held until it is one. */
export interface AnswerSink extends CorpusSink {
  /**
   * Writes the rows that are held, or none, as one record batch with metadata of its own; the stream has taken it when this
   * resolves. Rows beyond what one batch of their types holds follow in further ones, {@link MORE} marks all but the last.
   *
   * @throws CORPUS_WRITE_FAILED, CORPUS_UNSUPPORTED, CORPUS_VALUE_INVALID
   */
  answer(metadata: KeyValues): Promise<void>;
}

/** Key of the metadata of a record batch whose answer goes on in the next one; its value is `true`. */
export const MORE = 'gristmill.more';
