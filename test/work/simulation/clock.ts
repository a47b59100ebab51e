/** Virtual time: what happens next happens at once, in its order, and takes no time but that it says. */

interface Happening {
  readonly atMs: number;
  readonly order: number;
  readonly happen: () => void;
}

/** A clock that moves when nothing else can. */
export class Clock {
  #nowMs = 0;
  #order = 0;
  /** A binary heap: the earliest first, among equals the one that was asked for first. */
  readonly #heap: Happening[] = [];
  /** Moments are rounded up to it: what is at the same one is let go together. */
  readonly #grainMs: number;

  constructor(grainMs: number) {
    this.#grainMs = grainMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, happen: () => void): void {
    const atMs = Math.ceil((this.#nowMs + ms) / this.#grainMs) * this.#grainMs;
    const heap = this.#heap;
    heap.push({ atMs, order: this.#order++, happen });
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, heap[at]!)) break;
      [heap[parent], heap[at]] = [heap[at]!, heap[parent]!];
      at = parent;
    }
  }

  /** Lets everything happen until nothing more comes, or `isOver` says so. */
  async run(isOver: () => boolean): Promise<void> {
    await settled();
    while (!isOver()) {
      const first = this.#pop();
      if (!first) return;
      this.#nowMs = first.atMs;
      first.happen();
      while (this.#heap[0]?.atMs === first.atMs) this.#pop()!.happen();
      await settled();
    }
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
      }
      if (least === at) return first;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

function isBefore(one: Happening, other: Happening): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** All that promises have still to say has been said. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
