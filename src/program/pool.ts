/**
 * Executes whole batches of documents on a pool of worker threads.
 *
 * A batch is cut into stretches of about equal size, one per worker. Edited texts land in one region of the
 * slab pool's `output` lane, reserved by the inputs' sizes (an edited text is not longer than its input
 * unless `maxGrowthRatio` says so); what does not fit comes back as a transferred spill. Results do not
 * depend on the number of workers.
 *
 * Threads are started when there is work for them: a run of a few small batches executes in the calling thread.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import type { Piscina } from 'piscina';
import type { DocumentBatch } from '../batch/document-batch.ts';
import { type Region, releaseRegion, type SlabPool } from '../batch/slab-pool.ts';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { addonFile, distFile } from '../paths.ts';
import { runTask } from './execute-task.ts';
import { type ExecuteOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { PackedResults, packPrograms, type WrittenTexts } from './pack.ts';
import { REASON_CODES, type Reason } from './reasons.ts';
import type { OpRecord } from './types.ts';
import type { DocumentPrograms } from './verdict.ts';

/** Options of {@link ExecutionPool}. */
export interface ExecutionPoolOptions {
  /** Where outputs are written. */
  readonly slabs: SlabPool;
  /** Worker threads; 0 executes in the calling thread. Default 2, at most the number of cores. */
  readonly nWorkers?: number;
  /** What the executor does. */
  readonly execute?: ExecuteOptions;
  /**
   * Bytes of texts, in batches too small to be cut, that are executed in the calling thread before the first thread is
   * started; 0: none. Default 1 MiB.
   */
  readonly bytesHere?: number;
}

const DEFAULT_WORKERS = 2;
/** A stretch of a batch is at least this large: below, handing it over costs more than it gains. */
const MIN_STRETCH_BYTES = 2 ** 18;
/** Starting a thread takes the CPU of executing ten times as many. */
const DEFAULT_BYTES_HERE = 2 ** 20;
/** Programs that change nothing, whatever the text; other ones reserve room for an output. */
const KEEPS = new Set(['', 'keep_chunk()', 'keep_doc()', 'keep_all()', 'untouch_doc()']);

/** Tests ask where texts are read (refine/run-worker.ts). */
const TRACE_WITH = process.env['GRISTMILL_TRACE_BYTES'] ? addonFile : null;

/** A stretch of a batch. */
interface Stretch {
  readonly docStart: number;
  readonly docEnd: number;
  /** Bytes of the inputs that may be edited. */
  readonly outputBytes: number;
}

/** A fixed set of threads that execute programs. */
export class ExecutionPool {
  readonly nWorkers: number;
  readonly options: ResolvedOptions;
  readonly #slabs: SlabPool;
  readonly #workerFile: string;
  #piscina: Promise<Piscina> | null = null;
  #started: Piscina | null = null;
  /** Bytes that may still be executed in the calling thread. */
  #bytesHere: number;
  #disposed = false;

  /**
   * @throws OPTION_INVALID for a number of workers or bytes below 0, or an option of the executor out of range
   * @throws PROGRAM_WORKER_MISSING when the compiled worker is not there
   */
  constructor({ slabs, nWorkers, execute, bytesHere = DEFAULT_BYTES_HERE }: ExecutionPoolOptions) {
    this.nWorkers = nWorkers ?? Math.min(DEFAULT_WORKERS, availableParallelism());
    for (const [option, received] of Object.entries({ nWorkers: this.nWorkers, bytesHere })) {
      if (Number.isSafeInteger(received) && received >= 0) continue;
      const expected = 'a whole number of at least 0';
      throw new GristmillError('OPTION_INVALID', { option, expected, received });
    }
    this.options = resolveOptions(execute);
    this.#slabs = slabs;
    this.#bytesHere = bytesHere;
    this.#workerFile = distFile('program/worker.cjs');
    if (this.nWorkers > 0 && !existsSync(this.#workerFile)) {
      throw new GristmillError('PROGRAM_WORKER_MISSING', { file: this.#workerFile });
    }
  }

  /** Threads that are there now. */
  get nThreads(): number {
    return this.#started?.threads.length ?? 0;
  }

  /**
   * Runs one program, or one per window, over every document of a batch.
   *
   * @param programs one entry per document; null leaves the document as it is. A null text counts as empty.
   * @param holdsRoom whether the batch has room of {@link reserve} already, and must not wait for more
   * @returns results that hold a reference to output memory until they are released
   * @throws DISPOSED after {@link destroy}
   * @throws ABORTED when `signal` fires
   */
  async execute(
    batch: DocumentBatch,
    programs: readonly DocumentPrograms[],
    signal?: AbortSignal,
    holdsRoom = false,
  ): Promise<BatchExecution> {
    if (this.#disposed) throw new GristmillError('DISPOSED', { object: 'ExecutionPool' });
    if (programs.length !== batch.nDocs) {
      throw new GristmillError('OPTION_INVALID', {
        option: 'programs',
        expected: `${batch.nDocs} entries, one per document`,
        received: programs.length,
      });
    }
    const stretches = this.#cut(batch, programs);
    const isHere = this.#isHere(batch);
    const outputBytes = stretches.reduce((sum, stretch) => sum + stretch.outputBytes, 0);
    let region: Region | null = null;
    if (outputBytes > 0) {
      region = holdsRoom
        ? this.#slabs.allocateNow(outputBytes, 'output')
        : await this.#slabs.allocate(outputBytes, 'output', signal);
    }
    try {
      let byteOffset = region?.byteOffset ?? 0;
      const parts = stretches.map(async ({ docStart, docEnd, outputBytes: byteLength }) => {
        const output = region && { sab: region.sab, byteOffset, byteLength };
        byteOffset += byteLength;
        const packedPrograms = packPrograms(programs, docStart, docEnd);
        const { descriptor } = batch;
        const { options } = this;
        const range = { batch: descriptor, docStart, docEnd };
        const task = { ...range, programs: packedPrograms, options, output, traceWith: TRACE_WITH };
        throwIfAborted(signal, 'execution');
        // A running task is short and owns a part of the output region: it is never torn down half-way.
        const packed = isHere ? runTask(task) : await (await this.#threads()).run(task);
        const results = new PackedResults(packed as Int32Array);
        const bytes = output
          ? new Uint8Array(output.sab, output.byteOffset, output.byteLength)
          : new Uint8Array(0);
        return { docStart, results, bytes };
      });
      // Wait for all, even after a failure: the region must not be released under a running worker.
      const settled = await Promise.allSettled(parts);
      const failure = settled.find((part) => part.status === 'rejected');
      if (failure) throw failure.reason;
      const done = settled.flatMap((part) => (part.status === 'fulfilled' ? [part.value] : []));
      return new BatchExecution(batch.nDocs, done, region);
    } catch (error) {
      if (region) releaseRegion(region);
      throw error;
    }
  }

  /**
   * Room for outputs that others write than the pool's threads. It is there at once: batches hold it before their turn comes to
   * be written, so that one that waited might wait for one behind it. Their number in flight bounds it.
   */
  reserve(nBytes: number): { readonly bytes: Uint8Array; release(): void } {
    if (nBytes === 0) return { bytes: new Uint8Array(0), release: () => undefined };
    let region: Region | null = this.#slabs.allocateNow(nBytes, 'output');
    const bytes = new Uint8Array(region.sab, region.byteOffset, nBytes);
    const release = (): void => {
      if (region) releaseRegion(region);
      region = null;
    };
    return { bytes, release };
  }

  /** Stops the threads. Running tasks fail; calling it again does nothing. */
  async destroy(): Promise<void> {
    this.#disposed = true;
    await (await this.#piscina)?.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  /** Whether a batch is executed in the calling thread. */
  #isHere({ nDocs, text: { offsets } }: DocumentBatch): boolean {
    if (this.nWorkers === 0) return true;
    const nBytes = offsets[nDocs]! - offsets[0]!;
    if (nBytes > MIN_STRETCH_BYTES || nBytes >= this.#bytesHere) return false;
    this.#bytesHere -= nBytes;
    return true;
  }

  #threads(): Promise<Piscina> {
    // A batch may have waited for its region meanwhile.
    if (this.#disposed) throw new GristmillError('DISPOSED', { object: 'ExecutionPool' });
    this.#piscina ??= startWorkers(this.#workerFile, this.nWorkers).then((piscina) => {
      this.#started = piscina;
      return piscina;
    });
    return this.#piscina;
  }

  #cut(batch: DocumentBatch, programs: readonly DocumentPrograms[]): Stretch[] {
    const { offsets } = batch.text;
    const { maxGrowthRatio } = this.options;
    const totalBytes = offsets[batch.nDocs]! - offsets[0]!;
    const nParts = Math.max(1, Math.min(this.nWorkers, Math.floor(totalBytes / MIN_STRETCH_BYTES)));
    const stretches: Stretch[] = [];
    let docStart = 0;
    let outputBytes = 0;
    for (let doc = 0; doc < batch.nDocs; doc++) {
      const nBytes = offsets[doc + 1]! - offsets[doc]!;
      if (mayEdit(programs[doc] ?? null)) outputBytes += Math.floor(nBytes * maxGrowthRatio);
      const reached =
        offsets[doc + 1]! - offsets[0]! >= (totalBytes * (stretches.length + 1)) / nParts;
      if (reached && stretches.length + 1 < nParts) {
        stretches.push({ docStart, docEnd: doc + 1, outputBytes });
        docStart = doc + 1;
        outputBytes = 0;
      }
    }
    if (docStart < batch.nDocs) stretches.push({ docStart, docEnd: batch.nDocs, outputBytes });
    return stretches;
  }
}

/** A stretch of a batch with its results. */
interface ExecutedStretch {
  readonly docStart: number;
  readonly results: PackedResults;
  readonly bytes: Uint8Array;
}

/** What became of the documents of a batch. Texts are views on shared memory until {@link release}. */
export class BatchExecution {
  readonly nDocs: number;
  /** `Uint8Array[nDocs]`, indices into `STATUSES`. */
  readonly status: Uint8Array;
  /** `Uint8Array[nDocs]`, indices into `REASON_CODES`. */
  readonly reason: Uint8Array;
  readonly #stretches: readonly ExecutedStretch[];
  #region: Region | null;

  constructor(nDocs: number, stretches: readonly ExecutedStretch[], region: Region | null) {
    this.nDocs = nDocs;
    this.status = new Uint8Array(nDocs);
    this.reason = new Uint8Array(nDocs);
    this.#stretches = stretches;
    this.#region = region;
    for (const { docStart, results } of stretches) {
      for (let doc = 0; doc < results.nDocs; doc++) {
        this.status[docStart + doc] = results.statusAt(doc);
        this.reason[docStart + doc] = results.reasonAt(doc);
      }
    }
  }

  /** The reason code of a document. */
  reasonAt(doc: number): Reason {
    return REASON_CODES[this.reason[doc]!]!;
  }

  /** The text of a document as UTF-8; empty when dropped, null when it is the input's own. */
  textAt(doc: number): Uint8Array | null {
    const { docStart, results, bytes } = this.#stretchOf(doc);
    return results.textAt(doc - docStart, bytes);
  }

  /** All edited texts, in a few columns; documents are those of the batch. */
  written(): WrittenTexts[] {
    return this.#stretches.flatMap(({ docStart, results, bytes }) =>
      [results.written(bytes), results.written(null)]
        .filter(({ docs }) => docs.length > 0)
        .map((texts) => ({ ...texts, docs: texts.docs.map((doc) => docStart + doc) })),
    );
  }

  /** What every op of a document did. */
  opsAt(doc: number): OpRecord[] {
    const { docStart, results } = this.#stretchOf(doc);
    return results.opsAt(doc - docStart);
  }

  /** Gives the output memory back; the texts must not be read afterwards. */
  release(): void {
    if (this.#region) releaseRegion(this.#region);
    this.#region = null;
  }

  #stretchOf(doc: number): ExecutedStretch {
    return this.#stretches.findLast(({ docStart }) => docStart <= doc)!;
  }
}

function mayEdit(programs: DocumentPrograms): boolean {
  if (programs === null) return false;
  if (typeof programs === 'string') return !KEEPS.has(programs);
  return programs.some((window) =>
    'program' in window ? !KEEPS.has(window.program) : window.removed.length > 0,
  );
}

async function startWorkers(file: string, nWorkers: number): Promise<Piscina> {
  const { Piscina } = await import('piscina');
  return new Piscina({
    filename: pathToFileURL(file).href,
    // The others start when there is work for them.
    minThreads: 1,
    idleTimeout: 30_000,
    maxThreads: nWorkers,
    // Tasks are milliseconds long, so 'sync' is no faster here; 'async' leaves a waiting worker able to stop.
    atomics: 'async',
  });
}
