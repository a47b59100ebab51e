/**
 * What a stack says of a page's lines in the end: both opinions blended, titles protected, and how much is left in doubt.
 *
 *     stackLogits ──► blend ──┬─► protectTitles ──► log-odds ──┐
 *                             └─► doubtOf ──► doubt ───────────┴─► calibrated ──► probability of "keep"
 */
import { doubtOf } from './calibration.ts';
import { LINE_FEATURES, N_LINE_FEATURES } from './features.ts';
import type { HashedWords } from './hashed-words.ts';
import { protectTitles } from './protection.ts';
import { blendLogits, type LineStack, stackLogits } from './stack.ts';

/** Log-odds of "keep" by non-blank line, and the page's doubt, 0..1. */
export interface PageVerdict {
  readonly logits: Float32Array;
  readonly doubt: number;
}

const LOG_CHARS = LINE_FEATURES.indexOf('logChars');

/**
 * The verdict of a stack on a page.
 *
 * @param treeShare share of the trees, 0..1
 */
export function pageVerdict(
  stack: LineStack,
  page: { readonly features: Float32Array; readonly words: HashedWords },
  treeShare: number,
): PageVerdict {
  const { features } = page;
  const blended = blendLogits(stackLogits(stack, page), treeShare);
  const charsOf = (line: number): number => 2 ** features[line * N_LINE_FEATURES + LOG_CHARS]! - 1;
  return { logits: protectTitles(blended, features), doubt: doubtOf(blended, charsOf) };
}
