/**
 * Nothing is lost and nothing doubled by a fleet that fails, in virtual time (simulation/fleet.ts). `npm run simulate` has a
 * thousand workers and a million units; here are fewer of both, and an hour costs as many failures.
 */
import { describe, expect, it } from 'vitest';
import { type FleetOptions, simulate } from './simulation/fleet.ts';

const isWhole = process.env['GRISTMILL_SIMULATION'] === '1';
const SIZE = isWhole ? { workers: 1000, units: 1_000_000 } : { workers: 40, units: 36_000 };
/** 1 % an hour; of few workers more, so that some fail at all. */
const FAILURES = isWhole ? 0.01 : 0.15;

function check(result: Awaited<ReturnType<typeof simulate>>, { units }: FleetOptions): void {
  const { poisoned } = result;
  if (isWhole)
    console.log(JSON.stringify({ ...result, ratio: result.makespanMs / result.idealMs }));
  expect(result.deaths).toBeGreaterThan(0);
  expect(result.stops).toBeGreaterThan(0);
  expect(result.missing).toEqual(poisoned);
  expect(result.setAside).toEqual(poisoned);
  expect(result.committed).toBe(units - poisoned.length);
  expect(result.published).toBe(units - poisoned.length);
  expect(result.doubled).toBe(0);
  expect(result.attemptsLeft).toBe(0);
  expect(result.makespanMs / result.idealMs).toBeLessThanOrEqual(1.05);
  expect(result.makespanMs / result.idealMs).toBeGreaterThan(0.95);
}

describe('a fleet that fails', () => {
  // Four minutes of a processor, which others may want too.
  const timeout = isWhole ? 7_200_000 : 120_000;

  it(
    'does its units from a queue: poison is set aside, nothing is lost or doubled, makespan ≤ 1.05 × ideal',
    async () => {
      const options: FleetOptions = {
        ...{
          ...SIZE,
          seed: 7,
          delivery: 'queue',
          failuresPerHour: FAILURES,
          poison: 5,
          killers: 2,
        },
      };
      const result = await simulate(options);
      check(result, options);
      // Duplicates, and those that stood still and woke up.
      expect(result.lost).toBeGreaterThan(0);
    },
    timeout,
  );

  it(
    'does its units by a split: whoever comes back goes on, makespan ≤ 1.05 × ideal',
    async () => {
      const options: FleetOptions = {
        ...{
          ...SIZE,
          seed: 14,
          delivery: 'split',
          failuresPerHour: isWhole ? 0.01 : 0.05,
          poison: 5,
          killers: 0,
        },
      };
      const result = await simulate(options);
      check(result, options);
      expect(result.leasesLost).toBeGreaterThan(0);
    },
    timeout,
  );
});
