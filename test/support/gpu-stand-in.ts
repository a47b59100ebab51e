/**
 * The package with a GPU that is none: the built addon, and test/native/gpu-stand-in in the place of ggml's CUDA backend.
 *
 * The backend is compiled against the vendored ggml and the built libraries; a package of its own holds both, so that nothing
 * of it is ever beside the addon that is used.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const release = join(root, 'build', 'Release');
const ggml = join(root, 'native', 'vendor', 'llama.cpp', 'ggml');
const compiler = process.env['CXX'] ?? 'g++';

/** Why there is no stand-in here; null where it can be made. */
export const whyNoStandIn: string | null = (() => {
  if (process.platform !== 'linux') return 'it is made for Linux';
  if (!existsSync(join(ggml, 'src', 'ggml-backend-impl.h')))
    return 'the sources of llama.cpp are not unpacked: node native/vendor/unpack.mjs';
  if (!existsSync(join(release, 'libgristmill-ggml-base.so')))
    return 'the addon was not built here';
  if (!existsSync(join(root, 'dist', 'cli', 'main.js'))) return 'dist/ is not built';
  if (spawnSync(compiler, ['--version']).status !== 0) return `there is no ${compiler}`;
  return null;
})();

/** What the backend counted in one process. */
export interface StandInCounts {
  readonly graphs: number;
  readonly nodes: number;
  readonly waits: number;
  /** Of those, the ones with nothing to wait for since the one before. */
  readonly repeatedWaits: number;
  readonly tableLookups: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly deviceNs: number;
  readonly waitedNs: number;
  readonly mostBytes: number;
  /** CPU time of the thread that hands graphs over, between them. */
  readonly hostNs: number;
}

/** A process that has ended. */
export interface StandInResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** By process that has loaded the backend and ended by itself. */
  readonly counts: readonly StandInCounts[];
}

/** A package on the stand-in. */
export interface StandIn {
  /** Temporary; for files of the caller's too. */
  readonly folder: string;
  /** @param settings as the backend's source says; @param args of Node */
  run(settings: string, args: readonly string[]): StandInResult;
  /** Runs a module whose imports of `./dist/…` are the package's. */
  script(settings: string, source: string, ...args: string[]): StandInResult;
  command(settings: string, ...args: string[]): StandInResult;
  dispose(): void;
}

/** @throws where it does not compile */
export function standIn(): StandIn {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-stand-in-'));
  const own = join(folder, 'build', 'Release');
  mkdirSync(own, { recursive: true });
  for (const name of readdirSync(release)) {
    if (name.includes('cuda')) continue;
    try {
      linkSync(join(release, name), join(own, name));
    } catch {
      cpSync(join(release, name), join(own, name));
    }
  }
  for (const name of ['dist', 'models', 'package.json', 'native/vendor/pins.json'])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  compileStandIn(join(own, 'libggml-cuda.so'));
  let nRuns = 0;
  const run = (settings: string, args: readonly string[]): StandInResult => {
    const file = join(folder, `counts-${nRuns++}.jsonl`);
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, GPU_STAND_IN: settings, GPU_STAND_IN_COUNTS: file },
      maxBuffer: 2 ** 26,
      timeout: 240_000,
      killSignal: 'SIGKILL',
    });
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    return {
      status,
      stdout,
      stderr,
      counts: lines.map((line) => JSON.parse(line) as StandInCounts),
    };
  };
  return {
    folder,
    run,
    script: (settings, source, ...args) =>
      run(settings, ['--input-type=module', '-e', source, '--', ...args]),
    command: (settings, ...args) =>
      run(settings, [join(folder, 'dist', 'cli', 'main.js'), ...args]),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Compiles the backend. */
export function compileStandIn(library: string): void {
  const source = join(root, 'test', 'native', 'gpu-stand-in', 'gpu_stand_in.cc');
  const { status, stderr } = spawnSync(
    compiler,
    [
      ...['-std=c++20', '-O1', '-w', '-shared', '-fPIC', '-o', library, source],
      ...['-DGGML_BACKEND_DL', '-DGGML_BACKEND_SHARED', '-DGGML_SHARED'],
      ...[`-I${join(ggml, 'include')}`, `-I${join(ggml, 'src')}`, `-L${release}`],
      ...['-lgristmill-ggml', '-lgristmill-ggml-base', '-Wl,-rpath,$ORIGIN'],
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`the stand-in does not compile: ${stderr}`);
}
