/**
 * What a hub may do before we hang up: answers have bounds of bytes and time, a stream has to move.
 *
 * A hub (or whoever stands in for it, see `HF_ENDPOINT`) decides how long a pull takes and what it costs unless somebody else
 * does: answers without an end, a byte a second, lists of pages that lead back to themselves.
 */

/** Bounds, with defaults that no honest hub comes near. */
export interface HubLimits {
  /** Until an answer begins, and between two pieces of it. */
  readonly stallMs: number;
  /** For a whole answer in JSON. */
  readonly answerMs: number;
  readonly answerBytes: number;
  /** Requests that one listing may take. */
  readonly pages: number;
  /** Bytes of a file that is not weights. */
  readonly smallFileBytes: number;
  /** A stream that brings less than this in `stallMs` is given up, and asked for again. */
  readonly windowBytes: number;
}

/** Defaults of {@link HubLimits}. */
export const HUB_LIMITS: HubLimits = Object.freeze({
  stallMs: 60_000,
  answerMs: 300_000,
  answerBytes: 64 * 2 ** 20,
  pages: 200,
  smallFileBytes: 2 ** 30,
  windowBytes: 2 ** 16,
});

/** `fetch` that fails when no answer has begun in `stallMs`. */
export async function fetchSoon(
  url: string,
  init: RequestInit,
  { stallMs }: HubLimits,
): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(silent(stallMs)), stallMs);
  const signals = [late.signal, ...(init.signal ? [init.signal] : [])];
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer);
  }
}

/** The same answer with all of its bytes, which are few and come soon. */
export async function wholeAnswer(response: Response, limits: HubLimits): Promise<Response> {
  const reader = response.body?.getReader();
  if (!reader) return response;
  const started = Date.now();
  const parts: Uint8Array[] = [];
  let nBytes = 0;
  try {
    for (;;) {
      const left = limits.answerMs - (Date.now() - started);
      if (left <= 0) throw new Error(`the answer took more than ${limits.answerMs / 1000} s`);
      const step = await within(reader.read(), Math.min(left, limits.stallMs));
      if (step.done) break;
      nBytes += step.value.length;
      if (nBytes > limits.answerBytes) {
        throw new Error(`the answer has more than ${limits.answerBytes} bytes`);
      }
      parts.push(step.value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  }
  const { status, statusText, headers } = response;
  const mayHaveBody = status !== 204 && status !== 205 && status !== 304;
  return new Response(mayHaveBody ? Buffer.concat(parts) : null, { status, statusText, headers });
}

/** What a reader of a stream gives. */
type Piece = { readonly done: true } | { readonly done: false; readonly value: Uint8Array };

/** Watches over a stream: every piece in time, and enough of them. */
export class StreamWatch {
  readonly #limits: HubLimits;
  #since = Date.now();
  #nBytes = 0;

  constructor(limits: HubLimits) {
    this.#limits = limits;
  }

  /** The next piece. @throws Error when none comes, or too little does */
  async next(read: () => Promise<Piece>): Promise<Piece> {
    const { stallMs, windowBytes } = this.#limits;
    const step = await within(read(), stallMs);
    if (step.done) return step;
    this.#nBytes += step.value.length;
    if (Date.now() - this.#since >= stallMs) {
      if (this.#nBytes < windowBytes) {
        throw new Error(`only ${this.#nBytes} bytes came in ${stallMs / 1000} s`);
      }
      this.#since = Date.now();
      this.#nBytes = 0;
    }
    return step;
  }
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(silent(ms)), ms);
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function silent(ms: number): Error {
  return new Error(`nothing came in ${ms / 1000} s`);
}
