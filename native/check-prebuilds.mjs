/**
 * `npm run check:prebuilds`: what `npm run prebuilds` made, tried on this machine. Every variant of the CPU backend that this processor
 * can run is loaded alone, and documents are scored with it; then all of them together, of which the addon chooses. Scores must
 * agree, variants whose instructions the processor has must load, and those that it lacks must be refused by name.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const archives = join(root, 'build', 'npm');
const platform = `${process.platform}-${process.arch}`;
/** Flags of /proc/cpuinfo with which a variant must load; of the others it is only told whether they do. */
const NEEDED = {
  x64: [],
  sse42: ['sse4_2'],
  sandybridge: ['avx'],
  ivybridge: ['avx', 'f16c'],
  haswell: ['avx2', 'fma', 'f16c', 'bmi2'],
  skylakex: [
    'avx512f',
    'avx512bw',
    'avx512cd',
    'avx512dq',
    'avx512vl',
    'avx2',
    'fma',
    'f16c',
    'bmi2',
  ],
};
/** Of probabilities by different instructions; a model that is read wrong is off by tenths. */
const TOLERANCE = 0.02;
/** Types of weights, of which ggml has kernels of their own by variant. */
const TYPES = ['f32', 'bf16', 'q8_0', 'iq4_xs'];
/** Scores documents with a random model of each type: products of one token and of 32 and more, by the engine. */
const SCORES = `
  import { openRefiner } from 'gristmill';
  import { pathToFileURL } from 'node:url';
  const [types, random] = process.argv.slice(1);
  const { RANDOM_MODEL_PRESETS, writeRandomModel } = await import(pathToFileURL(random));
  const rows = [1, 5, 40].map((times) => 'The miller opened the gate at dawn. '.repeat(times));
  const scores = {};
  for (const type of types.split(',')) {
    const path = type + '.gguf';
    const shape = { nEmbd: 256, nHead: 4, nHeadKv: 4, nFf: 512 };
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, ...shape, seed: 1, type, path });
    const refiner = await openRefiner({ documentModel: path, profile: 'prox', documentThreshold: 0, threads: 1 });
    scores[type] = [];
    for await (const { score } of refiner.refineRows(rows)) scores[type].push(score);
    await refiner.dispose();
  }
  console.log(JSON.stringify(scores));
`;

const work = mkdtempSync(join(tmpdir(), 'gristmill-check-prebuilds-'));
try {
  process.exitCode = check() ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function check() {
  const whole = unpacked(`gristmill-${platform}-`, 'whole');
  const main = unpacked('gristmill-[0-9]', 'main');
  symlinkSync(join(root, 'node_modules'), join(main, 'node_modules'));
  const variants = readdirSync(whole).filter((name) => /^libggml-cpu.*\.(so|dylib)$/.test(name));
  if (variants.length === 0) throw new Error('the package holds no CPU backend');
  const chosen = scoresOf(main, whole);
  if (!chosen.scores) throw new Error(`the whole package does not work: ${chosen.said}`);
  console.log(`all ${variants.length} variants, of which one is chosen: ${shown(chosen.scores)}`);
  const flags = flagsOfProcessor();
  let isGood = true;
  for (const variant of variants) {
    const folder = join(work, variant);
    cpSync(whole, folder, { recursive: true });
    for (const other of variants) if (other !== variant) rmSync(join(folder, other));
    const name = /^libggml-cpu-?(.*)\.(?:so|dylib)$/.exec(variant)[1] || 'native';
    const mb = (statSync(join(whole, variant)).size / 1e6).toFixed(1);
    const { scores, said, isRefused } = scoresOf(main, folder);
    const must = flags !== null && (NEEDED[name]?.every((flag) => flags.has(flag)) ?? false);
    const isOk = scores ? agree(scores, chosen.scores) : !must && isRefused;
    console.log(
      `${isOk ? 'ok' : 'FAILED'}  ${name.padEnd(16)} ${mb} MB  ${scores ? shown(scores) : said}`,
    );
    isGood &&= isOk;
  }
  return isGood;
}

/** Unpacks the archive whose name begins so. @returns its folder */
function unpacked(start, name) {
  const pattern = new RegExp(`^${start}`);
  const found = readdirSync(archives).filter((file) => pattern.test(file));
  if (found.length !== 1) throw new Error(`${archives}: one ${start}*.tgz was expected: ${found}`);
  const folder = join(work, name);
  mkdirSync(folder);
  execFileSync('tar', ['-xzf', join(archives, found[0]), '-C', folder, '--strip-components=1']);
  return folder;
}

/** Scores by type with the addon in a folder; else what was said. */
function scoresOf(main, addon) {
  const modules = join(work, 'node_modules');
  rmSync(modules, { recursive: true, force: true });
  mkdirSync(join(modules, '@gristmill'), { recursive: true });
  symlinkSync(addon, join(modules, '@gristmill', platform));
  symlinkSync(main, join(modules, 'gristmill'));
  const random = join(main, 'dist/model/random.js');
  const ran = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', SCORES, TYPES.join(','), random],
    { cwd: work, encoding: 'utf8' },
  );
  if (ran.status === 0) return { scores: JSON.parse(ran.stdout) };
  const said = `${ran.stdout}${ran.stderr}`;
  const error = said.split('\n').find((line) => /Error: /.test(line)) ?? said.trim();
  // Of a file that cannot be loaded it says why; of one that is not for this processor it says nothing.
  const isRefused = said.includes('ENGINE_DEVICE_MISSING') && said.includes("available: 'none'");
  return { said: error || `signal ${ran.signal}`, isRefused };
}

function agree(scores, others) {
  return TYPES.every((type) =>
    scores[type].every((score, row) => Math.abs(score - others[type][row]) < TOLERANCE),
  );
}

function shown(scores) {
  return TYPES.map(
    (type) => `${type} ${scores[type].map((each) => each.toFixed(3)).join(' ')}`,
  ).join(', ');
}

/** Null where the system does not tell. */
function flagsOfProcessor() {
  try {
    const line = readFileSync('/proc/cpuinfo', 'utf8').match(/^flags\s*:\s*(.*)$/m);
    return line && new Set(line[1].split(' '));
  } catch {
    return null;
  }
}
