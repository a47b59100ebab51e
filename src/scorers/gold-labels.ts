/** The three labels of a line. */

/** A line that people want removed. */
export const REMOVE = 0;
/** A line that people want kept. */
export const KEEP = 1;
/** A line that counts in no score: ambiguous or not judged. */
export const UNSCORED = 2;
