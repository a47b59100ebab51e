/** `gristmill devices`: its options. */
import { Command } from 'commander';
import { withExamples } from '../help.ts';

export function devicesCommand(): Command {
  const command = new Command('devices')
    .description('list the devices that --device takes, and why there are not more')
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object')
    .action(async (flags) => (await import('../devices.ts')).printDevices(flags));
  return withExamples(command, [['gristmill devices', 'and why there is no GPU']]);
}
