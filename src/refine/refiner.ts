/**
 * The refiner as a library: texts, rows or batches in, outcomes out; no files, no ledger.
 *
 *     inputs → a batch in shared memory → engine → execute → results, in order
 *
 * Invariants
 *  1. Who waits for a result is let go at once when its signal fires. The engine is told to stop; memory that it may
 *     still read is released when it has.
 *  2. Every batch that was made here is released once: by the consumer, by the lag of `stream`, or behind an end.
 *  3. A consumer that keeps results never stops the pipeline: when nothing comes back to the slab pool, batches get
 *     memory of their own.
 */
import { buildBatch, type DocumentBatch } from '../batch/document-batch.ts';
import { abortError, GristmillError, throwIfAborted, untilAborted } from '../errors.ts';
import { native } from '../native/index.ts';
import { checkOptions, given, refuseOption } from '../options.ts';
import type { Sites } from '../sites/site-file.ts';
import {
  openCore,
  openExecution,
  openSlabs,
  type ResolvedRefiner,
  resolveRefiner,
} from './core.ts';
import { batchRows, defaultSizes, parseDevices } from './devices.ts';
import { IN_FLIGHT } from './lanes.ts';
import { OPEN_REFINER_TABLE, REFINE_CALL_TABLE } from './option-tables.ts';
import { mapOrdered } from './pipeline.ts';
import { executeBatch, judgeBatch } from './refine-batch.ts';
import type { RefinedRows } from './refined-rows.ts';
import type {
  OpenRefinerOptions,
  RefineCallOptions,
  RefinedDocument,
  RefinedRowOf,
  RefineRowsOptions,
  Refiner,
  RefinerText,
  RefineTextsOptions,
  StreamedRows,
} from './refiner-types.ts';
import { type LeavableSource, leavable } from './source.ts';
import { checkTexts, encodeTexts, gatherRows, slicesOf, textOf } from './text-batches.ts';

export type {
  OpenRefinerOptions,
  RefineCallOptions,
  RefinedDocument,
  RefinedRowOf,
  RefineRowsOptions,
  Refiner,
  RefinerText,
  RefineTextsOptions,
  StreamedRows,
} from './refiner-types.ts';

/** Results of a stream that stay valid behind the newest one. */
const STREAM_LAG = 2;
/** Wait for memory that nobody gives back, after which a batch gets its own. */
const OWN_BUFFER_AFTER_MS = 250;

const WHAT = 'refining';

/** A batch on its way, with what its maker wants to find beside its results. */
interface Item<Beside> {
  readonly batch: DocumentBatch;
  readonly arrival: Uint8Array;
  readonly beside: Beside;
  /** Null until it was executed. */
  rows: RefinedRows | null;
  /** Gives everything back that is held for it. */
  release(): void;
}

/**
 * Loads the models and opens a refiner.
 *
 * @throws OPTION_INVALID, ENGINE_*, PROFILE_*, NATIVE_MISSING
 * @example
 * ```js
 * await using refiner = await openRefiner();
 * const [document] = await refiner.refine([page]);
 * ```
 */
export async function openRefiner(asked: OpenRefinerOptions = {}): Promise<Refiner> {
  checkOptions('openRefiner', asked, OPEN_REFINER_TABLE);
  const options = given(asked);
  const devices = parseDevices(options.device ?? 'cpu');
  if (devices.length > 1) {
    const expected = 'one device; a refiner on each of several is opened by a call of its own';
    refuseOption('device', expected, options.device);
  }
  const resolved = await resolveRefiner(options);
  const sites = await sitesOf(options, resolved);
  const slabs = openSlabs({ ...options, ownBufferAfterMs: OWN_BUFFER_AFTER_MS });
  const pool = openExecution(resolved, slabs, options.workers);
  const device = devices[0]!;
  const opening = openCore(resolved, options, device, pool, { sites });
  const core = await opening.catch(async (error: unknown) => {
    sites?.dispose();
    await pool.destroy();
    throw error;
  });
  const maxRows = batchRows(options.slots ?? defaultSizes(device).nSlots);
  /** What goes on behind calls that have ended. */
  const endings = new Set<Promise<void>>();
  let disposed = false;
  const check = (signal: AbortSignal | undefined): void => {
    if (disposed) throw new GristmillError('DISPOSED', { object: 'refiner' });
    throwIfAborted(signal, WHAT);
  };

  async function place<Beside>(
    { texts, urls }: { readonly texts: readonly RefinerText[]; readonly urls?: Urls },
    beside: Beside,
    signal: AbortSignal,
  ): Promise<Item<Beside>> {
    const { values, arrival } = encodeTexts(texts);
    const columns = { text: values, ...(urls && { site: encodeTexts(urls).values }) };
    const batch = await buildBatch(slabs, columns, 'input', signal);
    return itemOf(batch, arrival, beside, () => batch.release());
  }

  /** The results of inputs, in order; an item is its taker's to release. */
  async function* results<Input, Beside>(
    inputs: LeavableSource<Input> | AsyncGenerator<Input>,
    leave: () => void,
    signal: AbortSignal | undefined,
    make: (input: Input, signal: AbortSignal) => Promise<Item<Beside>>,
  ): AsyncGenerator<Item<Beside> & { readonly rows: RefinedRows }> {
    const controller = new AbortController();
    const stop = (): void => controller.abort(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    const open = new Set<Item<Beside>>();
    async function* read(): AsyncGenerator<Item<Beside>> {
      for await (const input of inputs) {
        check(signal);
        const item = await make(input, controller.signal);
        open.add(item);
        yield item;
      }
    }
    const judged = mapOrdered(read(), IN_FLIGHT, async (item) => ({
      item,
      judged: await judgeBatch(core, item.batch, item.arrival, { signal: controller.signal }),
    }));
    const executed = mapOrdered(judged, IN_FLIGHT, async ({ item, judged: verdicts }) => {
      item.rows = await executeBatch(core, verdicts, controller.signal);
      return item;
    });
    try {
      check(signal);
      for (;;) {
        const next = await untilAborted(executed.next(), signal, WHAT);
        if (next.done) return;
        const { value: item } = next;
        open.delete(item);
        yield item as Item<Beside> & { readonly rows: RefinedRows };
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      controller.abort(abortError(WHAT));
      leave();
      const ending = (async () => {
        await executed.return(undefined).catch(() => undefined);
        for (const item of open) item.release();
      })();
      endings.add(ending);
      void ending.finally(() => endings.delete(ending));
      if (!signal?.aborted) await ending;
    }
  }

  async function* stream(
    batches: Parameters<Refiner['stream']>[0],
    callOptions: RefineCallOptions = {},
  ): AsyncGenerator<StreamedRows, void, undefined> {
    checkOptions('stream', callOptions, REFINE_CALL_TABLE);
    const { signal } = callOptions;
    const source = leavable('batches', batches);
    let nBatches = 0;
    const items = results(
      source,
      () => source.leave(),
      signal,
      async (input, ending): Promise<Item<null>> => {
        const option = `batch ${nBatches++}`;
        if (isBatch(input)) return itemOf(input, arrivalOf(input), null, () => undefined);
        checkTexts(option, input);
        return place({ texts: input }, null, ending);
      },
    );
    const given: { release(): void; isKept: boolean }[] = [];
    for await (const item of items) {
      const held = { release: () => item.release(), isKept: false };
      yield streamedRows(item, () => {
        held.isKept = true;
      });
      given.push(held);
      if (given.length <= STREAM_LAG) continue;
      const oldest = given.shift()!;
      if (!oldest.isKept) oldest.release();
    }
  }

  async function* refineRows<Row>(
    rows: AsyncIterable<Row> | Iterable<Row>,
    rowOptions: RefineRowsOptions<Row> = {},
  ): AsyncGenerator<RefinedRowOf<Row>, void, undefined> {
    checkOptions<RefineRowsOptions<Row>>('refineRows', rowOptions, {
      ...REFINE_CALL_TABLE,
      text: {
        expected: 'a function of a row, or the name of a property',
        accepts: (value) => typeof value === 'function' || typeof value === 'string',
      },
      url: {
        expected: 'a function of a row, or the name of a property, beside sites',
        accepts: (value) =>
          sites !== null && (typeof value === 'function' || typeof value === 'string'),
      },
    });
    const source = leavable('rows', rows);
    const gathered = gatherRows(source, textOf(rowOptions.text), maxRows);
    const items = results(
      gathered,
      () => source.leave(),
      rowOptions.signal,
      (batch, ending) => {
        const { texts, rows: own } = batch;
        const { url } = rowOptions;
        return place(url ? { texts, urls: urlsOf(own, url) } : { texts }, batch, ending);
      },
    );
    for await (const item of items) {
      const { beside } = item;
      const documents = takeDocuments(item, beside.texts);
      for (const [index, document] of documents.entries()) {
        yield { row: beside.rows[index]!, ...document };
      }
    }
  }

  async function refine(
    texts: readonly RefinerText[],
    callOptions: RefineTextsOptions = {},
  ): Promise<RefinedDocument[]> {
    checkOptions('refine', callOptions, {
      ...REFINE_CALL_TABLE,
      urls: {
        expected: 'a URL, host or null for each text, beside sites',
        accepts: (value) => sites !== null && Array.isArray(value) && value.length === texts.length,
      },
    });
    checkTexts('texts', texts);
    const { urls } = callOptions;
    if (urls) checkTexts('urls', urls);
    let nSliced = 0;
    const slices = leavable('texts', slicesOf(texts, maxRows));
    const items = results(
      slices,
      () => slices.leave(),
      callOptions.signal,
      (slice, ending) => {
        const own = urls?.slice(nSliced, nSliced + slice.length);
        nSliced += slice.length;
        return place({ texts: slice, ...(own && { urls: own }) }, slice, ending);
      },
    );
    const refined: RefinedDocument[] = [];
    for await (const item of items) {
      for (const document of takeDocuments(item, item.beside)) refined.push(document);
    }
    return refined;
  }

  async function dispose(): Promise<void> {
    if (disposed) return;
    disposed = true;
    await core.dispose();
    await pool.destroy();
    await Promise.all(endings);
    sites?.dispose();
  }

  return {
    models: core.infos,
    stream,
    refineRows,
    refine,
    stats: () => core.stats(),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

function itemOf<Beside>(
  batch: DocumentBatch,
  arrival: Uint8Array,
  beside: Beside,
  releaseInput: () => void,
): Item<Beside> {
  let released = false;
  return {
    batch,
    arrival,
    beside,
    rows: null,
    release() {
      if (released) return;
      released = true;
      this.rows?.release();
      releaseInput();
    },
  };
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The outcomes of an item's texts; its memory is given back. */
function takeDocuments(
  item: Item<unknown> & { readonly rows: RefinedRows },
  texts: readonly RefinerText[],
): RefinedDocument[] {
  const { status, reason, ops, program, score, texts: outputs } = item.rows;
  const documents = status.map((became, row): RefinedDocument => {
    const probability = score[row]!;
    const isAsItCame = became === 'kept' || became === 'failed';
    return {
      text:
        became === 'dropped' ? '' : isAsItCame ? (texts[row] ?? '') : decoder.decode(outputs[row]!),
      status: became,
      reason: reason[row]!,
      ops: ops[row]!,
      program: program[row]!,
      score: Number.isNaN(probability) ? null : probability,
    };
  });
  item.release();
  return documents;
}

/** Results whose texts cannot be read once their memory is used for others. */
function streamedRows(
  item: Item<unknown> & { readonly rows: RefinedRows },
  keep: () => void,
): StreamedRows {
  const { rows } = item;
  let released = false;
  const { release } = item;
  item.release = () => {
    released = true;
    release.call(item);
  };
  return {
    batch: rows.batch,
    score: rows.score,
    counts: rows.counts,
    scores: rows.scores,
    get status() {
      return rows.status;
    },
    get reason() {
      return rows.reason;
    },
    get program() {
      if (released) throw new GristmillError('DISPOSED', { object: 'a result of stream()' });
      return rows.program;
    },
    get ops() {
      return rows.ops;
    },
    get texts() {
      if (released) throw new GristmillError('DISPOSED', { object: 'a result of stream()' });
      return rows.texts;
    },
    keep,
    release: () => item.release(),
  };
}

type Urls = readonly (string | null | undefined)[];

/** The URLs of rows; what is no string says nothing. */
function urlsOf<Row>(rows: readonly Row[], url: NonNullable<RefineRowsOptions<Row>['url']>): Urls {
  return rows.map((row) => {
    const value: unknown =
      typeof url === 'function'
        ? url(row)
        : (row as Record<string, unknown> | null | undefined)?.[url];
    return typeof value === 'string' ? value : null;
  });
}

/** The counts by site that a refiner was given. @throws OPTION_INVALID, SITES_FILE_INVALID */
async function sitesOf(
  { sites }: OpenRefinerOptions,
  { chunk }: ResolvedRefiner,
): Promise<Sites | null> {
  if (sites === undefined) return null;
  if (chunk?.model.kind !== 'line-score') {
    refuseOption('sites', 'nothing for a chunk model that does not score lines', sites);
  }
  const { openSites } = await import('../sites/site-file.ts');
  return openSites(sites);
}

function isBatch(input: unknown): input is DocumentBatch {
  if (typeof input === 'object' && input !== null && 'nDocs' in input && 'text' in input) {
    return true;
  }
  if (!Array.isArray(input)) refuseOption('batches', 'batches or arrays of texts', input);
  return false;
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
