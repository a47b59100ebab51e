/** The definition of `gristmill completion`; the scripts are written by ../completion.ts. */
import { Argument, Command } from 'commander';
import type { Shell } from '../completion.ts';
import { withExamples } from '../help.ts';

const SHELLS = Object.keys({ bash: true, zsh: true, fish: true } satisfies Record<Shell, true>);

export function completionCommand(): Command {
  const command = new Command('completion')
    .description('print a script that completes commands, options and their values')
    .addArgument(new Argument('<shell>', 'whose script').choices(SHELLS))
    .action(async (shell: Shell, _: object, command: Command) =>
      (await import('../completion.ts')).printCompletion(shell, command.parent!),
    );
  return withExamples(command, [
    ['source <(gristmill completion bash)', 'in ~/.bashrc'],
    [
      'gristmill completion zsh > ~/.zfunc/_gristmill',
      'once, in a folder of fpath; then start zsh again',
    ],
    [
      'gristmill completion fish > ~/.config/fish/completions/gristmill.fish',
      'once; fish reads it by itself',
    ],
  ]);
}
