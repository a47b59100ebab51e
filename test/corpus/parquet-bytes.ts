/** Parquet files byte by byte, for what no writer at hand makes: Thrift's compact protocol, pages, footers. */

/** A value to write; numbers are i32, bigints i64. */
export type Thrift = boolean | number | bigint | string | Uint8Array | readonly Thrift[] | Fields;

/** Fields of a struct by their id, ascending. */
export interface Fields {
  readonly [id: number]: Thrift;
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

function zigzag(value: bigint): number[] {
  return varint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)));
}

function typeOf(value: Thrift): number {
  if (typeof value === 'boolean') return value ? 1 : 2;
  if (typeof value === 'number') return 5;
  if (typeof value === 'bigint') return 6;
  if (typeof value === 'string' || value instanceof Uint8Array) return 8;
  return Array.isArray(value) ? 9 : 12;
}

function bytesOf(value: Thrift): number[] {
  if (typeof value === 'boolean') return [];
  if (typeof value === 'number') return zigzag(BigInt(value));
  if (typeof value === 'bigint') return zigzag(value);
  if (typeof value === 'string' || value instanceof Uint8Array) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return [...varint(BigInt(bytes.byteLength)), ...bytes];
  }
  if (Array.isArray(value)) {
    const items = value as readonly Thrift[];
    const type = items.length === 0 ? 12 : typeOf(items[0]!);
    const head =
      items.length < 15
        ? [(items.length << 4) | type]
        : [0xf0 | type, ...varint(BigInt(items.length))];
    return [...head, ...items.flatMap(bytesOf)];
  }
  return struct(value as Fields);
}

function struct(fields: Fields): number[] {
  const out: number[] = [];
  let last = 0;
  for (const [key, value] of Object.entries(fields)) {
    const id = Number(key);
    const delta = id - last;
    if (delta > 15) out.push(typeOf(value), ...zigzag(BigInt(id)));
    else out.push((delta << 4) | typeOf(value));
    out.push(...bytesOf(value));
    last = id;
  }
  return [...out, 0];
}

/** A struct in Thrift's compact protocol. */
export function thrift(fields: Fields): Buffer {
  return Buffer.from(struct(fields));
}

/** A page of version 1: PLAIN unless another encoding is given. */
export function dataPage(
  nValues: number,
  body: Uint8Array,
  options: { encoding?: number; levels?: number; uncompressed?: number } = {},
): Buffer {
  const { encoding = 0, levels = 3, uncompressed = body.byteLength } = options;
  const data = { 1: nValues, 2: encoding, 3: levels, 4: levels };
  return Buffer.concat([thrift({ 1: 0, 2: uncompressed, 3: body.byteLength, 5: data }), body]);
}

/** A dictionary page of PLAIN values. */
export function dictionaryPage(nValues: number, body: Uint8Array): Buffer {
  const head = { 1: 2, 2: body.byteLength, 3: body.byteLength, 7: { 1: nValues, 2: 0 } };
  return Buffer.concat([thrift(head), body]);
}

/** Byte arrays as PLAIN values. */
export function plainBytes(...values: string[]): Buffer {
  const parts = values.map((value) => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.byteLength);
    return Buffer.concat([length, bytes]);
  });
  return Buffer.concat(parts);
}

/** One column chunk. */
export interface ChunkSpec {
  readonly path: readonly string[];
  readonly type: number;
  readonly nValues: number;
  readonly pages: readonly Buffer[];
  readonly codec?: number;
  /** Fields of the chunk and of its metadata that are set or replaced. */
  readonly chunk?: Fields;
  readonly meta?: Fields;
}

/** A file of one row group per list of chunks. */
export function parquetFile(spec: {
  readonly schema: readonly Fields[];
  readonly groups: readonly { readonly nRows: number; readonly chunks: readonly ChunkSpec[] }[];
  /** Fields of the footer that are set or replaced. */
  readonly footer?: Fields;
}): Buffer {
  const parts: Buffer[] = [Buffer.from('PAR1')];
  let offset = 4;
  const groups = spec.groups.map(({ nRows, chunks }) => {
    const columns = chunks.map(({ path, type, nValues, pages, codec = 0, chunk, meta }) => {
      const body = Buffer.concat(pages);
      const fields = {
        1: type,
        2: [0, 3, 8],
        3: path,
        4: codec,
        5: BigInt(nValues),
        6: BigInt(body.byteLength),
        7: BigInt(body.byteLength),
        9: BigInt(offset),
        ...meta,
      };
      parts.push(body);
      offset += body.byteLength;
      return { 2: 0n, 3: fields, ...chunk };
    });
    return { 1: columns, 2: 0n, 3: BigInt(nRows) };
  });
  const rows = spec.groups.reduce((sum, { nRows }) => sum + nRows, 0);
  const footer = thrift({
    1: 2,
    2: spec.schema,
    3: BigInt(rows),
    4: groups,
    6: 'test',
    ...spec.footer,
  });
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.byteLength);
  return Buffer.concat([...parts, footer, length, Buffer.from('PAR1')]);
}
