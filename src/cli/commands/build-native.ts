/** `gristmill build-native`: builds the addon where npm did not run the package's install script. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageRoot } from '../../paths.ts';

export function buildNativeCommand(): Command {
  return new Command('build-native')
    .description('build the native addon (npm normally does this at install)')
    .action(() => {
      const script = join(packageRoot, 'native', 'install.mjs');
      const { status } = spawnSync(process.execPath, [script, '--force'], { stdio: 'inherit' });
      process.exitCode = status ?? 1;
    });
}
