/** Looking at one file before the run: its size, fingerprint, columns and row groups. */
import type { FileMetaData } from 'hyparquet';
import { GristmillError } from '../errors.ts';
import { callNative } from '../native/index.ts';
import { ARROW_SCHEMA_KEY, withArrowFields } from './arrow-fields.ts';
import { arrowColumns } from './arrow-read.ts';
import { readLines } from './byte-lines.ts';
import { familyOf, namedFormatOf, STDIN } from './formats.ts';
import { fingerprintOf } from './inputs.ts';
import { jsonFields } from './json-line.ts';
import { columnsOfText, inferColumns } from './jsonl-infer.ts';
import { openLeaf, readFooter } from './parquet-file.ts';
import { columnsOf, isPrimitiveColumn, isTextColumn, leavesOf } from './schema.ts';
import { nameOf } from './storage/addresses.ts';
import { knownFile } from './storage/storages.ts';
import type { CorpusColumn, CorpusFormat, SourceFile } from './types.ts';

/** What a scan needs of the options of a plan. */
export interface ScanSettings {
  readonly textColumn: string;
  /** What a document of plain text is; default a file. */
  readonly textPer?: 'file' | 'line' | undefined;
  readonly fullHash: boolean;
  readonly inferLines?: number | 'all' | undefined;
  readonly maxLineBytes: number;
  readonly zstdWindowLog: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a file turns out to be. */
export interface ScannedFile {
  readonly file: Omit<SourceFile, 'schema' | 'partition'>;
  readonly columns: readonly CorpusColumn[];
  /** Parquet: rows and bytes of text per row group. */
  readonly rowGroups: readonly {
    readonly rows: number;
    readonly textBytes: number;
    readonly bytes: number;
  }[];
}

/** Looks at a file. @throws CORPUS_* */
export async function scanFile(path: string, settings: ScanSettings): Promise<ScannedFile> {
  const named = namedFormatOf(nameOf(path)) as CorpusFormat;
  const format =
    settings.textPer === 'line' ? (named.replace(/^txt\b/, 'lines') as CorpusFormat) : named;
  if (path === STDIN) {
    const file = { path, format, bytes: 0, rows: null, fingerprint: STDIN };
    return { file, columns: await arrowColumns(path), rowGroups: [] };
  }
  const { bytes } = await knownFile(path, settings.signal);
  const fingerprint = await fingerprintOf(path, settings.fullHash);
  if (format === 'parquet') {
    const footer = await readFooter(path, fingerprint);
    const columns = parquetColumns(path, footer);
    const rowGroups = footer.row_groups.map((group) => {
      const text = group.columns.find(
        (c) => c.meta_data?.path_in_schema[0] === settings.textColumn,
      );
      return {
        rows: Number(group.num_rows),
        textBytes: Number(text?.meta_data?.total_uncompressed_size ?? 0),
        bytes: group.columns.reduce(
          (sum, c) => sum + Number(c.meta_data?.total_compressed_size ?? 0),
          0,
        ),
      };
    });
    const rows = Number(footer.num_rows);
    return { file: { path, format, bytes, rows, fingerprint }, columns, rowGroups };
  }
  const file = { path, format, bytes, rows: null, fingerprint };
  if (format === 'arrow') return { file, columns: await arrowColumns(path), rowGroups: [] };
  // Packed ones are read, so that damage is found before anything is refined.
  const columns =
    format === 'txt'
      ? columnsOfText(settings.textColumn)
      : await inferColumns(path, format, settings);
  return { file, columns, rowGroups: [] };
}

function parquetColumns(path: string, footer: FileMetaData): CorpusColumn[] {
  if (footer.schema.some(({ name }) => typeof name !== 'string')) {
    const reason = 'its schema is damaged: a column has no name';
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason });
  }
  try {
    const arrow = footer.key_value_metadata?.find(({ key }) => key === ARROW_SCHEMA_KEY);
    return withArrowFields(columnsOf(footer.schema), arrow?.value);
  } catch (cause) {
    const reason = `its schema is damaged: ${(cause as Error).message}`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason }, { cause });
  }
}

/** The column of ids that a file is taken to have. */
export function chooseId(
  columns: readonly CorpusColumn[],
  wish: string | null | undefined,
): string | null {
  if (wish !== undefined) return wish;
  const id = columns.find((column) => column.name === 'id');
  return id && isPrimitiveColumn(id) ? 'id' : null;
}

/** @throws CORPUS_COLUMN_MISSING, CORPUS_COLUMN_TYPE */
export async function checkColumns(
  { file, columns }: ScannedFile,
  textColumn: string,
  idColumn: string | null,
): Promise<void> {
  // An empty JSONL file says nothing of its columns.
  if (columns.length === 0 && familyOf(file.format) === 'jsonl') return;
  const missing = (column: string, suggestion: string): GristmillError =>
    new GristmillError('CORPUS_COLUMN_MISSING', {
      file: file.path,
      column,
      suggestion,
      columns: columns.map(({ name }) => name).join(', '),
    });
  const text = columns.find(({ name }) => name === textColumn);
  if (!text) throw missing(textColumn, await textSuggestion(file, textColumn, columns));
  if (!isTextColumn(text)) throw typeError(file.path, text, 'a flat string column');
  if (idColumn === null) return;
  const id = columns.find(({ name }) => name === idColumn);
  if (!id) throw missing(idColumn, closest(idColumn, columns, '--id-column'));
  if (!isPrimitiveColumn(id)) throw typeError(file.path, id, 'a flat column of a primitive type');
}

/** What columns of texts are called, besides `text`, in corpora that are published. */
const TEXT_NAMES = ['content', 'body', 'raw_content'];

/** The column of a file that must hold its text, by its name; null where none or several may. */
export async function onlyTextName(path: string, settings: ScanSettings): Promise<string | null> {
  const { columns } = await scanFile(path, settings);
  const named = columns.filter(
    (column) => TEXT_NAMES.includes(column.name) && isTextColumn(column) && column.type !== 'json',
  );
  return named.length === 1 ? named[0]!.name : null;
}

function typeError(file: string, column: CorpusColumn, expected: string): GristmillError {
  return new GristmillError('CORPUS_COLUMN_TYPE', {
    file,
    column: column.name,
    expected,
    received: column.type,
  });
}

function closest(wanted: string, columns: readonly CorpusColumn[], flag: string): string {
  const lower = wanted.toLowerCase();
  const close = columns.find(({ name }) => {
    const other = name.toLowerCase();
    return other !== '' && (other === lower || other.includes(lower) || lower.includes(other));
  });
  return close ? ` (did you mean ${close.name}? ${flag} names it)` : ` (${flag} names one)`;
}

/** Columns that are named; more are no help. */
const MAX_SUGGESTED = 3;

/** Columns that may hold the text, those with the longest values first. */
async function textSuggestion(
  file: ScannedFile['file'],
  wanted: string,
  columns: readonly CorpusColumn[],
): Promise<string> {
  const candidates = columns.filter((column) => isTextColumn(column) && column.type !== 'json');
  const close = candidates.filter(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (close.length > 0) return closest(wanted, close, '--text-column');
  if (candidates.length === 0) return ' (it has no column of strings)';
  const lengths = await textLengths(file, candidates).catch(() => new Map<string, number>());
  const sorted = [...candidates].sort(
    (a, b) => (lengths.get(b.name) ?? 0) - (lengths.get(a.name) ?? 0),
  );
  const names = sorted.slice(0, MAX_SUGGESTED).map(({ name }) => name);
  const order = lengths.size > 0 && candidates.length > 1 ? ', longest first' : '';
  return ` (--text-column names it; columns of strings${order}: ${names.join(', ')})`;
}

/** Rows whose fields are measured, and bytes of them. */
const MEASURED_ROWS = 200;
const MEASURED_BYTES = 2 ** 20;

/** Bytes of columns in the first rows; empty for Arrow, where the order of the schema has to do. */
async function textLengths(
  { path, format }: ScannedFile['file'],
  candidates: readonly CorpusColumn[],
): Promise<Map<string, number>> {
  const bytes = new Map<string, number>();
  const add = (name: string, n: number): void => {
    bytes.set(name, (bytes.get(name) ?? 0) + n);
  };
  if (format === 'parquet') {
    const footer = await readFooter(path);
    let leafStart = 0;
    for (const column of columnsOf(footer.schema)) {
      const leaves = leavesOf(column, leafStart);
      leafStart += leaves.length;
      if (!candidates.some(({ name }) => name === column.name) || leaves.length !== 1) continue;
      const reader = openLeaf(path, footer, leaves[0]!, 0, footer.row_groups.length);
      try {
        const rows = await callNative(reader.prepare(MEASURED_ROWS, MEASURED_BYTES));
        add(column.name, rows.dataBytes / Math.max(1, rows.nRows));
      } finally {
        reader.close();
      }
    }
  } else if (familyOf(format) === 'jsonl') {
    const whole = { path, format, byteStart: null, byteEnd: null, maxLineBytes: 2 ** 28 };
    let nLines = 0;
    for await (const group of readLines(whole)) {
      for (const line of group) {
        for (const [name, raw] of jsonFields(line.bytes.toString())) add(name, raw.length);
        if (++nLines >= MEASURED_ROWS) return bytes;
      }
    }
  }
  return bytes;
}
