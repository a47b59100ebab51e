import { describe, expect, it } from 'vitest';
import { product, ratioInterval, shareInterval } from '../../src/refine/intervals.ts';
import { seededRandom } from '../../src/seeded.ts';

describe('ratioInterval', () => {
  it('holds the truth in about nine of ten samples of a skewed population', () => {
    const random = seededRandom(3);
    const sizes = Array.from({ length: 400 }, () => Math.exp(2 * random()));
    const values = sizes.map((size) => size * (random() < 0.3 ? 2 : 0.5) * (0.5 + random()));
    const truth = values.reduce((a, b) => a + b) / sizes.reduce((a, b) => a + b);
    let nInside = 0;
    for (let trial = 0; trial < 2000; trial++) {
      const chosen = new Set<number>();
      while (chosen.size < 20) chosen.add(Math.floor(random() * 400));
      const { low, high } = ratioInterval({
        values: [...chosen].map((at) => values[at]!),
        sizes: [...chosen].map((at) => sizes[at]!),
        sampledShare: 20 / 400,
      });
      if (low <= truth && truth <= high) nInside++;
    }
    expect(nInside / 2000).toBeGreaterThan(0.84);
    expect(nInside / 2000).toBeLessThan(0.97);
  });

  it('knows what it has seen whole, and nothing from one cluster', () => {
    const all = { values: [1, 3], sizes: [2, 2], sampledShare: 1 };
    expect(ratioInterval(all)).toEqual({ estimate: 1, low: 1, high: 1 });
    const one = { values: [1], sizes: [2], sampledShare: 0.1 };
    expect(ratioInterval(one)).toEqual({ estimate: 0.5, low: 0, high: Number.POSITIVE_INFINITY });
  });
});

describe('shareInterval', () => {
  it('does not take what a sample has not seen for impossible', () => {
    const sample = { values: Array(20).fill(16), sizes: Array(20).fill(16), sampledShare: 0.02 };
    const { estimate, low, high } = shareInterval(sample, 320);
    expect(estimate).toBe(1);
    expect(low).toBeGreaterThan(0.98);
    expect(low).toBeLessThan(0.995);
    expect(high).toBe(1);
  });

  it('is as wide as clusters differ', () => {
    const sizes = Array(20).fill(16);
    const alike = { values: Array(20).fill(8), sizes, sampledShare: 0.02 };
    const apart = { values: sizes.map((_, at) => (at % 2) * 16), sizes, sampledShare: 0.02 };
    const width = ({ low, high }: { low: number; high: number }): number => high - low;
    expect(width(shareInterval(apart, 320))).toBeGreaterThan(3 * width(shareInterval(alike, 320)));
  });
});

describe('product', () => {
  it('adds relative widths as squares', () => {
    const first = { estimate: 10, low: 7, high: 13 };
    const second = { estimate: 2, low: 1.2, high: 2.8 };
    const { estimate, low, high } = product(first, second);
    expect(estimate).toBe(20);
    expect(low).toBeCloseTo(10);
    expect(high).toBeCloseTo(30);
  });
});
