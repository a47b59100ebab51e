/**
 * Examples between the two passes of a run: on disk, with a few numbers each in memory, until the size of the set is
 * known and its shares can be kept.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { JsonLinesFile } from '../output-files.ts';
import type { Split, WindowExample } from '../types.ts';
import { EXAMPLE_KINDS, type ExampleKind, type ExampleShares, quotas, rankOf } from './shares.ts';

/** An example with what is counted of it. */
export interface SpooledExample {
  readonly example: WindowExample;
  readonly kind: ExampleKind;
  /** Functions that its program calls. */
  readonly opNames: readonly string[];
}

/** Examples in the order they were added. */
export class ExampleSpool {
  readonly #file: JsonLinesFile;
  readonly #seed: number;
  readonly #known: { readonly split: Split; readonly kind: ExampleKind; readonly rank: number }[] =
    [];

  constructor(path: string, seed: number) {
    this.#file = new JsonLinesFile(path);
    this.#seed = seed;
  }

  get nExamples(): number {
    return this.#known.length;
  }

  /** @throws RUN_OUTPUT_FAILED */
  async add(spooled: SpooledExample): Promise<void> {
    const { example, kind } = spooled;
    const rank = rankOf(this.#seed, example.id, example.lineStart);
    this.#known.push({ split: example.split, kind, rank });
    await this.#file.write(spooled);
  }

  /** @throws RUN_OUTPUT_FAILED */
  close(): Promise<void> {
    return this.#file.close();
  }

  /**
   * All examples in order, and whether each is in the set: training examples are thinned to their shares by a hash of
   * their own; those that validate all stay, so that what is measured is what there is.
   */
  async *selected(
    shares: ExampleShares,
  ): AsyncGenerator<SpooledExample & { readonly chosen: boolean }> {
    const lastRank = this.#lastRanks(shares);
    const lines = createInterface({
      input: createReadStream(this.#file.path),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
    let index = 0;
    for await (const line of lines) {
      const { split, kind, rank } = this.#known[index++]!;
      const chosen = split === 'validation' || rank <= lastRank[kind];
      yield { ...(JSON.parse(line) as SpooledExample), chosen };
    }
  }

  /** The largest rank of each kind that is still in the set. */
  #lastRanks(shares: ExampleShares): Record<ExampleKind, number> {
    const ranks = Object.fromEntries(EXAMPLE_KINDS.map((kind) => [kind, [] as number[]])) as Record<
      ExampleKind,
      number[]
    >;
    for (const { split, kind, rank } of this.#known) {
      if (split === 'train') ranks[kind].push(rank);
    }
    const available = Object.fromEntries(
      EXAMPLE_KINDS.map((kind) => [kind, ranks[kind].length]),
    ) as Record<ExampleKind, number>;
    const quota = quotas(available, shares);
    return Object.fromEntries(
      EXAMPLE_KINDS.map((kind) => {
        const sorted = ranks[kind].sort((one, other) => one - other);
        return [kind, quota[kind] === 0 ? -1 : sorted[quota[kind] - 1]!];
      }),
    ) as Record<ExampleKind, number>;
  }
}
