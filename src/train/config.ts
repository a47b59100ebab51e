/**
 * The configuration of `gristmill train`: YAML or JSON, checked whole before anything starts.
 */
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { scheduleSchema } from '../schedules/spec.ts';
import { faultText } from '../schema.ts';
import { readYaml } from '../yaml-file.ts';
import {
  batchSchema,
  deviceSchema,
  KEEPS_TOKENIZER,
  modelSchema,
  optimizerSchema,
  tokenizerSchema,
} from './config-parts.ts';

const everyRun = {
  /** Folder of everything that comes out. */
  out: z.string().min(1),
  /** CPU threads; all cores without it. Not part of the run: the result is the same. */
  nThreads: z.int().min(1).optional(),
  /** Steps between checkpoints; 0 for none but the last. */
  checkpointEvery: z.int().min(0).default(100),
};

const common = {
  ...everyRun,
  model: modelSchema,
  /** A GGUF file with a tokenizer; not needed where the model comes from one. */
  tokenizer: tokenizerSchema.optional(),
  steps: z.int().min(1).optional(),
  epochs: z.number().positive().optional(),
  batch: batchSchema,
  schedule: z.union(
    [
      z.strictObject({
        kind: z.enum(['constant', 'cosine']).default('cosine'),
        peakLr: z.number().min(0),
        minLr: z.number().min(0).default(0),
        warmupSteps: z.int().min(0).default(0),
      }),
      /** Any schedule of schedules/spec.ts. */
      z.strictObject({ curve: scheduleSchema }),
    ],
    { error: 'expected { kind, peakLr, minLr, warmupSteps } or { curve: SCHEDULE }' },
  ),
  optimizer: optimizerSchema,
  seed: z.int().min(0).default(0),
  /** `cpu` or `cuda:<index>`; part of the run, as another device rounds differently. The CPU without it. */
  device: deviceSchema.optional(),
  /** Of the products of weights; part of the run. Weights and moments are float32 all the same. On the CPU only. */
  precision: z.enum(['float32', 'bf16']).optional(),
  /** Steps between measurements of the validation data; 0 for the end only. */
  evalEvery: z.int().min(0).default(100),
  export: z
    .strictObject({
      type: z.enum(['f32', 'bf16', 'q8_0']).default('bf16'),
      name: z.string().default('gristmill model'),
    })
    .prefault({}),
};

const corpus = z.strictObject({
  inputs: z.array(z.string().min(1)).min(1),
  textColumn: z.string().min(1).optional(),
});

const share = z.number().min(0).max(1);

/** Options of the line scorer (LineTrainingOptions) that a run may set; the others have their defaults. */
const lineTraining = z.strictObject({
  nEmbd: z.int().min(2).optional(),
  nLayer: z.int().min(1).optional(),
  nHead: z.int().min(1).optional(),
  nFf: z.int().min(1).optional(),
  hashBits: z.int().min(1).max(20).optional(),
  maxBins: z.int().min(2).max(256).optional(),
  /** False: neither regression nor trees below the network. */
  stack: z.boolean().default(true),
  nCtx: z.int().min(2).optional(),
  nSeq: z.int().min(1).optional(),
  nEpochs: z.int().min(1).optional(),
  peakLr: z.number().min(0).optional(),
  weightDecay: z.number().min(0).optional(),
  dropout: z.strictObject({ words: share, features: share }).optional(),
  labelSmoothing: z.number().min(0).max(0.999).optional(),
  perLogChars: z.number().min(0).optional(),
  thinShares: z.array(share).optional(),
  extraWeight: z.number().min(0).optional(),
  seed: z.int().min(0).optional(),
});

const schema = z
  .discriminatedUnion('objective', [
    z.strictObject({
      objective: z.literal('pretrain'),
      data: corpus.extend({
        /** Neither attention nor prediction crosses the border of a document. */
        maskDocuments: z.boolean().default(false),
      }),
      validation: corpus.optional(),
      ...common,
    }),
    z.strictObject({
      objective: z.literal('sft'),
      /** JSON rows of the forms that conversation.ts reads. */
      data: z.strictObject({
        inputs: z.array(z.string().min(1)).min(1),
        /** Whose template and first tokens; default those of the tokenizer's file. */
        profile: z.string().min(1).optional(),
        /** The stage of the profile. Default `chunk`. */
        stage: z.enum(['document', 'chunk']).optional(),
      }),
      validation: z.strictObject({ inputs: z.array(z.string().min(1)).min(1) }).optional(),
      ...common,
    }),
    z.strictObject({
      objective: z.literal('line-score'),
      ...everyRun,
      /** Labelled pages: JSON lines as gold.ts describes them. */
      data: z.strictObject({ inputs: z.array(z.string().min(1)).min(1) }),
      /** Pages of another kind or judged in part, at `training.extraWeight`. */
      extra: z.strictObject({ inputs: z.array(z.string().min(1)).min(1) }).optional(),
      /** Folds by domain that calibration, thresholds and measures come from. */
      folds: z.int().min(2).default(5),
      training: lineTraining.prefault({}),
      export: z
        .strictObject({
          type: z.enum(['f32', 'bf16', 'q8_0']).default('q8_0'),
          name: z.string().default('gristmill line scorer'),
        })
        .prefault({}),
    }),
  ])
  .refine(
    (config) =>
      config.objective === 'line-score' ||
      (config.steps === undefined) !== (config.epochs === undefined),
    {
      path: ['steps'],
      error: 'exactly one of steps and epochs',
    },
  )
  .refine(
    (config) =>
      config.objective === 'line-score' ||
      !('warmupSteps' in config.schedule) ||
      config.schedule.warmupSteps <= (config.steps ?? Number.POSITIVE_INFINITY),
    { path: ['schedule', 'warmupSteps'], error: 'expected at most as many as steps' },
  )
  .refine(
    (config) =>
      config.objective === 'line-score' || 'from' in config.model || config.tokenizer !== undefined,
    {
      path: ['tokenizer'],
      error: 'a new model needs a tokenizer: path or train',
    },
  )
  .refine(
    (config) =>
      config.objective === 'line-score' ||
      config.precision !== 'bf16' ||
      (config.device ?? 'cpu') === 'cpu',
    { path: ['precision'], error: 'bf16 is for the CPU; expected float32 on another device' },
  )
  .refine(
    (config) =>
      config.objective === 'line-score' ||
      !('from' in config.model && config.tokenizer && 'train' in config.tokenizer),
    { path: ['tokenizer'], error: KEEPS_TOKENIZER },
  );

/** A checked configuration with all defaults filled in. */
export type TrainConfig = z.infer<typeof schema>;
/** Of a language model. */
export type LmTrainConfig = Exclude<TrainConfig, { objective: 'line-score' }>;
/** Of a line scorer. */
export type LineTrainConfig = Extract<TrainConfig, { objective: 'line-score' }>;
/** A configuration as it is written. */
export type TrainConfigInput = z.input<typeof schema>;

/**
 * Checks a configuration.
 *
 * @param source named in the error
 * @throws TRAIN_CONFIG_INVALID naming every key that is wrong
 */
export function checkTrainConfig(input: unknown, source = 'the configuration'): TrainConfig {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new GristmillError('TRAIN_CONFIG_INVALID', {
    file: source,
    reason: faultText(parsed.error, input, 'configuration'),
  });
}

/** Reads a configuration file. @throws TRAIN_CONFIG_INVALID */
export function readTrainConfig(file: string): TrainConfig {
  return checkTrainConfig(readYaml(file, 'TRAIN_CONFIG_INVALID'), file);
}
