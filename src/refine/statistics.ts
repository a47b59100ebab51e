/**
 * Counts of a run: what came in, what became of it and why. Sums over units give the run's summary.
 */
import type { LeftOut } from '../corpus/types.ts';
import type { WorkerShare } from '../work/worker-share.ts';

/** Counts of one unit, or of any number of units added up. */
export interface RefineCounts {
  readonly rowsIn: number;
  readonly kept: number;
  readonly edited: number;
  readonly dropped: number;
  readonly failed: number;
  /** Rows by reason code; kept rows without a reason are not listed. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Unicode code points of all input texts, and of the texts written (dropped ones are not). */
  readonly charsIn: number;
  readonly charsOut: number;
  /** Tokens of prompts and of answers, over both stages. */
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly windows: number;
  /** Windows without a program because their prompt does not fit the model's context. */
  readonly windowsSkipped: number;
}

/** The result of a run; `--json` prints it as one object. */
export interface RunSummary extends RefineCounts {
  /** Units of the plan, and how many of them were committed before this command began. */
  readonly units: number;
  readonly unitsResumed: number;
  /** Units whose output is there: committed by this command or before. */
  readonly unitsDone: number;
  readonly unitsFailed: number;
  /** Wall time of this command and its rates: documents and tokens that it processed itself. */
  readonly seconds: number;
  readonly docsPerSecond: number;
  readonly tokensPerSecond: number;
  /** True when the run stopped before its last unit (signal or abort); the same command finishes it. */
  readonly interrupted: boolean;
  readonly out: string;
  /** Of one worker of several: `units` are those of its share then, and all counts are of them. */
  readonly worker?: WorkerShare;
  readonly thresholds: UsedThresholds;
  /** With `planOnly`: what would be done. */
  readonly plan?: PlanOverview;
  readonly errors: readonly {
    readonly input: string;
    readonly code: string;
    readonly message: string;
  }[];
}

/** A plan as a run tells of it. */
export interface PlanOverview {
  readonly units: number;
  /** Null where a format does not tell before reading. */
  readonly rows: number | null;
  readonly bytes: number;
  readonly textColumn: string;
  readonly idColumn: string | null;
  readonly files: readonly {
    readonly path: string;
    readonly format: string;
    readonly bytes: number;
    readonly rows: number | null;
    readonly units: number;
    /** Index into {@link PlanOverview.schemas}. */
    readonly schema: number;
  }[];
  readonly schemas: readonly {
    readonly family: string;
    readonly columns: readonly { readonly name: string; readonly type: string }[];
  }[];
  /** Columns from the names of folders. */
  readonly partitions: readonly { readonly name: string; readonly type: string }[];
  readonly leftOut: LeftOut;
}

/** What documents and lines had to score; null where a stage did not run, or did not score. */
export interface UsedThresholds {
  /** Documents below it were dropped, 0..1. */
  readonly document: number | null;
  /** Share of the documents to keep that it kept in validation, where it is the model's own. */
  readonly documentRetention: number | null;
  /** Lines below it were removed, 0..1. */
  readonly line: number | null;
}

/** A {@link RunSummary} as the parts of a run make it; what it judged by is added. */
export type RunOutcome = Omit<RunSummary, 'thresholds'>;

/** Nothing counted yet. */
export const ZERO_COUNTS: RefineCounts = Object.freeze({
  rowsIn: 0,
  kept: 0,
  edited: 0,
  dropped: 0,
  failed: 0,
  reasons: Object.freeze({}),
  charsIn: 0,
  charsOut: 0,
  promptTokens: 0,
  newTokens: 0,
  windows: 0,
  windowsSkipped: 0,
});

/** Counts of rows that could not be rows. */
export function rejectedCounts(rejected: readonly { readonly reason: string }[]): RefineCounts {
  if (rejected.length === 0) return ZERO_COUNTS;
  const reasons: Record<string, number> = {};
  for (const { reason } of rejected) reasons[reason] = (reasons[reason] ?? 0) + 1;
  return { ...ZERO_COUNTS, rowsIn: rejected.length, failed: rejected.length, reasons };
}

/** Adds counts; reasons are listed in alphabetical order so that equal counts print equally. */
export function addCounts(first: RefineCounts, second: RefineCounts): RefineCounts {
  const reasons = new Map(Object.entries(first.reasons));
  for (const [reason, rows] of Object.entries(second.reasons)) {
    reasons.set(reason, (reasons.get(reason) ?? 0) + rows);
  }
  const sum: Record<string, unknown> = {};
  for (const key of Object.keys(ZERO_COUNTS) as (keyof RefineCounts)[]) {
    if (key !== 'reasons') sum[key] = first[key] + second[key];
  }
  sum['reasons'] = Object.fromEntries([...reasons].sort(([a], [b]) => (a < b ? -1 : 1)));
  return sum as unknown as RefineCounts;
}
