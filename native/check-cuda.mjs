/**
 * Checks the CUDA build on a machine without a GPU: `npm run check:cuda`.
 *
 *   1. the toolkit from PyPI's wheels, into a cache: nvcc, cudart, cuBLAS, CCCL, CRT, NVVM, and a stub of the driver's library
 *   2. configure with GRISTMILL_CUDA=on for one architecture (CUDAARCHS, default 90-real), beside the usual build
 *   3. compile and link: the addon and ggml-cuda, whole
 *   4. load the result where there is no driver: a refine on the CPU gives the same bytes as the usual build, and
 *      `--device cuda:0` says what is missing
 *
 * Objects stay in build/cuda between runs; from nothing it takes about an hour on two cores. `--fast` (part of .ci/run) does 1 and
 * 2, compiles those files of ours that know of devices and one of ggml-cuda's, and links that one against the toolkit. Where PyPI
 * cannot be reached, or Python makes no environments, it says so and checks nothing; everything else that does not hold is an error.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configureArguments } from './cmake-js.mjs';
import { unpackVendored } from './vendor/unpack.mjs';

/** One release of the toolkit; the wheels of a release fit each other. */
const WHEELS = [
  'nvidia-cuda-nvcc==13.0.88',
  'nvidia-cuda-runtime==13.0.96',
  'nvidia-cuda-crt==13.0.88',
  'nvidia-cuda-cccl==13.0.85',
  'nvidia-nvvm==13.0.88',
  'nvidia-cublas==13.0.2.14',
];
/** What ggml-cuda calls of the driver; for the linker alone. */
const DRIVER_FUNCTIONS = [
  'cuDeviceGet',
  'cuDeviceGetAttribute',
  'cuGetErrorString',
  'cuMemAddressFree',
  'cuMemAddressReserve',
  'cuMemCreate',
  'cuMemGetAllocationGranularity',
  'cuMemMap',
  'cuMemRelease',
  'cuMemSetAccess',
  'cuMemUnmap',
];
const ARCHITECTURES = process.env.CUDAARCHS ?? '90-real';
/** A small file of ggml-cuda, with kernels. */
const ONE_FILE = 'scale.cu';
/** Files of ours that know of devices. */
const OWN_FILES = ['native/engine/backend.cc', 'native/train/device_graph.cc'];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'build', 'cuda');
const isFast = process.argv.includes('--fast');
const started = Date.now();
const say = (text) =>
  console.log(`check:cuda: ${text} (${Math.round((Date.now() - started) / 1000)} s)`);
const fail = (text) => {
  console.error(`check:cuda: ${text}`);
  process.exit(1);
};

const toolkit = fetchToolkit();
if (toolkit) {
  say(`toolkit at ${toolkit}`);
  const environment = {
    ...process.env,
    PATH: `${join(toolkit, 'bin')}:${process.env.PATH}`,
    CUDAARCHS: ARCHITECTURES,
    CUDACXX: join(toolkit, 'bin', 'nvcc'),
    CUDAToolkit_ROOT: toolkit,
  };
  configure(environment);
  if (isFast) compileSome(environment);
  else {
    compileAll(environment);
    tryWithoutDriver();
  }
  say('passed');
}

/** The toolkit's root in the cache; null where PyPI is out of reach. */
function fetchToolkit() {
  const cache = join(
    process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
    'gristmill',
    'cuda',
    WHEELS[0].replace('==', '-'),
  );
  const venv = join(cache, 'venv');
  const stamp = join(cache, 'wheels');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== WHEELS.join('\n')) {
    rmSync(cache, { recursive: true, force: true });
    mkdirSync(cache, { recursive: true });
    say('fetching the toolkit: 300 MB');
    if (spawnSync('python3', ['-m', 'venv', venv], { stdio: 'inherit' }).status !== 0) {
      console.error(
        'check:cuda: NOT CHECKED: no virtual environment; run: apt-get install -y python3-venv',
      );
      rmSync(cache, { recursive: true, force: true });
      return null;
    }
    const pip = spawnSync(
      join(venv, 'bin', 'pip'),
      ['install', '--quiet', '--disable-pip-version-check', ...WHEELS],
      { stdio: 'inherit' },
    );
    if (pip.status !== 0) {
      console.error(
        'check:cuda: NOT CHECKED: the wheels of the CUDA toolkit cannot be installed from PyPI',
      );
      rmSync(cache, { recursive: true, force: true });
      return null;
    }
    const found = toolkitOf(venv);
    // The wheels leave out what a toolkit's own installer makes.
    symlinkSync('lib', join(found, 'lib64'));
    for (const name of ['cudart', 'cublas', 'cublasLt']) {
      const file = readdirSync(join(found, 'lib')).find((each) =>
        each.startsWith(`lib${name}.so.`),
      );
      symlinkSync(file, join(found, 'lib', `lib${name}.so`));
    }
    mkdirSync(join(found, 'lib', 'stubs'), { recursive: true });
    const source = join(cache, 'stub.c');
    writeFileSync(
      source,
      DRIVER_FUNCTIONS.map((name) => `int ${name}(void) { return 100; }\n`).join(''),
    );
    const stub = join(found, 'lib', 'stubs', 'libcuda.so');
    execFileSync('gcc', ['-shared', '-fPIC', '-Wl,-soname,libcuda.so.1', '-o', stub, source], {
      stdio: 'inherit',
    });
    writeFileSync(stamp, WHEELS.join('\n'));
  }
  return toolkitOf(venv);
}

function toolkitOf(venv) {
  const python = readdirSync(join(venv, 'lib')).find((name) => name.startsWith('python3'));
  return join(venv, 'lib', python, 'site-packages', 'nvidia', 'cu13');
}

function configure(env) {
  const trees = unpackVendored();
  const defines = {
    GRISTMILL_CUDA: 'on',
    GRISTMILL_CPU: process.env.GRISTMILL_CPU ?? 'native',
    GRISTMILL_LLAMA_CPP: trees['llama.cpp'],
    CMAKE_CUDA_ARCHITECTURES: ARCHITECTURES,
  };
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...configureArguments(defines), '--out', folder],
    { cwd: root, env, encoding: 'utf8', maxBuffer: 2 ** 26 },
  );
  if (status !== 0) {
    console.error(`${stdout}${stderr}`.split('\n').slice(-40).join('\n'));
    fail('cmake does not configure with GRISTMILL_CUDA=on');
  }
  const cache = readFileSync(join(folder, 'CMakeCache.txt'), 'utf8');
  if (!/^GGML_CUDA:BOOL=ON$/m.test(cache)) fail('configured, but without CUDA');
  say(`configured for ${ARCHITECTURES}`);
}

function cmakeBuild(env, targets) {
  const args = ['--build', folder, '--parallel', String(availableParallelism())];
  if (targets.length > 0) args.push('--target', ...targets);
  const { status } = spawnSync('cmake', args, { env, stdio: 'inherit' });
  if (status !== 0) fail(`it does not compile: ${targets.join(' ') || 'everything'}`);
}

/** Objects by their names in the build folder, whichever tool builds there. */
function compileSome(env) {
  const cuda = join('llama.cpp', 'ggml', 'src', 'ggml-cuda');
  const oneObject = join(cuda, 'CMakeFiles', 'ggml-cuda.dir', `${ONE_FILE}.o`);
  if (existsSync(join(folder, 'build.ninja'))) {
    cmakeBuild(env, [oneObject, ...OWN_FILES.map((file) => `CMakeFiles/gristmill.dir/${file}.o`)]);
  } else {
    const make = (directory, target) => {
      const { status } = spawnSync('make', ['-C', join(folder, directory), target], {
        env,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      if (status !== 0) fail(`it does not compile: ${target}`);
    };
    make(cuda, `${ONE_FILE}.o`);
    for (const file of OWN_FILES) make('.', `${file}.o`);
  }
  say(`compiled ${ONE_FILE} and ${OWN_FILES.join(', ')}`);
  const library = join(folder, 'one-file.so');
  const lib = join(toolkit, 'lib');
  execFileSync(
    'g++',
    [
      '-shared',
      '-o',
      library,
      join(folder, oneObject),
      `-L${lib}`,
      `-L${join(lib, 'stubs')}`,
      '-Wl,--no-as-needed',
      '-lcudart',
      '-lcublas',
      '-lcuda',
    ],
    { stdio: 'inherit' },
  );
  const needed = execFileSync('readelf', ['-d', library], { encoding: 'utf8' });
  for (const name of ['libcudart.so.13', 'libcublas.so.13', 'libcuda.so.1']) {
    if (!needed.includes(`[${name}]`)) fail(`linked, but not against ${name}`);
  }
  say('linked against the toolkit and the stub of the driver');
}

function compileAll(env) {
  cmakeBuild(env, []);
  for (const name of ['gristmill.node', 'libggml-cuda.so']) {
    if (!existsSync(join(folder, 'Release', name))) fail(`the build has no ${name}`);
  }
  say('compiled and linked');
}

/** The CUDA build in a package of its own, on this machine. */
function tryWithoutDriver() {
  const stage = mkdtempSync(join(tmpdir(), 'gristmill-cuda-'));
  try {
    for (const name of ['dist', 'models', 'package.json', 'native/vendor/pins.json'])
      cpSync(join(root, name), join(stage, name), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(stage, 'node_modules'));
    mkdirSync(join(stage, 'build'));
    cpSync(join(folder, 'Release'), join(stage, 'build', 'Release'), { recursive: true });
    const corpus = join(root, 'examples', 'corpus.parquet');
    const refine = (package_, out, ...more) =>
      spawnSync(
        process.execPath,
        [
          join(package_, 'dist/cli/main.js'),
          'refine',
          corpus,
          '--out',
          join(stage, out),
          '--id-column',
          'id',
          ...more,
        ],
        { encoding: 'utf8' },
      );
    const [usual, cuda] = [refine(root, 'usual'), refine(stage, 'cuda')];
    if (usual.status !== 0) fail(`the usual build does not refine: ${usual.stderr}`);
    if (cuda.status !== 0) fail(`the CUDA build does not refine on the CPU: ${cuda.stderr}`);
    const part = (out) => readFileSync(join(stage, out, 'part-00000.parquet'));
    if (!part('usual').equals(part('cuda')))
      fail('the CUDA build refines to other bytes on the CPU');
    say('loads without a driver, and refines to the same bytes on the CPU');
    if (existsSync('/dev/nvidia0')) {
      say('there is a GPU: what a machine without one says is not asked');
      return;
    }
    const missing = refine(stage, 'missing', '--device', 'cuda:0');
    const said = missing.stderr
      .trim()
      .split('\n')
      .find((line) => line.includes('ENGINE_DEVICE_MISSING'));
    if (missing.status === 0 || !said)
      fail(`--device cuda:0 without a GPU: exit ${missing.status}, ${missing.stderr}`);
    if (!/libcuda|libcudart|libcublas|driver|no device/i.test(said))
      fail(`it does not say what is missing: ${said}`);
    console.log(`check:cuda: it says: ${said}`);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}
