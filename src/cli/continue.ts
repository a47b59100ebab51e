/** `gristmill continue`: continual pre-training; one file for each of its commands. */
import { Command } from 'commander';
import { addExportCommand } from './continue-export.ts';
import { addFitCommands } from './continue-fit.ts';
import { addPlanCommand } from './continue-plan.ts';
import { addRunCommand } from './continue-run.ts';

export function continueCommand(): Command {
  const command = new Command('continue').description(
    'continue pre-training on new data: plans, replay, schedules (arXiv 2403.08763)',
  );
  addPlanCommand(command);
  addRunCommand(command);
  addExportCommand(command);
  addFitCommands(command);
  return command;
}
