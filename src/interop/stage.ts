/**
 * A stage of a continuation for another trainer: schedule, data blend, and the options that start it from a checkpoint.
 *
 * The types here are what an export needs to know of a plan; resolved plans of the continual room fit them.
 */
import { GristmillError } from '../errors.ts';
import type { LrCurve } from '../train/schedules/curve.ts';
import { type BlendEntry, exportBlend, exportBlendStages } from './blends.ts';
import { exportContinuation } from './continuation.ts';
import {
  countsOn,
  type ExportedSchedule,
  type ExportScheduleOptions,
  exportSchedule,
  type ScheduleTarget,
} from './schedules/export.ts';
import type { ExportFile } from './schedules/target.ts';

/** A stage, as far as exports go. */
export interface StageToExport {
  readonly name: string;
  readonly nSteps: number;
  readonly curve: LrCurve;
  readonly optimizer: 'reset' | 'keep';
  /** Index of the stage it starts from, and which of its checkpoints; null for the first weights. */
  readonly from: { readonly stage: number; readonly checkpoint: 'annealed' | 'constant' } | null;
  /** Step behind which the checkpoint `constant` lies. */
  readonly constantStep: number | null;
  /** Blends one after the other; steps from 0, `firstStep <= step < endStep`. */
  readonly segments: readonly {
    readonly firstStep: number;
    readonly endStep: number;
    readonly sources: readonly {
      readonly dataset: string;
      readonly kind: 'new' | 'replay';
      readonly weight: number;
    }[];
  }[];
}

/** A plan, as far as exports go. */
export interface PlanToExport {
  readonly seed: number;
  readonly nCtx: number;
  readonly sequencesPerStep: number;
  readonly stages: readonly StageToExport[];
}

/** Options of {@link exportStage}. */
export interface ExportStageOptions
  extends Pick<ExportScheduleOptions, 'iterationsPerStep' | 'tolerance' | 'maxTableRows'> {
  readonly plan: PlanToExport;
  /** Index of the stage. */
  readonly stage: number;
  /** Where the data of a dataset lie, in the trainer's form. Default: its name. */
  readonly paths?: Readonly<Record<string, string>>;
  /** Where the part of a dataset lies that was seen before. Default: that of the dataset. */
  readonly replayPaths?: Readonly<Record<string, string>>;
  /** Where the trainer keeps a checkpoint. Default `checkpoints/STAGE/annealed|constant`. */
  readonly checkpointPath?: (stage: string, checkpoint: 'annealed' | 'constant') => string;
}

/** A stage for a trainer. */
export interface ExportedStage {
  readonly files: readonly ExportFile[];
  readonly schedule: Pick<ExportedSchedule, 'form' | 'exact' | 'deviation'>;
  readonly warnings: readonly string[];
}

const BLEND_FILE: Readonly<Record<ScheduleTarget, readonly [string, string]>> = {
  'gpt-neox': ['blend', '.yml'],
  megatron: ['blend', '.txt'],
  torchtitan: ['blend', '.py'],
  hf: ['blend', '.py'],
  nanotron: ['blend', '.yaml'],
  'olmo-core': ['blend', '.yaml'],
  litgpt: ['blend', '.py'],
  axolotl: ['blend', '.yml'],
};

/**
 * A stage in the form of a trainer.
 *
 * @throws OPTION_INVALID for an unknown trainer or stage, or a path that the trainer's form cannot hold
 */
export function exportStage(target: ScheduleTarget, options: ExportStageOptions): ExportedStage {
  const { plan, stage: index, checkpointPath = defaultCheckpoint } = options;
  const stage = plan.stages[index];
  if (!stage) {
    const expected = `0..${plan.stages.length - 1}`;
    throw new GristmillError('OPTION_INVALID', { option: 'stage', expected, received: index });
  }
  const { nCtx, sequencesPerStep } = plan;
  const { iterationsPerStep, tolerance, maxTableRows } = options;
  const firstStep = countsOn(target) ? countedSteps(plan, index) : 0;
  const schedule = exportSchedule(target, {
    curve: stage.curve,
    sequencesPerStep,
    nCtx,
    firstStep,
    ...(iterationsPerStep !== undefined && { iterationsPerStep }),
    ...(tolerance !== undefined && { tolerance }),
    ...(maxTableRows !== undefined && { maxTableRows }),
  });
  const blends = blendsOf(target, options, stage);
  const from = stage.from && plan.stages[stage.from.stage]!;
  const continuation = from
    ? exportContinuation(target, {
        checkpoint: checkpointPath(from.name, stage.from!.checkpoint),
        optimizer: stage.optimizer,
        nSteps: stage.nSteps,
        firstStep,
      })
    : { files: [], warnings: [] };
  return {
    files: [...schedule.files, ...blends.files, ...continuation.files],
    schedule: { form: schedule.form, exact: schedule.exact, deviation: schedule.deviation },
    warnings: [
      ...schedule.warnings,
      ...blends.warnings,
      ...continuation.warnings,
      ...keptCheckpoint(plan, index),
    ],
  };
}

function defaultCheckpoint(stage: string, checkpoint: string): string {
  return `checkpoints/${stage}/${checkpoint}`;
}

/** Steps on the way to a stage since the count was last reset. */
function countedSteps({ stages }: PlanToExport, index: number): number {
  let counted = 0;
  let stage = stages[index]!;
  // A stage starts from one in front of it, so that this ends.
  while (stage.optimizer === 'keep' && stage.from) {
    const parent: StageToExport = stages[stage.from.stage]!;
    const isConstant = stage.from.checkpoint === 'constant' && parent.constantStep !== null;
    counted += isConstant ? parent.constantStep! : parent.nSteps;
    stage = parent;
  }
  return counted;
}

/** The checkpoint in front of the anneal, where another stage wants it. */
function keptCheckpoint({ stages }: PlanToExport, index: number): string[] {
  const { name, constantStep } = stages[index]!;
  const heirs = stages.filter(
    ({ from }) => from?.stage === index && from.checkpoint === 'constant',
  );
  if (heirs.length === 0 || constantStep === null) return [];
  const names = heirs.map((heir) => heir.name).join(', ');
  return [
    `keep the checkpoint of ${name} behind step ${constantStep}, before the rate falls: ${names} starts from it`,
  ];
}

function blendsOf(
  target: ScheduleTarget,
  { plan, paths = {}, replayPaths = {} }: ExportStageOptions,
  { segments }: StageToExport,
): { readonly files: ExportFile[]; readonly warnings: string[] } {
  const path = (own: Readonly<Record<string, string>>, dataset: string): string | undefined =>
    Object.hasOwn(own, dataset) ? own[dataset] : undefined;
  const unmarked = new Set<string>();
  const stretches = segments.map(({ firstStep, sources }, at) => ({
    name: `segment-${at + 1}`,
    firstStep: firstStep + 1,
    entries: sources.map(({ dataset, kind, weight }): BlendEntry => {
      const whole = path(paths, dataset) ?? dataset;
      if (kind === 'new') return { name: dataset, weight, path: whole };
      const seen = path(replayPaths, dataset);
      if (seen === undefined && weight > 0) unmarked.add(dataset);
      return { name: `${dataset}-replay`, weight, path: seen ?? whole };
    }),
  }));
  const warnings: string[] = [];
  if (unmarked.size > 0) {
    warnings.push(
      `replay of ${[...unmarked].join(', ')} points at the whole dataset: a trainer draws from all of it, not only from what was seen; give the seen part a path of its own`,
    );
  }
  const [stem, extension] = BLEND_FILE[target];
  const { seed } = plan;
  if (target === 'nanotron') {
    const text = exportBlendStages(stretches, seed);
    return { files: [{ name: `${stem}${extension}`, text }], warnings };
  }
  if (target === 'axolotl') {
    warnings.push(
      'Axolotl has no weights: the shares stand as comments in blend.yml and must be cut into the data beforehand',
    );
  }
  const files = stretches.map(({ entries }, at) => ({
    name: stretches.length === 1 ? `${stem}${extension}` : `${stem}-${at + 1}${extension}`,
    text: exportBlend(target, { entries, seed }),
  }));
  const changes = segments.slice(1).map(({ firstStep }) => String(firstStep));
  if (changes.length > 0) {
    const shown = changes.length > 8 ? [...changes.slice(0, 8), '…'] : changes;
    warnings.push(
      `the blend changes behind step ${shown.join(', ')}, which the trainer cannot do by itself: stop there and go on with the next blend file`,
    );
  }
  return { files, warnings };
}
