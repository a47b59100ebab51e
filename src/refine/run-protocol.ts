/** What a run's worker is asked and tells; see run.ts and run-worker.ts. */

import type { WireError } from '../work/wire-error.ts';
import type { RunActivity } from './activity.ts';
import type {
  RefineCorpusOptions,
  RefinedRow,
  RefineProgress,
  StreamEvent,
} from './run-options.ts';
import type { RunBefore } from './run-place.ts';
import type { RefineCounts } from './statistics.ts';

/** Options as they cross over: without functions and signals. */
export type SentOptions = Omit<
  RefineCorpusOptions,
  | 'signal'
  | 'stop'
  | 'onNotice'
  | 'onProgress'
  | 'onActivity'
  | 'onStreamed'
  | 'onDocument'
  | 'isolate'
>;

/** What a worker is asked. */
export interface RunRequest {
  readonly options: SentOptions;
  readonly wantsDocuments: boolean;
  readonly wantsProgress: boolean;
  readonly wantsActivity: boolean;
  /** Null for the first worker of a run. */
  readonly before: RunBefore | null;
  /** Null for a run that takes the units of its plan by itself. */
  readonly feed: FeedRequest | null;
}

/** A run whose units are handed out. */
export interface FeedRequest {
  /** Of the process that takes them, in its ledger. */
  readonly name: string;
  /** Working folder in which the paths of the run mean what they meant. */
  readonly cwd: string;
  /** Units that were handed out already. */
  readonly units: readonly number[];
  /** No more come: the worker before it may have been told, and have died. */
  readonly isLast: boolean;
}

/** Said to a worker: a unit to be done; or that no more come. */
export type FeedNote = { readonly give: number } | { readonly noMore: true };

/** A unit that came to its end. */
export type FedUnit =
  | {
      readonly unit: number;
      readonly isOurs: boolean;
      readonly counts: RefineCounts;
      readonly seconds: number;
    }
  | { readonly unit: number; readonly error: WireError };

/** A document that somebody is told of. */
export interface SentRow extends Pick<RefinedRow, 'id' | 'row' | 'status' | 'reason'> {
  readonly before: string;
  readonly after: string | null;
}

/** What a worker tells. */
export type RunTold =
  | { readonly notice: string }
  | { readonly progress: RefineProgress }
  | { readonly activity: RunActivity }
  | { readonly streamed: StreamEvent }
  | { readonly begun: Omit<RunBefore, 'elapsedMs'> }
  | { readonly documents: readonly SentRow[] }
  | { readonly fed: FedUnit }
  /** Standard output failed. */
  | { readonly output: { readonly message: string; readonly code: string | undefined } };

/** A document as it is sent. */
export function sentRow({ id, row, status, reason, before, after }: RefinedRow): SentRow {
  return { id, row, status, reason, before: before(), after: after() };
}

/** A document as it was. */
export function rowOf({ before, after, ...row }: SentRow): RefinedRow {
  return { ...row, before: () => before, after: () => after };
}
