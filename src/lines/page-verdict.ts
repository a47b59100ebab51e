/**
 * What a stack says of a page's lines in the end: both opinions blended, titles protected, and how much is left in doubt
 * (native/pages/verdict.h).
 *
 *     stackLogits ──► blend ──┬─► titles protected ──► log-odds ──┐
 *                             └─► doubt ──────────────────────┴─► calibrated ──► probability of "keep"
 */
import { native } from '../native/index.ts';
import type { HashedWords } from '../native/pages.ts';
import { blendLogits, type LineStack, stackLogits } from './stack.ts';

/** Log-odds of "keep" by non-blank line, and the page's doubt, 0..1. */
export interface PageVerdict {
  readonly logits: Float32Array;
  readonly doubt: number;
}

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
  const blended = blendLogits(stackLogits(stack, page), treeShare);
  return native().pageVerdict(blended, page.features);
}
