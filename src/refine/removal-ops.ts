/**
 * The op records of a page that was judged where it was scored, as the strict executor writes them.
 */
import { PAGE_FATES, type PageRemovals } from '../native/lines.ts';
import { opsOf } from '../program/line-verdict.ts';
import type { ResolvedOptions } from '../program/options.ts';
import { openRecord } from '../program/plan.ts';
import type { OpRecord } from '../program/types.ts';

const OVER_REMOVALS: readonly string[] = ['too_much_removed', 'too_few_words'];

/** What every op of a page did, in the order of its program. */
export function removalOps(
  { fates, stretchStarts, stretches, stretchBytes }: PageRemovals,
  page: number,
  { dialect, onOverRemoval }: ResolvedOptions,
): OpRecord[] {
  const first = stretchStarts[page]!;
  const removed = stretches.subarray(first * 2, stretchStarts[page + 1]! * 2);
  const ops = opsOf({ lineStart: 0, lineEnd: 0, removed }, dialect);
  if (removed.length === 0) return ops.map(({ op }) => openRecord(op, null));
  const isUndone = onOverRemoval === 'keep' && OVER_REMOVALS.includes(PAGE_FATES[fates[page]!]!);
  return ops.map(({ op }, at): OpRecord => {
    const lineStart = removed[at * 2]!;
    const lineEnd = removed[at * 2 + 1]!;
    return isUndone
      ? { op, lineStart, lineEnd, bytesRemoved: 0, count: 0, skipped: 'over_removal' }
      : {
          op,
          lineStart,
          lineEnd,
          bytesRemoved: stretchBytes[first + at]!,
          count: lineEnd - lineStart,
          skipped: null,
        };
  });
}
