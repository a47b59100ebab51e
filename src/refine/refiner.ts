/**
 * The refiner as a library: texts or batches in, outcomes out; no files, no ledger.
 */
import { buildBatch, type DocumentBatch } from '../batch/document-batch.ts';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { native } from '../native.ts';
import type { EngineInfo, EngineStats } from '../native-engine.ts';
import type { Outcome } from '../program/types.ts';
import { openCore, openExecution, openSlabs, type RefineOptions, resolveRefiner } from './core.ts';
import { batchRows, defaultSizes, parseDevices } from './devices.ts';
import { IN_FLIGHT } from './lanes.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, judgeBatch, type RefinedRows } from './refine-batch.ts';
import type { ScoringInfo, ScoringStats } from './scoring-engine.ts';

/** Options of {@link openRefiner}. */
export interface OpenRefinerOptions extends RefineOptions {
  /**
   * Keep each engine in a process of its own, so that a crash of llama.cpp does not take this one along.
   * Default false: embedded use starts faster without.
   */
  readonly isolate?: boolean;
  /** Bytes of one shared-memory slab, default 64 MiB, and their number, default 3. */
  readonly slabBytes?: number;
  readonly nSlabs?: number;
}

/** The outcome of one document with what the refiner said of it. */
export interface RefinedDocument extends Outcome {
  /** Programs of the document's windows joined by line breaks; null when none was written. */
  readonly program: string | null;
  /** Probability of keeping by the document stage, 0..1; null where it did not run. */
  readonly score: number | null;
}

/** A refiner in memory. Owns native memory: call {@link Refiner.dispose}, or use `await using`. */
export interface Refiner {
  /** What the loaded models say of themselves, document stage first. */
  readonly models: readonly (EngineInfo | ScoringInfo)[];
  /**
   * Refines texts, in order. Lone surrogates become U+FFFD.
   *
   * @throws ABORTED when `signal` fires, DISPOSED
   */
  refine(
    texts: readonly string[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<RefinedDocument[]>;
  /**
   * Refines a stream of batches (or of arrays of texts), in order, reading ahead by two. Each result must be
   * released before the third next is asked for: its memory is part of the refiner's slab pool.
   * Input batches stay the caller's; those made of texts are released with their result.
   */
  stream(
    batches: AsyncIterable<DocumentBatch | readonly string[]>,
    options?: { readonly signal?: AbortSignal },
  ): AsyncGenerator<RefinedRows>;
  /** Counters of the engines, by model. */
  stats(): Promise<(EngineStats | ScoringStats)[]>;
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Characters of one batch, bounded so that a long array streams through the slabs. */
const BATCH_CHARS = 4 * 2 ** 20;

/**
 * Loads the models and opens a refiner.
 *
 * @throws OPTION_INVALID, ENGINE_*, PROFILE_*, NATIVE_MISSING
 */
export async function openRefiner(options: OpenRefinerOptions = {}): Promise<Refiner> {
  const resolved = await resolveRefiner(options);
  const slabs = openSlabs(options);
  const pool = openExecution(resolved, slabs, options.workers);
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const core = await openCore(resolved, options, device, pool, options.isolate ?? false).catch(
    async (error: unknown) => {
      await pool.destroy();
      throw error;
    },
  );
  let disposed = false;
  const check = (signal?: AbortSignal): void => {
    if (disposed) throw new GristmillError('DISPOSED', { object: 'refiner' });
    throwIfAborted(signal, 'refining');
  };
  const encoder = new TextEncoder();

  async function* stream(
    batches: AsyncIterable<DocumentBatch | readonly string[]>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<RefinedRows> {
    check(signal);
    async function* read() {
      for await (const input of batches) {
        check(signal);
        if ('nDocs' in input) yield { batch: input, mine: false };
        else {
          const text = input.map((value) => encoder.encode(value));
          yield { batch: await buildBatch(slabs, { text }, 'input', signal), mine: true };
        }
      }
    }
    const judged = mapOrdered(read(), IN_FLIGHT, async ({ batch, mine }) => ({
      mine,
      judged: await judgeBatch(core, batch, arrivalOf(batch)),
    }));
    const executed = mapOrdered(judged, IN_FLIGHT, async ({ judged, mine }) => ({
      mine,
      rows: await executeBatch(core, judged),
    }));
    for await (const { rows, mine } of executed) {
      check(signal);
      const release = (): void => {
        rows.release();
        if (mine) rows.batch.release();
      };
      yield { ...rows, release };
    }
  }

  async function dispose(): Promise<void> {
    if (disposed) return;
    disposed = true;
    await core.dispose();
    await pool.destroy();
  }

  return {
    models: core.engines.map((engine) => engine.info),
    stream,
    async refine(texts, refineOptions = {}) {
      const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      const refined: RefinedDocument[] = [];
      for await (const rows of stream(
        slicesOf(texts, batchRows(options.slots ?? defaultSizes(device).nSlots)),
        refineOptions,
      )) {
        for (const [row, status] of rows.status.entries()) {
          const score = rows.score[row]!;
          refined.push({
            text: status === 'dropped' ? '' : decoder.decode(rows.texts[row]!),
            status,
            reason: rows.reason[row]!,
            ops: rows.ops[row]!,
            program: rows.program[row]!,
            score: Number.isNaN(score) ? null : score,
          });
        }
        rows.release();
      }
      return refined;
    },
    stats: () => Promise.all(core.engines.map((engine) => engine.stats())),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** Status on arrival of the rows of a batch that the caller made: null and invalid texts are found here. */
function arrivalOf(batch: DocumentBatch): Uint8Array {
  const valid = new Uint8Array(batch.nDocs);
  native().validateUtf8(batch.text.data, batch.text.offsets, valid);
  const { validity } = batch.text;
  return valid.map((isValid, row) => {
    if (validity && ((validity[row >> 3]! >> (row & 7)) & 1) === 0) return 1;
    return isValid ? 0 : 2;
  });
}

/** Consecutive slices of bounded rows and characters, one long text alone at worst. */
async function* slicesOf(
  texts: readonly string[],
  maxRows: number,
): AsyncGenerator<readonly string[]> {
  let start = 0;
  while (start < texts.length) {
    let end = start;
    let chars = 0;
    while (end < texts.length && end - start < maxRows) {
      chars += texts[end]!.length;
      if (chars > BATCH_CHARS && end > start) break;
      end++;
    }
    yield texts.slice(start, end);
    start = end;
  }
}
