/**
 * The document stage: keep or drop, asked once per document (ProX §2.2, doc-level programming).
 *
 * `score` (default) is one prefill per document: the two answers are compared at their first differing token, and
 * the score is the probability of "keep" among the two, 1 / (1 + exp(-(logit keep - logit drop))).
 * `generate` decodes the answer as the published script does and drops when it contains "drop"; its score is 0 or 1.
 */
import type { BytesColumn } from '../batch/document-batch.ts';
import type { EngineCallOptions, PromptFrame } from '../native/engine.ts';
import { FLAG_DOES_NOT_FIT, type RefinerEngine } from './engine.ts';
import type { Profile } from './profile.ts';
import { type PromptModel, promptFrame } from './prompt.ts';
import type { StageReason } from './reasons.ts';

/** How documents are judged. */
export type DocumentMode = 'score' | 'generate';

/** Settings of the stage. */
export interface DocumentStageSettings {
  readonly engine: RefinerEngine;
  readonly profile: Profile;
  readonly mode: DocumentMode;
  /** Documents that score below it are dropped; 0..1. */
  readonly threshold: number;
}

/** What the stage says of one batch; arrays have one entry per requested document. */
export interface DocumentVerdicts {
  /** 1 keep, 0 drop; meaningless where `failed` names a reason. */
  readonly keep: Uint8Array;
  /** Probability of keeping, 0..1; NaN where the stage failed. */
  readonly score: Float64Array;
  /** Null: none failed. */
  readonly failed: readonly (StageReason | null)[] | null;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** The stage's prompt around a text. @throws PROFILE_TEMPLATE_FAILED */
export function documentFrame(profile: Profile, model: PromptModel): PromptFrame {
  const { user, maxPromptTokens: maxTokens, truncate, bos, spacePrefix } = profile.document!;
  const limits = { maxTokens, truncate, bos, spacePrefix };
  return promptFrame(profile, model, user, '{text}', limits);
}

/** A function that judges documents of a batch; the prompt is rendered once, here. */
export function documentStage(
  settings: DocumentStageSettings,
): (text: BytesColumn, docs: Int32Array, options?: EngineCallOptions) => Promise<DocumentVerdicts> {
  const { engine, profile, mode, threshold } = settings;
  const document = profile.document!;
  const frame = documentFrame(profile, engine.info);
  return async ({ data, offsets }, docs, options) => {
    if (mode === 'generate') {
      const { maxNewTokens } = document;
      const request = { data, offsets, docs, frame, maxNewTokens };
      const result = await engine.generateText(request, options);
      const keep = Uint8Array.from(result.programs, (answer) => (answer.includes('drop') ? 0 : 1));
      return {
        ...verdicts(keep, Float64Array.from(keep), result.flags),
        promptTokens: sum(result.promptTokens),
        newTokens: sum(result.newTokens),
      };
    }
    const answers = [document.answers.keep, document.answers.drop] as const;
    const request = { data, offsets, docs, frame, answers };
    const result = await engine.scoreDocuments(request, options);
    const score = Float64Array.from(result.logitDiff, (diff) => 1 / (1 + Math.exp(-diff)));
    const keep = Uint8Array.from(score, (probability) => (probability >= threshold ? 1 : 0));
    return {
      ...verdicts(keep, score, result.flags),
      promptTokens: sum(result.promptTokens),
      newTokens: 0,
    };
  };
}

function verdicts(
  keep: Uint8Array,
  score: Float64Array,
  flags: Uint8Array,
): Pick<DocumentVerdicts, 'keep' | 'score'> & { readonly failed: readonly (StageReason | null)[] } {
  const failed = Array.from(flags, (flag): StageReason | null => {
    return flag & FLAG_DOES_NOT_FIT ? 'doc_prompt_too_long' : null;
  });
  return { keep, score: score.map((s, doc) => (failed[doc] === null ? s : Number.NaN)), failed };
}

/** Sum of counts. */
export function sum(counts: Int32Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
