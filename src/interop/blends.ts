/**
 * Mixtures in the form that other trainers read: paths with weights.
 *
 * gpt-neox     configs/local_setup.yml: `train-data-paths` and `train-data-weights`
 * megatron     Megatron-LM `--data-args-path FILE`: weights and path prefixes, split at white space (`--data-path` alike)
 * nanotron     `data_stages[].data.dataset` (NanosetDatasetsArgs): `dataset_folder` and `dataset_weights`
 * olmo-core    olmo_core.data.source_mixture.SourceMixtureList as YAML: `source_name`, `target_ratio`, `paths`
 * torchtitan   `DatasetMixConfig(datasets=(WeightedDataset(…),))` of its Grain data (b5bcd76c), a piece of a config_registry;
 *              each child is packed before it is mixed, so that weights count sequences
 * litgpt       no setting for blends: a function that makes litdata's `CombinedStreamingDataset` for a DataModule
 * hf           `datasets.interleave_datasets` with probabilities, for the Trainer of transformers
 * axolotl      `datasets` in YAML, which has no weights: each is read whole. The weights stand beside as comments
 *
 * Weights are shares of sequences of equal length, and so of tokens, in all of them but Axolotl, which has none. They are
 * written with six decimals that sum to 1 exactly (OLMo-core checks the sum); domains without weight are left out. The forms
 * are those of the trainers' public repositories; what reads the text is the trainer, so that names and paths are quoted for
 * it.
 */
import { GristmillError } from '../errors.ts';
import { quoted } from './quoted.ts';

/** A domain of a blend. */
export interface BlendEntry {
  readonly name: string;
  /** 0 or more; all of them sum to 1. */
  readonly weight: number;
  /** Where its data lie, in the trainer's own form: a prefix, a folder, a file or a glob. */
  readonly path: string;
}

/** Options of {@link exportBlend}. */
export interface ExportBlendOptions {
  readonly entries: readonly BlendEntry[];
  /** Of the trainer's own draws, where its form has one. Default 42. */
  readonly seed?: number;
}

type Writer = (entries: readonly BlendEntry[], seed: number) => string;

/** Trainers by name. */
export const BLEND_TARGETS = Object.freeze([
  'gpt-neox',
  'megatron',
  'nanotron',
  'olmo-core',
  'torchtitan',
  'litgpt',
  'hf',
  'axolotl',
] as const);

/** Name of a trainer. */
export type BlendTarget = (typeof BLEND_TARGETS)[number];

const WRITERS: Readonly<Record<BlendTarget, Writer>> = {
  'gpt-neox': gptNeox,
  megatron,
  nanotron,
  'olmo-core': olmoCore,
  torchtitan,
  litgpt,
  hf,
  axolotl,
};

const DECIMALS = 6;

/**
 * A blend as the text of a file (or a piece of one) for a trainer.
 *
 * @throws OPTION_INVALID for an unknown trainer, weights that sum to something else than 1, no weight above 0, or a path
 *   that the trainer's form cannot hold
 */
export function exportBlend(
  target: BlendTarget,
  { entries, seed = 42 }: ExportBlendOptions,
): string {
  const writer = Object.hasOwn(WRITERS, target) ? WRITERS[target] : undefined;
  if (!writer) invalid('target', BLEND_TARGETS.join(', '), target);
  return writer!(checked(entries), seed);
}

/** Weights that sum to 1, on the grid. */
function checked(entries: readonly BlendEntry[]): BlendEntry[] {
  const sum = entries.reduce((total, { weight }) => total + weight, 0);
  if (!(Math.abs(sum - 1) < 1e-6) || entries.some(({ weight }) => !(weight >= 0))) {
    invalid('weights', 'numbers of 0 or more that sum to 1', sum);
  }
  return onGrid(entries);
}

/** Weights on the grid of 1e-6 that sum to 1 (largest remainder); what is nothing there is left out. */
function onGrid(entries: readonly BlendEntry[]): BlendEntry[] {
  const units = 10 ** DECIMALS;
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
    '{',
    '  "train-data-paths": [',
    lines.join(',\n'),
    '  ],',
    `  "train-data-weights": [${entries.map(({ weight }) => decimal(weight)).join(', ')}],`,
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
      return `${decimal(weight)} ${path}\n`;
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
    'data_stages:',
    ...stages.flatMap(({ name, firstStep, entries }) => [
      `  - name: ${/^[a-z][a-z0-9-]*$/.test(name) ? name : quoted(name)}`,
      `    start_training_step: ${firstStep}`,
      '    data:',
      '      dataset:',
      '        dataset_folder:',
      ...entries.map(({ path }) => `          - ${quoted(path)}`),
      '        dataset_weights:',
      ...entries.map(({ weight }) => `          - ${decimal(weight)}`),
      '      num_loading_workers: 1',
      `      seed: ${seed}`,
    ]),
    '',
  ].join('\n');
}

function olmoCore(entries: readonly BlendEntry[]): string {
  return [
    'sources:',
    ...entries.flatMap(({ name, weight, path }) => [
      `  - source_name: ${quoted(name)}`,
      `    target_ratio: ${decimal(weight)}`,
      '    paths:',
      `      - ${quoted(path)}`,
    ]),
    '',
  ].join('\n');
}

function torchtitan(entries: readonly BlendEntry[]): string {
  return [
    '# For a Trainer.Config of torchtitan; each dataset must be registered in DATASETS under its name.',
    'from torchtitan.components.data import (',
    '    ConcatThenSplitPackingConfig,',
    '    DatasetMixConfig,',
    '    GrainDataLoader,',
    '    WeightedDataset,',
    ')',
    'from torchtitan.hf_datasets.text_datasets import DATASETS',
    '',
    '# Name, where its data lie, weight.',
    'BLEND = [',
    ...entries.map(
      ({ name, weight, path }) => `    (${quoted(name)}, ${quoted(path)}, ${decimal(weight)}),`,
    ),
    ']',
    '',
    'dataloader = GrainDataLoader.Config(',
    '    dataset=DatasetMixConfig(',
    '        datasets=tuple(',
    '            WeightedDataset(',
    '                dataset=ConcatThenSplitPackingConfig(dataset=DATASETS[name]),',
    '                weight=weight,',
    '            )',
    '            for name, _, weight in BLEND',
    '        ),',
    '    ),',
    ')',
    '',
  ].join('\n');
}

/** The blend as a list of Python: name, path, weight. */
function blendList(entries: readonly BlendEntry[]): string[] {
  return [
    'BLEND = [',
    ...entries.map(
      ({ name, weight, path }) => `    (${quoted(name)}, ${quoted(path)}, ${decimal(weight)}),`,
    ),
    ']',
  ];
}

function litgpt(entries: readonly BlendEntry[], seed: number): string {
  return [
    '# For train_dataloader() of a litgpt DataModule; each folder is the output of litdata.optimize().',
    'from litdata.streaming import CombinedStreamingDataset, StreamingDataset, TokensLoader',
    '',
    ...blendList(entries),
    '',
    '',
    `def blended_dataset(block_size: int, seed: int = ${seed}) -> CombinedStreamingDataset:`,
    '    """block_size is one more than the length of a sequence."""',
    '    datasets = [',
    '        StreamingDataset(',
    '            input_dir=path,',
    '            item_loader=TokensLoader(block_size=block_size),',
    '            shuffle=True,',
    '            drop_last=True,',
    '        )',
    '        for _, path, _ in BLEND',
    '    ]',
    '    weights = [weight for _, _, weight in BLEND]',
    '    return CombinedStreamingDataset(datasets=datasets, seed=seed, weights=weights)',
    '',
  ].join('\n');
}

function hf(entries: readonly BlendEntry[], seed: number): string {
  return [
    '# For the Trainer of transformers. Rows of each dataset must be token sequences of equal length: shares are of rows.',
    'from datasets import interleave_datasets, load_from_disk',
    '',
    '# Name, folder of save_to_disk(), weight.',
    ...blendList(entries),
    '',
    '',
    `def blended_dataset(seed: int = ${seed}):`,
    '    """Draws by weight; ends where the first of the datasets has run out."""',
    '    return interleave_datasets(',
    '        [load_from_disk(path) for _, path, _ in BLEND],',
    '        probabilities=[weight for _, _, weight in BLEND],',
    '        seed=seed,',
    '        stopping_strategy="first_exhausted",',
    '    )',
    '',
  ].join('\n');
}

function axolotl(entries: readonly BlendEntry[]): string {
  return [
    '# Axolotl has no weights: it reads every dataset whole. Cut the datasets to these shares of the tokens first',
    '# (gristmill mix apply writes a corpus of exact shares, which then is the one path here).',
    'datasets:',
    ...entries.flatMap(({ name, weight, path }) => [
      `  # ${quoted(name)}: ${decimal(weight)}`,
      `  - path: ${quoted(path)}`,
      '    type: completion',
    ]),
    '',
  ].join('\n');
}

function decimal(weight: number): string {
  return weight.toFixed(DECIMALS);
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
