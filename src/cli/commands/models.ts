/** The definition of `gristmill models`; what it does is in ../models.ts. */
import { Command, Option } from 'commander';
import type { ConvertedType } from '../../model/hub-cache.ts';
import { RANDOM_MODEL_PRESETS } from '../../model/random.ts';
import { wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { ConvertFlags, PullFlags, RandomFlags } from '../models.ts';

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

function typeOption(): Option {
  return new Option('--type <name>', 'storage of the matrices').choices(TYPES).default('bf16');
}
