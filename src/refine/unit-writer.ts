/**
 * The two files of a unit: rows that stay (kept, edited, failed) and rows that were dropped.
 */
import { join } from 'node:path';
import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import { ORIGINAL_COLUMN, openSink, STATUS_COLUMNS } from '../corpus/sink.ts';
import type {
  CorpusPlan,
  CorpusSink,
  ExtraColumn,
  SinkFormat,
  UnitBatch,
} from '../corpus/types.ts';
import { pendingPath, type UnitFile, unitName } from './ledger.ts';
import type { RefinedRows } from './refine-batch.ts';

/** What is written besides the refined text. */
export interface OutputSettings {
  readonly format: SinkFormat;
  readonly keepOriginal: boolean;
  readonly droppedText: boolean;
  readonly zstdLevel: number;
  readonly rowGroupRows: number;
  readonly rowGroupBytes: number;
}

const DROPPED_COLUMNS: readonly ExtraColumn[] = [
  { name: 'id', type: 'string' },
  { name: 'row', type: 'double' },
  { name: 'reason', type: 'string' },
  { name: 'score', type: 'double' },
  { name: 'program', type: 'string' },
];

/** Columns of the output besides the input's own. */
export function extraColumns(settings: Pick<OutputSettings, 'keepOriginal'>): ExtraColumn[] {
  return settings.keepOriginal ? [...STATUS_COLUMNS, ORIGINAL_COLUMN] : [...STATUS_COLUMNS];
}

/** Values of {@link extraColumns} for a batch, by row. */
export function extraValues(rows: RefinedRows, settings: Pick<OutputSettings, 'keepOriginal'>) {
  const { text } = rows.batch;
  return {
    gristmill_status: rows.status,
    gristmill_reason: rows.reason,
    gristmill_program: rows.program,
    gristmill_doc_score: nullIfNaN(rows.score),
    ...(settings.keepOriginal && {
      gristmill_original: rows.status.map((_, row) =>
        isNullAt(text, row)
          ? null
          : rows.reason[row] === 'invalid_utf8'
            ? rows.texts[row]!
            : bytesAt(text, row),
      ),
    }),
  };
}

function nullIfNaN(scores: Float64Array): (number | null)[] {
  return Array.from(scores, (score) => (Number.isNaN(score) ? null : score));
}

/** Writes one unit under the ledger's tmp folder. */
export interface UnitWriter {
  write(input: UnitBatch, rows: RefinedRows): Promise<void>;
  /** Completes both files; they are on the disk when this resolves. */
  close(): Promise<UnitFile[]>;
  abort(): Promise<void>;
}

/** File name extension of a format. */
export function extensionOf(format: SinkFormat): string {
  return format === 'arrow' ? 'arrows' : format;
}

/** Opens the files of unit `unit`; nothing has its public name before the ledger commits it. */
export async function openUnitWriter(
  out: string,
  plan: CorpusPlan,
  unit: number,
  settings: OutputSettings,
): Promise<UnitWriter> {
  const name = `part-${unitName(unit)}.${extensionOf(settings.format)}`;
  const stayingPath = name;
  const droppedPath = join('dropped', name);
  const common = {
    format: settings.format,
    zstdLevel: settings.zstdLevel,
    rowGroupRows: settings.rowGroupRows,
    rowGroupBytes: settings.rowGroupBytes,
  };
  const staying = await openSink({
    ...common,
    path: pendingPath(out, unit, stayingPath),
    columns: plan.columns,
    textColumn: plan.textColumn,
    extra: extraColumns(settings),
  });
  let dropped: CorpusSink;
  try {
    dropped = await openSink({
      ...common,
      path: pendingPath(out, unit, droppedPath),
      columns: settings.droppedText ? plan.columns.filter((c) => c.name === plan.textColumn) : [],
      textColumn: settings.droppedText ? plan.textColumn : null,
      extra: DROPPED_COLUMNS,
    });
  } catch (error) {
    await staying.abort();
    throw error;
  }
  return {
    async write(input, rows) {
      const isDropped = rows.status.map((status) => status === 'dropped');
      const pick = (wanted: boolean): Int32Array =>
        Int32Array.from(isDropped.keys()).filter((row) => isDropped[row] === wanted);
      const extra = extraValues(rows, settings);
      await staying.write({ text: rows.texts, rows: pick(false), carry: input.carry, extra });
      const { id, text } = input.batch;
      await dropped.write({
        text,
        rows: pick(true),
        carry: null,
        extra: {
          id: isDropped.map((_, row) => (id && !isNullAt(id, row) ? bytesAt(id, row) : null)),
          row: isDropped.map((_, row) => input.firstRow + row),
          reason: rows.reason,
          score: extra.gristmill_doc_score,
          program: rows.program,
        },
      });
    },
    async close() {
      const files: UnitFile[] = [];
      for (const [path, sink] of [
        [stayingPath, staying],
        [droppedPath, dropped],
      ] as const) {
        files.push({ path, ...(await sink.close()) });
      }
      return files;
    },
    async abort() {
      await Promise.allSettled([staying.abort(), dropped.abort()]);
    },
  };
}
