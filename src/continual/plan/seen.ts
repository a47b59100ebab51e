/** What a model has seen of each dataset: by tokens as written, for the rule of replay, and by sequences, for counts. */
import { sequencesBefore } from '../../schedules/batch-size.ts';
import { countsUpTo } from './counts.ts';
import type { PlanSource, PlanStage } from './types.ts';

/** What a model has seen of a dataset. */
export interface Seen {
  /** By the tokens of the stages as they are written. */
  readonly nominalTokens: number;
  readonly nSequences: number;
  /** Of them, those that were no replay. */
  readonly nNew: number;
  /** Of these, in stages that are run. */
  readonly nNewRun: number;
}

/** By dataset. */
export type SeenData = ReadonlyMap<string, Seen>;

const NOTHING: Seen = { nominalTokens: 0, nSequences: 0, nNew: 0, nNewRun: 0 };

/** What was seen after `nSteps` of a stage. */
export function seenAfter(
  before: SeenData,
  stage: PlanStage,
  nSteps: number,
  nominalTokens: number,
): SeenData {
  const seen = new Map(before);
  for (const { dataset, kind, nSequences } of countsUpTo(stage, nSteps)) {
    const known = seen.get(dataset) ?? NOTHING;
    const nNew = kind === 'new' ? nSequences : 0;
    seen.set(dataset, {
      nominalTokens: known.nominalTokens + nominalOf(stage, dataset, kind, nSteps, nominalTokens),
      nSequences: known.nSequences + nSequences,
      nNew: known.nNew + nNew,
      nNewRun: known.nNewRun + (stage.done ? 0 : nNew),
    });
  }
  return seen;
}

function nominalOf(
  stage: PlanStage,
  dataset: string,
  kind: PlanSource['kind'],
  nSteps: number,
  nominalTokens: number,
): number {
  return stage.segments.reduce((sum, { firstStep, endStep, sources }) => {
    const before = (step: number): number =>
      sequencesBefore(stage, stage.nSequences / stage.nSteps, step);
    const sequences = Math.max(0, before(Math.min(endStep, nSteps)) - before(firstStep));
    const source = sources.find((one) => one.dataset === dataset && one.kind === kind);
    return sum + (source ? source.weight * nominalTokens * (sequences / stage.nSequences) : 0);
  }, 0);
}
