/**
 * Numbers of JSON and the types that hold them without changing a value.
 *
 * A double holds a number when it is the double's shortest decimal form, however it is spelt (0.1, 0.10, 1e-1): that is
 * what every writer of JSON makes of it again. More digits than that are lost, though a double may be their exact value
 * (2^64 - 2048, 0.1's 55 digits).
 */

/** `digits * 10^exponent`; no zeros at either end of `digits`, which is empty for zero. */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly exponent: number;
}

/** Digits of a decimal column: what Parquet's and Arrow's 128 bits hold. */
export const MAX_DECIMAL_DIGITS = 38;

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const UINT64_DIGITS = 20;

/** A JSON number as its digits. */
export function decimalOf(raw: string): Decimal {
  const [, sign, whole = '', fraction = '', power = '0'] = NUMBER.exec(raw) ?? [];
  const all = whole + fraction;
  let first = 0;
  while (all[first] === '0') first++;
  let last = all.length;
  while (last > first && all[last - 1] === '0') last--;
  const digits = all.slice(first, last);
  const exponent = digits === '' ? 0 : Number(power) - fraction.length + (all.length - last);
  return { negative: sign === '-', digits, exponent };
}

/** True when a double gives the number back. */
export function isExactDouble(raw: string): boolean {
  // Fifteen digits always survive, far from a double's ends.
  if (raw.length <= 15 && !/[eE]/.test(raw)) return true;
  const value = Number(raw);
  if (!Number.isFinite(value)) return false;
  // What most writers wrote: the shortest form.
  if (String(value) === raw) return true;
  return sameDecimal(decimalOf(raw), decimalOf(Object.is(value, -0) ? '-0' : String(value)));
}

/** The number when it is a whole one without a sign of its own for zero, of at most 64 bits; null otherwise. */
export function integerOf(raw: string): bigint | null {
  const { negative, digits, exponent } = decimalOf(raw);
  if (digits === '') return negative ? null : 0n;
  if (exponent < 0 || digits.length + exponent > UINT64_DIGITS) return null;
  const value = BigInt(digits + '0'.repeat(exponent));
  return negative ? -value : value;
}

/** True for values of 64-bit integers. */
export function isInt64(value: bigint): boolean {
  return value === BigInt.asIntN(64, value);
}

/** True for values of unsigned 64-bit integers. */
export function isUint64(value: bigint): boolean {
  return value === BigInt.asUintN(64, value);
}

/** Digits before and after the point that a decimal column needs for the number; null for what none holds. */
export function decimalDigits(raw: string): { whole: number; scale: number } | null {
  const { negative, digits, exponent } = decimalOf(raw);
  if (digits === '') return negative ? null : { whole: 0, scale: 0 };
  const whole = Math.max(0, digits.length + exponent);
  const scale = Math.max(0, -exponent);
  return whole + scale <= MAX_DECIMAL_DIGITS ? { whole, scale } : null;
}

/** The unscaled integer of a decimal column as 16 big-endian bytes; null where the number does not fit. */
export function decimalBytes(raw: string, precision: number, scale: number): Uint8Array | null {
  const needed = decimalDigits(raw);
  if (!needed || needed.scale > scale || needed.whole > precision - scale) return null;
  const { negative, digits, exponent } = decimalOf(raw);
  let rest = BigInt((digits || '0') + '0'.repeat(digits === '' ? 0 : exponent + scale));
  if (negative) rest = -rest;
  const bytes = new Uint8Array(16);
  for (let at = 15; at >= 0; at--) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

function sameDecimal(left: Decimal, right: Decimal): boolean {
  return (
    left.digits === right.digits &&
    left.exponent === right.exponent &&
    left.negative === right.negative
  );
}
