import { describe, expect, it } from 'vitest';
import { Rates } from '../../../src/work/queue/rates.ts';

describe('the rates of a worker', () => {
  it('are those of the last minute', () => {
    let now = 0;
    const rates = new Rates(() => now);
    for (let unit = 0; unit < 200; unit++) {
      now += 1_000;
      rates.add(unit < 100 ? 10 : 30);
    }
    expect(rates.perSecond().rowsPerSecond).toBeCloseTo(30, 6);
    expect(rates.perSecond().unitsPerSecond).toBeCloseTo(1, 6);
  });

  // A worker with units of ten minutes was shown with 0 docs/s, and its run without an ETA.
  it('are those of the last units where they take longer than a minute', () => {
    let now = 0;
    const rates = new Rates(() => now);
    expect(rates.perSecond()).toEqual({ rowsPerSecond: 0, unitsPerSecond: 0 });
    for (let unit = 0; unit < 12; unit++) {
      now += 600_000;
      rates.add(1_200);
    }
    expect(rates.perSecond().rowsPerSecond).toBeCloseTo(2, 6);
    now += 300_000;
    const { rowsPerSecond, unitsPerSecond } = rates.perSecond();
    expect(rowsPerSecond).toBeGreaterThan(1.7);
    expect(unitsPerSecond).toBeGreaterThan(0.8 / 600);
  });

  it('fall where nothing more ends', () => {
    let now = 0;
    const rates = new Rates(() => now);
    now = 1_000;
    rates.add(100);
    const before = rates.perSecond().rowsPerSecond;
    now = 3_600_000;
    expect(rates.perSecond().rowsPerSecond).toBeLessThan(before / 1_000);
  });
});
