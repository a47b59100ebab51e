/** Why things failed, in the words of whoever said so: counted, alike ones together, the list bounded. */

/** A cause with its count. */
export interface FailureCause {
  /** As it was said first; the numbers in it may differ from one time to the next. */
  readonly cause: string;
  readonly count: number;
}

/** Causes that are told apart; further ones are counted together. */
const MAX_CAUSES = 20;
const OTHERS = 'other causes';

/** See the file's header. */
export class FailureCauses {
  readonly #counts = new Map<string, { readonly cause: string; count: number }>();

  add(cause: string): void {
    // Numbers of requests and times must not make every failure a kind of its own.
    const kind = cause.replace(/[0-9a-f]*\d[0-9a-f]*/gi, '#');
    const isNew = !this.#counts.has(kind);
    const key = isNew && this.#counts.size >= MAX_CAUSES ? OTHERS : kind;
    const known = this.#counts.get(key);
    if (known) known.count++;
    else this.#counts.set(key, { cause: key === OTHERS ? OTHERS : cause, count: 1 });
  }

  /** Commonest first. */
  list(): FailureCause[] {
    return [...this.#counts.values()]
      .map(({ cause, count }) => ({ cause, count }))
      .sort((one, other) => other.count - one.count);
  }
}
