/** What a lease asks of the place that it is kept in: an exclusive create and a conditional replace. */

/** What a store holds: who, and what changes with every sign of life. */
export interface LeaseView {
  readonly content: string;
  readonly beat: string;
}

/** Where a lease is kept. */
export interface LeaseStore {
  /** What is there now; null for nothing. */
  read(): LeaseView | null;
  /** Makes it, if nothing is there. @returns whether it is ours */
  create(content: string): boolean;
  /** Puts `content` in the place of `seen`, if that is still there. @returns whether it is ours */
  replace(seen: string, content: string, isStale: (view: LeaseView) => boolean): boolean;
  /** Takes it away, if it is `content`. */
  remove(content: string): void;
  /** Gives signs of life until the returned function is called. */
  beat(periodMs: number): () => void;
}
