import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mapOrdered } from '../../src/refine/pipeline.ts';

async function* counting(n: number, onPull: (value: number) => void = () => {}) {
  for (let value = 0; value < n; value++) {
    onPull(value);
    await Promise.resolve();
    yield value;
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('mapOrdered', () => {
  it('keeps the order and the bound, whatever the calls take', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (delays, concurrency) => {
          let underWay = 0;
          let most = 0;
          const results: number[] = [];
          const mapped = mapOrdered(counting(delays.length), concurrency, async (value) => {
            most = Math.max(most, ++underWay);
            await sleep(delays[value]!);
            underWay--;
            return value * 2;
          });
          for await (const result of mapped) results.push(result);
          expect(results).toEqual(delays.map((_, index) => index * 2));
          expect(most).toBeLessThanOrEqual(concurrency);
          if (delays.length >= concurrency && delays.every((ms) => ms > 0)) {
            expect(most).toBe(concurrency);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('does not pull further ahead than calls may start', async () => {
    let pulled = 0;
    const mapped = mapOrdered(
      counting(100, (value) => {
        pulled = value;
      }),
      2,
      async (value) => value,
    );
    await mapped.next();
    await sleep(20);
    expect(pulled).toBeLessThanOrEqual(4);
    await mapped.return(undefined);
  });

  it('awaits the calls under way before a failure is passed on', async () => {
    let finished = 0;
    const mapped = mapOrdered(counting(4), 3, async (value) => {
      await sleep(value === 0 ? 5 : 20);
      if (value === 0) throw new Error('first');
      finished++;
      return value;
    });
    await expect(mapped.next()).rejects.toThrow('first');
    expect(finished).toBe(2);
  });

  it('closes its source when the consumer stops', async () => {
    let closed = false;
    async function* source() {
      try {
        yield 1;
        yield 2;
      } finally {
        closed = true;
      }
    }
    for await (const value of mapOrdered(source(), 1, async (v) => v)) {
      expect(value).toBe(1);
      break;
    }
    expect(closed).toBe(true);
  });
});
