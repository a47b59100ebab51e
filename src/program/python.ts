/**
 * What the compat executor needs of Python: `int()` of a string, exactly (CPython 3.11, `int(str)`).
 *
 * Accepted: white space around, one sign, decimal digits of any script, single underscores between digits.
 * Refused, among others: inner spaces, `0x…`, empty strings, more than 4,300 digits. White space is ASCII
 * white space, and the Unicode kinds from U+007F on.
 */

/** Numbers of this many digits are exact in a double. */
const SAFE_DIGITS = 15;
const MAX_DIGITS = 4_300;

/** True for whatever may begin or end with white space: keeps the long expression off ordinary arguments. */
const MAY_STRIP = /^[\t-\r \x80-\uffff]|[\t-\r \x80-\uffff]$/;
const INTEGER = /^[+-]?\p{Nd}(?:_?\p{Nd})*$/u;
const DIGIT = /\p{Nd}/u;

/** ASCII white space as C has it, and that of `str.isspace()` beyond ASCII. */
const STRIP =
  /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g;

/**
 * Python's `int(text)`; null where it raises ValueError.
 *
 * @returns a number when it is exact, else a bigint
 */
export function parsePythonInt(text: string): number | bigint | null {
  const stripped = stripSpace(text);
  if (!INTEGER.test(stripped)) return null;
  let digits = '';
  for (const character of stripped) {
    if (character !== '_' && character !== '+' && character !== '-') digits += digitOf(character);
  }
  if (digits.length > MAX_DIGITS) return null;
  const negative = stripped.startsWith('-');
  if (digits.length <= SAFE_DIGITS) return (negative ? -1 : 1) * Number(digits);
  return (negative ? -1n : 1n) * BigInt(digits);
}

function stripSpace(text: string): string {
  return MAY_STRIP.test(text) ? text.replace(STRIP, '') : text;
}

/** Decimal value of a digit: digits of a script are ten neighbouring code points. */
function digitOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code <= 57) return code - 48;
  let nBefore = 0;
  while (DIGIT.test(String.fromCodePoint(code - nBefore - 1))) nBefore++;
  return nBefore % 10;
}
