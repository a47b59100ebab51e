/**
 * An engine in a child process that is restarted when it dies: the part that every kind of engine shares.
 *
 * llama.cpp aborts the process when it is misused or runs out of memory. A long run therefore keeps each engine in
 * a child process: when it dies, it is restarted and the documents of the lost call are tried again in halves,
 * until the one that kills it stands alone; after its second kill that one is set aside (`crashed`).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import type { PageScorerOptions } from '../lines/page-scorer.ts';
import { fromNative } from '../native.ts';
import type { DocumentViews, EngineCallOptions, NativeEngineOptions } from '../native-engine.ts';
import { distFile } from '../paths.ts';

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

interface Child {
  readonly process: ChildProcess;
  readonly pending: Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >;
  exit: string | null;
}

/** Options of {@link openEngineHost}. */
export interface ProcessEngineOptions {
  /** Script of the child; the default is this package's. Tests give one that crashes on purpose. */
  readonly processFile?: string;
  /** Told of every restart. */
  readonly onRestart?: (exit: string) => void;
}

/**
 * How often in a row the child may die without finishing any call before the run gives up. Finding one deadly document
 * among 1,024 by halves takes up to twelve deaths in a row.
 */
const MAX_DEATHS_IN_A_ROW = 64;

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
  }: ProcessEngineOptions & { readonly onDeath?: () => void } = {},
): Promise<EngineHost> {
  let nextId = 1;
  let deathsInARow = 0;
  let disposed = false;
  let child = start();
  const info = await openIn(child, 1);
  // Set while a restart is under way, so that calls that failed together restart the child once.
  let restarting: Promise<Child> | null = null;

  function start(): Child {
    const started: Child = {
      process: fork(processFile, [], {
        serialization: 'advanced',
        execArgv: [],
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      }),
      pending: new Map(),
      exit: null,
    };
    const died = (exit: string): void => {
      started.exit ??= exit;
      for (const call of started.pending.values()) call.reject(new EngineDied(started.exit));
      started.pending.clear();
    };
    started.process.on('message', (reply: EngineReply) => {
      const call = started.pending.get(reply.id);
      started.pending.delete(reply.id);
      if (!call) return;
      if ('value' in reply) call.resolve(reply.value);
      else {
        const { code, details, message } = reply.error;
        call.reject(
          fromNative(Object.assign(new Error(message), { nativeCode: code, details })) as Error,
        );
      }
    });
    started.process.on('error', (error) => died(error.message));
    started.process.on('exit', (code, signal) => died(signal ?? `exit code ${code}`));
    return started;
  }

  function send(to: Child, message: EngineMessage): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (to.exit !== null) return reject(new EngineDied(to.exit));
      to.pending.set(message.id, { resolve, reject });
      to.process.send(message, (error) => {
        if (error && to.pending.delete(message.id)) reject(new EngineDied(error.message));
      });
    });
  }

  /** Loads the model in a fresh child; a child that dies at that would die again. */
  async function openIn(fresh: Child, count: number): Promise<unknown> {
    try {
      return await send(fresh, { kind: 'open', id: nextId++, ...opening });
    } catch (error) {
      fresh.process.kill('SIGKILL');
      if (!(error instanceof EngineDied)) throw error;
      const { device } = opening.options;
      throw new GristmillError('ENGINE_PROCESS_DIED', { device, exit: error.message, count });
    }
  }

  async function restart(dead: Child): Promise<Child> {
    if (child !== dead) return child;
    restarting ??= (async () => {
      deathsInARow++;
      if (deathsInARow > MAX_DEATHS_IN_A_ROW) {
        throw new GristmillError('ENGINE_PROCESS_DIED', {
          device: opening.options.device,
          exit: dead.exit,
          count: deathsInARow,
        });
      }
      onRestart?.(dead.exit ?? 'unknown');
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
    { signal }: EngineCallOptions = {},
  ): Promise<unknown> {
    if (disposed) throw new GristmillError('DISPOSED', { object: 'engine' });
    const used = restarting ? await restarting : child;
    throwIfAborted(signal, 'the engine call');
    const id = nextId++;
    const cancel = (): void => {
      if (used.process.connected) used.process.send({ kind: 'cancel', id } satisfies EngineMessage);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const value = await send(used, { kind: 'call', id, method, request });
      deathsInARow = 0;
      return value;
    } catch (error) {
      if (isGristmillError(error, 'ABORTED')) throwIfAborted(signal, 'the engine call');
      if (error instanceof EngineDied && !disposed) {
        await restart(used);
      }
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
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
      const { process } = child;
      if (child.exit !== null) return;
      await new Promise<void>((resolve) => {
        process.once('exit', () => resolve());
        // The child leaves by itself when the channel closes; a stuck compute step is not waited for.
        process.disconnect();
        setTimeout(() => process.kill('SIGKILL'), 2_000).unref();
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
