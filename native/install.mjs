/**
 * npm's `install` step: builds the native addon once, and reuses a good build.
 *
 * Where the package @gristmill/PLATFORM-ARCH of the same version is installed and loads, nothing is built, unless another addon
 * is asked for: one of the variables below is set, or `auto` finds the CUDA toolkit.
 * A build is good when its stamp (sources, pins, options, compiler) matches and the addon loads. What is missing
 * on the machine is named in one line with the command that installs it. Environment:
 *   GRISTMILL_CUDA=auto|on|off       auto builds CUDA where the toolkit is whole and compiles, else for the CPU, and says why;
 *                                    on makes that an error
 *   CUDAARCHS=90-real                architectures, as CMake has them; default: those of this machine's GPUs, else a list
 *   GRISTMILL_CPU=native|baseline|all
 *   GRISTMILL_LLAMA_CPP=<dir>        an own llama.cpp tree
 *   GRISTMILL_SKIP_BUILD=1           do nothing (the addon is then missing until `npx gristmill build-native`)
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildArguments, configureArguments } from './cmake-js.mjs';
import { buildMinutes, cudaArchitectures, findNvcc, whyWithoutCuda } from './cuda-build.mjs';
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
  if (cuda === 'on' || (cuda === 'auto' && findNvcc())) return false;
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

/** How often a build that takes long says how far it is. */
const SAY_EVERY_MS = 30_000;

/** Runs a step of cmake-js; what it prints goes to build/STEP.log. @returns its exit status and output */
function run(step, args) {
  return new Promise((resolve, reject) => {
    const started = Date.now();
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let objects = null;
    let saidAt = started;
    const take = (piece) => {
      output += piece;
      objects = [...piece.matchAll(/\[\s*(\d+(?:\/\d+|%))\]/g)].at(-1)?.[1] ?? objects;
      if (objects === null || Date.now() - saidAt < SAY_EVERY_MS) return;
      saidAt = Date.now();
      const minutes = ((saidAt - started) / 60_000).toFixed(1);
      console.error(`gristmill: ${step}: ${objects.replace('/', ' of ')}, ${minutes} min`);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.on('error', reject);
    child.on('close', (status) => {
      writeFileSync(join(root, 'build', `${step}.log`), output);
      resolve({ status, output });
    });
  });
}

/** Configures and builds. @returns null, or the step that failed with its output */
async function build(defines) {
  for (const [step, args] of [
    ['configure', configureArguments(defines)],
    ['build', buildArguments(availableParallelism())],
  ]) {
    const { status, output } = await run(step, args);
    if (status !== 0) return { step, output };
    const why = step === 'configure' && findNvcc() ? whyWithoutCuda(output) : null;
    if (why) console.error(`gristmill: there is nvcc, but the build is for the CPU alone: ${why}`);
  }
  return null;
}

/** What CMake has found stays in its cache: another toolkit begins anew. */
function forgetOtherToolkit(toolkit) {
  const file = join(root, 'build', 'gristmill-toolkit');
  const before = existsSync(file) ? readFileSync(file, 'utf8') : null;
  if (before !== null && before !== toolkit) {
    rmSync(join(root, 'build', 'CMakeCache.txt'), { force: true });
  }
  writeFileSync(file, toolkit);
}

async function main() {
  if (process.env.GRISTMILL_SKIP_BUILD && !force) return;
  const wish = process.env.GRISTMILL_CUDA ?? 'auto';
  const nvcc = wish.toLowerCase() === 'off' ? null : findNvcc();
  const architectures = nvcc ? cudaArchitectures(process.env.CUDAARCHS) : null;
  const options = {
    GRISTMILL_CUDA: wish,
    GRISTMILL_CPU: process.env.GRISTMILL_CPU ?? 'native',
    GRISTMILL_BENCH: process.env.GRISTMILL_BENCH ? 'ON' : 'OFF',
    ...(nvcc && { CMAKE_CUDA_ARCHITECTURES: architectures.list, toolkit: nvcc.version }),
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
  const { toolkit = 'none', ...asked } = options;
  const defines = { ...asked, GRISTMILL_LLAMA_CPP: trees['llama.cpp'] };
  const started = Date.now();
  // What is built is the sources as they are now: what is edited meanwhile is another build.
  const stamp = stampOf(options);
  const nCores = availableParallelism();
  const minutes = buildMinutes(architectures?.list ?? null, nCores);
  const what = nvcc ? `with CUDA ${nvcc.version}` : 'for the CPU';
  console.error(
    `gristmill: building the native addon ${what} (about ${minutes} minutes on ${nCores} cores, once)`,
  );
  if (nvcc) console.error(`gristmill: architectures ${architectures.list} (${architectures.from})`);
  mkdirSync(join(root, 'build'), { recursive: true });
  forgetOtherToolkit(toolkit);
  let failure = await build(defines);
  if (failure && nvcc && wish.toLowerCase() === 'auto') {
    const last = failure.output.match(/.*\berror\b.*/i)?.[0].trim() ?? 'no reason given';
    console.error(
      `gristmill: with CUDA it does not ${failure.step} (${last}); building for the CPU. GRISTMILL_CUDA=on shows everything`,
    );
    rmSync(join(root, 'build', 'CMakeCache.txt'), { force: true });
    failure = await build({ ...defines, GRISTMILL_CUDA: 'off' });
  }
  if (failure) {
    console.error(failure.output.split('\n').slice(-60).join('\n'));
    fail(`cmake-js ${failure.step} failed; the whole output is in build/${failure.step}.log`);
  }
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

await main();
