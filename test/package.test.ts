/** What is published: 348 files of examples, scripts and CI of llama.cpp came along, although `files` meant to leave them out. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const llama = 'native/vendor/llama.cpp/';

describe('the package', () => {
  execFileSync(process.execPath, [join(root, 'native/vendor/unpack.mjs')], { stdio: 'ignore' });
  const packed = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 2 ** 26,
    }),
  ) as { files: { path: string }[] }[];
  const paths = packed[0]!.files.map(({ path }) => path);

  it('holds of llama.cpp what the build reads, and nothing else', () => {
    const inner = paths
      .filter((path) => path.startsWith(llama))
      .map((path) => path.slice(llama.length));
    const tops = [...new Set(inner.map((path) => path.split('/')[0]!))].sort();
    expect(tops).toEqual([
      '.gristmill-pin',
      'AUTHORS',
      'CMakeLists.txt',
      'LICENSE',
      'cmake',
      'ggml',
      'include',
      'licenses',
      'src',
      'vendor',
    ]);
    const backends = new Set(
      inner.flatMap((path) => /^ggml\/src\/ggml-(\w+)\//.exec(path)?.[1] ?? []),
    );
    expect([...backends].sort()).toEqual(['blas', 'cpu', 'cuda', 'metal']);
  });

  it('holds every source of ours, and the libraries that they are built with', () => {
    for (const path of [
      'native/output_file.cc',
      'native/install.mjs',
      'CMakeLists.txt',
      'binding.gyp',
      'LICENSE',
    ]) {
      expect(paths).toContain(path);
    }
    for (const room of ['binding', 'codec', 'engine', 'mixture', 'text', 'train']) {
      for (const name of readdirSync(join(root, 'native', room)))
        expect(paths).toContain(`native/${room}/${name}`);
    }
    for (const probe of [
      'zstd/lib/zstd.h',
      'zlib/zlib.h',
      'llama.cpp/src/llama.cpp',
      'llama.cpp/ggml/src/ggml-cpu/ops.cpp',
    ]) {
      expect(paths).toContain(`native/vendor/${probe}`);
    }
    expect(paths.filter((path) => /^(test|bench|build|python|\.ci)\//.test(path))).toEqual([]);
  });

  it('holds the refiners, and not the documents that they learnt from', () => {
    const models = paths.filter((path) => path.startsWith('models/'));
    expect(models).toContain('models/default-document.gguf');
    expect(models.filter((path) => /^models\/(documents|collect|pages|make-)/.test(path))).toEqual(
      [],
    );
  });

  it('names in NOTICE what llama.cpp brings along', () => {
    const notice = readFileSync(join(root, 'NOTICE'), 'utf8');
    const folder = join(root, llama, 'vendor');
    expect(existsSync(folder)).toBe(true);
    const brought = readdirSync(folder, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    for (const { name } of brought) {
      if (name !== 'hash') expect(notice).toContain(name);
    }
    for (const name of readdirSync(join(folder, 'hash'))) {
      if (!name.includes('.')) expect(notice).toContain(`hash/${name}`);
    }
  });
});
