/** `gristmill devices`: what `--device` takes on this machine. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { native } from '../native/index.ts';
import { addonFile } from '../paths.ts';
import { printable } from '../printable.ts';

const MIB = 2 ** 20;

/** The action of `gristmill devices`. */
export function printDevices({ json }: { readonly json?: boolean }): void {
  const { devices, missing } = native().listDevices(true);
  const folder = dirname(addonFile);
  const hasGpuBackend = ['libggml-cuda.so', 'libggml-metal.dylib', 'libggml-metal.so'].some(
    (name) => existsSync(join(folder, name)),
  );
  if (json) {
    process.stdout.write(`${JSON.stringify({ devices, hasGpuBackend, missing })}\n`);
    return;
  }
  for (const { name, description, freeBytes, totalBytes, sharesMemory } of devices) {
    const [free, total] = [freeBytes, totalBytes].map((bytes) => Math.round(bytes / MIB));
    const memory = name === 'cpu' ? `${total} MiB` : `${free} of ${total} MiB free`;
    const shared = name !== 'cpu' && sharesMemory ? ', shared with the CPU' : '';
    process.stdout.write(`${name}  ${printable(description)}  ${memory}${shared}\n`);
  }
  const why = whyNoGpu(hasGpuBackend, missing);
  if (devices.every(({ name }) => name === 'cpu')) process.stdout.write(`${why}\n`);
}

function whyNoGpu(hasBackend: boolean, missing: string): string {
  if (!hasBackend) {
    return 'no GPU: the addon was built without CUDA; GRISTMILL_CUDA=on npx gristmill build-native';
  }
  if (missing !== '') return `no GPU: ${printable(missing)}`;
  return 'no GPU: its backend is loaded and finds none (is the driver as new as the toolkit?)';
}
