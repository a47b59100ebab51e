/** `gristmill models`: what GGUF files hold, and random ones for tests and benches. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { printable } from '../errors.ts';
import { inspectModel } from '../model/inspect.ts';
import { RANDOM_MODEL_PRESETS, type RandomModelPreset, writeRandomModel } from '../model/random.ts';

export function modelsCommand(): Command {
  const models = new Command('models').description('look at and make model files');
  models
    .command('inspect')
    .description('what a GGUF file holds')
    .argument('<file>', 'GGUF file')
    .option('--json', 'print one JSON object')
    .action(async (file: string, flags: { json?: boolean }) => {
      const model = await inspectModel(file);
      if (flags.json) {
        process.stdout.write(`${JSON.stringify(model)}\n`);
        return;
      }
      const rows = Object.entries(model).filter(
        ([, value]) => typeof value !== 'object' || value === null,
      );
      const width = Math.max(...rows.map(([name]) => name.length));
      for (const [name, value] of rows) {
        process.stdout.write(`${name.padEnd(width)}  ${value === null ? '-' : printable(value)}\n`);
      }
      for (const [name, value] of Object.entries(model)) {
        if (typeof value !== 'object' || value === null) continue;
        process.stdout.write(`${name.padEnd(width)}  ${printable(value)}\n`);
      }
    });
  models
    .command('random')
    .description('write a seeded random model: real in shape, its answers mean nothing')
    .argument('<file>', 'GGUF file to write')
    .addOption(
      new Option('--preset <name>', 'shape')
        .choices(Object.keys(RANDOM_MODEL_PRESETS))
        .default('20m'),
    )
    .option('--seed <n>', 'seed of the weights', seed, 1)
    .action(async (path: string, flags: { preset: RandomModelPreset; seed: number }) => {
      await writeRandomModel({ ...RANDOM_MODEL_PRESETS[flags.preset], path, seed: flags.seed });
    });
  return models;
}

function seed(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('expected a whole number.');
  return value;
}
