/** The definition of `gristmill run`; what it does is in ../run-chain.ts. */
import { Command } from 'commander';
import { toCount } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { ChainFlags } from '../run-chain.ts';

/** The `run` command. */
export function runCommand(): Command {
  const command = new Command('run')
    .description('refine, tokenize, mix and continue as one chain; the same command goes on')
    .argument('<chain>', 'chain: YAML or JSON, see docs/commands/run.md')
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'folder of the chain')
    .option('--json', 'print one JSON object instead of tables')
    .optionsGroup('Machine:')
    .option('--threads <n>', 'CPU threads; no part of the results', toCount)
    .action(async (file: string, flags: ChainFlags) =>
      (await import('../run-chain.ts')).runChainCommand(file, flags),
    );
  return withExamples(command, [
    ['gristmill run chain.yaml --out chain', 'and again, to go on after an interrupt or a kill'],
  ]);
}
