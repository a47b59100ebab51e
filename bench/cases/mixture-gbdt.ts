/**
 * Case `mixture-gbdt`: boosted trees over runs of mixtures, against xgboost at equal settings
 * (bench/python/xgboost_reference.py; `apt-get install python3-xgboost`, PYTHON=/usr/bin/python3).
 *
 * The runs are made up like RegMix's: sparse mixtures on a grid of 0.001, losses from a power law with noise. One thread
 * each, all rounds, no early stop; contenders take turns. Whoever is faster must also be right: errors on unseen
 * mixtures stand beside the seconds.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boostRounds, GBDT_DEFAULTS, minLeafOf } from '../../src/mixture/surrogates/gbdt.ts';
import { seededRandom } from '../../src/seeded.ts';
import type { Bench, BenchContext } from '../types.ts';
import { median } from './median.ts';

const N_DOMAINS = 17;
const N_UNSEEN = 256;
const SIZES = {
  full: [
    { nRuns: 64, nTargets: 4 },
    { nRuns: 512, nTargets: 4 },
    { nRuns: 4096, nTargets: 2 },
  ],
  quick: [{ nRuns: 512, nTargets: 2 }],
};
const ROUNDS = { full: 3, quick: 1 };

interface Reference {
  readonly version: string;
  readonly wall: number;
  readonly cpu: number;
  readonly predictions: readonly (readonly number[])[];
}

export const bench: Bench = {
  name: 'mixture-gbdt',
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-gbdt-'));
    const mode = context.quick ? 'quick' : 'full';
    try {
      const rows: (string | number)[][] = [];
      for (const size of SIZES[mode]) rows.push(await compare(size, ROUNDS[mode], folder, context));
      const { nRounds, nLeaves, learningRate, maxBins } = GBDT_DEFAULTS;
      return {
        title: 'Boosted trees, CPU-seconds a target (median)',
        columns: [
          'runs',
          'targets',
          'gristmill',
          'xgboost',
          'ratio',
          'error of gristmill',
          'error of xgboost',
        ],
        rows,
        notes: [
          `${N_DOMAINS} domains, ${nRounds} rounds, ${nLeaves} leaves, learning rate ${learningRate}, ${maxBins} bins, one thread.`,
          `Errors: root of the mean square on ${N_UNSEEN} unseen mixtures, without noise.`,
        ],
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function compare(
  { nRuns, nTargets }: { readonly nRuns: number; readonly nTargets: number },
  rounds: number,
  folder: string,
  context: BenchContext,
): Promise<(string | number)[]> {
  const random = seededRandom(nRuns);
  const weights = mixtures(nRuns, random);
  const unseen = mixtures(N_UNSEEN, random);
  const laws = Array.from({ length: nTargets }, () => law(random));
  const losses = laws.map((loss) => rowsOf(weights, loss).map((v) => v + 0.02 * (random() - 0.5)));
  const truth = laws.map((loss) => rowsOf(unseen, loss));
  const { nRounds, nLeaves, learningRate, maxBins } = GBDT_DEFAULTS;
  const job = { nRuns, nDomains: N_DOMAINS, nTargets, nRounds, nLeaves, learningRate, maxBins };
  const base = join(folder, 'job');
  writeFileSync(`${base}.json`, JSON.stringify({ ...job, minLeaf: minLeafOf(nRuns) }));
  writeFileSync(
    `${base}.bin`,
    Buffer.concat([weights, ...losses, unseen].map((part) => new Uint8Array(part.buffer))),
  );
  const ours: number[] = [];
  const theirs: Reference[] = [];
  let predictions: ArrayLike<number>[] = [];
  for (let round = 0; round < rounds; round++) {
    context.log(`${nRuns} runs, round ${round + 1} of ${rounds}`);
    const before = process.cpuUsage();
    predictions = [];
    const fits = [];
    for (const target of losses) {
      const data = { nRuns, nDomains: N_DOMAINS, weights, losses: target };
      fits.push(await boostRounds(data, nRounds, undefined));
    }
    const { user, system } = process.cpuUsage(before);
    ours.push((user + system) / 1e6);
    predictions = fits.map((fit) => fit.predict(unseen).mean);
    const reference = xgboost(base, context);
    if (reference) theirs.push(reference);
  }
  const mine = median(ours) / nTargets;
  const other = median(theirs.map(({ cpu }) => cpu)) / nTargets;
  return [
    nRuns,
    nTargets,
    mine,
    theirs[0] ? other : 'no xgboost',
    theirs[0] ? other / mine : '',
    error(predictions, truth),
    theirs[0] ? error(theirs[0].predictions, truth) : '',
  ];
}

/** Sparse mixtures, weights whole thousandths. */
function mixtures(nMixtures: number, random: () => number): Float64Array {
  const weights = new Float64Array(nMixtures * N_DOMAINS);
  for (let row = 0; row < nMixtures; row++) {
    const part = weights.subarray(row * N_DOMAINS, (row + 1) * N_DOMAINS);
    for (let domain = 0; domain < N_DOMAINS; domain++) {
      part[domain] = random() < 0.45 ? 0 : (-Math.log(1 - random())) ** 2;
    }
    part[Math.floor(random() * N_DOMAINS)]! += 0.05;
    const sum = part.reduce((total, weight) => total + weight);
    for (let domain = 0; domain < N_DOMAINS; domain++) {
      part[domain] = Math.round((1000 * part[domain]!) / sum) / 1000;
    }
  }
  return weights;
}

/** A power law that mostly follows a few domains. */
function law(random: () => number): (mixture: Float64Array) => number {
  const amounts = Float64Array.from({ length: N_DOMAINS }, () => random() ** 6);
  return (mixture) =>
    2 + 0.8 * (0.03 + mixture.reduce((sum, weight, at) => sum + weight * amounts[at]!, 0)) ** -0.35;
}

function rowsOf(weights: Float64Array, loss: (mixture: Float64Array) => number): Float64Array {
  return Float64Array.from({ length: weights.length / N_DOMAINS }, (_, row) =>
    loss(weights.subarray(row * N_DOMAINS, (row + 1) * N_DOMAINS)),
  );
}

function error(predictions: readonly ArrayLike<number>[], truth: readonly Float64Array[]): number {
  let squares = 0;
  for (const [target, values] of truth.entries()) {
    for (const [row, value] of values.entries()) {
      squares += (predictions[target]![row]! - value) ** 2 / values.length / truth.length;
    }
  }
  return Math.sqrt(squares);
}

function xgboost(base: string, context: BenchContext): Reference | null {
  const script = join(process.env['GRISTMILL_BENCH_FOLDER']!, 'python', 'xgboost_reference.py');
  const python = process.env['PYTHON'] ?? 'python3';
  const child = spawnSync(python, [script, base], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (child.status === 0) return JSON.parse(child.stdout) as Reference;
  context.log(`xgboost did not run: ${child.stderr?.trim().split('\n').at(-1) ?? child.error}`);
  return null;
}
