/** `gristmill devices`: its options. */
import { Command } from 'commander';

export function devicesCommand(): Command {
  return new Command('devices')
    .description('list the devices that --device takes, and why there are not more')
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object')
    .action(async (flags) => (await import('../devices.ts')).printDevices(flags));
}
