/** Checking options: what several parts of this room would each say for themselves. */
import { GristmillError } from '../errors.ts';

export { given } from '../options.ts';

/** @throws OPTION_INVALID unless `value` is a whole number in `minimum..maximum` */
export function checkCount(
  option: string,
  value: number,
  minimum: number,
  maximum: number = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return;
  const range =
    maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `in ${minimum}..${maximum}`;
  refuseOption(option, `a whole number ${range}`, value);
}

/** @throws OPTION_INVALID */
export function refuseOption(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
