/**
 * A batch of documents: an Arrow record batch whose buffers are views on one region of a {@link SlabPool}.
 *
 * Layout of a region, every part 64-byte aligned, one group per column (`text`, then `id` and `site` where they are asked for):
 *
 *     | validity bitmap (only with nulls) | offsets Int32[n+1] | data bytes | … next column …
 *
 * The same bytes are seen by the main thread, the Piscina workers (through {@link BatchDescriptor}) and C++
 * (through the typed-array views). Nothing is copied between stages. The region is released explicitly.
 */
import type { RecordBatch } from 'apache-arrow';
import {
  alignUp,
  type Lane,
  type Region,
  releaseRegion,
  retainRegion,
  type SlabPool,
} from './slab-pool.ts';

/** A column of UTF-8 byte strings: value `row` is `data[offsets[row] .. offsets[row + 1])`. */
export interface BytesColumn {
  readonly length: number;
  /** `Int32Array[length + 1]`, ascending. */
  readonly offsets: Int32Array;
  readonly data: Uint8Array;
  /** Arrow validity bitmap (bit set = not null), or null when no value is null. */
  readonly validity: Uint8Array | null;
  readonly nullCount: number;
}

/** Where a column lies inside a region; byte offsets are absolute in the SharedArrayBuffer. */
interface ColumnDescriptor {
  readonly name: string;
  readonly nullCount: number;
  readonly validity: number;
  readonly offsets: number;
  readonly data: number;
  readonly dataBytes: number;
}

/** Plain data that rebuilds a {@link DocumentBatch} in another thread (29 µs to clone, whatever the size). */
export interface BatchDescriptor {
  readonly region: Region;
  readonly nDocs: number;
  readonly columns: readonly ColumnDescriptor[];
}

/** Values of one column before they are laid out: bytes, or null. */
export type BytesValues = readonly (Uint8Array | null)[];

/** Makes a record batch of columns over the same bytes. */
export type MakeRecordBatch = (
  columns: readonly (readonly [name: string, column: BytesColumn])[],
  nDocs: number,
) => RecordBatch;

let makeRecordBatch: MakeRecordBatch | null = null;

/** How {@link DocumentBatch.toRecordBatch} works: apache-arrow is large, and runs of ours never ask for a record batch. */
export function useRecordBatches(make: MakeRecordBatch): void {
  makeRecordBatch = make;
}

/** Documents in shared memory. Holds one reference to its region until {@link DocumentBatch.release}. */
export class DocumentBatch {
  readonly nDocs: number;
  readonly text: BytesColumn;
  readonly id: BytesColumn | null;
  /** URLs or hosts, where a reader was asked for them. */
  readonly site: BytesColumn | null;
  readonly #descriptor: BatchDescriptor;
  #released = false;

  constructor(descriptor: BatchDescriptor) {
    this.#descriptor = descriptor;
    this.nDocs = descriptor.nDocs;
    const columns = new Map(descriptor.columns.map((c) => [c.name, openColumn(descriptor, c)]));
    this.text = columns.get('text')!;
    this.id = columns.get('id') ?? null;
    this.site = columns.get('site') ?? null;
  }

  /** The descriptor to post to another thread. The sender's reference must outlive the receiver's use. */
  get descriptor(): BatchDescriptor {
    return this.#descriptor;
  }

  /** The batch as an Arrow record batch over the same bytes. */
  toRecordBatch(): RecordBatch {
    if (!makeRecordBatch) throw new Error('record-batch.ts is not loaded');
    const columns: [string, BytesColumn][] = [['text', this.text]];
    if (this.id) columns.push(['id', this.id]);
    return makeRecordBatch(columns, this.nDocs);
  }

  /** Adds a reference, for a second holder that will call {@link release} on its own batch object. */
  retain(): DocumentBatch {
    retainRegion(this.#descriptor.region);
    return new DocumentBatch(this.#descriptor);
  }

  /** Gives the memory back. The views must not be used afterwards; calling it again does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    releaseRegion(this.#descriptor.region);
  }
}

/** The bytes of value `row`: a view, not a copy. Null values are empty. */
export function bytesAt(column: BytesColumn, row: number): Uint8Array {
  return column.data.subarray(column.offsets[row], column.offsets[row + 1]);
}

/** True when value `row` is null. */
export function isNullAt(column: BytesColumn, row: number): boolean {
  return column.validity !== null && ((column.validity[row >> 3]! >> (row & 7)) & 1) === 0;
}

/**
 * Bytes a region needs for `nDocs` values of `dataBytes` in total.
 */
export function columnBytes(nDocs: number, dataBytes: number, nullCount: number): number {
  const validity = nullCount > 0 ? alignUp(Math.ceil(nDocs / 8)) : 0;
  return validity + alignUp((nDocs + 1) * 4) + alignUp(dataBytes);
}

/** A region laid out for one batch whose bytes the caller still has to write (C++ decoders do). */
export interface OpenBatch {
  readonly descriptor: BatchDescriptor;
  readonly columns: readonly {
    readonly offsets: Int32Array;
    readonly data: Uint8Array;
    readonly validity: Uint8Array | null;
  }[];
}

/** Sizes of a column to lay out. */
export interface ColumnSize {
  readonly name: 'text' | 'id' | 'site';
  readonly dataBytes: number;
  readonly nullCount: number;
}

/**
 * Reserves and lays out a region for `nDocs` documents; waits while the pool is empty.
 */
export async function reserveBatch(
  pool: SlabPool,
  nDocs: number,
  sizes: readonly ColumnSize[],
  lane: Lane = 'input',
  signal?: AbortSignal,
): Promise<OpenBatch> {
  const total = sizes.reduce((sum, s) => sum + columnBytes(nDocs, s.dataBytes, s.nullCount), 0);
  const region = await pool.allocate(total, lane, signal);
  let cursor = region.byteOffset;
  const columns = sizes.map((size): ColumnDescriptor => {
    const validity = size.nullCount > 0 ? cursor : -1;
    const offsets = validity < 0 ? cursor : cursor + alignUp(Math.ceil(nDocs / 8));
    const data = offsets + alignUp((nDocs + 1) * 4);
    cursor = data + alignUp(size.dataBytes);
    return { ...size, validity, offsets, data };
  });
  const descriptor = { region, nDocs, columns };
  return { descriptor, columns: columns.map((c) => openColumn(descriptor, c)) };
}

/** Copies values into shared memory as one batch. */
export async function buildBatch(
  pool: SlabPool,
  values: { readonly text: BytesValues; readonly id?: BytesValues; readonly site?: BytesValues },
  lane: Lane = 'input',
  signal?: AbortSignal,
): Promise<DocumentBatch> {
  const named: ['text' | 'id' | 'site', BytesValues][] = [['text', values.text]];
  if (values.id) named.push(['id', values.id]);
  if (values.site) named.push(['site', values.site]);
  const sizes = named.map(([name, column]) => ({
    name,
    dataBytes: column.reduce((sum, value) => sum + (value?.byteLength ?? 0), 0),
    nullCount: column.reduce((sum, value) => sum + (value === null ? 1 : 0), 0),
  }));
  const open = await reserveBatch(pool, values.text.length, sizes, lane, signal);
  for (const [index, [, column]] of named.entries()) fillColumn(open.columns[index]!, column);
  return new DocumentBatch(open.descriptor);
}

function fillColumn(target: OpenBatch['columns'][number], values: BytesValues): void {
  target.validity?.fill(0);
  let end = 0;
  target.offsets[0] = 0;
  for (const [row, value] of values.entries()) {
    if (value !== null) {
      target.data.set(value, end);
      end += value.byteLength;
      if (target.validity) target.validity[row >> 3]! |= 1 << (row & 7);
    }
    target.offsets[row + 1] = end;
  }
}

function openColumn(descriptor: BatchDescriptor, column: ColumnDescriptor): BytesColumn {
  const { sab } = descriptor.region;
  const nDocs = descriptor.nDocs;
  return {
    length: nDocs,
    offsets: new Int32Array(sab, column.offsets, nDocs + 1),
    data: new Uint8Array(sab, column.data, column.dataBytes),
    validity:
      column.validity < 0 ? null : new Uint8Array(sab, column.validity, Math.ceil(nDocs / 8)),
    nullCount: column.nullCount,
  };
}
