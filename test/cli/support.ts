/** Running the compiled command as its users do: a process of its own, from dist/. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { distFile } from '../../src/paths.ts';

/** What a finished command printed. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A started command. */
export interface Started {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
}

/** Starts `gristmill` with arguments. */
export function start(
  args: readonly string[],
  {
    stdin = '',
    env = {},
    keepStdin = false,
  }: { stdin?: string | Buffer; env?: Record<string, string>; keepStdin?: boolean } = {},
): Started {
  const main = distFile('cli/main.js');
  if (!existsSync(main)) throw new Error('dist/ is missing: run `npm run build` first');
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A command that stops reading early closes its end: that is its right.
  child.stdin.on('error', () => undefined);
  if (!keepStdin) child.stdin.end(stdin);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const printed = Buffer.concat(stderr).toString();
      resolve({ code, signal, stdout: Buffer.concat(stdout), stderr: printed });
    });
  });
  return { process: child, finished };
}

/** Runs `gristmill` to its end. */
export function run(
  args: readonly string[],
  options?: Parameters<typeof start>[1],
): Promise<Finished> {
  return start(args, options).finished;
}

/** Bytes of every public file of an output folder by relative path; the ledger is left out. */
export function outputOf(out: string): Map<string, string> {
  const files = new Map<string, string>();
  const visit = (folder: string): void => {
    if (!existsSync(join(out, folder))) return;
    for (const name of readdirSync(join(out, folder)).sort()) {
      const path = join(folder, name);
      if (name === '_gristmill') continue;
      if (statSync(join(out, path)).isDirectory()) visit(path);
      else files.set(path, readFileSync(join(out, path)).toString('base64'));
    }
  };
  visit('.');
  return files;
}

/** Runs something in this process as on a terminal. @returns what it wrote */
export async function onTerminal(
  body: () => Promise<unknown>,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name];
    const { write, isTTY } = stream;
    Object.assign(stream, {
      isTTY: true,
      write: (text: string | Uint8Array) => {
        written[name] += String(text);
        return true;
      },
    });
    return () => Object.assign(stream, { write, isTTY });
  });
  try {
    await body();
  } finally {
    for (const each of restore) each();
  }
  return written;
}
