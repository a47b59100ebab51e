/** cmake-js as all builds of the addon call it. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

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
  const manifest = createRequire(import.meta.url).resolve('cmake-js/package.json');
  return join(dirname(manifest), 'bin', 'cmake-js');
}
