/**
 * Checking the options of the public API: one table a call, one form of message.
 *
 * A table names every option of its type (the compiler holds it to that), so an unknown name is found too; it is told
 * before anything else, with the name that was meant. Undefined values count as left out.
 */
import { GristmillError } from './errors.ts';
import { nearestName } from './nearest-name.ts';

/** What a value must be. */
export interface Check {
  /** As a message says it: `a number in 0..1`. */
  readonly expected: string;
  accepts(value: unknown): boolean;
  /** Of options that are objects themselves. */
  readonly inner?: Readonly<Record<string, Check>>;
}

/** A check for every option of `T`. */
export type OptionTable<T> = { readonly [Key in keyof Required<T>]: Check };

/** Options that were given: undefined ones let the defaults hold. */
export function given<T extends object>(options: T): T {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as T;
}

/** @throws OPTION_INVALID */
export function refuseOption(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received: shown(received) });
}

/**
 * Checks the options of a call.
 *
 * @param where the call, as messages name it
 * @param required options that may not be left out
 * @throws OPTION_INVALID naming the option, what was expected and what was received
 */
export function checkOptions<T extends object>(
  where: string,
  options: unknown,
  table: OptionTable<T>,
  required: readonly (keyof T & string)[] = [],
): asserts options is T {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    refuseOption(`of ${where}`, 'an object of options', options);
  }
  checkTable(where, '', options, table);
  for (const option of required) {
    if ((options as Record<string, unknown>)[option] === undefined) {
      const { expected } = table[option];
      throw new GristmillError('OPTION_INVALID', { option, expected, received: 'nothing' });
    }
  }
}

function checkTable(
  where: string,
  prefix: string,
  options: object,
  table: Readonly<Record<string, Check>>,
): void {
  const names = Object.keys(table);
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(table, name)) continue;
    const meant = nearestName(name, names);
    const hint = meant === null ? `: ${names.join(', ')}` : ` (did you mean ${meant}?)`;
    refuseOption(
      prefix + name,
      `an option of ${where}${hint}`,
      (options as Record<string, unknown>)[name],
    );
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const { expected, accepts, inner } = table[name]!;
    if (!accepts(value)) refuseOption(prefix + name, expected, value);
    if (inner) checkTable(where, `${prefix}${name}.`, value as object, inner);
  }
}

/** A value as a message shows it: what JSON has no form for by its kind. */
function shown(value: unknown): unknown {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' || typeof value === 'symbol') return String(value);
  if (value instanceof Promise) return 'a promise';
  if (ArrayBuffer.isView(value)) return value.constructor.name;
  try {
    return JSON.stringify(value) === undefined ? String(value) : value;
  } catch {
    return 'an object';
  }
}

/** A string. */
export const text: Check = {
  expected: 'a string',
  accepts: (value) => typeof value === 'string',
};

/** A string that is not empty: a path, a name. */
export const name: Check = {
  expected: 'a string that is not empty',
  accepts: (value) => typeof value === 'string' && value !== '',
};

/** A number; its range is checked where it is known. */
export const number: Check = {
  expected: 'a number',
  accepts: (value) => typeof value === 'number' && !Number.isNaN(value),
};

/** An object, of whatever class. */
export const anObject: Check = {
  expected: 'an object',
  accepts: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

/** An iterable or async iterable that is no string. */
export const iterable: Check = {
  expected: 'an iterable or an async iterable, such as an array',
  accepts: (value) =>
    typeof value === 'object' &&
    value !== null &&
    (Symbol.iterator in value || Symbol.asyncIterator in value),
};

export const flag: Check = {
  expected: 'true or false',
  accepts: (value) => typeof value === 'boolean',
};

/** A number in 0..1. */
export const share: Check = {
  expected: 'a number in 0..1',
  accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
};

export const callback: Check = {
  expected: 'a function',
  accepts: (value) => typeof value === 'function',
};

/** Not by its class: signals of another realm are signals too. */
export const abortSignal: Check = {
  expected: 'an AbortSignal',
  accepts: (value) =>
    typeof value === 'object' &&
    value !== null &&
    typeof (value as AbortSignal).aborted === 'boolean' &&
    typeof (value as AbortSignal).addEventListener === 'function',
};

/** A finite number of at least `minimum`. */
export function atLeast(minimum: number): Check {
  return {
    expected: `a finite number of at least ${minimum}`,
    accepts: (value) => Number.isFinite(value) && (value as number) >= minimum,
  };
}

/** A whole number in `minimum..maximum`. */
export function whole(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Check {
  const range =
    maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `in ${minimum}..${maximum}`;
  return {
    expected: `a whole number ${range}`,
    accepts: (value) =>
      Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
  };
}

/** One of some words. */
export function oneOf(choices: readonly string[]): Check {
  return {
    expected: `one of ${choices.join(', ')}`,
    accepts: (value) => choices.includes(value as string),
  };
}

/** An array of values that pass `check`. */
export function listOf(check: Check, minimum = 0): Check {
  return {
    expected: `an array${minimum > 0 ? ` of at least ${minimum}` : ''}, each ${check.expected}`,
    accepts: (value) =>
      Array.isArray(value) && value.length >= minimum && Array.from(value).every(check.accepts),
  };
}

/** One or the other. */
export function either(first: Check, second: Check): Check {
  return {
    expected: `${first.expected}, or ${second.expected}`,
    accepts: (value) => first.accepts(value) || second.accepts(value),
  };
}

/** What passes `check`, or null. */
export function nullable(check: Check): Check {
  return {
    expected: `${check.expected}, or null`,
    accepts: (value) => value === null || check.accepts(value),
  };
}

/** An object of further options. */
export function objectOf<T>(table: OptionTable<T>): Check {
  return {
    expected: 'an object of options',
    accepts: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    inner: table,
  };
}
