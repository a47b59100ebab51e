/**
 * The Arrow sink: an IPC stream of record batches, to a file or standard output.
 *
 * Columns that came from Arrow go out in the type that they came in; others in the type that their Parquet type means
 * (arrow-fields.ts). Every batch is preceded by the dictionaries that it refers to, in the order of its values.
 *
 * Rows of a call are a record batch; {@link ArrowAnswerSink} holds them, with copies of their texts, until they are one.
 */
import { GristmillError } from '../errors.ts';
import { batchMessage, dictionaryMessage, END_OF_STREAM, schemaMessage } from './arrow-build.ts';
import { BatchTooLarge, type ColumnValues, encodeRows } from './arrow-encode.ts';
import { ARROW_SCHEMA_KEY, arrowFieldOf, withOwnDictionaries } from './arrow-fields.ts';
import type { ArrowField, ArrowMetadata } from './arrow-schema.ts';
import { ValueError } from './dremel.ts';
import { OutputFile } from './output-file.ts';
import { refuseRows } from './refused-rows.ts';
import type { ValueProblem } from './reject-reasons.ts';
import { type Shape, shapeOf } from './shape.ts';
import { carriedValues, extraAt, rowCount, textAt } from './sink-rows.ts';
import type { SinkSettings } from './sink-types.ts';
import {
  type AnswerSink,
  type CorpusSink,
  type KeyValues,
  MORE,
  type PlainValue,
  type SinkResult,
  type SinkRows,
} from './types.ts';

/** @see openSink */
export class ArrowSink implements CorpusSink {
  readonly #settings: SinkSettings;
  readonly #output: OutputFile;
  readonly #fields: readonly ArrowField[];
  readonly #shapes: readonly Shape[];
  #rows = 0;

  protected constructor(settings: SinkSettings, fields: readonly ArrowField[], output: OutputFile) {
    this.#settings = settings;
    this.#output = output;
    this.#fields = fields;
    this.#shapes = settings.columns.map(({ column }) => shapeOf(column));
  }

  /** @throws CORPUS_WRITE_FAILED, CORPUS_UNSUPPORTED */
  static async create(settings: SinkSettings): Promise<ArrowSink> {
    const { fields, output } = await ArrowSink.begin(settings);
    return new ArrowSink(settings, fields, output);
  }

  /** An output that begins with the schema of its columns. */
  protected static async begin(settings: SinkSettings) {
    const fields = withOwnDictionaries(settings.columns.map(({ column }) => arrowFieldOf(column)));
    const output = await OutputFile.create(settings.target);
    try {
      const metadata = settings.metadata
        .filter(([key]) => key !== ARROW_SCHEMA_KEY)
        .map(([key, value]) => [key, value ?? ''] as const);
      await output.write(schemaMessage({ fields, metadata }));
      return { fields, output };
    } catch (error) {
      await output.abort();
      throw error;
    }
  }

  async write(rows: SinkRows): Promise<void> {
    const length = rowCount(rows);
    if (length === 0) return;
    const columns = await this.valuesOf(rows);
    const batchRows = rows.rows ?? Int32Array.from({ length }, (_, row) => row);
    await this.writeRows(columns, batchRows, { refuse: rows.refuse });
  }

  /** The values of rows, column by column; texts are views. */
  protected async valuesOf(rows: SinkRows): Promise<ColumnValues[]> {
    const length = rowCount(rows);
    const plain = (await rows.carry?.select(rows.rows).plain()) ?? [];
    const carried = carriedValues(this.#settings.columns, rows.carry, plain);
    return this.#settings.columns.map(({ column, role }, at): ColumnValues => {
      const pick = (valueAt: (row: number) => PlainValue): PlainValue[] => {
        return Array.from({ length }, (_, row) => valueAt(rows.rows?.[row] ?? row));
      };
      let values = carried[at] ?? null;
      if (role === 'text') values = pick((row) => textAt(rows.text, row));
      if (role === 'extra') values = pick((row) => extraAt(rows.extra[column.name], row));
      values ??= new Array<PlainValue>(length).fill(null);
      return { field: this.#fields[at]!, shape: this.#shapes[at]!, values };
    });
  }

  /** Columns without values. */
  protected noValues(): { field: ArrowField; shape: Shape; values: PlainValue[] }[] {
    return this.#fields.map((field, at) => ({ field, shape: this.#shapes[at]!, values: [] }));
  }

  /** Writes a record batch, of no rows too, or several. @param batchRows for each value of the columns its row in the batch */
  protected async writeRows(
    columns: readonly ColumnValues[],
    batchRows: Int32Array,
    how: { readonly refuse?: SinkRows['refuse']; readonly metadata?: ArrowMetadata },
  ): Promise<void> {
    const { length } = batchRows;
    let encoded: ReturnType<typeof encodeRows>;
    try {
      encoded = encodeRows(columns, length);
    } catch (error) {
      if (error instanceof BatchTooLarge) return this.#writeHalves(columns, batchRows, how);
      if (!(error instanceof ValueError)) throw error;
      const problems = problemsOf(columns, length);
      if (problems.size === 0) throw error;
      refuseRows(problems, batchRows, how.refuse);
      const isGood = (_: unknown, row: number): boolean => !problems.has(row);
      const good = columns.map((column) => ({ ...column, values: column.values.filter(isGood) }));
      if (problems.size === length) return;
      return this.writeRows(good, batchRows.filter(isGood), how);
    }
    for (const { id, batch } of encoded.dictionaries) {
      await this.#output.write(dictionaryMessage(id, batch));
    }
    await this.#output.write(batchMessage(encoded.batch, how.metadata));
    this.#rows += length;
  }

  async #writeHalves(
    columns: readonly ColumnValues[],
    batchRows: Int32Array,
    how: Parameters<ArrowSink['writeRows']>[2],
  ): Promise<void> {
    const { length } = batchRows;
    if (length === 1) {
      const reason = 'one row takes more than an Arrow batch of its types holds';
      throw new GristmillError('CORPUS_UNSUPPORTED', { file: '(output)', reason });
    }
    const half = length >> 1;
    const { metadata } = how;
    const first = metadata ? { ...how, metadata: [...metadata, [MORE, 'true'] as const] } : how;
    await this.writeRows(rowsOf(columns, 0, half), batchRows.subarray(0, half), first);
    await this.writeRows(rowsOf(columns, half, length), batchRows.subarray(half), how);
  }

  async close(): Promise<SinkResult> {
    try {
      await this.#output.write(END_OF_STREAM);
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

/** @see openAnswerSink */
export class ArrowAnswerSink extends ArrowSink implements AnswerSink {
  #held = this.noValues();

  static override async create(settings: SinkSettings): Promise<ArrowAnswerSink> {
    const { fields, output } = await ArrowSink.begin(settings);
    return new ArrowAnswerSink(settings, fields, output);
  }

  override async write(rows: SinkRows): Promise<void> {
    for (const [at, { values }] of (await this.valuesOf(rows)).entries()) {
      const { values: held } = this.#held[at]!;
      for (const value of copied(values)) held.push(value);
    }
  }

  async answer(metadata: KeyValues): Promise<void> {
    const held = this.#held;
    this.#held = this.noValues();
    const batchRows = Int32Array.from({ length: held[0]?.values.length ?? 0 }, (_, row) => row);
    await this.writeRows(held, batchRows, {
      metadata: metadata.map(([key, value]) => [key, value ?? ''] as const),
    });
  }
}

/** Values whose bytes are nobody else's: those of texts are views on memory that is given back. */
function copied(values: readonly PlainValue[]): readonly PlainValue[] {
  let nBytes = 0;
  for (const value of values) if (value instanceof Uint8Array) nBytes += value.byteLength;
  if (nBytes === 0) return values;
  const bytes = new Uint8Array(nBytes);
  let end = 0;
  return values.map((value) => {
    if (!(value instanceof Uint8Array)) return value;
    const start = end;
    end += value.byteLength;
    bytes.set(value, start);
    return bytes.subarray(start, end);
  });
}

function rowsOf(columns: readonly ColumnValues[], start: number, end: number): ColumnValues[] {
  return columns.map((column) => ({ ...column, values: column.values.slice(start, end) }));
}

/** The rows with a value that has no form, and the first such column of each. */
function problemsOf(columns: readonly ColumnValues[], length: number): Map<number, ValueProblem> {
  const problems = new Map<number, ValueProblem>();
  for (let row = 0; row < length; row++) {
    for (const column of rowsOf(columns, row, row + 1)) {
      if (problems.has(row)) break;
      try {
        encodeRows([column], 1);
      } catch (error) {
        if (!(error instanceof ValueError)) continue;
        const { name, type } = column.field;
        const expected = `Arrow ${type.kind}`;
        const received = error.message;
        problems.set(row, { reason: 'field_type', column: name, expected, received });
      }
    }
  }
  return problems;
}
