/**
 * The `gristmill` command: parsing and printing only; the work is in the library. main.ts loads it.
 *
 * What a command looks like is defined in commands/, which loads little; what it does is loaded when it runs.
 *
 * Exit codes: 0 done, 1 a coded error, 2 bad usage (a flag or its value), 3 finished with failed units, stopped at a budget or
 * beyond --fail-above,
 * 130 interrupted (SIGINT or SIGTERM, in every phase). A run to standard output tells more apart: stream-events.ts.
 */
import { Command } from 'commander';
import { version } from '../version.ts';
import { reportFailure } from './errors.ts';
import { INTERRUPTED } from './first-signals.ts';
import { isInterrupt, leaveInterrupted, sayInterrupted } from './interrupt.ts';
import { refuseRemotePaths } from './local-paths.ts';
import { beQuiet } from './say.ts';
import { inFlags, setUpUsage } from './usage.ts';

/** Commands by the groups of the help, in its order. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, () => Promise<Command>>>>> = {
  'Corpora:': {
    refine: async () => (await import('./commands/refine.ts')).refineCommand(),
    cluster: async () => (await import('./commands/cluster.ts')).clusterCommand(),
    inspect: async () => (await import('./commands/runs.ts')).inspectCommand(),
    show: async () => (await import('./commands/runs.ts')).showCommand(),
    compare: async () => (await import('./commands/runs.ts')).compareCommand(),
    report: async () => (await import('./commands/runs.ts')).reportCommand(),
    sites: async () => (await import('./commands/sites.ts')).sitesCommand(),
    execute: async () => (await import('./commands/execute.ts')).executeCommand(),
  },
  'Refiners:': {
    annotate: async () => (await import('./commands/annotate.ts')).annotateCommand(),
    train: async () => (await import('./commands/train.ts')).trainCommand(),
    eval: async () => (await import('./commands/eval.ts')).evalCommand(),
    models: async () => (await import('./commands/models.ts')).modelsCommand(),
  },
  'Pre-training:': {
    mix: async () => (await import('./commands/mix.ts')).mixCommand(),
    continue: async () => (await import('./commands/continue.ts')).continueCommand(),
    run: async () => (await import('./commands/chain.ts')).runCommand(),
  },
  'Setting up:': {
    devices: async () => (await import('./commands/devices.ts')).devicesCommand(),
    completion: async () => (await import('./commands/completion.ts')).completionCommand(),
    'build-native': async () => (await import('./commands/build-native.ts')).buildNativeCommand(),
  },
};

/** What a command line has to load: the command that it names; else all, which help, completion and suggestions list. */
function isNeeded(name: string, named: string | undefined): boolean {
  const names = Object.values(GROUPS).flatMap((group) => Object.keys(group));
  return name === named || named === 'completion' || !names.includes(named ?? '');
}

/** The program with the command of that name, or with all of them. */
export async function gristmillProgram(named?: string): Promise<Command> {
  const program = new Command('gristmill')
    .description('Turns raw text corpora into better language models.')
    .version(version);
  for (const [heading, group] of Object.entries(GROUPS)) {
    for (const [name, load] of Object.entries(group)) {
      if (isNeeded(name, named)) program.addCommand((await load()).helpGroup(heading));
    }
  }
  setUpUsage(program);
  return program;
}

/** Runs the command line of this process. */
export async function runProgram(): Promise<void> {
  const args = process.argv.slice(2);
  const program = await gristmillProgram(args.find((arg) => !arg.startsWith('-')));
  /** The command that runs. */
  let active: Command | null = null;
  program.hook('preAction', (_, command) => {
    active = command;
    if (command.getOptionValue('quiet')) beQuiet();
    // These are the program's; a command hands its own on to the library.
    for (const name of ['quiet', 'config']) command.setOptionValue(name, undefined);
    refuseRemotePaths(command);
  });
  try {
    if (args.some((arg) => arg === '--config' || arg.startsWith('--config='))) {
      const { fetchConfigs, takeConfigFiles } = await import('./config-file.ts');
      takeConfigFiles(program, await fetchConfigs(args));
    }
    await program.parseAsync(process.argv);
  } catch (error) {
    if (isInterrupt(error)) {
      sayInterrupted();
      process.exitCode = INTERRUPTED;
    } else {
      process.exitCode = reportFailure(inFlags(error, active), process.argv.includes('--json'));
    }
  }
  await leaveInterrupted();
}
