/** What is published. Compilers are hidden, and what was packed is installed and run, in .ci/pack-smoke. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const llama = 'native/vendor/llama.cpp';

/** Packages that an installation without compilers brings, ours among them, as the lock file has them. */
const MAX_INSTALLED = 90;

describe('the package', () => {
  // 188 of them, 40 for building from source and 120 behind four libraries, took longer to unpack than a person likes to wait.
  it('brings few packages along', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
    };
    const installed = Object.values(packages).filter(
      ({ dev, devOptional }) => !dev && !devOptional,
    );
    expect(installed.length).toBeLessThanOrEqual(MAX_INSTALLED);
  });

  // Source maps without the sources were a third of its files.
  it('holds the libraries that are bundled with their licences, and no source maps', () => {
    for (const name of ['plot.js', 'resvg.js', 'hub.js', 's3.js', 'resvg.wasm', 'DejaVuSans.ttf']) {
      expect(paths).toContain(`dist/libraries/${name}`);
    }
    const licences = readFileSync(join(root, 'dist/libraries/LICENSES.txt'), 'utf8');
    for (const name of [
      'd3-shape',
      'linkedom',
      '@aws-sdk/client-s3',
      '@huggingface/hub',
      'dejavu',
    ]) {
      expect(licences).toContain(name);
    }
    expect(licences).not.toMatch(/^Licence: undefined$/m);
    expect(paths.filter((path) => path.endsWith('.map'))).toEqual([]);
  });

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

  // 348 files of examples, scripts and CI of llama.cpp came along once, although `files` meant to leave them out.
  it('holds the pins of vendored sources, and nothing of these', () => {
    expect(paths.filter((path) => path.startsWith('native/vendor/')).sort()).toEqual([
      'native/vendor/npm.mjs',
      'native/vendor/pins.json',
      'native/vendor/unpack.mjs',
    ]);
  });

  it('holds every source of ours that a build from source reads', () => {
    for (const path of [
      'native/output_file.cc',
      'native/install.mjs',
      'CMakeLists.txt',
      'binding.gyp',
      'LICENSE',
    ]) {
      expect(paths).toContain(path);
    }
    for (const room of ['binding', 'codec', 'engine', 'mixture', 'pages', 'text', 'train']) {
      for (const name of readdirSync(join(root, 'native', room)))
        expect(paths).toContain(`native/${room}/${name}`);
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
