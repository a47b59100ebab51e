/**
 * Planning: what will be read, as data, before anything is read. Files become units; their schemas are compared;
 * what cannot be read is named.
 *
 * Invariants
 *  1. The plan is a function of the files and the options: same inputs, same units, on every machine.
 *  2. A unit is whole row groups of one Parquet file, whole lines of one plain JSONL file, a whole file, or many whole files
 *     that are a document each (unit-files.ts). Every file has one, rows or not.
 *  3. A file that cannot be read or does not fit is a failure of its own, with a code; the others are planned.
 */
import { constants } from 'node:buffer';
import { GristmillError, isGristmillError, throwIfAborted, untilAborted } from '../errors.ts';
import { ZSTD_WINDOW_LOG } from './byte-source.ts';
import { STDIN } from './formats.ts';
import { describeLeftOut, expandInputs } from './inputs.ts';
import { partitionColumn, partitionOf } from './partitions.ts';
import { checkColumns, chooseId, onlyTextName, type ScannedFile, scanFile } from './scan.ts';
import { SchemaBook } from './schemas.ts';
import { isSideFile } from './side-files.ts';
import type {
  CorpusColumn,
  CorpusPlan,
  CorpusUnit,
  FailedFile,
  LeftOut,
  SourceFile,
} from './types.ts';
import { isRowFile, joinsUnit, type UnitFile } from './unit-files.ts';

/** Options of {@link planCorpus}. */
export interface PlanOptions {
  /**
   * Files, directories (recursive), globs, or `-` for an Arrow IPC stream on standard input. They may be addresses: files,
   * prefixes and globs of `s3://BUCKET/…` and `hf://datasets/OWNER/NAME[@REVISION]/…`, files of `https://…`.
   */
  readonly inputs: readonly string[];
  /** Folders that results go to: what lies in them is no input. They need not be there yet. */
  readonly exclude?: readonly string[];
  /** Column of the text. Default `text`; where no file has that, the only one of `content`, `body`, `raw_content`. */
  readonly textColumn?: string;
  /** What a document of plain text (.txt) is. Default a file. */
  readonly textPer?: 'file' | 'line';
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
  /**
   * Lines of a JSONL file that are looked at to find its columns, or all of them. Default 10 000, at most 16 MiB.
   */
  readonly inferLines?: number | 'all';
  /** Longest line of a JSONL file, in bytes; at most 2^29 - 24, the longest string. Default 256 MiB. */
  readonly maxLineBytes?: number;
  /**
   * Largest window of a zstd-compressed JSONL file, as a power of two, 10..31; what `zstd --long=31` writes needs 31 and
   * 2 GiB of memory. Default 27.
   */
  readonly zstdWindowLog?: number;
  /** Told what lies in the inputs and is not read, a line for each reason, once the plan is made. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal;
}

/** Defaults of {@link PlanOptions}. */
export const PLAN_DEFAULTS = Object.freeze({
  textColumn: 'text',
  unitRows: 10_000,
  unitBytes: 64 * 2 ** 20,
  failFast: false,
  fullHash: false,
  maxLineBytes: 256 * 2 ** 20,
  zstdWindowLog: ZSTD_WINDOW_LOG,
});

/** Files that are looked at side by side. */
const SCANS_AT_ONCE = 8;

type Settings = typeof PLAN_DEFAULTS & {
  readonly inputs: readonly string[];
  readonly exclude?: readonly string[] | undefined;
  readonly textPer?: 'file' | 'line' | undefined;
  readonly idColumn?: string | null | undefined;
  readonly inferLines?: number | 'all' | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Plans a corpus.
 *
 * @throws CORPUS_NO_FILES when nothing matches; with `failFast`, or when nothing is readable, the first failure:
 * CORPUS_READ_FAILED, CORPUS_FILE_INVALID, CORPUS_COLUMN_MISSING, CORPUS_COLUMN_TYPE, CORPUS_SCHEMA_DIFFERS …
 * @throws PATH_REMOTE for schemes that are not read, STORAGE_*, ABORTED
 */
export async function planCorpus(options: PlanOptions): Promise<CorpusPlan> {
  // Raced, not only asked between files: opening a FIFO that nobody writes to never returns.
  const plan = await untilAborted(planOrGuess(options), options.signal, 'planning');
  if (options.onNotice) for (const line of describeLeftOut(plan.leftOut)) options.onNotice(line);
  return plan;
}

/**
 * Plans, and once more with the column that must be meant where nobody named one and no file has a `text`. Standard input is
 * read once, and its column is named.
 */
async function planOrGuess(options: PlanOptions): Promise<CorpusPlan> {
  if (options.textColumn !== undefined || options.inputs.includes(STDIN)) return makePlan(options);
  try {
    return await makePlan(options);
  } catch (error) {
    if (!isGristmillError(error, 'CORPUS_COLUMN_MISSING')) throw error;
    if (error.details['column'] !== PLAN_DEFAULTS.textColumn) throw error;
    const settings = { ...PLAN_DEFAULTS, ...dropUndefined(options) } as Settings;
    const textColumn = await onlyTextName(String(error.details['file']), settings);
    if (textColumn === null) throw error;
    return { ...(await makePlan({ ...options, textColumn })), isTextGuessed: true };
  }
}

async function makePlan(options: PlanOptions): Promise<CorpusPlan> {
  const settings = { ...PLAN_DEFAULTS, ...dropUndefined(options) } as Settings;
  checkJsonOptions(settings);
  const found = await expandInputs(settings.inputs, settings);
  const failures = [...found.failures];
  const sideFiles: typeof failures = [];
  // What a scan has found besides goes with it: there may be a million files, and as many row groups in one.
  const taken: (Pick<ScannedFile, 'file'> & { readonly schema: number })[] = [];
  const units: { -readonly [Key in keyof CorpusUnit]: CorpusUnit[Key] }[] = [];
  const book = new SchemaBook(settings.textColumn);
  let idColumn: string | null = settings.idColumn ?? null;
  let previous: UnitFile | undefined;
  for await (const { path, scanned, error } of scanAll(found.paths, settings)) {
    throwIfAborted(settings.signal, 'planning');
    try {
      if (!scanned) throw error;
      const id = chooseId(scanned.columns, settings.idColumn);
      await checkColumns(scanned, settings.textColumn, id);
      const schema = book.add(scanned);
      if (settings.idColumn === undefined) idColumn ??= id;
      const folders = isRowFile(scanned.file) ? JSON.stringify([...partitionOf(path)]) : '';
      const added = { ...scanned.file, schema, folders };
      if (!joinsUnit(units.at(-1), added, previous, settings)) {
        for (const unit of unitsOf(scanned, taken.length, settings)) {
          units.push({ id: '', index: units.length, ...unit });
        }
      }
      previous = added;
      taken.push({ file: scanned.file, schema });
    } catch (cause) {
      if (isGristmillError(cause, 'ABORTED')) throw cause;
      const coded = codedFor(path, cause);
      if (await isSideFile(path, settings.inputs, settings.textColumn, coded)) {
        sideFiles.push({ path, error: coded });
        continue;
      }
      if (settings.failFast) throw coded;
      failures.push({ path, error: coded });
    }
  }
  // Beside files that are read they are no failures; alone they are what was meant.
  if (taken.length === 0) failures.push(...sideFiles);
  // Nothing readable at all: the first reason says more than "no files".
  if (taken.length === 0 && failures[0]) throw failures[0].error;
  const { partitions, partitionsOf } = gatherPartitions(taken.map(({ file }) => file.path));
  const files = taken.map(({ file, schema }): SourceFile => {
    return { ...file, schema, partition: partitionsOf(file.path) };
  });
  const width = Math.max(5, String(units.length).length);
  for (const unit of units) unit.id = String(unit.index).padStart(width, '0');
  const columns = book.columns();
  const names = new Set(columns.map(({ name }) => name));
  return {
    files,
    units,
    columns: [...columns, ...partitions.filter(({ name }) => !names.has(name))],
    schemas: book.schemas(),
    partitions,
    textColumn: settings.textColumn,
    idColumn,
    failedFiles: failures.map(({ path, error }): FailedFile => {
      return { path, code: error.code, message: error.message };
    }),
    leftOut: withSideFiles(found.leftOut, taken.length === 0 ? 0 : sideFiles.length),
    maxLineBytes: settings.maxLineBytes,
    zstdWindowLog: settings.zstdWindowLog,
  };
}

function dropUndefined(options: PlanOptions): PlanOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, v]) => v !== undefined),
  ) as unknown as PlanOptions;
}

function withSideFiles(leftOut: LeftOut, nFiles: number): LeftOut {
  if (nFiles === 0) return leftOut;
  const otherFormats = { ...leftOut.otherFormats, '.json without JSON lines of texts': nFiles };
  return { ...leftOut, otherFormats };
}

/** @throws OPTION_INVALID */
function checkJsonOptions({ inferLines, maxLineBytes, zstdWindowLog }: Settings): void {
  const check = (option: string, value: unknown, low: number, high: number, or = ''): void => {
    if (Number.isSafeInteger(value) && Number(value) >= low && Number(value) <= high) return;
    const expected = `a whole number in ${low}..${high}${or}`;
    throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
  };
  check('maxLineBytes', maxLineBytes, 1, constants.MAX_STRING_LENGTH);
  check('zstdWindowLog', zstdWindowLog, 10, 31);
  if (inferLines === undefined || inferLines === 'all') return;
  check('inferLines', inferLines, 1, Number.MAX_SAFE_INTEGER, ' or all');
}

interface Scan {
  readonly path: string;
  readonly scanned: ScannedFile | null;
  readonly error: unknown;
}

/** Looks at the files, a few at a time; results come in the order of the paths. */
async function* scanAll(paths: readonly string[], settings: Settings): AsyncGenerator<Scan> {
  const scan = (path: string): Promise<Scan> =>
    scanFile(path, settings).then(
      (scanned) => ({ path, scanned, error: null }),
      (error: unknown) => ({ path, scanned: null, error }),
    );
  const pending: Promise<Scan>[] = [];
  for (const path of paths) {
    throwIfAborted(settings.signal, 'planning');
    pending.push(scan(path));
    if (pending.length >= SCANS_AT_ONCE) yield await pending.shift()!;
  }
  while (pending.length > 0) yield await pending.shift()!;
}

/** A file's failure with a code: what no reader has foreseen is damage that it cannot name better. */
function codedFor(file: string, cause: unknown): GristmillError {
  if (isGristmillError(cause)) return cause;
  const reason = `it cannot be read: ${(cause as Error).message}`;
  return new GristmillError('CORPUS_FILE_INVALID', { file, reason }, { cause });
}

/** Columns from folder names over all files, and each file's values of them. */
function gatherPartitions(paths: readonly string[]): {
  readonly partitions: readonly CorpusColumn[];
  partitionsOf(path: string): readonly (string | null)[];
} {
  const values = new Map<string, Set<string | null>>();
  for (const path of paths) {
    for (const [key, value] of partitionOf(path)) {
      const seen = values.get(key);
      if (seen) seen.add(value);
      else values.set(key, new Set([value]));
    }
  }
  const partitions = [...values].map(([key, seen]) => partitionColumn(key, seen));
  const partitionsOf = (path: string): readonly (string | null)[] => {
    const own = partitionOf(path);
    return partitions.map(({ name }) => own.get(name) ?? null);
  };
  return { partitions, partitionsOf };
}

function* unitsOf(
  scanned: ScannedFile,
  fileIndex: number,
  settings: Settings,
): Generator<Omit<CorpusUnit, 'id' | 'index'>> {
  const { file, rowGroups } = scanned;
  const none = {
    fileIndex,
    rowGroupStart: null,
    rowGroupEnd: null,
    byteStart: null,
    byteEnd: null,
  };
  if (file.format === 'parquet') {
    let start = 0;
    if (rowGroups.length === 0) {
      yield { ...none, rowGroupStart: 0, rowGroupEnd: 0, nRows: 0, bytes: 0 };
    }
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
      yield { ...none, rowGroupStart: start, rowGroupEnd: end, nRows, bytes };
      start = end;
    }
    return;
  }
  if (file.format !== 'jsonl') {
    yield { ...none, nRows: isRowFile(file) ? 1 : null, bytes: file.bytes };
    return;
  }
  const nUnits = Math.max(1, Math.ceil(file.bytes / settings.unitBytes));
  for (let part = 0; part < nUnits; part++) {
    const byteStart = part * settings.unitBytes;
    const byteEnd = Math.min(file.bytes, byteStart + settings.unitBytes);
    yield { ...none, byteStart, byteEnd, nRows: null, bytes: byteEnd - byteStart };
  }
}
