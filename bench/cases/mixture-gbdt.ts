/**
 * Case `mixture-gbdt`: boosted trees over runs of mixtures, against the newest xgboost and LightGBM at equal settings
 * (bench/python/gbdt_reference.py; an environment for them is made on the first run).
 *
 * The runs are made up like RegMix's: sparse mixtures on a grid of 0.001, losses from a power law with noise. All rounds,
 * no early stop; contenders take turns. With two threads ours fits two targets beside each other, as `mix fit` does; the
 * others share a fit. Whoever is faster must also be right: errors on unseen mixtures stand beside the seconds.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { boostRounds, GBDT_DEFAULTS, minLeafOf } from '../../src/mixture/surrogates/gbdt.ts';
import type { FittedSurrogate } from '../../src/mixture/types.ts';
import { seededRandom } from '../../src/seeded.ts';
import { askPython, pythonWith } from '../python-contenders.ts';
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
const THREADS = [1, 2];
const ROUNDS = { full: 3, quick: 1 };
const CONTENDERS = ['gristmill', 'xgboost', 'lightgbm'] as const;

/** Seconds of all fits of one round, and what they predict, `[nTargets][nUnseen]`. */
interface Round {
  readonly version?: string;
  readonly wall: number;
  readonly cpu: number;
  readonly predictions: readonly ArrayLike<number>[];
}

export const bench: Bench = {
  name: 'mixture-gbdt',
  async run(context) {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-gbdt-'));
    const mode = context.quick ? 'quick' : 'full';
    const python = pythonWith('gbdt', ['lightgbm', 'xgboost'], context.log);
    const versions = new Map<string, string>();
    try {
      const rows: (string | number)[][] = [];
      for (const size of SIZES[mode]) {
        rows.push(...(await compare(size, ROUNDS[mode], folder, python, versions, context)));
      }
      const { nRounds, nLeaves, learningRate, maxBins } = GBDT_DEFAULTS;
      return {
        title: 'Boosted trees, seconds a target (medians)',
        columns: [
          'runs',
          'threads',
          'program',
          'seconds',
          'CPU-seconds',
          "× gristmill's seconds",
          "× gristmill's CPU-seconds",
          'error',
        ],
        rows,
        notes: [
          `${N_DOMAINS} domains, ${nRounds} rounds, ${nLeaves} leaves, learning rate ${learningRate}, ${maxBins} bins.`,
          `Versions: ${[...versions].map((pair) => pair.join(' ')).join(', ') || 'no contender ran'}.`,
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
  nRoundsOfBench: number,
  folder: string,
  python: string | null,
  versions: Map<string, string>,
  context: BenchContext,
): Promise<(string | number)[][]> {
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
  const rounds = new Map<string, Round[]>();
  for (let round = 0; round < nRoundsOfBench; round++) {
    context.log(`${nRuns} runs, round ${round + 1} of ${nRoundsOfBench}`);
    for (const nThreads of THREADS) {
      for (const contender of CONTENDERS) {
        const result =
          contender === 'gristmill'
            ? await ours(weights, losses, unseen, nThreads)
            : python &&
              askPython<Round>(
                python,
                'gbdt_reference.py',
                [base, contender, String(nThreads)],
                context.log,
              );
        if (!result) continue;
        if (result.version) versions.set(contender, result.version);
        const key = `${nThreads} ${contender}`;
        rounds.set(key, [...(rounds.get(key) ?? []), result]);
      }
    }
  }
  return THREADS.flatMap((nThreads) => {
    const secondsOf = (contender: string, kind: 'wall' | 'cpu') =>
      median((rounds.get(`${nThreads} ${contender}`) ?? []).map((round) => round[kind])) / nTargets;
    return CONTENDERS.flatMap((contender) => {
      const last = rounds.get(`${nThreads} ${contender}`)?.at(-1);
      if (!last) return [];
      const [wall, cpu] = [secondsOf(contender, 'wall'), secondsOf(contender, 'cpu')];
      const ratios = [
        wall / secondsOf('gristmill', 'wall'),
        cpu / secondsOf('gristmill', 'cpu'),
      ] as const;
      return [[nRuns, nThreads, contender, wall, cpu, ...ratios, error(last.predictions, truth)]];
    });
  });
}

/** Fits all targets, `nThreads` of them at a time. */
async function ours(
  weights: Float64Array,
  losses: readonly Float64Array[],
  unseen: Float64Array,
  nThreads: number,
): Promise<Round> {
  const started = performance.now();
  const before = process.cpuUsage();
  const fits: FittedSurrogate[] = [];
  let next = 0;
  const work = async () => {
    while (next < losses.length) {
      const target = next++;
      const data = {
        nRuns: losses[target]!.length,
        nDomains: N_DOMAINS,
        weights,
        losses: losses[target]!,
      };
      fits[target] = await boostRounds(data, GBDT_DEFAULTS.nRounds, undefined);
    }
  };
  await Promise.all(Array.from({ length: nThreads }, work));
  const { user, system } = process.cpuUsage(before);
  const wall = (performance.now() - started) / 1e3;
  const predictions = fits.map((fit) => fit.predict(unseen).mean);
  return { wall, cpu: (user + system) / 1e6, predictions };
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
