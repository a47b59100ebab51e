/**
 * The `gristmill` command: parsing and printing only; the work is in the library. main.ts loads it.
 *
 * Exit codes: 0 done, 1 a coded error, 2 bad usage (a flag or its value), 3 finished with failed units or stopped at a budget,
 * 130 interrupted (SIGINT or SIGTERM, in every phase).
 */
import { Command } from 'commander';
import { version } from '../version.ts';
import { annotateCommand } from './annotate.ts';
import { buildNativeCommand } from './build-native.ts';
import { continueCommand } from './continue.ts';
import { reportFailure } from './errors.ts';
import { evalCommand } from './eval.ts';
import { executeCommand } from './execute.ts';
import { INTERRUPTED, INTERRUPTED_LINE } from './first-signals.ts';
import { isInterrupt, leaveInterrupted } from './interrupt.ts';
import { refuseRemotePaths } from './local-paths.ts';
import { mixCommand } from './mix.ts';
import { modelsCommand } from './models.ts';
import { refineCommand } from './refine.ts';
import { trainCommand } from './train.ts';
import { inFlags, setUpUsage } from './usage.ts';

/** Exit code where what is said cannot be written. */
const OUTPUT_FAILED = 1;

const program = new Command('gristmill')
  .description('Turns raw text corpora into better language models.')
  .version(version);

program.addCommand(refineCommand());
program.addCommand(executeCommand());
program.addCommand(annotateCommand());
program.addCommand(trainCommand());
program.addCommand(evalCommand());
program.addCommand(mixCommand());
program.addCommand(continueCommand());
program.addCommand(modelsCommand());
program.addCommand(buildNativeCommand());
setUpUsage(program);
/** The command that runs. */
let active: Command | null = null;
program.hook('preAction', (_, command) => {
  active = command;
  refuseRemotePaths(command);
});

// A reader that closes early (`| head`) is no failure of ours. Anything else that keeps what we say from its reader (a full
// disk behind a redirection) is one, and there may be nobody left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  const said = `gristmill: standard output: ${error.message}\n`;
  process.stderr.write(said, () => process.exit(OUTPUT_FAILED));
});
process.stderr.on('error', () => {
  process.exitCode = OUTPUT_FAILED;
});

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (isInterrupt(error)) {
    process.stderr.write(INTERRUPTED_LINE);
    process.exitCode = INTERRUPTED;
  } else {
    process.exitCode = reportFailure(inFlags(error, active), process.argv.includes('--json'));
  }
}
await leaveInterrupted();
