/**
 * Blocks of runs that are left out to see how far a fit may be trusted: not random runs, but what a user asks for and no
 * run has.
 *
 *     forward      the largest size, the next smaller, … each predicted from smaller ones at fewer tokens, and at far fewer
 *     later        the last third of the tokens of every size
 *     mixtures     a fifth of the mixtures, at every scale
 */
import { seededRandom, shuffle } from '../../seeded.ts';
import type { ScaleRows } from './types.ts';

/** One block. */
export interface ScaleBlock {
  readonly kind: 'forward' | 'later' | 'mixtures';
  readonly name: string;
  readonly train: Int32Array;
  readonly held: Int32Array;
}

/** Share of the tokens that come first. */
const FIRST_TOKENS = 0.67;
/** For a block that lies farther ahead. */
const FEW_TOKENS = 0.5;
const MIXTURE_FOLDS = 5;

/** The blocks that the runs allow; each leaves at least `minRuns` to fit on. */
export function blocksOf(rows: ScaleRows, minRuns: number, seed: number): ScaleBlock[] {
  const { nRuns, params, tokens } = rows;
  const all: Int32Array = Int32Array.from({ length: nRuns }, (_, run) => run);
  const sizes = [...new Set(params)].sort((one, other) => one - other);
  const mostBySize = new Map(
    sizes.map((size) => [
      size,
      tokens.reduce((most, own, run) => (params[run] === size ? Math.max(most, own) : most), 0),
    ]),
  );
  const blocks: ScaleBlock[] = [];
  // Two sizes below, or the slope by size is not known.
  for (const [place, size] of sizes.entries()) {
    if (place < 2) continue;
    const below = Math.max(...sizes.slice(0, place).map((other) => mostBySize.get(other)!));
    const least = all.reduce((low, run) => Math.min(low, tokens[run]!), Number.POSITIVE_INFINITY);
    const own = all.filter((run) => params[run] === size);
    for (const share of [FIRST_TOKENS, FEW_TOKENS]) {
      const cut = least < share * below ? share * below : below;
      const train = all.filter((run) => params[run]! < size && tokens[run]! <= cut);
      const later = own.filter((run) => tokens[run]! > cut);
      const held = later.length > 0 ? later : own;
      const name = `size ${place + 1} of ${sizes.length} from those below, at ${Math.round(100 * share)} % of their tokens`;
      blocks.push({ kind: 'forward', name, train, held });
      if (cut === below) break;
    }
  }
  const isLater = (run: number): boolean =>
    tokens[run]! > FIRST_TOKENS * mostBySize.get(params[run]!)!;
  const train = all.filter((run) => !isLater(run));
  // Where every size ends at one count of tokens, nothing is earlier.
  if (new Set(Array.from(train, (run) => params[run]!)).size === sizes.length) {
    const held = all.filter(isLater);
    blocks.push({ kind: 'later', name: 'last third of the tokens', train, held });
  }
  const keys = Array.from({ length: nRuns }, (_, run) => keyOf(rows, run));
  const mixtures = [...new Set(keys)];
  const order = Int32Array.from(mixtures, (_, place) => place);
  shuffle(order, seededRandom(seed));
  const nHeld = Math.ceil(mixtures.length / MIXTURE_FOLDS);
  const heldKeys = new Set(Array.from(order.slice(0, nHeld), (place) => mixtures[place]!));
  if (heldKeys.size < mixtures.length) {
    blocks.push({
      kind: 'mixtures',
      name: 'a fifth of the mixtures',
      train: all.filter((run) => !heldKeys.has(keys[run]!)),
      held: all.filter((run) => heldKeys.has(keys[run]!)),
    });
  }
  return blocks.filter(({ train: kept, held }) => kept.length >= minRuns && held.length > 0);
}

/** A mixture as text: the same weights at every scale are one mixture. */
function keyOf({ weights, nDomains }: ScaleRows, run: number): string {
  return Array.from(weights.subarray(run * nDomains, (run + 1) * nDomains), (weight) =>
    weight.toFixed(4),
  ).join();
}
