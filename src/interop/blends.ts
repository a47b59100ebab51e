/**
 * Mixtures in the form that other trainers read: paths with weights.
 *
 * gpt-neox     configs/local_setup.yml: `train-data-paths` and `train-data-weights`
 * megatron     Megatron-LM `--data-args-path FILE`: weights and path prefixes, split at white space (`--data-path` alike)
 * nanotron     `data_stages[].data.dataset` (NanosetDatasetsArgs): `dataset_folder` and `dataset_weights`
 * olmo-core    olmo_core.data.source_mixture.SourceMixtureList as YAML: `source_name`, `target_ratio`, `paths`
 * torchtitan   `InterleavedHuggingFaceTextDataLoader.Config(sources=[HFDataSource(…)])`, a piece of a config_registry
 * litgpt       no setting for blends: a function that makes litdata's `CombinedStreamingDataset` for a DataModule
 * hf           for the Trainer of transformers: the planned rows, or `datasets.interleave_datasets` with probabilities
 * axolotl      `datasets` in YAML, which has no weights: each is read whole. The weights stand beside as comments
 * mosaicml-streaming   `StreamingDataset(streams=[Stream(…)])` with `choose`, or `proportion`
 *
 * Weights are shares of sequences of equal length, and so of tokens, in all of them but Axolotl, which has none. They are
 * written with six decimals that sum to 1 exactly (OLMo-core checks the sum); domains without weight are left out. The forms
 * are those of the releases in releases.ts; what reads the text is the trainer, so that names and paths are quoted for it.
 */
import { GristmillError } from '../errors.ts';
import {
  batchText,
  hfBlend,
  litgptBlend,
  streamingBlend,
  torchtitanBlend,
  WEIGHT_DECIMALS,
  weightText,
} from './blend-python.ts';
import { BLEND_TARGETS, type BlendTarget } from './blend-targets.ts';
import type { BlendEntry, BlendSizes } from './blend-types.ts';
import { quoted } from './quoted.ts';
import { TRIED_WITH } from './releases.ts';

export type { BlendEntry, BlendSizes } from './blend-types.ts';

/** Options of {@link exportBlend}. */
export interface ExportBlendOptions {
  readonly entries: readonly BlendEntry[];
  /** Of the trainer's own draws, where its form has one. Default 42. */
  readonly seed?: number;
  /** The steps that it is for, where they are known. */
  readonly sizes?: BlendSizes | undefined;
}

type Writer = (entries: readonly BlendEntry[], seed: number, sizes: BlendSizes | null) => string;

const WRITERS: Readonly<Record<BlendTarget, Writer>> = {
  'gpt-neox': gptNeox,
  megatron,
  nanotron,
  'olmo-core': olmoCore,
  torchtitan: torchtitanBlend,
  litgpt: litgptBlend,
  hf: hfBlend,
  axolotl,
  'mosaicml-streaming': streamingBlend,
};

/**
 * A blend as the text of a file (or a piece of one) for a trainer.
 *
 * @throws OPTION_INVALID for an unknown trainer, weights that sum to something else than 1, no weight above 0, or a path
 *   that the trainer's form cannot hold
 */
export function exportBlend(
  target: BlendTarget,
  { entries, seed = 42, sizes }: ExportBlendOptions,
): string {
  const writer = Object.hasOwn(WRITERS, target) ? WRITERS[target] : undefined;
  if (!writer) invalid('target', BLEND_TARGETS.join(', '), target);
  return writer!(checked(entries), seed, sizes ?? null);
}

/** Domains that have a weight which is nothing on the grid, and are left out of a blend. */
export function leftOutOfBlend(entries: readonly BlendEntry[]): string[] {
  const kept = new Set(onGrid(entries).map(({ name }) => name));
  return entries
    .filter(({ name, weight }) => weight > 0 && !kept.has(name))
    .map(({ name }) => name);
}

/** Weights that sum to 1, on the grid. */
function checked(entries: readonly BlendEntry[]): BlendEntry[] {
  const names = new Set<string>();
  for (const { name } of entries) {
    if (names.has(name)) invalid('names', 'distinct ones', name);
    names.add(name);
  }
  const sum = entries.reduce((total, { weight }) => total + weight, 0);
  if (!(Math.abs(sum - 1) < 1e-6) || entries.some(({ weight }) => !(weight >= 0))) {
    invalid('weights', 'numbers of 0 or more that sum to 1', sum);
  }
  return onGrid(entries);
}

/** Weights on the grid of 1e-6 that sum to 1 (largest remainder); what is nothing there is left out. */
function onGrid(entries: readonly BlendEntry[]): BlendEntry[] {
  const units = 10 ** WEIGHT_DECIMALS;
  const steps = entries.map(({ weight }) => Math.floor(weight * units));
  const missing = units - steps.reduce((sum, step) => sum + step, 0);
  const order = [...entries.keys()].sort(
    (left, right) =>
      entries[right]!.weight * units -
        steps[right]! -
        (entries[left]!.weight * units - steps[left]!) || left - right,
  );
  for (const index of order.slice(0, missing)) steps[index]!++;
  return entries.flatMap((entry, index) =>
    steps[index]! > 0 ? [{ ...entry, weight: steps[index]! / units }] : [],
  );
}

/** JSON is YAML: a quoted string is the same in both. */
function gptNeox(entries: readonly BlendEntry[]): string {
  const lines = entries.map(({ path }) => `    ${quoted(path)}`);
  return [
    `# Form of ${TRIED_WITH['gpt-neox']}.`,
    '{',
    '  "train-data-paths": [',
    lines.join(',\n'),
    '  ],',
    `  "train-data-weights": [${entries.map(({ weight }) => weightText(weight)).join(', ')}],`,
    '  "weight_by_num_documents": false',
    '}',
    '',
  ].join('\n');
}

function megatron(entries: readonly BlendEntry[]): string {
  return entries
    .map(({ weight, path }) => {
      if (path === '' || /\s/.test(path)) {
        invalid('path', 'a path without white space, at which Megatron-LM splits', path);
      }
      return `${weightText(weight)} ${path}\n`;
    })
    .join('');
}

function nanotron(entries: readonly BlendEntry[], seed: number): string {
  return nanotronStages([{ name: 'mixture', firstStep: 1, entries }], seed);
}

/** A stretch of steps under one blend. */
export interface BlendStage {
  readonly name: string;
  /** 1 for the first one. */
  readonly firstStep: number;
  readonly entries: readonly BlendEntry[];
}

/**
 * Blends that follow each other, as nanotron's `data_stages`; of these trainers it alone changes them by itself.
 *
 * @throws OPTION_INVALID as {@link exportBlend} does
 */
export function exportBlendStages(stages: readonly BlendStage[], seed = 42): string {
  return nanotronStages(
    stages.map((stage) => ({ ...stage, entries: checked(stage.entries) })),
    seed,
  );
}

function nanotronStages(stages: readonly BlendStage[], seed: number): string {
  return [
    `# Form of ${TRIED_WITH.nanotron}.`,
    'data_stages:',
    ...stages.flatMap(({ name, firstStep, entries }) => [
      `  - name: ${/^[a-z][a-z0-9-]*$/.test(name) ? name : quoted(name)}`,
      `    start_training_step: ${firstStep}`,
      '    data:',
      '      dataset:',
      '        dataset_folder:',
      ...entries.map(({ path }) => `          - ${quoted(path)}`),
      '        dataset_weights:',
      ...entries.map(({ weight }) => `          - ${weightText(weight)}`),
      '      num_loading_workers: 1',
      `      seed: ${seed}`,
    ]),
    '',
  ].join('\n');
}

/** Sources are read once unless it is said that they may be read more often. */
function olmoCore(entries: readonly BlendEntry[], _seed: number, sizes: BlendSizes | null): string {
  const head = sizes
    ? [
        `# Form of ${TRIED_WITH['olmo-core']}, for the SourceMixtureDatasetConfig of source_mixture.py.`,
      ]
    : [
        `# Form of ${TRIED_WITH['olmo-core']}. Sources are read once; one that may be read again needs max_repetition_ratio.`,
        '# requested_tokens: a step more than is trained on, as rounding may leave some out.',
      ];
  return [
    ...head,
    'sources:',
    ...entries.flatMap((entry) => [
      `  - source_name: ${quoted(entry.name)}`,
      `    target_ratio: ${weightText(entry.weight)}`,
      ...(sizes ? [`    max_repetition_ratio: ${repetitionsOf(entry, sizes)}`] : []),
      '    paths:',
      `      - ${quoted(entry.path)}`,
    ]),
    '',
  ].join('\n');
}

/** Tokens that OLMo-core is asked for: a step more, as it rounds sources down. */
export function requestedTokens({ nSteps, sequencesPerStep, nCtx }: BlendSizes): number {
  return (nSteps + 1) * sequencesPerStep * nCtx;
}

/** The epochs that are allowed, and no less than what is asked for needs. */
function repetitionsOf({ weight, tokens }: BlendEntry, sizes: BlendSizes): string {
  const needed = tokens ? (requestedTokens(sizes) * (weight + 1e-6)) / tokens : 1;
  const ratio = Math.max(1, sizes.maxEpochs, Math.ceil(needed * 1000) / 1000);
  return Number.isInteger(ratio) ? ratio.toFixed(1) : String(ratio);
}

/** The mixture of blend.yaml for a stage, with the tokens that it must be asked for. */
export function olmoCoreMixture(sizes: BlendSizes, seed: number, blendFile: string): string {
  const batch = sizes.sequencesPerStep * sizes.nCtx;
  return [
    `# For a NumpyDatasetConfig of ${TRIED_WITH['olmo-core']}: ${batchText(sizes)}.`,
    'import pathlib',
    '',
    'import yaml',
    'from olmo_core.data.source_mixture import SourceMixtureDatasetConfig, SourceMixtureList',
    '',
    `SEQUENCE_LENGTH = ${sizes.nCtx}`,
    `GLOBAL_BATCH_TOKENS = ${batch}`,
    '# A step more than is trained on: sources are rounded, and a mixture that is short begins its next epoch.',
    `REQUESTED_TOKENS = ${requestedTokens(sizes)}`,
    '',
    `with open(pathlib.Path(__file__).with_name(${quoted(blendFile)})) as file:`,
    '    SOURCES = SourceMixtureList.from_dict(yaml.safe_load(file))',
    '',
    'MIXTURE = SourceMixtureDatasetConfig(',
    '    source_list=SOURCES,',
    '    requested_tokens=REQUESTED_TOKENS,',
    '    global_batch_size=GLOBAL_BATCH_TOKENS,',
    `    seed=${seed},`,
    ')',
    '',
  ].join('\n');
}

function axolotl(entries: readonly BlendEntry[]): string {
  return [
    `# Form of ${TRIED_WITH.axolotl}.`,
    '# Axolotl has no weights: it reads every dataset whole. Cut the datasets to these shares of the tokens first',
    '# (gristmill mix apply writes a corpus of exact shares, which then is the one path here).',
    'datasets:',
    ...entries.flatMap(({ name, weight, path }) => [
      `  # ${quoted(name)}: ${weightText(weight)}`,
      `  - path: ${quoted(path)}`,
      '    type: completion',
    ]),
    '',
  ].join('\n');
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
