/**
 * What a help says beyond the options: examples, and the page that has the rest. Both are kept as data beside the command, since
 * the pages of docs/commands are made of the same definitions (docs/command-pages.mjs).
 */
import { type Command, Option } from 'commander';
import { pageOfCommand } from './docs-pages.ts';

/** A command line, and what it does. */
export type Example = readonly [line: string, what: string];

/** The heading of options that every command has. */
export const GENERAL = 'General:';

const EXAMPLES = new WeakMap<Command, readonly Example[]>();

/** Gives a command examples, which its help ends with. */
export function withExamples(command: Command, examples: readonly Example[]): Command {
  EXAMPLES.set(command, examples);
  return command.addHelpText('after', () => examplesText(examples));
}

/** Examples of a command. */
export function examplesOf(command: Command): readonly Example[] {
  return EXAMPLES.get(command) ?? [];
}

/** `gristmill mix fit` without the program's name. */
export function pathOf(command: Command): string[] {
  const path: string[] = [];
  for (let at: Command | null = command; at?.parent; at = at.parent) path.unshift(at.name());
  return path;
}

/** Adds what every command has: its options, and the page of its help. */
export function setUpHelp(command: Command): void {
  const page = `\nDocumentation: ${pageOfCommand(pathOf(command))}`;
  command.addHelpText('after', page);
  command.addHelpOption(new Option('-h, --help', 'print this help').helpGroup(GENERAL));
  if (command.commands.length > 0) return;
  command.optionsGroup(GENERAL);
  command.option('--config <file>', 'YAML with options by their names; flags come before it');
  command.option('--quiet', 'print results and errors only: no progress, no notices');
}

function examplesText(examples: readonly Example[]): string {
  const lines = examples.map(([line, what]) => `  $ ${line}\n    ${what}`);
  return `\nExamples:\n${lines.join('\n')}`;
}
