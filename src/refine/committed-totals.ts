/**
 * What the committed units of a run come to. Records are added as the ledger tells of them, and none is kept: a run may have
 * millions. Only a run with a limit remembers the rows of each unit, as it has to count them in the order of the plan.
 */
import type { CorpusPlan } from '../corpus/types.ts';
import { type CommittedWork, workOf } from './activity.ts';
import { addCounts, type RefineCounts, ZERO_COUNTS } from './statistics.ts';
import type { UnitRecord } from './unit-record.ts';

/** See the file's header. */
export class CommittedTotals {
  readonly #plan: CorpusPlan;
  readonly #rows: Map<number, number> | null;
  #units = 0;
  #counts: RefineCounts = ZERO_COUNTS;
  #inputBytes = 0;
  #outputBytes = 0;
  #rejectedRows = 0;

  /** @param remembersRows of each unit; see {@link rowsOf} */
  constructor(plan: CorpusPlan, remembersRows = false) {
    this.#plan = plan;
    this.#rows = remembersRows ? new Map() : null;
  }

  /** Adds a record that was not added before. */
  add(record: UnitRecord): void {
    const { counts, inputBytes, outputBytes } = workOf(record, this.#plan);
    this.#units++;
    this.#counts = addCounts(this.#counts, counts);
    this.#inputBytes += inputBytes;
    this.#outputBytes += outputBytes;
    this.#rows?.set(record.unit, counts.rowsIn);
    for (const { path, rows } of record.files) {
      if (path.startsWith('rejected/')) this.#rejectedRows += rows;
    }
  }

  get work(): CommittedWork {
    return {
      units: this.#units,
      counts: this.#counts,
      inputBytes: this.#inputBytes,
      outputBytes: this.#outputBytes,
    };
  }

  get counts(): RefineCounts {
    return this.#counts;
  }

  /** Rows that could not be rows. */
  get rejectedRows(): number {
    return this.#rejectedRows;
  }

  /** Rows of a committed unit, where they are remembered; undefined for another. */
  rowsOf(unit: number): number | undefined {
    return this.#rows?.get(unit);
  }
}
