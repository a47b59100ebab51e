/**
 * The arms of the case `refining-pays`: the same pages, cleaned in different ways.
 *
 * The package's refiners learnt from the labels of these very pages, so what they leave flatters them. The
 * cross-fitted arms are the honest ones: the domains are cut in two halves, both refiners are trained on one half by
 * the package's recipe and refine the other, and the other way round. No page is refined by a model that saw its
 * domain, and no model sees a held-out page. Thresholds need scores of unseen pages: those of a half's labels come
 * from the sibling model, which did not see them; they are the package's retentions (0.99 of the content characters,
 * 0.97 of the documents). A second arm keeps 0.95 of the characters. Calibration is fitted on whole pages alone (the
 * package's: whole and thinned), as whole pages are what is refined here.
 */
import { join } from 'node:path';
import { calibrated } from '../../src/lines/calibration.ts';
import { packEncoder } from '../../src/lines/encoder-file.ts';
import { encodePage } from '../../src/lines/line-encoder.ts';
import { type OpenRefinerOptions, openRefiner } from '../../src/refine/refiner.ts';
import { DEFAULT_RETENTION } from '../../src/refine/scoring-stages.ts';
import { passesC4 } from '../../src/train/baselines/rules.ts';
import { fitCalibration, retentionThresholds } from '../../src/train/calibration.ts';
import { RETENTIONS, trainDefaultChunk } from '../../src/train/defaults/chunk.ts';
import { validateDocument } from '../../src/train/defaults/document.ts';
import {
  DOCUMENT_TRAINING_DEFAULTS,
  trainDocumentScorer,
} from '../../src/train/document-score/training.ts';
import { foldOf, type GoldPage, KEEP, UNSCORED } from '../../src/train/gold.ts';
import { pageLogits } from '../../src/train/line-score/refiner.ts';
import {
  LINE_TRAINING_DEFAULTS,
  type LineTrainingOptions,
  type TrainedLineScorer,
} from '../../src/train/line-score/training.ts';
import { lineRefiner } from '../../src/train/refiners.ts';
import type { BenchContext } from '../types.ts';
import { foldText, type PaysData } from './refining-pays-data.ts';

const NETWORK = { head: 'network', treeShare: 1 } as const;

/** A way to clean pages. */
export interface Arm {
  readonly name: string;
  /** By page; empty where nothing is left of it. */
  readonly texts: readonly string[];
  /** True: people wrote the texts down; they are not lines of the pages. */
  readonly isWritten?: true;
}

const HALVES = [0, 1] as const;
/** A model that learns from what is left may mind noise more than lost content. */
const LOWER_RETENTION = 0.95;
/** Smaller than the package's: a smoke run only has to pass through. */
const QUICK_TRAINING: LineTrainingOptions = {
  ...LINE_TRAINING_DEFAULTS,
  nEmbd: 64,
  nLayer: 1,
  nFf: 128,
  boosted: null,
  nEpochs: 1,
};
const DOCUMENT_FOLDS = { full: 5, quick: 2 };

/** All arms; `raw` first. @param folder of the models that are trained on the way */
export async function makeArms(
  data: PaysData,
  folder: string,
  context: BenchContext,
): Promise<Arm[]> {
  const { pages } = data;
  const texts = pages.map(({ text }) => text);
  const arms: Arm[] = [
    { name: 'raw', texts },
    {
      name: 'rules: C4',
      texts: pages.map(({ lines }) => lines.filter(passesC4).join('\n')),
    },
    { name: 'rules: Gopher, FineWeb', texts: await byRule('gopher', pages) },
    { name: 'refined, package', texts: await refined(texts, {}) },
  ];
  const models = await crossFitted(data, folder, context);
  for (const retention of [DEFAULT_RETENTION, LOWER_RETENTION]) {
    arms.push({
      name: `refined, cross-fitted, retention ${retention}`,
      texts: await crossRefined(pages, models, retention),
    });
  }
  arms.push({
    name: 'main content by people',
    texts: pages.map((page) => foldText(page.goldText!)),
    isWritten: true,
  });
  return arms;
}

async function byRule(name: string, pages: readonly GoldPage[]): Promise<string[]> {
  const scorer = await lineRefiner(name).fit([]);
  const texts: string[] = [];
  for (const { lines } of pages) {
    const scores = await scorer.scoreLines(lines);
    texts.push(lines.filter((_, line) => scores[line]! >= scorer.threshold).join('\n'));
  }
  return texts;
}

async function refined(texts: readonly string[], options: OpenRefinerOptions): Promise<string[]> {
  await using refiner = await openRefiner(options);
  const outcomes = await refiner.refine(texts);
  return outcomes.map(({ text }) => text);
}

/** Every page refined by the models of the other half. */
async function crossRefined(
  pages: readonly GoldPage[],
  models: readonly Models[],
  retention: number,
): Promise<string[]> {
  const found = pages.map(() => '');
  for (const half of HALVES) {
    const others = pages.flatMap((page, at) => (foldOf(page, 2) === half ? [] : [at]));
    const texts = others.map((at) => pages[at]!.text);
    const left = await refined(texts, { ...models[half]!, retention });
    others.forEach((at, index) => {
      found[at] = left[index]!;
    });
  }
  return found;
}

type Models = Required<Pick<OpenRefinerOptions, 'documentModel' | 'chunkModel'>>;

/** By half: the refiners that learnt from its pages. */
async function crossFitted(
  data: PaysData,
  folder: string,
  context: BenchContext,
): Promise<readonly Models[]> {
  const chunkModels = await crossFitLines(data, folder, context);
  const models: Models[] = [];
  for (const half of HALVES) {
    context.log(`cross-fitting: document scorer on half ${half + 1} of the domains`);
    const documentModel = join(folder, `document-${half}.gguf`);
    const pages = data.refinerPages.filter((page) => foldOf(page, 2) === half);
    const { documents } = data;
    const nFolds = DOCUMENT_FOLDS[context.quick ? 'quick' : 'full'];
    const { calibration, thresholds } = await validateDocument({ documents, pages, nFolds });
    const kind = 'document-score';
    const { trainer, encoder } = await trainDocumentScorer(
      { documents, pages },
      DOCUMENT_TRAINING_DEFAULTS,
    );
    await using _ = trainer;
    await trainer.exportGguf({
      path: documentModel,
      type: 'q8_0',
      name: kind,
      nCtx: 1,
      kind,
      encoder: packEncoder({ kind, ...NETWORK, encoder, calibration, thresholds }),
    });
    models.push({ documentModel, chunkModel: chunkModels[half]! });
  }
  return models;
}

async function crossFitLines(
  { refinerPages, extraPages }: PaysData,
  folder: string,
  context: BenchContext,
): Promise<readonly string[]> {
  const training = context.quick ? QUICK_TRAINING : LINE_TRAINING_DEFAULTS;
  const halves = HALVES.map((half) => refinerPages.filter((page) => foldOf(page, 2) === half));
  const scorers: TrainedLineScorer[] = [];
  try {
    for (const half of HALVES) {
      const pages = halves[half]!;
      context.log(`cross-fitting: line scorer on half ${half + 1}, ${pages.length} pages`);
      scorers.push(
        await trainDefaultChunk({
          pages,
          extraPages: extraPages.filter((page) => foldOf(page, 2) === half),
          training,
          onStep: ({ step, totalSteps, loss }) => {
            if (step % 50 !== 0) return;
            context.log(`  step ${step} of ${totalSteps}, loss ${loss.toFixed(3)}`);
          },
        }),
      );
    }
    const paths: string[] = [];
    for (const half of HALVES) {
      // The labels that this half's model learnt from, as its sibling sees those pages.
      const fitted = await fitThresholds(halves[half]!, scorers[1 - half]!);
      const at = fitted.thresholds.find(({ retention }) => retention === DEFAULT_RETENTION)!;
      context.log(
        `  half ${half + 1}: threshold ${at.threshold.toFixed(3)} at retention ${DEFAULT_RETENTION}`,
      );
      const { trainer, encoder } = scorers[half]!;
      const kind = 'line-score';
      const path = join(folder, `chunk-${half}.gguf`);
      await trainer.exportGguf({
        path,
        type: 'q8_0',
        name: kind,
        nCtx: training.nCtx,
        kind,
        encoder: packEncoder({ kind, ...NETWORK, encoder, ...fitted }),
      });
      paths.push(path);
    }
    return paths;
  } finally {
    for (const { trainer } of scorers) await trainer.dispose();
  }
}

/** Calibration and thresholds from the scores of a model that did not see the pages. */
async function fitThresholds(pages: readonly GoldPage[], { trainer, encoder }: TrainedLineScorer) {
  const logits: number[] = [];
  const labels: number[] = [];
  const signedChars: number[] = [];
  for (const page of pages) {
    const encoded = encodePage(page.lines, encoder);
    const own = await pageLogits(encoded, trainer, encoder);
    own.forEach((logit, index) => {
      const line = encoded.scan.lineOf[index]!;
      const label = page.labels[line]!;
      if (label === UNSCORED) return;
      logits.push(logit);
      labels.push(label === KEEP ? 1 : 0);
      signedChars.push(page.lines[line]!.length * (label === KEEP ? 1 : -1));
    });
  }
  const calibration = fitCalibration({ logits, labels });
  const scores = logits.map((logit) => calibrated(logit, calibration));
  return { calibration, thresholds: retentionThresholds(scores, signedChars, RETENTIONS) };
}
