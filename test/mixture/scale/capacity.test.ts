import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shareCapacity } from '../../../src/mixture/scale/capacity.ts';

interface Inner {
  readonly b: readonly number[];
  readonly c: readonly number[];
  readonly h: readonly number[];
  readonly floor: number;
  readonly size: number;
}

function shared({ b, c, h, floor, size }: Inner): Float64Array {
  const capacities = new Float64Array(b.length);
  const inner = { b: Float64Array.from(b), c: Float64Array.from(c), floor };
  shareCapacity(inner, Float64Array.from(h), 0, size, capacities);
  return capacities;
}

function cost({ b, c, h }: Inner, x: ArrayLike<number>): number {
  return b.reduce((sum, exponent, at) => sum + h[at]! * c[at]! * x[at]! ** -exponent, 0);
}

/** Moves capacity between pairs by halving steps until nothing gains: slow, and right for a convex cost. */
function naive(inner: Inner): Float64Array {
  const n = inner.b.length;
  const x = new Float64Array(n).fill(inner.floor);
  for (let at = 0; at < n; at++) x[at]! += (inner.size - inner.floor) / n;
  for (let step = inner.size / 4; step > inner.size * 1e-9; ) {
    let best = { value: cost(inner, x), from: -1, to: -1 };
    for (let from = 0; from < n; from++) {
      for (let to = 0; to < n; to++) {
        if (from === to || x[from]! - step < inner.floor) continue;
        const tried = x.slice();
        tried[from]! -= step;
        tried[to]! += step;
        const value = cost(inner, tried);
        if (value < best.value - 1e-15) best = { value, from, to };
      }
    }
    if (best.from < 0) step /= 2;
    else {
      x[best.from]! -= step;
      x[best.to]! += step;
    }
  }
  return x;
}

const positive = fc.double({ min: 0.05, max: 3, noNaN: true });
const inner = fc.integer({ min: 2, max: 5 }).chain((n) =>
  fc.record({
    b: fc.array(positive, { minLength: n, maxLength: n }),
    c: fc.array(positive, { minLength: n, maxLength: n }),
    h: fc.array(fc.oneof(positive, fc.constant(0)), { minLength: n, maxLength: n }),
    floor: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
    size: fc.double({ min: 0.6, max: 20, noNaN: true }),
  }),
);

describe('shareCapacity', () => {
  it('costs what a search by moves between pairs finds, and no more', () => {
    fc.assert(
      fc.property(inner, (one) => {
        fc.pre(one.h.some((weight) => weight > 0));
        const x = shared(one);
        const total = x.reduce((sum, value) => sum + value, 0);
        expect(total).toBeCloseTo(one.size + (one.b.length - 1) * one.floor, 6);
        expect(Math.min(...x)).toBeGreaterThanOrEqual(one.floor * (1 - 1e-12));
        const [here, there] = [cost(one, x), cost(one, naive(one))];
        expect(here).toBeLessThanOrEqual(there * (1 + 1e-6) + 1e-12);
        expect(there).toBeLessThanOrEqual(here * (1 + 1e-4) + 1e-9);
      }),
      { numRuns: 40 },
    );
  });

  it('gives a domain without weight no more than the floor, and all the rest to the only one', () => {
    const x = shared({ b: [0.4, 0.5], c: [1, 1], h: [1, 0], floor: 0.1, size: 2 });
    expect(x[0]).toBeCloseTo(2, 9);
    expect(x[1]).toBe(0.1);
  });
});
