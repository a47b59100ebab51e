/** Objects keyed by names from outside: `constructor` and `__proto__` are names like any other. */

/** What an object itself holds under a name; undefined for what it only inherits. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Counts by name, as an object for JSON and callers. */
export class Counts {
  readonly #counts: Map<string, number>;

  constructor(start: Readonly<Record<string, number>> = {}) {
    this.#counts = new Map(Object.entries(start));
  }

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  /** In the order in which names were first met. */
  toObject(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
