/**
 * Pilots and loss curves from folders of `gristmill continue run`.
 *
 * A stage that starts from another one is a pilot: its replay is the share of replayed sequences that it was trained on,
 * its losses are those at its end, its base those at its start. Its curve is that of its parent up to the checkpoint it
 * started from, then its own.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { byName } from '../../schema.ts';
import { type CurveLoss, type LossCurve, MAX_STEPS } from './loss-curves.ts';
import { type Pilot, percentText, refusePilot } from './pilots.ts';

const losses = byName(z.number());
const summarySchema = z.object({
  nParams: z.number().positive(),
  stages: z.array(
    z.object({
      stage: z.string(),
      index: z.int().min(0).max(99_999),
      steps: z.int().min(1).max(MAX_STEPS),
      tokens: z.number().positive(),
      parent: z.string().nullable(),
      sources: z.array(z.object({ kind: z.enum(['new', 'replay']), sequences: z.number().min(0) })),
      losses: z.object({ start: losses, annealed: losses }),
      checkpoints: z.array(z.object({ id: z.string(), step: z.int().min(0).max(MAX_STEPS) })),
    }),
  ),
});
type Summary = z.infer<typeof summarySchema>;

const recordSchema = z.object({
  step: z.int().min(0).max(MAX_STEPS),
  lr: z.number().min(0).optional(),
  validation: losses.optional(),
});

/** Shares that differ by less are one: quotas are whole sequences. */
const SAME_SHARE = 0.002;

/** Which stages of a run are meant. */
export interface RunStages {
  /** Names. Default: all that start from another stage. */
  readonly stages?: readonly string[] | undefined;
}

/**
 * Pilots of finished runs, with `start` losses.
 *
 * @throws CONTINUAL_PILOTS_INVALID for a folder that holds no finished run, or none of the stages
 */
export function pilotsFromRuns(folders: readonly string[], { stages }: RunStages = {}): Pilot[] {
  const pilots = folders.flatMap((folder) => {
    const { nParams, stages: all } = readSummary(folder);
    return continuedStages(all, stages).map((stage): Pilot => {
      return {
        replay: replayOf(stage),
        losses: stage.losses.annealed,
        start: stage.losses.start,
        tokens: stage.tokens,
        params: nParams,
      };
    });
  });
  checkFound(folders, stages, pilots.length);
  return pilots;
}

/**
 * Loss curves of finished runs on one validation set, of stages with the same share of replay: a law holds for one.
 *
 * @throws CONTINUAL_PILOTS_INVALID
 */
export function curvesFromRuns(
  folders: readonly string[],
  { set, stages }: RunStages & { readonly set: string },
): LossCurve[] {
  let share: number | null = null;
  const curves = folders.flatMap((folder) => {
    const { stages: all } = readSummary(folder);
    return continuedStages(all, stages).flatMap((stage): LossCurve[] => {
      const parent = all.find(({ checkpoints }) =>
        checkpoints.some(({ id }) => id === stage.parent),
      );
      // A law of two phases: what came before the parent is not in its areas.
      if (!parent || parent.parent !== null) return [];
      share ??= replayOf(stage);
      if (Math.abs(share - replayOf(stage)) > SAME_SHARE) {
        const expected = `stages of one share of replay, as ${percentText(share)}; name them`;
        refusePilot(folder, stage.index, stage.stage, expected, percentText(replayOf(stage)));
      }
      const end = parent.checkpoints.find(({ id }) => id === stage.parent)!.step;
      const first = readStage(folder, parent, set, end);
      const second = readStage(folder, stage, set, stage.steps);
      return [
        {
          name: stage.stage,
          pretrainLr: first.rates,
          continueLr: second.rates,
          pretrainLosses: first.losses,
          continueLosses: second.losses,
        },
      ];
    });
  });
  checkFound(folders, stages, curves.length);
  return curves;
}

function replayOf({ sources }: Summary['stages'][number]): number {
  const sum = (chosen: typeof sources): number =>
    chosen.reduce((total, { sequences }) => total + sequences, 0);
  return sum(sources.filter(({ kind }) => kind === 'replay')) / sum(sources);
}

function continuedStages(
  all: Summary['stages'],
  names: readonly string[] | undefined,
): Summary['stages'] {
  return all.filter(({ parent, stage }) => parent !== null && (!names || names.includes(stage)));
}

function checkFound(
  folders: readonly string[],
  stages: readonly string[] | undefined,
  nFound: number,
): void {
  if (nFound > 0) return;
  const expected = stages
    ? `one of the stages ${stages.join(', ')}, starting from another stage`
    : 'a stage that starts from another one';
  refusePilot(folders.join(', '), 0, 'stage', expected, 'none');
}

function readSummary(folder: string): Summary {
  const file = join(folder, 'summary.json');
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    refusePilot(file, 0, 'stages', 'the summary of a finished run', (cause as Error).message);
  }
  const parsed = summarySchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  refusePilot(file, 0, path.join('.') || 'stages', 'the summary of a finished run', message);
}

function readStage(
  folder: string,
  { index, stage }: Summary['stages'][number],
  set: string,
  nSteps: number,
): { readonly rates: Float64Array; readonly losses: CurveLoss[] } {
  // Names of stages cannot leave the folder: plans allow letters, digits, dots, dashes and underscores.
  const name = /^[0-9A-Za-z][0-9A-Za-z_.-]{0,79}$/.test(stage) ? stage : 'stage';
  const file = join(folder, 'stages', `${String(index).padStart(2, '0')}-${name}`, 'losses.jsonl');
  const rates = new Float64Array(nSteps).fill(Number.NaN);
  const measured: CurveLoss[] = [];
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    refusePilot(file, 0, 'step', 'the records of a stage', (cause as Error).message);
  }
  for (const [line, content] of text.split('\n').entries()) {
    if (content === '') continue;
    const parsed = recordSchema.safeParse(jsonOf(content));
    if (!parsed.success) {
      refusePilot(file, line + 1, 'step', 'a record of a stage', parsed.error.issues[0]!.message);
    }
    const { step, lr, validation } = parsed.data;
    if (step > nSteps) continue;
    if (lr !== undefined && step >= 1) rates[step - 1] = lr;
    const loss = validation && Object.hasOwn(validation, set) ? validation[set] : undefined;
    if (validation && loss === undefined) {
      const known = Object.keys(validation).join(', ');
      refusePilot(file, line + 1, set, `a validation set of: ${known}`, 'nothing');
    }
    if (loss !== undefined && step >= 1) measured.push({ step, loss });
  }
  const missing = rates.findIndex(Number.isNaN);
  if (missing >= 0) refusePilot(file, missing + 1, 'lr', 'a rate for every step', 'nothing');
  return { rates, losses: measured };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
