/** Rows of a unit on their way into a run: what counts as one, and where a limit cuts. */
import { DocumentBatch } from '../batch/document-batch.ts';
import type { RejectMode, SinkFormat, UnitBatch } from '../corpus/types.ts';

/** JSON goes to JSON as it was written; every other output has columns that values must fit. */
export function rejectModeOf(format: SinkFormat): RejectMode {
  return format === 'jsonl.zst' ? 'lines' : 'values';
}

/** Rows of a batch, those that were rejected included. */
export function rowsIn({ batch, rejected }: UnitBatch): number {
  return batch.nDocs + rejected.length;
}

/** The first `nRows` rows of a stream of batches; the batch that the limit cuts keeps its memory. */
export async function* firstRows(
  batches: AsyncIterable<UnitBatch>,
  nRows: number,
): AsyncGenerator<UnitBatch> {
  if (nRows <= 0) return;
  let left = nRows;
  for await (const input of batches) {
    if (rowsIn(input) > left) {
      yield cut(input, left);
      return;
    }
    left -= rowsIn(input);
    yield input;
    if (left === 0) return;
  }
}

function cut(input: UnitBatch, nRows: number): UnitBatch {
  const { batch, rowStatus, rowNumbers, rejected } = input;
  const all = [...rowNumbers, ...rejected.map(({ row }) => row)];
  const end = all.sort((left, right) => (left < right ? -1 : left > right ? 1 : 0))[nRows]!;
  const nDocs = rowNumbers.findIndex((row) => row >= end);
  const head = nDocs < 0 ? batch : new DocumentBatch({ ...batch.descriptor, nDocs });
  return {
    ...input,
    batch: head,
    rowStatus: rowStatus.subarray(0, head.nDocs),
    rowNumbers: rowNumbers.subarray(0, head.nDocs),
    rejected: rejected.filter(({ row }) => row < end),
  };
}
