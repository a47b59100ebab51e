/**
 * Where the package's own files lie, whether this code runs from src/ (tests), from dist/ (ESM) or from the
 * bundle dist/index.cjs. Every path to a worker, the addon or a shipped model goes through here.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** This file's folder: `src`, `dist`, or what a bundle below dist/ lies in. */
const here = dirname(fileURLToPath(import.meta.url));

/** The package root: the folder of package.json. */
export const packageRoot = rootAbove(here);

function rootAbove(folder: string): string {
  const parent = dirname(folder);
  return existsSync(join(folder, 'package.json')) || parent === folder ? folder : rootAbove(parent);
}

/** A compiled file below dist/, e.g. `distFile('refine/run-worker.js')`; workers are always started from there. */
export function distFile(relativePath: string): string {
  return join(packageRoot, 'dist', relativePath);
}

/** The package's prompt templates; the build copies them beside the compiled code. */
export const promptFolder = join(
  packageRoot,
  relative(packageRoot, here).split(sep)[0]!,
  'annotate',
  'prompts',
);

/**
 * The native addon; backends (ggml-cpu, ggml-cuda) lie beside it. One that was built here goes before that of the package
 * `@gristmill/PLATFORM-ARCH`, which npm installs where there is one for the machine.
 */
export const addonFile = findAddon();

function findAddon(): string {
  const own = join(packageRoot, 'build', 'Release', 'gristmill.node');
  return existsSync(own) ? own : (prebuiltAddon() ?? own);
}

function prebuiltAddon(): string | null {
  const { platform, arch } = process;
  try {
    return createRequire(join(packageRoot, 'package.json')).resolve(
      `@gristmill/${platform}-${arch}`,
    );
  } catch {
    return null;
  }
}

/** A refiner that comes with the package: the one of a stage, or the chunk refiner that writes programs. */
export function defaultModelFile(name: 'document' | 'chunk' | 'programs'): string {
  return join(packageRoot, 'models', `default-${name}.gguf`);
}

/** The folder of files that can be made again: `$XDG_CACHE_HOME/gristmill` (an absolute path) or `~/.cache/gristmill`. */
export function cacheFolder(): string {
  const given = process.env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(given) ? given : join(homedir(), '.cache'), 'gristmill');
}
