/** How far a long call is: the one form in which calls tell it, and what helps to count. */

/** How far a call is. */
export interface WorkProgress {
  /** What is being done: `scoring`. */
  readonly phase: string;
  /** What is counted: `pages`. */
  readonly unit: string;
  readonly done: number;
  /** In the same unit; 0 where nobody knows. */
  readonly total: number;
}

/** Told how far a call is; called often, from the thread of the caller. */
export type OnProgress = (progress: WorkProgress) => void;

/**
 * Counts a piece of work; the first thing told is that nothing is done, so that times are taken from here.
 *
 * @returns adds to what is done
 */
export function counting(
  onProgress: OnProgress | undefined,
  piece: Omit<WorkProgress, 'done'>,
): (more?: number) => void {
  let done = 0;
  onProgress?.({ ...piece, done });
  return (more = 1) => {
    done += more;
    onProgress?.({ ...piece, done });
  };
}
