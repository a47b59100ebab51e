/**
 * `npm run check:prebuilds`: what `npm run prebuilds` made, tried on this machine. Every variant of the CPU backend that this processor
 * can run is loaded alone, and a model is measured with it; then all of them together, of which the addon chooses. Losses must
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
  writeFileSync,
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
/** Of losses by different instructions. */
const TOLERANCE = 1e-3;

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
  writeFileSync(
    join(work, 'texts.jsonl'),
    `${JSON.stringify({ text: 'The miller opened the gate at dawn. '.repeat(20) })}\n`,
  );
  const chosen = lossOf(main, whole);
  if (typeof chosen !== 'number')
    throw new Error(`the whole package does not work: ${chosen.said}`);
  console.log(`all ${variants.length} variants, of which one is chosen: loss ${chosen.toFixed(5)}`);
  const flags = flagsOfProcessor();
  let isGood = true;
  for (const variant of variants) {
    const folder = join(work, variant);
    cpSync(whole, folder, { recursive: true });
    for (const other of variants) if (other !== variant) rmSync(join(folder, other));
    const name = /^libggml-cpu-?(.*)\.(?:so|dylib)$/.exec(variant)[1] || 'native';
    const mb = (statSync(join(whole, variant)).size / 1e6).toFixed(1);
    const loss = lossOf(main, folder);
    const must = flags !== null && (NEEDED[name]?.every((flag) => flags.has(flag)) ?? false);
    const isOk =
      typeof loss === 'number' ? Math.abs(loss - chosen) < TOLERANCE : !must && loss.isRefused;
    const result = typeof loss === 'number' ? `loss ${loss.toFixed(5)}` : loss.said;
    console.log(`${isOk ? 'ok' : 'FAILED'}  ${name.padEnd(16)} ${mb} MB  ${result}`);
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

/** The loss of a random model on a text with the addon in a folder; else what was said. */
function lossOf(main, addon) {
  const scope = join(work, 'node_modules', '@gristmill');
  rmSync(scope, { recursive: true, force: true });
  mkdirSync(scope, { recursive: true });
  symlinkSync(addon, join(scope, platform));
  const gristmill = (...args) =>
    spawnSync(process.execPath, [join(main, 'dist/cli/main.js'), ...args], {
      cwd: work,
      encoding: 'utf8',
    });
  const made = gristmill('models', 'random', 'model.gguf', '--preset', 'tiny', '--seed', '1');
  const ran = gristmill('eval', 'lm', '--model', 'model.gguf', '--data', 'texts.jsonl', '--json');
  if (made.status === 0 && ran.status === 0) return JSON.parse(ran.stdout).lossPerToken;
  const said = `${made.stderr}${ran.stderr}`.trim().split('\n')[0];
  try {
    const { code, message, details } = JSON.parse(said).error;
    // Of a file that cannot be loaded it says why; of one that is not for this processor it says nothing.
    return {
      said: message,
      isRefused: code === 'ENGINE_DEVICE_MISSING' && details.available === 'none',
    };
  } catch {
    return { said: said || `signal ${ran.signal}`, isRefused: false };
  }
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
