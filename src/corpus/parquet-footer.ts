/**
 * The footer of a Parquet file: read, checked against the file, and brought into a form that says what it means.
 *
 * Invariants
 *  1. What is damaged is a {@link FooterError}; what is valid and not read here (encryption, LZO, columns in other
 *     files, types of a later format) is an {@link UnsupportedError}. Both name the column.
 *  2. Annotations that are unknown, or contradict the physical type, are left out (parquet-annotations.ts). What is left
 *     can be trusted by everything that comes after.
 *  3. Every leaf of the schema has one chunk in every row group that has rows, and every chunk a leaf.
 */
import type { Encoding, FileMetaData, SchemaElement } from 'hyparquet';
import {
  CompressionCodecs,
  Encodings,
  FieldRepetitionTypes,
  ParquetTypes,
} from 'hyparquet/src/constants.js';
import {
  FooterError,
  integer,
  isStruct,
  list,
  number,
  struct,
  text,
  UnsupportedError,
} from './footer-fields.ts';
import { annotations } from './parquet-annotations.ts';
import { readThrift, type ThriftStruct, type ThriftValue } from './thrift.ts';

/** Codecs of pages that are read, by Parquet's names. */
const READ_CODECS = new Set(['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI', 'LZ4', 'ZSTD', 'LZ4_RAW']);

/** Encodings of pages that are read: all that the format has. GROUP_VAR_INT was never defined. */
const READ_ENCODINGS: ReadonlySet<Encoding> = new Set(
  Encodings.filter((name) => name !== 'GROUP_VAR_INT'),
);

/** Writers of Java before 1.2.9 left the header of the dictionary out of a chunk's size. */
const FORGETFUL_WRITERS = /^parquet-mr($| version (0|1\.[01]|1\.2\.[0-8])($|\D))/;

/** Levels are bytes, and paths are walked recursively. */
const MAX_DEPTH = 100;

/** Field of the footer that holds the row groups. */
const ROW_GROUPS = 4;

type RowGroup = FileMetaData['row_groups'][number];
type Chunk = RowGroup['columns'][number];
type ChunkMeta = NonNullable<Chunk['meta_data']>;

/**
 * Parses and checks a footer.
 *
 * @param bytes the Thrift struct, without its length and mark
 * @param fileBytes size of the file
 * @throws FooterError, UnsupportedError, ThriftError
 */
export function parseFooter(bytes: Uint8Array, fileBytes: number): FileMetaData {
  // As fields and values a group takes many times what it takes here, and a file may have a hundred thousand of them.
  const groups: RowGroup[] = [];
  const { value } = readThrift(bytes, {
    field: ROW_GROUPS,
    take: (group) => void groups.push(rowGroup(struct(group), groups.length)),
  });
  const schema = list(value, 2, 'schema').map((element) => schemaElement(struct(element)));
  checkSchema(schema);
  const leaves = leafPaths(schema);
  list(value, ROW_GROUPS, 'row groups');
  const created_by = text(value.get(6)) ?? '';
  const slack = FORGETFUL_WRITERS.test(created_by) ? 100 : 0;
  const row_groups = groups.map((group, index) => {
    return checkedGroup(group, index, leaves, { fileBytes, slack });
  });
  const rows = row_groups.reduce((sum, group) => sum + group.num_rows, 0n);
  // Old writers of Rust left 0; row groups are what holds the rows.
  const declared = integer(value, 3) ?? 0n;
  if (declared !== rows && declared !== 0n) {
    throw new FooterError(`it declares ${declared} rows, its row groups ${rows}`);
  }
  return {
    version: Number(integer(value, 1) ?? 1n),
    schema,
    num_rows: rows,
    row_groups,
    key_value_metadata: keyValues(value.get(5)),
    created_by,
    metadata_length: bytes.byteLength,
  };
}

/** Old writers of Python stored numbers as values: their digits are what is meant. */
function keyValues(
  value: ThriftValue | undefined,
): NonNullable<FileMetaData['key_value_metadata']> {
  if (!Array.isArray(value)) return [];
  return (value as readonly ThriftValue[]).filter(isStruct).map((pair) => {
    const held = pair.get(2);
    const isNumber = typeof held === 'bigint' || typeof held === 'number';
    const shown = isNumber ? String(held) : text(held);
    return { key: text(pair.get(1)) ?? '', ...(shown !== undefined && { value: shown }) };
  });
}

function schemaElement(from: ThriftStruct): SchemaElement {
  const name = text(from.get(4)) ?? '';
  const typeIndex = number(from, 1);
  const nChildren = number(from, 5);
  // What has fields is a group, whatever type an old writer gave it.
  const isLeaf = typeIndex !== undefined && !nChildren;
  const type = isLeaf ? ParquetTypes[typeIndex] : undefined;
  if (isLeaf && !type) {
    throw new UnsupportedError(`column ${name} has the unknown physical type ${typeIndex}`);
  }
  const repetition = number(from, 3);
  const length = number(from, 2);
  if (type === 'FIXED_LEN_BYTE_ARRAY' && !(length && length > 0 && length < 2 ** 31)) {
    throw new FooterError(`column ${name} has values of ${length ?? 0} bytes`);
  }
  return {
    ...(type && { type }),
    ...(type && length !== undefined && { type_length: length }),
    // Thrift leaves out what is 0, which is REQUIRED.
    repetition_type: FieldRepetitionTypes[repetition ?? 0] ?? fail(`column ${name}: repetition`),
    name,
    ...(!type && { num_children: nChildren ?? 0 }),
    ...annotations(from, type, length ?? 0),
    ...(from.has(9) && { field_id: number(from, 9)! }),
  };
}

function fail(what: string): never {
  throw new FooterError(`its footer is damaged: ${what}`);
}

/** The elements are one tree, of a depth that can be walked, and every group has fields. */
function checkSchema(schema: readonly SchemaElement[]): void {
  const root = schema[0];
  if (!root || root.type) throw new FooterError('its footer is damaged: the schema has no root');
  // Children that are still to come, for each open group.
  const open: number[] = [];
  for (const [at, element] of schema.entries()) {
    if (at > 0) {
      if (open.length === 0) throw new FooterError('its schema has elements that belong nowhere');
      open[open.length - 1]!--;
    }
    if (!element.type) {
      const nChildren = element.num_children ?? 0;
      if (nChildren < 0 || nChildren >= schema.length) {
        throw new FooterError(`its schema is cut off in column ${element.name}`);
      }
      if (nChildren === 0 && at > 0) {
        throw new UnsupportedError(
          `column ${element.name} is a struct without fields, which no column of Parquet holds: write the file without it`,
        );
      }
      open.push(nChildren);
      if (open.length > MAX_DEPTH)
        throw new UnsupportedError(`its schema is above ${MAX_DEPTH} deep`);
    }
    while (open.length > 0 && open.at(-1) === 0) open.pop();
  }
  if (open.length > 0) throw new FooterError('its schema is cut off');
}

interface LeafPath {
  readonly path: readonly string[];
  readonly type: NonNullable<SchemaElement['type']>;
}

/** Paths of the leaves in order; the schema has been checked. */
function leafPaths(schema: readonly SchemaElement[]): LeafPath[] {
  const leaves: LeafPath[] = [];
  const open: { readonly name: string; left: number }[] = [];
  for (const [at, element] of schema.entries()) {
    if (at > 0) open.at(-1)!.left--;
    if (element.type) {
      const path = [...open.slice(1).map(({ name }) => name), element.name];
      leaves.push({ path, type: element.type });
    } else {
      open.push({ name: element.name, left: element.num_children ?? 0 });
    }
    while (open.length > 0 && open.at(-1)!.left === 0) open.pop();
  }
  return leaves;
}

/** A group as it stands in the footer, its chunks in any order. */
function rowGroup(from: ThriftStruct, index: number): RowGroup {
  const num_rows = integer(from, 3) ?? 0n;
  if (num_rows < 0n || num_rows > 2n ** 40n) {
    throw new FooterError(`row group ${index} declares ${num_rows} rows`);
  }
  const place = `row group ${index}`;
  const columns = list(from, 1, 'columns').map((chunk) => chunkOf(struct(chunk), place));
  return { columns, num_rows, total_byte_size: integer(from, 2) ?? 0n };
}

/** The same held against schema and file. */
function checkedGroup(
  group: RowGroup,
  index: number,
  leaves: readonly LeafPath[],
  bounds: FileBounds,
): RowGroup {
  const { columns: chunks, num_rows, total_byte_size } = group;
  const place = `row group ${index}`;
  // Nothing is read of a group without rows: writers leave its offsets, codecs and even its columns as they like.
  if (num_rows === 0n && chunks.every(({ meta_data: meta }) => (meta?.num_values ?? 0n) === 0n)) {
    return { columns: [], num_rows, total_byte_size };
  }
  const columns = inSchemaOrder(chunks, leaves, place);
  for (const [at, chunk] of columns.entries()) {
    checkChunk(chunk.meta_data!, leaves[at]!, place, bounds);
  }
  return { columns, num_rows, total_byte_size };
}

function chunkOf(from: ThriftStruct, place: string): Chunk {
  const meta = from.get(3);
  if (from.has(8) || from.has(9)) {
    const path = isStruct(meta) ? pathOf(meta).join('.') : 'one of its columns';
    throw new UnsupportedError(`${place}, column ${path} is encrypted`);
  }
  if (from.has(1)) throw new UnsupportedError('its columns lie in other files');
  if (!isStruct(meta)) throw new FooterError(`${place}: a column without metadata`);
  const path_in_schema = pathOf(meta);
  const codecIndex = number(meta, 4) ?? 0;
  const codec = CompressionCodecs[codecIndex];
  const column = `${place}, column ${path_in_schema.join('.')}`;
  const n_values = integer(meta, 5) ?? 0n;
  if (n_values > 0n && (!codec || !READ_CODECS.has(codec))) {
    const name = codec ?? `codec ${codecIndex}`;
    const wayOut = 'write the file anew with zstd, snappy, gzip or none';
    throw new UnsupportedError(`${column} is compressed with ${name}: ${wayOut}`);
  }
  const encodings = encodingsOf(meta);
  const unread = encodings.find(({ name }) => name === undefined || !READ_ENCODINGS.has(name));
  if (n_values > 0n && unread) {
    const name = unread.name ?? `encoding ${unread.index}`;
    const wayOut =
      'write the file anew with encodings of Parquet 2.11 or before (a dictionary, plain)';
    throw new UnsupportedError(`${column} is encoded with ${name}: ${wayOut}`);
  }
  const type = ParquetTypes[number(meta, 1) ?? 0];
  if (!type) throw new FooterError(`${column} has an unknown type`);
  const dictionary = integer(meta, 11);
  const meta_data: ChunkMeta = {
    type,
    encodings: encodings.flatMap(({ name }) => name ?? []),
    path_in_schema,
    codec: codec ?? 'UNCOMPRESSED',
    num_values: n_values,
    total_uncompressed_size: integer(meta, 6) ?? 0n,
    total_compressed_size: integer(meta, 7) ?? 0n,
    data_page_offset: integer(meta, 9) ?? 0n,
    ...(dictionary !== undefined && { dictionary_page_offset: dictionary }),
  };
  return { file_offset: integer(from, 2) ?? 0n, meta_data };
}

/** Encodings that a chunk lists; an old writer may list none. */
function encodingsOf(meta: ThriftStruct): { index: number; name: Encoding | undefined }[] {
  const listed = meta.get(2);
  if (!Array.isArray(listed)) return [];
  return listed.map((index) => ({ index: Number(index), name: Encodings[Number(index)] }));
}

function pathOf(meta: ThriftStruct): string[] {
  return list(meta, 3, 'path of a column').map((part) => text(part) ?? '');
}

/**
 * Chunks in the order of the leaves. They lie so already, as the format has it, unless some are missing or moved: then
 * each leaf takes the only chunk of its path. Names may hold dots and repeat, so paths are compared part by part.
 */
function inSchemaOrder(
  chunks: readonly Chunk[],
  leaves: readonly LeafPath[],
  place: string,
): Chunk[] {
  const matches = (chunk: Chunk | undefined, { path }: LeafPath): boolean => {
    const own = chunk?.meta_data?.path_in_schema;
    return own?.length === path.length && path.every((name, at) => own[at] === name);
  };
  if (chunks.length === leaves.length && leaves.every((leaf, at) => matches(chunks[at], leaf))) {
    return [...chunks];
  }
  const taken = leaves.map((leaf) => {
    const found = chunks.filter((chunk) => matches(chunk, leaf));
    if (found.length === 1) return found[0]!;
    const path = leaf.path.join('.');
    throw new FooterError(
      `${place} has ${found.length === 0 ? 'no' : 'more than one'} chunk of column ${path}`,
    );
  });
  const known = new Set(taken);
  const extra = chunks.find((chunk) => !known.has(chunk));
  if (extra) {
    const path = extra.meta_data!.path_in_schema.join('.');
    throw new FooterError(`${place} has a chunk of column ${path}, which its schema does not have`);
  }
  return taken;
}

interface FileBounds {
  readonly fileBytes: number;
  /** Bytes that chunks may be longer than they say. */
  readonly slack: number;
}

function checkChunk(
  meta: ChunkMeta,
  leaf: LeafPath,
  place: string,
  { fileBytes, slack }: FileBounds,
): void {
  const column = `${place}, column ${leaf.path.join('.')}`;
  if (meta.type !== leaf.type) {
    throw new FooterError(`${column} is ${meta.type} where the schema has ${leaf.type}`);
  }
  if (meta.num_values < 0n || meta.num_values > 2n ** 48n) {
    throw new FooterError(`${column} declares ${meta.num_values} values`);
  }
  if (meta.num_values === 0n) return;
  const start = chunkStart(meta);
  const size = Number(meta.total_compressed_size);
  if (start < 4 || size < 0 || start + size > fileBytes) {
    throw new FooterError(`${column} lies outside the file`);
  }
  meta.total_compressed_size += BigInt(Math.min(slack, fileBytes - start - size));
}

/** Where the first page of a chunk is. */
export function chunkStart(meta: ChunkMeta): number {
  const data = Number(meta.data_page_offset);
  const dictionary = Number(meta.dictionary_page_offset ?? 0);
  // Some writers leave 0 for "no dictionary".
  return dictionary > 0 ? Math.min(dictionary, data) : data;
}
