/** What a lease asks of the place that it is kept in: an exclusive create and a conditional replace. */

/** What a store holds: who, and what changes with every sign of life. */
export interface LeaseView {
  readonly content: string;
  readonly beat: string;
}

/** At once where the store is a file, later where it is behind a network. */
export type Soon<T> = T | Promise<T>;

/** Where a lease is kept. */
export interface LeaseStore {
  /** From one look at another's lease to the next; default a tenth of a second. */
  readonly lookMs?: number;
  /** What is there now; null for nothing. */
  read(): Soon<LeaseView | null>;
  /** Makes it, if nothing is there. @returns whether it is ours */
  create(content: string): Soon<boolean>;
  /** Puts `content` in the place of `seen`, if that is still there. @returns whether it is ours */
  replace(seen: string, content: string, isStale: (view: LeaseView) => boolean): Soon<boolean>;
  /** Takes it away, if it is `content`. */
  remove(content: string): Soon<void>;
  /** What its holder knows to be there, without waiting. */
  held(): LeaseView | null;
  /** Gives signs of life until the returned function is called. */
  beat(periodMs: number): () => void;
}
