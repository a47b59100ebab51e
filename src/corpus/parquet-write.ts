/**
 * The Parquet sink: leaf columns encoded natively, the footer by hyparquet-writer.
 *
 * Carried columns of a Parquet source go from page to page as (levels, values), so every type, nested or not, comes
 * out as it went in. Texts go from their byte views into pages. The bytes written are a function of the rows, the
 * schema and the options.
 */
import type { ColumnChunk, Encoding, RowGroup, SchemaElement } from 'hyparquet';
import type { MinMaxType } from 'hyparquet/src/types.js';
import { ByteWriter } from 'hyparquet-writer';
import { encodeNestedValues } from 'hyparquet-writer/src/dremel.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { writePlain } from 'hyparquet-writer/src/plain.js';
import { callNative, type LeafChunk, type LeafWriter, native } from '../native.ts';
import { OutputFile } from './output-file.ts';
import { plainSchema } from './plain.ts';
import { isStringElement, type Leaf, leavesOf, schemaOf, treeOf } from './schema.ts';
import { extraBytes, rowCount, textColumnOf } from './sink-rows.ts';
import type { SinkSettings } from './sink-types.ts';
import type {
  CarriedRows,
  CorpusColumn,
  CorpusSink,
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
  #groupRows = 0;
  #rows = 0;

  private constructor(settings: SinkSettings, output: OutputFile) {
    this.#settings = settings;
    this.#output = output;
    this.#schema = schemaOf(settings.columns.map((c) => c.column)).map(writableElement);
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
      await this.#append(rows, part);
      done += take;
      this.#groupRows += take;
      this.#rows += take;
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

  async #append(rows: SinkRows, part: Int32Array | null): Promise<void> {
    const text = textColumnOf(rows.text);
    const carried = rows.carry?.select(part) ?? null;
    const plain = carried && !carried.leaves ? await carried.plain() : null;
    const work = this.#columns.flatMap(({ column, role, leaves }) => {
      if (role === 'text') {
        const { offsets, data, validity } = text;
        return [callNative(leaves[0]!.writer.appendArrow(offsets, data, validity, part))];
      }
      if (role === 'extra') return [this.#appendExtra(leaves[0]!, rows, part)];
      return leaves.map((open) => this.#appendCarried(open, column, carried, plain, part, rows));
    });
    // Every call settles before an error leaves: none may still use the rows' memory.
    const results = await Promise.allSettled(work);
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  }

  async #appendCarried(
    { leaf, writer }: OpenLeaf,
    column: CorpusColumn,
    carried: CarriedRows | null,
    plain: ReadonlyMap<string, readonly PlainValue[]> | null,
    part: Int32Array | null,
    rows: SinkRows,
  ): Promise<void> {
    if (carried?.leaves) return carried.leaves.appendTo(writer, leaf.path);
    const nRows = part?.length ?? rowCount({ ...rows, rows: null });
    const values = plain?.get(column.name) ?? new Array<PlainValue>(nRows).fill(null);
    await appendPlainValues(writer, leaf, column, values);
  }

  async #appendExtra(
    { leaf, writer }: OpenLeaf,
    rows: SinkRows,
    part: Int32Array | null,
  ): Promise<void> {
    const name = leaf.element.name;
    const values = rows.extra[name];
    const nRows = rowCount({ ...rows, rows: null });
    if (leaf.element.type === 'DOUBLE') {
      const all: PlainValue[] = values ? Array.from(values as ArrayLike<number | null>) : [];
      const picked = part ? Array.from(part, (row) => all[row]) : all;
      while (picked.length < (part?.length ?? nRows)) picked.push(null);
      const numbers = picked.map((v) => (typeof v === 'number' && !Number.isNaN(v) ? v : null));
      return appendPlainValues(
        writer,
        leaf,
        { name, type: 'double', elements: [leaf.element] },
        numbers,
      );
    }
    const { offsets, data, validity } = extraBytes(values, nRows);
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
        columns.push(chunkMeta(leaf, chunk, this.#output.offset));
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
      const footer = new ByteWriter();
      writeMetadata(
        footer,
        {
          version: 2,
          created_by: this.#settings.createdBy,
          schema: this.#schema,
          num_rows: BigInt(this.#rows),
          row_groups: this.#rowGroups,
          key_value_metadata: Object.entries(this.#settings.metadata).map(([key, value]) => ({
            key,
            value,
          })),
          metadata_length: 0,
        },
        Number.POSITIVE_INFINITY,
      );
      await this.#output.write(footer.getBytes());
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

/** Writes JS values of a top-level column into one of its leaves. */
async function appendPlainValues(
  writer: LeafWriter,
  leaf: Leaf,
  column: CorpusColumn,
  values: readonly PlainValue[],
): Promise<void> {
  const schema = plainSchema(schemaOf([column]));
  const path = [treeOf(schema)];
  for (const name of leaf.path) {
    path.push(path.at(-1)!.children.find((child) => child.element.name === name)!);
  }
  const rows = values.map((value) => (value === undefined ? null : value));
  const encoded = encodeNestedValues(path, rows);
  const present: unknown[] = [];
  for (const value of encoded.values as ArrayLike<unknown> & Iterable<unknown>) {
    if (value !== null && value !== undefined) present.push(value);
  }
  const bytes = new ByteWriter();
  const isString = isStringElement(leaf.element);
  const physical = isString
    ? present.map((v) => (typeof v === 'string' ? Buffer.from(v) : v))
    : present;
  writePlain(bytes, physical as never, leaf.element.type!, leaf.element.type_length);
  const nLevels = encoded.definitionLevels.length || encoded.values.length;
  const { maxDefinition, maxRepetition } = leaf.type;
  const definition = maxDefinition > 0 ? Uint8Array.from(encoded.definitionLevels) : null;
  const repetition = maxRepetition > 0 ? Uint8Array.from(encoded.repetitionLevels) : null;
  await callNative(
    writer.appendPlain(nLevels, present.length, definition, repetition, bytes.getBytes()),
  );
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

function chunkMeta({ element, path }: Leaf, chunk: LeafChunk, offset: number): ColumnChunk {
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
      statistics: {
        null_count: BigInt(chunk.nNulls),
        ...(min !== undefined && max !== undefined ? { min_value: min, max_value: max } : {}),
      },
    },
  };
}
