/**
 * Messages of an Arrow stream, written: schemas, dictionary batches and record batches with their bodies.
 *
 * The bytes are a function of what is written alone. Buffers and messages are aligned to 8 bytes.
 */
import { Builder } from 'flatbuffers';
import type { ArrowField, ArrowMetadata, ArrowSchema, ArrowUnit } from './arrow-schema.ts';

/** A record batch or the values of a dictionary, encoded. */
export interface EncodedBatch {
  readonly length: number;
  readonly nodes: readonly { readonly length: number; readonly nullCount: number }[];
  readonly buffers: readonly Uint8Array[];
  readonly nViewBuffers: readonly number[];
}

const ALIGN = 8;
/** Metadata version V5. */
const VERSION = 4;
const HEADER = { schema: 1, dictionary: 2, batch: 3 } as const;
const UNIT: Record<ArrowUnit, number> = { s: 0, ms: 1, us: 2, ns: 3 };

/** What ends a stream. */
export const END_OF_STREAM = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0);

/** A schema as a message. */
export function schemaMessage(schema: ArrowSchema): Uint8Array {
  const builder = new Builder(1024);
  const fields = tableVector(
    builder,
    schema.fields.map((field) => fieldTable(builder, field)),
  );
  const metadata = metadataVector(builder, schema.metadata);
  builder.startObject(4);
  builder.addFieldOffset(1, fields, 0);
  if (metadata !== 0) builder.addFieldOffset(2, metadata, 0);
  return message(builder, HEADER.schema, builder.endObject(), []);
}

/** A record batch as a message with its body. @param metadata of the message itself */
export function batchMessage(batch: EncodedBatch, metadata: ArrowMetadata = []): Uint8Array {
  const builder = new Builder(1024);
  const custom = metadataVector(builder, metadata);
  return message(builder, HEADER.batch, batchTable(builder, batch), batch.buffers, custom);
}

/** The values of a dictionary, which replace those that it had. */
export function dictionaryMessage(id: string, batch: EncodedBatch): Uint8Array {
  const builder = new Builder(1024);
  const data = batchTable(builder, batch);
  builder.startObject(3);
  builder.addFieldInt64(0, BigInt(id), 0n);
  builder.addFieldOffset(1, data, 0);
  return message(builder, HEADER.dictionary, builder.endObject(), batch.buffers);
}

function padded(length: number): number {
  return Math.ceil(length / ALIGN) * ALIGN;
}

function message(
  builder: Builder,
  kind: number,
  header: number,
  buffers: readonly Uint8Array[],
  custom = 0,
): Uint8Array {
  const bodyBytes = buffers.reduce((sum, buffer) => sum + padded(buffer.byteLength), 0);
  builder.startObject(5);
  builder.addFieldInt64(3, BigInt(bodyBytes), 0n);
  if (custom !== 0) builder.addFieldOffset(4, custom, 0);
  builder.addFieldOffset(2, header, 0);
  builder.addFieldInt16(0, VERSION, 0);
  builder.addFieldInt8(1, kind, 0);
  builder.finish(builder.endObject());
  const metadata = builder.asUint8Array();
  const metadataBytes = padded(metadata.byteLength);
  const bytes = new Uint8Array(8 + metadataBytes + bodyBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xffffffff, true);
  view.setUint32(4, metadataBytes, true);
  bytes.set(metadata, 8);
  let at = 8 + metadataBytes;
  for (const buffer of buffers) {
    bytes.set(buffer, at);
    at += padded(buffer.byteLength);
  }
  return bytes;
}

function batchTable(builder: Builder, batch: EncodedBatch): number {
  let nViews = 0;
  if (batch.nViewBuffers.length > 0) {
    builder.startVector(8, batch.nViewBuffers.length, 8);
    for (const count of [...batch.nViewBuffers].reverse()) builder.addInt64(BigInt(count));
    nViews = builder.endVector();
  }
  builder.startVector(16, batch.buffers.length, 8);
  let end = batch.buffers.reduce((sum, buffer) => sum + padded(buffer.byteLength), 0);
  for (const buffer of [...batch.buffers].reverse()) {
    end -= padded(buffer.byteLength);
    builder.addInt64(BigInt(buffer.byteLength));
    builder.addInt64(BigInt(end));
  }
  const buffers = builder.endVector();
  builder.startVector(16, batch.nodes.length, 8);
  for (const node of [...batch.nodes].reverse()) {
    builder.addInt64(BigInt(node.nullCount));
    builder.addInt64(BigInt(node.length));
  }
  const nodes = builder.endVector();
  builder.startObject(5);
  builder.addFieldInt64(0, BigInt(batch.length), 0n);
  builder.addFieldOffset(1, nodes, 0);
  builder.addFieldOffset(2, buffers, 0);
  if (nViews !== 0) builder.addFieldOffset(4, nViews, 0);
  return builder.endObject();
}

function tableVector(builder: Builder, tables: readonly number[]): number {
  builder.startVector(4, tables.length, 4);
  for (const table of [...tables].reverse()) builder.addOffset(table);
  return builder.endVector();
}

function metadataVector(builder: Builder, metadata: ArrowMetadata): number {
  if (metadata.length === 0) return 0;
  const entries = metadata.map(([key, value]) => {
    const [keyAt, valueAt] = [builder.createString(key), builder.createString(value)];
    builder.startObject(2);
    builder.addFieldOffset(0, keyAt, 0);
    builder.addFieldOffset(1, valueAt, 0);
    return builder.endObject();
  });
  return tableVector(builder, entries);
}

function fieldTable(builder: Builder, field: ArrowField): number {
  const children = tableVector(
    builder,
    field.children.map((child) => fieldTable(builder, child)),
  );
  const metadata = metadataVector(builder, field.metadata);
  const name = builder.createString(field.name);
  const [typeNumber, type] = typeTable(builder, field);
  const dictionary = dictionaryTable(builder, field);
  builder.startObject(7);
  builder.addFieldOffset(0, name, 0);
  builder.addFieldOffset(3, type, 0);
  if (dictionary !== 0) builder.addFieldOffset(4, dictionary, 0);
  builder.addFieldOffset(5, children, 0);
  if (metadata !== 0) builder.addFieldOffset(6, metadata, 0);
  builder.addFieldInt8(1, field.nullable ? 1 : 0, 0);
  builder.addFieldInt8(2, typeNumber, 0);
  return builder.endObject();
}

function intTable(builder: Builder, bits: number, signed: boolean): number {
  builder.startObject(2);
  builder.addFieldInt32(0, bits, 0);
  builder.addFieldInt8(1, signed ? 1 : 0, 0);
  return builder.endObject();
}

function dictionaryTable(builder: Builder, { dictionary }: ArrowField): number {
  if (!dictionary) return 0;
  const index = intTable(builder, dictionary.bits, dictionary.signed);
  builder.startObject(4);
  builder.addFieldInt64(0, BigInt(dictionary.id), 0n);
  builder.addFieldOffset(1, index, 0);
  builder.addFieldInt8(2, dictionary.ordered ? 1 : 0, 0);
  return builder.endObject();
}

/** Types without parameters, by their number in Schema.fbs. */
const PLAIN_TYPES = {
  null: 1,
  binary: 4,
  utf8: 5,
  bool: 6,
  list: 12,
  struct: 13,
  largeBinary: 19,
  largeUtf8: 20,
  largeList: 21,
  runEnds: 22,
  binaryView: 23,
  utf8View: 24,
  listView: 25,
  largeListView: 26,
} as const;

/** A number of a type's description: 16 or 32 bits wide. */
type Parameter = readonly [bits: 16 | 32 | 8, value: number, missing: number];

function typeTable(builder: Builder, { type }: ArrowField): [number: number, table: number] {
  const table = (...parameters: readonly Parameter[]): number => {
    builder.startObject(parameters.length);
    for (const [at, [bits, value, missing]] of parameters.entries()) {
      if (bits === 32) builder.addFieldInt32(at, value, missing);
      else if (bits === 16) builder.addFieldInt16(at, value, missing);
      else builder.addFieldInt8(at, value, missing);
    }
    return builder.endObject();
  };
  switch (type.kind) {
    case 'int':
      return [2, intTable(builder, type.bits, type.signed)];
    case 'float':
      return [3, table([16, type.bits === 16 ? 0 : type.bits === 32 ? 1 : 2, 0])];
    case 'decimal':
      return [7, table([32, type.precision, 0], [32, type.scale, 0], [32, type.bits, 128])];
    case 'date':
      return [8, table([16, type.unit === 'day' ? 0 : 1, 1])];
    case 'time':
      return [9, table([16, UNIT[type.unit], 1], [32, UNIT[type.unit] < 2 ? 32 : 64, 32])];
    case 'timestamp': {
      const zone = type.zone === null ? 0 : builder.createString(type.zone);
      builder.startObject(2);
      builder.addFieldInt16(0, UNIT[type.unit], 0);
      if (zone !== 0) builder.addFieldOffset(1, zone, 0);
      return [10, builder.endObject()];
    }
    case 'interval':
      return [11, table([16, ['months', 'dayTime', 'monthDayNano'].indexOf(type.unit), 0])];
    case 'union': {
      builder.startVector(4, type.typeIds.length, 4);
      for (const id of [...type.typeIds].reverse()) builder.addInt32(id);
      const ids = builder.endVector();
      builder.startObject(2);
      builder.addFieldInt16(0, type.sparse ? 0 : 1, 0);
      builder.addFieldOffset(1, ids, 0);
      return [14, builder.endObject()];
    }
    case 'fixedBinary':
      return [15, table([32, type.width, 0])];
    case 'fixedList':
      return [16, table([32, type.size, 0])];
    case 'map':
      return [17, table([8, type.keysSorted ? 1 : 0, 0])];
    case 'duration':
      return [18, table([16, UNIT[type.unit], 1])];
    default:
      return [PLAIN_TYPES[type.kind], table()];
  }
}
