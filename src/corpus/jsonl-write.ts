/**
 * The JSONL sink (zstd-compressed). Fields of a JSON source come out as the text they went in with, the text field in
 * its old place; other sources are rendered by their schema (see plain.ts).
 */
import { isUtf8 } from 'node:buffer';
import { GristmillError } from '../errors.ts';
import { fromNative, native, type StreamStep } from '../native/index.ts';
import { ValueError } from './dremel.ts';
import type { JsonFields } from './json-line.ts';
import { OutputFile } from './output-file.ts';
import { jsonOf } from './plain.ts';
import { refuseRows } from './refused-rows.ts';
import type { ValueProblem } from './reject-reasons.ts';
import { type Shape, shapeOf } from './shape.ts';
import { carriedValues, extraAt, rowCount, textAt } from './sink-rows.ts';
import type { SinkSettings } from './sink-types.ts';
import type { CorpusSink, PlainValue, SinkResult, SinkRows } from './types.ts';

const BLOCK_BYTES = 1 << 20;

/** A value that JSON has no form for. */
class UnwritableValue extends Error {
  readonly problem: ValueProblem;

  constructor(column: string, { message }: ValueError) {
    super(message);
    this.problem = {
      reason: 'field_utf8',
      column,
      expected: 'text that JSON can hold',
      received: message,
    };
  }
}

/** @see openSink */
export class JsonlSink implements CorpusSink {
  readonly #settings: SinkSettings;
  readonly #output: OutputFile;
  readonly #encoder;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readonly #shapes: readonly Shape[];
  /** Extra columns, and whether their bytes are no text. */
  readonly #extras: ReadonlyMap<string, boolean>;
  #lines: string[] = [];
  #pendingChars = 0;
  #rows = 0;

  private constructor(settings: SinkSettings, output: OutputFile) {
    this.#settings = settings;
    this.#output = output;
    this.#encoder = new (native().ZstdEncoder)(settings.zstdLevel);
    this.#shapes = settings.columns.map(({ column }) => shapeOf(column));
    const extras = settings.columns.filter(({ role }) => role === 'extra');
    this.#extras = new Map(extras.map(({ column }) => [column.name, column.type === 'byte_array']));
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async create(settings: SinkSettings): Promise<JsonlSink> {
    return new JsonlSink(settings, await OutputFile.create(settings.target));
  }

  async write(rows: SinkRows): Promise<void> {
    const total = rowCount(rows);
    const carried = rows.carry?.select(rows.rows) ?? null;
    const plain = carried && !carried.json ? await carried.plain() : null;
    const values = plain && carriedValues(this.#settings.columns, rows.carry, plain);
    for (let at = 0; at < total; at++) {
      const row = rows.rows?.[at] ?? at;
      const bytes = textAt(rows.text, row);
      const textJson =
        bytes === null
          ? 'null'
          : JSON.stringify(
              Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(),
            );
      const fields = carried?.json?.[at];
      const line = this.#lineOrRefusal(rows, row, () => {
        return fields
          ? this.#sourceLine(fields, textJson, rows, row)
          : this.#renderedLine(values, at, textJson, rows, row);
      });
      if (line === null) continue;
      this.#lines.push(line);
      this.#pendingChars += line.length;
      if (this.#pendingChars >= BLOCK_BYTES) await this.#flush();
      this.#rows++;
    }
  }

  /** A row's line; null where the row has a value that JSON has no form for and the caller takes such rows. */
  #lineOrRefusal(rows: SinkRows, row: number, render: () => string): string | null {
    try {
      return render();
    } catch (error) {
      if (!(error instanceof UnwritableValue)) throw error;
      refuseRows(new Map([[0, error.problem]]), Int32Array.of(row), rows.refuse);
      return null;
    }
  }

  #sourceLine(fields: JsonFields, textJson: string, rows: SinkRows, row: number): string {
    const { textColumn, replace } = this.#settings;
    // Of a repeated text the one that counts is replaced; the others stay as they were.
    const textAt = textColumn === null ? -1 : fields.indexOf(textColumn);
    const parts: string[] = [];
    for (let index = 0; index < fields.length; index++) {
      const name = fields.nameAt(index);
      if (this.#extras.has(name)) {
        if (replace) continue;
        throw new GristmillError('CORPUS_COLUMN_RESERVED', { file: '(input)', column: name });
      }
      const value = index === textAt ? textJson : fields.valueAt(index);
      parts.push(`${fields.keyAt(index)}:${value}`);
    }
    if (textColumn !== null && textAt < 0) {
      parts.push(`${JSON.stringify(textColumn)}:${textJson}`);
    }
    for (const name of this.#extras.keys()) {
      parts.push(`${JSON.stringify(name)}:${this.#extraJson(rows, name, row)}`);
    }
    return `{${parts.join(',')}}\n`;
  }

  #renderedLine(
    values: readonly (readonly PlainValue[] | null)[] | null,
    at: number,
    textJson: string,
    rows: SinkRows,
    row: number,
  ): string {
    const parts = this.#settings.columns.map(({ column: { name }, role }, index) => {
      let json = textJson;
      if (role === 'extra') json = this.#extraJson(rows, name, row);
      if (role === 'carry') {
        json = this.#valueJson(index, values?.[index]?.[at], name);
      }
      return `${JSON.stringify(name)}:${json}`;
    });
    return `{${parts.join(',')}}\n`;
  }

  #valueJson(index: number, value: PlainValue, column: string): string {
    try {
      return jsonOf(this.#shapes[index]!, value);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      throw new UnwritableValue(column, error);
    }
  }

  #extraJson(rows: SinkRows, name: string, row: number): string {
    const value = extraAt(rows.extra[name], row);
    if (value === null) return 'null';
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
    if (typeof value === 'string') return JSON.stringify(value);
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (this.#extras.get(name)) return JSON.stringify(bytes.toString('base64'));
    if (!isUtf8(bytes)) throw new UnwritableValue(name, new ValueError('text that is not UTF-8'));
    return JSON.stringify(bytes.toString());
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#lines.join(''));
    this.#lines = [];
    this.#pendingChars = 0;
    await this.#encode(bytes, false);
  }

  async #encode(bytes: Uint8Array, end: boolean): Promise<void> {
    let at = 0;
    for (;;) {
      let step: StreamStep;
      try {
        step = this.#encoder.encode(bytes.subarray(at), this.#block, end);
      } catch (error) {
        throw fromNative(error);
      }
      at += step.read;
      if (step.written > 0) await this.#output.write(this.#block.subarray(0, step.written));
      if (step.done) return;
    }
  }

  async close(): Promise<SinkResult> {
    try {
      await this.#flush();
      await this.#encode(new Uint8Array(0), true);
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
