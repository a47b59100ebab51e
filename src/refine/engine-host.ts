/**
 * An engine in a child process that is restarted when it dies: the part that every kind of engine shares.
 *
 * llama.cpp aborts the process when it is misused or runs out of memory. A long run therefore keeps each engine in
 * a child process: when it dies, it is restarted and the documents of the lost call are tried again in halves,
 * until the one that kills it stands alone; after its second kill that one is set aside (`crashed`).
 *
 * A run that was told to stop starts no child again, and one that is stuck then is killed (see stopping.ts).
 */
import {
  abortError,
  GristmillError,
  isGristmillError,
  printable,
  throwIfAborted,
} from '../errors.ts';
import type { PageScorerOptions } from '../lines/page-scorer.ts';
import type { DocumentViews, EngineCallOptions, NativeEngineOptions } from '../native/engine.ts';
import { fromNative } from '../native/index.ts';
import { distFile } from '../paths.ts';
import { type Child, startChild } from '../work/child.ts';

/** Flag bit of a document or window whose processing killed the engine twice. */
export const FLAG_CRASHED = 4;

/** What a child opens first and once: a language model, or a model that scores lines or documents. */
export type EngineOpening =
  | { readonly engine: 'language'; readonly options: NativeEngineOptions }
  | { readonly engine: 'scoring'; readonly options: Required<PageScorerOptions> };

/** A request to the child process. `open` comes first and once; `cancel` ends the call `id` with ABORTED. */
export type EngineMessage =
  | ({ readonly kind: 'open'; readonly id: number } & EngineOpening)
  | { readonly kind: 'cancel'; readonly id: number }
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: string;
      readonly request: unknown;
    };

/** Its answer. */
export type EngineReply =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number;
      readonly error: {
        readonly code: string;
        readonly details: Record<string, unknown>;
        readonly message: string;
      };
    };

/** Thrown inside this file when the child died with calls pending. */
class EngineDied extends Error {}

interface EngineChild {
  readonly child: Child;
  readonly pending: Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >;
}

/** Options of {@link openEngineHost}. */
export interface ProcessEngineOptions {
  /** Script of the child; the default is this package's. Tests give one that crashes on purpose. */
  readonly processFile?: string;
  /** Told of every restart: how the child ended, and its last words. */
  readonly onRestart?: (exit: string) => void;
  /** Aborted: a child that dies is not started again, its calls fail with ABORTED; one that is opening is ended. */
  readonly signal?: AbortSignal | undefined;
  /** Aborted: the child is killed, whatever it computes. */
  readonly kill?: AbortSignal | undefined;
}

/**
 * How often in a row the child may die without finishing any call before the run gives up. Finding one deadly document
 * among 1,024 by halves takes up to twelve deaths in a row.
 */
const MAX_DEATHS_IN_A_ROW = 64;
const DISPOSE_MS = 2_000;
const OPENING = 'opening the engine';

/** A child process with an engine in it. */
export interface EngineHost {
  /** What the engine said of itself when it was opened. */
  readonly info: unknown;
  /** One call; a child that dies under it is restarted and the call fails as {@link isolated} expects. */
  call(method: string, request: unknown, options?: EngineCallOptions): Promise<unknown>;
  /**
   * Runs `items` through `run`, which makes one {@link call}. When the child dies under it, the items are tried in
   * halves; a single item gets two tries, then `crashed` stands for its result.
   */
  isolated<T>(
    items: Int32Array,
    run: (items: Int32Array) => Promise<T>,
    crashed: (item: number) => T,
  ): Promise<T[]>;
  dispose(): Promise<void>;
}

/**
 * Starts a child and opens an engine in it.
 *
 * @param onDeath called when a child died, before the next one is started
 * @throws ENGINE_PROCESS_DIED and whatever opening the engine throws
 */
export async function openEngineHost(
  opening: EngineOpening,
  {
    processFile = distFile('refine/engine-process.js'),
    onRestart,
    onDeath,
    signal,
    kill,
  }: ProcessEngineOptions & { readonly onDeath?: () => void } = {},
): Promise<EngineHost> {
  let nextId = 1;
  let deathsInARow = 0;
  let disposed = false;
  throwIfAborted(signal, OPENING);
  let child = start();
  const onKill = (): void => void child.child.process.kill('SIGKILL');
  const info = await openIn(child, 1);
  kill?.addEventListener('abort', onKill, { once: true });
  // Set while a restart is under way, so that calls that failed together restart the child once.
  let restarting: Promise<EngineChild> | null = null;

  function start(): EngineChild {
    const pending: EngineChild['pending'] = new Map();
    const started = startChild(processFile, (exit) => {
      for (const call of pending.values()) call.reject(new EngineDied(exit));
      pending.clear();
    });
    started.process.on('message', (reply: EngineReply) => {
      const call = pending.get(reply.id);
      pending.delete(reply.id);
      if (!call) return;
      if ('value' in reply) call.resolve(reply.value);
      else {
        const { code, details, message } = reply.error;
        call.reject(
          fromNative(Object.assign(new Error(message), { nativeCode: code, details })) as Error,
        );
      }
    });
    return { child: started, pending };
  }

  function send({ child: to, pending }: EngineChild, message: EngineMessage): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (to.exit !== null) return reject(new EngineDied(to.exit));
      pending.set(message.id, { resolve, reject });
      // A channel that breaks is the end of the child, which is told above.
      to.process.send(message, (error) => void (error && to.process.kill('SIGKILL')));
    });
  }

  /** Loads the model in a fresh child; a child that dies at that would die again. */
  async function openIn(fresh: EngineChild, count: number): Promise<unknown> {
    const end = (): void => void fresh.child.process.kill('SIGKILL');
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted) end();
    try {
      return await send(fresh, { kind: 'open', id: nextId++, ...opening });
    } catch (error) {
      end();
      if (!(error instanceof EngineDied)) throw error;
      throwIfAborted(signal, OPENING);
      throw diedError(fresh, count);
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  function diedError({ child: { exit, lastWords } }: EngineChild, count: number): GristmillError {
    const { device } = opening.options;
    const details = { device, exit, count, lastWords: lastWords() };
    return new GristmillError('ENGINE_PROCESS_DIED', details);
  }

  async function restart(dead: EngineChild): Promise<EngineChild> {
    if (child !== dead) return child;
    restarting ??= (async () => {
      deathsInARow++;
      if (deathsInARow > MAX_DEATHS_IN_A_ROW) throw diedError(dead, deathsInARow);
      onRestart?.(`${dead.child.exit}: ${printable(dead.child.lastWords())}`);
      onDeath?.();
      const fresh = start();
      await openIn(fresh, deathsInARow);
      child = fresh;
      return fresh;
    })().finally(() => {
      restarting = null;
    });
    return restarting;
  }

  /** One call; throws {@link EngineDied} when the child dies under it. */
  async function call(
    method: string,
    request: unknown,
    { signal: ofCall }: EngineCallOptions = {},
  ): Promise<unknown> {
    if (disposed) throw new GristmillError('DISPOSED', { object: 'engine' });
    const used = restarting ? await restarting : child;
    throwIfAborted(ofCall, 'the engine call');
    const id = nextId++;
    const { process } = used.child;
    const cancel = (): void => {
      if (process.connected) process.send({ kind: 'cancel', id } satisfies EngineMessage);
    };
    ofCall?.addEventListener('abort', cancel, { once: true });
    try {
      const value = await send(used, { kind: 'call', id, method, request });
      deathsInARow = 0;
      return value;
    } catch (error) {
      if (isGristmillError(error, 'ABORTED')) throwIfAborted(ofCall, 'the engine call');
      if (error instanceof EngineDied && !disposed) {
        if (signal?.aborted || kill?.aborted) throw abortError('the engine', signal);
        await restart(used);
      }
      throw error;
    } finally {
      ofCall?.removeEventListener('abort', cancel);
    }
  }

  /**
   * Runs `items` through the child. A call under which it dies is retried in halves; a single item gets two tries.
   */
  async function isolated<T>(
    items: Int32Array,
    run: (items: Int32Array) => Promise<T>,
    crashed: (item: number) => T,
  ): Promise<T[]> {
    try {
      return [await run(items)];
    } catch (error) {
      if (!(error instanceof EngineDied)) throw error;
    }
    if (items.length > 1) {
      const half = items.length >> 1;
      const head = await isolated(items.slice(0, half), run, crashed);
      return head.concat(await isolated(items.slice(half), run, crashed));
    }
    try {
      return [await run(items)];
    } catch (error) {
      if (!(error instanceof EngineDied)) throw error;
      return [crashed(items[0]!)];
    }
  }

  return {
    info,
    call,
    isolated,
    dispose: async () => {
      if (disposed) return;
      disposed = true;
      kill?.removeEventListener('abort', onKill);
      const { child: last } = child;
      if (last.exit !== null) return;
      await new Promise<void>((resolve) => {
        const stuck = setTimeout(() => last.process.kill('SIGKILL'), DISPOSE_MS);
        last.process.once('exit', () => {
          clearTimeout(stuck);
          resolve();
        });
        // The child leaves by itself when the channel closes; a stuck one is not waited for.
        if (last.process.connected) last.process.disconnect();
      });
    },
  };
}

/** Copies the chosen documents into buffers of their own: shared memory does not cross process borders. */
export function compact<R extends DocumentViews & { docs: Int32Array | null }>(
  request: R,
  docs: Int32Array,
): R {
  return { ...request, ...copyDocuments(request, docs), docs: null };
}

export function copyDocuments(views: DocumentViews, docs: Int32Array): DocumentViews {
  const offsets = new Int32Array(docs.length + 1);
  for (const [index, doc] of docs.entries()) {
    offsets[index + 1] = offsets[index]! + views.offsets[doc + 1]! - views.offsets[doc]!;
  }
  const data = new Uint8Array(offsets[docs.length]!);
  for (const [index, doc] of docs.entries()) {
    data.set(views.data.subarray(views.offsets[doc], views.offsets[doc + 1]), offsets[index]);
  }
  return { data, offsets };
}

/** Indices of the requested documents; all of them for null. */
export function requestedDocs({
  offsets,
  docs,
}: DocumentViews & { readonly docs: Int32Array | null }): Int32Array {
  return docs ?? Int32Array.from({ length: offsets.length - 1 }, (_, document) => document);
}
