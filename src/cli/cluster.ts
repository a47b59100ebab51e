/** `gristmill cluster`: many workers on one output. The queue and its client are loaded by the commands that use them. */
import { Command } from 'commander';
import { finishCommand } from './cluster-finish.ts';
import { controlCommands, statusCommand, submitCommand, workCommand } from './cluster-queue.ts';

export function clusterCommand(): Command {
  const command = new Command('cluster').description('many workers on one output');
  const all = [
    submitCommand(),
    workCommand(),
    statusCommand(),
    ...controlCommands(),
    finishCommand(),
  ];
  for (const inner of all) command.addCommand(inner);
  return command;
}
