/** Running npm: the one that runs this script, else that of the path. */
import { execFileSync } from 'node:child_process';

/** @throws with what npm said last */
export function npm(args, cwd) {
  const [command, ...before] = /npm-cli\.[cm]?js$/.test(process.env.npm_execpath ?? '')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  try {
    execFileSync(command, [...before, ...args], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const said = error.stderr?.toString().trim().split('\n').slice(-3).join('; ');
    throw new Error(`npm ${args.join(' ')}: ${said || error.message}`);
  }
}
