/** The definition of `gristmill train`; what it does is in ../train.ts. */
import { Command, Option } from 'commander';
import { withExamples } from '../help.ts';
import type { TrainFlags } from '../train.ts';

export function trainCommand(): Command {
  const command = new Command('train')
    .description('train a model from a configuration (YAML); the same command resumes')
    .argument('<config>', 'configuration file; docs/commands/train.md lists its keys')
    .optionsGroup('Training:')
    .addOption(
      new Option(
        '--precision <type>',
        'products of weights in float32 or bf16, instead of the configuration’s',
      ).choices(['float32', 'bf16']),
    )
    .optionsGroup('Output:')
    .option('--out <dir>', 'folder of the run, instead of the configuration’s')
    .option('--json', 'print one JSON object instead of lines')
    .action(async (file: string, flags: TrainFlags) =>
      (await import('../train.ts')).train(file, flags),
    );
  return withExamples(command, [
    ['gristmill train examples/train.yaml --out runs/small', 'and again, to go on'],
  ]);
}
