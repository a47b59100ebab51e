/**
 * What a run may spend on an expert, in requests and tokens.
 *
 * A request reserves the most it can cost (its prompt and the longest answer) and gives back what it did not use, so
 * the limit holds as far as prompts are estimated right, which is learnt from those that were counted. A request that
 * fits only if others under way cost less than they may waits for them. Once one request has been turned away all later
 * ones are, whatever their size: what a budget buys is a beginning of the work, not the small pieces of all of it.
 */
import { GristmillError, throwIfAborted } from '../../errors.ts';

/** See the file's header. */
export class Budget {
  readonly #maxRequests: number;
  readonly #maxTokens: number;
  #requests = 0;
  #tokens = 0;
  #reserved = 0;
  #spent: GristmillError | null = null;
  readonly #waiting = new Set<() => void>();

  constructor({
    maxRequests,
    maxTokens,
  }: {
    readonly maxRequests: number;
    readonly maxTokens: number;
  }) {
    this.#maxRequests = maxRequests;
    this.#maxTokens = maxTokens;
  }

  /** Counts a request, or another attempt of one, of at most `tokens`. @throws ANNOTATE_BUDGET_SPENT, ABORTED */
  async admit(tokens: number, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      throwIfAborted(signal, 'asking the expert');
      if (this.#spent) throw this.#spent;
      const certain = this.#tokens + tokens;
      if (certain > this.#maxTokens) throw this.#end(`${this.#maxTokens} tokens`);
      if (certain + this.#reserved <= this.#maxTokens) break;
      await this.#settled(signal);
    }
    if (this.#requests >= this.#maxRequests) throw this.#end(`${this.#maxRequests} requests`);
    this.#requests++;
    this.#reserved += tokens;
  }

  /** Replaces a reservation by what was used. */
  settle(reserved: number, used: number): void {
    this.#reserved -= reserved;
    this.#tokens += used;
    for (const wake of [...this.#waiting]) wake();
  }

  #end(limit: string): GristmillError {
    this.#spent ??= new GristmillError('ANNOTATE_BUDGET_SPENT', { limit });
    for (const wake of [...this.#waiting]) wake();
    return this.#spent;
  }

  /** Resolves at the next change, or when `signal` fires. */
  #settled(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }
}
