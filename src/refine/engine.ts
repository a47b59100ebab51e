/**
 * The language-model engine as the stages see it: in this process, on the bytes that its caller has.
 */
import type {
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

/** Opens an engine. A crash of llama.cpp takes the process along: runs live in a worker for it (run-worker.ts). */
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
