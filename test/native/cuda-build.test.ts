/** What a build with CUDA is made for, and how long it says that it takes. */
import { describe, expect, it } from 'vitest';
import {
  buildMinutes,
  cudaArchitectures,
  DEFAULT_ARCHITECTURES,
  whyWithoutCuda,
} from '../../native/cuda-build.mjs';

describe('the architectures of a build', () => {
  it('are those that are asked for, whatever the GPU', () => {
    expect(cudaArchitectures('90-real', () => '8.0\n').list).toBe('90-real');
  });

  it('are those of the GPUs of the machine, each once', () => {
    expect(cudaArchitectures(undefined, () => '9.0\n8.0\n9.0\n').list).toBe('80-real;90-real');
    expect(cudaArchitectures('', () => '12.0\n').list).toBe('120-real');
  });

  it('have code of their own for A100, H100 and H200 where there is no GPU to ask', () => {
    // Those had PTX alone, which a driver older than the toolkit cannot compile.
    for (const smi of [() => null, () => '[N/A]\n', () => 'NVIDIA-SMI has failed']) {
      const { list } = cudaArchitectures(undefined, smi);
      expect(list.split(';')).toEqual(DEFAULT_ARCHITECTURES);
      expect(list).toContain('80-real');
      expect(list).toMatch(/;90$/);
    }
  });
});

describe('the estimate of a build', () => {
  it('grows with the architectures and falls with the cores', () => {
    expect(buildMinutes(null, 2)).toBe(4);
    expect(buildMinutes('90-real', 2)).toBeGreaterThan(20);
    expect(buildMinutes(DEFAULT_ARCHITECTURES.join(';'), 2)).toBeGreaterThan(
      2 * buildMinutes('90-real', 2),
    );
    expect(buildMinutes('90-real', 32)).toBeLessThan(3);
  });
});

describe('why a build is for the CPU alone', () => {
  it('is what CMake said', () => {
    expect(
      whyWithoutCuda('-- x\n-- gristmill: without CUDA: nvcc and cuBLAS not found\n-- y'),
    ).toBe('nvcc and cuBLAS not found');
    expect(whyWithoutCuda('-- Found CUDAToolkit')).toBeNull();
  });
});
