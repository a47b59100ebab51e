import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Blend, BlendedOrder, seedOf } from '../../src/tokens/blend.ts';

/** Largest |count − share · position| over all prefixes. */
function worstError(domains: readonly number[], weights: ArrayLike<number>): number {
  const counts = new Float64Array(weights.length);
  let worst = 0;
  for (const [at, domain] of domains.entries()) {
    counts[domain]!++;
    counts.forEach((count, index) => {
      worst = Math.max(worst, Math.abs(count - weights[index]! * (at + 1)));
    });
  }
  return worst;
}

/** Serves the largest deficit, the naive error diffusion. */
function naive(weights: ArrayLike<number>, length: number): number[] {
  const counts = new Float64Array(weights.length);
  return Array.from({ length }, (_, at) => {
    let best = 0;
    counts.forEach((count, index) => {
      const deficit = weights[index]! * (at + 1) - count;
      if (deficit > weights[best]! * (at + 1) - counts[best]! + 1e-12) best = index;
    });
    counts[best]!++;
    return best;
  });
}

describe('Blend', () => {
  it('exact: no prefix is off by one, whatever the weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1, noNaN: true })), {
          minLength: 1,
          maxLength: 20,
        }),
        (raw) => {
          fc.pre(raw.some((weight) => weight > 0));
          const blend = new Blend({ weights: raw, kind: 'exact', seed: 0 });
          const domains = blend.at(0, 600).map(({ domain }) => domain);
          const active = raw.filter((weight) => weight > 0).length;
          const bound = active === 1 ? 0 : 1 - 1 / (2 * active - 2);
          expect(worstError(domains, blend.weights)).toBeLessThanOrEqual(bound + 1e-9);
          for (const domain of domains) expect(raw[domain]).toBeGreaterThan(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('exact: a domain of 0.5 % gets its 5 of 1,000 sequences, one in every 200', () => {
    const blend = new Blend({ weights: [0.995, 0.005], kind: 'exact', seed: 0 });
    const places = blend
      .at(0, 1000)
      .flatMap(({ domain }, position) => (domain === 1 ? [position] : []));
    expect(places).toHaveLength(5);
    for (const [nth, place] of places.entries()) {
      expect(Math.floor(place / 200)).toBe(nth);
    }
  });

  it('serving the largest deficit would not do: a domain is off by more than one', () => {
    const blend = new Blend({ weights: [1, 1, 10, 10, 10, 1, 22, 22], kind: 'exact', seed: 0 });
    const exact = blend.at(0, 400).map(({ domain }) => domain);
    expect(worstError(naive(blend.weights, 400), blend.weights)).toBeGreaterThan(1.1);
    expect(worstError(exact, blend.weights)).toBeLessThan(1);
  });

  it('iid: shares are those of the weights, up to the noise of the draw', () => {
    const weights = [0.6, 0.3, 0.095, 0.005];
    const counts = new Blend({ weights, kind: 'iid', seed: 7 }).countsBefore(100_000);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(100_000);
    weights.forEach((weight, domain) => {
      const deviation = Math.sqrt(weight * (1 - weight) * 100_000);
      expect(Math.abs(counts[domain]! - weight * 100_000)).toBeLessThan(4 * deviation);
    });
  });

  it.each(['exact', 'iid'] as const)('%s: a position is a function of the seed alone', (kind) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1000 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 6 }),
        (seed, starts) => {
          const options = { weights: [5, 3, 1, 0.1], kind, seed };
          const whole = new Blend(options).at(0, 450);
          const jumping = new Blend(options);
          for (const start of starts) {
            expect(jumping.at(start, 50)).toEqual(whole.slice(start, start + 50));
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('refuses weights that are no shares', () => {
    for (const weights of [[], [0, 0], [1, -1], [1, Number.NaN]]) {
      expect(() => new Blend({ weights, kind: 'iid', seed: 0 })).toThrow(/weights: expected/);
    }
  });
});

describe('BlendedOrder', () => {
  const domains = [
    { name: 'web', nSequences: 50 },
    { name: 'code', nSequences: 7 },
    { name: 'none', nSequences: 0 },
  ];
  const order = (weights: number[], kind: 'exact' | 'iid' = 'exact') =>
    new BlendedOrder(domains, { weights, kind, seed: 3 });

  it('visits every sequence of a domain once an epoch, and counts the epochs', () => {
    const sequences = order([0.5, 0.5, 0]).at(0, 140);
    const code = sequences.filter(({ domain }) => domain === 1);
    expect(code).toHaveLength(70);
    for (let epoch = 0; epoch < 10; epoch++) {
      const own = code.slice(epoch * 7, epoch * 7 + 7);
      expect(own.every((entry) => entry.epoch === epoch)).toBe(true);
      expect(new Set(own.map(({ sequence }) => sequence)).size).toBe(7);
    }
    expect([...order([0.5, 0.5, 0]).epochsBefore(140)]).toEqual([1.4, 10, 0]);
  });

  it('reads a domain in the same order whatever the others weigh', () => {
    const codeOf = (weights: number[]) =>
      order(weights)
        .at(0, 200)
        .filter(({ domain }) => domain === 1)
        .slice(0, 20)
        .map(({ sequence }) => sequence);
    expect(codeOf([0.5, 0.5, 0])).toEqual(codeOf([0.8, 0.2, 0]));
    expect(seedOf(3, 'web')).not.toBe(seedOf(3, 'code'));
    expect(seedOf(3, 'web')).not.toBe(seedOf(4, 'web'));
  });

  it('refuses a weight on a domain without sequences', () => {
    expect(() => order([0.5, 0.4, 0.1])).toThrow(/nSequences of none/);
  });
});
