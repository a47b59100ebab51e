/**
 * Makes what is published, ready for `npm publish`: `npm run prebuilds` (`prebuild` is what npm itself runs before `build`).
 *
 *   build/npm/gristmill-VERSION.tgz                   the package, with a dependency, optional, on each of those below
 *   build/npm/gristmill-PLATFORM-ARCH-VERSION.tgz     @gristmill/PLATFORM-ARCH: the addon, built on such a machine
 *
 * The addon is built for every processor of the architecture: ggml's CPU backend in each of its variants, of which the best is
 * loaded at run time. CUDA is not in it (`GRISTMILL_CUDA=on npm rebuild gristmill` builds from source). libgomp comes along, as
 * machines without a compiler may lack it. On each platform that is published: run this, gather the archives of the platform
 * packages in build/npm of one machine, and run `npm run prebuilds -- --main` there.
 *
 *   --from DIR   takes the addon of a build that is there instead of building one
 *   --main       makes the package only, for the platform packages that lie in build/npm
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BUILD_TOOLS, buildArguments, configureArguments } from './cmake-js.mjs';
import { unpackVendored } from './vendor/unpack.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'build', 'npm');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const platform = `${process.platform}-${process.arch}`;
const { values } = parseArgs({ options: { from: { type: 'string' }, main: { type: 'boolean' } } });

mkdirSync(out, { recursive: true });
if (!values.main) packPlatform(values.from ?? build());
packMain();

/** An addon for every processor of this architecture. @returns its folder */
function build() {
  const folder = join(root, 'build', 'prebuild');
  const trees = unpackVendored();
  const defines = {
    GRISTMILL_CPU: process.arch === 'x64' ? 'all' : 'native',
    GRISTMILL_CUDA: 'off',
    GRISTMILL_BENCH: 'OFF',
    GRISTMILL_LLAMA_CPP: trees['llama.cpp'],
  };
  const run = (args) =>
    execFileSync(process.execPath, [...args, '--out', folder], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  run(configureArguments(defines));
  run(buildArguments(availableParallelism()));
  return join(folder, 'Release');
}

/** The addon and its libraries as a package of their own. */
function packPlatform(from) {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-prebuild-'));
  try {
    const names = readdirSync(from).filter((name) => /\.(node|so|dylib)$/.test(name));
    if (!names.includes('gristmill.node')) throw new Error(`${from} holds no gristmill.node`);
    for (const name of names) {
      copyFileSync(join(from, name), join(folder, name));
      strip(join(folder, name));
    }
    const openMp = libraryOf(
      join(from, names.find((name) => name.includes('ggml-cpu')) ?? 'gristmill.node'),
      'libgomp',
    );
    if (openMp) {
      copyFileSync(openMp.path, join(folder, openMp.name));
      chmodSync(join(folder, openMp.name), 0o755);
    }
    for (const name of ['LICENSE', 'NOTICE']) copyFileSync(join(root, name), join(folder, name));
    writeFileSync(
      join(folder, 'README.md'),
      `# @gristmill/${platform}\n\nThe native addon of gristmill for ${platform}; gristmill installs it by itself.\n`,
    );
    const { version, license } = manifest;
    const own = {
      name: `@gristmill/${platform}`,
      version,
      description: `The native addon of gristmill for ${platform}`,
      license,
      os: [process.platform],
      cpu: [process.arch],
      ...(process.platform === 'linux' && { libc: ['glibc'] }),
      main: 'gristmill.node',
      engines: manifest.engines,
    };
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
    pack(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The package with its platform packages as optional dependencies. */
function packMain() {
  const { version, name } = manifest;
  const platforms = readdirSync(out)
    .map(
      (file) =>
        new RegExp(
          `^gristmill-([a-z0-9]+-[a-z0-9]+)-${version.replaceAll('.', '\\.')}\\.tgz$`,
        ).exec(file)?.[1],
    )
    .filter((each) => each !== undefined)
    .sort();
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-pack-'));
  try {
    execFileSync(process.execPath, [join(root, 'native', 'build-js.mjs')], { stdio: 'inherit' });
    npm(['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], root);
    execFileSync('tar', ['-xzf', join(folder, `${name}-${version}.tgz`), '-C', folder]);
    const file = join(folder, 'package', 'package.json');
    const published = JSON.parse(readFileSync(file, 'utf8'));
    published.optionalDependencies = Object.fromEntries(
      platforms.map((each) => [`@gristmill/${each}`, version]),
    );
    // What makes and checks the package is not there in it; what a build from source fetches is named.
    published.scripts = { install: published.scripts.install };
    published.devDependencies = Object.fromEntries(
      BUILD_TOOLS.map((each) => [each, published.devDependencies[each]]),
    );
    writeFileSync(file, `${JSON.stringify(published, null, 2)}\n`);
    removeInnerTypes(join(folder, 'package'), published.exports);
    pack(join(folder, 'package'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Declarations that no entry reaches are of modules that nobody imports: two thirds of them. */
function removeInnerTypes(folder, entries) {
  const reached = new Set();
  const visit = (file) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const [, specifier] of readFileSync(file, 'utf8').matchAll(
      /\b(?:from|import)\s*\(?\s*['"](\.[^'"\n]+)['"]/g,
    )) {
      visit(join(dirname(file), specifier.replace(/\.[jt]s$/, '.d.ts')));
    }
  };
  for (const entry of Object.values(entries)) {
    if (typeof entry === 'object') visit(join(folder, entry.import.types));
  }
  for (const name of readdirSync(join(folder, 'dist'), { recursive: true, encoding: 'utf8' })) {
    const file = join(folder, 'dist', name);
    if (name.endsWith('.d.ts') && !reached.has(file)) rmSync(file);
  }
}

function pack(folder) {
  const [made] = JSON.parse(
    npm(['pack', '--json', '--ignore-scripts', '--pack-destination', out], folder),
  );
  const mb = (bytes) => (bytes / 1e6).toFixed(1);
  const { size, unpackedSize, entryCount } = made;
  // npm before 11 names the file with the scope's slash.
  console.log(
    `build/npm/${basename(made.filename.replace(/^@/, '').replace('/', '-'))}: ${mb(size)} MB, ${mb(unpackedSize)} MB unpacked, ${entryCount} files`,
  );
}

function npm(args, cwd) {
  return execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  });
}

function strip(file) {
  const flags = process.platform === 'darwin' ? ['-x'] : ['--strip-unneeded'];
  const before = statSync(file).size;
  if (spawnSync('strip', [...flags, file], { stdio: 'ignore' }).status !== 0) {
    console.error(`strip did not run on ${basename(file)}: it stays at ${before} bytes`);
  }
}

/** A library that another one is loaded with, as the loader of this machine finds it; null where it needs none. */
function libraryOf(file, start) {
  const { status, stdout } = spawnSync('ldd', [file], { encoding: 'utf8' });
  const line =
    status === 0 ? stdout.split('\n').find((each) => each.trim().startsWith(start)) : undefined;
  const path = line?.split('=>')[1]?.trim().split(' ')[0];
  return path && existsSync(path)
    ? { name: line.trim().split(' ')[0], path: realpathSync(path) }
    : null;
}
