/** `gristmill cluster`: many workers on one output. */
import { Command } from 'commander';
import { finishCommand } from './cluster-finish.ts';

export function clusterCommand(): Command {
  return new Command('cluster')
    .description('many workers on one output')
    .addCommand(finishCommand());
}
