/**
 * Space-filling designs: mixtures that lie as far from one another, and from the runs there are, as they can.
 *
 * Farthest-point selection (Gonzalez 1985: at least half the best possible smallest distance over the candidates), then
 * exchanges while one raises the smallest distance. Distances are Hellinger's: a domain's step from 0 to 1 % counts for
 * as much as one from 25 % to 36 %, as losses do respond; in plain distance all small domains would look alike.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { type CandidateOptions, drawCandidates } from './candidates.ts';

/** Options of {@link drawSpaceFilling}. */
export interface SpaceFillingOptions extends CandidateOptions {
  /** Mixtures there are already, rows of weights to keep away from. */
  readonly existing?: readonly Float64Array[] | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Candidates for every wanted mixture, and the least there are. */
const CANDIDATES_EACH = 12;
const MIN_CANDIDATES = 2000;
const MAX_EXCHANGES = 200;

/**
 * `n` rows of units, in the order in which they were chosen: a first part of them is a design of its own.
 *
 * @throws MIXTURE_SAMPLE_FAILED where the grid within the bounds has fewer points, ABORTED
 */
export async function drawSpaceFilling(options: SpaceFillingOptions): Promise<Int32Array[]> {
  const { n, nUnits, existing = [], signal } = options;
  const nCandidates = Math.max(MIN_CANDIDATES, CANDIDATES_EACH * n);
  const rows = drawCandidates({ ...options, n: nCandidates });
  if (rows.length < n) {
    throw new GristmillError('MIXTURE_SAMPLE_FAILED', {
      wanted: n,
      found: rows.length,
      draws: 4 * nCandidates,
      reason: `the grid of 1/${nUnits} within the bounds has hardly more`,
    });
  }
  const roots = rows.map((row) => Float64Array.from(row, (unit) => Math.sqrt(unit / nUnits)));
  const anchors = existing.map((weights) => weights.map(Math.sqrt));
  const nearest = Float64Array.from(roots, (root) => smallest(root, anchors));
  // Without anchors the first is the candidate nearest to the prior: every design has a run to compare with.
  const centre = options.prior.map(Math.sqrt);
  const first =
    anchors.length > 0
      ? largestAt(nearest)
      : largestAt(Float64Array.from(roots, (root) => -squared(root, centre)));
  const chosen: number[] = [];
  const tell = counting(options.onProgress, { phase: 'choosing', unit: 'mixtures', total: n });
  for (let next = first; ; next = largestAt(nearest)) {
    await setImmediate();
    throwIfAborted(signal, 'sampling mixtures');
    chosen.push(next);
    tell();
    if (chosen.length === n) break;
    for (const [at, root] of roots.entries()) {
      nearest[at] = Math.min(nearest[at]!, squared(root, roots[next]!));
    }
    // Chosen ones are at distance 0 of themselves and are taken again only when nothing else is left.
    for (const at of chosen) nearest[at] = -1;
  }
  exchange(chosen, roots, anchors);
  return chosen.map((at) => rows[at]!);
}

/** The smallest Hellinger distance among rows of units, 0..1. */
export function smallestDistance(rows: readonly Int32Array[], nUnits: number): number {
  const roots = rows.map((row) => Float64Array.from(row, (unit) => Math.sqrt(unit / nUnits)));
  const distances = roots.map((root, at) => smallest(root, roots.slice(at + 1)));
  return Math.sqrt(Math.min(...distances) / 2);
}

/** Puts a candidate in place of the chosen row that is nearest to another while that raises the smallest distance. */
function exchange(
  chosen: number[],
  roots: readonly Float64Array[],
  anchors: readonly Float64Array[],
): void {
  // Beyond this the farthest-point order is as good, and an exchange costs chosen × candidates distances.
  if (chosen.length < 3 || chosen.length > 64) return;
  for (let round = 0; round < MAX_EXCHANGES; round++) {
    const others = (place: number) => [
      ...anchors,
      ...chosen.filter((_, index) => index !== place).map((at) => roots[at]!),
    ];
    const distances = chosen.map((at, place) => smallest(roots[at]!, others(place)));
    const worst = distances.indexOf(Math.min(...distances));
    const rest = others(worst);
    const open = Float64Array.from(roots, (root) => smallest(root, rest));
    const best = largestAt(open);
    if (open[best]! <= distances[worst]! * (1 + 1e-9)) return;
    chosen[worst] = best;
  }
}

function smallest(root: Float64Array, others: readonly Float64Array[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const other of others) least = Math.min(least, squared(root, other));
  return least;
}

function squared(one: Float64Array, other: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at]! - other[at]!) ** 2;
  return sum;
}

function largestAt(values: Float64Array): number {
  let best = 0;
  for (let at = 1; at < values.length; at++) if (values[at]! > values[best]!) best = at;
  return best;
}
