/**
 * Installs the contenders of bench/package.json on demand, and loads them.
 *
 * They lie in bench/node_modules, outside the project's own dependencies. Where they cannot be installed the bench
 * says so in its notes and goes on without them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.env['GRISTMILL_BENCH_FOLDER'] ?? join(process.cwd(), 'bench');

/** Imports a contender, installing it first if need be; null when it cannot be had. */
export async function contender(
  name: string,
  log: (line: string) => void,
): Promise<Record<string, unknown> | null> {
  if (!existsSync(join(folder, 'node_modules', name))) {
    log(`installing the contenders of bench/package.json (for ${name})`);
    const { status } = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (status !== 0) return null;
  }
  try {
    const file = createRequire(join(folder, 'package.json')).resolve(name);
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch {
    // Packages without a CommonJS entry are resolved by the import condition.
    try {
      const manifest = createRequire(import.meta.url)(
        join(folder, 'node_modules', name, 'package.json'),
      );
      const entry = entryOf(manifest);
      return (await import(
        pathToFileURL(join(folder, 'node_modules', name, entry)).href
      )) as Record<string, unknown>;
    } catch (error) {
      log(`${name} does not load: ${(error as Error).message}`);
      return null;
    }
  }
}

function entryOf(manifest: { exports?: unknown; module?: string; main?: string }): string {
  let at: unknown = manifest.exports;
  while (at !== null && typeof at === 'object') {
    const map = at as Record<string, unknown>;
    at = map['.'] ?? map['import'] ?? map['node'] ?? map['default'];
  }
  return typeof at === 'string' ? at : (manifest.module ?? manifest.main ?? 'index.js');
}
