/**
 * Every reason code of the room: why a document has its status, why an op was not applied.
 *
 * Codes are stable and end up in the `gristmill_reason` column. Between threads a code travels as its index
 * in {@link REASON_CODES} or {@link OP_REASON_CODES}, so codes are only ever appended.
 */

/** Why a document has its status, one line each. */
export const REASONS = Object.freeze({
  // kept
  keep: 'the program keeps the text as it is',
  no_program: 'no program was written for the document',
  no_effect: 'the program is well formed, but none of its ops changed anything',
  // edited
  edited: 'every op that had something to change was applied',
  edited_partly: 'some ops were applied, others were refused or their window was ignored',
  // dropped
  drop_doc: 'the program drops the document',
  all_removed: 'the ops removed every line, or all that the lines of a text without a word held',
  too_much_removed: 'fewer words remain than the smallest kept ratio allows',
  too_few_words: 'fewer words remain than the smallest number allowed',
  // failed: the text is returned unchanged
  too_many_errors: 'more ops were refused than the error budget of a window allows',
  repeated_ops: 'the program repeats itself: the refiner was looping',
  too_many_ops: 'the program has more ops than a window may have',
  program_too_long: 'the program is longer than allowed',
  contradiction: 'the program both keeps and drops its window',
  truncated: 'the program holds nothing but one call that was cut off',
  window_invalid: 'windows own a line twice, are not in order or lie outside the document',
  over_removal:
    'more words would be removed than the smallest kept ratio allows; the text was kept',
  text_grew: 'the text would have grown beyond the bound of the published executor',
  no_words: 'the text has no word; the published executor divides by zero here',
  // kept
  ops_refused:
    'ops were refused or cut off, and none of the others changed anything; the text is unchanged',
} as const);

/** A code of {@link REASONS}. */
export type Reason = keyof typeof REASONS;

/** Why an op was not applied, one line each. */
export const OP_REASONS = Object.freeze({
  // refused: counts against the error budget of the window
  syntax: 'the call is not well formed',
  unknown_function: 'the dialect has no function of that name',
  unknown_argument: 'the function has no argument of that name',
  duplicate_argument: 'the argument is given twice',
  missing_argument: 'an argument is missing',
  extra_argument: 'there are more arguments than the function takes',
  wrong_type: 'a number was given for a string, or the other way round',
  bad_number: 'the number is negative or beyond any line',
  bad_string: 'the string holds half of a surrogate pair',
  reversed_range: 'the first line comes after the last',
  empty_source: 'the string to replace is empty',
  blank_source: 'the string to replace is white space only (U+FEFF and format characters are none)',
  line_break: 'the string holds a line feed; ops never join or split lines',
  argument_too_long: 'the string is longer than allowed',
  out_of_window: 'a line lies outside the window of the program',
  // without effect: does not count
  truncated: 'the last call was cut off',
  not_found: 'the string does not occur in the window',
  not_unique: 'the string occurs more than once in the line',
  overlap: 'every occurrence overlaps what an earlier op changed or removed',
  already_removed: 'earlier ops removed these lines',
  no_change: 'source and target are the same',
  would_grow: 'the text would become longer than the growth bound allows',
  window_ignored: 'the program of the window was ignored as a whole',
  over_removal: 'the whole document was kept because too much would have been removed',
  ignored: 'the published executor ignores this call',
  not_owned: 'the line belongs to another window, which decides about it',
} as const);

/** A code of {@link OP_REASONS}. */
export type OpReason = keyof typeof OP_REASONS;

/** {@link REASONS} in the order of their numeric codes. */
export const REASON_CODES: readonly Reason[] = Object.freeze(Object.keys(REASONS) as Reason[]);

/** {@link OP_REASONS} in the order of their numeric codes. */
export const OP_REASON_CODES: readonly OpReason[] = Object.freeze(
  Object.keys(OP_REASONS) as OpReason[],
);
