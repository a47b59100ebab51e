/** `gristmill mix`: mixtures of domains (RegMix, arXiv 2407.01492). The subcommands are in the files named here. */
import { Command } from 'commander';
import { addFitCommands } from './mix-fit.ts';
import { addOptimizeCommand } from './mix-optimize.ts';
import { addSampleCommand } from './mix-sample.ts';
import { addTrainCommands } from './mix-train.ts';

/** The `mix` command. */
export function mixCommand(): Command {
  const mix = new Command('mix').description('find the mixture of domains to train on');
  addSampleCommand(mix);
  addOptimizeCommand(mix);
  addTrainCommands(mix);
  addFitCommands(mix);
  return mix;
}
