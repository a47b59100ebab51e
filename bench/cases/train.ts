/**
 * Case `train`: training steps against ggml's own operators and the newest PyTorch on the same CPU, the same model, the
 * same initial weights and tokens (bench/python/train_reference.py; an environment for it is made on the first run).
 *
 * PyTorch runs eager, with its own attention (sdpa) and compiled, in float32 and under bf16 autocast. The runs take turns,
 * so that all meet the same load. A step is forward, backward, clipping and AdamW; its CPU-seconds count every thread.
 * Whoever is faster must also be right: losses are compared with ours in float32, step by step.
 *
 * GRISTMILL_BENCH_THREADS is how many threads each has (all cores without it). GRISTMILL_BENCH_DEVICE measures the graph
 * of ggml's operators on that device instead (train-device.ts).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { learningRateAt } from '../../src/schedules/schedule.ts';
import { pretrainBatch } from '../../src/train/objectives.ts';
import { openTrainer, TRAINER_DEFAULTS } from '../../src/train/trainer.ts';
import { askPython, pythonWith } from '../python-contenders.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';
import { benchOnDevice } from './train-device.ts';
import { chain } from './train-tokens.ts';

const SIZE = { nSeq: 8, nCtx: 256 };
const COMMON = { ropeTheta: 10000, rmsEpsilon: 1e-5, tied: true, nClasses: 0 };
const MODELS = [
  { nVocab: 512, nEmbd: 64, nLayer: 2, nHead: 4, nHeadKv: 4, nHeadDim: 16, nFf: 160 },
  { nVocab: 2048, nEmbd: 128, nLayer: 3, nHead: 4, nHeadKv: 4, nHeadDim: 32, nFf: 344 },
  { nVocab: 4096, nEmbd: 320, nLayer: 6, nHead: 5, nHeadKv: 5, nHeadDim: 64, nFf: 864 },
];
/** The largest model overshoots at 3e-3: float32 noise then grows to some thousandths of the loss within 16 steps. */
const PEAK_LRS = [3e-3, 3e-3, 1e-3];
const STEPS = { full: [200, 60, 16], quick: [30, 8, 3] };
const ROUNDS = { full: 3, quick: 1 };

/** Of a step; ggml's operators and bf16 without the instructions are slow, and make a quarter of the steps. */
const CONTENDERS = [
  { name: 'gristmill', precision: 'float32', share: 1 },
  { name: 'gristmill bf16', precision: 'bf16', share: 1 },
  { name: 'plain ggml graph', precision: 'float32', share: 0.25 },
  { name: 'torch eager', mode: 'eager', precision: 'float32', share: 1 },
  { name: 'torch sdpa', mode: 'sdpa', precision: 'float32', share: 1 },
  { name: 'torch compiled', mode: 'compiled', precision: 'float32', share: 1 },
  { name: 'torch eager bf16', mode: 'eager', precision: 'bf16', share: 0.25 },
  { name: 'torch sdpa bf16', mode: 'sdpa', precision: 'bf16', share: 0.25 },
  { name: 'torch compiled bf16', mode: 'compiled', precision: 'bf16', share: 0.25 },
] as const;
type Contender = (typeof CONTENDERS)[number];

interface Run {
  readonly version?: string;
  readonly losses: ArrayLike<number>;
  readonly seconds: ArrayLike<number>;
  readonly cpuSeconds: ArrayLike<number>;
}

interface Job {
  readonly shape: (typeof MODELS)[number] & typeof COMMON;
  readonly nThreads: number;
  readonly nSteps: number;
  readonly rounds: number;
  readonly peakLr: number;
}

export const bench: Bench = {
  name: 'train',
  async run(context) {
    const device = process.env['GRISTMILL_BENCH_DEVICE'];
    if (device !== undefined) return benchOnDevice(context, device);
    const nThreads = Number(process.env['GRISTMILL_BENCH_THREADS'] ?? availableParallelism());
    const python = pythonWith('torch', ['torch', 'numpy'], context.log);
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-train-'));
    const rows: (string | number)[][] = [];
    const told = { torch: 'not there', kernels: '' };
    try {
      for (const [index, model] of MODELS.entries()) {
        const job = {
          shape: { ...COMMON, ...model },
          nThreads,
          nSteps: STEPS[context.quick ? 'quick' : 'full'][index]!,
          rounds: ROUNDS[context.quick ? 'quick' : 'full'],
          peakLr: PEAK_LRS[index]!,
        };
        rows.push(...(await compare(job, folder, python, told, context)));
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    const table: BenchTable = {
      title: 'Training on the CPU (median steps)',
      columns: [
        'parameters',
        'program',
        'tokens/s',
        'tokens a CPU-second',
        '× slower than gristmill',
        '× its CPU-seconds',
        'largest loss difference',
      ],
      rows,
      notes: [
        `${SIZE.nSeq} sequences of ${SIZE.nCtx} tokens per step, ${nThreads} threads each, tied embeddings; PyTorch ${told.torch}, our kernels: ${told.kernels}.`,
        'Ratios and loss differences are to gristmill in float32.',
        'bf16: products rounded to bf16 and added in float32. Ours has instructions for it where the kernels are avx512bf16; elsewhere it rounds the same and is no faster.',
        'The plain ggml graph is the one that GPUs run, on the CPU backend.',
        'Tokens follow a random chain with four successors per token, so that there is something to learn.',
      ],
    };
    return table;
  },
};

async function compare(
  job: Job,
  folder: string,
  python: string | null,
  told: { torch: string; kernels: string },
  context: BenchContext,
): Promise<(string | number)[][]> {
  const { shape, nThreads, nSteps, rounds, peakLr } = job;
  const lrs = Array.from({ length: nSteps }, (_, step) =>
    learningRateAt(step, { kind: 'cosine', peakLr, warmupSteps: 2, totalSteps: nSteps }),
  );
  const perStep = SIZE.nSeq * SIZE.nCtx;
  const tokens = chain(shape.nVocab, nSteps * perStep);
  const steps = lrs.map((lr, step) => ({
    batches: [pretrainBatch(tokens.slice(step * perStep, (step + 1) * perStep), SIZE)],
    lr,
  }));
  const base = join(folder, 'job');
  const info = await writeJob(base, job, lrs, tokens);
  told.kernels = info.kernels;
  const runs = new Map<Contender, Run[]>();
  for (let round = 0; round < rounds; round++) {
    context.log(`${info.nParams} parameters, round ${round + 1} of ${rounds}`);
    for (const contender of CONTENDERS) {
      const count = Math.max(2, Math.ceil(nSteps * contender.share));
      let run: Run | null;
      if ('mode' in contender) {
        const { mode, precision } = contender;
        const args = [base, String(nThreads), mode, precision, String(count)];
        run = python ? askPython<Run>(python, 'train_reference.py', args, context.log) : null;
        if (run) told.torch = run.version!;
      } else {
        run = await ours(contender, job, steps.slice(0, count));
      }
      if (run) runs.set(contender, [...(runs.get(contender) ?? []), run]);
    }
  }
  const own = runs.get(CONTENDERS[0])!;
  const medianOf = (list: readonly Run[], kind: 'seconds' | 'cpuSeconds') =>
    median(list.flatMap((run) => Array.from(run[kind])));
  return CONTENDERS.flatMap((contender) => {
    const list = runs.get(contender);
    if (!list) return [];
    const [seconds, cpu] = [medianOf(list, 'seconds'), medianOf(list, 'cpuSeconds')];
    const differences = Array.from(list[0]!.losses, (loss, at) =>
      Math.abs(loss - own[0]!.losses[at]!),
    );
    return [
      [
        info.nParams.toLocaleString('en'),
        contender.name,
        perStep / seconds,
        perStep / cpu,
        seconds / medianOf(own, 'seconds'),
        cpu / medianOf(own, 'cpuSeconds'),
        Math.max(...differences).toExponential(1),
      ],
    ];
  });
}

/** The job's files, with our initial weights. */
async function writeJob(
  base: string,
  { shape }: Job,
  lrs: readonly number[],
  tokens: Int32Array,
): Promise<{ readonly nParams: number; readonly kernels: string }> {
  await using trainer = await openTrainer({ shape, ...SIZE, seed: 1 });
  const { nParams, kernels, tensors } = trainer.info;
  const weights: Float32Array[] = [];
  for (const { name } of tensors) weights.push(await trainer.readTensor(name));
  const { weightDecay, beta1, beta2, adamEpsilon, clipNorm } = TRAINER_DEFAULTS;
  const adam = { weightDecay, beta1, beta2, adamEpsilon, clipNorm };
  writeFileSync(`${base}.json`, JSON.stringify({ shape, ...SIZE, ...adam, lrs, tensors }));
  writeFileSync(
    `${base}.bin`,
    Buffer.concat(weights.map((values) => new Uint8Array(values.buffer))),
  );
  writeFileSync(`${base}.tokens`, new Uint8Array(tokens.buffer));
  return { nParams, kernels };
}

/** Step by step, as the reference: each step's CPU-seconds are the process's. */
async function ours(
  { name, precision }: Contender,
  { shape, nThreads }: Job,
  steps: Parameters<Awaited<ReturnType<typeof openTrainer>>['steps']>[0],
): Promise<Run> {
  const graph = name === 'plain ggml graph' ? 'ggml' : 'kernels';
  await using trainer = await openTrainer({
    shape,
    ...SIZE,
    seed: 1,
    nThreads,
    graph,
    precision,
  });
  const [losses, seconds, cpuSeconds]: number[][] = [[], [], []];
  for (const step of steps) {
    const before = process.cpuUsage();
    const made = await trainer.steps([step]);
    const { user, system } = process.cpuUsage(before);
    losses!.push(made.losses[0]!);
    seconds!.push(made.seconds[0]!);
    cpuSeconds!.push((user + system) / 1e6);
  }
  return { losses: losses!, seconds: seconds!, cpuSeconds: cpuSeconds! };
}
