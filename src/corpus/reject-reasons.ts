/** Why a row can be no row, and what exactly is wrong with it. */

/** Reason codes of rejected rows, one line each; `invalid_utf8` stands with the reasons of texts. */
export const REJECT_REASONS = Object.freeze({
  line_invalid: 'the line is not a JSON object (failed, in rejected/)',
  line_too_long:
    'the line is longer than --max-line-bytes (failed, in rejected/ with its first 64 KiB)',
  text_type: 'the text is not a string (failed, in rejected/)',
  field_utf8:
    'a field other than the text has no form in UTF-8: broken bytes, half a surrogate pair (failed, in rejected/)',
  field_type: 'a value that its column cannot hold unchanged (failed, in rejected/)',
  field_unknown: 'a field that no column of the output holds (failed, in rejected/)',
  field_reserved: 'a field that is called like a column that the run adds (failed, in rejected/)',
  field_repeated: 'a field that is there again with another value (failed, in rejected/)',
} as const);

/** A code of a rejected row. */
export type RejectReason = keyof typeof REJECT_REASONS | 'invalid_utf8';

/** What is wrong with a row: with its line as a whole, or with one of its fields. */
export type RowProblem =
  | { readonly reason: RejectReason; readonly column: null; readonly detail: string }
  | {
      readonly reason: RejectReason;
      readonly column: string;
      readonly expected: string;
      readonly received: string;
    };

/** What is wrong with a value of a row. */
export type ValueProblem = RowProblem & { readonly column: string };
