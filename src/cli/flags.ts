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

/** A parser of shares, 0..1. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError('expected a number in 0..1.');
  }
  return value;
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
