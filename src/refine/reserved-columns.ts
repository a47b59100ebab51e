/** Columns of the input that are called like ones that a run adds: refused before anything is read. */

import type { CorpusPlan } from '../corpus/types.ts';
import { partitionsOf } from '../corpus/unit.ts';
import { GristmillError } from '../errors.ts';
import type { RefineCorpusOptions } from './run-options.ts';
import { droppedColumns, extraColumns, type OutputSettings } from './unit-writer.ts';

type ReservedSettings = Pick<
  OutputSettings,
  'keepOriginal' | 'droppedText' | 'statusPrefix' | 'replaceStatus'
>;

/** Letters, digits and `_`, as every reader of columns takes them without quotes. */
const PREFIX = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** How added columns are called, and whether they take the place of others. */
export type AddedColumns = Pick<OutputSettings, 'statusPrefix' | 'replaceStatus'>;

/** How added columns are called. @throws OPTION_INVALID */
export function statusColumns(
  options: Pick<RefineCorpusOptions, 'statusPrefix' | 'replaceStatus'>,
): AddedColumns {
  const statusPrefix = options.statusPrefix ?? null;
  if (statusPrefix !== null && !PREFIX.test(statusPrefix)) {
    const expected = 'at most 64 letters, digits and _, not beginning with a digit';
    const received = statusPrefix;
    throw new GristmillError('OPTION_INVALID', { option: 'statusPrefix', expected, received });
  }
  return { statusPrefix, replaceStatus: options.replaceStatus ?? false };
}

/**
 * Makes sure that no two columns of the output have one name.
 *
 * @throws CORPUS_COLUMN_RESERVED naming the column and the way out
 */
export function checkReserved(plan: CorpusPlan, settings: ReservedSettings): void {
  const added = new Set(extraColumns(settings).map(({ name }) => name));
  for (const file of plan.files) {
    const { columns } = plan.schemas[file.schema]!;
    const partitions = partitionsOf(plan, file).map(({ column }) => column);
    for (const { name } of [...columns, ...partitions]) {
      if (!added.has(name) || (settings.replaceStatus && name !== plan.textColumn)) continue;
      throw new GristmillError('CORPUS_COLUMN_RESERVED', { file: file.path, column: name });
    }
  }
  const { textColumn } = plan;
  const isTaken = droppedColumns(settings).some(({ name }) => name === textColumn);
  if (!settings.droppedText || !isTaken) return;
  const file = plan.files[0]?.path ?? '?';
  throw new GristmillError('CORPUS_COLUMN_RESERVED', { file, column: textColumn });
}
