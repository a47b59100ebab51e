/** A binary heap of domains by the place of their next document; of two at one place the earlier domain is first. */

/** Domains of which each is in at most once. */
export class NextFirst {
  readonly #places: Float64Array;
  readonly #domains: Uint32Array;
  #size = 0;

  /** @param capacity domains, at most */
  constructor(capacity: number) {
    this.#places = new Float64Array(capacity);
    this.#domains = new Uint32Array(capacity);
  }

  /** Adds a domain. */
  add(place: number, domain: number): void {
    let at = this.#size++;
    this.#set(at, place, domain);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Takes the first domain out; there must be one. */
  take(): number {
    const first = this.#domains[0]!;
    this.#size--;
    this.#set(0, this.#places[this.#size]!, this.#domains[this.#size]!);
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#size && this.#isBefore(child, least)) least = child;
      }
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #set(at: number, place: number, domain: number): void {
    this.#places[at] = place;
    this.#domains[at] = domain;
  }

  #isBefore(one: number, other: number): boolean {
    const [first, second] = [this.#places[one]!, this.#places[other]!];
    return first < second || (first === second && this.#domains[one]! < this.#domains[other]!);
  }

  #swap(one: number, other: number): void {
    const [place, domain] = [this.#places[one]!, this.#domains[one]!];
    this.#set(one, this.#places[other]!, this.#domains[other]!);
    this.#set(other, place, domain);
  }
}
