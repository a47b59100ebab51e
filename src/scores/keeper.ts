/** What a run that keeps its scores needs: what they mean, and who packs them. */
import { ScorePacker } from './batch-scores.ts';
import type { ScoreLayout } from './layout.ts';

/** Packs the scores of a run's batches. */
export interface ScoreKeeper {
  readonly layout: ScoreLayout;
  readonly packer: ScorePacker;
  /** Whether lines of documents that fall are scored as well. */
  readonly all: boolean;
}

/** A keeper for a layout. */
export function keeperOf(layout: ScoreLayout, all: boolean): ScoreKeeper {
  return { layout, all, packer: new ScorePacker(layout.lines?.edges ?? null) };
}
