/**
 * Descent over a {@link MixtureSpace}: spectral projected gradients (Birgin, Martínez and Raydan 2000; monotone, Armijo
 * backtracking), then moves of weight between pairs of variables on the grid, which need no gradient.
 */
import { throwIfAborted } from '../../errors.ts';
import { type Random, seededRandom } from '../../seeded.ts';
import { unitsToWeights } from '../simplex.ts';
import type { MixtureObjective } from './objective.ts';
import type { MixtureSpace } from './space.ts';

const MAX_ITERATIONS = 60;
const MAX_HALVINGS = 14;
const ARMIJO = 1e-4;
/** Shifts of all variables below this end a descent. */
const STILL = 1e-7;

/** Variables after descending from `start`; the worst case is smoothed by `sharpness`. @throws ABORTED */
export function descend(
  space: MixtureSpace,
  objective: MixtureObjective,
  start: Float64Array,
  { sharpness, signal }: { readonly sharpness: number; readonly signal?: AbortSignal | undefined },
): Float64Array {
  const slopeAt = (variables: Float64Array) => {
    const { value, gradient } = objective.slope(space.toWeights(variables), sharpness);
    return { value, gradient: space.toVariableGradient(gradient) };
  };
  let point = space.project(start);
  let here = slopeAt(point);
  let length = 0.1 / Math.max(1e-12, ...here.gradient.map(Math.abs));
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    throwIfAborted(signal, 'optimising the mixture');
    const wanted = space.project(point.map((value, at) => value - length * here.gradient[at]!));
    const direction = wanted.map((value, at) => value - point[at]!);
    if (direction.every((shift) => Math.abs(shift) < STILL)) break;
    const descent = dot(direction, here.gradient);
    if (!(descent < 0)) break;
    const step = search(objective, space, {
      point,
      direction,
      descent,
      value: here.value,
      sharpness,
    });
    if (step === 0) break;
    const next = point.map((value, at) => value + step * direction[at]!);
    const there = slopeAt(next);
    const shift = direction.map((part) => step * part);
    const curvature = dot(
      shift,
      there.gradient.map((part, at) => part - here.gradient[at]!),
    );
    const spectral = curvature > 0 ? dot(shift, shift) / curvature : length * 4;
    length = Math.min(1e4, Math.max(1e-8, spectral));
    point = next;
    here = there;
  }
  return point;
}

interface SearchFrom {
  readonly point: Float64Array;
  readonly direction: Float64Array;
  readonly descent: number;
  readonly value: number;
  readonly sharpness: number;
}

/** The first halved step that descends enough; 0 where none does. */
function search(
  objective: MixtureObjective,
  space: MixtureSpace,
  { point, direction, descent, value, sharpness }: SearchFrom,
): number {
  let step = 1;
  for (let halving = 0; halving < MAX_HALVINGS; halving++, step /= 2) {
    const tried = space.toWeights(point.map((at, index) => at + step * direction[index]!));
    if (objective.smoothValue(tried, sharpness) <= value + ARMIJO * step * descent) return step;
  }
  return 0;
}

/** A point of the grid. */
export interface GridPoint {
  /** Of the variables. */
  readonly units: Int32Array;
  readonly value: number;
}

/** Rows that one prediction gets at most. */
const MAX_MOVES = 2048;
/** Of two moves at once: there are too many for all of them. */
const MAX_DOUBLE_MOVES = 512;
const MAX_ROUNDS = 300;

/**
 * Moves weight between pairs until no move of any length improves: lengths are `firstUnits`, then a quarter each, down to
 * one unit. Beyond {@link MAX_MOVES} pairs a seeded choice of them is tried in each round.
 *
 * @throws ABORTED
 */
export function polish(
  space: MixtureSpace,
  objective: MixtureObjective,
  start: Int32Array,
  options: {
    readonly firstUnits: number;
    readonly seed: number;
    readonly signal?: AbortSignal | undefined;
  },
): GridPoint {
  const random = seededRandom(options.seed);
  let units = start;
  let value = valuesOf(space, objective, [units])[0]!;
  let round = 0;
  for (let amount = Math.max(1, options.firstUnits); ; amount = Math.ceil(amount / 4)) {
    for (; round < MAX_ROUNDS; round++) {
      throwIfAborted(options.signal, 'optimising the mixture');
      const better =
        bestBelow(value, movesOf(space, units, amount, random), space, objective) ??
        // Where two targets are equally bad, one move alone makes either worse.
        (objective.needsSharpness
          ? bestBelow(value, doubleMovesOf(space, units, amount, random), space, objective)
          : null);
      if (better === null) break;
      ({ units, value } = better);
    }
    if (amount === 1) return { units, value };
  }
}

/** The best of points, where it is below `value`. */
function bestBelow(
  value: number,
  points: readonly Int32Array[],
  space: MixtureSpace,
  objective: MixtureObjective,
): GridPoint | null {
  if (points.length === 0) return null;
  const values = valuesOf(space, objective, points);
  const best = values.indexOf(Math.min(...values));
  return values[best]! < value - 1e-12 ? { units: points[best]!, value: values[best]! } : null;
}

/** Exact values of points of the grid. */
export function valuesOf(
  space: MixtureSpace,
  objective: MixtureObjective,
  points: readonly Int32Array[],
): Float64Array {
  const rows = new Float64Array(points.length * space.nDomains);
  for (const [row, units] of points.entries()) {
    rows.set(unitsToWeights(space.toDomainUnits(units), space.nUnits), row * space.nDomains);
  }
  return objective.values(rows);
}

function movesOf(
  space: MixtureSpace,
  units: Int32Array,
  amount: number,
  random: Random,
): Int32Array[] {
  const { pairs } = space;
  const share = MAX_MOVES / pairs.length;
  const moved: Int32Array[] = [];
  for (const [from, to] of pairs) {
    if (share < 1 && random() > share) continue;
    if (!space.mayMove(units, from, to, amount)) continue;
    const next = units.slice();
    next[from]! -= amount;
    next[to]! += amount;
    moved.push(next);
  }
  return moved;
}

/** Two moves at once, the second as long as the first, twice or half: all of them, or a seeded choice. */
function doubleMovesOf(
  space: MixtureSpace,
  units: Int32Array,
  amount: number,
  random: Random,
): Int32Array[] {
  const amounts = [...new Set([amount, 2 * amount, Math.ceil(amount / 2)])];
  const firsts = movesOf(space, units, amount, random);
  const share = MAX_DOUBLE_MOVES / (firsts.length * space.pairs.length * amounts.length);
  const moved: Int32Array[] = [];
  for (const first of firsts) {
    for (const [from, to] of space.pairs) {
      for (const second of amounts) {
        if (share < 1 && random() > share) continue;
        if (!space.mayMove(first, from, to, second)) continue;
        const next = first.slice();
        next[from]! -= second;
        next[to]! += second;
        moved.push(next);
      }
    }
  }
  return moved;
}

function dot(one: Float64Array, other: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += one[at]! * other[at]!;
  return sum;
}
