/** What is wrong with a row of training data, always said the same way: file, line, field, what was expected and found. */
import { GristmillError } from '../errors.ts';

/** Where a row lies. */
export interface RowPlace {
  readonly file: string;
  readonly line: number;
}

/** Longest value that an error shows. */
const MAX_SHOWN = 100;

/**
 * @param what stands before the value that was found
 * @throws TRAIN_GOLD_INVALID, always
 */
export function refuseRow(
  { file, line }: RowPlace,
  field: string,
  expected: string,
  found: unknown,
  what = '',
): never {
  const text = found === undefined ? 'nothing' : JSON.stringify(found);
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  const reason = `${field}: expected ${expected}, found ${what}${shown}`;
  throw new GristmillError('TRAIN_GOLD_INVALID', { file, line, reason });
}

/** A value that must be a string. @throws TRAIN_GOLD_INVALID */
export function textOf(value: unknown, field: string, place: RowPlace): string {
  if (typeof value !== 'string') refuseRow(place, field, 'a string', value);
  return value as string;
}
