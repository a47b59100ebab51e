/**
 * Case `refining-pays`: does refining pay? The claim of ProX (arXiv 2409.17115, section 3) at our scale.
 *
 * One tokenizer, one model, one number of tokens and one schedule; only the training text differs: raw pages, pages
 * after the line rules of published corpora, pages after refiners, and the main content that people wrote down,
 * which no refiner can beat by much. Every model is then measured on the main content of pages of unseen domains, in
 * bits per byte. Seeds change initial weights and the order of sequences; what is within their spread is no result.
 *
 * The tokenizer is trained on the raw training pages, which hold every arm's text: if it favours an arm, then raw.
 * The budget is an epoch of the smallest arm at most, so no arm repeats its text.
 * Runs take one thread each, side by side: that needs no barriers, and the number of threads does not change bits.
 * Data: $GRISTMILL_DATA/web-gold (default ../shared/data beside the package); without it the case gives no rows.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { planTexts } from '../../src/corpus/texts.ts';
import { trainTokenizer } from '../../src/model/tokenizer-training.ts';
import { native } from '../../src/native.ts';
import { evaluateLm } from '../../src/train/eval-lm.ts';
import { tokenizeCorpus } from '../../src/train/token-data.ts';
import { trainModel } from '../../src/train/train-run.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { goldFolder, linesLeft, type PaysData, readPaysData } from './refining-pays-data.ts';
import { type Arm, makeArms } from './refining-pays-refiners.ts';

const VOCABULARY = 2048;
/** 1.07 M parameters with the vocabulary above. */
const SHAPE = { nEmbd: 128, nLayer: 4, nHead: 4, nFf: 352 };
const BATCH = { nSeq: 4, nCtx: 256 };
const PEAK_LR = 3e-3;
const SIZES = {
  full: { maxSteps: 2000, seeds: [1, 2, 3] },
  quick: { maxSteps: 20, seeds: [1] },
};
const COLUMNS = [
  'training text',
  'documents',
  'MB',
  'content / noise left',
  'epochs',
  'bits per byte (mean ± sd)',
  'range',
  'against raw (± s.e.)',
];

interface MeasuredArm extends Arm {
  readonly file: string;
  readonly nDocs: number;
  readonly nBytes: number;
  readonly nTokens: number;
  /** Bits per byte, by seed. */
  readonly bits: number[];
}

export const bench: Bench = {
  name: 'refining-pays',
  async run(context) {
    const { folder: data, looked } = goldFolder();
    if (data === null) {
      context.log(`NOT MEASURED: no labelled pages at ${looked}; set GRISTMILL_DATA`);
      return tableOf([], [`Not measured: no labelled pages (looked for ${looked}).`]);
    }
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-pays-'));
    try {
      return await measure(await readPaysData(data, context.quick), folder, context);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function measure(data: PaysData, folder: string, context: BenchContext): Promise<BenchTable> {
  const { maxSteps, seeds } = SIZES[context.quick ? 'quick' : 'full'];
  const { heldOut, pages } = data;
  context.log(`${pages.length} pages to learn from, ${heldOut.length} held out`);
  const tokenizer = join(folder, 'tokenizer.gguf');
  const texts = pages.map(({ text }) => text);
  await trainTokenizer({ texts, vocabSize: VOCABULARY, path: tokenizer });
  const heldOutFile = join(folder, 'held-out.jsonl');
  const heldOutBytes = writeTexts(heldOutFile, heldOut);
  const arms: MeasuredArm[] = [];
  for (const [index, arm] of (await makeArms(data, folder, context)).entries()) {
    const file = join(folder, `arm-${index}.jsonl`);
    const full = arm.texts.filter((text) => text !== '');
    const nBytes = writeTexts(file, full);
    const nTokens = await countTokens(file, tokenizer);
    context.log(`${arm.name}: ${full.length} documents, ${nBytes} bytes, ${nTokens} tokens`);
    arms.push({ ...arm, file, nDocs: full.length, nBytes, nTokens, bits: [] });
  }
  const perStep = BATCH.nSeq * BATCH.nCtx;
  const fewest = Math.min(...arms.map(({ nTokens }) => nTokens));
  const steps = Math.min(maxSteps, Math.floor(fewest / perStep));
  // Seed by seed, so that a run that is stopped has compared all arms.
  const runs = seeds.flatMap((seed) => arms.map((arm) => ({ arm, seed })));
  let nParams = 0;
  const work = async (): Promise<void> => {
    for (let run = runs.shift(); run; run = runs.shift()) {
      const { arm, seed } = run;
      const out = join(folder, `run-${arms.indexOf(arm)}-${seed}`);
      const start = performance.now();
      const made = await trainModel({
        objective: 'pretrain',
        data: { inputs: [arm.file] },
        out,
        model: { shape: SHAPE },
        tokenizer: { path: tokenizer },
        steps,
        batch: BATCH,
        schedule: { peakLr: PEAK_LR, minLr: PEAK_LR / 20, warmupSteps: Math.ceil(steps / 20) },
        seed,
        nThreads: 1,
        checkpointEvery: 0,
        evalEvery: 0,
        export: { type: 'f32' },
      });
      nParams = made.nParams;
      const options = { nCtx: BATCH.nCtx, nSeq: BATCH.nSeq };
      const found = await evaluateLm({ model: made.model, data: [heldOutFile], ...options });
      arm.bits[seeds.indexOf(seed)] = found.bitsPerByte;
      rmSync(out, { recursive: true, force: true });
      const seconds = Math.round((performance.now() - start) / 1000);
      const figures = `${found.bitsPerByte.toFixed(4)} bits per byte`;
      context.log(`seed ${seed}, ${arm.name}: ${figures} (${seconds} s, ${runs.length} runs wait)`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), runs.length) }, work));
  return tableOf(
    arms.map((arm) => rowOf(arm, { raw: arms[0]!, pages, nTokens: steps * perStep })),
    [
      `${nParams.toLocaleString('en')} parameters, vocabulary ${VOCABULARY} (byte-level BPE of the raw pages); ${steps} steps of ${perStep} tokens, cosine from ${PEAK_LR}; ${seeds.length} seeds.`,
      `Held out: the first ${(heldOutBytes / heldOut.length / 1000).toFixed(1)} kB of the main content of ${heldOut.length} pages of other domains (${(heldOutBytes / 1e6).toFixed(2)} MB).`,
      'Content / noise left: share of the characters of lines that people want kept / removed.',
      'The package’s refiners learnt from the labels of these pages; the cross-fitted ones did not see the domains they refined.',
      orderOf(arms),
    ],
  );
}

function writeTexts(file: string, texts: readonly string[]): number {
  writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

async function countTokens(file: string, tokenizerPath: string): Promise<number> {
  const tokenizer = await native().openTokenizer(tokenizerPath);
  try {
    return (await tokenizeCorpus(await planTexts({ inputs: [file] }), tokenizer)).tokens.length;
  } finally {
    tokenizer.dispose();
  }
}

function rowOf(
  arm: MeasuredArm,
  {
    raw,
    pages,
    nTokens,
  }: {
    readonly raw: MeasuredArm;
    readonly pages: PaysData['pages'];
    readonly nTokens: number;
  },
): (string | number)[] {
  const { mean, deviation } = moments(arm.bits);
  const base = moments(raw.bits);
  const error = Math.hypot(deviation, base.deviation) / Math.sqrt(arm.bits.length);
  const share = (value: number): string => `${(100 * value).toFixed(1)} %`;
  const left = linesLeft(pages, arm.texts);
  const difference = mean - base.mean;
  return [
    arm.name,
    arm.nDocs,
    (arm.nBytes / 1e6).toFixed(1),
    arm.isWritten ? '–' : `${share(left.content)} / ${share(left.noise)}`,
    (nTokens / arm.nTokens).toFixed(2),
    `${mean.toFixed(4)} ± ${deviation.toFixed(4)}`,
    `${Math.min(...arm.bits).toFixed(4)}..${Math.max(...arm.bits).toFixed(4)}`,
    arm === raw
      ? '–'
      : `${difference.toFixed(4)} ± ${error.toFixed(4)} (${share(difference / base.mean)})`,
  ];
}

function moments(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / Math.max(1, values.length - 1)) };
}

function orderOf(arms: readonly MeasuredArm[]): string {
  const order = [...arms].sort((left, right) => moments(left.bits).mean - moments(right.bits).mean);
  return `Measured order, best first: ${order.map(({ name }) => name).join(' < ')}. Expected: refined < rules < raw.`;
}

function tableOf(rows: BenchTable['rows'], notes: readonly string[]): BenchTable {
  return {
    title: 'Does refining pay? Loss on clean text of unseen domains',
    columns: COLUMNS,
    rows,
    notes,
  };
}
