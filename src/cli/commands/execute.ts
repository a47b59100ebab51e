/** The definition of `gristmill execute`; what it does is in ../execute.ts. */
import { Command, Option } from 'commander';
import type { ExecuteFlags } from '../execute.ts';
import { withExamples } from '../help.ts';

export function executeCommand(): Command {
  const command = new Command('execute')
    .description('run programs over texts: JSON lines {"text","program"} on stdin')
    .optionsGroup('Programs:')
    .addOption(
      new Option('--dialect <name>', 'how programs are spelled')
        .choices(['prox', 'ultrax'])
        .default('prox'),
    )
    .addOption(
      new Option('--executor <name>', 'strict, or the published behaviour')
        .choices(['strict', 'compat'])
        .default('strict'),
    )
    .optionsGroup('Output:')
    .option('--ops', 'add what every op did')
    .action(async (flags: ExecuteFlags) =>
      (await import('../execute.ts')).executeLines(flags, {
        input: process.stdin,
        output: process.stdout,
      }),
    );
  return withExamples(command, [
    [
      'echo \'{"text":"Menu\\nThe text.","program":"remove_lines(start=0, end=0)"}\' | gristmill execute',
      '{"text":"The text.","status":"edited","reason":"edited"}',
    ],
  ]);
}
