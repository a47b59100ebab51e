/** Document batches as record batches of apache-arrow, over the same bytes. The library loads it, the command does not. */
import { Field, makeData, RecordBatch, Schema, Struct, Utf8 } from 'apache-arrow';
import { type BytesColumn, useRecordBatches } from './document-batch.ts';

useRecordBatches((columns, nDocs) => {
  const fields = columns.map(([name]) => new Field(name, new Utf8(), true));
  const children = columns.map(([, column]) => utf8Data(column));
  const data = makeData({ type: new Struct(fields), length: nDocs, nullCount: 0, children });
  return new RecordBatch(new Schema(fields), data);
});

function utf8Data(column: BytesColumn) {
  return makeData({
    type: new Utf8(),
    length: column.length,
    nullCount: column.nullCount,
    nullBitmap: column.validity,
    valueOffsets: column.offsets,
    data: column.data,
  });
}
