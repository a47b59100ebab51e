/**
 * The files of a unit: rows that stay (kept, edited, failed), rows that were dropped, and, where there are any, rows
 * that could not be rows, with their raw bytes.
 */
import { join } from 'node:path';
import { codedViews, nullViews, viewsOfColumn } from '../batch/byte-views.ts';
import { keptMetadata } from '../corpus/metadata.ts';
import { refusedRows } from '../corpus/refused-rows.ts';
import type { ValueProblem } from '../corpus/reject-reasons.ts';
import { REJECTED_COLUMNS, rejectedValues } from '../corpus/rejected.ts';
import { ORIGINAL_COLUMN, openSink, STATUS_COLUMNS } from '../corpus/sink.ts';
import type {
  CorpusPlan,
  CorpusSink,
  ExtraColumn,
  ExtraValues,
  RejectedRow,
  SinkFormat,
  SinkRows,
  UnitBatch,
} from '../corpus/types.ts';
import { partitionsOf } from '../corpus/unit.ts';
import { placesOf, type RowPlace } from '../corpus/unit-files.ts';
import { ScoreWriter, STATUS_REFUSED } from '../scores/score-file.ts';
import { unitName } from '../work/output-folder.ts';
import type { Ledger } from './ledger.ts';
import {
  type ColumnRows,
  reasonViews,
  rowsWhere,
  statusViews,
  withRefused,
} from './refined-rows.ts';
import { scoresPath, type UnitFile, type UnitRecord } from './unit-record.ts';

/** What is written besides the refined text. */
export interface OutputSettings {
  /** Format of all parts; null for that of their inputs: JSON lines for JSON lines, else Parquet. */
  readonly format: SinkFormat | null;
  /** What the names of added columns begin with; null for the default, which those of dropped/ do without. */
  readonly statusPrefix: string | null;
  /** Whether columns of the input that are called like added ones give way. */
  readonly replaceStatus: boolean;
  readonly keepOriginal: boolean;
  readonly droppedText: boolean;
  readonly zstdLevel: number;
  readonly rowGroupRows: number;
  readonly rowGroupBytes: number;
  /** Whether the scores of rows are kept. */
  readonly keepsScores?: boolean;
}

const DROPPED_COLUMNS: readonly ExtraColumn[] = [
  { name: 'id', type: 'string' },
  { name: 'file', type: 'string' },
  { name: 'row', type: 'int64' },
  { name: 'reason', type: 'string' },
  { name: 'score', type: 'double' },
  { name: 'program', type: 'string' },
];

/** What decides the columns that are added. */
type AddedSettings = Pick<OutputSettings, 'keepOriginal' | 'statusPrefix'>;

const DEFAULT_PREFIX = 'gristmill_';

/** Columns of the output besides the input's own. */
export function extraColumns({ keepOriginal, statusPrefix }: AddedSettings): ExtraColumn[] {
  const columns = keepOriginal ? [...STATUS_COLUMNS, ORIGINAL_COLUMN] : [...STATUS_COLUMNS];
  return columns.map(({ name, type }) => ({ name: prefixed(name, statusPrefix), type }));
}

function prefixed(name: string, prefix: string | null): string {
  return prefix === null ? name : `${prefix}${name.slice(DEFAULT_PREFIX.length)}`;
}

/** Columns of dropped/ besides the text. */
export function droppedColumns({ statusPrefix }: AddedSettings): ExtraColumn[] {
  return DROPPED_COLUMNS.map(({ name, type }) => ({ name: `${statusPrefix ?? ''}${name}`, type }));
}

/** Names that a field of JSON lines may not have; none where added columns take the place. */
export function reservedNames(
  settings: AddedSettings & Pick<OutputSettings, 'replaceStatus'>,
): ReadonlySet<string> {
  if (settings.replaceStatus) return new Set();
  return new Set(extraColumns(settings).map(({ name }) => name));
}

/** The format of a unit's parts. */
export function formatOfUnit(
  plan: CorpusPlan,
  unit: number,
  { format }: Pick<OutputSettings, 'format'>,
): SinkFormat {
  if (format !== null) return format;
  const { family } = plan.schemas[plan.files[plan.units[unit]!.fileIndex]!.schema]!;
  return family === 'jsonl' ? 'jsonl.zst' : 'parquet';
}

/** Values of {@link extraColumns} for a batch, by row. */
export function extraValues(
  { columns }: ColumnRows,
  settings: AddedSettings,
): Record<string, ExtraValues> {
  const values: Record<string, ExtraValues> = {
    gristmill_status: statusViews(columns),
    gristmill_reason: reasonViews(columns),
    gristmill_program: columns.program,
    gristmill_doc_score: columns.score,
    ...(settings.keepOriginal && { gristmill_original: columns.original }),
  };
  const named = Object.entries(values).map(([name, column]) => {
    return [prefixed(name, settings.statusPrefix), column] as const;
  });
  return Object.fromEntries(named);
}

/** Rejected rows as a sink takes them. */
export function rejectedRows(
  placeOf: (row: bigint) => RowPlace,
  rows: readonly RejectedRow[],
): SinkRows {
  const text = rows.map(() => null);
  return { text, rows: null, carry: null, extra: rejectedValues(placeOf, rows) };
}

function byRow({ row: left }: RejectedRow, { row: right }: RejectedRow): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Writes one unit under the ledger's tmp folder. */
export interface UnitWriter {
  /** The rows as they were written: those with a value that the output has no form for are failed, and rejected. */
  write(input: UnitBatch, rows: ColumnRows): Promise<ColumnRows>;
  /** Completes the files; they are on the disk when this resolves. */
  close(): Promise<Pick<UnitRecord, 'files' | 'scores'>>;
  abort(): Promise<void>;
}

/** File name extension of a format. */
export function extensionOf(format: SinkFormat): string {
  return format === 'arrow' ? 'arrows' : format;
}

/** Opens the files of unit `unit`; nothing has its public name before the ledger commits it. */
export async function openUnitWriter(
  ledger: Pick<Ledger, 'pendingPath'>,
  plan: CorpusPlan,
  unit: number,
  settings: OutputSettings,
): Promise<UnitWriter> {
  const format = formatOfUnit(plan, unit, settings);
  const name = `part-${unitName(unit)}.${extensionOf(format)}`;
  const stayingPath = name;
  const droppedPath = join('dropped', name);
  const rejectedPath = join('rejected', name);
  const common = {
    format,
    zstdLevel: settings.zstdLevel,
    rowGroupRows: settings.rowGroupRows,
    rowGroupBytes: settings.rowGroupBytes,
  };
  const file = plan.files[plan.units[unit]!.fileIndex]!;
  const { nFiles } = plan.units[unit]!;
  const placeOf = placesOf(plan, plan.units[unit]!);
  const placesOfRows = (rows: BigInt64Array): Record<'file' | 'row', ExtraValues> => {
    if (nFiles === undefined) {
      return { file: codedViews(new Uint8Array(rows.length), [file.path]), row: rows };
    }
    const places = Array.from(rows, placeOf);
    return { file: places.map((place) => place.file), row: places.map((place) => place.row) };
  };
  const own = plan.schemas[file.schema]!.columns;
  const columns = [...own, ...partitionsOf(plan, file).map(({ column }) => column)];
  const staying = await openSink({
    ...common,
    path: ledger.pendingPath(unit, stayingPath),
    columns,
    textColumn: plan.textColumn,
    extra: extraColumns(settings),
    replace: settings.replaceStatus,
    metadata: await keptMetadata(plan, plan.units[unit]!),
  });
  let dropped: CorpusSink;
  try {
    dropped = await openSink({
      ...common,
      path: ledger.pendingPath(unit, droppedPath),
      columns: settings.droppedText ? columns.filter((c) => c.name === plan.textColumn) : [],
      textColumn: settings.droppedText ? plan.textColumn : null,
      extra: droppedColumns(settings),
    });
  } catch (error) {
    await staying.abort();
    throw error;
  }
  let scores: ScoreWriter | null = null;
  try {
    if (settings.keepsScores) {
      scores = await ScoreWriter.create(ledger.pendingPath(unit, scoresPath(unit)));
    }
  } catch (error) {
    await Promise.allSettled([staying.abort(), dropped.abort()]);
    throw error;
  }
  // Most units have none: their file is made with the first of them.
  let rejected: CorpusSink | null = null;
  const reject = async (rows: readonly RejectedRow[]): Promise<void> => {
    if (rows.length === 0) return;
    rejected ??= await openSink({
      ...common,
      path: ledger.pendingPath(unit, rejectedPath),
      columns: [],
      textColumn: null,
      extra: REJECTED_COLUMNS,
    });
    await rejected.write(rejectedRows(placeOf, rows));
  };
  return {
    async write(input, rows) {
      if (input.batch.nDocs === 0) {
        await reject(input.rejected);
        return rows;
      }
      const extra = extraValues(rows, settings);
      const refused = new Map<number, ValueProblem>();
      const refuse = (row: number, problem: ValueProblem): void => {
        refused.set(row, problem);
      };
      const { carry } = input;
      const { columns } = rows;
      const kept = rowsWhere(columns, false);
      await staying.write({ text: columns.text, rows: kept, carry, extra, refuse });
      const gone = rowsWhere(columns, true);
      if (gone.length > 0) {
        const { id, text, nDocs } = input.batch;
        const values: Record<string, ExtraValues> = {
          id: id ? viewsOfColumn(id) : nullViews(nDocs, []),
          ...placesOfRows(input.rowNumbers),
          reason: reasonViews(columns),
          score: columns.score,
          program: columns.program,
        };
        const named = Object.entries(values).map(([column, all]) => {
          return [`${settings.statusPrefix ?? ''}${column}`, all] as const;
        });
        const taken = Object.fromEntries(named);
        await dropped.write({ text, rows: gone, carry: null, extra: taken, refuse });
      }
      const others = await refusedRows(input, plan.textColumn, refused);
      await reject([...input.rejected, ...others].sort(byRow));
      const written = withRefused(rows, refused);
      if (scores && rows.scores) {
        const status = written.columns.status.map((number, row) =>
          refused.has(row) ? STATUS_REFUSED : number,
        );
        const rowNumbers = Float64Array.from(input.rowNumbers, Number);
        await scores.write({ ...rows.scores, rowNumbers, status });
      }
      return written;
    },
    async close() {
      const files: UnitFile[] = [];
      for (const [path, sink] of [
        [stayingPath, staying],
        [droppedPath, dropped],
        [rejectedPath, rejected],
      ] as const) {
        if (sink) files.push({ path, ...(await sink.close()) });
      }
      if (!scores) return { files };
      return { files, scores: { path: scoresPath(unit), ...(await scores.close()) } };
    },
    async abort() {
      const open = [staying, dropped, rejected, scores];
      await Promise.allSettled(open.map((each) => each?.abort()));
    },
  };
}
