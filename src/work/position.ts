/**
 * Where a worker is: a small file that it writes and its supervisor reads when it has died, or moves no more.
 *
 *     0     Int32 phase                    what it is at (PHASE_*)
 *     4     Int16 input, Int16 output      its waits for whoever writes its input, or reads its output
 *     8     Float64 commits, steps         units committed; engine calls, batches and writes that ended
 *     24    Uint64 ticks                   counted by native code while it computes (native/progress.h), in the mapped file
 *     64    N_RECORDS records of 64 bytes  engine calls in flight; sequence 0: none
 *
 *     record: Float64 sequence, unit, stage, first, end, nRows
 *
 * The file has no name: it is opened by the supervisor and inherited. Every write is one pwrite inside a page, so what was
 * written survives any death of the writer, and nothing is torn.
 */
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import { SHARED_DESCRIPTOR } from './child.ts';

/** Rows of a unit that an engine has, or had, in one call: those of a range that the stage was given. */
export interface RowSet {
  /** Index of the unit. */
  readonly unit: number;
  /** What the engine was asked; numbers of the caller's. */
  readonly stage: number;
  /** First row of the unit in the call, and one past its last. */
  readonly first: number;
  readonly end: number;
  /** Rows in the call; those between may be absent. */
  readonly nRows: number;
}

/** Whom a worker may wait for. */
export type WaitSide = 'input' | 'output';

/** Nothing is opened yet. */
export const PHASE_STARTING = 0;
/** Models are being loaded: who dies at that would die again. */
export const PHASE_OPENING = 1;
/** Units are on their way. */
export const PHASE_RUNNING = 2;

/** How far a worker is, as it was read. */
export interface Progress {
  readonly phase: number;
  /** It waits for others: for whoever writes its input, or reads its output. */
  readonly waits: Readonly<Record<WaitSide, boolean>>;
  readonly commits: number;
  /** Everything that counts as a move, as one value that changes with it. */
  readonly moves: string;
}

const WAITS_AT: Readonly<Record<WaitSide, number>> = { input: 4, output: 6 };
const TICKS_AT = 24;
const RECORDS_AT = 64;
const RECORD_BYTES = 64;
/** More calls at a time than any number of devices of one machine makes. */
const N_RECORDS = 1024;
const FILE_BYTES = RECORDS_AT + N_RECORDS * RECORD_BYTES;

/** Makes the file of a worker; the descriptor is the caller's to close. @throws RUN_OUTPUT_FAILED */
export function openPositionFile(): number {
  const path = join(tmpdir(), `gristmill-${process.pid}-${Math.random().toString(36).slice(2)}`);
  try {
    const descriptor = openSync(path, 'wx+', 0o600);
    rmSync(path);
    clearPosition(descriptor);
    return descriptor;
  } catch (cause) {
    const { message: reason } = cause as Error;
    throw new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause });
  }
}

/** Begins anew, for the next worker. */
export function clearPosition(descriptor: number): void {
  ftruncateSync(descriptor, 0);
  ftruncateSync(descriptor, FILE_BYTES);
}

/** How far the worker is. */
export function readProgress(descriptor: number): Progress {
  const view = read(descriptor, 0, RECORDS_AT);
  const commits = view.getFloat64(8, true);
  return {
    phase: view.getInt32(0, true),
    waits: {
      input: view.getInt16(WAITS_AT.input, true) > 0,
      output: view.getInt16(WAITS_AT.output, true) > 0,
    },
    commits,
    moves: `${commits} ${view.getFloat64(16, true)} ${view.getBigUint64(TICKS_AT, true)}`,
  };
}

/** Engine calls in flight, the oldest first. */
export function readInFlight(descriptor: number): RowSet[] {
  const view = read(descriptor, RECORDS_AT, N_RECORDS * RECORD_BYTES);
  const found: (RowSet & { readonly sequence: number })[] = [];
  for (let at = 0; at < view.byteLength; at += RECORD_BYTES) {
    const [sequence, unit, stage, first, end, nRows] = Array.from({ length: 6 }, (_, field) =>
      view.getFloat64(at + field * 8, true),
    ) as [number, number, number, number, number, number];
    if (sequence > 0) found.push({ sequence, unit, stage, first, end, nRows });
  }
  found.sort((left, right) => left.sequence - right.sequence);
  return found.map(({ sequence: _, ...set }) => set);
}

function read(descriptor: number, position: number, length: number): DataView {
  const bytes = new Uint8Array(length);
  readSync(descriptor, bytes, 0, length, position);
  return new DataView(bytes.buffer);
}

/** The worker's side of its position. */
export class PositionWriter {
  readonly #descriptor: number;
  readonly #header = new DataView(new ArrayBuffer(TICKS_AT));
  readonly #record = new Float64Array(RECORD_BYTES / 8);
  readonly #free: number[] = Array.from({ length: N_RECORDS }, (_, slot) => N_RECORDS - 1 - slot);
  #sequence = 0;

  /** @param descriptor of the file; default: the inherited one */
  constructor(descriptor: number = SHARED_DESCRIPTOR) {
    this.#descriptor = descriptor;
    native().countProgress(descriptor, TICKS_AT);
  }

  enter(phase: number): void {
    this.#header.setInt32(0, phase, true);
    this.#write();
  }

  /** Something came to its end. */
  stepped(): void {
    this.#header.setFloat64(16, this.#header.getFloat64(16, true) + 1, true);
    this.#write();
  }

  committed(): void {
    this.#header.setFloat64(8, this.#header.getFloat64(8, true) + 1, true);
    this.#write();
  }

  /** Waits for others do not count as standing still. */
  async waiting<T>(side: WaitSide, others: () => Promise<T>): Promise<T> {
    this.#wait(side, 1);
    try {
      return await others();
    } finally {
      this.#wait(side, -1);
    }
  }

  /** An engine call is in flight until the function that is returned is called. */
  begin({ unit, stage, first, end, nRows }: RowSet): () => void {
    const slot = this.#free.pop();
    if (slot === undefined) throw new Error('too many engine calls at a time');
    const at = RECORDS_AT + slot * RECORD_BYTES;
    this.#record.set([++this.#sequence, unit, stage, first, end, nRows]);
    writeSync(this.#descriptor, this.#record, 0, RECORD_BYTES, at);
    return () => {
      this.#record.fill(0);
      writeSync(this.#descriptor, this.#record, 0, RECORD_BYTES, at);
      this.#free.push(slot);
      this.stepped();
    };
  }

  #wait(side: WaitSide, more: number): void {
    const at = WAITS_AT[side];
    this.#header.setInt16(at, this.#header.getInt16(at, true) + more, true);
    this.#header.setFloat64(16, this.#header.getFloat64(16, true) + 1, true);
    this.#write();
  }

  #write(): void {
    writeSync(this.#descriptor, this.#header, 0, TICKS_AT, 0);
  }
}

/** Closes the supervisor's descriptor. */
export function closePositionFile(descriptor: number): void {
  closeSync(descriptor);
}
