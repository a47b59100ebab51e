/**
 * llama-server for tests: built once from the vendored tree (test/support/llama-server), started on a free port of the
 * loopback, always killed.
 *
 * The build lies in build/llama-server and is used again until the pinned llama.cpp or the build's description changes.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { addonFile, packageRoot } from '../../src/paths.ts';

const sources = fileURLToPath(new URL('./llama-server', import.meta.url));
const tree = process.env['GRISTMILL_LLAMA_CPP'] ?? join(packageRoot, 'native/vendor/llama.cpp');
const libraries = dirname(addonFile);
const buildFolder = join(packageRoot, 'build/llama-server');
const stampFile = join(buildFolder, 'stamp');
const binary = join(buildFolder, 'server/llama-server');
const START_TIMEOUT_MS = 120_000;

/** Why there can be no server here, or null. */
export async function whyNoLlamaServer(): Promise<string | null> {
  if (!existsSync(join(tree, 'tools/server/CMakeLists.txt'))) return `${tree} has no server`;
  if (
    !existsSync(
      join(
        libraries,
        process.platform === 'darwin' ? 'libgristmill-llama.dylib' : 'libgristmill-llama.so',
      ),
    )
  ) {
    return 'the addon is not built';
  }
  try {
    await promisify(execFile)('cmake', ['--version']);
    return null;
  } catch {
    return 'cmake is missing';
  }
}

/** Builds the server where it is not built yet: about four minutes on one core. */
export async function buildLlamaServer(): Promise<void> {
  const stamp = stampOf();
  if (existsSync(binary) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) {
    return;
  }
  console.warn('llama-server: building it for this test, some minutes, once');
  rmSync(buildFolder, { recursive: true, force: true });
  mkdirSync(buildFolder, { recursive: true });
  const cmake = async (args: readonly string[]): Promise<void> => {
    await promisify(execFile)('cmake', args, { maxBuffer: 64 * 2 ** 20 });
  };
  await cmake([
    '-S',
    sources,
    '-B',
    buildFolder,
    `-DLLAMA_TREE=${tree}`,
    `-DLLAMA_LIBRARIES=${libraries}`,
  ]);
  await cmake(['--build', buildFolder, '--target', 'llama-server', '-j', '2']);
  writeFileSync(stampFile, stamp);
}

function stampOf(): string {
  const hash = createHash('sha256');
  for (const file of [
    join(packageRoot, 'native/vendor/pins.json'),
    join(sources, 'CMakeLists.txt'),
    join(sources, 'ui.h'),
  ]) {
    hash.update(readFileSync(file));
  }
  return hash.update(`${tree}\n${libraries}`).digest('hex');
}

/** A running server. */
export interface LlamaServer {
  /** Base address for an expert. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a server over a model and waits until it is ready. */
export async function startLlamaServer(
  model: string,
  { nCtx = 2048, nSlots = 2 }: { readonly nCtx?: number; readonly nSlots?: number } = {},
): Promise<LlamaServer> {
  const port = await freePort();
  const args = [
    ...['--model', model, '--host', '127.0.0.1', '--port', String(port)],
    ...['--ctx-size', String(nCtx * nSlots), '--parallel', String(nSlots), '--threads', '1'],
    '--no-warmup',
    '--offline',
    '--jinja',
  ];
  // Backends are looked for beside the executable and in the working folder.
  const child = spawn(binary, args, { cwd: libraries, stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4000);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const stop = async (): Promise<void> => {
    kill();
    await ended;
    process.off('exit', kill);
  };
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await isHealthy(port))) {
    if (hasEnded(child) || Date.now() > deadline) {
      await stop();
      throw new Error(`llama-server did not start: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url: `http://127.0.0.1:${port}/v1`, stop };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

async function isHealthy(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/health`)).ok;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
