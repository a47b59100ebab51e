/** Parsers of flags, and what was given of them. */
import { InvalidArgumentError, Option } from 'commander';

/** A parser of whole numbers in `minimum..maximum`. */
export function wholeNumber(
  minimum: number,
  maximum: number = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    const good = text.trim() !== '' && Number.isSafeInteger(value);
    if (good && value >= minimum && value <= maximum) return value;
    const range =
      maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `in ${minimum}..${maximum}`;
    throw new InvalidArgumentError(`expected a whole number ${range}.`);
  };
}

/** A parser of numbers that `accepts` takes; `range` says which. */
export function number(
  range: string,
  accepts: (value: number) => boolean,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !accepts(value)) throw new InvalidArgumentError(`expected ${range}.`);
    return value;
  };
}

/** A parser of shares, 0..1. */
export const share = number('a number in 0..1', (value) => value >= 0 && value <= 1);

/** A parser of numbers, any finite one. */
export const finite = number('a number', Number.isFinite);

/** Parses a number above 0, 25e9 too. */
export const positive = number('a number above 0', (value) => Number.isFinite(value) && value > 0);

/** Parses `a=1,b=0.5`. */
export function namedNumbers(text: string): ReadonlyMap<string, number> {
  const parts = text.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    const name = part.slice(0, at).trim();
    const value = Number(part.slice(at + 1));
    if (at < 1 || name === '' || part.slice(at + 1).trim() === '' || !Number.isFinite(value)) {
      throw new InvalidArgumentError('expected name=number,name=number.');
    }
    return [name, value] as const;
  });
  const named = new Map(parts);
  if (named.size < parts.length) throw new InvalidArgumentError('expected no name twice.');
  return named;
}

/** Options that were given. */
export function defined<T extends object>(
  values: T,
): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}

/** One of several workers on one output; read with parseWorker(). */
export function workerFlag(): Option {
  return new Option(
    '--worker <i/n>',
    'one of n workers on one output, i from 0; env or env/n: as Slurm or a Kubernetes Job says (then: cluster finish)',
  );
}

/** Names by comma. */
export function list(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('expected names by comma.');
  return names;
}

/** A whole number above 0. */
export const toCount = number(
  'a whole number above 0',
  (value) => Number.isSafeInteger(value) && value >= 1,
);

/** A number, 0 or more. */
export const toNumber = number(
  'a number, 0 or more',
  (value) => Number.isFinite(value) && value >= 0,
);
