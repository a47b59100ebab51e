/** A plan as plain data and as a table of learning rates, for other programs. */
import { counting, type OnProgress } from '../../progress.ts';
import type { Phase } from '../../schedules/curve.ts';
import { countsUpTo } from './counts.ts';
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

/** A plan as plain data. */
export interface PlanReport extends Omit<ContinualPlan, 'stages'> {
  readonly stages: readonly ReportedStage[];
}

/** A plan as data that JSON can hold. */
export function planReport(plan: ContinualPlan): PlanReport {
  return {
    ...plan,
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

/**
 * Rates of every step of the stages that are run, as CSV in pieces: `stage,step,tokens,lr`; steps count from 1, tokens
 * are those of the stage, the step included.
 */
export function* scheduleCsv(
  { stages, tokensPerStep }: ContinualPlan,
  onProgress?: OnProgress,
): Generator<string> {
  const total = stages.reduce((sum, { done, nSteps }) => sum + (done ? 0 : nSteps), 0);
  const tell = counting(onProgress, { phase: 'writing rates', unit: 'steps', total });
  yield 'stage,step,tokens,lr\n';
  for (const { name, done, nSteps, curve } of stages) {
    for (let first = 1; first <= nSteps && !done; first += ROWS_AT_ONCE) {
      const nRows = Math.min(ROWS_AT_ONCE, nSteps - first + 1);
      const rows = Array.from({ length: nRows }, (_, row) => {
        const step = first + row;
        return `${name},${step},${step * tokensPerStep},${curve.at(step)}\n`;
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
