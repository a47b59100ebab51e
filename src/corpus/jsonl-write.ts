/**
 * The JSONL sink (zstd-compressed). Fields of a JSON source come out as the text they went in with, the text field in
 * its old place; other sources are rendered by their schema (see plain.ts).
 */
import type { SchemaTree } from 'hyparquet';
import { fromNative, native, type StreamStep } from '../native.ts';
import { OutputFile } from './output-file.ts';
import { jsonOf } from './plain.ts';
import { columnTree } from './schema.ts';
import { rowCount, textAt, textColumnOf } from './sink-rows.ts';
import type { SinkSettings } from './sink-types.ts';
import type { CorpusSink, PlainValue, SinkResult, SinkRows } from './types.ts';

const BLOCK_BYTES = 1 << 20;

/** @see openSink */
export class JsonlSink implements CorpusSink {
  readonly #settings: SinkSettings;
  readonly #output: OutputFile;
  readonly #encoder;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readonly #trees: ReadonlyMap<string, SchemaTree>;
  #lines: string[] = [];
  #pendingChars = 0;
  #rows = 0;

  private constructor(settings: SinkSettings, output: OutputFile) {
    this.#settings = settings;
    this.#output = output;
    this.#encoder = new (native().ZstdEncoder)(settings.zstdLevel);
    this.#trees = new Map(settings.columns.map(({ column }) => [column.name, columnTree(column)]));
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async create(settings: SinkSettings): Promise<JsonlSink> {
    return new JsonlSink(settings, await OutputFile.create(settings.target));
  }

  async write(rows: SinkRows): Promise<void> {
    const text = textColumnOf(rows.text);
    const total = rowCount(rows);
    const carried = rows.carry?.select(rows.rows) ?? null;
    const plain = carried && !carried.json ? await carried.plain() : null;
    for (let at = 0; at < total; at++) {
      const row = rows.rows?.[at] ?? at;
      const bytes = textAt(text, row);
      const textJson =
        bytes === null
          ? 'null'
          : JSON.stringify(
              Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(),
            );
      const fields = carried?.json?.[at];
      const line = fields
        ? this.#sourceLine(fields, textJson, rows, row)
        : this.#renderedLine(plain, at, textJson, rows, row);
      this.#lines.push(line);
      this.#pendingChars += line.length;
      if (this.#pendingChars >= BLOCK_BYTES) await this.#flush();
      this.#rows++;
    }
  }

  #sourceLine(
    fields: ReadonlyMap<string, string>,
    textJson: string,
    rows: SinkRows,
    row: number,
  ): string {
    const { textColumn, columns } = this.#settings;
    const extras = new Set(columns.filter((c) => c.role === 'extra').map((c) => c.column.name));
    const parts: string[] = [];
    for (const [name, raw] of fields) {
      if (extras.has(name)) continue;
      parts.push(`${JSON.stringify(name)}:${name === textColumn ? textJson : raw}`);
    }
    if (textColumn !== null && !fields.has(textColumn)) {
      parts.push(`${JSON.stringify(textColumn)}:${textJson}`);
    }
    for (const name of extras) parts.push(`${JSON.stringify(name)}:${extraJson(rows, name, row)}`);
    return `{${parts.join(',')}}\n`;
  }

  #renderedLine(
    plain: ReadonlyMap<string, readonly PlainValue[]> | null,
    at: number,
    textJson: string,
    rows: SinkRows,
    row: number,
  ): string {
    const parts = this.#settings.columns.map(({ column: { name }, role }) => {
      let json = textJson;
      if (role === 'extra') json = extraJson(rows, name, row);
      if (role === 'carry') json = jsonOf(this.#trees.get(name)!, plain?.get(name)?.[at]);
      return `${JSON.stringify(name)}:${json}`;
    });
    return `{${parts.join(',')}}\n`;
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

function extraJson(rows: SinkRows, name: string, row: number): string {
  const value = rows.extra[name]?.[row];
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
  return JSON.stringify(
    typeof value === 'string' ? value : Buffer.from(value as Uint8Array).toString(),
  );
}
