/**
 * Ratio control: how many examples of each kind a set may hold (ProX mixes kept windows in; UltraX keeps 60 % of them
 * and sets the combinations of ops).
 */
import { createHash } from 'node:crypto';
import type { Op } from '../../program/types.ts';

/**
 * Kinds of examples: the window stays, lines go, strings are replaced (or lines added), both, nothing is left.
 */
export const EXAMPLE_KINDS = Object.freeze(['keep', 'remove', 'replace', 'both', 'all'] as const);
/** One of {@link EXAMPLE_KINDS}. */
export type ExampleKind = (typeof EXAMPLE_KINDS)[number];

/** Largest share of a kind in the set, 0..1; a kind without one is not bounded. */
export type ExampleShares = Readonly<Partial<Record<ExampleKind, number>>>;

/** The kind of an example. */
export function kindOf(ops: readonly Op[], refined: string): ExampleKind {
  if (ops.length === 0) return 'keep';
  if (refined === '') return 'all';
  const removes = ops.some(({ op }) => op === 'remove_lines' || op === 'drop_chunk');
  const replaces = ops.some(({ op }) => ['normalize', 'replace_str', 'add_line'].includes(op));
  return removes && replaces ? 'both' : removes ? 'remove' : 'replace';
}

/**
 * How many of each kind the largest set holds in which no kind exceeds its share.
 *
 * @param available examples of each kind
 */
export function quotas(
  available: Readonly<Record<ExampleKind, number>>,
  shares: ExampleShares,
): Record<ExampleKind, number> {
  const quota = { ...available };
  // A set of `total` admits min(available, share × total) of each kind: the total falls until it is what they sum to.
  for (;;) {
    const total = sum(quota);
    let changed = false;
    for (const kind of EXAMPLE_KINDS) {
      const bound = Math.floor((shares[kind] ?? 1) * total + 1e-9);
      if (quota[kind] > bound) {
        quota[kind] = bound;
        changed = true;
      }
    }
    if (!changed) return quota;
  }
}

/** A number of an example's own, so that thinning does not depend on what else is in the set. */
export function rankOf(seed: number, id: string, lineStart: number): number {
  return createHash('sha256').update(`${seed} ${lineStart} ${id}`).digest().readUIntBE(0, 6);
}

function sum(counts: Readonly<Record<ExampleKind, number>>): number {
  return EXAMPLE_KINDS.reduce((total, kind) => total + counts[kind], 0);
}
