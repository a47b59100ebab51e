/**
 * The engine's typed face: one llama.cpp model with its contexts on one device (native/engine).
 *
 * Every call takes a whole batch as typed-array views and crosses into C++ once. Calls may overlap; they are
 * served in order by the engine's own thread. Views may lie over shared memory and must stay untouched until the
 * promise settles. All methods throw DISPOSED after {@link NativeEngine.dispose}.
 */
import { GristmillError, throwIfAborted } from '../errors.ts';
import { codedCall, fromNative } from './error.ts';
import type { ProgramGrammar } from './grammar.ts';

/** How an engine is opened. Sizes are tokens. */
export interface NativeEngineOptions {
  readonly modelPath: string;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  /** CPU threads of the compute pool, 1..512. */
  readonly nThreads: number;
  /** Sequences decoded side by side, 1..256. */
  readonly nSlots: number;
  /** On a GPU that has no room for `nSlots` take as many as it has: see {@link EngineInfo.nSlots}. Default false. */
  readonly fitSlots?: boolean;
  /** Context of one sequence: prompt and answer, a multiple of 256 after rounding up. */
  readonly nCtxSlot: number;
  /** Tokens of one compute step, at least `nSlots`. */
  readonly nUbatch: number;
  /** Fused attention kernels. Default `auto`: on, except on GPUs for which llama.cpp lacks them. */
  readonly flashAttention?: 'auto' | 'on' | 'off';
  /** Type of the key-value cache; `q8_0` needs flash attention. Default `f16`. */
  readonly kvType?: 'f16' | 'f32' | 'bf16' | 'q8_0';
}

/** A device. Bytes are 0 where they were not asked for. */
export interface DeviceInfo {
  /** `cpu` or `cuda:<index>`, as `--device` takes it. */
  readonly name: string;
  /** Model of the processor or the card. */
  readonly description: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Its memory is the CPU's. */
  readonly sharesMemory: boolean;
}

/** What there is. */
export interface DeviceList {
  readonly devices: readonly DeviceInfo[];
  /** Why a backend that lies beside the addon is not there, in the loader's words; empty where all are. */
  readonly missing: string;
}

/** What every asynchronous call takes besides its request. */
export interface EngineCallOptions {
  /** Ends the call between two compute steps (on the CPU within one) with ABORTED; the engine stays usable. */
  readonly signal?: AbortSignal | undefined;
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
  /** Sequences decoded side by side. */
  readonly nSlots: number;
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
  /** BOS in front of the prompt: none, one, or two (a rendered BOS that a second tokenisation adds to). */
  readonly addBos: boolean | 'twice';
  /** SentencePiece: the tokenizer's own space in front of the text after BOS. Default true. */
  readonly spacePrefix?: boolean;
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

/** How documents are cut into windows of whole lines; markers count. */
export type WindowRule =
  | {
      readonly unit: 'tokens';
      readonly max: number;
      /** One more token per line, for the BOS that the published ProX script counts. */
      readonly countBos: boolean;
      readonly overlap?: number | undefined;
    }
  | {
      /** Code points, with a line feed between lines. */
      readonly unit: 'characters';
      readonly max: number;
      /** Share of a window that the next one shows again, 0..0.5; default 0. */
      readonly overlap?: number | undefined;
    };

/** Request of {@link NativeEngine.planWindows}. */
export interface PlanWindowsRequest extends DocumentViews {
  /** Indices of the documents to plan, ascending; null for all. */
  readonly docs: Int32Array | null;
  readonly lineFormat: LineFormat;
  readonly windows: WindowRule;
}

/** Windows of whole lines, document by document, in order. Arrays have one entry per window. */
export interface WindowPlan {
  readonly doc: Int32Array;
  /** First line that the window shows. */
  readonly lineStart: Int32Array;
  /** First line that it owns; the lines before are another window's, shown again as context. */
  readonly ownStart: Int32Array;
  /** One past the last line, shown and owned. */
  readonly lineEnd: Int32Array;
  /** Tokens or characters that it shows. */
  readonly size: Int32Array;
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

/** Request of {@link NativeEngine.renderPrompts}: what {@link NativeEngine.generatePrograms} or, without windows, `generateText` gets. */
export type RenderPromptsRequest =
  | Omit<GenerateProgramsRequest, 'grammar' | 'maxNewTokens'>
  | Omit<GenerateTextRequest, 'maxNewTokens'>;

/** Prompts as the model would read them: prompt `p` is `tokens[offsets[p] .. offsets[p + 1])`. */
export interface RenderedPrompts {
  readonly tokens: Int32Array;
  readonly offsets: Int32Array;
  /** As {@link GenerateResult.flags}; bit 1 tells of a cut prompt. */
  readonly flags: Uint8Array;
}

/** Counters since the engine was opened. Times are nanoseconds. */
export interface EngineStats {
  // decodeSteps: logits rows sampled from; decodeCalls: llama_decode calls, one ubatch each; idealUbatches: the same
  // tokens packed without gaps; padTokens and dummyTokens: computed and thrown away (behind shorter prompts, in idle
  // slots); forcedTokens: appended without sampling; hostNs: everything around the compute of a step.
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
  /**
   * Tokens of a text. `addSpecial` puts BOS in front where the model says so; `parseSpecial` reads special tokens
   * in the text, which only trusted text may have.
   */
  tokenize(
    text: Uint8Array,
    options: { readonly addSpecial: boolean; readonly parseSpecial: boolean },
  ): Int32Array;
  /** Bytes of tokens, control tokens left out; SentencePiece's leading space is kept. */
  detokenize(tokens: Int32Array): Uint8Array;
  /**
   * Greedy windows of whole lines: a window closes before the line that would exceed its rule's `max` (ProX, chunk
   * stage); with an overlap it starts with the last lines of the one before, which stay that one's (UltraX).
   */
  planWindows(request: PlanWindowsRequest, options?: EngineCallOptions): Promise<WindowPlan>;
  /**
   * One prefill per document. The tokens that both answers start with belong to the prompt; `logitDiff` is NaN where
   * a document cannot be answered.
   */
  scoreDocuments(request: ScoreRequest, options?: EngineCallOptions): Promise<ScoreResult>;
  /**
   * One program per window, greedy. With a grammar every program is valid for its window: line numbers lie in it and
   * source strings occur in it. A window whose prompt exceeds `frame.maxTokens` gets no program.
   */
  generatePrograms(
    request: GenerateProgramsRequest,
    options?: EngineCallOptions,
  ): Promise<GenerateResult>;
  /** One free answer per document, greedy, until the model ends it. */
  generateText(request: GenerateTextRequest, options?: EngineCallOptions): Promise<GenerateResult>;
  /** The prompts that `generatePrograms`, `generateText` and `scoreDocuments` compute, without computing them. */
  renderPrompts(
    request: RenderPromptsRequest,
    options?: EngineCallOptions,
  ): Promise<RenderedPrompts>;
  stats(): EngineStats;
  /** Frees the model; pending calls reject with DISPOSED. Calling it again does nothing. */
  dispose(): Promise<void>;
}

/** The addon's side: class Engine of native/binding/engine.cc. `call` numbers a request for `cancel`. */
interface EngineHandle {
  open(): Promise<void>;
  info(): EngineInfo;
  tokenize(text: Uint8Array, addSpecial: boolean, parseSpecial: boolean): Int32Array;
  detokenize(tokens: Int32Array): Uint8Array;
  planWindows(request: PlanWindowsRequest, call: number): Promise<WindowPlan>;
  scoreDocuments(request: ScoreRequest, call: number): Promise<ScoreResult>;
  generatePrograms(request: GenerateProgramsRequest, call: number): Promise<GenerateResult>;
  generateText(request: GenerateTextRequest, call: number): Promise<GenerateResult>;
  renderPrompts(request: RenderPromptsRequest, call: number): Promise<RenderedPrompts>;
  cancel(call: number): void;
  stats(): EngineStats;
  dispose(): Promise<void>;
}

/** What the addon exports for engines. */
export interface EngineAddon {
  readonly Engine: new (options: NativeEngineOptions) => EngineHandle;
}

/**
 * Opens an engine: loads the model on the engine's own thread.
 *
 * @throws OPTION_INVALID, ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, ENGINE_ARCHITECTURE_UNSUPPORTED,
 *   ENGINE_CONTEXT_TOO_SMALL, ENGINE_DEVICE_MISSING, ENGINE_OUT_OF_MEMORY
 */
export async function openEngineWith(
  addon: EngineAddon,
  options: NativeEngineOptions,
): Promise<NativeEngine> {
  checkOptions(options);
  const handle = coded(() => new addon.Engine(options));
  await codedCall(() => handle.open());
  let lastCall = 0;

  async function call<Result>(
    start: (call: number) => Promise<Result>,
    { signal }: EngineCallOptions = {},
  ): Promise<Result> {
    throwIfAborted(signal, 'the engine call');
    lastCall += 1;
    const id = lastCall;
    const cancel = () => handle.cancel(id);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await codedCall(() => start(id), signal);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  return {
    info: () => coded(() => handle.info()),
    tokenize: (text, { addSpecial, parseSpecial }) =>
      coded(() => handle.tokenize(text, addSpecial, parseSpecial)),
    detokenize: (tokens) => coded(() => handle.detokenize(tokens)),
    planWindows: (request, options) => call((id) => handle.planWindows(request, id), options),
    scoreDocuments: (request, options) => call((id) => handle.scoreDocuments(request, id), options),
    generatePrograms: (request, options) =>
      call((id) => handle.generatePrograms(request, id), options),
    generateText: (request, options) => call((id) => handle.generateText(request, id), options),
    renderPrompts: (request, options) => call((id) => handle.renderPrompts(request, id), options),
    stats: () => coded(() => handle.stats()),
    dispose: () => codedCall(() => handle.dispose()),
  };
}

const BOUNDS = {
  nThreads: [1, 512],
  nSlots: [1, 256],
  nCtxSlot: [1, 1 << 20],
  nUbatch: [1, 1 << 16],
} as const;

function checkOptions(options: NativeEngineOptions): void {
  for (const [option, [low, high]] of Object.entries(BOUNDS)) {
    const received = options[option as keyof typeof BOUNDS];
    if (!Number.isInteger(received) || received < low || received > high) {
      invalid(option, `a whole number in ${low}..${high}`, received);
    }
  }
  if (typeof options.modelPath !== 'string' || options.modelPath === '') {
    invalid('modelPath', 'the path of a GGUF file', options.modelPath);
  }
  if (!/^(?:cpu|cuda:\d{1,3})$/.test(options.device)) {
    invalid('device', 'cpu or cuda:<index>', options.device);
  }
  const { flashAttention = 'auto', kvType = 'f16' } = options;
  if (!['auto', 'on', 'off'].includes(flashAttention)) {
    invalid('flashAttention', 'auto, on or off', flashAttention);
  }
  if (!['f16', 'f32', 'bf16', 'q8_0'].includes(kvType)) {
    invalid('kvType', 'f16, f32, bf16 or q8_0', kvType);
  }
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}

function coded<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}
