/** The package's version and that of the llama.cpp it is built over, read once from the package's own files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './paths.ts';

interface Pins {
  readonly 'llama.cpp': { readonly version: string };
}

function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(packageRoot, ...path), 'utf8')) as T;
}

/** Version of this package. */
export const version: string = readJson<{ version: string }>('package.json').version;

/** Version of the pinned llama.cpp. */
export const llamaCppVersion: string = readJson<Pins>('native', 'vendor', 'pins.json')['llama.cpp']
  .version;
