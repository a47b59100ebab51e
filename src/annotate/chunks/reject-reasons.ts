/** Why a window is no example. Codes are stable; they are counted in `statistics.json` and named in `rejected.jsonl`. */

/** One line each. */
export const REJECT_REASONS = Object.freeze({
  // the window
  too_short: 'the window has fewer characters than allowed',
  // the expert
  expert_failed: 'the expert gave no answer after all retries',
  answer_cut: 'the answer reached the token bound',
  empty_answer: 'the answer holds no call, or nothing between its markers',
  no_markers: 'the rewritten window is not between its markers',
  rewords: 'the answer brings in more new characters than deletions only may ignore',
  too_different: 'the rewritten window is too different and too long to compare',
  // the program
  malformed_program: 'a call of the answer is not well formed or not of the dialect',
  cut_off: 'the last call of the answer was cut off',
  out_of_window: 'a line lies outside the window',
  contradiction: 'the answer both keeps and edits the window',
  source_missing: 'a string to replace does not occur in the window',
  source_not_unique: 'a string to replace occurs more than once in its line',
  source_too_long: 'a string to replace is longer than allowed',
  too_many_ops: 'the program has more ops than allowed',
  program_too_long: 'the program has more tokens than a refiner may write',
  removes_too_much: 'the program removes a larger share of the characters than allowed',
  // executing it
  does_not_parse: 'the printed program does not read back as the same ops',
  no_effect: 'an op changes nothing',
  differs: 'executing the program does not give the intended text',
  // the set
  near_duplicate: 'the window is nearly the same as one before it',
  over_share: 'there are more examples of this kind than its share allows',
} as const);

/** A code of {@link REJECT_REASONS}. */
export type RejectReason = keyof typeof REJECT_REASONS;
