/**
 * The engine as the stages see it, in this process or in one of its own.
 *
 * llama.cpp aborts the process when it is misused or runs out of memory. A long run therefore keeps each engine in
 * a child process: when it dies, it is restarted and the documents of the lost call are tried again in halves,
 * until the one that kills it stands alone; after its second kill that one is set aside (`crashed`).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { GristmillError, isGristmillError } from '../errors.ts';
import { fromNative, native } from '../native.ts';
import type {
  DocumentViews,
  EngineInfo,
  EngineStats,
  GenerateProgramsRequest,
  GenerateResult,
  GenerateTextRequest,
  NativeEngine,
  NativeEngineOptions,
  PlanWindowsRequest,
  ScoreRequest,
  ScoreResult,
  WindowPlan,
} from '../native-engine.ts';
import { distFile } from '../paths.ts';

/** Flag bit of a document or window whose prompt does not fit the context (set by native/engine). */
export const FLAG_DOES_NOT_FIT = 2;
/** Flag bit of a document or window whose processing killed the engine twice. */
export const FLAG_CRASHED = 4;

/** What the stages need of an engine. Every method may be called while others are pending. */
export interface RefinerEngine {
  readonly info: EngineInfo;
  planWindows(request: PlanWindowsRequest): Promise<WindowPlan>;
  scoreDocuments(request: ScoreRequest): Promise<ScoreResult>;
  generatePrograms(request: GenerateProgramsRequest): Promise<GenerateResult>;
  generateText(request: GenerateTextRequest): Promise<GenerateResult>;
  stats(): Promise<EngineStats>;
  dispose(): Promise<void>;
}

/** Methods that travel to the child process. */
export type EngineMethod =
  | 'planWindows'
  | 'scoreDocuments'
  | 'generatePrograms'
  | 'generateText'
  | 'stats';

/** A request to the child process. `open` comes first and once. */
export type EngineMessage =
  | { readonly kind: 'open'; readonly id: number; readonly options: NativeEngineOptions }
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly method: EngineMethod;
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

/** Opens an engine inside this process: fastest to start, but a crash of llama.cpp takes the process along. */
export async function openLocalEngine(options: NativeEngineOptions): Promise<RefinerEngine> {
  const engine: NativeEngine = await coded(native().openEngine(options));
  return {
    info: engine.info(),
    planWindows: (request) => coded(engine.planWindows(request)),
    scoreDocuments: (request) => coded(engine.scoreDocuments(request)),
    generatePrograms: (request) => coded(engine.generatePrograms(request)),
    generateText: (request) => coded(engine.generateText(request)),
    stats: async () => engine.stats(),
    dispose: () => engine.dispose(),
  };
}

async function coded<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw fromNative(error);
  }
}

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

/** Options of {@link openProcessEngine}. */
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

/** Opens an engine in a child process that is restarted when it dies. */
export async function openProcessEngine(
  options: NativeEngineOptions,
  { processFile = distFile('refine/engine-process.js'), onRestart }: ProcessEngineOptions = {},
): Promise<RefinerEngine> {
  let nextId = 1;
  let deathsInARow = 0;
  let disposed = false;
  let child = start();
  const info = (await openIn(child, 1)) as EngineInfo;
  // Set while a restart is under way, so that calls that failed together restart the child once.
  let restarting: Promise<Child> | null = null;
  /** Counters of children that died, as of their last known state. */
  let lastStats: EngineStats | null = null;
  let lostStats: EngineStats | null = null;

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
      return await send(fresh, { kind: 'open', id: nextId++, options });
    } catch (error) {
      fresh.process.kill('SIGKILL');
      if (!(error instanceof EngineDied)) throw error;
      const { device } = options;
      throw new GristmillError('ENGINE_PROCESS_DIED', { device, exit: error.message, count });
    }
  }

  async function restart(dead: Child): Promise<Child> {
    if (child !== dead) return child;
    restarting ??= (async () => {
      deathsInARow++;
      if (deathsInARow > MAX_DEATHS_IN_A_ROW) {
        throw new GristmillError('ENGINE_PROCESS_DIED', {
          device: options.device,
          exit: dead.exit,
          count: deathsInARow,
        });
      }
      onRestart?.(dead.exit ?? 'unknown');
      if (lastStats) lostStats = addStats(lostStats, lastStats);
      lastStats = null;
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
  async function call(method: EngineMethod, request: unknown): Promise<unknown> {
    if (disposed) throw new GristmillError('DISPOSED', { object: 'engine' });
    const used = restarting ? await restarting : child;
    try {
      const value = await send(used, { kind: 'call', id: nextId++, method, request });
      deathsInARow = 0;
      return value;
    } catch (error) {
      if (error instanceof EngineDied && !disposed) {
        await restart(used);
      }
      throw error;
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

  const documents = <R extends DocumentViews & { docs: Int32Array | null }, T>(
    method: EngineMethod,
    request: R,
    crashed: () => T,
  ): Promise<T[]> => {
    const docs =
      request.docs ?? Int32Array.from({ length: request.offsets.length - 1 }, (_, d) => d);
    if (docs.length === 0) return Promise.resolve([]);
    return isolated(docs, (some) => call(method, compact(request, some)) as Promise<T>, crashed);
  };

  return {
    info,
    planWindows: async (request) => {
      const docs =
        request.docs ?? Int32Array.from({ length: request.offsets.length - 1 }, (_, d) => d);
      if (docs.length === 0) return mergePlans([]);
      const plans = await isolated<WindowPlan>(
        docs,
        async (some) => {
          const plan = (await call('planWindows', compact(request, some))) as WindowPlan;
          return { ...plan, doc: plan.doc.map((doc) => some[doc]!) };
        },
        () => mergePlans([]),
      );
      return mergePlans(plans);
    },
    scoreDocuments: async (request) => {
      const parts = await documents<ScoreRequest, ScoreResult>('scoreDocuments', request, () => ({
        logitDiff: new Float32Array(1),
        promptTokens: new Int32Array(1),
        flags: Uint8Array.of(FLAG_CRASHED),
      }));
      return {
        logitDiff: Float32Array.from(parts.flatMap((part) => [...part.logitDiff])),
        promptTokens: Int32Array.from(parts.flatMap((part) => [...part.promptTokens])),
        flags: Uint8Array.from(parts.flatMap((part) => [...part.flags])),
      };
    },
    generatePrograms: async (request) => {
      const all = Int32Array.from(request.windows.doc, (_, window) => window);
      if (all.length === 0) return mergeGenerated([]);
      const parts = await isolated<GenerateResult>(
        all,
        (some) =>
          call('generatePrograms', compactWindows(request, some)) as Promise<GenerateResult>,
        crashedProgram,
      );
      return mergeGenerated(parts);
    },
    generateText: async (request) =>
      mergeGenerated(await documents('generateText', request, crashedProgram)),
    stats: async () => {
      lastStats = (await call('stats', null)) as EngineStats;
      return addStats(lostStats, lastStats);
    },
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

/** True for failures of a whole call that say nothing about its documents. */
export function isEngineGone(error: unknown): boolean {
  return isGristmillError(error, 'ENGINE_PROCESS_DIED');
}

/** Copies the chosen documents into buffers of their own: shared memory does not cross process borders. */
function compact<R extends DocumentViews & { docs: Int32Array | null }>(
  request: R,
  docs: Int32Array,
): R {
  return { ...request, ...copyDocuments(request, docs), docs: null };
}

function compactWindows(
  request: GenerateProgramsRequest,
  chosen: Int32Array,
): GenerateProgramsRequest {
  const docOf = chosen.map((window) => request.windows.doc[window]!);
  const docs = Int32Array.from(new Set(docOf));
  const place = new Map(Array.from(docs, (doc, index) => [doc, index]));
  return {
    ...request,
    ...copyDocuments(request, docs),
    windows: {
      doc: docOf.map((doc) => place.get(doc)!),
      lineStart: chosen.map((window) => request.windows.lineStart[window]!),
      lineEnd: chosen.map((window) => request.windows.lineEnd[window]!),
    },
  };
}

function copyDocuments(views: DocumentViews, docs: Int32Array): DocumentViews {
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

function crashedProgram(): GenerateResult {
  return {
    programs: [''],
    promptTokens: new Int32Array(1),
    newTokens: new Int32Array(1),
    flags: Uint8Array.of(FLAG_CRASHED),
  };
}

function mergePlans(plans: readonly WindowPlan[]): WindowPlan {
  const join = (pick: (plan: WindowPlan) => Int32Array): Int32Array =>
    Int32Array.from(plans.flatMap((plan) => [...pick(plan)]));
  return {
    doc: join((plan) => plan.doc),
    lineStart: join((plan) => plan.lineStart),
    lineEnd: join((plan) => plan.lineEnd),
    tokens: join((plan) => plan.tokens),
    oversize: Uint8Array.from(plans.flatMap((plan) => [...plan.oversize])),
  };
}

function mergeGenerated(parts: readonly GenerateResult[]): GenerateResult {
  return {
    programs: parts.flatMap((part) => part.programs),
    promptTokens: Int32Array.from(parts.flatMap((part) => [...part.promptTokens])),
    newTokens: Int32Array.from(parts.flatMap((part) => [...part.newTokens])),
    flags: Uint8Array.from(parts.flatMap((part) => [...part.flags])),
  };
}

/** Sum of two sets of counters. */
export function addStats(first: EngineStats | null, second: EngineStats): EngineStats {
  if (!first) return second;
  const sum: Record<string, number> = {};
  for (const key of Object.keys(second) as (keyof EngineStats)[])
    sum[key] = first[key] + second[key];
  return sum as unknown as EngineStats;
}
