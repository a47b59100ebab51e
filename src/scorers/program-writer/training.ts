/**
 * Trains a small model that writes programs: ProX's chunk refiner (arXiv 2409.17115 §2.2) from line labels, from
 * scratch.
 *
 * A pass shows every page whole and thinned (thin-noise.ts), cut at borders drawn anew. Batches are a function of
 * (seed, pass, batch) alone.
 */
import type { NativeTokenizer } from '../../native/tokenizer.ts';
import { shortCosineAt } from '../../schedules/schedule.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import { openTrainer, type Trainer } from '../../train/trainer.ts';
import { packFirstFit } from '../first-fit.ts';
import type { GoldPage } from '../gold.ts';
import { programWindows } from '../program-pairs.ts';
import { thinNoise } from '../thin-noise.ts';
import {
  type ChunkFormat,
  ExampleEncoder,
  type TokenizedPage,
  type WindowExample,
} from './examples.ts';
import { type PromptTargets, windowBatch } from './packing.ts';

/** Sequences a window is tried on. */
const OPEN_SEQUENCES = 16;

/** Options of {@link trainProgramWriter}. */
export interface ProgramTrainingOptions extends PromptTargets {
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly nFf: number;
  /** Tokens of a sequence: window, frame and answer. */
  readonly nCtx: number;
  readonly nSeq: number;
  readonly nPasses: number;
  readonly peakLr: number;
  readonly weightDecay: number;
  /** Ops of one program; a window with more is cut in two. */
  readonly maxOps: number;
  /** Share of noise lines in the thinned copy of each pass, in turn. */
  readonly thinShares: readonly number[];
  readonly seed: number;
}

/** One optimiser step. */
export interface ProgramTrainingStep {
  /** From 1. */
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
}

/**
 * Trains on labelled pages; the caller disposes of the trainer.
 *
 * @throws TRAIN_DATA_TOO_SMALL, TRAIN_NON_FINITE, ABORTED
 */
export async function trainProgramWriter(
  pages: readonly GoldPage[],
  {
    tokenizer,
    format,
    options,
    signal,
    onStep,
  }: {
    readonly tokenizer: NativeTokenizer;
    readonly format: ChunkFormat;
    readonly options: ProgramTrainingOptions;
    readonly signal?: AbortSignal | undefined;
    readonly onStep?: ((step: ProgramTrainingStep) => void) | undefined;
  },
): Promise<Trainer> {
  const { nEmbd, nLayer, nHead, nHeadKv, nFf, nCtx, nSeq, nPasses, peakLr, seed } = options;
  const encoder = await ExampleEncoder.open(tokenizer, format);
  const size = { nCtx, nSeq };
  const passes: { readonly examples: WindowExample[]; readonly batches: number[][][] }[] = [];
  for (let pass = 0; pass < nPasses; pass++) {
    const examples = await examplesOf(pages, pass, { encoder, format, options });
    passes.push({ examples, batches: batchesOf(examples, options, seededRandom(mix(seed, pass))) });
  }
  const plan = passes.flatMap(({ examples, batches }, pass) =>
    batches.map((sequences, batch) => ({ examples, sequences, pass, batch })),
  );
  const build = (at: number) => {
    const { examples, sequences, pass, batch } = plan[at]!;
    return windowBatch(
      sequences.map((windows) => windows.map((window) => examples[window]!)),
      size,
      options,
      seededRandom(mix(seed, pass) ^ (batch + 1)),
    );
  };
  const trainer = await openTrainer({
    shape: {
      nVocab: tokenizer.info.nTokens,
      nEmbd,
      nLayer,
      nHead,
      nHeadKv,
      nHeadDim: nEmbd / nHead,
      nFf,
      ropeTheta: 10_000,
      rmsEpsilon: 1e-5,
      // Numbers in markers and in programs are the same tokens: copying one is what a tied table does best.
      tied: true,
      nClasses: 0,
    },
    ...size,
    seed,
    weightDecay: options.weightDecay,
    beta2: 0.98,
  });
  try {
    const totalSteps = plan.length;
    let next = build(0);
    for (let at = 0; at < totalSteps; at++) {
      const lr = shortCosineAt(at, peakLr, totalSteps);
      const made = trainer.steps([{ batches: [next], lr }], signal ? { signal } : {});
      // The next batch is built while the trainer's thread computes.
      if (at + 1 < totalSteps) next = build(at + 1);
      const { losses, step, seconds } = await made;
      const tokensPerSecond = (nSeq * nCtx) / seconds[0]!;
      onStep?.({ step, totalSteps, loss: losses[0]!, tokensPerSecond });
    }
  } catch (error) {
    await trainer.dispose();
    throw error;
  }
  return trainer;
}

async function examplesOf(
  pages: readonly GoldPage[],
  pass: number,
  {
    encoder,
    format: {
      windows: { max: maxWindowTokens },
    },
    options: { thinShares, maxOps, seed },
  }: {
    readonly encoder: ExampleEncoder;
    readonly format: ChunkFormat;
    readonly options: ProgramTrainingOptions;
  },
): Promise<WindowExample[]> {
  const random = seededRandom(mix(seed, pass) ^ 0x5bd1e995);
  const share = thinShares[pass % thinShares.length];
  const examples: WindowExample[] = [];
  const add = async (page: TokenizedPage): Promise<void> => {
    const firstWindowTokens = Math.ceil(maxWindowTokens * (0.25 + 0.75 * random()));
    const windows = programWindows(page.nTokens, page.removed, {
      maxWindowTokens,
      firstWindowTokens,
      maxOps,
    });
    examples.push(...(await encoder.windows(page, windows)));
  };
  for (const page of pages) {
    await add(await encoder.page(page));
    if (share !== undefined) await add(await encoder.page(thinNoise(page, share, 200 + pass)));
  }
  return examples;
}

function batchesOf(
  examples: readonly WindowExample[],
  { nCtx, nSeq }: ProgramTrainingOptions,
  random: () => number,
): number[][][] {
  const order = Int32Array.from(examples, (_, index) => index);
  shuffle(order, random);
  const lengths = order.map((index) => examples[index]!.tokens.length);
  const sequences = packFirstFit(lengths, nCtx, OPEN_SEQUENCES).map((windows) =>
    windows.map((at) => order[at]!),
  );
  const batches: number[][][] = [];
  for (let at = 0; at < sequences.length; at += nSeq) batches.push(sequences.slice(at, at + nSeq));
  return batches;
}

function mix(seed: number, pass: number): number {
  return Math.imul(seed, 0x9e3779b1) ^ Math.imul(pass + 1, 0x85ebca6b);
}
