/**
 * The `gristmill` command: parsing and printing only; the work is in the library. main.ts loads it.
 *
 * Exit codes: 0 done, 1 a coded error, 2 bad usage (a flag or its value), 3 finished with failed units, stopped at a budget or
 * beyond --fail-above,
 * 130 interrupted (SIGINT or SIGTERM, in every phase). A run to standard output tells more apart: stream-events.ts.
 */
import { Command } from 'commander';
import { version } from '../version.ts';
import { reportFailure } from './errors.ts';
import { INTERRUPTED, INTERRUPTED_LINE } from './first-signals.ts';
import { isInterrupt, leaveInterrupted } from './interrupt.ts';
import { refuseRemotePaths } from './local-paths.ts';
import { inFlags, setUpUsage } from './usage.ts';

/** Commands in the order of the help. Each brings a good part of the library along, so that one that is not used is not loaded. */
const COMMANDS = new Map<string, () => Promise<Command>>([
  ['refine', async () => (await import('./refine.ts')).refineCommand()],
  ['inspect', async () => (await import('./inspect.ts')).inspectCommand()],
  ['compare', async () => (await import('./compare.ts')).compareCommand()],
  ['execute', async () => (await import('./execute.ts')).executeCommand()],
  ['annotate', async () => (await import('./annotate.ts')).annotateCommand()],
  ['train', async () => (await import('./train.ts')).trainCommand()],
  ['eval', async () => (await import('./eval.ts')).evalCommand()],
  ['mix', async () => (await import('./mix.ts')).mixCommand()],
  ['continue', async () => (await import('./continue.ts')).continueCommand()],
  ['cluster', async () => (await import('./cluster.ts')).clusterCommand()],
  ['show', async () => (await import('./show.ts')).showCommand()],
  ['report', async () => (await import('./report.ts')).reportCommand()],
  ['models', async () => (await import('./models.ts')).modelsCommand()],
  ['build-native', async () => (await import('./build-native.ts')).buildNativeCommand()],
]);

/** What has to be loaded for a command line: the command that it names; else all of them, which help and suggestions list. */
function neededFor(args: readonly string[]): readonly (() => Promise<Command>)[] {
  const named = COMMANDS.get(args.find((arg) => !arg.startsWith('-')) ?? '');
  if (named) return [named];
  return [...COMMANDS.values()];
}

/** Runs the command line of this process. */
export async function runProgram(): Promise<void> {
  const program = new Command('gristmill')
    .description('Turns raw text corpora into better language models.')
    .version(version);
  for (const load of neededFor(process.argv.slice(2))) program.addCommand(await load());
  setUpUsage(program);
  /** The command that runs. */
  let active: Command | null = null;
  program.hook('preAction', (_, command) => {
    active = command;
    refuseRemotePaths(command);
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
}
