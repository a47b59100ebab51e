/**
 * Why a row has its status where the refiner, not the executor, decided it. The executor's own codes are
 * src/program/reasons.ts; together they are what the `gristmill_reason` column holds.
 */
import { REJECT_REASONS } from '../corpus/reject-reasons.ts';
import { REASONS as EXECUTION_REASONS } from '../program/reasons.ts';

/** Reason codes of the refining stages, one line each. */
export const STAGE_REASONS = Object.freeze({
  null_text: 'the text is null; there is nothing to refine (failed, written unchanged)',
  invalid_utf8:
    'the text is not UTF-8 (failed; of JSON lines in rejected/, else written with U+FFFD in place of what is not valid)',
  doc_refiner: 'the document refiner scored the document below --doc-threshold (dropped)',
  doc_prompt_too_long: 'the document’s prompt does not fit the model’s context (failed)',
  edited_by_site:
    'lines were removed; some of them the page alone would have kept, but its site repeats them (edited)',
  engine_crashed: 'the document killed the worker by itself twice and was set aside (failed)',
} as const);

/** A code of {@link STAGE_REASONS}. */
export type StageReason = keyof typeof STAGE_REASONS;

/** Every code that the `gristmill_reason` column can hold, with its meaning. */
export const ALL_REASONS: Readonly<Record<string, string>> = Object.freeze({
  ...STAGE_REASONS,
  ...REJECT_REASONS,
  ...EXECUTION_REASONS,
});
