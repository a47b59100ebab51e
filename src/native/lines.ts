/**
 * Typed face of the native line scorer (native/binding/line_scorer.cc): whole windows of bags in, log-odds out.
 */
import { codedCall } from './error.ts';

/** Options of {@link openLineScorerWith}. */
export interface LineScorerOptions {
  /** GGUF file of kind line-score or document-score. */
  readonly modelPath: string;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  /** 1..512. */
  readonly nThreads: number;
}

/** What the model says of itself. */
export interface LineScorerInfo {
  readonly kind: 'line-score' | 'document-score';
  /** Name of the device it runs on. */
  readonly device: string;
  readonly nEmbd: number;
  /** Rows of the bag table. */
  readonly nRows: number;
  /** Bags of a window, at most. */
  readonly nCtx: number;
  /** What turns lines into bags; read by lines/encoder-file.ts. */
  readonly encoder: Uint8Array;
}

/** Windows of bags; see `BagWriter`. */
export interface BagWindows {
  /** `[nWindows + 1]`, first bag of each window, and the end. */
  readonly windowStarts: Int32Array;
  /** `[nBags + 1]` */
  readonly bagStarts: Int32Array;
  readonly bagIds: Int32Array;
  readonly bagWeights: Float32Array;
}

/** A scoring model. */
export interface NativeLineScorer {
  readonly info: LineScorerInfo;
  /**
   * Keep log-odds of every bag; those of a window depend on that window alone.
   *
   * @throws OPTION_INVALID naming the element, ENGINE_DECODE_FAILED, ENGINE_OUT_OF_MEMORY, DISPOSED
   */
  score(windows: BagWindows): Promise<Float32Array>;
  /** Frees the model when the pending calls are done; again: does nothing. */
  dispose(): void;
}

interface LineScorerHandle {
  open(): Promise<LineScorerInfo>;
  score(windows: BagWindows): Promise<Float32Array>;
  dispose(): void;
}

/** What the addon exports for line scorers. */
export interface LineScorerAddon {
  readonly LineScorer: new (options: LineScorerOptions) => LineScorerHandle;
}

/**
 * Opens a scoring model.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, ENGINE_ARCHITECTURE_UNSUPPORTED, ENGINE_DEVICE_MISSING,
 *   ENGINE_OUT_OF_MEMORY, OPTION_INVALID
 */
export async function openLineScorerWith(
  addon: LineScorerAddon,
  options: LineScorerOptions,
): Promise<NativeLineScorer> {
  const handle = new addon.LineScorer(options);
  const info = await codedCall(() => handle.open());
  return {
    info,
    score: (windows) => codedCall(() => handle.score(windows)),
    dispose: () => handle.dispose(),
  };
}
