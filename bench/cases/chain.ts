/**
 * Case `chain`: what each step of a chain adds, at the size of a CPU: refine, mix, replay, re-warm.
 *
 *     raw pages of four domains ─► base: a model that learns two of them, raw
 *                                    └─► the other two: raw by size │ refined │ and mixed │ and replayed │ and re-warmed
 *
 * Every arm is a chain (`gristmill run`) that goes on from the same model with the same tokenizer and the same tokens; only
 * what its row adds differs from the row in front of it. All are measured on clean text of all four domains, of pages that
 * are in no corpus. Corpora are those of examples/chain: ours, four templates of sentences inside the chrome of the example
 * corpus. They say what the steps do to this data and nothing of a real corpus. A seed changes corpora, weights and orders.
 *
 * Chains lie in bench/.cache/chain: a case that was cut goes on where it stood. Change the code, and delete it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkChain } from '../../src/chain/config.ts';
import { runChain } from '../../src/chain/run.ts';
import { packageRoot } from '../../src/paths.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { keyOf } from './refining-pays-kept.ts';

const OLD = ['tides', 'manuals'] as const;
const NEW = ['kitchen', 'garden'] as const;
const ALL = [...OLD, ...NEW] as const;
const SIZES = {
  full: { pages: 1500, seeds: [1, 2, 3], baseSteps: 1200, steps: 600, runs: 24, proxySteps: 150 },
  quick: { pages: 150, seeds: [1], baseSteps: 80, steps: 40, runs: 12, proxySteps: 15 },
};
const BATCH = { nSeq: 16, nCtx: 64 };
const PEAK_LR = 6e-3;
const MIN_LR = 6e-4;
const WARMUP = '5 %';
const REPLAY = 0.25;
const MAX_EPOCHS = 100;

type Size = (typeof SIZES)['full'];
type Losses = Readonly<Record<string, number>>;

/** What an arm adds to the one in front of it. */
interface Arm {
  readonly name: string;
  readonly adds: string;
  readonly isRefined: boolean;
  readonly isMixed: boolean;
  readonly replay: number;
  readonly isRewarmed: boolean;
}

const ARMS: readonly Arm[] = [
  {
    name: 'raw, by size',
    adds: '',
    isRefined: false,
    isMixed: false,
    replay: 0,
    isRewarmed: false,
  },
  {
    name: 'refined',
    adds: 'refining',
    isRefined: true,
    isMixed: false,
    replay: 0,
    isRewarmed: false,
  },
  {
    name: 'refined, mixed',
    adds: 'mixing',
    isRefined: true,
    isMixed: true,
    replay: 0,
    isRewarmed: false,
  },
  {
    name: 'refined, mixed, replayed',
    adds: 'replay',
    isRefined: true,
    isMixed: true,
    replay: REPLAY,
    isRewarmed: false,
  },
  {
    name: 'refined, mixed, replayed, re-warmed',
    adds: 're-warming',
    isRefined: true,
    isMixed: true,
    replay: REPLAY,
    isRewarmed: true,
  },
];

export const bench: Bench = {
  name: 'chain',
  async run(context) {
    const size: Size = SIZES[context.quick ? 'quick' : 'full'];
    const bySeed: Losses[][] = [];
    const mixtures: string[] = [];
    for (const seed of size.seeds) {
      const { losses, mixture } = await ofSeed(size, seed, context);
      bySeed.push(losses);
      mixtures.push(mixture);
    }
    return [lossTable(bySeed, size, mixtures), stepTable(bySeed)];
  },
};

/** Losses of the base and of every arm. */
async function ofSeed(size: Size, seed: number, { log }: BenchContext) {
  const cache = join(process.env['GRISTMILL_BENCH_FOLDER'] ?? 'bench', '.cache', 'chain');
  const folder = join(cache, keyOf(size, ARMS, BATCH, PEAK_LR, MIN_LR, seed));
  const data = join(folder, 'data');
  if (!existsSync(data)) {
    // Under its name only when it is whole.
    const pending = `${data}-pending`;
    rmSync(pending, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const make = join(packageRoot, 'examples', 'chain', 'make-corpora.mjs');
    execFileSync(process.execPath, [make, pending, String(size.pages), String(seed)]);
    renameSync(pending, data);
  }
  const inputs = (name: string) => ({ inputs: [join(data, `${name}.jsonl`)] });
  const corpora = Object.fromEntries(ALL.map((name) => [name, inputs(name)]));
  const sets = Object.fromEntries(
    ALL.map((name) => [`clean-${name}`, { inputs: [join(data, 'held-out', `${name}.jsonl`)] }]),
  );
  const plan = {
    seed,
    batch: BATCH,
    validation: { share: 0.02, every: 0, windows: 96, sets },
    checkpointEvery: 100,
  };
  const base = { name: 'base', data: evenly(OLD), steps: size.baseSteps, maxEpochs: MAX_EPOCHS };
  const baseOut = join(folder, 'base');
  const baseLosses = await lastLosses(baseOut, {
    name: 'base',
    corpora,
    tokenize: { tokenizer: { train: { vocabSize: 768 } } },
    continue: {
      ...plan,
      model: { shape: { nEmbd: 64, nLayer: 2, nHead: 4 } },
      stages: [{ ...base, schedule: decayed(0.2) }],
    },
  });
  log(`seed ${seed}: base ${textOf(baseLosses.losses)}`);
  const model = { from: join(baseOut, 'continue', 'stages', '00-base', 'model.gguf') };
  const bytes = Object.fromEntries(
    NEW.map((name) => [name, statSync(corpora[name]!.inputs[0]!).size]),
  );
  const losses = [baseLosses.losses];
  let mixture = '';
  for (const [at, { name, isRefined, isMixed, replay, isRewarmed }] of ARMS.entries()) {
    const arm = await lastLosses(join(folder, `arm-${at}`), {
      name,
      corpora,
      ...(isRefined && { refine: { corpora: [...NEW] } }),
      tokenize: { tokenizer: { path: join(baseOut, 'tokenize', 'tokenizer.gguf') } },
      ...(isMixed && {
        mix: {
          corpora: [...NEW],
          ...{ runs: size.runs, sample: 'space-filling', seed, model: 'gp' },
          proxy: {
            preset: 'tiny',
            steps: size.proxySteps,
            warmupSteps: 10,
            evalEvery: 0,
            evalWindows: 32,
            nCtx: 64,
            seed,
          },
        },
      }),
      continue: {
        ...plan,
        model,
        stages: [
          { ...base, schedule: decayed(0.2), done: true },
          {
            ...{
              name: 'continued',
              data: isMixed ? 'mixture' : bytes,
              steps: size.steps,
              maxEpochs: MAX_EPOCHS,
            },
            ...(replay > 0 && { replay: { share: replay, order: 'reshuffled', seed } }),
            schedule: isRewarmed
              ? { kind: 'cosine', peakLr: PEAK_LR, minLr: MIN_LR, warmup: WARMUP }
              : { kind: 'constant', peakLr: MIN_LR },
          },
        ],
      },
    });
    log(`seed ${seed}: ${name} ${textOf(arm.losses)}`);
    losses.push(arm.losses);
    if (arm.mixture)
      mixture = Object.entries(arm.mixture)
        .map(([one, weight]) => `${one} ${weight.toFixed(3)}`)
        .join(', ');
  }
  return { losses, mixture };
}

function evenly(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, 1]));
}

function decayed(fraction: number) {
  const decay = { shape: '1-sqrt', length: { fraction } } as const;
  return { kind: 'wsd', peakLr: PEAK_LR, minLr: MIN_LR, warmup: WARMUP, decay } as const;
}

/** Runs a chain, or goes on with it. @returns losses of its last checkpoint on clean text, by domain */
async function lastLosses(out: string, written: object) {
  const { report } = await runChain(checkChain(written, out), { out });
  const { losses } = report!.checkpoints.at(-1)!;
  const clean = Object.fromEntries(ALL.map((name) => [name, losses![`clean-${name}`]!]));
  return { losses: clean as Losses, mixture: report!.mixture };
}

function textOf(losses: Losses): string {
  return ALL.map((name) => `${name} ${losses[name]!.toFixed(3)}`).join(', ');
}

/** Mean and standard deviation, where there is more than one. */
function spread(values: readonly number[], digits = 3): string {
  const mean = meanOf(values);
  if (values.length < 2) return mean.toFixed(digits);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return `${mean.toFixed(digits)} ± ${Math.sqrt(squares / (values.length - 1)).toFixed(digits)}`;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const COLUMNS = [
  ...ALL.map((name) => [name, (losses: Losses) => losses[name]!] as const),
  ['old', (losses: Losses) => meanOf(OLD.map((name) => losses[name]!))] as const,
  ['new', (losses: Losses) => meanOf(NEW.map((name) => losses[name]!))] as const,
];

function lossTable(
  bySeed: readonly (readonly Losses[])[],
  size: Size,
  mixtures: readonly string[],
): BenchTable {
  return {
    title: 'A chain: losses on clean held-out text by domain, nats a token',
    columns: ['continued on', ...COLUMNS.map(([name]) => name)],
    rows: ['nothing: the base', ...ARMS.map(({ name }) => name)].map((row, at) => [
      row,
      ...COLUMNS.map(([, of]) => spread(bySeed.map((losses) => of(losses[at]!)))),
    ]),
    notes: [
      `${size.seeds.length} seeds; ${size.pages} pages of tides, 80, 60 and 34 % of that of the others; base ${size.baseSteps} steps of ${BATCH.nSeq * BATCH.nCtx} tokens on raw ${OLD.join(' and ')}, arms ${size.steps}`,
      `mixtures by seed: ${mixtures.join('; ')}`,
    ],
  };
}

/** Differences to the row in front, seed by seed: below 0 the step helps. */
function stepTable(bySeed: readonly (readonly Losses[])[]): BenchTable {
  return {
    title: 'What each step adds: change of the loss, below 0 it helps',
    columns: ['step', ...COLUMNS.map(([name]) => name)],
    rows: ARMS.slice(1).map(({ adds }, at) => [
      adds,
      ...COLUMNS.map(([, of]) =>
        spread(bySeed.map((losses) => of(losses[at + 2]!) - of(losses[at + 1]!))),
      ),
    ]),
    notes: [
      'differences of the same seed, mean ± standard deviation; what is within it is no result',
    ],
  };
}
