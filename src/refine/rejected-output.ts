/** Where a stream's rows go that it cannot hold: a file of their own, or the end of the run. */
import { rename } from 'node:fs/promises';
import { formatOf } from '../corpus/formats.ts';
import { REJECTED_COLUMNS } from '../corpus/rejected.ts';
import { openSink } from '../corpus/sink.ts';
import type { RejectedRow, SinkFormat } from '../corpus/types.ts';
import type { RowPlace } from '../corpus/unit-files.ts';
import { GristmillError } from '../errors.ts';
import { rejectedRows } from './unit-writer.ts';

/** An open place for rejected rows. */
export interface RejectedOutput {
  /** @throws RUN_ROW_REJECTED without a file for them */
  write(placeOf: (row: bigint) => RowPlace, rows: readonly RejectedRow[]): Promise<void>;
  /** The file has its name when this resolves. */
  close(): Promise<void>;
  abort(): Promise<void>;
}

/**
 * Opens the file for rejected rows; undefined for none.
 *
 * @throws OPTION_INVALID, CORPUS_WRITE_FAILED
 */
export async function openRejected(path: string | undefined): Promise<RejectedOutput> {
  if (path === undefined) {
    const nothing = async (): Promise<void> => undefined;
    return {
      write: async (placeOf, rows) => refuse(placeOf, rows[0]),
      close: nothing,
      abort: nothing,
    };
  }
  const pending = `${path}.tmp`;
  const sink = await openSink({
    format: formatFor(path),
    path: pending,
    columns: [],
    textColumn: null,
    extra: REJECTED_COLUMNS,
  });
  return {
    write: async (placeOf, rows) => {
      if (rows.length > 0) await sink.write(rejectedRows(placeOf, rows));
    },
    close: async () => {
      await sink.close();
      await rename(pending, path);
    },
    abort: () => sink.abort(),
  };
}

function refuse(placeOf: (row: bigint) => RowPlace, first: RejectedRow | undefined): void {
  if (!first) return;
  const { reason, detail } = first;
  const { file, row } = placeOf(first.row);
  throw new GristmillError('RUN_ROW_REJECTED', { file, row: row.toString(), reason, detail });
}

function formatFor(path: string): SinkFormat {
  const format = formatOf(path);
  if (format === 'parquet' || format === 'jsonl.zst' || format === 'arrow') return format;
  throw new GristmillError('OPTION_INVALID', {
    option: 'rejected',
    expected: 'a file named .parquet, .jsonl.zst or .arrow',
    received: path,
  });
}
