/**
 * `gristmill` for tests that ends in the middle of an answer, once: as GRISTMILL_TEST_KILL says, its own worker, or the process of
 * the engine that started it. GRISTMILL_TEST_MARK is the file that says that it has happened; whoever makes it is the one.
 *
 * The command runs beneath, its output passed on: the death comes when the second piece of it has come, schema and all.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const args = process.argv.slice(2);
const { GRISTMILL_TEST_KILL: whom, GRISTMILL_TEST_MARK: mark } = process.env;
const events = args.indexOf('--events-fd') + 1;
const descriptor = Number(args[events]);
const stdio = ['inherit', 'pipe', 'inherit', ...(events > 0 ? [descriptor] : [])];
if (events > 0) args[events] = '3';
const command = spawn(process.execPath, [main, ...args], { stdio });

function isTheOne() {
  try {
    closeSync(openSync(mark, 'wx'));
    return true;
  } catch {
    return false;
  }
}

function kill() {
  if (whom === 'engine') return process.kill(process.ppid, 'SIGKILL');
  const children = readFileSync(`/proc/${command.pid}/task/${command.pid}/children`, 'utf8');
  return process.kill(Number(children.trim().split(' ')[0]), 'SIGKILL');
}

let nPieces = 0;
command.stdout.on('data', (piece) => {
  nPieces++;
  if (nPieces === 2 && whom && isTheOne()) kill();
  command.stdout.pause();
  process.stdout.write(piece, () => command.stdout.resume());
});
process.stdout.on('error', () => command.kill());
command.on('close', (code) => process.exit(code ?? 1));
