/** What is legal in a plan and unwise by what was measured, in words. */
import { lineageOf } from './counts.ts';
import type { PresetName } from './presets.ts';
import { peakOf } from './segments.ts';
import type { ContinualPlan, PlanStage } from './types.ts';

/** What notes need beside the plan. */
export interface NoteContext {
  readonly preset: PresetName | null;
  /** Tokens of each stage as written; null for those given in steps. */
  readonly writtenTokens: readonly (number | null)[];
  /** Names of all datasets. */
  readonly datasets: readonly string[];
}

/** From this factor on a rate is said to be far from another. */
const FAR = 2;
/** A peak that far below the highest one of the way teaches little. */
const LOW = 50;
/** Rates that differ by less are one. */
const FLAT = 1e-6;
/** Rounding to whole steps is said from this share on. */
const ROUNDED = 0.01;

/** The notes of a plan. */
export function notesOf(plan: ContinualPlan, context: NoteContext): string[] {
  const used = new Set(plan.stages.flatMap((stage) => [...namesIn(stage, 'new')]));
  return [
    ...context.datasets
      .filter((name) => !used.has(name))
      .map((name) => `dataset ${name}: no stage takes it as new data`),
    ...plan.stages
      .filter(({ done }) => !done)
      .flatMap((stage) =>
        [
          ...roundingNotes(plan, stage, context),
          ...dataNotes(plan, stage),
          ...replayNotes(stage),
          ...rateNotes(plan, stage),
          ...presetNotes(stage, context),
          ...mergeNotes(stage),
          ...batchNotes(stage),
        ].map((note) => `stage ${stage.name}: ${note}`),
      ),
    ...decayNotes(plan),
  ];
}

function roundingNotes(
  { tokensPerStep }: ContinualPlan,
  { index, nSteps, nTokens, batches }: PlanStage,
  { writtenTokens }: NoteContext,
): string[] {
  const written = writtenTokens[index] ?? null;
  if (written === null || Math.abs(nTokens - written) <= ROUNDED * written) return [];
  const steps = batches ? `${nSteps} steps` : `${nSteps} steps of ${tokensPerStep}`;
  return [`${written} tokens are ${steps}, which make ${nTokens}`];
}

function dataNotes({ stages }: ContinualPlan, stage: PlanStage): string[] {
  const way = lineageOf(stages, stage.index).slice(0, -1);
  const own = namesIn(stage, 'new');
  const seen = new Set(way.flatMap((stretch) => [...namesIn(stages[stretch.stage]!, 'new')]));
  const forgotten = [...seen].filter((name) => !own.has(name));
  const done = new Set(
    way
      .map((stretch) => stages[stretch.stage]!)
      .filter((one) => one.done)
      .flatMap((one) => [...namesIn(one, 'new')]),
  );
  const again = [...own].filter((name) => done.has(name));
  return [
    ...(forgotten.length > 0 && !stage.replay
      ? [
          `no replay, and ${forgotten.join(', ')} seen before is not in its data: expect forgetting (published choices: 5 % for a weak shift, 25 % for a strong one, arXiv 2403.08763)`,
        ]
      : []),
    ...(again.length > 0
      ? [
          `${again.join(', ')} was data of a stage that is done; its inputs are taken as not seen yet`,
        ]
      : []),
  ];
}

function replayNotes({ replay, segments }: PlanStage): string[] {
  if (!replay) return [];
  const nReplayed = new Map<string, number>();
  for (const { dataset, kind, nSequences } of segments.flatMap(({ sources }) => sources)) {
    if (kind === 'replay') nReplayed.set(dataset, (nReplayed.get(dataset) ?? 0) + nSequences);
  }
  const none = [...nReplayed].flatMap(([name, count]) => (count === 0 ? [name] : []));
  return [
    ...(replay.share > 0.5
      ? [`${percent(replay.share)} replay: above the 50 % that were measured, little new is learnt`]
      : []),
    ...(none.length > 0
      ? [`the replay of ${none.join(', ')} is less than one sequence and falls away`]
      : []),
  ];
}

function rateNotes({ stages }: ContinualPlan, stage: PlanStage): string[] {
  const { from, curve } = stage;
  if (!from) return [];
  const parent = stages[from.stage]!;
  const atStart = parent.curve.at(
    from.checkpoint === 'constant' ? parent.constantStep! : parent.nSteps,
  );
  const peak = peakOf(curve);
  const highest = Math.max(
    ...lineageOf(stages, stage.index)
      .slice(0, -1)
      .map((stretch) => peakOf(stages[stretch.stage]!.curve)),
  );
  const first = curve.at(1);
  const isWarmed = curve.phases[0]!.name === 'warmup';
  const isLow = peak * LOW <= highest;
  const notes: string[] = [];
  if (peak >= FAR * highest) {
    notes.push(
      `it re-warms to ${peak}, above the highest rate before (${highest}): more is learnt and more forgotten (arXiv 2403.08763, section 6)`,
    );
  }
  if (!isWarmed && !isLow && first > FAR * atStart) {
    notes.push(
      `its rate begins at ${figure(first)} without a warm-up, where it stood at ${figure(atStart)}: expect a spike of the loss in the first steps`,
    );
  }
  if (from.checkpoint === 'annealed' && parent.constantStep !== null) {
    notes.push(
      `it starts from the annealed end of ${parent.name}, which has a constant-phase checkpoint too: that one adapts better (arXiv 2403.08763, section 7; 2503.02844)`,
    );
  }
  if (isLow) {
    notes.push(
      `its highest rate is ${figure(peak)}, ${Math.round(highest / peak)} times below the highest before: little is learnt`,
    );
  }
  return notes;
}

/** Weights of a merge stand for a decay of what was trained at one rate. */
function mergeNotes({ merge, curve, nSteps }: PlanStage): string[] {
  if (!merge) return [];
  const [first, last] = [curve.at(merge.steps[0]! + 1), curve.at(nSteps)];
  if (Math.abs(first - last) <= FLAT * first) return [];
  return [
    `its rate goes from ${figure(first)} to ${figure(last)} within the steps that are merged: the weights stand for a decay of updates made at one rate (arXiv 2507.17634), and here the two add up`,
  ];
}

/** A smaller batch at an unchanged rate is noisier, and a rate that falls at once undoes what it is for. */
function batchNotes({ batches, curve }: PlanStage): string[] {
  const first = batches?.[0];
  if (!first) return [];
  const [start, end] = [curve.at(1), curve.at(first.endStep)];
  if (start === 0 || end * FAR > start) return [];
  return [
    `its rate falls from ${figure(start)} to ${figure(end)} while the batch is small: that takes back the updates which the small batch is for (arXiv 2605.25698)`,
  ];
}

/** Whether the last stages end in a decay: what that may cost later. */
function decayNotes({ stages }: ContinualPlan): string[] {
  const starts = new Set(stages.flatMap(({ from }) => (from ? [from.stage] : [])));
  const decaying = stages.filter(({ index, done, curve, nSteps }) => {
    const isDescent = ['decay', 'anneal', 'minimum'].includes(curve.phases.at(-1)!.name);
    return !done && !starts.has(index) && isDescent && curve.at(nSteps) * FAR <= peakOf(curve);
  });
  if (decaying.length === 0) return [];
  const names = decaying.map(({ name }) => name).join(', ');
  return [
    `${names}: ends in a decay, which lowers the loss of pre-training; models without one were better after fine-tuning at 1B and 8B parameters (arXiv 2603.16127). Keep a checkpoint in front of the decay, or merge, and compare behind the fine-tuning`,
  ];
}

function presetNotes({ from, segments }: PlanStage, { preset }: NoteContext): string[] {
  if (preset !== 'reuse' || !from || segments.length > 1) return [];
  return [
    'the preset reuse was published with two blends, the second from a fifth of the peak rate on; this stage has one',
  ];
}

function namesIn({ segments }: PlanStage, kind: 'new' | 'replay'): Set<string> {
  return new Set(
    segments.flatMap(({ sources }) =>
      sources.filter((source) => source.kind === kind).map(({ dataset }) => dataset),
    ),
  );
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(6))} %`;
}

function figure(rate: number): string {
  return String(Number(rate.toPrecision(6)));
}
