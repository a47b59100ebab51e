/**
 * The Parquet sink: leaf columns encoded natively, the footer by hyparquet-writer.
 *
 * Carried columns of a Parquet source go from page to page as (levels, values), so every type, nested or not, comes
 * out as it went in. Texts go from their byte views into pages. The bytes written are a function of the rows, the
 * schema and the options.
 */
import type {
  ColumnChunk,
  Encoding,
  FileMetaData,
  RowGroup,
  SchemaElement,
  SchemaTree,
} from 'hyparquet';
import type { MinMaxType } from 'hyparquet/src/types.js';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { type ByteViews, isByteViews } from '../batch/byte-views.ts';
import { callNative, type LeafChunk, type LeafWriter, native } from '../native/index.ts';
import { type ShreddedLeaf, shredRows, ValueError } from './dremel.ts';
import { OutputFile } from './output-file.ts';
import { refuseRows } from './refused-rows.ts';
import type { ValueProblem } from './reject-reasons.ts';
import { isStringElement, type Leaf, leavesOf, schemaOf, treeOf } from './schema.ts';
import { type Shape, shapeOf } from './shape.ts';
import { appendTexts, appendViews, carriedIndices, extraBytes, rowCount } from './sink-rows.ts';
import type { SinkSettings } from './sink-types.ts';
import type {
  CarriedColumns,
  CarriedRows,
  CorpusColumn,
  CorpusSink,
  ExtraValues,
  PlainValue,
  SinkResult,
  SinkRows,
} from './types.ts';

const PAGE_BYTES = 1 << 20;

/** How bounds compare, in the addon's numbering. */
const ORDER = { none: 0, signed: 1, unsigned: 2, float: 3, bytes: 4 } as const;

interface OpenLeaf {
  readonly leaf: Leaf;
  readonly writer: LeafWriter;
}

type Role = 'text' | 'carry' | 'extra';

interface OpenColumn {
  readonly column: CorpusColumn;
  readonly role: Role;
  readonly leaves: readonly OpenLeaf[];
}

/** @see openSink */
export class ParquetSink implements CorpusSink {
  readonly #settings: SinkSettings;
  readonly #output: OutputFile;
  readonly #columns: readonly OpenColumn[];
  readonly #schema: SchemaElement[];
  readonly #rowGroups: RowGroup[] = [];
  readonly #twins: ReadonlySet<string>;
  #groupRows = 0;
  #rows = 0;

  private constructor(settings: SinkSettings, output: OutputFile) {
    this.#settings = settings;
    this.#output = output;
    this.#schema = schemaOf(settings.columns.map((c) => c.column)).map(writableElement);
    this.#twins = twinPaths(treeOf(this.#schema));
    this.#columns = settings.columns.map(({ column, role }) => ({
      column,
      role,
      leaves: leavesOf(column).map((leaf) => ({ leaf, writer: this.#writerOf(leaf, role) })),
    }));
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async create(settings: SinkSettings): Promise<ParquetSink> {
    const output = await OutputFile.create(settings.target);
    try {
      const sink = new ParquetSink(settings, output);
      await output.write(Buffer.from('PAR1'));
      return sink;
    } catch (error) {
      await output.abort();
      throw error;
    }
  }

  #writerOf(leaf: Leaf, role: Role): LeafWriter {
    return new (native().LeafWriter)({
      ...leaf.type,
      zstdLevel: this.#settings.zstdLevel,
      pageBytes: PAGE_BYTES,
      dictionary: role !== 'text',
      order: role === 'text' ? ORDER.none : orderOf(leaf),
    });
  }

  async write(rows: SinkRows): Promise<void> {
    const total = rowCount(rows);
    const selected = rows.rows;
    for (let done = 0; done < total; ) {
      const take = Math.min(total - done, this.#settings.rowGroupRows - this.#groupRows);
      const whole = take === total;
      const part = whole ? selected : (selected ?? ascending(total)).subarray(done, done + take);
      const appended = await this.#append(rows, part);
      done += take;
      this.#groupRows += appended;
      this.#rows += appended;
      const rawBytes = this.#columns.reduce(
        (sum, c) => sum + c.leaves.reduce((inner, { writer }) => inner + writer.rawBytes, 0),
        0,
      );
      if (
        this.#groupRows >= this.#settings.rowGroupRows ||
        rawBytes >= this.#settings.rowGroupBytes
      ) {
        await this.#endRowGroup();
      }
    }
  }

  /** Rows that were appended: all, or those that the schema has a form for. */
  async #append(rows: SinkRows, part: Int32Array | null): Promise<number> {
    const carried = rows.carry?.select(part) ?? null;
    const sources = carrySources(this.#columns, rows.carry);
    const needsValues = sources.some((source) => source !== null && !carried?.leaves);
    const mixes = sources.some((source) => source !== null && !source.sameLevels);
    const plain = carried && (needsValues || mixes) ? await carried.plain() : null;
    const nRows = part?.length ?? rowCount({ ...rows, rows: null });
    const carries = this.#columns.map((open, at): (() => Promise<void>[]) | BadValues | null => {
      if (open.role !== 'carry') return null;
      return carriedAppend(open, sources[at] ?? null, carried, plain, nRows);
    });
    const bad = carries.filter((carry) => carry instanceof BadValues);
    if (bad.length > 0) {
      const problems = new Map(bad.reverse().flatMap(({ problems }) => [...problems]));
      const all = part ?? ascending(nRows);
      refuseRows(problems, all, rows.refuse);
      return this.#append(
        rows,
        all.filter((_, at) => !problems.has(at)),
      );
    }
    if (nRows === 0) return 0;
    const work = this.#columns.flatMap((open, at): Promise<void>[] => {
      if (open.role === 'text') {
        return [callNative(appendTexts(open.leaves[0]!.writer, rows.text, part))];
      }
      if (open.role === 'extra') return [this.#appendExtra(open, rows, part)];
      return (carries[at] as () => Promise<void>[])();
    });
    // Every call settles before an error leaves: none may still use the rows' memory.
    const results = await Promise.allSettled(work);
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
    return nRows;
  }

  async #appendExtra(
    { leaves }: OpenColumn,
    rows: SinkRows,
    part: Int32Array | null,
  ): Promise<void> {
    const { leaf, writer } = leaves[0]!;
    const values = rows.extra[leaf.element.name];
    if (values && isByteViews(values)) {
      return callNative(appendViews(writer, values, part));
    }
    const nRows = part?.length ?? rowCount({ ...rows, rows: null });
    if (leaf.element.type === 'INT64' || leaf.element.type === 'DOUBLE') {
      return callNative(appendNumbers(writer, leaf.element.type, values, part, nRows));
    }
    const { offsets, data, validity } = extraBytes(values, rowCount({ ...rows, rows: null }));
    await callNative(writer.appendArrow(offsets, data, validity, part));
  }

  async #endRowGroup(): Promise<void> {
    if (this.#groupRows === 0) return;
    const columns: ColumnChunk[] = [];
    const start = this.#output.offset;
    let rawBytes = 0;
    for (const { leaves } of this.#columns) {
      for (const { leaf, writer } of leaves) {
        const chunk = await callNative(writer.finish());
        columns.push(chunkMeta(leaf, chunk, this.#output.offset, this.#twins));
        rawBytes += chunk.uncompressedBytes;
        await this.#output.write(chunk.bytes);
      }
    }
    this.#rowGroups.push({
      columns,
      total_byte_size: BigInt(rawBytes),
      num_rows: BigInt(this.#groupRows),
      file_offset: BigInt(start),
      total_compressed_size: BigInt(this.#output.offset - start),
    });
    this.#groupRows = 0;
  }

  async close(): Promise<SinkResult> {
    try {
      await this.#endRowGroup();
      const keyValues = this.#settings.metadata.map(([key, value]) => ({
        key,
        ...(value !== undefined && { value }),
      }));
      const footer = footerBytes({
        version: 2,
        created_by: this.#settings.createdBy,
        schema: this.#schema,
        num_rows: BigInt(this.#rows),
        row_groups: this.#rowGroups,
        ...(keyValues.length > 0 && { key_value_metadata: keyValues }),
        metadata_length: 0,
      });
      await this.#output.write(footer);
      await this.#output.write(Buffer.from('PAR1'));
      return { ...(await this.#output.close()), rows: this.#rows };
    } catch (error) {
      await this.#output.abort();
      throw error;
    }
  }

  abort(): Promise<void> {
    return this.#output.abort();
  }
}

/** Header of the field `row_groups`: a list, one behind the field before it. */
const LIST_FIELD = 0x19;
/** Header of an empty list of structs. */
const NO_STRUCTS = 0x0c;

/**
 * A footer. hyparquet-writer 0.17 writes empty lists as lists of no type, which arrow-rs (Daft, DataFusion) refuses: the one list
 * that may be empty and must be there says what it is a list of.
 */
function footerBytes(metadata: FileMetaData): Uint8Array {
  const serialised = (some: FileMetaData): Uint8Array => {
    const writer = new ByteWriter();
    writeMetadata(writer, some, Number.POSITIVE_INFINITY);
    return writer.getBytes();
  };
  const bytes = serialised(metadata);
  if (metadata.row_groups.length > 0) return bytes;
  // hyparquet-writer maps the groups, and leaves out what is undefined.
  const left = { map: () => undefined } as unknown as FileMetaData['row_groups'];
  const { version, schema, num_rows, metadata_length } = metadata;
  const before: FileMetaData = { version, schema, num_rows, metadata_length, row_groups: left };
  // Without the list the bytes are the same up to its field.
  const without = serialised(before);
  const at = bytes.findIndex((byte, index) => byte !== without[index]);
  if (bytes[at] === LIST_FIELD && bytes[at + 1] === 0) bytes[at + 1] = NO_STRUCTS;
  return bytes;
}

/**
 * Integer annotations in their old form, which says the same: hyparquet-writer 0.17 writes the bit width of the new
 * one as an i32 where the format wants an i8, and strict readers refuse the footer.
 */
function writableElement(element: SchemaElement): SchemaElement {
  const { logical_type: logical, ...rest } = element;
  if (logical?.type !== 'INTEGER') return element;
  const name = `${logical.isSigned ? '' : 'U'}INT_${logical.bitWidth}`;
  return { ...rest, converted_type: name as NonNullable<SchemaElement['converted_type']> };
}

function ascending(length: number): Int32Array {
  return Int32Array.from({ length }, (_, row) => row);
}

/** Where a carried column of the output comes from. */
interface CarrySource {
  /** Index among the carried columns. */
  readonly index: number;
  /** Whether the leaves' levels mean the same there, so that they may pass unread. */
  readonly sameLevels: boolean;
}

/** For each column of the output its source, null where it is not carried or not there. */
function carrySources(
  columns: readonly OpenColumn[],
  carry: CarriedColumns | null,
): (CarrySource | null)[] {
  const indices = carriedIndices(columns, carry);
  return columns.map(({ leaves }, at) => {
    const index = indices[at]!;
    const source = carry?.columns[index];
    if (!source) return null;
    const theirs = leavesOf(source);
    const sameLevels =
      theirs.length === leaves.length &&
      theirs.every(({ type }, at) => {
        const own = leaves[at]!.leaf.type;
        // Flat columns may be required in one and optional in the other.
        const flat = type.maxRepetition === 0 && own.maxRepetition === 0 && leaves.length === 1;
        return (
          (flat && type.maxDefinition <= own.maxDefinition && own.maxDefinition <= 1) ||
          (type.maxDefinition === own.maxDefinition && type.maxRepetition === own.maxRepetition)
        );
      });
    return { index, sameLevels };
  });
}

/** Values that a column has no form for, by the index of the row. */
class BadValues {
  readonly problems = new Map<number, ValueProblem>();
}

/** Appends a carried column when it is called; nothing is appended before all columns are known to have a form. */
function carriedAppend(
  { column, leaves }: OpenColumn,
  source: CarrySource | null,
  carried: CarriedRows | null,
  plain: readonly (readonly PlainValue[])[] | null,
  nRows: number,
): (() => Promise<void>[]) | BadValues {
  const leafSource = carried?.leaves;
  if (source?.sameLevels && leafSource) {
    return () => leaves.map(({ writer }, leaf) => leafSource.appendTo(writer, source.index, leaf));
  }
  const values = (source && plain?.[source.index]) ?? new Array<PlainValue>(nRows).fill(null);
  const shape = shapeOf(column);
  try {
    const shredded = shredRows(shape, values);
    return () =>
      appendShredded(
        leaves.map(({ writer }) => writer),
        shredded,
      );
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    return badValues(column, shape, values);
  }
}

function badValues(column: CorpusColumn, shape: Shape, values: readonly PlainValue[]): BadValues {
  const bad = new BadValues();
  for (const [row, value] of values.entries()) {
    try {
      shredRows(shape, [value]);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      const { name, type: expected } = column;
      const received = error.message;
      bad.problems.set(row, { reason: 'field_type', column: name, expected, received });
    }
  }
  return bad;
}

/** Writes shredded values of a top-level column into its leaves. */
function appendShredded(
  writers: readonly LeafWriter[],
  shredded: readonly ShreddedLeaf[],
): Promise<void>[] {
  return shredded.map(({ nLevels, nValues, definition, repetition, plain }, at) =>
    callNative(writers[at]!.appendPlain(nLevels, nValues, definition, repetition, plain)),
  );
}

/** Appends numbers of a flat optional column; no numbers are nulls. */
function appendNumbers(
  writer: LeafWriter,
  type: 'INT64' | 'DOUBLE',
  values: Exclude<ExtraValues, ByteViews> | undefined,
  part: Int32Array | null,
  nRows: number,
): Promise<void> {
  const definition = new Uint8Array(nRows);
  const numbers = type === 'INT64' ? new BigInt64Array(nRows) : new Float64Array(nRows);
  let nValues = 0;
  for (let at = 0; at < nRows; at++) {
    const value = values?.[part ? part[at]! : at] ?? null;
    if (value === null || Number.isNaN(value)) continue;
    definition[at] = 1;
    numbers[nValues++] = value as never;
  }
  const plain = new Uint8Array(numbers.buffer, 0, nValues * numbers.BYTES_PER_ELEMENT);
  return writer.appendPlain(nRows, nValues, definition, null, plain);
}

/** How a leaf's values compare in statistics; `none` where readers disagree or the order is undefined. */
function orderOf({ element, type }: Leaf): number {
  if (type.maxRepetition > 0) return ORDER.none;
  const { converted_type: converted, logical_type: logical } = element;
  if (element.type === 'FLOAT' || element.type === 'DOUBLE') return ORDER.float;
  if (element.type === 'INT32' || element.type === 'INT64') {
    if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return ORDER.none;
    const unsigned =
      converted?.startsWith('UINT_') || (logical?.type === 'INTEGER' && !logical.isSigned);
    return unsigned ? ORDER.unsigned : ORDER.signed;
  }
  return element.type === 'BYTE_ARRAY' && isStringElement(element) && converted !== 'JSON'
    ? ORDER.bytes
    : ORDER.none;
}

function boundOf(element: SchemaElement, bytes: Uint8Array | undefined): MinMaxType | undefined {
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (element.type === 'INT32') return view.getInt32(0, true);
  if (element.type === 'INT64') return view.getBigInt64(0, true);
  if (element.type === 'FLOAT') return view.getFloat32(0, true);
  if (element.type === 'DOUBLE') return view.getFloat64(0, true);
  return bytes;
}

/** Paths that lead to several places, since names repeat: as JSON. */
function twinPaths(root: SchemaTree): ReadonlySet<string> {
  const seen = new Set<string>();
  const twins = new Set<string>();
  const visit = ({ path, children }: SchemaTree): void => {
    const key = JSON.stringify(path);
    if (seen.has(key)) twins.add(key);
    seen.add(key);
    for (const child of children) visit(child);
  };
  visit(root);
  return twins;
}

function chunkMeta(
  { element, path }: Leaf,
  chunk: LeafChunk,
  offset: number,
  twins: ReadonlySet<string>,
): ColumnChunk {
  // The footer's writer looks types of bounds up by path, which names two columns where names repeat.
  const isUnique = path.every((_, at) => !twins.has(JSON.stringify(path.slice(0, at + 1))));
  const encodings: Encoding[] = ['RLE'];
  if (chunk.nPlainPages > 0 || chunk.nDictionaryPages > 0) encodings.unshift('PLAIN');
  if (chunk.nDictionaryPages > 0) encodings.push('RLE_DICTIONARY');
  const min = boundOf(element, chunk.min);
  const max = boundOf(element, chunk.max);
  return {
    file_offset: BigInt(offset),
    meta_data: {
      type: element.type!,
      encodings,
      path_in_schema: [...path],
      codec: 'ZSTD',
      num_values: BigInt(chunk.nValues),
      total_uncompressed_size: BigInt(chunk.uncompressedBytes),
      total_compressed_size: BigInt(chunk.bytes.byteLength),
      data_page_offset: BigInt(offset + chunk.dictionaryBytes),
      ...(chunk.dictionaryBytes > 0 ? { dictionary_page_offset: BigInt(offset) } : {}),
      ...(isUnique && {
        statistics: {
          null_count: BigInt(chunk.nNulls),
          ...(min !== undefined && max !== undefined ? { min_value: min, max_value: max } : {}),
        },
      }),
    },
  };
}
