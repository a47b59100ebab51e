/**
 * Files of window examples (`chunks.parquet`): one row per {@link WindowExample}, column names in snake case.
 *
 * Reading takes Parquet, and JSON lines of the same columns, plain or compressed; other columns are ignored. Every
 * row is checked: one bad row ends the reading, because a measure or a training run over the rest would be silently
 * about something else. Writing makes Parquet under a partial name and renames it once it is whole and on the disk.
 */
import { rename, rm } from 'node:fs/promises';
import { SlabPool } from '../batch/slab-pool.ts';
import { formatOf, KNOWN_FORMATS } from '../corpus/formats.ts';
import { type MemoryDocument, memoryUnit } from '../corpus/memory.ts';
import { readRowBatches, requireColumn } from '../corpus/rows.ts';
import { flatColumn, stringColumn } from '../corpus/schema.ts';
import { openSink } from '../corpus/sink.ts';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { planTexts } from '../corpus/texts.ts';
import { type PlainValue, ROW_OK } from '../corpus/types.ts';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { type OutputTarget, outputTarget, pendingName } from '../pending-file.ts';
import { DIALECTS } from '../program/dialects.ts';
import { readRows } from '../scorers/gold.ts';
import { CHUNK_WAYS, type WindowExample } from './types.ts';

const SPLITS = ['train', 'validation'] as const;
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Largest line number that engines and executors take. */
const MAX_LINE = 2 ** 31 - 2;

/** Columns of an example in the order they are written, by field. */
const SLABS = { slabBytes: 32 * 2 ** 20, nSlabs: 2 };
const COLUMNS = {
  id: 'id',
  domain: 'domain',
  language: 'language',
  split: 'split',
  text: 'text',
  lineStart: 'line_start',
  lineEnd: 'line_end',
  dialect: 'dialect',
  program: 'program',
  refined: 'refined',
  way: 'way',
  expert: 'expert',
  requests: 'requests',
} as const satisfies Readonly<Record<keyof WindowExample, string>>;

const NUMBERS: ReadonlySet<string> = new Set(['line_start', 'line_end']);

/** Where a row is, for messages. */
interface Place {
  readonly file: string;
  /** From 0, in the order of the file. */
  readonly row: number;
}

/** Values of a row by column name. */
type Values = Readonly<Record<string, unknown>>;

/**
 * Reads the examples of one file in order.
 *
 * @param file path of a .parquet, .jsonl, .jsonl.gz or .jsonl.zst file
 * @throws CORPUS_VALUE_INVALID naming file, row (from 0), column and value; CORPUS_COLUMN_MISSING,
 *   CORPUS_COLUMN_TYPE, CORPUS_FORMAT_UNKNOWN, CORPUS_READ_FAILED, CORPUS_FILE_INVALID, CORPUS_CORRUPT;
 *   TRAIN_GOLD_INVALID for a line that is no JSON object; ABORTED
 */
export async function* readWindowExamples(
  file: string,
  signal?: AbortSignal,
): AsyncGenerator<WindowExample> {
  const format = formatOf(file);
  if (format === 'parquet') yield* readParquet(file, signal);
  else if (format?.startsWith('jsonl')) {
    let row = 0;
    for await (const { row: values } of readRows(file, signal)) {
      yield toExample(values, { file, row });
      row++;
    }
  } else
    throw new GristmillError('CORPUS_FORMAT_UNKNOWN', { file, formats: KNOWN_FORMATS, hint: '' });
}

async function* readParquet(
  file: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<WindowExample> {
  const whole = await planTexts({ inputs: [file], signal });
  const wanted = new Set<string>(Object.values(COLUMNS));
  const columns = whole.columns.filter((column) => wanted.has(column.name));
  for (const name of wanted) requireColumn(whole, name, file);
  const plan = { ...whole, columns, idColumn: null };
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let row = 0;
  for await (const { batch, rowStatus, columns: otherColumns } of readRowBatches(plan, signal)) {
    const { data, offsets } = batch.text;
    const others = await otherColumns();
    for (const [batchRow, status] of rowStatus.entries()) {
      const place = { file, row: row + batchRow };
      if (status !== ROW_OK) {
        refuse(place, 'text', 'a text in UTF-8', status === 1 ? null : 'other bytes');
      }
      const text = decoder.decode(data.subarray(offsets[batchRow], offsets[batchRow + 1]));
      const values: Record<string, PlainValue> = { text };
      for (const [name, all] of others) values[name] = all[batchRow];
      yield toExample(values, place);
    }
    row += rowStatus.length;
  }
}

function toExample(values: Values, place: Place): WindowExample {
  const example: WindowExample = {
    id: stringOf(values, 'id', place),
    domain: stringOf(values, 'domain', place),
    language: stringOf(values, 'language', place),
    split: choiceOf(values, 'split', SPLITS, place),
    text: stringOf(values, 'text', place),
    lineStart: lineOf(values, 'line_start', place),
    lineEnd: lineOf(values, 'line_end', place),
    dialect: choiceOf(
      values,
      'dialect',
      Object.keys(DIALECTS) as WindowExample['dialect'][],
      place,
    ),
    program: stringOf(values, 'program', place),
    refined: stringOf(values, 'refined', place),
    way: choiceOf(values, 'way', CHUNK_WAYS, place),
    expert: stringOf(values, 'expert', place),
    requests: stringOf(values, 'requests', place),
  };
  const { lineStart, lineEnd } = example;
  if (lineEnd <= lineStart) {
    refuse(place, 'line_end', `a number above line_start (${lineStart})`, lineEnd);
  }
  const nLines = countLines(example.text);
  if (nLines !== lineEnd - lineStart) {
    const expected = `${lineEnd - lineStart} lines, as line_start and line_end say`;
    refuse(place, 'text', expected, nLines);
  }
  return example;
}

function stringOf(values: Values, column: string, place: Place): string {
  const value = values[column];
  if (typeof value !== 'string') refuse(place, column, 'a string', value);
  const text = value as string;
  if (LONE_SURROGATE.test(text)) {
    const at = text.search(LONE_SURROGATE);
    refuse(place, column, 'well-formed Unicode', `half of a surrogate pair at ${at}`);
  }
  return text;
}

function choiceOf<Choice extends string>(
  values: Values,
  column: string,
  choices: readonly Choice[],
  place: Place,
): Choice {
  const value = values[column];
  if (!(choices as readonly unknown[]).includes(value)) {
    refuse(place, column, `one of ${choices.join(', ')}`, value);
  }
  return value as Choice;
}

function lineOf(values: Values, column: string, place: Place): number {
  const value = values[column];
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (!Number.isSafeInteger(number) || (number as number) < 0 || (number as number) > MAX_LINE) {
    refuse(place, column, `a whole number in 0..${MAX_LINE}`, value);
  }
  return number as number;
}

/** Lines of a text: they end at LF and nowhere else. */
function countLines(text: string): number {
  let nLines = 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) nLines++;
  return nLines;
}

function refuse(place: Place, column: string, expected: string, received: unknown): never {
  // Big integers have no JSON.
  const plain = typeof received === 'bigint' ? String(received) : received;
  throw new GristmillError('CORPUS_VALUE_INVALID', {
    ...place,
    column,
    expected,
    received: plain === undefined ? 'nothing' : plain === null ? 'null' : plain,
  });
}

/** What {@link writeWindowExamples} wrote. */
export interface ExampleFileResult {
  readonly rows: number;
  readonly bytes: number;
  /** Hex SHA-256 of the file. */
  readonly sha256: string;
}

/**
 * Writes examples as Parquet, in order; `line_start` and `line_end` are INT64. The file appears whole or not at all.
 *
 * @param path the file; an older one of that name is replaced
 * @throws CORPUS_VALUE_INVALID for an example that {@link readWindowExamples} would refuse; CORPUS_WRITE_FAILED,
 *   ABORTED
 */
export async function writeWindowExamples(
  path: string,
  examples: AsyncIterable<WindowExample> | Iterable<WindowExample>,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<ExampleFileResult> {
  const target = checkedTarget(path);
  const partial = target.isStream ? target.path : pendingName(target.path);
  const sink = await openSink({
    format: 'parquet',
    path: partial,
    columns: Object.values(COLUMNS).map((name) =>
      NUMBERS.has(name)
        ? flatColumn({ name, type: 'INT64', repetition_type: 'OPTIONAL' })
        : stringColumn(name),
    ),
    textColumn: 'text',
  });
  let written: ExampleFileResult;
  try {
    const slabs = new SlabPool(SLABS);
    const unit = memoryUnit(documentsOf(path, examples, signal), slabs, {
      ...(signal && { signal }),
    });
    for await (const { batch, carry } of unit) {
      try {
        await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      } finally {
        batch.release();
        carry.release();
      }
    }
    written = await sink.close();
  } catch (error) {
    await sink.abort();
    throw error;
  }
  try {
    if (!target.isStream) await rename(partial, target.path);
  } catch (cause) {
    await rm(partial, { force: true });
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_WRITE_FAILED', { file: path, reason }, { cause });
  }
  return { rows: written.rows, bytes: written.bytes, sha256: written.sha256 };
}

/** @throws CORPUS_WRITE_FAILED */
function checkedTarget(path: string): OutputTarget {
  // An object is there whole or not at all, under its own name.
  if (remoteScheme(path) === 's3') return { path, isStream: true };
  try {
    return outputTarget(path);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_WRITE_FAILED', { file: path, reason }, { cause });
  }
}

async function* documentsOf(
  file: string,
  examples: AsyncIterable<WindowExample> | Iterable<WindowExample>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MemoryDocument> {
  let row = 0;
  for await (const example of examples) {
    throwIfAborted(signal, 'writing');
    const values: Record<string, unknown> = {};
    for (const [field, column] of Object.entries(COLUMNS)) {
      values[column] = example[field as keyof WindowExample];
    }
    toExample(values, { file, row });
    row++;
    yield values as MemoryDocument;
  }
}
