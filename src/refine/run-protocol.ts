/** What a run's worker is asked and tells; see run.ts and run-worker.ts. */
import type {
  RefineCorpusOptions,
  RefinedRow,
  RefineProgress,
  StreamEvent,
} from './run-options.ts';
import type { RunBefore } from './run-place.ts';

/** Options as they cross over: without functions and signals. */
export type SentOptions = Omit<
  RefineCorpusOptions,
  'signal' | 'stop' | 'onNotice' | 'onProgress' | 'onStreamed' | 'onDocument' | 'isolate'
>;

/** What a worker is asked. */
export interface RunRequest {
  readonly options: SentOptions;
  readonly wantsDocuments: boolean;
  readonly wantsProgress: boolean;
  /** Null for the first worker of a run. */
  readonly before: RunBefore | null;
}

/** A document that somebody is told of. */
export interface SentRow extends Pick<RefinedRow, 'id' | 'row' | 'status' | 'reason'> {
  readonly before: string;
  readonly after: string | null;
}

/** What a worker tells. */
export type RunTold =
  | { readonly notice: string }
  | { readonly progress: RefineProgress }
  | { readonly streamed: StreamEvent }
  | { readonly begun: Omit<RunBefore, 'elapsedMs'> }
  | { readonly documents: readonly SentRow[] }
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
