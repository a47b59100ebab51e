/**
 * The messages of an Arrow stream: what their metadata declares, as plain data, before any of it is believed.
 *
 * @see https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
 */
import { ArrowFault, countOf, FlatBuffer, type FlatTable } from './arrow-flatbuffer.ts';
import { type ArrowMetadata, type ArrowSchema, metadataOf, schemaOfTable } from './arrow-schema.ts';

/** Codec of a body's buffers. */
export type BodyCodec = 'lz4' | 'zstd';

/** A record batch as declared. */
export interface BatchLayout {
  readonly length: number;
  readonly nodes: readonly { readonly length: number; readonly nullCount: number }[];
  readonly buffers: readonly { readonly offset: number; readonly length: number }[];
  readonly codec: BodyCodec | null;
  /** Data buffers of every view array, in order. */
  readonly nViewBuffers: readonly number[];
}

/** What a message holds. */
export type ArrowMessage = {
  readonly bodyBytes: number;
  /** Bytes that the metadata occupies; the rest up to its declared length is padding. */
  readonly metadataEnd: number;
} & (
  | { readonly kind: 'schema'; readonly schema: ArrowSchema }
  | { readonly kind: 'batch'; readonly batch: BatchLayout }
  | {
      readonly kind: 'dictionary';
      readonly id: string;
      readonly isDelta: boolean;
      readonly batch: BatchLayout;
    }
);

/** Where the footer of the file form says that a message lies. */
export interface ArrowBlock {
  readonly offset: number;
  readonly metadataBytes: number;
  readonly bodyBytes: number;
}

/** The footer of the file form. */
export interface ArrowFooter {
  readonly schema: ArrowSchema;
  readonly dictionaries: readonly ArrowBlock[];
  readonly batches: readonly ArrowBlock[];
  readonly metadata: ArrowMetadata;
}

/** Oldest and newest metadata version that are read: V4 (0.8) and V5 (1.0). */
const VERSIONS = { first: 3, last: 4 } as const;

/** Reads a message's metadata. @throws ArrowFault */
export function readMessage(bytes: Uint8Array): ArrowMessage {
  const buffer = new FlatBuffer(bytes);
  const table = buffer.root();
  checkVersion(table.int16(0));
  const header = table.table(2);
  const kind = table.uint8(1);
  if (!header) throw new ArrowFault(`a message of kind ${kind} without a header`);
  const bodyBytes = table.count(3, 'the length of a body');
  metadataOf(table, 4);
  const content = contentOf(kind, header);
  return { bodyBytes, ...content, metadataEnd: buffer.end };
}

function checkVersion(version: number): void {
  if (version < VERSIONS.first || version > VERSIONS.last) {
    throw new ArrowFault(`metadata version V${version + 1} is not read, only V4 and V5`, true);
  }
}

function contentOf(kind: number, header: FlatTable) {
  if (kind === 1) return { kind: 'schema', schema: schemaOfTable(header) } as const;
  if (kind === 2) {
    const data = header.table(1);
    if (!data) throw new ArrowFault('a dictionary batch without data');
    return {
      kind: 'dictionary',
      id: String(header.int64(0)),
      isDelta: header.bool(2),
      batch: layoutOf(data),
    } as const;
  }
  if (kind === 3) return { kind: 'batch', batch: layoutOf(header) } as const;
  if (kind === 4 || kind === 5) throw new ArrowFault('tensors are not read', true);
  throw new ArrowFault(`messages of kind ${kind} are not known`);
}

function layoutOf(table: FlatTable): BatchLayout {
  return {
    length: table.count(0, 'the length of a record batch'),
    nodes: table.structs(1, 16, (view, at) => ({
      length: countOf(view, at, 'the length of a column'),
      nullCount: countOf(view, at + 8, 'the null count of a column'),
    })),
    buffers: table.structs(2, 16, (view, at) => ({
      offset: countOf(view, at, 'the offset of a buffer'),
      length: countOf(view, at + 8, 'the length of a buffer'),
    })),
    codec: codecOf(table.table(3)),
    nViewBuffers: table.structs(4, 8, (view, at) => countOf(view, at, 'a number of buffers')),
  };
}

function codecOf(table: FlatTable | null): BodyCodec | null {
  if (!table) return null;
  if (table.uint8(1) !== 0) throw new ArrowFault(`body compression method ${table.uint8(1)}`, true);
  const codec = table.uint8(0);
  if (codec === 0) return 'lz4';
  if (codec === 1) return 'zstd';
  throw new ArrowFault(`body compression codec ${codec}`, true);
}

/** Reads the footer of the file form. @throws ArrowFault */
export function readArrowFooter(bytes: Uint8Array): ArrowFooter {
  // Its version is left out by old writers; every message has its own.
  const table = new FlatBuffer(bytes).root();
  const schema = table.table(1);
  if (!schema) throw new ArrowFault('the footer has no schema');
  const blocks = (field: number): ArrowBlock[] => {
    return table.structs(field, 24, (view, at) => ({
      offset: countOf(view, at, 'the offset of a block'),
      metadataBytes: view.getInt32(at + 8, true),
      bodyBytes: countOf(view, at + 16, 'the length of a body'),
    }));
  };
  return {
    schema: schemaOfTable(schema),
    dictionaries: blocks(2),
    batches: blocks(3),
    metadata: metadataOf(table, 4),
  };
}
