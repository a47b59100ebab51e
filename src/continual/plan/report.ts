/** A plan as plain data and as a table of learning rates, for other programs. */
import { counting, type OnProgress } from '../../progress.ts';
import { sequencesBefore } from '../../schedules/batch-size.ts';
import type { Phase } from '../../schedules/curve.ts';
import { countsUpTo } from './counts.ts';
import { type Retention, retentionsOf } from './retention.ts';
import { peakOf } from './segments.ts';
import type { CheckpointName, ContinualPlan, PlanStage } from './types.ts';

/** Rows of the table that are joined before they are written. */
const ROWS_AT_ONCE = 10_000;

/** A source over a whole stage. */
export interface ReportedSource {
  readonly dataset: string;
  readonly kind: 'new' | 'replay';
  /** Of the stage's sequences, as they are counted. */
  readonly share: number;
  readonly nSequences: number;
  readonly nTokens: number;
}

/** A stage as plain data. */
export interface ReportedStage extends Omit<PlanStage, 'curve' | 'from'> {
  readonly from: { readonly stage: string; readonly checkpoint: CheckpointName } | null;
  /** Rates of the first step, at the highest, and of the last step. */
  readonly rates: { readonly first: number; readonly peak: number; readonly last: number };
  /** In steps, `start < t <= end` where the first step is 1; not rounded. */
  readonly phases: readonly Pick<Phase, 'name' | 'shape' | 'start' | 'end' | 'from' | 'to'>[];
  /** Over all segments. */
  readonly sources: readonly ReportedSource[];
}

/** What a model keeps of the data of its way, as plain data. */
export interface ReportedRetention {
  /** Whose model. */
  readonly stage: string;
  /** Share of the first weights that is left: 1 without weight decay. */
  readonly first: number;
  /** The stages of the way and their shares, summing to 1; each with those of its tenths in turn (fewer where it has fewer steps). */
  readonly stages: readonly {
    readonly stage: string;
    readonly share: number;
    readonly parts: readonly {
      readonly firstStep: number;
      readonly endStep: number;
      readonly share: number;
    }[];
  }[];
  /** The tenth of the stage that weighs most, and what its last tenth weighs. */
  readonly best: Retention['best'];
}

/** A plan as plain data. */
export interface PlanReport extends Omit<ContinualPlan, 'stages'> {
  readonly stages: readonly ReportedStage[];
  /** For each stage that no other one starts from: how heavy the data of the way are in its model. */
  readonly retention: readonly ReportedRetention[];
}

/** A plan as data that JSON can hold. */
export function planReport(plan: ContinualPlan): PlanReport {
  return {
    ...plan,
    retention: retentionsOf(plan).map((retention) => reportedRetention(plan, retention)),
    stages: plan.stages.map((stage) => {
      const { curve, from, ...rest } = stage;
      return {
        ...rest,
        from: from && { stage: plan.stages[from.stage]!.name, checkpoint: from.checkpoint },
        rates: { first: curve.at(1), peak: peakOf(curve), last: curve.at(stage.nSteps) },
        phases: curve.phases.map(({ name, shape, start, end, from: rate, to }) => ({
          ...{ name, shape, start, end, to },
          from: rate,
        })),
        sources: countsUpTo(stage, stage.nSteps).map(({ dataset, kind, nSequences }) => ({
          ...{ dataset, kind, nSequences },
          share: nSequences / stage.nSequences,
          nTokens: nSequences * plan.nCtx,
        })),
      };
    }),
  };
}

/** Parts of a stage that are told apart. */
const N_PARTS = 10;

function reportedRetention(
  { stages }: ContinualPlan,
  { stage: index, first, best, stretches }: Retention,
): ReportedRetention {
  const way = [...new Set(stretches.map(({ stage }) => stage))];
  return {
    stage: stages[index]!.name,
    ...{ first, best },
    stages: way.map((at) => {
      const own = stretches.filter(({ stage }) => stage === at);
      const taken = own.at(-1)!.endStep;
      const parts = new Map<number, { firstStep: number; endStep: number; share: number }>();
      for (const { firstStep, endStep, share } of own) {
        const part = Math.floor(((firstStep + endStep - 1) / 2 / taken) * N_PARTS);
        const known = parts.get(part);
        if (known) {
          known.endStep = endStep;
          known.share += share;
        } else parts.set(part, { firstStep, endStep, share });
      }
      const share = own.reduce((sum, stretch) => sum + stretch.share, 0);
      return { stage: stages[at]!.name, share, parts: [...parts.values()] };
    }),
  };
}

/**
 * Rates of every step of the stages that are run, as CSV in pieces: `stage,step,tokens,lr`; steps count from 1, tokens
 * are those of the stage, the step included.
 */
export function* scheduleCsv(
  { stages, sequencesPerStep, nCtx }: ContinualPlan,
  onProgress?: OnProgress,
): Generator<string> {
  const total = stages.reduce((sum, { done, nSteps }) => sum + (done ? 0 : nSteps), 0);
  const tell = counting(onProgress, { phase: 'writing rates', unit: 'steps', total });
  yield 'stage,step,tokens,lr\n';
  for (const stage of stages) {
    const { name, done, nSteps, curve } = stage;
    for (let first = 1; first <= nSteps && !done; first += ROWS_AT_ONCE) {
      const nRows = Math.min(ROWS_AT_ONCE, nSteps - first + 1);
      const rows = Array.from({ length: nRows }, (_, row) => {
        const step = first + row;
        const tokens = sequencesBefore(stage, sequencesPerStep, step) * nCtx;
        return `${name},${step},${tokens},${curve.at(step)}\n`;
      });
      yield rows.join('');
      tell(nRows);
    }
  }
}

/** A number of tokens as people write it, e.g. `2.5B`. */
export function tokensText(tokens: number): string {
  for (const [unit, size] of [
    ['T', 1e12],
    ['B', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (tokens >= size) return `${Number((tokens / size).toPrecision(4))}${unit}`;
  }
  return String(Number(tokens.toPrecision(4)));
}
