/**
 * `npm run check:trainers`: every export through the classes of the newest releases of the trainers, on a CPU.
 *
 * Needs Python 3.10 or later and a package index; what is installed (PyTorch among it, some GB) lies in one virtual environment,
 * GRISTMILL_TRAINERS or ~/.cache/gristmill/trainers, and is kept. Packages are installed without what they pin, as no two
 * trainers agree on that; what they import is in REQUIREMENTS. A trainer that cannot be installed or imported is skipped, and the table says so.
 *
 *     npm run check:trainers [-- TRAINER…]     GRISTMILL_TRAINERS_UPDATE=1 looks for newer releases
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TRAINERS = {
  hf: ['transformers', 'datasets'],
  litgpt: ['litgpt', 'litdata'],
  torchtitan: ['torchtitan'],
  megatron: ['megatron-core'],
  'olmo-core': ['ai2-olmo-core'],
  nanotron: ['nanotron'],
  axolotl: ['axolotl'],
  'mosaicml-streaming': ['mosaicml-streaming'],
  'gpt-neox': null,
};
/** What they import, beside themselves. */
const REQUIREMENTS = {
  all: ['torch', 'numpy', 'pyyaml', 'transformers', 'accelerate', 'safetensors', 'datasets'],
  litgpt: ['lightning', 'lightning-utilities', 'boto3', 'requests', 'jsonargparse'],
  torchtitan: ['tyro', 'torchdata', 'spmd_types', 'tokenizers'],
  'olmo-core': ['cached-path', 'dataclass_extensions', 'bettermap', 'omegaconf', 'rich'],
  nanotron: ['dacite'],
  axolotl: ['pillow', 'pydantic', 'python-dotenv'],
  'mosaicml-streaming': [
    ...['brotli', 'catalogue', 'zstd', 'python-snappy', 'boto3', 'paramiko', 'matplotlib'],
    ...['torchvision', 'xxhash', 'tqdm', 'google-cloud-storage', 'azure-storage-blob', 'oci'],
  ],
};
const PLANS = {
  'own schedule': 'schedule: { kind: cosine, peakLr: 1e-3, minLr: 1e-4, warmup: 10 % }',
  'LR table':
    'schedule: { kind: infinite, peakLr: 1e-3, constantLr: 5e-4, minLr: 1e-4, warmup: 10 %, cooldown: { length: 40 %, shape: cosine }, anneal: { length: 20 %, shape: exponential } }',
};

const root = fileURLToPath(new URL('../../', import.meta.url));
const environment = process.env.GRISTMILL_TRAINERS ?? join(homedir(), '.cache/gristmill/trainers');
const python = join(environment, 'bin/python');

function run(command, args, options = {}) {
  return spawnSync(command, args, { encoding: 'utf8', timeout: 1_800_000, ...options });
}

function install(packages, ...flags) {
  const update = process.env.GRISTMILL_TRAINERS_UPDATE ? ['--upgrade'] : [];
  const args = ['-m', 'pip', 'install', '-q', ...update, ...flags, ...packages];
  return run(python, args).status === 0;
}

function versionsOf(packages) {
  const code =
    'import importlib.metadata as m, sys\nprint(", ".join(f"{p} {m.version(p)}" for p in sys.argv[1:]))';
  return run(python, ['-c', code, ...packages]).stdout?.trim() ?? '';
}

function exportsOf(folder, trainer, schedule) {
  const plan = join(folder, 'plan.yaml');
  writeFileSync(
    plan,
    `batch: { nSeq: 8, nCtx: 64 }
datasets: { ash: { tokens: 12_800${trainer === 'olmo-core' ? ', path: ash.npy' : ''} }, elm: { tokens: 1M${trainer === 'olmo-core' ? ', path: elm.npy' : ''} } }
stages: [{ name: base, data: { ash: 1, elm: 1 }, tokens: 51_200, maxEpochs: 4, ${schedule} }]
`,
  );
  const gristmill = (...args) => run(process.execPath, [join(root, 'dist/cli/main.js'), ...args]);
  const rates = join(folder, 'rates.csv');
  for (const done of [
    gristmill('continue', 'plan', plan, '--schedule-csv', rates),
    gristmill('continue', 'export', plan, '--trainer', trainer, '--out', join(folder, 'ex')),
  ]) {
    if (done.status !== 0) throw new Error(done.stderr);
  }
  const [, ...lines] = readFileSync(rates, 'utf8').trim().split('\n');
  const file = join(folder, 'rates.json');
  writeFileSync(file, JSON.stringify(lines.map((line) => Number(line.split(',').at(-1)))));
  return { files: join(folder, 'ex/base'), rates: file };
}

const asked = process.argv.slice(2);
if (!existsSync(python)) {
  mkdirSync(environment, { recursive: true });
  if (run('python3', ['-m', 'venv', environment]).status !== 0) {
    console.error(
      'check:trainers: no virtual environment can be made: Python 3 with venv is needed',
    );
    process.exit(1);
  }
}
if (!install(REQUIREMENTS.all))
  console.error('check:trainers: SKIPPED in part: PyTorch and transformers cannot be installed');
let nFailed = 0;
for (const [trainer, packages] of Object.entries(TRAINERS)) {
  if (asked.length > 0 && !asked.includes(trainer)) continue;
  if (packages === null) {
    console.log(`${trainer}: SKIPPED: it is no package`);
    continue;
  }
  const extra = REQUIREMENTS[trainer] ?? [];
  if (!install(packages, '--no-deps') || (extra.length > 0 && !install(extra))) {
    console.log(`${trainer}: SKIPPED: ${packages.join(', ')} cannot be installed`);
    continue;
  }
  const versions = versionsOf(packages);
  for (const [what, schedule] of Object.entries(PLANS)) {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-trainers-'));
    try {
      const { files, rates } = exportsOf(folder, trainer, schedule);
      const { triedWith } = JSON.parse(readFileSync(join(files, 'export.json'), 'utf8')).run;
      const script = join(root, 'test/trainers/check.py');
      const env = { ...process.env, TOKENIZERS_PARALLELISM: 'false', HF_HUB_OFFLINE: '1' };
      const { status, stdout, stderr } = run(
        python,
        ['-W', 'ignore', script, trainer, files, rates],
        {
          cwd: folder,
          env,
          timeout: 900_000,
        },
      );
      const said = stdout
        .trim()
        .split('\n')
        .filter((line) => /^(rates|blend|config|cannot)/.test(line))
        .join('; ');
      const result = status === 0 ? 'ok' : status === 77 ? 'SKIPPED' : 'FAILED';
      if (result === 'FAILED') nFailed++;
      const other = versions === triedWith ? '' : ` (tried with ${triedWith})`;
      console.log(`${trainer} (${versions})${other}, ${what}: ${result}: ${said}`);
      if (result === 'FAILED') console.log(stderr.trim().split('\n').slice(-4).join('\n'));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
process.exitCode = nFailed > 0 ? 1 : 0;
