/**
 * Bad usage: what commander says of it, and flags in place of the options of the library.
 *
 * commander looks for missing flags before unknown ones, names one missing part at a time, and prints the help that was
 * not asked for to stderr. Here an unknown flag comes first, with the one that was meant; what is missing is named
 * together; `gristmill` alone prints its help to stdout.
 */
import { Command } from 'commander';
import { GristmillError } from '../errors.ts';
import { printableLines } from '../printable.ts';
import { pageOfCommand } from './docs-pages.ts';
import { FailureWithExit } from './errors.ts';
import { pathOf, setUpHelp } from './help.ts';

/** The method of commander that reports a missing flag; not among its declarations. */
interface Reports {
  missingMandatoryOptionValue(): void;
  unknownOption(flag: string): void;
}

/** Options of the library whose flags have other names. */
const FLAGS: Readonly<Record<string, string>> = {
  documentMode: '--doc-mode',
  documentThreshold: '--doc-threshold',
  constrained: '--free-decoding',
  isolate: '--in-process',
  planOnly: '--plan',
  slabBytes: '--slab-mb',
  nSlabs: '--slabs',
  inputs: 'INPUT',
};

/** Sets a command and all below it up: errors are thrown, help goes to stdout and names what there is beside it. */
export function setUpUsage(command: Command): void {
  setUpHelp(command);
  command
    .exitOverride()
    .showHelpAfterError(`(add --help for the options; ${pageOfCommand(pathOf(command))} has more)`)
    .configureOutput({ outputError: (text, write) => write(printableLines(text)) });
  Object.assign(command, {
    // Only commands without one that was named call it.
    help: (): never => Command.prototype.help.call(command, { error: false } as never),
    missingMandatoryOptionValue: (): void => missingParts(command),
  });
  for (const inner of command.commands) setUpUsage(inner);
}

function missingParts(command: Command): void {
  const unknown = command.args.find((argument) => /^-./.test(argument));
  if (unknown !== undefined) (command as Command & Reports).unknownOption(unknown);
  const missing = [
    ...command.registeredArguments
      .filter(({ required }, at) => required && command.args[at] === undefined)
      .map((argument) => argument.name().toUpperCase()),
    ...command.options
      .filter(
        (option) =>
          option.mandatory && command.getOptionValue(option.attributeName()) === undefined,
      )
      .map(({ flags }) => flags),
  ];
  command.error(`error: missing: ${missing.join(', ')}`, { code: 'gristmill.missing' });
}

/** The error of an option as the error of a flag of `command`; other errors are returned as they are. */
export function inFlags(error: unknown, command: Command | null): unknown {
  if (error instanceof FailureWithExit) {
    return new FailureWithExit(inFlags(error.cause, command), error.exitCode);
  }
  if (!(error instanceof GristmillError) || error.code !== 'OPTION_INVALID') return error;
  const flags = new Map(Object.entries(FLAGS));
  for (const option of command?.options ?? []) {
    if (!option.long) continue;
    const isOfFile = command!.getOptionValueSource(option.attributeName()) === 'config';
    flags.set(option.attributeName(), isOfFile ? `${option.long} (of --config)` : option.long);
  }
  const { option, expected, ...details } = error.details;
  const name = String(option);
  const flag = flags.get(name) ?? flags.get(name.slice(name.lastIndexOf('.') + 1)) ?? name;
  // Words in camel case are options of ours; what a user wrote is in `received`.
  const words = String(expected).replaceAll(
    /\b[a-z]+[A-Z]\w*\b/g,
    (word) => flags.get(word) ?? word,
  );
  return new GristmillError(
    'OPTION_INVALID',
    { option: flag, expected: words, ...details },
    { cause: error.cause },
  );
}
