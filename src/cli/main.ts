#!/usr/bin/env node
/**
 * The `gristmill` command: parsing and printing only; the work is in the library.
 *
 * Exit codes: 0 done, 1 a coded error, 2 bad usage, 3 finished with failed units or stopped at a budget,
 * 130 interrupted.
 */
import { Command } from 'commander';
import { version } from '../version.ts';
import { annotateCommand } from './annotate.ts';
import { buildNativeCommand } from './build-native.ts';
import { continueCommand } from './continue.ts';
import { reportFailure } from './errors.ts';
import { evalCommand } from './eval.ts';
import { executeCommand } from './execute.ts';
import { refuseRemotePaths } from './local-paths.ts';
import { mixCommand } from './mix.ts';
import { modelsCommand } from './models.ts';
import { refineCommand } from './refine.ts';
import { trainCommand } from './train.ts';

const program = new Command('gristmill')
  .description('Turns raw text corpora into better language models.')
  .version(version)
  .showHelpAfterError('(add --help for the options)');

program.addCommand(refineCommand());
program.addCommand(executeCommand());
program.addCommand(annotateCommand());
program.addCommand(trainCommand());
program.addCommand(evalCommand());
program.addCommand(mixCommand());
program.addCommand(continueCommand());
program.addCommand(modelsCommand());
program.addCommand(buildNativeCommand());
throwUsageErrors(program);
program.hook('preAction', (_, command) => refuseRemotePaths(command));

// A reader that closes early (`| head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

/** Bad usage of any command at any depth is thrown, so that it gets our exit code. */
function throwUsageErrors(command: Command): void {
  command.exitOverride();
  for (const inner of command.commands) throwUsageErrors(inner);
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = reportFailure(error, process.argv.includes('--json'));
}
