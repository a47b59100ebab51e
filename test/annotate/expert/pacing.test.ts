import { describe, expect, it } from 'vitest';
import {
  MAX_PAUSE_MS,
  Pacer,
  parseReset,
  requestedPauseMs,
  usedUpMs,
} from '../../../src/annotate/expert/pacing.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

describe('parseReset', () => {
  it.each([
    ['1s', 1000],
    ['6m0s', 360_000],
    ['1h2m3.5s', 3_723_500],
    ['250ms', 250],
    ['12', 12_000],
    ['0.5', 500],
    [' 2 ', 2000],
    [String(NOW + 1500), 1500],
    [String(NOW / 1000 + 3), 3000],
    ['2026-01-01T00:00:04Z', 4000],
    ['2025-12-31T00:00:00Z', 0],
    ['soon', null],
    ['', null],
    ['-5', null],
    ['1s later', null],
    ['1'.repeat(65), null],
    [null, null],
  ])('%j is %j ms', (value, expected) => expect(parseReset(value, NOW)).toBe(expected));
});

describe('requestedPauseMs', () => {
  const pause = (headers: Record<string, string>) => requestedPauseMs(new Headers(headers), NOW);
  it('reads retry-after in its three forms', () => {
    expect(pause({ 'retry-after-ms': '40', 'retry-after': '7' })).toBe(40);
    expect(pause({ 'retry-after': '7' })).toBe(7000);
    expect(pause({ 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' })).toBe(9000);
  });
  it('reads the limit that is used up, else the nearest reset', () => {
    const both = { 'x-ratelimit-reset-requests': '8s', 'x-ratelimit-reset-tokens': '20ms' };
    expect(pause(both)).toBe(20);
    expect(pause({ ...both, 'x-ratelimit-remaining-requests': '0' })).toBe(8000);
  });
  it('finds nothing in anything else', () => {
    expect(pause({})).toBeNull();
    expect(pause({ 'retry-after': 'a while' })).toBeNull();
  });
});

it('usedUpMs looks at limits with nothing left only', () => {
  const used = (headers: Record<string, string>) => usedUpMs(new Headers(headers), NOW);
  expect(used({ 'x-ratelimit-reset-requests': '8s' })).toBeNull();
  expect(
    used({ 'x-ratelimit-reset-requests': '8s', 'x-ratelimit-remaining-requests': '3' }),
  ).toBeNull();
  expect(used({ 'x-ratelimit-reset-requests': '8s', 'x-ratelimit-remaining-requests': '0' })).toBe(
    8000,
  );
});

describe('Pacer', () => {
  it('doubles the bound of the back-off up to a minute', () => {
    const pacer = new Pacer(500, 1);
    expect([0, 1, 2, 3].map((attempt) => pacer.backOffBoundMs(attempt))).toEqual([
      500, 1000, 2000, 4000,
    ]);
    expect(pacer.backOffBoundMs(900)).toBe(60_000);
  });

  it('holds everybody back, and lets an aborted one go', async () => {
    const pacer = new Pacer(1, 1);
    pacer.pause(MAX_PAUSE_MS * 10);
    const controller = new AbortController();
    const waiting = pacer.open(controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    const started = performance.now();
    const short = new Pacer(1, 1);
    short.pause(30);
    short.pause(10);
    await Promise.all([short.open(undefined), short.open(undefined)]);
    expect(performance.now() - started).toBeGreaterThanOrEqual(29);
  });
});
