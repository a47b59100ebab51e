import { describe, expect, it } from 'vitest';
import { etaOf } from '../../src/cli/progress-line.ts';

describe('etaOf', () => {
  it('tells the rest by what was done since the first call', () => {
    const eta = etaOf();
    expect(eta({ done: 50, total: 100 }, 10)).toBeNull();
    // 10 of the 50 that were left took 5 s.
    expect(eta({ done: 60, total: 100 }, 15)).toBeCloseTo(20);
    expect(eta({ done: 100, total: 100 }, 40)).toBe(0);
  });

  it('says nothing while too little was done, or for too short a time', () => {
    const eta = etaOf();
    eta({ done: 0, total: 1000 }, 0);
    expect(eta({ done: 19, total: 1000 }, 60)).toBeNull();
    expect(eta({ done: 500, total: 1000 }, 1.5)).toBeNull();
    expect(eta({ done: 500, total: 1000 }, 4)).toBeCloseTo(4);
  });

  it('begins anew with another piece of work', () => {
    const eta = etaOf();
    eta({ done: 0, total: 100 }, 0);
    eta({ done: 90, total: 100 }, 9);
    expect(eta({ done: 0, total: 100 }, 10)).toBeNull();
    expect(eta({ done: 50, total: 100 }, 20)).toBeCloseTo(10);
    expect(eta({ done: 0, total: 7 }, 21)).toBeNull();
    expect(eta({ done: 0, total: 0 }, 30)).toBeNull();
  });
});
