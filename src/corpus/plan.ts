/**
 * Planning: what will be read, as data, before anything is read. Files become units; their schemas are compared;
 * what cannot be read is named.
 *
 * Invariants
 *  1. The plan is a function of the files and the options: same inputs, same units, on every machine.
 *  2. A unit is whole row groups of one Parquet file, whole lines of one plain JSONL file, or a whole file.
 */
import { stat } from 'node:fs/promises';
import { type ErrorCode, GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { arrowColumns } from './arrow-read.ts';
import { expandInputs, fingerprintOf, formatOf, STDIN } from './inputs.ts';
import { inferColumns, joinColumns } from './jsonl-infer.ts';
import { readFooter } from './parquet-file.ts';
import { columnsOf, isPrimitiveColumn, isTextColumn, sameColumn, widen } from './schema.ts';
import type { CorpusColumn, CorpusFormat, CorpusPlan, CorpusUnit, SourceFile } from './types.ts';

/** Options of {@link planCorpus}. */
export interface PlanOptions {
  /** Files, directories (recursive), globs, or `-` for an Arrow IPC stream on standard input. */
  readonly inputs: readonly string[];
  /** Column of the text. Default `text`. */
  readonly textColumn?: string;
  /** Column that names documents; null for none. Default: `id` where there is one. */
  readonly idColumn?: string | null;
  /** Rows of a unit, about. Default 10 000. */
  readonly unitRows?: number;
  /** Bytes of text of a unit, about. Default 64 MiB. */
  readonly unitBytes?: number;
  /** Whether the first unreadable file ends planning; otherwise it is listed in `failedFiles`. Default false. */
  readonly failFast?: boolean;
  /** Hash whole files for their fingerprints: slow, survives copying. Default false. */
  readonly fullHash?: boolean;
  /** Lines of a JSONL file that are looked at to find its columns; Infinity for all. Default 10 000. */
  readonly inferLines?: number;
  /** Longest line of a JSONL file, in bytes. Default 256 MiB. */
  readonly maxLineBytes?: number;
  readonly signal?: AbortSignal;
}

/** Defaults of {@link PlanOptions}. */
export const PLAN_DEFAULTS = Object.freeze({
  textColumn: 'text',
  unitRows: 10_000,
  unitBytes: 64 * 2 ** 20,
  failFast: false,
  fullHash: false,
  inferLines: 10_000,
  maxLineBytes: 256 * 2 ** 20,
});

/** What a file turns out to be. */
interface ScannedFile {
  readonly file: SourceFile;
  readonly columns: readonly CorpusColumn[];
  /** Parquet: rows and bytes of text per row group. */
  readonly rowGroups: readonly {
    readonly rows: number;
    readonly textBytes: number;
    readonly bytes: number;
  }[];
}

/**
 * Plans a corpus.
 *
 * @throws CORPUS_NO_FILES when nothing matches, or nothing that matches is readable
 * @throws CORPUS_COLUMN_MISSING, CORPUS_COLUMN_TYPE, CORPUS_SCHEMA_DIFFERS with `failFast`, or when it is the first file
 */
export async function planCorpus(options: PlanOptions): Promise<CorpusPlan> {
  const settings = { ...PLAN_DEFAULTS, ...dropUndefined(options) } as Settings;
  const paths = await expandInputs(settings.inputs);
  const failedFiles: { path: string; code: ErrorCode; message: string }[] = [];
  const scanned: ScannedFile[] = [];
  let columns: readonly CorpusColumn[] = [];
  let idColumn: string | null = null;
  let firstError: GristmillError | undefined;
  for (const path of paths) {
    throwIfAborted(settings.signal, 'planning');
    try {
      const file = await scanFile(path, settings);
      const first = scanned[0];
      if (!first) idColumn = chooseId(file, settings.idColumn);
      checkColumns(file, settings.textColumn, idColumn);
      const jsonOnly = [...scanned, file].every((s) => s.file.format.startsWith('jsonl'));
      columns = first ? mergeColumns(first.file.path, columns, file, jsonOnly) : file.columns;
      scanned.push(file);
    } catch (error) {
      if (!isGristmillError(error) || settings.failFast) throw error;
      firstError ??= error;
      failedFiles.push({ path, code: error.code, message: error.message });
    }
  }
  // Nothing readable at all: the first reason says more than "no files".
  if (scanned.length === 0 && firstError) throw firstError;
  const files = scanned.map((s) => s.file);
  const units = scanned.flatMap((s, fileIndex) => unitsOf(s, fileIndex, settings));
  const width = Math.max(5, String(units.length).length);
  return {
    files,
    units: units.map((unit, index) => ({ ...unit, index, id: String(index).padStart(width, '0') })),
    columns,
    textColumn: settings.textColumn,
    idColumn,
    failedFiles,
    maxLineBytes: settings.maxLineBytes,
  };
}

type Settings = typeof PLAN_DEFAULTS & {
  readonly inputs: readonly string[];
  readonly idColumn?: string | null | undefined;
  readonly signal?: AbortSignal | undefined;
};

function dropUndefined(options: PlanOptions): PlanOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, v]) => v !== undefined),
  ) as unknown as PlanOptions;
}

async function scanFile(path: string, settings: Settings): Promise<ScannedFile> {
  const format = formatOf(path) as CorpusFormat;
  if (path === STDIN) {
    const file = { path, format, bytes: 0, rows: null, fingerprint: STDIN };
    return { file, columns: await arrowColumns(path), rowGroups: [] };
  }
  const bytes = (await stat(path)).size;
  const fingerprint = await fingerprintOf(path, settings.fullHash);
  if (format === 'parquet') {
    const footer = await readFooter(path, fingerprint);
    const columns = parquetColumns(path, footer.schema);
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
  const columns = await inferColumns(path, format, settings);
  return { file, columns, rowGroups: [] };
}

function parquetColumns(path: string, schema: Parameters<typeof columnsOf>[0]): CorpusColumn[] {
  try {
    return columnsOf(schema);
  } catch (cause) {
    const reason = `its schema is damaged: ${(cause as Error).message}`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason }, { cause });
  }
}

function chooseId(file: ScannedFile, wish: string | null | undefined): string | null {
  if (wish !== undefined) return wish;
  const id = file.columns.find((column) => column.name === 'id');
  return id && isPrimitiveColumn(id) ? 'id' : null;
}

/** @throws CORPUS_COLUMN_MISSING, CORPUS_COLUMN_TYPE */
export function checkColumns(
  { file, columns }: Pick<ScannedFile, 'file' | 'columns'>,
  textColumn: string,
  idColumn: string | null,
): void {
  // An empty JSONL file says nothing of its columns.
  if (columns.length === 0 && file.format !== 'parquet') return;
  const find = (name: string): CorpusColumn => {
    const found = columns.find((column) => column.name === name);
    if (found) return found;
    throw new GristmillError('CORPUS_COLUMN_MISSING', {
      file: file.path,
      column: name,
      suggestion: suggestion(name, columns),
      columns: columns.map((column) => column.name).join(', '),
    });
  };
  const text = find(textColumn);
  if (!isTextColumn(text)) {
    throw typeError(file.path, text, 'a flat string column');
  }
  if (idColumn !== null && !isPrimitiveColumn(find(idColumn))) {
    throw typeError(file.path, find(idColumn), 'a flat column of a primitive type');
  }
}

function typeError(file: string, column: CorpusColumn, expected: string): GristmillError {
  return new GristmillError('CORPUS_COLUMN_TYPE', {
    file,
    column: column.name,
    expected,
    received: column.type,
  });
}

function suggestion(name: string, columns: readonly CorpusColumn[]): string {
  const wanted = name.toLowerCase();
  const close = columns.find((column) => {
    const other = column.name.toLowerCase();
    return other === wanted || other.includes(wanted) || wanted.includes(other);
  });
  const guess = close ?? columns.find(isTextColumn);
  return guess ? ` (did you mean ${guess.name}?)` : '';
}

/** @throws CORPUS_SCHEMA_DIFFERS */
function mergeColumns(
  firstPath: string,
  columns: readonly CorpusColumn[],
  { file, columns: others }: ScannedFile,
  jsonOnly: boolean,
): readonly CorpusColumn[] {
  if (others.length === 0) return columns;
  const isJson = file.format.startsWith('jsonl');
  const fail = (name: string, firstType: string, secondType: string): never => {
    throw new GristmillError('CORPUS_SCHEMA_DIFFERS', {
      first: firstPath,
      second: file.path,
      column: name,
      firstType,
      secondType,
    });
  };
  const merged = columns.map((column) => {
    const other = others.find((o) => o.name === column.name);
    if (!other) {
      // A field that no line of the sample has is a null, in JSON.
      const optional = column.elements[0]?.repetition_type === 'OPTIONAL';
      return isJson && optional ? column : fail(column.name, column.type, 'nothing');
    }
    if (sameColumn(column, other)) return widen(column, other);
    // JSON declares no types: what the samples showed is joined.
    return jsonOnly ? joinColumns(column, other) : fail(column.name, column.type, other.type);
  });
  const known = new Set(columns.map((column) => column.name));
  const added = others.filter((o) => !known.has(o.name));
  if (jsonOnly) return [...merged, ...added];
  for (const column of added) fail(column.name, 'nothing', column.type);
  return merged;
}

function unitsOf(
  scanned: ScannedFile,
  fileIndex: number,
  settings: Settings,
): Omit<CorpusUnit, 'id' | 'index'>[] {
  const { file, rowGroups } = scanned;
  const none = {
    fileIndex,
    rowGroupStart: null,
    rowGroupEnd: null,
    byteStart: null,
    byteEnd: null,
  };
  if (file.format === 'parquet') {
    const units: Omit<CorpusUnit, 'id' | 'index'>[] = [];
    let start = 0;
    while (start < rowGroups.length) {
      let end = start;
      let nRows = 0;
      let textBytes = 0;
      let bytes = 0;
      // At least one row group; another one only while it fits.
      do {
        nRows += rowGroups[end]!.rows;
        textBytes += rowGroups[end]!.textBytes;
        bytes += rowGroups[end]!.bytes;
        end++;
      } while (
        end < rowGroups.length &&
        nRows + rowGroups[end]!.rows <= settings.unitRows &&
        textBytes + rowGroups[end]!.textBytes <= settings.unitBytes
      );
      units.push({ ...none, rowGroupStart: start, rowGroupEnd: end, nRows, bytes });
      start = end;
    }
    return units;
  }
  if (file.format !== 'jsonl') return [{ ...none, nRows: null, bytes: file.bytes }];
  const nUnits = Math.max(1, Math.ceil(file.bytes / settings.unitBytes));
  return Array.from({ length: file.bytes === 0 ? 0 : nUnits }, (_, part) => {
    const byteStart = part * settings.unitBytes;
    const byteEnd = Math.min(file.bytes, byteStart + settings.unitBytes);
    return { ...none, byteStart, byteEnd, nRows: null, bytes: byteEnd - byteStart };
  });
}
