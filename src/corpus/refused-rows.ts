/**
 * Rows that were read well and that an output has no form for: text that is no UTF-8 on its way to JSON, say. Like rows
 * that cannot be rows they cost no more than themselves; what is kept of one is a line of JSON with all of its values.
 */
import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import { GristmillError } from '../errors.ts';
import { jsonOf } from './plain.ts';
import type { ValueProblem } from './reject-reasons.ts';
import { shapeOf } from './shape.ts';
import type { RejectedRow, SinkRows, UnitBatch } from './types.ts';

/**
 * Gives rows to whoever takes such rows.
 *
 * @param batchRows for each index of `problems` the batch's row
 * @throws CORPUS_VALUE_INVALID for the first where nobody does
 */
export function refuseRows(
  problems: ReadonlyMap<number, ValueProblem>,
  batchRows: Int32Array,
  refuse: SinkRows['refuse'],
): void {
  for (const [at, problem] of [...problems].sort(([left], [right]) => left - right)) {
    const row = batchRows[at]!;
    if (!refuse) {
      throw new GristmillError('CORPUS_VALUE_INVALID', { file: '(output)', row, ...problem });
    }
    refuse(row, problem);
  }
}

/** Refused rows of a batch as rejected ones, by their numbers. */
export async function refusedRows(
  input: UnitBatch,
  textColumn: string,
  refused: ReadonlyMap<number, ValueProblem>,
): Promise<RejectedRow[]> {
  const rows = [...refused.keys()].sort((left, right) => left - right);
  if (rows.length === 0) return [];
  const { columns } = input.carry;
  const shapes = columns.map(shapeOf);
  const { json, plain } = input.carry.select(Int32Array.from(rows));
  const values = json ? [] : await plain();
  return rows.map((row, at): RejectedRow => {
    const { text } = input.batch;
    const fields = json?.[at];
    const own = fields
      ? Array.from({ length: fields.length }, (_, index) => {
          return `${fields.keyAt(index)}:${fields.valueAt(index)}`;
        })
      : [
          `${JSON.stringify(textColumn)}:${isNullAt(text, row) ? 'null' : bytesJson(bytesAt(text, row))}`,
          ...columns.map(({ name }, column) => {
            const value = values[column]?.[at];
            return `${JSON.stringify(name)}:${jsonOf(shapes[column]!, value, bytesJson)}`;
          }),
        ];
    const { reason, column, expected, received } = refused.get(row)!;
    return {
      row: input.rowNumbers[row]!,
      reason,
      detail: `column ${column}: expected ${expected}, found ${received}`,
      raw: withRawBytes(`{${own.join(',')}}`),
    };
  });
}

/**
 * A JSON string of bytes that may be no text: a byte beyond ASCII is the lone surrogate U+DC00 + byte, which no valid
 * text holds, until {@link withRawBytes}.
 */
function bytesJson(bytes: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = bytes;
  const latin = Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
  return JSON.stringify(latin).replace(/[\x80-\xff]/g, (char) => {
    return String.fromCharCode(0xdc00 + char.charCodeAt(0));
  });
}

/** Text as UTF-8, its raw bytes as they were. */
function withRawBytes(text: string): Uint8Array {
  const parts = text.split(/([\udc80-\udcff]+)/u).map((part, at) => {
    if (at % 2 === 0) return Buffer.from(part);
    return Buffer.from(part, 'utf16le').filter((_, index) => index % 2 === 0);
  });
  return Buffer.concat(parts);
}
