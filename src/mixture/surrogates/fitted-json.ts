/**
 * What the families share around a fit: checks of the rows, the constant target, and reading fitted surrogates back.
 *
 * A fitted surrogate is JSON of numbers and arrays of numbers: JavaScript writes the shortest text that reads back as
 * the same double, so predictions after reading are bit-equal.
 */
import { GristmillError, throwIfAborted } from '../../errors.ts';
import type { FittedSurrogate, SurrogateData, SurrogateFamily } from '../types.ts';

/** Raises MIXTURE_DATA_TOO_SMALL or ABORTED before a fit begins. */
export function checkFit(
  family: SurrogateFamily,
  { nRuns, nDomains }: SurrogateData,
  signal: AbortSignal | undefined,
): void {
  throwIfAborted(signal, `the ${family.name} fit`);
  const minimum = family.minRuns(nDomains);
  if (nRuns >= minimum) return;
  throw new GristmillError('MIXTURE_DATA_TOO_SMALL', {
    what: `surrogate ${family.name} of ${nDomains} domains`,
    minimum,
    received: nRuns,
  });
}

/** The one value of a target that never changes; null when it does. */
export function constantOf(losses: Float64Array): number | null {
  const first = losses[0]!;
  return losses.every((loss) => loss === first) ? first : null;
}

/** The fit of a target that never changes: that value everywhere, with deviation 0 where the family has deviations. */
export function constantFit(
  family: FittedSurrogate['family'],
  nDomains: number,
  constant: number,
  has: { readonly deviation: boolean; readonly gradient: boolean },
): FittedSurrogate {
  return {
    family,
    nDomains,
    predict(weights) {
      const nMixtures = countMixtures(weights, nDomains);
      return {
        mean: new Float64Array(nMixtures).fill(constant),
        deviation: has.deviation ? new Float64Array(nMixtures) : null,
      };
    },
    gradient: () => (has.gradient ? new Float64Array(nDomains) : null),
    toJson: () => ({ family, nDomains, constant }),
  };
}

/** How many mixtures a row-major table holds. @throws OPTION_INVALID when its length is no multiple of `nDomains` */
export function countMixtures(weights: Float64Array, nDomains: number): number {
  const nMixtures = weights.length / nDomains;
  if (Number.isInteger(nMixtures)) return nMixtures;
  throw new GristmillError('OPTION_INVALID', {
    option: 'weights',
    expected: `rows of ${nDomains} weights`,
    received: `${weights.length} numbers`,
  });
}

/** Reads the fields of a fitted surrogate; every refusal is MIXTURE_FIT_INVALID and names the field. */
export class FittedReader {
  readonly family: FittedSurrogate['family'];
  readonly nDomains: number;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(family: FittedSurrogate['family'], json: unknown) {
    this.family = family;
    if (json === null || typeof json !== 'object' || Array.isArray(json)) {
      throw this.refuse('expected an object');
    }
    this.#fields = json as Record<string, unknown>;
    if (this.#fields['family'] !== family) {
      throw this.refuse(`family: expected ${family}, found ${String(this.#fields['family'])}`);
    }
    this.nDomains = this.count('nDomains', 1, 100_000);
  }

  refuse(reason: string): GristmillError {
    return new GristmillError('MIXTURE_FIT_INVALID', { file: `surrogate ${this.family}`, reason });
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  value(name: string): unknown {
    return this.#fields[name];
  }

  number(name: string): number {
    const value = this.#fields[name];
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw this.refuse(`${name}: expected a number`);
  }

  count(name: string, minimum: number, maximum: number): number {
    const value = this.number(name);
    if (Number.isInteger(value) && value >= minimum && value <= maximum) return value;
    throw this.refuse(`${name}: expected a whole number in ${minimum}..${maximum}, found ${value}`);
  }

  /** Finite numbers; exactly `length` of them when that is given. */
  numbers(name: string, length?: number): Float64Array {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw this.refuse(`${name}: expected an array of numbers`);
    if (length !== undefined && value.length !== length) {
      throw this.refuse(`${name}: expected ${length} numbers, found ${value.length}`);
    }
    const at = value.findIndex((entry) => typeof entry !== 'number' || !Number.isFinite(entry));
    if (at >= 0) throw this.refuse(`${name}[${at}]: expected a number`);
    return Float64Array.from(value as number[]);
  }

  /** Whole numbers in a range; exactly `length` of them when that is given. */
  integers(name: string, minimum: number, maximum: number, length?: number): Int32Array {
    const values = this.numbers(name, length);
    const at = values.findIndex(
      (value) => !Number.isInteger(value) || value < minimum || value > maximum,
    );
    if (at < 0) return Int32Array.from(values);
    throw this.refuse(`${name}[${at}]: expected a whole number in ${minimum}..${maximum}`);
  }
}
