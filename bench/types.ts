/** The face of a bench case. */

/** What a case is given. */
export interface BenchContext {
  /** Smaller inputs, for a look; figures for docs/numbers.md are taken without it. */
  readonly quick: boolean;
  /** A progress line on stderr. */
  log(line: string): void;
}

/** One table of results: contenders are rows. */
export interface BenchTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  /** Machine, load, sizes, and what the figures do not say. */
  readonly notes: readonly string[];
}

/** A bench case. */
export interface Bench {
  readonly name: string;
  /** Of Node, for the process that it runs in. */
  readonly nodeFlags?: readonly string[];
  run(context: BenchContext): Promise<BenchTable | BenchTable[]>;
}
