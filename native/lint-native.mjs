/**
 * Holds our C++ sources against .clang-format (version 14 or later); `--write` formats them.
 * Without clang-format nothing can be checked: that is said, and only `.ci/run` insists on it.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));

function sources(path) {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) return entry.name === 'vendor' ? [] : sources(inner);
    return /\.(cc|h|cu)$/.test(entry.name) ? [inner] : [];
  });
}

if (spawnSync('clang-format', ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.error('clang-format not found, C++ not checked; run: apt-get install -y clang-format');
  process.exit(process.env.CI ? 1 : 0);
}
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
const { status } = spawnSync('clang-format', [...mode, ...sources(folder)], { stdio: 'inherit' });
process.exit(status ?? 1);
