/**
 * Blends of the trainers that take them in code only: a piece of Python each.
 *
 * Where a plan counts the sequences of every source, a blend holds exactly those; else the weights alone stand in it, and
 * sources begin anew where they end, so that the smallest one does not end the blend.
 */
import type { BlendEntry, BlendSizes } from './blend-types.ts';
import { quoted } from './quoted.ts';
import { TRIED_WITH } from './releases.ts';

/** Decimals of written weights. */
export const WEIGHT_DECIMALS = 6;

/** A weight as it is written. */
export function weightText(weight: number): string {
  return weight.toFixed(WEIGHT_DECIMALS);
}

/** A list of Python: name, path, and what `last` says. */
function blendList(
  entries: readonly BlendEntry[],
  last: (entry: BlendEntry) => string = ({ weight }) => weightText(weight),
): string[] {
  return [
    'BLEND = [',
    ...entries.map(
      (entry) => `    (${quoted(entry.name)}, ${quoted(entry.path)}, ${last(entry)}),`,
    ),
    ']',
  ];
}

/** True where a plan counts the sequences of all of them. */
function areCounted(entries: readonly BlendEntry[]): boolean {
  return entries.every(({ nSequences }) => nSequences !== undefined);
}

/** torchtitan. */
export function torchtitanBlend(
  entries: readonly BlendEntry[],
  seed: number,
  sizes: BlendSizes | null,
): string {
  return [
    `# For a Trainer.Config of ${TRIED_WITH.torchtitan}; each dataset must be registered in DATASETS under its name.`,
    '# Sources are packed before they are mixed, so that weights count sequences; they begin anew where they end.',
    ...(sizes ? [`# training: ${batchText(sizes)}.`] : []),
    'from torchtitan.hf_datasets.text_datasets import HFDataSource, InterleavedHuggingFaceTextDataLoader',
    '',
    '# Name, where its data lie, weight.',
    ...blendList(entries),
    '',
    'dataloader = InterleavedHuggingFaceTextDataLoader.Config(',
    '    sources=[',
    '        HFDataSource(dataset=name, dataset_path=path, weight=weight, infinite=True)',
    '        for name, path, weight in BLEND',
    '    ],',
    `    seed=${seed},`,
    ')',
    '',
  ].join('\n');
}

/** litgpt. */
export function litgptBlend(
  entries: readonly BlendEntry[],
  seed: number,
  sizes: BlendSizes | null,
): string {
  return [
    `# For train_dataloader() of a litgpt DataModule (${TRIED_WITH.litgpt}); each folder is the output of litdata.optimize().`,
    ...(sizes ? [`# ${batchText(sizes)}: block_size is ${sizes.nCtx + 1}.`] : []),
    'from litdata.streaming import CombinedStreamingDataset, StreamingDataset, TokensLoader',
    '',
    ...blendList(entries),
    '',
    '',
    'class EndlessStreamingDataset(StreamingDataset):',
    '    """Begins its next epoch where one ends: a blend would end with its smallest source."""',
    '',
    '    def __next__(self):',
    '        try:',
    '            return super().__next__()',
    '        except StopIteration:',
    '            iter(self)',
    '            return super().__next__()',
    '',
    '',
    `def blended_dataset(block_size: int, seed: int = ${seed}) -> CombinedStreamingDataset:`,
    '    """Without an end; block_size is one more than the length of a sequence."""',
    '    datasets = [',
    '        EndlessStreamingDataset(',
    '            input_dir=path,',
    '            item_loader=TokensLoader(block_size=block_size),',
    '            shuffle=True,',
    '            drop_last=True,',
    '        )',
    '        for _, path, _ in BLEND',
    '    ]',
    '    weights = [weight for _, _, weight in BLEND]',
    '    return CombinedStreamingDataset(',
    '        datasets=datasets, seed=seed, weights=weights, iterate_over_all=False',
    '    )',
    '',
  ].join('\n');
}

/** The Trainer of transformers. */
export function hfBlend(
  entries: readonly BlendEntry[],
  seed: number,
  sizes: BlendSizes | null,
): string {
  const head = [
    `# For the Trainer of transformers (${TRIED_WITH.hf}).`,
    ...(sizes
      ? [
          `# Rows of each dataset must be sequences of ${sizes.nCtx} tokens. ${batchText(sizes)}:`,
          `# per_device_train_batch_size x gradient_accumulation_steps x devices must be ${sizes.sequencesPerStep}.`,
        ]
      : ['# Rows of each dataset must be token sequences of equal length: shares are of rows.']),
  ];
  if (areCounted(entries)) {
    return [
      ...head,
      'import numpy',
      'from datasets import concatenate_datasets, load_from_disk',
      '',
      '# Name, folder of save_to_disk(), rows that are trained on.',
      ...blendList(entries, ({ nSequences }) => String(nSequences)),
      '',
      '',
      `def blended_dataset(seed: int = ${seed}):`,
      '    """Exactly those rows, each source in whole epochs of an order of their own, shuffled together."""',
      '    random = numpy.random.default_rng(seed)',
      '    parts = []',
      '    for _, path, n_rows in BLEND:',
      '        data = load_from_disk(path)',
      '        n_epochs = -(-n_rows // len(data))',
      '        rows = [random.permutation(len(data)) for _ in range(n_epochs)]',
      '        parts.append(data.select(numpy.concatenate(rows)[:n_rows]))',
      '    return concatenate_datasets(parts).shuffle(seed=seed)',
      '',
    ].join('\n');
  }
  return [
    ...head,
    'from datasets import interleave_datasets, load_from_disk',
    '',
    '# Name, folder of save_to_disk(), weight.',
    ...blendList(entries),
    '',
    '',
    `def blended_dataset(seed: int = ${seed}):`,
    '    """Draws by weight until every dataset has been seen once; smaller ones begin anew where they end."""',
    '    return interleave_datasets(',
    '        [load_from_disk(path) for _, path, _ in BLEND],',
    '        probabilities=[weight for _, _, weight in BLEND],',
    '        seed=seed,',
    '        stopping_strategy="all_exhausted",',
    '    )',
    '',
  ].join('\n');
}

/** MosaicML Streaming. */
export function streamingBlend(
  entries: readonly BlendEntry[],
  seed: number,
  sizes: BlendSizes | null,
): string {
  const counted = areCounted(entries);
  return [
    `# For a DataLoader over ${TRIED_WITH['mosaicml-streaming']}; each folder holds MDS shards of token sequences of equal length.`,
    ...(sizes
      ? [`# ${batchText(sizes)}: batch_size x devices must be ${sizes.sequencesPerStep}.`]
      : []),
    'from streaming import Stream, StreamingDataset',
    '',
    counted
      ? '# Name, folder, samples of an epoch: all that is trained on.'
      : '# Name, folder, share of the samples.',
    ...(counted ? blendList(entries, ({ nSequences }) => String(nSequences)) : blendList(entries)),
    '',
    '',
    `def blended_dataset(batch_size: int, seed: int = ${seed}, **options) -> StreamingDataset:`,
    '    """batch_size is that of a device. Samples are repeated where a stream has fewer than are asked for."""',
    '    return StreamingDataset(',
    counted
      ? '        streams=[Stream(local=path, choose=n_samples) for _, path, n_samples in BLEND],'
      : '        streams=[Stream(local=path, proportion=share) for _, path, share in BLEND],',
    '        batch_size=batch_size,',
    '        shuffle=True,',
    '        shuffle_seed=seed,',
    '        **options,',
    '    )',
    '',
  ].join('\n');
}

/** A step in words. */
export function batchText({ nSteps, sequencesPerStep, nCtx }: BlendSizes): string {
  return `${nSteps} steps of ${sequencesPerStep} sequences of ${nCtx} tokens`;
}
