/** Opening sinks: one options object for every format. */
import { GristmillError } from '../errors.ts';
import { withArrowSchema } from './arrow-fields.ts';
import { ArrowAnswerSink, ArrowSink } from './arrow-write.ts';
import { JsonlSink } from './jsonl-write.ts';
import { ParquetSink } from './parquet-write.ts';
import { flatColumn, stringColumn } from './schema.ts';
import type { SinkColumn, SinkSettings } from './sink-types.ts';
import type {
  AnswerSink,
  CorpusColumn,
  CorpusSink,
  ExtraColumn,
  KeyValues,
  SinkFormat,
} from './types.ts';

/** Options of {@link openSink}. */
export interface SinkOptions {
  readonly format: SinkFormat;
  /** File to write; give a temporary name and rename it once {@link CorpusSink.close} has resolved. */
  readonly path?: string;
  /** Stream to write to instead, such as standard output. It is not ended. */
  readonly stream?: NodeJS.WritableStream;
  /** Columns of the corpus, as in the plan; the text column is written in its place. */
  readonly columns: readonly CorpusColumn[];
  /** Null when the rows have no text. */
  readonly textColumn: string | null;
  /** Columns to add at the end. */
  readonly extra?: readonly ExtraColumn[];
  /** Whether columns of the corpus give way to added ones of their name; otherwise they are refused. Default false. */
  readonly replace?: boolean;
  /** 1 (fast) to 19 (small). Default 3. */
  readonly zstdLevel?: number;
  /** Rows of a row group or record batch. Default 10 000. */
  readonly rowGroupRows?: number;
  /** Uncompressed bytes that end a row group early. Default 64 MiB. */
  readonly rowGroupBytes?: number;
  /** Key-value metadata of Parquet and Arrow files. */
  readonly metadata?: KeyValues;
}

/** Defaults of {@link SinkOptions}. */
export const SINK_DEFAULTS = Object.freeze({
  zstdLevel: 3,
  rowGroupRows: 10_000,
  rowGroupBytes: 64 * 2 ** 20,
  createdBy: 'gristmill',
});

/** Columns that `refine` adds, in order. */
export const STATUS_COLUMNS: readonly ExtraColumn[] = Object.freeze([
  { name: 'gristmill_status', type: 'string' },
  { name: 'gristmill_reason', type: 'string' },
  { name: 'gristmill_program', type: 'string' },
  { name: 'gristmill_doc_score', type: 'double' },
] as const);

/** The column of the untouched text, with `--keep-original`. */
export const ORIGINAL_COLUMN: ExtraColumn = Object.freeze({
  name: 'gristmill_original',
  type: 'string',
});

/**
 * Opens a sink.
 *
 * @throws CORPUS_WRITE_FAILED when the output cannot be created
 * @throws OPTION_INVALID, CORPUS_COLUMN_RESERVED
 */
export async function openSink(options: SinkOptions): Promise<CorpusSink> {
  const settings = settingsOf(options);
  if (options.format === 'parquet') {
    const all = settings.columns.map(({ column }) => column);
    return ParquetSink.create({ ...settings, metadata: withArrowSchema(settings.metadata, all) });
  }
  if (options.format === 'jsonl.zst') return JsonlSink.create(settings);
  if (options.format === 'arrow') return ArrowSink.create(settings);
  throw new GristmillError('OPTION_INVALID', {
    option: 'format',
    expected: 'parquet, jsonl.zst or arrow',
    received: options.format,
  });
}

/**
 * Opens an Arrow stream whose record batches are answers.
 *
 * @throws CORPUS_WRITE_FAILED, OPTION_INVALID, CORPUS_COLUMN_RESERVED
 */
export function openAnswerSink(options: Omit<SinkOptions, 'format'>): Promise<AnswerSink> {
  return ArrowAnswerSink.create(settingsOf(options));
}

function settingsOf(options: Omit<SinkOptions, 'format'>): SinkSettings {
  checkNumber('zstdLevel', options.zstdLevel, 1, 19);
  checkNumber('rowGroupRows', options.rowGroupRows, 1, 2 ** 31 - 1);
  checkNumber('rowGroupBytes', options.rowGroupBytes, 1, Number.MAX_SAFE_INTEGER);
  const target = options.stream ? { stream: options.stream } : { path: options.path ?? '' };
  return {
    target,
    columns: sinkColumns(options),
    textColumn: options.textColumn,
    zstdLevel: options.zstdLevel ?? SINK_DEFAULTS.zstdLevel,
    rowGroupRows: options.rowGroupRows ?? SINK_DEFAULTS.rowGroupRows,
    rowGroupBytes: options.rowGroupBytes ?? SINK_DEFAULTS.rowGroupBytes,
    metadata: options.metadata ?? [],
    replace: options.replace ?? false,
    createdBy: SINK_DEFAULTS.createdBy,
  };
}

function sinkColumns({
  columns,
  textColumn,
  extra = [],
  replace,
}: Omit<SinkOptions, 'format'>): SinkColumn[] {
  const added = new Set(extra.map((column) => column.name));
  const twice = [...columns.map(({ name }) => name), textColumn].find((name) => {
    return name !== null && added.has(name) && (!replace || name === textColumn);
  });
  if (twice !== undefined) {
    throw new GristmillError('CORPUS_COLUMN_RESERVED', { file: '(input)', column: twice });
  }
  const kept = columns
    .filter((column) => column.name === textColumn || !added.has(column.name))
    .map((column): SinkColumn => {
      return { column, role: column.name === textColumn ? 'text' : 'carry' };
    });
  if (textColumn !== null && !kept.some((c) => c.role === 'text')) {
    kept.unshift({ column: stringColumn(textColumn), role: 'text' });
  }
  return [
    ...kept,
    ...extra.map((column): SinkColumn => ({ column: extraColumn(column), role: 'extra' })),
  ];
}

function extraColumn({ name, type }: ExtraColumn): CorpusColumn {
  if (type === 'string') return stringColumn(name);
  const physical = ({ double: 'DOUBLE', int64: 'INT64', bytes: 'BYTE_ARRAY' } as const)[type];
  return flatColumn({ name, type: physical, repetition_type: 'OPTIONAL' });
}

function checkNumber(option: string, value: number | undefined, low: number, high: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= low && value <= high)) return;
  throw new GristmillError('OPTION_INVALID', {
    option,
    expected: `a whole number in ${low}..${high}`,
    received: value,
  });
}
