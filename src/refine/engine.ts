/**
 * The language-model engine as the stages see it, in this process or in one of its own (engine-host.ts).
 */
import { isGristmillError } from '../errors.ts';
import type {
  DocumentViews,
  EngineCallOptions,
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
} from '../native/engine.ts';
import { fromNative, native } from '../native/index.ts';
import {
  compact,
  copyDocuments,
  FLAG_CRASHED,
  openEngineHost,
  type ProcessEngineOptions,
  requestedDocs,
} from './engine-host.ts';

export { FLAG_CRASHED } from './engine-host.ts';

/** Flag bit of a window whose program stopped at the most tokens it may have (set by native/engine). */
export const FLAG_STOPPED = 1;
/** Flag bit of a document or window whose prompt does not fit the context (set by native/engine). */
export const FLAG_DOES_NOT_FIT = 2;

/** What the stages need of an engine. Every method may be called while others are pending. */
export interface RefinerEngine {
  readonly info: EngineInfo;
  planWindows(request: PlanWindowsRequest, options?: EngineCallOptions): Promise<WindowPlan>;
  scoreDocuments(request: ScoreRequest, options?: EngineCallOptions): Promise<ScoreResult>;
  generatePrograms(
    request: GenerateProgramsRequest,
    options?: EngineCallOptions,
  ): Promise<GenerateResult>;
  generateText(request: GenerateTextRequest, options?: EngineCallOptions): Promise<GenerateResult>;
  stats(): Promise<EngineStats>;
  dispose(): Promise<void>;
}

/** Opens an engine inside this process: fastest to start, but a crash of llama.cpp takes the process along. */
export async function openLocalEngine(options: NativeEngineOptions): Promise<RefinerEngine> {
  const engine: NativeEngine = await coded(native().openEngine(options));
  return {
    info: engine.info(),
    planWindows: (request, options) => coded(engine.planWindows(request, options)),
    scoreDocuments: (request, options) => coded(engine.scoreDocuments(request, options)),
    generatePrograms: (request, options) => coded(engine.generatePrograms(request, options)),
    generateText: (request, options) => coded(engine.generateText(request, options)),
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

/** Opens an engine in a child process that is restarted when it dies. */
export async function openProcessEngine(
  options: NativeEngineOptions,
  processOptions: ProcessEngineOptions = {},
): Promise<RefinerEngine> {
  /** Counters of children that died, as of their last known state. */
  let lastStats: EngineStats | null = null;
  let lostStats: EngineStats | null = null;
  const host = await openEngineHost(
    { engine: 'language', options },
    {
      ...processOptions,
      onDeath: () => {
        if (lastStats) lostStats = addStats(lostStats, lastStats);
        lastStats = null;
      },
    },
  );
  const { call, isolated } = host;

  const documents = <R extends DocumentViews & { docs: Int32Array | null }, T>(
    method: string,
    request: R,
    options: EngineCallOptions | undefined,
    crashed: () => T,
  ): Promise<T[]> => {
    const docs = requestedDocs(request);
    if (docs.length === 0) return Promise.resolve([]);
    return isolated(
      docs,
      (some) => call(method, compact(request, some), options) as Promise<T>,
      crashed,
    );
  };

  return {
    info: host.info as EngineInfo,
    planWindows: async (request, options) => {
      const docs = requestedDocs(request);
      if (docs.length === 0) return mergePlans([]);
      const plans = await isolated<WindowPlan>(
        docs,
        async (some) => {
          const plan = (await call('planWindows', compact(request, some), options)) as WindowPlan;
          return { ...plan, doc: plan.doc.map((doc) => some[doc]!) };
        },
        () => mergePlans([]),
      );
      return mergePlans(plans);
    },
    scoreDocuments: async (request, options) => {
      const crashed = (): ScoreResult => ({
        logitDiff: new Float32Array(1),
        promptTokens: new Int32Array(1),
        flags: Uint8Array.of(FLAG_CRASHED),
      });
      const parts = await documents('scoreDocuments', request, options, crashed);
      return {
        logitDiff: Float32Array.from(parts.flatMap((part) => [...part.logitDiff])),
        promptTokens: Int32Array.from(parts.flatMap((part) => [...part.promptTokens])),
        flags: Uint8Array.from(parts.flatMap((part) => [...part.flags])),
      };
    },
    generatePrograms: async (request, options) => {
      const all = Int32Array.from(request.windows.doc, (_, window) => window);
      if (all.length === 0) return mergeGenerated([]);
      const parts = await isolated<GenerateResult>(
        all,
        (some) =>
          call(
            'generatePrograms',
            compactWindows(request, some),
            options,
          ) as Promise<GenerateResult>,
        crashedProgram,
      );
      return mergeGenerated(parts);
    },
    generateText: async (request, options) =>
      mergeGenerated(await documents('generateText', request, options, crashedProgram)),
    stats: async () => {
      lastStats = (await call('stats', null)) as EngineStats;
      return addStats(lostStats, lastStats);
    },
    dispose: () => host.dispose(),
  };
}

/** True for failures of a whole call that say nothing about its documents. */
export function isEngineGone(error: unknown): boolean {
  return isGristmillError(error, 'ENGINE_PROCESS_DIED');
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
    ownStart: join((plan) => plan.ownStart),
    lineEnd: join((plan) => plan.lineEnd),
    size: join((plan) => plan.size),
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
