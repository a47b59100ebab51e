/**
 * Case `refining-pays`: does refining pay? The claim of ProX (arXiv 2409.17115, section 3) at our scale.
 *
 * One tokenizer, one model, one number of tokens and one schedule; only the training text differs: raw pages, pages
 * after the line rules of published corpora, pages after refiners, and the main content that people wrote down,
 * which no refiner can beat by much. All of it twice: with the noise of raw pages, and with the tenth of it that an
 * extractor leaves. Every model is then measured on the main content of pages of unseen domains: in bits per byte, and
 * by the last words of sentences (refining-pays-cloze.ts). Seeds change initial weights and the order of sequences; what
 * is within their spread is no result.
 *
 * The tokenizer is trained on the raw training pages, which hold every arm's text: if it favours an arm, then raw.
 * The budget is 1.2 epochs of the smallest arm at most: what C4 leaves of lightly noisy text is a little short of it, no
 * other arm repeats its text.
 * Runs take one thread each, side by side ($GRISTMILL_BENCH_WORKERS, default one a core): that needs no barriers, and the
 * number of threads does not change bits. What was trained is kept in bench/.cache/refining-pays
 * (refining-pays-kept.ts): a case that was cut goes on where it stood. Change the code, and delete it.
 * Data: $GRISTMILL_DATA, labelled pages as for models/train.mjs (default ../shared/data beside the package); without it
 * the case gives no rows.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { planTexts } from '../../src/corpus/texts.ts';
import { trainTokenizer } from '../../src/model/tokenizer-training.ts';
import { native } from '../../src/native/index.ts';
import { tokenizeCorpus } from '../../src/tokens/token-data.ts';
import { evaluateLm } from '../../src/train/eval-lm.ts';
import { trainModel } from '../../src/train/train-run.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { answerCloze, type ClozeItem, clozeItems, N_CHOICES } from './refining-pays-cloze.ts';
import { goldFolder, type PaysData, readPaysData } from './refining-pays-data.ts';
import { KeptResults, keyOf } from './refining-pays-kept.ts';
import { type Arm, type CleanedCorpus, cleanCorpora, crossFit } from './refining-pays-refiners.ts';
import { type MeasuredArm, type Run, tableOf } from './refining-pays-table.ts';
import { writeTexts } from './refining-pays-texts.ts';

const VOCABULARY = 1024;
/** 0.1 M parameters with the vocabulary above: two corpora and three seeds in an hour of one core. */
const SHAPE = { nEmbd: 48, nLayer: 2, nHead: 2, nFf: 128 };
const BATCH = { nSeq: 4, nCtx: 256 };
const PEAK_LR = 3e-3;
const MAX_EPOCHS = 1.2;
const SIZES = {
  full: { maxSteps: 4000, seeds: [1, 2, 3] },
  quick: { maxSteps: 20, seeds: [1] },
};

/** An arm's training text as a file; corpora share what is the same in both. */
interface ArmFile extends MeasuredArm {
  readonly file: string;
  readonly key: string;
}

export const bench: Bench = {
  name: 'refining-pays',
  async run(context) {
    const { folder: data, looked } = goldFolder();
    if (data === null) {
      context.log(`NOT MEASURED: no labelled pages at ${looked}; set GRISTMILL_DATA`);
      return {
        title: 'Does refining pay?',
        columns: [],
        rows: [],
        notes: [`Not measured: no labelled pages (looked for ${looked}).`],
      };
    }
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-pays-'));
    try {
      return await measure(await readPaysData(data, context), folder, context);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function measure(
  data: PaysData,
  folder: string,
  context: BenchContext,
): Promise<BenchTable[]> {
  const { maxSteps, seeds } = SIZES[context.quick ? 'quick' : 'full'];
  const { heldOut, corpora } = data;
  const [noisy] = corpora;
  const keep = join(process.env['GRISTMILL_BENCH_FOLDER'] ?? 'bench', '.cache', 'refining-pays');
  context.log(`${noisy!.pages.length} pages to learn from, ${heldOut.length} held out`);
  const tokenizer = join(folder, 'tokenizer.gguf');
  const texts = noisy!.pages.map(({ text }) => text);
  await trainTokenizer({ texts, vocabSize: VOCABULARY, path: tokenizer });
  const heldOutFile = join(folder, 'held-out.jsonl');
  const heldOutBytes = writeTexts(
    heldOutFile,
    heldOut.map(({ text }) => text),
  );
  const cloze = clozeItems(heldOut);
  context.log(`${cloze.length} sentences without their last word`);
  const cleaned = await cleanCorpora(data, await crossFit(data, keep, context));
  const files = new Map<string, ArmFile>();
  const measured: { readonly corpus: CleanedCorpus; readonly arms: ArmFile[] }[] = [];
  for (const corpus of cleaned) {
    const arms: ArmFile[] = [];
    for (const arm of corpus.arms) {
      const made = await armFile(arm, corpus.name, { folder, tokenizer, files });
      const { nDocs, nBytes, nTokens } = made;
      context.log(
        `${corpus.name}, ${arm.name}: ${nDocs} documents, ${nBytes} bytes, ${nTokens} tokens`,
      );
      arms.push(made);
    }
    measured.push({ corpus, arms });
  }
  const perStep = BATCH.nSeq * BATCH.nCtx;
  const fewest = Math.min(...[...files.values()].map(({ nTokens }) => nTokens));
  const steps = Math.min(maxSteps, Math.floor((MAX_EPOCHS * fewest) / perStep));
  const settings = { VOCABULARY, SHAPE, BATCH, PEAK_LR, steps };
  const shared = keyOf(settings, readFileSync(tokenizer), readFileSync(heldOutFile), cloze);
  const results = new KeptResults<Run>(join(keep, 'runs.jsonl'));
  // Seed by seed, so that a run that is stopped has compared all arms.
  const waiting = seeds.flatMap((seed) => [...files.values()].map((arm) => ({ arm, seed })));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { arm, seed } = next;
      const key = keyOf(shared, arm.key, seed);
      const start = performance.now();
      const known = results.find(key);
      const run =
        known ??
        (await trainAndMeasure({
          out: join(folder, `run-${key}`),
          ...{ arm, seed, steps, tokenizer, heldOutFile, cloze },
        }));
      if (!known) results.add(key, run);
      arm.runs.push(run);
      const seconds = known ? 'kept' : `${Math.round((performance.now() - start) / 1000)} s`;
      const right = run.right.reduce((sum, one) => sum + one, 0) / cloze.length;
      const figures = `${run.bitsPerByte.toFixed(4)} bits per byte, cloze ${right.toFixed(4)}`;
      context.log(
        `seed ${seed}, ${arm.corpora.join(' and ')}, ${arm.name}: ${figures} (${seconds}, ${waiting.length} runs wait)`,
      );
    }
  };
  const nWorkers = Number(process.env['GRISTMILL_BENCH_WORKERS'] ?? availableParallelism());
  await Promise.all(Array.from({ length: Math.min(nWorkers, waiting.length) }, work));
  const { nParams } = measured[0]!.arms[0]!.runs[0]!;
  const notes = [
    `${nParams.toLocaleString('en')} parameters, vocabulary ${VOCABULARY} (byte-level BPE of the noisy pages); ${steps} steps of ${perStep} tokens, cosine from ${PEAK_LR}; ${seeds.length} seeds.`,
    `Held out: the first ${(heldOutBytes / heldOut.length / 1000).toFixed(1)} kB of the main content of ${heldOut.length} pages of other domains (${(heldOutBytes / 1e6).toFixed(2)} MB). Cloze: ${cloze.length} sentences of them, ${N_CHOICES} words to choose from, chance ${(1 / N_CHOICES).toFixed(3)}.`,
    'Content / noise left: share of the characters of lines that people want kept / removed. s.e. of bits per byte: over seeds; of the cloze: over sentences of the same pages together, seeds averaged.',
    'The package’s refiners learnt from the labels of these pages; the cross-fitted ones saw no page of the source they refined.',
  ];
  return measured.map(({ corpus: { name, pages }, arms }) =>
    tableOf({ name, arms, pages, notes, cloze, nTokens: steps * perStep }),
  );
}

interface ArmPlace {
  readonly folder: string;
  readonly tokenizer: string;
  /** By key: what was written before. */
  readonly files: Map<string, ArmFile>;
}

/** Writes the text of an arm, once. */
async function armFile(
  arm: Arm,
  corpus: string,
  { folder, tokenizer, files }: ArmPlace,
): Promise<ArmFile> {
  const full = arm.texts.filter((text) => text !== '');
  const key = keyOf(full);
  const known = files.get(key);
  if (known) {
    known.corpora.push(corpus);
    return known;
  }
  const file = join(folder, `arm-${key}.jsonl`);
  const nBytes = writeTexts(file, full);
  const nTokens = await countTokens(file, tokenizer);
  const made = {
    ...arm,
    file,
    key,
    nBytes,
    nTokens,
    nDocs: full.length,
    runs: [],
    corpora: [corpus],
  };
  files.set(key, made);
  return made;
}

interface RunOptions {
  readonly arm: ArmFile;
  readonly seed: number;
  readonly steps: number;
  readonly tokenizer: string;
  readonly heldOutFile: string;
  readonly cloze: readonly ClozeItem[];
  readonly out: string;
}

async function trainAndMeasure(options: RunOptions): Promise<Run> {
  const { arm, seed, steps, tokenizer, heldOutFile, cloze, out } = options;
  try {
    const { model, nParams } = await trainModel({
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
    const { nCtx, nSeq } = BATCH;
    const { bitsPerByte } = await evaluateLm({ model, data: [heldOutFile], nCtx, nSeq });
    const right = (await answerCloze(model, cloze)).map((one) => (one ? 1 : 0));
    return { bitsPerByte, right, nParams, seed };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

async function countTokens(file: string, tokenizerPath: string): Promise<number> {
  const tokenizer = await native().openTokenizer(tokenizerPath);
  try {
    return (await tokenizeCorpus(await planTexts({ inputs: [file] }), tokenizer)).tokens.length;
  } finally {
    tokenizer.dispose();
  }
}
