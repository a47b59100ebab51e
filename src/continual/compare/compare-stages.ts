/**
 * Two stages of finished runs against each other: a candidate's data against web data from one base (a microanneal), or any
 * two. Several runs are one plan with several seeds: their spread is that of training. One run has the spread of texts only,
 * and for that its models are measured on them, document by document.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import type { OnProgress } from '../../progress.ts';
import { byName } from '../../schema.ts';
import { evaluateLm, type LmMeasures } from '../../train/eval-lm.ts';
import { refusePilot } from '../fit/pilots.ts';
import { MICROANNEAL } from '../plan/config.ts';
import { type PairedDifference, pairedDifference, pairedRatio } from './paired.ts';

const losses = byName(z.number());
const schema = z.object({
  stages: z.array(
    z.object({
      // Names of stages cannot leave the folder.
      stage: z.string().regex(/^[0-9A-Za-z][0-9A-Za-z_.-]{0,79}$/),
      index: z.int().min(0).max(99_999),
      tokens: z.number().positive(),
      parent: z.string().nullable(),
      losses: z.object({ annealed: losses, merged: losses.nullish() }),
    }),
  ),
});
type StageOfRun = z.infer<typeof schema>['stages'][number];

/** Options of {@link compareStages}. */
export interface CompareStagesOptions {
  /** Folders of finished runs. */
  readonly runs: readonly string[];
  /** Stage that is judged. Default that of a microanneal. */
  readonly candidate?: string | undefined;
  /** Stage that it is judged against. Default that of a microanneal. */
  readonly against?: string | undefined;
  /** Texts to measure both models on: files, folders and globs. */
  readonly data?: readonly string[] | undefined;
  readonly textColumn?: string | undefined;
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One validation set, or the texts. */
export interface ComparedLoss extends PairedDifference {
  readonly set: string;
  /** What a pair is: two runs of one seed, or a document. */
  readonly pairs: 'runs' | 'documents';
  /** Nats a token of validation sets, nats a byte of texts; means over the runs. */
  readonly candidate: number;
  readonly against: number;
}

/** A comparison. */
export interface StageComparison {
  readonly candidate: string;
  readonly against: string;
  readonly nRuns: number;
  readonly losses: readonly ComparedLoss[];
  /** What to mind. */
  readonly notes: readonly string[];
}

/** Name of the texts among the sets. */
export const TEXTS = '(texts)';

/**
 * Compares.
 *
 * @throws CONTINUAL_PILOTS_INVALID for a folder without a finished run or without one of the stages; as evaluateLm(), ABORTED
 */
export async function compareStages(options: CompareStagesOptions): Promise<StageComparison> {
  const { runs, candidate = MICROANNEAL.candidate, against = MICROANNEAL.web, data } = options;
  const pairs = runs.map((folder) => {
    const stages = stagesOf(folder);
    return {
      folder,
      first: find(stages, candidate, folder),
      second: find(stages, against, folder),
    };
  });
  const modelLosses = ({ losses: { annealed, merged } }: StageOfRun) => merged ?? annealed;
  const sets = Object.keys(modelLosses(pairs[0]!.first)).filter((set) =>
    pairs.every(({ first, second }) =>
      [first, second].every((stage) => Object.hasOwn(modelLosses(stage), set)),
    ),
  );
  const compared = sets.map((set): ComparedLoss => {
    const [one, other] = (['first', 'second'] as const).map((side) =>
      pairs.map((pair) => modelLosses(pair[side])[set]!),
    ) as [number[], number[]];
    return {
      ...{ set, pairs: 'runs', candidate: mean(one), against: mean(other) },
      ...pairedDifference(one.map((loss, at) => loss - other[at]!)),
    };
  });
  if (data) compared.push(await compareTexts(pairs, data, options));
  return {
    ...{ candidate, against, nRuns: runs.length, losses: compared },
    notes: notesOf(pairs, data !== undefined),
  };
}

type Documents = NonNullable<LmMeasures['documents']>;

interface Pair {
  readonly folder: string;
  readonly first: StageOfRun;
  readonly second: StageOfRun;
}

async function compareTexts(
  pairs: readonly Pair[],
  data: readonly string[],
  { textColumn, onNotice, onProgress, signal }: CompareStagesOptions,
): Promise<ComparedLoss> {
  const measured: { readonly one: Documents; readonly other: Documents }[] = [];
  for (const { folder, first, second } of pairs) {
    const ofStage = async ({ index, stage }: StageOfRun) =>
      (
        await evaluateLm({
          model: join(folder, 'stages', `${String(index).padStart(2, '0')}-${stage}`, 'model.gguf'),
          data,
          byDocument: true,
          ...(textColumn !== undefined && { textColumn }),
          ...(signal && { signal }),
          ...{ onNotice, onProgress },
        })
      ).documents!;
    measured.push({ one: await ofStage(first), other: await ofStage(second) });
  }
  const bytes = measured[0]!.one.bytes;
  const total = Math.max(1, sum(bytes));
  const [candidates, others] = (['one', 'other'] as const).map((side) =>
    measured.map((both) => sum(both[side].nats) / total),
  ) as [number[], number[]];
  const single = measured.length === 1 ? measured[0]! : null;
  const difference = single
    ? pairedRatio(
        single.one.nats.map((nats, at) => nats - single.other.nats[at]!),
        bytes,
      )
    : pairedDifference(candidates.map((loss, at) => loss - others[at]!));
  return {
    ...{ set: TEXTS, pairs: single ? 'documents' : 'runs' },
    ...{ candidate: mean(candidates), against: mean(others), ...difference },
  };
}

function notesOf(pairs: readonly Pair[], hasTexts: boolean): string[] {
  const uneven = pairs.filter(({ first, second }) => first.tokens !== second.tokens);
  const apart = pairs.filter(({ first, second }) => first.parent !== second.parent);
  return [
    ...(pairs.length === 1
      ? [
          hasTexts
            ? 'one run: its interval is that of texts; what another seed would change is not in it'
            : 'one run has no interval: give runs of the same plan with other seeds, or --data to measure its models on texts',
        ]
      : []),
    ...(uneven.length > 0
      ? [`${uneven.length} of the runs gave the two stages different numbers of tokens`]
      : []),
    ...(apart.length > 0
      ? [`${apart.length} of the runs started the two stages from different checkpoints`]
      : []),
  ];
}

function stagesOf(folder: string): readonly StageOfRun[] {
  const file = join(folder, 'summary.json');
  const expected = 'the summary of a finished run';
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    return refusePilot(file, 0, 'stages', expected, (cause as Error).message);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data.stages;
  const { path, message } = parsed.error.issues[0]!;
  return refusePilot(file, 0, path.join('.') || 'stages', expected, message);
}

function find(stages: readonly StageOfRun[], name: string, folder: string): StageOfRun {
  const found = stages.find(({ stage }) => stage === name);
  if (found) return found;
  const known = stages.map(({ stage }) => stage).join(', ');
  return refusePilot(folder, 0, 'stage', `a stage ${name}`, known);
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((all, one) => all + one, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
