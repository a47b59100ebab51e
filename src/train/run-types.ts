/** What every training run takes and gives, whatever its objective. */
import type { LineReport } from '../scorers/eval-lines.ts';
import type { TrainRecord } from './run-folder.ts';

/** How far a run is. */
export interface TrainProgress extends TrainRecord {
  readonly totalSteps: number;
  /** Positions of the step by its seconds; lines for `line-score`. */
  readonly tokensPerSecond: number;
}

/** What a run gave. */
export interface TrainSummary {
  readonly out: string;
  readonly model: string;
  readonly nParams: number;
  readonly steps: number;
  /** Steps that were already made when this call began. */
  readonly resumedAt: number;
  readonly loss: number | null;
  readonly validationLoss: number | null;
  /** Tokens that can be learnt from; scored lines for `line-score`. */
  readonly nTokens: number;
  /** Rows and examples that were left out, with the reason. */
  readonly skipped: Readonly<Record<string, number>>;
  /** True: stopped by `signal` after a checkpoint; the same call goes on. */
  readonly interrupted: boolean;
  /** `line-score` with folds: cross-validation by domain, whole pages and lightly noisy ones. */
  readonly validation?: { readonly whole: LineReport; readonly light: LineReport };
}

/** Hooks of a run. */
export interface TrainHooks {
  /** Aborted: the step under way is finished, a checkpoint is written, and the run returns. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainProgress) => void;
  /** Told what is done besides steps, a line at a time. */
  readonly onPhase?: (line: string) => void;
}
