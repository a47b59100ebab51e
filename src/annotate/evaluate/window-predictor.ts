/**
 * A refiner asked for the programs of given windows, as the chunk stage asks it: the same prompt, markers, grammar and
 * bounds; only the planning of windows is left out.
 *
 * A language model sees the document's line numbers: the window is shown as the lines `[lineStart, lineEnd)` of a
 * document whose earlier lines are empty. A model that scores lines sees the window as a page of its own, and its
 * verdicts become the same `remove_lines` ops as in a run.
 */
import { linePrograms } from '../../program/line-verdict.ts';
import type { DialectName, WindowProgram } from '../../program/types.ts';
import type { WindowText } from '../../program/window-execution.ts';
import { answerOf, windowWriter } from '../../refine/chunk-stage.ts';
import { longestChunkPrompt, resolveRefiner } from '../../refine/core.ts';
import { batchRows, defaultSizes, defaultSlots, parseDevices } from '../../refine/devices.ts';
import { FLAG_DOES_NOT_FIT, FLAG_STOPPED, openLocalEngine } from '../../refine/engine.ts';
import type { RefineOptions } from '../../refine/refine-options.ts';
import { NAMED_REFINERS, type RefinerName } from '../../refine/refiner-names.ts';
import { openLocalScoring } from '../../refine/scoring-engine.ts';
import { lineThresholdOf } from '../../refine/scoring-stages.ts';
import type { WritingFlaw } from './eval-refiner-measures.ts';

/** Options of a refiner that is measured; defaults as for `openRefiner`. */
export interface PredictorOptions
  extends Pick<
    RefineOptions,
    | 'profile'
    | 'system'
    | 'lineThreshold'
    | 'retention'
    | 'constrained'
    | 'device'
    | 'threads'
    | 'slots'
    | 'seed'
  > {
  /**
   * A refiner by name (`default`, `programs`, `prox-web`, `prox-math`, `ultrax`: its chunk model), the GGUF file of a
   * language model or of one that scores lines, or `random[:preset]`.
   */
  readonly refiner: string;
}

/** What a refiner says of one window. */
export interface Prediction {
  /** Empty when none was written. */
  readonly programs: readonly WindowProgram[];
  readonly flaw: WritingFlaw;
  /** Tokens of the prompt; for models that score: lines. */
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** An open refiner; owns native memory. */
export interface WindowPredictor {
  /** `language` or `line-score`. */
  readonly kind: string;
  readonly dialect: DialectName;
  /** Null for models that score. */
  readonly profile: string | null;
  /** Whether programs are decoded under the dialect's grammar; null for models that score. */
  readonly constrained: boolean | null;
  /** Lines below it are removed; null for language models. */
  readonly lineThreshold: number | null;
  readonly modelSha256: string;
  /** Set when the weights are random. */
  readonly random: string | null;
  /** Windows that fill it well in one call. */
  readonly batchWindows: number;
  predict(windows: readonly WindowText[]): Promise<Prediction[]>;
  /** Whether {@link WindowPredictor.dispose} ends a pending call. */
  readonly interruptible: boolean;
  dispose(): Promise<void>;
}

const SCORING_BATCH_WINDOWS = 64;

/**
 * Opens a refiner.
 *
 * @throws OPTION_INVALID, PROFILE_*, ENGINE_*, NATIVE_MISSING
 */
export async function openPredictor(options: PredictorOptions): Promise<WindowPredictor> {
  const { refiner, ...rest } = options;
  const isNamed = Object.hasOwn(NAMED_REFINERS, refiner);
  const chosen = isNamed ? { refiner: refiner as RefinerName } : { chunkModel: refiner };
  const resolved = await resolveRefiner({ ...rest, ...chosen, stages: ['chunk'] });
  const { model, profile } = resolved.chunk!;
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const sizes = defaultSizes(device, options.threads);
  const { dialect, grammar } = resolved;
  const shared = { kind: model.kind, dialect, modelSha256: model.sha256, random: model.random };
  if (!profile) {
    const { nThreads } = sizes;
    const models = { documentModel: null, lineModel: model.path };
    const engine = await openLocalScoring({ ...models, device, nThreads });
    const { lineThreshold, retention } = resolved.options;
    let threshold: number;
    try {
      const asked = {
        lineThreshold: lineThreshold ?? undefined,
        retention: retention ?? undefined,
      };
      threshold = lineThresholdOf(asked, engine.infos[0]!.thresholds);
    } catch (error) {
      await engine.dispose();
      throw error;
    }
    return {
      ...shared,
      profile: null,
      constrained: null,
      lineThreshold: threshold,
      batchWindows: SCORING_BATCH_WINDOWS,
      predict: async (windows) => {
        const { data, offsets } = packTexts(windows.map(({ text }) => text));
        const request = { data, offsets, docs: null, documentThreshold: 0 };
        const { lines: scores, lineStarts } = await engine.score(request);
        return windows.map(({ lineStart }, window) => {
          const own = scores.subarray(lineStarts[window], lineStarts[window + 1]);
          const programs = linePrograms(own, threshold, dialect, lineStart);
          return { programs, flaw: null, promptTokens: own.length, newTokens: 0 };
        });
      },
      interruptible: false,
      dispose: () => engine.dispose(),
    };
  }
  const { maxNewTokens } = profile.chunk!;
  const maxPromptTokens = longestChunkPrompt(profile);
  const nSlots = options.slots ?? defaultSlots(device, maxPromptTokens + maxNewTokens);
  const engine = await openLocalEngine({
    ...sizes,
    nSlots,
    fitSlots: options.slots === undefined,
    modelPath: model.path,
    device,
    nCtxSlot: maxPromptTokens + maxNewTokens,
  });
  const { constrained } = resolved.options;
  let write: ReturnType<typeof windowWriter>;
  try {
    write = windowWriter({
      engine,
      profile,
      grammar: constrained ? grammar : null,
      firstLine: grammar.firstLine,
      maxPromptTokens,
    });
  } catch (error) {
    await engine.dispose();
    throw error;
  }
  return {
    ...shared,
    profile: profile.name,
    constrained,
    lineThreshold: null,
    batchWindows: batchRows(nSlots),
    predict: async (windows) => {
      const ends = windows.map(({ text, lineStart }) => lineStart + text.split('\n').length);
      const result = await write(
        packTexts(windows.map(({ text, lineStart }) => '\n'.repeat(lineStart) + text)),
        {
          doc: Int32Array.from(windows.keys()),
          lineStart: Int32Array.from(windows, ({ lineStart }) => lineStart),
          lineEnd: Int32Array.from(ends),
        },
      );
      return windows.map(({ lineStart }, window) => {
        const flags = result.flags[window]!;
        const promptTokens = result.promptTokens[window]!;
        const newTokens = result.newTokens[window]!;
        if (flags & FLAG_DOES_NOT_FIT) {
          return { programs: [], flaw: 'does_not_fit', promptTokens: 0, newTokens };
        }
        const program = answerOf(result.programs[window]!);
        return {
          programs: [{ lineStart, lineEnd: ends[window]!, program }],
          flaw: flags & FLAG_STOPPED ? 'token_cap' : null,
          promptTokens,
          newTokens,
        };
      });
    },
    interruptible: true,
    dispose: () => engine.dispose(),
  };
}

/** Texts as one column of bytes. */
function packTexts(texts: readonly string[]): { data: Uint8Array; offsets: Int32Array } {
  const encoded = texts.map((text) => Buffer.from(text));
  const offsets = new Int32Array(texts.length + 1);
  for (const [index, bytes] of encoded.entries()) {
    offsets[index + 1] = offsets[index]! + bytes.byteLength;
  }
  return { data: new Uint8Array(Buffer.concat(encoded)), offsets };
}
