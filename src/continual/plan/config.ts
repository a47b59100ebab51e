/**
 * The plan of a continuation as it is written, YAML or JSON, checked whole before anything is counted or run.
 *
 *     name: english-then-german
 *     preset: rewarm                       # what stages leave out comes from here, see presets.ts
 *     batch: { nSeq: 16, nCtx: 64 }
 *     datasets:
 *       english: { inputs: [english/*.parquet] }
 *       german: { inputs: [german.jsonl.zst], textColumn: content }
 *     stages:
 *       - { name: base, data: english, tokens: 2M, schedule: { kind: cosine, peakLr: 3e-3, minLr: 3e-4, warmup: 1 % } }
 *       - { name: german, data: german, tokens: 2M, replay: 25 % }
 */
import * as z from 'zod';
import { GristmillError, printable } from '../../errors.ts';
import { batchSizeSchema } from '../../schedules/batch-size.ts';
import { lengthSchema, parseTokens } from '../../schedules/lengths.ts';
import { DECAY_SHAPES, scheduleSchema } from '../../schedules/spec.ts';
import { byName, faultsOf } from '../../schema.ts';
import {
  batchSchema,
  deviceSchema,
  KEEPS_TOKENIZER,
  modelSchema,
  optimizerSchema,
  tokenizerSchema,
} from '../../train/config-parts.ts';
import { readYaml } from '../../yaml-file.ts';
import type { CheckpointName } from './types.ts';

const name = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z_.-]{0,79}$/, {
  error: 'expected a letter or digit, then up to 79 letters, digits, dots, dashes and underscores',
});

const tokens = z.union([z.number(), z.string()]).transform((value, context) => {
  const count = parseTokens(value);
  if (count !== null && count > 0) return count;
  context.addIssue({
    code: 'custom',
    message: `expected tokens above 0, e.g. 2_000_000, 2M or 300B; received ${printable(value)}`,
  });
  return z.NEVER;
});

/** A share: a number in 0..1, or text in percent. */
const share = z.union([z.number(), z.string()]).transform((value, context) => {
  const percent =
    typeof value === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value.slice(0, 40)) : null;
  const number =
    typeof value === 'number' ? value : percent ? Number(percent[1]) / 100 : Number.NaN;
  if (number >= 0 && number <= 1) return number;
  context.addIssue({
    code: 'custom',
    message: `expected a share in 0..1 or 0..100 %, received ${printable(value)}`,
  });
  return z.NEVER;
});

/** A weight: a number of 0 or more, or text in percent. */
const weight = z.union([z.number(), z.string()]).transform((value, context) => {
  const percent =
    typeof value === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value.slice(0, 40)) : null;
  const number =
    typeof value === 'number' ? value : percent ? Number(percent[1]) / 100 : Number.NaN;
  if (number >= 0 && Number.isFinite(number)) return number;
  context.addIssue({
    code: 'custom',
    message: `expected a weight of 0 or more, or percent, received ${printable(value)}`,
  });
  return z.NEVER;
});
const weights = byName(weight, name);
const blend = z.union([name.transform((dataset) => ({ [dataset]: 1 })), weights], {
  error:
    'expected the name of a dataset, or { name: weight, … } with weights of 0 or more or percent',
});

const inputs = z.array(z.string().min(1)).min(1);
/** By column: values of which a row must have one, e.g. { language: [es, pt] }. */
const where = byName(z.array(z.string()).min(1), z.string().min(1));

const dataset = z.strictObject({
  /** Files, folders and globs of Parquet, JSONL and Arrow; needed to run. */
  inputs: inputs.optional(),
  textColumn: z.string().min(1).optional(),
  where: where.optional(),
  /** How much there is, for plans whose data are elsewhere. */
  tokens: tokens.optional(),
  /** Path in another trainer's form, for exports. Default: the name. */
  path: z.string().min(1).optional(),
});

const replay = z.union(
  [
    share.transform((value) => ({ share: value })),
    z.strictObject({
      share,
      /** As seen before, or drawn anew from `seed`. */
      order: z.enum(['original', 'reshuffled']).optional(),
      seed: z.int().min(0).optional(),
      /** Sequences of each source that are passed over, around its end. */
      offset: z.int().min(0).optional(),
      /** Which earlier datasets; their weights within the replay. Default: all, by tokens seen. */
      from: weights.optional(),
    }),
  ],
  {
    error: ({ input }) =>
      `expected a share (0..1, 0..100 %) or { share, order, seed, offset, from }, received ${printable(input)}`,
  },
);

const CHECKPOINTS = ['annealed', 'constant', 'merged'] as const satisfies CheckpointName[];

const stage = z.strictObject({
  name,
  /** One blend, or several in turn: all but the last end where the rate falls to a share of its peak, or after a share of the steps. */
  data: z.union(
    [
      blend,
      z
        .array(
          z.strictObject({
            data: blend,
            until: z
              .union([
                z.strictObject({ lrFraction: z.number().positive().max(1) }),
                z.strictObject({ fraction: z.number().positive().max(1) }),
              ])
              .optional(),
          }),
        )
        .min(1)
        .max(100),
    ],
    {
      error:
        'expected the name of a dataset, { name: weight, … } with weights of 0 or more or percent, or a list of { data, until }',
    },
  ),
  tokens: tokens.optional(),
  steps: z.int().min(1).optional(),
  schedule: scheduleSchema.optional(),
  /** Sizes of its batches, where they change; `batch` is the full one. */
  batchSize: batchSizeSchema.optional(),
  replay: replay.optional(),
  /** Instead of a decay: checkpoints of its last steps, merged by the weights that stand for one. */
  merge: z
    .strictObject({
      shape: z.enum(DECAY_SHAPES),
      /** The last steps that are merged. */
      window: lengthSchema,
      /** From one checkpoint to the next. */
      every: lengthSchema,
      /** Share of the rate that the decay ends at. Default 0; 10 % of an exponential. */
      end: share.optional(),
      /** α of `inverse-sqrt`. */
      timescale: z.number().positive().optional(),
    })
    .optional(),
  /** Where it starts: the stage before (default), or another one; its end, the end of its constant phase, or what it merged. */
  start: z
    .union([
      z.enum(CHECKPOINTS).transform((checkpoint) => ({ stage: undefined, checkpoint })),
      z.strictObject({
        stage: name.optional(),
        checkpoint: z.enum(CHECKPOINTS).default('annealed'),
      }),
    ])
    .optional(),
  /** Moments and step count of the optimiser. */
  optimizer: z.enum(['reset', 'keep']).optional(),
  /** How often a sequence of its new data may be seen. */
  maxEpochs: z.number().positive().optional(),
  /** Made elsewhere: it counts as seen and is not run. Only in front, and with `model.from`. */
  done: z.boolean().default(false),
});

/** Names of the two stages of a microanneal. */
export const MICROANNEAL = Object.freeze({
  candidate: 'microanneal-candidate',
  web: 'microanneal-web',
});

const microanneal = z.strictObject({
  /** Data that are judged. */
  candidate: blend,
  /** What they are judged against. */
  web: blend,
  /** Of each of the two stages. */
  tokens,
  /** Share of the candidate in its stage. Default 50 %. */
  share: share.refine((value) => value > 0, { error: 'expected a share above 0' }).default(0.5),
  /** Default: the preset's, a line from the rate of the base to 0. */
  schedule: scheduleSchema.optional(),
  /** How often a sequence of them may be seen. */
  maxEpochs: z.number().positive().optional(),
});

const schema = z
  .strictObject({
    name: z.string().min(1).max(200).default('continual pre-training'),
    /** What stages leave out; presets.ts says what, from where and when it is advised. */
    preset: z.enum(['rewarm', 'infinite', 'reuse', 'microanneal']).optional(),
    /** Two stages more, from the last one: a candidate among web data against web data alone; see presets.ts. */
    microanneal: microanneal.optional(),
    /** Of the preset's schedules. Default: those of the stage that a stage starts from. */
    rates: z
      .strictObject({
        peakLr: z.number().positive(),
        /** Default `peakLr / 10`, as published. */
        minLr: z.number().positive().optional(),
        /** Of the infinite schedule. Default the mean of the two, as published. */
        constantLr: z.number().positive().optional(),
      })
      .optional(),
    seed: z.int().min(0).default(0),
    model: modelSchema.optional(),
    tokenizer: tokenizerSchema.optional(),
    batch: batchSchema,
    optimizer: optimizerSchema,
    validation: z
      .strictObject({
        /** Of every dataset, by document. */
        share: z.number().positive().max(0.5).default(0.05),
        /** Steps between measurements; 0 for the ends of stages only. */
        every: z.int().min(0).default(100),
        /** Sequences of each set that are measured, at most. */
        windows: z.int().min(1).default(64),
        /** Sets beside the held-out parts of the datasets. */
        sets: byName(
          z.strictObject({
            inputs,
            textColumn: z.string().min(1).optional(),
            where: where.optional(),
          }),
          name,
        ).default({}),
      })
      .prefault({}),
    /** Steps between checkpoints; 0 for the kept ones only. */
    checkpointEvery: z.int().min(0).default(200),
    nThreads: z.int().min(1).optional(),
    device: deviceSchema.default('cpu'),
    datasets: byName(dataset, name).refine((all) => Object.keys(all).length > 0, {
      error: 'expected at least one',
    }),
    stages: z.array(stage).min(1).max(1000),
  })
  .refine(
    ({ model, tokenizer }) => !(model && 'from' in model && tokenizer && 'train' in tokenizer),
    { path: ['tokenizer'], error: KEEPS_TOKENIZER },
  )
  .transform(({ microanneal: asked, ...plan }) => {
    if (asked === undefined) return plan;
    const own = ([name, data]: readonly [string, Record<string, number>]): StageConfig => ({
      ...{ name, data, tokens: asked.tokens, done: false },
      ...(asked.schedule && { schedule: asked.schedule }),
      ...(asked.maxEpochs !== undefined && { maxEpochs: asked.maxEpochs }),
      start: { stage: plan.stages.at(-1)!.name, checkpoint: 'annealed' },
    });
    const mixed = mixedBlends(asked.candidate, asked.web, asked.share);
    return {
      ...plan,
      preset: plan.preset ?? ('microanneal' as const),
      stages: [
        ...plan.stages,
        own([MICROANNEAL.candidate, mixed]),
        own([MICROANNEAL.web, asked.web]),
      ],
    };
  });

/** Two blends as one; a data set that is in both has both shares. */
function mixedBlends(
  first: Readonly<Record<string, number>>,
  second: Readonly<Record<string, number>>,
  share: number,
): Record<string, number> {
  const mixed = new Map<string, number>();
  for (const [blended, part] of [
    [first, share],
    [second, 1 - share],
  ] as const) {
    const entries = Object.entries(blended);
    const sum = entries.reduce((all, [, weight]) => all + weight, 0);
    // A sum of 0 stays: the plan refuses it by name.
    for (const [name, weight] of entries) {
      mixed.set(name, (mixed.get(name) ?? 0) + (part * weight) / (sum || 1));
    }
  }
  return Object.fromEntries(mixed);
}

/** A checked plan, what presets fill in still left out. */
export type PlanConfig = z.infer<typeof schema>;
/** A stage of it. */
export type StageConfig = z.infer<typeof stage>;
/** A plan as it is written. */
export type PlanInput = z.input<typeof schema>;

/**
 * Checks the form of a plan; resolvePlan() checks what it means.
 *
 * @param file named in the error
 * @throws CONTINUAL_PLAN_INVALID naming every key that is wrong
 */
export function checkPlan(input: unknown, file = 'the plan'): PlanConfig {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const reason = faultsOf(parsed.error, input)
    .map(({ path, message }) => `${placeOf(input, path)}: ${message}`)
    .join('; ');
  throw new GristmillError('CONTINUAL_PLAN_INVALID', { file, reason });
}

/** A key by its path; stages by their names, where they have one. */
function placeOf(input: unknown, path: readonly PropertyKey[]): string {
  const [first, index, ...rest] = path;
  if (first !== 'stages' || typeof index !== 'number') return path.join('.') || 'plan';
  const { name } = ((input as { stages: unknown[] }).stages[index] ?? {}) as { name?: unknown };
  const stage = typeof name === 'string' ? `stage ${name}` : `stages.${index}`;
  return rest.length === 0 ? stage : `${stage}: ${rest.join('.')}`;
}

/** Reads a plan. @throws CONTINUAL_PLAN_INVALID */
export function readPlan(file: string): PlanConfig {
  return checkPlan(readYaml(file, 'CONTINUAL_PLAN_INVALID'), file);
}
