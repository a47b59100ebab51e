/**
 * Trying again: what a server or a network may mend by itself is asked again, later and later, within bounds of count
 * and time. One place for all storages; what is asked never retries by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { GristmillError, isGristmillError, throwIfAborted } from '../../errors.ts';

/** Bounds of trying again. */
export interface RetryPolicy {
  /** Attempts in a row that bring nothing; one that brings bytes begins the count anew. */
  readonly attempts: number;
  /** Before the second attempt; doubled with each, up to `maxMs`. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** No attempt begins later than this after the last one that brought something. */
  readonly totalMs: number;
  /** A request or a stream from which nothing comes for so long is given up. */
  readonly stallMs: number;
}

/** Defaults: an outage of some minutes is waited for. */
export const RETRY_DEFAULTS: RetryPolicy = Object.freeze({
  attempts: 10,
  firstMs: 100,
  maxMs: 20_000,
  totalMs: 300_000,
  stallMs: 30_000,
});

/** A failure that may pass: 500, 503, 429, a reset connection, a body that is cut. */
export class PassingFault extends Error {
  /** What the server asks to wait; null where it does not say. */
  readonly afterMs: number | null;

  constructor(reason: string, afterMs: number | null = null, options?: ErrorOptions) {
    super(reason, options);
    this.afterMs = afterMs;
  }
}

/** Statuses after which the same question may be answered. */
const PASSING_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 509]);

/** Whether the same question may be answered later. */
export function isPassingStatus(status: number): boolean {
  return PASSING_STATUS.has(status);
}

/** Failures of connections. */
const PASSING_CODE =
  /^(ECONN(RESET|REFUSED|ABORTED)|EPIPE|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ENETDOWN|UND_ERR_(SOCKET|CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT|RES_CONTENT_LENGTH_MISMATCH)|ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/;

/** The code of a connection that failed, wherever in a chain of causes it stands; null for other failures. */
export function connectionFault(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    const { code, name } = at as NodeJS.ErrnoException;
    if (typeof code === 'string' && PASSING_CODE.test(code)) return code;
    if (name === 'TimeoutError' || /socket hang up|^aborted$|^terminated$/.test(at.message)) {
      return name === 'TimeoutError' ? 'it took too long' : at.message;
    }
    at = at.cause ?? (at instanceof AggregateError ? at.errors[0] : undefined);
  }
  return null;
}

/** Counts attempts, waits between them, and gives up. */
export class Retrying {
  readonly #policy: RetryPolicy;
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  #nFailed = 0;
  #since = performance.now();

  constructor(path: string, policy: RetryPolicy, signal: AbortSignal | undefined) {
    this.#path = path;
    this.#policy = policy;
    this.#signal = signal;
  }

  /** Something came: the bounds begin anew. */
  progressed(): void {
    this.#nFailed = 0;
    this.#since = performance.now();
  }

  /**
   * Waits for the next attempt.
   *
   * @throws what has failed, if it will not pass; STORAGE_FAILED when the bounds are reached; ABORTED
   */
  async failed(error: unknown): Promise<void> {
    throwIfAborted(this.#signal, 'reading');
    if (!(error instanceof PassingFault)) throw error;
    this.#nFailed++;
    const { attempts, firstMs, maxMs, totalMs } = this.#policy;
    const upTo = Math.min(maxMs, firstMs * 2 ** (this.#nFailed - 1));
    // Half of it is chance: workers that were refused together do not come back together.
    const waitMs = Math.max(error.afterMs ?? 0, upTo * (0.5 + Math.random() / 2));
    const elapsedMs = performance.now() - this.#since;
    if (this.#nFailed >= attempts || elapsedMs + waitMs > totalMs) {
      const details = {
        path: this.#path,
        attempts: this.#nFailed,
        seconds: Math.round(elapsedMs / 1000),
        reason: error.message,
      };
      throw new GristmillError('STORAGE_FAILED', details, { cause: error });
    }
    await sleep(waitMs, undefined, this.#signal && { signal: this.#signal }).catch(() => undefined);
    throwIfAborted(this.#signal, 'reading');
  }
}

/** Asks until there is an answer. @throws as {@link Retrying.failed} */
export async function retried<T>(
  path: string,
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  const retrying = new Retrying(path, policy, signal);
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (isGristmillError(error)) throw error;
      await retrying.failed(error);
    }
  }
}

/** The promise, or a passing fault when nothing comes of it in time. */
export async function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PassingFault(`nothing came in ${ms / 1000} s`)), ms);
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
