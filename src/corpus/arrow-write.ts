/** The Arrow sink: an IPC stream of record batches, to a file or standard output. */
import {
  AsyncByteQueue,
  Field,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Utf8,
} from 'apache-arrow';
import { arrowDataOf, arrowTypeOf, bytesData } from './arrow-types.ts';
import { OutputFile } from './output-file.ts';
import { shapeOf } from './shape.ts';
import { carriedValues, rowCount, textAt, textColumnOf } from './sink-rows.ts';
import type { SinkSettings } from './sink-types.ts';
import type { CorpusSink, PlainValue, SinkResult, SinkRows } from './types.ts';

/** Collects what the Arrow writer encodes, so that the sink decides when it is written. */
class ByteCollector extends AsyncByteQueue {
  chunks: Uint8Array[] = [];
  override write(value: ArrayBufferView): void {
    const { buffer, byteOffset, byteLength } = value;
    if (byteLength > 0) this.chunks.push(new Uint8Array(buffer, byteOffset, byteLength));
  }
}

/** @see openSink */
export class ArrowSink implements CorpusSink {
  readonly #settings: SinkSettings;
  readonly #output: OutputFile;
  readonly #schema: Schema;
  readonly #writer = new RecordBatchStreamWriter({ autoDestroy: false });
  readonly #encoded = new ByteCollector();
  #rows = 0;

  private constructor(settings: SinkSettings, output: OutputFile) {
    this.#settings = settings;
    this.#output = output;
    const fields = settings.columns.map(({ column, role }) => {
      return new Field(
        column.name,
        role === 'text' ? new Utf8() : arrowTypeOf(shapeOf(column)),
        true,
      );
    });
    this.#schema = new Schema(
      fields,
      new Map(settings.metadata.map(([key, value]) => [key, value ?? ''])),
    );
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async create(settings: SinkSettings): Promise<ArrowSink> {
    const sink = new ArrowSink(settings, await OutputFile.create(settings.target));
    sink.#writer.reset(sink.#encoded, sink.#schema);
    return sink;
  }

  async write(rows: SinkRows): Promise<void> {
    const length = rowCount(rows);
    if (length === 0) return;
    const text = textColumnOf(rows.text);
    const plain = (await rows.carry?.select(rows.rows).plain()) ?? [];
    const carried = carriedValues(this.#settings.columns, rows.carry, plain);
    const children = this.#settings.columns.map(({ column, role }, index) => {
      if (role === 'text') {
        const values = Array.from({ length }, (_, at) => textAt(text, rows.rows?.[at] ?? at));
        return textData(values);
      }
      const extra = rows.extra[column.name];
      const values: PlainValue[] = Array.from({ length }, (_, at) => {
        if (role === 'carry') return carried[index]?.[at] ?? null;
        const value = extra?.[rows.rows?.[at] ?? at] ?? null;
        return typeof value === 'number' && Number.isNaN(value) ? null : value;
      });
      return arrowDataOf(shapeOf(column), values);
    });
    const type = new Struct(this.#schema.fields);
    const batch = new RecordBatch(this.#schema, makeData({ type, length, nullCount: 0, children }));
    this.#writer.write(batch);
    this.#rows += length;
    await this.#drain();
  }

  /** Moves what the writer has encoded to the output. */
  async #drain(): Promise<void> {
    const chunks = this.#encoded.chunks;
    this.#encoded.chunks = [];
    for (const chunk of chunks) await this.#output.write(chunk);
  }

  async close(): Promise<SinkResult> {
    try {
      this.#writer.finish();
      await this.#drain();
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

function textData(values: readonly (Uint8Array | null)[]) {
  const nullCount = values.filter((value) => value === null).length;
  if (nullCount === 0) return bytesData(new Utf8(), values, null, 0);
  const nullBitmap = new Uint8Array(Math.ceil(values.length / 8));
  for (const [row, value] of values.entries())
    if (value !== null) nullBitmap[row >> 3]! |= 1 << (row & 7);
  return bytesData(new Utf8(), values, nullBitmap, nullCount);
}
