/**
 * The index on disk, in the run's bookkeeping folder: made again at any time, never trusted.
 *
 *     _gristmill/inspect/index      "GMIX" | length of the head, Uint32 | head, JSON | blocks, one behind the other
 *
 * A block counts only for the unit whose files are the ones that it was made of (their hashes stand in the ledger), and only
 * with the number of rows that the ledger has. A file that is damaged or cut is as good as none.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { makeFolder } from '../local-path.ts';
import { PendingFile } from '../pending-file.ts';
import type { FinishedRun } from '../refine/finished-run.ts';
import { blockOver, type IndexBlock, type IndexNames, ROW_BYTES } from './index-block.ts';

const MAGIC = 'GMIX';
const VERSION = 1;
const MAX_HEAD_BYTES = 1 << 28;
const MAX_GRID_BYTES = 1 << 24;

const headSchema = z.object({
  version: z.literal(VERSION),
  outcomes: z.array(
    z.object({
      status: z.enum(['kept', 'edited', 'dropped', 'failed']),
      reason: z.string(),
      part: z.enum(['staying', 'dropped', 'rejected']),
    }),
  ),
  domains: z.array(z.string()),
  languages: z.array(z.string()),
  units: z.array(
    z.object({
      unit: z.int().min(0),
      nRows: z.int().min(0),
      files: z.string(),
      /** Whether sizes and shares have been read. */
      sized: z.boolean(),
    }),
  ),
  /** Bytes of the sums of scores behind the blocks; null where there are none, or they are not of all the blocks. */
  gridBytes: z.int().min(0).max(MAX_GRID_BYTES).nullable(),
});

/** What was kept. */
export interface CachedIndex {
  readonly names: IndexNames;
  readonly blocks: readonly { readonly block: IndexBlock; readonly sized: boolean }[];
  /** Sums of scores of exactly these blocks (score-grid.ts). */
  readonly grid: SharedArrayBuffer | null;
}

function pathOf(run: FinishedRun): string {
  return join(run.out, '_gristmill', 'inspect', 'index');
}

/** What a block is made of. */
function filesOf(run: FinishedRun, unit: number): string {
  return run
    .unit(unit)
    .files.map(({ sha256 }) => sha256)
    .join(' ');
}

/** Reads what there is of use; null for nothing, as of a run in a bucket. */
export function readIndex(run: FinishedRun): CachedIndex | null {
  if (remoteScheme(run.out) !== null) return null;
  let descriptor: number;
  try {
    descriptor = openSync(pathOf(run), 'r');
  } catch {
    return null;
  }
  try {
    const start = Buffer.alloc(8);
    readWhole(descriptor, start, 0);
    const headBytes = start.readUInt32LE(4);
    if (start.toString('latin1', 0, 4) !== MAGIC || headBytes > MAX_HEAD_BYTES) return null;
    const head = Buffer.alloc(headBytes);
    readWhole(descriptor, head, 8);
    const { outcomes, domains, languages, units, gridBytes } = headSchema.parse(
      JSON.parse(head.toString()),
    );
    const names: IndexNames = { outcomes: outcomes as IndexNames['outcomes'], domains, languages };
    const known = new Map(run.units.map((record) => [record.unit, record.counts.rowsIn]));
    const blocks: { block: IndexBlock; sized: boolean }[] = [];
    let position = 8 + headBytes;
    for (const { unit, nRows, files, sized } of units) {
      const byteLength = nRows * ROW_BYTES;
      if (known.get(unit) === nRows && filesOf(run, unit) === files) {
        const bytes = new SharedArrayBuffer(byteLength);
        readWhole(descriptor, new Uint8Array(bytes), position);
        blocks.push({ block: blockOver(unit, nRows, bytes), sized });
      }
      position += byteLength;
    }
    let grid: SharedArrayBuffer | null = null;
    if (gridBytes !== null && blocks.length === units.length) {
      grid = new SharedArrayBuffer(gridBytes);
      readWhole(descriptor, new Uint8Array(grid), position);
    }
    return { names, blocks, grid };
  } catch {
    return null;
  } finally {
    closeSync(descriptor);
  }
}

function readWhole(descriptor: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.byteLength; ) {
    const nRead = readSync(descriptor, into, done, into.byteLength - done, position + done);
    if (nRead === 0) throw new Error('the file ends early');
    done += nRead;
  }
}

/** Keeps an index; a folder that cannot be written to keeps none. @returns whether it was written */
export function writeIndex(run: FinishedRun, { names, blocks, grid }: CachedIndex): boolean {
  if (remoteScheme(run.out) !== null) return false;
  let pending: PendingFile | null = null;
  try {
    makeFolder(join(run.out, '_gristmill', 'inspect'));
    const units = blocks.map(({ block: { unit, nRows }, sized }) => {
      return { unit, nRows, files: filesOf(run, unit), sized };
    });
    const head = Buffer.from(
      JSON.stringify({ version: VERSION, ...names, units, gridBytes: grid?.byteLength ?? null }),
    );
    const start = Buffer.alloc(8);
    start.write(MAGIC, 'latin1');
    start.writeUInt32LE(head.byteLength, 4);
    pending = new PendingFile(pathOf(run));
    pending.write(start);
    pending.write(head);
    for (const { block } of blocks) pending.write(new Uint8Array(block.bytes));
    if (grid) pending.write(new Uint8Array(grid));
    pending.commit();
    return true;
  } catch {
    pending?.discard();
    return false;
  }
}
