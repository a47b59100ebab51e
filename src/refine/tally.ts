/**
 * What a command did itself, beside what the ledger already holds, and the summary of both.
 */
import type { CorpusPlan, CorpusUnit } from '../corpus/types.ts';
import { type ErrorCode, isGristmillError } from '../errors.ts';
import type { CommittedWork } from './activity.ts';
import { type RunOutcome, ZERO_COUNTS } from './statistics.ts';

/** A failed file or unit. */
export interface RunError {
  readonly input: string;
  readonly code: string;
  readonly message: string;
}

/** Mutable tally of a run: what this command did itself. */
export interface Tally {
  rows: number;
  tokens: number;
  bytes: number;
  unitsResumed: number;
  bytesResumed: number;
  rowsResumed: number;
  readonly errors: RunError[];
  interrupted: boolean;
}

/** Nothing done yet; files that could not be planned have failed already. */
export function emptyTally(plan: CorpusPlan): Tally {
  return {
    rows: 0,
    tokens: 0,
    bytes: 0,
    unitsResumed: 0,
    bytesResumed: 0,
    rowsResumed: 0,
    errors: plan.failedFiles.map(({ path, code, message }) => ({ input: path, code, message })),
    interrupted: false,
  };
}

/** How a failure is listed in a summary. */
export function runError(input: string, error: unknown): RunError {
  const code: ErrorCode | 'UNEXPECTED' = isGristmillError(error) ? error.code : 'UNEXPECTED';
  return { input, code, message: error instanceof Error ? error.message : String(error) };
}

/** Rows of units; null where a format does not tell before reading. */
export function totalRows(units: readonly CorpusUnit[]): number | null {
  return units.reduce<number | null>(
    (sum, unit) => (sum === null || unit.nRows === null ? null : sum + unit.nRows),
    0,
  );
}

/**
 * The summary of a run: committed units, and what this command did.
 *
 * @param nUnits of the plan, or of a share of it
 */
export function summarise(
  { counts, units: unitsDone }: Pick<CommittedWork, 'counts' | 'units'>,
  plan: CorpusPlan,
  out: string,
  started: number,
  tally: Tally,
  nUnits = plan.units.length,
): RunOutcome {
  const seconds = (performance.now() - started) / 1000;
  return {
    ...counts,
    units: nUnits,
    unitsResumed: tally.unitsResumed,
    unitsDone,
    unitsFailed: tally.errors.length - plan.failedFiles.length,
    seconds,
    docsPerSecond: tally.rows / seconds,
    tokensPerSecond: tally.tokens / seconds,
    interrupted: tally.interrupted,
    out,
    errors: tally.errors,
  };
}

/** No unit is committed. */
export const NOTHING_COMMITTED = Object.freeze({ units: 0, counts: ZERO_COUNTS });
