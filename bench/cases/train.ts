/**
 * Case `train`: training steps against ggml's own operators and plain PyTorch on the same CPU, the same model, the same
 * initial weights and tokens (bench/python/train_reference.py; `apt-get install python3-torch`).
 *
 * The runs take turns, so that both meet the same load. A step is forward, backward, clipping and AdamW. Whoever
 * is faster must also be right: the losses of every step are compared. GRISTMILL_BENCH_DEVICE measures the graph of
 * ggml's operators on that device instead (train-device.ts).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { learningRateAt } from '../../src/schedules/schedule.ts';
import { pretrainBatch } from '../../src/train/objectives.ts';
import { openTrainer, TRAINER_DEFAULTS } from '../../src/train/trainer.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
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

interface Run {
  readonly losses: ArrayLike<number>;
  readonly seconds: ArrayLike<number>;
}

export const bench: Bench = {
  name: 'train',
  async run(context) {
    const device = process.env['GRISTMILL_BENCH_DEVICE'];
    if (device !== undefined) return benchOnDevice(context, device);
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-train-'));
    const rows: (string | number)[][] = [];
    try {
      for (const [index, model] of MODELS.entries()) {
        const nSteps = STEPS[context.quick ? 'quick' : 'full'][index]!;
        const rounds = ROUNDS[context.quick ? 'quick' : 'full'];
        const peakLr = PEAK_LRS[index]!;
        rows.push(
          await compare({ ...COMMON, ...model }, { nSteps, rounds, peakLr }, folder, context),
        );
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    const table: BenchTable = {
      title: 'Training on the CPU, tokens per second (median step)',
      columns: [
        'parameters',
        'steps',
        'gristmill',
        'plain ggml graph',
        'ratio to it',
        'PyTorch',
        'ratio to it',
        'largest loss difference',
      ],
      rows,
      notes: [
        `${SIZE.nSeq} sequences of ${SIZE.nCtx} tokens per step, ${availableParallelism()} threads each, f32, tied embeddings.`,
        'The plain ggml graph is the one that GPUs run, on the CPU backend; it makes a quarter of the steps.',
        'Tokens follow a random chain with four successors per token, so that there is something to learn.',
      ],
    };
    return table;
  },
};

async function compare(
  shape: (typeof MODELS)[number] & typeof COMMON,
  {
    nSteps,
    rounds,
    peakLr,
  }: { readonly nSteps: number; readonly rounds: number; readonly peakLr: number },
  folder: string,
  context: BenchContext,
): Promise<(string | number)[]> {
  const lrs = Array.from({ length: nSteps }, (_, step) =>
    learningRateAt(step, { kind: 'cosine', peakLr, warmupSteps: 2, totalSteps: nSteps }),
  );
  const tokens = chain(shape.nVocab, nSteps * SIZE.nSeq * SIZE.nCtx);
  const base = join(folder, 'job');
  const ours: Run[] = [];
  const plain: Run[] = [];
  const theirs: Run[] = [];
  let nParams = 0;
  const perStep = SIZE.nSeq * SIZE.nCtx;
  const steps = lrs.map((lr, step) => ({
    batches: [pretrainBatch(tokens.slice(step * perStep, (step + 1) * perStep), SIZE)],
    lr,
  }));
  for (let round = 0; round < rounds; round++) {
    await using trainer = await openTrainer({ shape, ...SIZE, seed: 1 });
    nParams = trainer.info.nParams;
    context.log(`${nParams} parameters, round ${round + 1} of ${rounds}`);
    if (round === 0) {
      const weights: Float32Array[] = [];
      for (const { name } of trainer.info.tensors) weights.push(await trainer.readTensor(name));
      const { weightDecay, beta1, beta2, adamEpsilon, clipNorm } = TRAINER_DEFAULTS;
      const adam = { weightDecay, beta1, beta2, adamEpsilon, clipNorm };
      const job = { shape, ...SIZE, ...adam, lrs, tensors: trainer.info.tensors };
      writeFileSync(`${base}.json`, JSON.stringify(job));
      writeFileSync(
        `${base}.bin`,
        Buffer.concat(weights.map((values) => new Uint8Array(values.buffer))),
      );
      writeFileSync(`${base}.tokens`, new Uint8Array(tokens.buffer));
    }
    ours.push(await trainer.steps(steps));
    await using ggml = await openTrainer({ shape, ...SIZE, seed: 1, graph: 'ggml' });
    plain.push(await ggml.steps(steps.slice(0, Math.ceil(nSteps / 4))));
    const reference = pytorch(base, context);
    if (reference) theirs.push(reference);
  }
  const ourSpeed = speed(ours);
  const plainSpeed = speed(plain);
  const theirSpeed = speed(theirs);
  const differences = [plain[0], theirs[0]].flatMap((run) =>
    Array.from(run?.losses ?? []).map((loss, at) => Math.abs(loss - ours[0]!.losses[at]!)),
  );
  return [
    nParams.toLocaleString('en'),
    nSteps,
    ourSpeed,
    plainSpeed,
    ourSpeed / plainSpeed,
    theirs[0] ? theirSpeed : 'no PyTorch',
    theirs[0] ? ourSpeed / theirSpeed : '',
    Math.max(...differences).toExponential(1),
  ];
}

function pytorch(base: string, context: BenchContext): Run | null {
  const script = join(process.env['GRISTMILL_BENCH_FOLDER']!, 'python', 'train_reference.py');
  const python = process.env['PYTHON'] ?? 'python3';
  const child = spawnSync(python, [script, base, String(availableParallelism())], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (child.status !== 0) {
    context.log(`PyTorch did not run: ${child.stderr?.trim().split('\n').at(-1) ?? child.error}`);
    return null;
  }
  return JSON.parse(child.stdout) as Run;
}

/** Tokens per second of the median step over all rounds. */
function speed(runs: readonly Run[]): number {
  const seconds = runs.flatMap((run) => Array.from(run.seconds)).sort((a, b) => a - b);
  return (SIZE.nSeq * SIZE.nCtx) / (seconds[seconds.length >> 1] ?? Number.NaN);
}
