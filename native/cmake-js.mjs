/**
 * cmake-js as all builds of the addon call it. It is no dependency: who gets a compiled addon needs none of its forty packages. Where it
 * is not installed, as in the published package, npm fetches it, in the versions that package.json names.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { npm } from './vendor/npm.mjs';

/** Packages that a build from source takes. */
export const BUILD_TOOLS = ['cmake-js', 'node-addon-api'];

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Arguments of Node for `configure`, with what CMake is told. */
export function configureArguments(defines) {
  return [
    script(),
    'configure',
    ...Object.entries(defines).map(([name, value]) => `--CD${name}=${value}`),
  ];
}

/** Arguments of Node for `build`. @param nJobs compilers at a time */
export function buildArguments(nJobs) {
  return [script(), 'build', '--parallel', String(nJobs)];
}

function script() {
  const manifest = resolved(join(root, 'package.json')) ?? fetched();
  return join(dirname(manifest), 'bin', 'cmake-js');
}

/** The package.json of cmake-js, as a file of that place sees it; null where it is not installed. */
function resolved(from) {
  try {
    return createRequire(from).resolve('cmake-js/package.json');
  } catch {
    return null;
  }
}

/** Fetches the tools into a folder of their own, once. @returns the package.json of cmake-js */
function fetched() {
  const folder = join(root, 'build', 'tools');
  const own = join(folder, 'package.json');
  // cmake-js looks for the headers of node-addon-api from the package that is built.
  process.env.NODE_PATH = [join(folder, 'node_modules'), process.env.NODE_PATH]
    .filter(Boolean)
    .join(delimiter);
  if (!resolved(own)) {
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const dependencies = Object.fromEntries(
      BUILD_TOOLS.map((name) => [name, devDependencies[name]]),
    );
    console.error('gristmill: fetching cmake-js with npm, as the addon is built from source');
    mkdirSync(folder, { recursive: true });
    writeFileSync(own, `${JSON.stringify({ private: true, dependencies })}\n`);
    npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], folder);
  }
  return createRequire(own).resolve('cmake-js/package.json');
}
