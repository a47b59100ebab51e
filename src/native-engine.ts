/**
 * The engine's typed face: one llama.cpp model with its contexts on one device (native/engine).
 *
 * Every call takes a whole batch as typed-array views and crosses into C++ once. Calls may overlap; they are
 * served in order by the engine's own thread. Views may lie over shared memory and must stay untouched until the
 * promise settles. All methods throw DISPOSED after {@link NativeEngine.dispose}.
 */
import type { ProgramGrammar } from './program/grammar.ts';

/** How an engine is opened. Sizes are tokens. */
export interface NativeEngineOptions {
  readonly modelPath: string;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  /** CPU threads of the compute pool, 1..512. */
  readonly nThreads: number;
  /** Sequences decoded side by side, 1..256. */
  readonly nSlots: number;
  /** Context of one sequence: prompt and answer, a multiple of 256 after rounding up. */
  readonly nCtxSlot: number;
  /** Tokens of one compute step. */
  readonly nUbatch: number;
}

/** What a loaded model says of itself. */
export interface EngineInfo {
  readonly architecture: string;
  readonly name: string;
  readonly nParams: number;
  readonly nVocab: number;
  readonly nCtxTrain: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  /** Weight type that most parameters have, e.g. `BF16`. */
  readonly quantisation: string;
  readonly chatTemplate: string | null;
  readonly bosToken: string;
  readonly eosToken: string;
  readonly addBos: boolean;
  readonly device: string;
}

/** Documents as one Arrow-style column: document `d` is `data[offsets[d] .. offsets[d + 1])`. */
export interface DocumentViews {
  readonly data: Uint8Array;
  readonly offsets: Int32Array;
}

/** A rendered prompt around the text; see src/refine/prompt.ts. */
export interface PromptFrame {
  readonly prefix: string;
  readonly suffix: string;
  readonly addBos: boolean;
  /** Strip white space at the start/end of the text, as the chat template does. */
  readonly trimStart: boolean;
  readonly trimEnd: boolean;
  /** Longest prompt in tokens. */
  readonly maxTokens: number;
  readonly truncate: 'prompt' | 'content';
}

/** The marker in front of each line: `prefix`, the number with at least `minDigits` digits, `suffix`. */
export interface LineFormat {
  readonly prefix: string;
  readonly minDigits: number;
  readonly suffix: string;
  /** Number of a document's first line. */
  readonly firstLine: 0 | 1;
}

/** Request of {@link NativeEngine.planWindows}. */
export interface PlanWindowsRequest extends DocumentViews {
  /** Indices of the documents to plan, ascending; null for all. */
  readonly docs: Int32Array | null;
  readonly lineFormat: LineFormat;
  readonly maxTokens: number;
  readonly countBos: boolean;
}

/** Windows of whole lines, document by document, in order. Arrays have one entry per window. */
export interface WindowPlan {
  readonly doc: Int32Array;
  readonly lineStart: Int32Array;
  /** One past the last line. */
  readonly lineEnd: Int32Array;
  readonly tokens: Int32Array;
  /** 1 where a single line is longer than the window. */
  readonly oversize: Uint8Array;
}

/** Request of {@link NativeEngine.scoreDocuments}. */
export interface ScoreRequest extends DocumentViews {
  readonly docs: Int32Array | null;
  readonly frame: PromptFrame;
  /** The two answers, e.g. `keep_doc()` and `drop_doc()`. */
  readonly answers: readonly [keep: string, drop: string];
}

/** One entry per requested document. */
export interface ScoreResult {
  /** Logit of the first token in which the answers differ: keep minus drop. */
  readonly logitDiff: Float32Array;
  readonly promptTokens: Int32Array;
  /** Bit 1: truncated; bit 2: cannot be answered (prompt longer than the slot's context). */
  readonly flags: Uint8Array;
}

/** Request of {@link NativeEngine.generatePrograms}. */
export interface GenerateProgramsRequest extends DocumentViews {
  readonly windows: Pick<WindowPlan, 'doc' | 'lineStart' | 'lineEnd'>;
  readonly frame: PromptFrame;
  readonly lineFormat: LineFormat;
  /** Constrains decoding; null decodes freely. */
  readonly grammar: ProgramGrammar | null;
  readonly maxNewTokens: number;
}

/** Request of {@link NativeEngine.generateText}. */
export interface GenerateTextRequest extends DocumentViews {
  readonly docs: Int32Array | null;
  readonly frame: PromptFrame;
  readonly maxNewTokens: number;
}

/** One entry per window (or document). */
export interface GenerateResult {
  readonly programs: readonly string[];
  readonly promptTokens: Int32Array;
  readonly newTokens: Int32Array;
  /** Bit 1: stopped at `maxNewTokens`; bit 2: the prompt does not fit, nothing was decoded. */
  readonly flags: Uint8Array;
}

/** Counters since the engine was opened. Times are nanoseconds. */
export interface EngineStats {
  readonly promptTokens: number;
  readonly prefixTokensReused: number;
  readonly decodeSteps: number;
  readonly decodeCalls: number;
  readonly ubatches: number;
  readonly idealUbatches: number;
  readonly sampledTokens: number;
  readonly forcedTokens: number;
  readonly padTokens: number;
  readonly dummyTokens: number;
  readonly prefillNs: number;
  readonly decodeNs: number;
  readonly hostNs: number;
  readonly tokenizeNs: number;
}

/** One model on one device. */
export interface NativeEngine {
  info(): EngineInfo;
  tokenize(
    text: Uint8Array,
    options: { readonly addSpecial: boolean; readonly parseSpecial: boolean },
  ): Int32Array;
  detokenize(tokens: Int32Array): Uint8Array;
  planWindows(request: PlanWindowsRequest): Promise<WindowPlan>;
  scoreDocuments(request: ScoreRequest): Promise<ScoreResult>;
  generatePrograms(request: GenerateProgramsRequest): Promise<GenerateResult>;
  generateText(request: GenerateTextRequest): Promise<GenerateResult>;
  stats(): EngineStats;
  dispose(): Promise<void>;
}
