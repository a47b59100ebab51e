/**
 * When to ask again: what a server says of its limits, and back-off where it says nothing.
 *
 * A wait that a server asks for holds for every request of the expert; afterwards the requests come back spread over a
 * tenth of it, at most a second, so that they do not meet the limit as one. Back-off is exponential with full jitter:
 * a uniform draw from 0 to `base · 2^attempt`, from a seed.
 */
import { abortError } from '../../errors.ts';

/** Longest wait that is believed. */
export const MAX_PAUSE_MS = 10 * 60_000;
/** Longest wait of our own accord. */
const MAX_BACKOFF_MS = 60_000;
const MAX_SPREAD_MS = 1000;

/** The pace of one expert; see the file's header. */
export class Pacer {
  readonly #baseMs: number;
  #state: number;
  #openAt = 0;
  #spreadMs = 0;

  /** @param baseMs mean of the first back-off, doubled */
  constructor(baseMs: number, seed: number) {
    this.#baseMs = baseMs;
    this.#state = seed >>> 0;
  }

  /**
   * Holds every request back for `pauseMs` from now on, at most {@link MAX_PAUSE_MS}.
   *
   * @returns whether that is noticeably longer than they were held back already
   */
  pause(pauseMs: number): boolean {
    const bounded = Math.min(pauseMs, MAX_PAUSE_MS);
    const openAt = performance.now() + bounded;
    if (openAt <= this.#openAt) return false;
    const longer = openAt - this.#openAt > MAX_SPREAD_MS;
    this.#openAt = openAt;
    this.#spreadMs = Math.min(bounded / 10, MAX_SPREAD_MS);
    return longer;
  }

  /** Resolves when no pause holds. @throws ABORTED */
  async open(signal: AbortSignal | undefined): Promise<void> {
    while (performance.now() < this.#openAt) {
      const spread = this.#random() * this.#spreadMs;
      await sleep(this.#openAt - performance.now() + spread, signal);
    }
  }

  /** The wait before attempt `attempt + 1`, counted from 0, drawn anew with every call. */
  backOffMs(attempt: number): number {
    return this.#random() * this.backOffBoundMs(attempt);
  }

  /** Longest back-off after attempt `attempt`, counted from 0. */
  backOffBoundMs(attempt: number): number {
    return Math.min(this.#baseMs * 2 ** attempt, MAX_BACKOFF_MS);
  }

  /** mulberry32 */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/**
 * The wait that a refusal's headers ask for, or null: `retry-after-ms`, `retry-after` in seconds or as a date, else
 * the reset times of the limits that are used up (of all that are named, where none says so).
 *
 * @param nowMs time since the epoch
 */
export function requestedPauseMs(headers: Headers, nowMs: number): number | null {
  const exact = plainNumber(headers.get('retry-after-ms'));
  if (exact !== null) return exact;
  const after = headers.get('retry-after');
  const seconds = plainNumber(after);
  if (seconds !== null) return seconds * 1000;
  const date = after === null ? null : untilDate(after, nowMs);
  if (date !== null) return date;
  const resets = ['requests', 'tokens'].map((limit) => resetMs(headers, limit, nowMs));
  const usedUp = usedUpMs(headers, nowMs);
  return usedUp ?? minimum(resets);
}

/** The wait until the limits that an answer's headers call used up are reset, or null. */
export function usedUpMs(headers: Headers, nowMs: number): number | null {
  const resets = ['requests', 'tokens']
    .filter((limit) => plainNumber(headers.get(`x-ratelimit-remaining-${limit}`)) === 0)
    .map((limit) => resetMs(headers, limit, nowMs));
  return resets.includes(null)
    ? minimum(resets)
    : resets.length > 0
      ? Math.max(...(resets as number[]))
      : null;
}

function minimum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? Math.min(...known) : null;
}

function resetMs(headers: Headers, limit: string, nowMs: number): number | null {
  return parseReset(headers.get(`x-ratelimit-reset-${limit}`), nowMs);
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/**
 * Milliseconds until a reset: a duration (`1s`, `6m0s`, `1h2m3.5s`, `250ms`), seconds, a time since the epoch in
 * seconds or milliseconds, or a date. Null for anything else.
 */
export function parseReset(value: string | null, nowMs: number): number | null {
  if (value === null || value.length > 64) return null;
  const text = value.trim();
  const number = plainNumber(text);
  if (number !== null) {
    if (number > 1e12) return Math.max(0, number - nowMs);
    if (number > 1e9) return Math.max(0, number * 1000 - nowMs);
    return number * 1000;
  }
  if (/^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/.test(text)) {
    const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g);
    return [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * UNIT_MS[unit!]!, 0);
  }
  return untilDate(text, nowMs);
}

/** Milliseconds until an HTTP or ISO date. `Date.parse` alone takes nearly anything for a date. */
function untilDate(text: string, nowMs: number): number | null {
  if (text.length > 64 || !/^(?:[A-Za-z]{3,9}, |\d{4}-\d\d-\d\dT)/.test(text)) return null;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

function plainNumber(text: string | null): number | null {
  if (text === null || !/^\s*\d{1,15}(?:\.\d{1,9})?\s*$/.test(text)) return null;
  return Number(text);
}

/** @throws ABORTED */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(abortError('waiting for the expert', signal));
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', stop);
        resolve();
      },
      Math.max(0, ms),
    );
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
