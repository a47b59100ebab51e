/**
 * A stage of a continuation for another trainer: schedule, data blend, and the options that start it from a checkpoint.
 *
 * The types here are what an export needs to know of a plan; resolved plans of the continual room fit them.
 */
import { GristmillError } from '../errors.ts';
import { type BatchRun, sequencesBefore } from '../schedules/batch-size.ts';
import type { LrCurve } from '../schedules/curve.ts';
import { exportBatchSizes } from './batch-sizes.ts';
import {
  type BlendEntry,
  exportBlend,
  exportBlendStages,
  leftOutOfBlend,
  olmoCoreMixture,
} from './blends.ts';
import { exportContinuation } from './continuation.ts';
import { TRIED_WITH } from './releases.ts';
import {
  countsOn,
  type ExportedSchedule,
  type ExportScheduleOptions,
  exportSchedule,
  type ScheduleTarget,
} from './schedules/export.ts';
import type { ExportFile } from './schedules/target.ts';

/** A checkpoint of a stage, by name. */
export type ExportedCheckpoint = 'annealed' | 'constant' | 'merged';

/** A stage, as far as exports go. */
export interface StageToExport {
  readonly name: string;
  readonly nSteps: number;
  readonly curve: LrCurve;
  /** Steps by the size of their batches; null where all are of the plan's. */
  readonly batches?: readonly BatchRun[] | null;
  readonly optimizer: 'reset' | 'keep';
  /** Index of the stage it starts from, and which of its checkpoints; null for the first weights. */
  readonly from: { readonly stage: number; readonly checkpoint: ExportedCheckpoint } | null;
  /** Step behind which the checkpoint `constant` lies. */
  readonly constantStep: number | null;
  /** Steps behind which checkpoints are kept, to be merged by these weights instead of a decay. */
  readonly merge?: {
    readonly every: number;
    readonly steps: readonly number[];
    readonly weights: readonly number[];
  } | null;
  /** How often a sequence of new data may be seen. Default 1. */
  readonly maxEpochs?: number;
  /** Blends one after the other; steps from 0, `firstStep <= step < endStep`. */
  readonly segments: readonly {
    readonly firstStep: number;
    readonly endStep: number;
    readonly sources: readonly {
      readonly dataset: string;
      readonly kind: 'new' | 'replay';
      readonly weight: number;
      readonly nSequences?: number;
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
  /** Tokens that there are of a dataset, where that is known. */
  readonly datasetTokens?: Readonly<Record<string, number | undefined>>;
  /** Where the part of a dataset lies that was seen before. Default: that of the dataset. */
  readonly replayPaths?: Readonly<Record<string, string>>;
  /** Where the trainer keeps a checkpoint. Default `checkpoints/STAGE/annealed|constant|merged`. */
  readonly checkpointPath?: (stage: string, checkpoint: ExportedCheckpoint) => string;
}

/** A stage for a trainer. */
export interface ExportedStage {
  readonly files: readonly ExportFile[];
  readonly schedule: Pick<ExportedSchedule, 'form' | 'exact' | 'deviation'>;
  readonly warnings: readonly string[];
  /** What a run must be given beside the files, whatever the trainer. */
  readonly run: StageRun;
}

/** Sizes of a stage. */
export interface StageRun {
  /** Release of the trainer that the form was tried with. */
  readonly triedWith: string;
  readonly steps: number;
  readonly sequencesPerStep: number;
  readonly sequenceLength: number;
  readonly tokensPerStep: number;
  readonly tokens: number;
  /** Of every source: its share, what is trained on of it, and how often that is the whole; null where that is not known. */
  readonly sources: readonly {
    readonly name: string;
    readonly weight: number | null;
    readonly sequences: number | null;
    readonly epochs: number | null;
  }[];
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
  'mosaicml-streaming': ['blend', '.py'],
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
  const merged = mergeOf(stage, firstStep);
  const sizes = exportBatchSizes(target, {
    ...{ batches: stage.batches ?? null, nSteps: stage.nSteps, nCtx },
    countedTokens: countsOn(target) ? countedSequences(plan, index) * nCtx : 0,
    isFlat: stage.curve.phases.every(({ from: start, to }) => start === to),
  });
  return {
    run: runOf(target, options, stage),
    files: [
      ...schedule.files,
      ...blends.files,
      ...continuation.files,
      ...merged.files,
      ...sizes.files,
    ],
    schedule: { form: schedule.form, exact: schedule.exact, deviation: schedule.deviation },
    warnings: [
      ...schedule.warnings,
      ...blends.warnings,
      ...continuation.warnings,
      ...keptCheckpoint(plan, index),
      ...merged.warnings,
      ...sizes.warnings,
    ],
  };
}

function defaultCheckpoint(stage: string, checkpoint: string): string {
  return `checkpoints/${stage}/${checkpoint}`;
}

/** Steps on the way to a stage since the count was last reset. */
function countedSteps(plan: PlanToExport, index: number): number {
  return counted(plan, index, (_, steps) => steps);
}

/** The same in sequences. */
function countedSequences(plan: PlanToExport, index: number): number {
  return counted(plan, index, ({ batches }, steps) =>
    sequencesBefore({ batches: batches ?? null }, plan.sequencesPerStep, steps),
  );
}

function counted(
  { stages }: PlanToExport,
  index: number,
  amountOf: (stage: StageToExport, steps: number) => number,
): number {
  let amount = 0;
  let stage = stages[index]!;
  // A stage starts from one in front of it, so that this ends.
  while (stage.optimizer === 'keep' && stage.from) {
    const parent: StageToExport = stages[stage.from.stage]!;
    const isConstant = stage.from.checkpoint === 'constant' && parent.constantStep !== null;
    amount += amountOf(parent, isConstant ? parent.constantStep! : parent.nSteps);
    stage = parent;
  }
  return amount;
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

/** Which checkpoints are merged and how; no trainer does it, so the command stands beside them. */
function mergeOf(
  { name, merge }: StageToExport,
  firstStep: number,
): { readonly files: ExportFile[]; readonly warnings: string[] } {
  if (!merge) return { files: [], warnings: [] };
  // Counted as the trainer counts, where it goes on from the stage before.
  const steps = merge.steps.map((step) => firstStep + step);
  const command = [
    'gristmill models merge',
    ...steps.map((step) => `step-${step}`),
    `--weights ${merge.weights.join(',')}`,
    '--out merged',
  ].join(' ');
  const text = `${JSON.stringify({ steps, weights: merge.weights, command }, null, 2)}\n`;
  return {
    files: [{ name: 'merge.json', text }],
    warnings: [
      `save a checkpoint of ${name} every ${merge.every} steps from step ${steps[0]} on, as a folder with safetensors or as GGUF, and merge them by merge.json: the result is the checkpoint merged`,
    ],
  };
}

/** Names and places of a stage's sources; the seen part of a dataset has a name of its own. */
function namesOf(
  { plan, paths = {}, replayPaths = {} }: ExportStageOptions,
  { segments }: StageToExport,
): {
  readonly nameOf: (dataset: string, kind: 'new' | 'replay') => string;
  readonly pathOf: (dataset: string, kind: 'new' | 'replay') => string;
  readonly unmarked: readonly string[];
} {
  const own = (of: Readonly<Record<string, string>>, dataset: string): string | undefined =>
    Object.hasOwn(of, dataset) ? of[dataset] : undefined;
  const datasets = new Set(
    plan.stages.flatMap((stage) =>
      stage.segments.flatMap(({ sources }) => sources.map(({ dataset }) => dataset)),
    ),
  );
  const replayed = new Map<string, string>();
  const taken = new Set(datasets);
  const unmarked = new Set<string>();
  for (const { dataset, kind, weight } of segments.flatMap(({ sources }) => sources)) {
    if (kind === 'new' || replayed.has(dataset)) continue;
    let name = `${dataset}-replay`;
    while (taken.has(name)) name += '-replay';
    taken.add(name);
    replayed.set(dataset, name);
    if (weight > 0 && own(replayPaths, dataset) === undefined) unmarked.add(dataset);
  }
  const whole = (dataset: string): string => own(paths, dataset) ?? dataset;
  return {
    nameOf: (dataset, kind) => (kind === 'new' ? dataset : replayed.get(dataset)!),
    pathOf: (dataset, kind) =>
      kind === 'new' ? whole(dataset) : (own(replayPaths, dataset) ?? whole(dataset)),
    unmarked: [...unmarked],
  };
}

function runOf(
  target: ScheduleTarget,
  options: ExportStageOptions,
  stage: StageToExport,
): StageRun {
  const { nCtx, sequencesPerStep } = options.plan;
  const { nameOf } = namesOf(options, stage);
  const isOne = stage.segments.length === 1;
  const sources = new Map<string, { weight: number; sequences: number | null; of: string }>();
  for (const { sources: own } of stage.segments) {
    for (const { dataset, kind, weight, nSequences } of own) {
      const name = nameOf(dataset, kind);
      const before = sources.get(name)?.sequences ?? 0;
      const sequences = nSequences === undefined ? null : before + nSequences;
      sources.set(name, { weight, sequences, of: dataset });
    }
  }
  const tokensPerStep = sequencesPerStep * nCtx;
  return {
    triedWith: TRIED_WITH[target],
    steps: stage.nSteps,
    sequencesPerStep,
    sequenceLength: nCtx,
    tokensPerStep,
    tokens: sequencesBefore(stage, sequencesPerStep, stage.nSteps) * nCtx,
    sources: [...sources].map(([name, { weight, sequences, of }]) => {
      const there = tokensOf(options, of);
      return {
        ...{ name, sequences },
        weight: isOne ? weight : null,
        epochs: sequences === null || !there ? null : (sequences * nCtx) / there,
      };
    }),
  };
}

function tokensOf({ datasetTokens = {} }: ExportStageOptions, dataset: string): number | undefined {
  return Object.hasOwn(datasetTokens, dataset) ? datasetTokens[dataset] : undefined;
}

function blendsOf(
  target: ScheduleTarget,
  options: ExportStageOptions,
  stage: StageToExport,
): { readonly files: ExportFile[]; readonly warnings: string[] } {
  const { segments, maxEpochs = 1 } = stage;
  const { seed, nCtx, sequencesPerStep } = options.plan;
  const { nameOf, pathOf, unmarked } = namesOf(options, stage);
  const stretches = segments.map(({ firstStep, endStep, sources }, at) => ({
    name: `segment-${at + 1}`,
    firstStep: firstStep + 1,
    sizes: {
      // As many full steps as hold its sequences.
      nSteps: Math.ceil(
        (sequencesBefore(stage, sequencesPerStep, endStep) -
          sequencesBefore(stage, sequencesPerStep, firstStep)) /
          sequencesPerStep,
      ),
      ...{ sequencesPerStep, nCtx, maxEpochs },
    },
    entries: sources.map(
      ({ dataset, kind, weight, nSequences }): BlendEntry => ({
        name: nameOf(dataset, kind),
        path: pathOf(dataset, kind),
        weight,
        tokens: tokensOf(options, dataset),
        ...(nSequences !== undefined && { nSequences }),
      }),
    ),
  }));
  const warnings: string[] = [];
  if (unmarked.length > 0) {
    warnings.push(
      `replay of ${unmarked.join(', ')} points at the whole dataset: a trainer draws from all of it, not only from what was seen; give the seen part a path of its own`,
    );
  }
  const left = new Set(stretches.flatMap(({ entries }) => leftOutOfBlend(entries)));
  if (left.size > 0) {
    warnings.push(`weights below 0.0000005 are left out of the blend: ${[...left].join(', ')}`);
  }
  const [stem, extension] = BLEND_FILE[target];
  if (target === 'nanotron') {
    const text = exportBlendStages(stretches, seed);
    return { files: [{ name: `${stem}${extension}`, text }], warnings };
  }
  if (target === 'axolotl') {
    warnings.push(
      'Axolotl has no weights: the shares stand as comments in blend.yml and must be cut into the data beforehand',
    );
  }
  const files = stretches.flatMap(({ entries, sizes }, at) => {
    const part = stretches.length === 1 ? '' : `-${at + 1}`;
    const name = `${stem}${part}${extension}`;
    const blend = { name, text: exportBlend(target, { entries, seed, sizes }) };
    if (target !== 'olmo-core') return [blend];
    const text = olmoCoreMixture(sizes, seed, name);
    return [blend, { name: `source_mixture${part.replace('-', '_')}.py`, text }];
  });
  const changes = segments.slice(1).map(({ firstStep }) => String(firstStep));
  if (changes.length > 0) {
    const shown = changes.length > 8 ? [...changes.slice(0, 8), '…'] : changes;
    warnings.push(
      `the blend changes behind step ${shown.join(', ')}, which the trainer cannot do by itself: stop there and go on with the next blend file`,
    );
  }
  return { files, warnings };
}
