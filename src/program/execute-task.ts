/**
 * Executes the programs of a stretch of a batch: the body of a worker thread (worker.ts), and of the in-thread mode.
 *
 * The texts are read where they lie (shared memory) and edited ones are written into the output stretch; only
 * programs and verdicts travel. Imports nothing of Arrow, so that a worker starts in a few milliseconds.
 */
import { createRequire } from 'node:module';
import type { BatchDescriptor } from '../batch/document-batch.ts';
import { type ByteString, readBytes } from './byte-string.ts';
import { makeExecutor } from './execute.ts';
import type { ResolvedOptions } from './options.ts';
import { type PackedPrograms, ResultWriter, unpackPrograms } from './pack.ts';
import type { Executor, TextSource } from './verdict.ts';

/** A stretch of shared memory. */
export interface SharedBytes {
  readonly sab: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** What a worker is sent. */
export interface ExecutionTask {
  readonly batch: BatchDescriptor;
  /** First document of the stretch. */
  readonly docStart: number;
  /** One past its last document. */
  readonly docEnd: number;
  readonly programs: PackedPrograms;
  readonly options: ResolvedOptions;
  /** Where edited texts go; null when none is expected. */
  readonly output: SharedBytes | null;
  /** File of the addon, which is told where texts are read; null: nobody asks. */
  readonly traceWith: string | null;
}

/** One document's bytes in a batch. */
class BatchSource implements TextSource {
  readonly #data: Buffer;
  readonly #offsets: Int32Array;
  readonly #trace: ((stage: string, view: Uint8Array) => void) | null;
  doc = 0;

  constructor({ region, columns, nDocs }: BatchDescriptor, traceWith: string | null) {
    const column = columns.find(({ name }) => name === 'text')!;
    this.#data = Buffer.from(region.sab as unknown as ArrayBuffer, column.data, column.dataBytes);
    this.#offsets = new Int32Array(region.sab, column.offsets, nDocs + 1);
    this.#trace = traceWith === null ? null : createRequire(traceWith)(traceWith).traceView;
  }

  read(): ByteString {
    const start = this.#offsets[this.doc]!;
    const end = this.#offsets[this.doc + 1]!;
    this.#trace?.('executor', this.#data.subarray(start, end));
    return readBytes(this.#data, start, end);
  }
}

let cached: { readonly key: string; readonly executor: Executor } | null = null;

/** The executor of this thread; made once per set of options. */
function executorFor(options: ResolvedOptions): Executor {
  const key = JSON.stringify(options);
  if (cached?.key !== key) cached = { key, executor: makeExecutor(options) };
  return cached.executor;
}

/** Executes a task in this thread; the result is laid out as src/program/pack.ts says. */
export function runTask(task: ExecutionTask): Int32Array<ArrayBuffer> {
  const { batch, docStart, docEnd, programs, options, output, traceWith } = task;
  const executor = executorFor(options);
  const source = new BatchSource(batch, traceWith);
  const bytes = output
    ? new Uint8Array(output.sab, output.byteOffset, output.byteLength)
    : new Uint8Array(0);
  const writer = new ResultWriter(docEnd - docStart, bytes);
  for (let doc = docStart; doc < docEnd; doc++) {
    source.doc = doc;
    writer.push(executor.execute(unpackPrograms(programs, doc - docStart), source));
  }
  return writer.finish();
}
