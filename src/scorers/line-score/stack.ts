/**
 * The first storey of a line scorer: regression and boosted trees whose log-odds become features of the neural model.
 *
 * The neural model must learn from log-odds as it will meet them: of pages of unseen domains. Training pages
 * therefore get theirs from stacks that did not see their domain (cross-fitting; Wolpert 1992), while the stack that
 * is kept is trained on all pages.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError } from '../../errors.ts';
import { measurePage } from '../../lines/measure.ts';
import { type LineStack, type StackLogits, stackHashBits, stackLogits } from '../../lines/stack.ts';
import { BOOSTED_DEFAULTS, type BoostedOptions, trainBoosted } from '../baselines/boosted.ts';
import { foldOf, type GoldPage, groupOf } from '../gold.ts';

/** A stack, and what it says of pages it did not see. */
export interface CrossFitted {
  /** Trained on all pages. */
  readonly stack: LineStack;
  /** By copy and page: log-odds from a stack of other domains. */
  readonly logits: readonly (readonly StackLogits[])[];
}

/** Options of {@link crossFit}. */
export interface CrossFitOptions {
  readonly boosted?: BoostedOptions;
  /** Parts of the pages, by domain; at least 2. Default 4. */
  readonly nParts?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Trains `nParts + 1` stacks.
 *
 * @param pages whole pages: what the stacks learn from
 * @param copies versions of the pages that need log-odds, each as long as `pages`
 * @throws TRAIN_DATA_TOO_SMALL, ABORTED
 */
export async function crossFit(
  pages: readonly GoldPage[],
  copies: readonly (readonly GoldPage[])[],
  { boosted = BOOSTED_DEFAULTS, nParts = 4, signal }: CrossFitOptions = {},
): Promise<CrossFitted> {
  // Other parts than the folds of an evaluation, whose hash would leave most of them empty.
  const partOf = pages.map((page) =>
    foldOf({ id: page.id, domain: `stack ${groupOf(page)}` }, nParts),
  );
  const logits = copies.map((): StackLogits[] => []);
  for (let part = 0; part < nParts; part++) {
    const others = pages.filter((_, page) => partOf[page] !== part);
    // Few domains may leave a part without pages.
    if (others.length === pages.length) continue;
    if (others.length === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: 'domains to cross-fit over',
        minimum: 2,
        received: 1,
      });
    }
    // Minutes of computing on this thread: let signals and timers in between.
    await setImmediate();
    const stack = trainBoosted(others, boosted, signal);
    copies.forEach((copy, index) => {
      copy.forEach(({ lines }, page) => {
        if (partOf[page] !== part) return;
        logits[index]![page] = stackLogits(stack, measurePage(lines, stackHashBits(stack)));
      });
    });
  }
  await setImmediate();
  return { stack: trainBoosted(pages, boosted, signal), logits };
}
