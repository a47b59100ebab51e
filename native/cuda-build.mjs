/** What a build with CUDA is for, and what it takes: asked by install.mjs, told to CMake, part of the stamp. */
import { spawnSync } from 'node:child_process';

/**
 * Without a GPU to ask: code of their own for T4, A100, A10 and RTX 30, L4 and RTX 40, H100 and H200; the last also as PTX,
 * which the driver compiles for what comes after it.
 */
export const DEFAULT_ARCHITECTURES = ['75-real', '80-real', '86-real', '89-real', '90'];

/** CPU seconds: everything but CUDA; ggml-cuda for one architecture; each further one of those. */
const CPU_SECONDS = { base: 480, first: 3000, further: 1300 };

/**
 * The architectures to compile for, as CMake has them: those of `CUDAARCHS`, else of the GPUs of this machine, else the list.
 *
 * @param asked CUDAARCHS, or undefined
 * @param smi runs nvidia-smi: its output, one compute capability a line, or null
 */
export function cudaArchitectures(asked, smi = computeCapabilities) {
  if (asked) return { list: asked, from: 'CUDAARCHS' };
  const found = [...(smi() ?? '').matchAll(/^\s*(\d{1,2})\.(\d)\s*$/gm)].map(
    ([, major, minor]) => `${major}${minor}-real`,
  );
  if (found.length > 0)
    return { list: [...new Set(found)].sort().join(';'), from: 'the GPU of this machine' };
  return {
    list: DEFAULT_ARCHITECTURES.join(';'),
    from: 'the default; CUDAARCHS=90-real names others',
  };
}

/** Minutes that a build takes. @param architectures null without CUDA */
export function buildMinutes(architectures, nCores) {
  const n = architectures === null ? 0 : architectures.split(';').length;
  const { base, first, further } = CPU_SECONDS;
  const seconds = base + (n > 0 ? first + (n - 1) * further : 0);
  return Math.max(1, Math.round(seconds / nCores / 60));
}

/** The first compiler that answers, with its version; null where there is none. */
export function findNvcc() {
  for (const nvcc of ['nvcc', '/usr/local/cuda/bin/nvcc']) {
    const { status, stdout } = spawnSync(nvcc, ['--version'], { encoding: 'utf8' });
    if (status === 0) return { nvcc, version: /release ([^,\s]+)/.exec(stdout)?.[1] ?? 'unknown' };
  }
  return null;
}

/** What CMake said of a build without CUDA; null where it said nothing. */
export function whyWithoutCuda(output) {
  return /gristmill: without CUDA: (.*)/.exec(output)?.[1] ?? null;
}

function computeCapabilities() {
  const args = ['--query-gpu=compute_cap', '--format=csv,noheader'];
  const { status, stdout } = spawnSync('nvidia-smi', args, { encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? stdout : null;
}
