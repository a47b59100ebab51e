import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.ts';

const compiler = process.env['CXX'] ?? 'c++';
const hasCompiler = spawnSync(compiler, ['--version'], { stdio: 'ignore' }).status === 0;
if (!hasCompiler) console.warn(`no C++ compiler (${compiler}): bf16 kernels are not tested`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-kernels-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('products in bf16', () => {
  it.skipIf(!hasCompiler)(
    'are those of a naive oracle to the bit, with the instruction for them emulated too',
    { timeout: 600_000 },
    () => {
      const native = join(packageRoot, 'native');
      const sets = ['kernels', 'kernels_avx2', 'kernels_avx512', 'kernels_avx512_bf16'];
      const sources = [
        join(packageRoot, 'test/native/bf16-kernels.cc'),
        ...sets.map((name) => join(native, 'train', `${name}.cc`)),
      ];
      const file = join(folder, 'bf16-kernels');
      const built = spawnSync(
        compiler,
        ['-std=c++20', '-O1', '-w', `-I${native}`, ...sources, '-o', file],
        { encoding: 'utf8' },
      );
      expect(built.stderr).not.toContain('error');
      expect(built.status).toBe(0);
      const { status, stdout } = spawnSync(file, [], { encoding: 'utf8' });
      expect(stdout).not.toMatch(/expected|differ|becomes/);
      expect(status).toBe(0);
      expect(stdout.match(/^.+: 2744 products$/gm)!.length).toBeGreaterThanOrEqual(2);
    },
  );
});
