/** A store of bytes with three datasets, stages written by hand, a model that takes a moment. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PlanInput } from '../../../src/continual/plan/config.ts';
import type { PlanSegment, PlanStage } from '../../../src/continual/plan/types.ts';
import { lrCurve } from '../../../src/schedules/curve.ts';
import type { ScheduleInput } from '../../../src/schedules/spec.ts';
import { writeByteStore } from '../../../src/tokens/byte-store.ts';
import type { TokenStore } from '../../../src/tokens/token-store.ts';
import { openTrainer, type Trainer } from '../../../src/train/trainer.ts';
import { seeded } from '../../support/corpus.ts';

export const plan = { seed: 7, nCtx: 16, sequencesPerStep: 8 };

/** Texts of a small language of its own. */
export function language(letters: string, nDocs: number, seed: number): string[] {
  const random = seeded(seed);
  const pick = () => letters[Math.floor(random() * letters.length)]!;
  const words = Array.from({ length: 12 }, () => pick() + pick() + pick());
  return Array.from({ length: nDocs }, () =>
    Array.from({ length: 14 }, () => words[Math.floor(random() ** 2 * words.length)]).join(' '),
  );
}

export function byteStore(folder: string): TokenStore {
  return writeByteStore({
    out: join(folder, 'store'),
    texts: {
      old: language('abcdefg', 60, 1),
      new: language('hijklmn', 60, 2),
      small: language('opqrstu', 8, 3),
    },
    validationShare: 0.2,
  });
}

/** Segments from `[steps, weights of new data, weights of replay]`. */
export function segmentsOf(
  parts: readonly (readonly [
    steps: number,
    fresh: Readonly<Record<string, number>>,
    replay?: Readonly<Record<string, number>>,
  ])[],
): PlanSegment[] {
  let firstStep = 0;
  return parts.map(([steps, fresh, replay = {}]) => {
    const sourcesOf = (kind: 'new' | 'replay', weights: Readonly<Record<string, number>>) =>
      Object.entries(weights).map(([dataset, weight]) => {
        return { dataset, kind, weight, nSequences: 0, nTokens: 0 };
      });
    const endStep = firstStep + steps;
    const segment = {
      firstStep,
      endStep,
      sources: [...sourcesOf('new', fresh), ...sourcesOf('replay', replay)],
    };
    firstStep = endStep;
    return segment;
  });
}

export function stageOf(
  segments: readonly PlanSegment[],
  {
    schedule = { kind: 'cosine', peakLr: 5e-3, minLr: 5e-4 },
    ...overrides
  }: Partial<Omit<PlanStage, 'schedule'>> & { readonly schedule?: ScheduleInput } = {},
): PlanStage {
  const nSteps = segments.at(-1)!.endStep;
  const curve = lrCurve(schedule, {
    totalSteps: nSteps,
    tokensPerStep: plan.nCtx * plan.sequencesPerStep,
  });
  return {
    index: 0,
    name: 'stage',
    done: false,
    nSteps,
    nSequences: nSteps * plan.sequencesPerStep,
    nTokens: nSteps * plan.sequencesPerStep * plan.nCtx,
    schedule: curve.spec,
    curve,
    from: null,
    optimizer: 'reset',
    constantStep: curve.lastConstantStep,
    merge: null,
    segments,
    replay: null,
    maxEpochs: 1,
    seenTokens: {},
    ...overrides,
  };
}

export function smallTrainer(nVocab: number, nThreads = 1): Promise<Trainer> {
  return openTrainer({
    shape: {
      nVocab,
      nEmbd: 16,
      nLayer: 1,
      nHead: 2,
      nHeadKv: 2,
      nHeadDim: 8,
      nFf: 32,
      ropeTheta: 1e4,
      rmsEpsilon: 1e-5,
      tied: true,
      nClasses: 0,
    },
    nCtx: plan.nCtx,
    nSeq: 4,
    nThreads,
    seed: plan.seed,
  });
}

/** Writes the datasets `old`, `new` and the validation set `other` as JSON lines. */
export function writeDatasets(folder: string): void {
  for (const [name, letters, seed] of [
    ['old', 'abcdefg', 1],
    ['new', 'hijklmn', 2],
    ['other', 'opqrstu', 3],
  ] as const) {
    const rows = language(letters, name === 'other' ? 12 : 240, seed);
    const lines = rows.map((text) => `${JSON.stringify({ text, name })}\n`);
    writeFileSync(join(folder, `${name}.jsonl`), lines.join(''));
  }
}

/** A plan over them as it is written: a stage, and two that start from its constant phase and from its end. */
export function writtenPlan(folder: string, overrides: Partial<PlanInput> = {}): PlanInput {
  const infinite = { kind: 'infinite', constantLr: 4e-3, minLr: 4e-4 } as const;
  return {
    name: 'a test',
    seed: 5,
    model: { shape: { nEmbd: 16, nLayer: 1, nHead: 2 } },
    tokenizer: { train: { vocabSize: 280 } },
    batch: { nSeq: 4, nCtx: 16, accumulate: 2 },
    validation: {
      share: 0.2,
      every: 5,
      windows: 8,
      sets: { other: { inputs: [join(folder, 'other.jsonl')] } },
    },
    checkpointEvery: 3,
    nThreads: 1,
    datasets: {
      old: { inputs: [join(folder, 'old.jsonl')] },
      new: { inputs: [join(folder, 'new.jsonl')] },
    },
    stages: [
      {
        name: 'base',
        data: 'old',
        steps: 20,
        schedule: {
          ...infinite,
          peakLr: 8e-3,
          cooldown: { shape: 'cosine', length: '30 %' },
          anneal: { length: '25 %' },
        },
      },
      {
        name: 'replayed',
        data: 'new',
        steps: 12,
        replay: { share: 0.3, order: 'reshuffled', seed: 2, offset: 3 },
        start: { stage: 'base', checkpoint: 'constant' },
        optimizer: 'keep',
        schedule: { ...infinite, anneal: { length: '50 %' } },
      },
      {
        name: 'without',
        data: 'new',
        steps: 12,
        start: { stage: 'base' },
        schedule: { kind: 'cosine', peakLr: 8e-3, minLr: 1e-3 },
      },
    ],
    ...overrides,
  };
}
