/**
 * npm's `install` step: builds the native addon once, and reuses a good build.
 *
 * Where the package @gristmill/PLATFORM-ARCH of the same version is installed and loads, nothing is built, unless another addon
 * is asked for: one of the variables below is set, or `auto` finds the CUDA toolkit.
 * A build is good when its stamp (sources, pins, options, compiler) matches and the addon loads. What is missing
 * on the machine is named in one line with the command that installs it. Environment:
 *   GRISTMILL_CUDA=auto|on|off       auto builds CUDA when nvcc and cuBLAS are found; on makes their lack an error
 *   GRISTMILL_CPU=native|baseline|all
 *   GRISTMILL_LLAMA_CPP=<dir>        an own llama.cpp tree
 *   GRISTMILL_SKIP_BUILD=1           do nothing (the addon is then missing until `npx gristmill build-native`)
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildArguments, configureArguments } from './cmake-js.mjs';
import { unpackVendored } from './vendor/unpack.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const addon = join(root, 'build', 'Release', 'gristmill.node');
const stampFile = join(root, 'build', 'gristmill-stamp');
const force = process.argv.includes('--force');

function fail(line) {
  console.error(`gristmill: ${line}`);
  process.exit(1);
}

/** Tools the build runs, with the Debian package that brings each. */
function requireTools() {
  const needed = [
    ['cmake', 'cmake'],
    ['git', 'git'],
    ['g++', 'g++'],
    ['make', 'make'],
  ];
  const missing = needed.filter(([tool]) => {
    if (tool === 'make' && spawnSync('ninja', ['--version'], { stdio: 'ignore' }).status === 0)
      return false;
    if (tool === 'g++' && process.env.CXX) return false;
    if (tool === 'git' && existsSync(join(root, 'native/vendor/llama.cpp/.gristmill-pin')))
      return false;
    return spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0;
  });
  if (missing.length > 0) {
    const packages = missing.map(([, name]) => name).join(' ');
    fail(
      `${missing.map(([tool]) => tool).join(', ')} not found; run: apt-get install -y ${packages}`,
    );
  }
}

function sourceFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'vendor' ? [] : sourceFiles(path);
    return /\.(cc|h|cu)$/.test(entry.name) ? [path] : [];
  });
}

function stampOf(options) {
  const hash = createHash('sha256');
  const files = ['CMakeLists.txt', 'native/vendor/pins.json'].map((name) => join(root, name));
  for (const file of [...files, ...sourceFiles(join(root, 'native')).sort()]) {
    hash.update(relative(root, file)).update('\0').update(readFileSync(file)).update('\0');
  }
  const compiler =
    spawnSync(process.env.CXX ?? 'g++', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  return hash.update(JSON.stringify(options)).update(compiler.split('\n')[0]).digest('hex');
}

function loads(file) {
  const script = `require(${JSON.stringify(file)})`;
  return (
    existsSync(file) &&
    spawnSync(process.execPath, ['-e', script], { stdio: 'ignore' }).status === 0
  );
}

/** Whether the addon of the platform's package serves. */
function hasPrebuilt() {
  const asked = ['GRISTMILL_CPU', 'GRISTMILL_LLAMA_CPP', 'GRISTMILL_BENCH'];
  if (asked.some((name) => process.env[name])) return false;
  const cuda = (process.env.GRISTMILL_CUDA ?? 'auto').toLowerCase();
  if (cuda === 'on' || (cuda === 'auto' && hasToolkit())) return false;
  const require = createRequire(join(root, 'package.json'));
  const name = `@gristmill/${process.platform}-${process.arch}`;
  try {
    const { version } = require(`${name}/package.json`);
    if (version !== require('./package.json').version) return false;
    if (loads(require.resolve(name))) return true;
    console.error(`gristmill: ${name} does not load on this machine: building from source`);
  } catch {
    // Not installed: there is none for this machine, or npm was told to omit optional packages.
  }
  return false;
}

function hasToolkit() {
  return ['nvcc', '/usr/local/cuda/bin/nvcc'].some(
    (nvcc) => spawnSync(nvcc, ['--version'], { stdio: 'ignore' }).status === 0,
  );
}

function main() {
  if (process.env.GRISTMILL_SKIP_BUILD && !force) return;
  const options = {
    GRISTMILL_CUDA: process.env.GRISTMILL_CUDA ?? 'auto',
    GRISTMILL_CPU: process.env.GRISTMILL_CPU ?? 'native',
    GRISTMILL_BENCH: process.env.GRISTMILL_BENCH ? 'ON' : 'OFF',
  };
  if (
    !force &&
    existsSync(stampFile) &&
    readFileSync(stampFile, 'utf8') === stampOf(options) &&
    loads(addon)
  ) {
    return;
  }
  if (!force && hasPrebuilt()) return;
  requireTools();
  const trees = unpackVendored();
  const defines = { ...options, GRISTMILL_LLAMA_CPP: trees['llama.cpp'] };
  const started = Date.now();
  // What is built is the sources as they are now: what is edited meanwhile is another build.
  const stamp = stampOf(options);
  console.error('gristmill: building the native addon (about 4 minutes on 2 cores, once)');
  mkdirSync(join(root, 'build'), { recursive: true });
  const run = (step, args) => {
    const result = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const output = `${result.stdout ?? ''}${result.stderr ?? ''}`;
    writeFileSync(join(root, 'build', `${step}.log`), output);
    if (result.status !== 0) {
      console.error(output.split('\n').slice(-60).join('\n'));
      fail(`cmake-js ${step} failed; the whole output is in build/${step}.log`);
    }
  };
  run('configure', configureArguments(defines));
  run('build', buildArguments(availableParallelism()));
  if (!loads(addon)) {
    try {
      execFileSync(process.execPath, ['-e', `require(${JSON.stringify(addon)})`], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    } catch {
      fail(`the addon was built but does not load (${addon})`);
    }
  }
  writeFileSync(stampFile, stamp);
  const seconds = Math.round((Date.now() - started) / 1000);
  console.error(
    `gristmill: built ${relative(root, addon)} (${statSync(addon).size >> 10} KiB) in ${seconds} s`,
  );
}

main();
