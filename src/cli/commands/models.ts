/** The definition of `gristmill models`; what it does is in ../models.ts. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ConvertedType } from '../../model/hub-cache.ts';
import { RANDOM_MODEL_PRESETS } from '../../model/random.ts';
import type { DecayShape } from '../../schedules/spec.ts';
import { list, positive, share, toCount, toNumber, wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { ConvertFlags, PullFlags, RandomFlags } from '../models.ts';
import type { MergeFlags } from '../models-merge.ts';

const DECAY_SHAPES = Object.keys({
  linear: true,
  cosine: true,
  'inverse-sqrt': true,
  '1-sqrt': true,
  exponential: true,
} satisfies Record<DecayShape, true>);
const TYPES = ['bf16', 'f16', 'f32', 'q8_0'] as const satisfies readonly ConvertedType[];

/** The `models` command. */
export function modelsCommand(): Command {
  const models = new Command('models').description('look at and make model files');
  const inspect = models
    .command('inspect')
    .description('what a GGUF file holds')
    .argument('<file>', 'GGUF file')
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object')
    .action(async (file: string, flags: { readonly json?: boolean }) =>
      (await import('../models.ts')).inspect(file, flags),
    );
  withExamples(inspect, [
    [
      'gristmill models inspect models/default-chunk.gguf',
      'its shape, its vocabulary, its thresholds',
    ],
  ]);
  const convert = models
    .command('convert')
    .description('a folder with a Hugging Face model to one GGUF file')
    .argument('<dir>', 'folder with config.json, safetensors and a tokenizer')
    .optionsGroup('Output:')
    .requiredOption('--out <file>', 'GGUF file to write')
    .addOption(typeOption())
    .option('--name <text>', 'name of the model in the file')
    .option('--json', 'print one JSON object')
    .action(async (dir: string, flags: ConvertFlags) =>
      (await import('../models.ts')).convert(dir, flags),
    );
  withExamples(convert, [
    ['gristmill models convert my-model --out my-model.gguf --type q8_0', 'matrices in 8 bits'],
  ]);
  const pull = models
    .command('pull')
    .description('a model of the Hugging Face hub, converted into the cache')
    .argument('<repo>', 'OWNER/NAME, or OWNER/NAME@REVISION')
    .optionsGroup('Output:')
    .addOption(typeOption())
    .option('--keep-source', 'keep the downloaded files')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\n$HF_ENDPOINT is where models come from, $HF_TOKEN who you are.')
    .action(async (name: string, flags: PullFlags) =>
      (await import('../models.ts')).pull(name, flags),
    );
  withExamples(pull, [
    [
      'gristmill models pull gair-prox/web-chunk-refining-lm',
      'for gristmill refine --refiner prox-web',
    ],
  ]);
  addMergeCommand(models);
  const random = models
    .command('random')
    .description('write a seeded random model: real in shape, its answers mean nothing')
    .argument('<file>', 'GGUF file to write')
    .optionsGroup('Model:')
    .addOption(
      new Option('--preset <name>', 'shape')
        .choices(Object.keys(RANDOM_MODEL_PRESETS))
        .default('20m'),
    )
    .option('--seed <n>', 'seed of the weights', wholeNumber(0), 1)
    .action(async (path: string, flags: RandomFlags) =>
      (await import('../models.ts')).random(path, flags),
    );
  withExamples(random, [
    ['gristmill models random tiny.gguf --preset tiny', 'for tests and benches'],
  ]);
  return models;
}

function addMergeCommand(models: Command): void {
  const merge = models
    .command('merge')
    .description(
      'the weighted average of checkpoints of one model, instead of a decay (arXiv 2507.17634)',
    )
    .argument('<models...>', 'GGUF or safetensors files, or folders with models, the oldest first')
    .optionsGroup('Weights:')
    .option('--weights <list>', 'one for each model, summing to 1 (the same for all)', weightsOf)
    .addOption(
      new Option(
        '--shape <name>',
        'or: the weights that stand for this decay over the models’ steps',
      ).choices(DECAY_SHAPES),
    )
    .option(
      '--end <share>',
      'share of the rate that the decay ends at (0; 0.1 of an exponential)',
      share,
    )
    .option('--every <steps>', 'steps between two models (100); it changes little', toCount)
    .option('--timescale <x>', 'α of an inverse-sqrt (1)', positive)
    .optionsGroup('Output:')
    .requiredOption('--out <path>', 'file to write; a folder where the models are folders')
    .addOption(
      new Option('--type <name>', 'storage of the values (as the last model has them)').choices([
        'f32',
        'f16',
        'bf16',
      ]),
    )
    .option('--name <text>', 'name of the model in a GGUF file')
    .option('--json', 'print one JSON object')
    .action(async (inputs: string[], flags: MergeFlags) =>
      (await import('../models-merge.ts')).merge(inputs, flags),
    );
  withExamples(merge, [
    [
      'gristmill models merge step-800.gguf step-900.gguf step-1000.gguf --shape 1-sqrt --out merged.gguf',
      'what a decay over the last 200 steps would have come near to',
    ],
    [
      'gristmill models merge a.gguf b.gguf --weights 0.25,0.75 --out c.gguf',
      'weights of one’s own',
    ],
  ]);
}

function weightsOf(text: string): number[] {
  try {
    return list(text).map(toNumber);
  } catch {
    throw new InvalidArgumentError('expected numbers by comma, 0 or more.');
  }
}

function typeOption(): Option {
  return new Option('--type <name>', 'storage of the matrices').choices(TYPES).default('bf16');
}
