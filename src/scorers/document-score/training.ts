/**
 * Trains a document scorer: is a document worth keeping? One position, two classes, one prefill.
 *
 * Judged documents are few and clean; a corpus is neither. A teacher, the regression over the judged documents, is
 * therefore asked about the main content of labelled pages, and its opinion becomes the soft label of the same page
 * with its menus and footers (whole, and thinned): a page is worth what its content is worth, whatever stands around
 * it. The student sees features and words of the noisy text only.
 */

import { quantileBins } from '../../lines/bins.ts';
import { encodeDocument } from '../../lines/document-encoder.ts';
import { DOCUMENT_FEATURES } from '../../lines/feature-names.ts';
import {
  BagWriter,
  type EncodedRows,
  type LineEncoder,
  tableRows,
} from '../../lines/line-encoder.ts';
import { measureDocument } from '../../lines/measure.ts';
import type { BagBatch } from '../../native/train.ts';
import { learningRateAt } from '../../schedules/schedule.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import { openTrainer, type Trainer } from '../../train/trainer.ts';
import { fitDocumentLogistic } from '../baselines/documents.ts';
import { type GoldDocument, type GoldPage, KEEP } from '../gold.ts';
import type { LineDropout } from '../line-score/packing.ts';
import { thinNoise } from '../thin-noise.ts';

/** Options of {@link trainDocumentScorer}. */
export interface DocumentTrainingOptions {
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nFf: number;
  readonly hashBits: number;
  readonly maxBins: number;
  /** Documents of a batch. */
  readonly nSeq: number;
  readonly nEpochs: number;
  readonly peakLr: number;
  readonly weightDecay: number;
  readonly dropout: LineDropout;
  readonly labelSmoothing: number;
  /** Weight of a judged document; one that the teacher labelled weighs 1. */
  readonly judgedWeight: number;
  /** Share of a judged document's label that the teacher decides, 0..1. */
  readonly teacherShare: number;
  /** Share of noise lines in the thinned copy of a page. */
  readonly thinShare: number;
  readonly seed: number;
}

/** Plain values; see models/README.md for what they reach. */
export const DOCUMENT_TRAINING_DEFAULTS: DocumentTrainingOptions = Object.freeze({
  nEmbd: 64,
  nLayer: 2,
  nHead: 2,
  nFf: 160,
  hashBits: 13,
  maxBins: 12,
  nSeq: 64,
  nEpochs: 6,
  peakLr: 2e-3,
  weightDecay: 0.1,
  dropout: { words: 0.5, features: 0.2 },
  labelSmoothing: 0.05,
  judgedWeight: 10,
  teacherShare: 0.5,
  thinShare: 0.1,
  seed: 1,
});

/** What documents are learnt from. */
export interface DocumentTrainingData {
  /** Documents that people judged. */
  readonly documents: readonly GoldDocument[];
  /** Pages with their main content, labelled by the teacher; may be empty. */
  readonly pages: readonly GoldPage[];
}

interface SoftDocument {
  readonly text: string;
  /** Probability of keep. */
  readonly target: number;
  readonly weight: number;
}

/**
 * Trains on judged documents and labelled pages.
 *
 * @returns the model, whose trainer the caller disposes of
 * @throws TRAIN_NON_FINITE, ABORTED
 */
export async function trainDocumentScorer(
  data: DocumentTrainingData,
  options: DocumentTrainingOptions = DOCUMENT_TRAINING_DEFAULTS,
  signal?: AbortSignal,
): Promise<{ readonly trainer: Trainer; readonly encoder: LineEncoder }> {
  const examples = await softDocuments(data, options);
  const { maxBins, hashBits, nSeq } = options;
  const values = new Float32Array(examples.length * DOCUMENT_FEATURES.length);
  examples.forEach(({ text }, index) => {
    values.set(measureDocument(text, hashBits).features, index * DOCUMENT_FEATURES.length);
  });
  const bins = quantileBins(values, { nFeatures: DOCUMENT_FEATURES.length, maxBins });
  const encoder: LineEncoder = { bins, hashBits, stack: null };
  const encoded = examples.map(({ text }) => encodeDocument(text, encoder));
  const trainer = await openTrainer({
    shape: {
      nVocab: tableRows(encoder),
      nEmbd: options.nEmbd,
      nLayer: options.nLayer,
      nHead: options.nHead,
      nHeadKv: options.nHead,
      nHeadDim: options.nEmbd / options.nHead,
      nFf: options.nFf,
      ropeTheta: 10_000,
      rmsEpsilon: 1e-5,
      tied: true,
      nClasses: 2,
    },
    nCtx: 1,
    nSeq,
    // A soft label is two targets at one position.
    maxTargets: 2 * nSeq,
    causal: false,
    seed: options.seed,
    weightDecay: options.weightDecay,
    labelSmoothing: options.labelSmoothing,
    beta2: 0.98,
  });
  try {
    const random = seededRandom(options.seed);
    const perEpoch = Math.ceil(examples.length / nSeq);
    const totalSteps = perEpoch * options.nEpochs;
    for (let step = 0, order = new Int32Array(0); step < totalSteps; step++) {
      const batch = step % perEpoch;
      if (batch === 0) {
        order = Int32Array.from(examples, (_, index) => index);
        shuffle(order, random);
      }
      const chosen = order.subarray(batch * nSeq, (batch + 1) * nSeq);
      const lr = learningRateAt(step, {
        kind: 'cosine',
        peakLr: options.peakLr,
        warmupSteps: Math.ceil(totalSteps * 0.05),
        totalSteps,
      });
      const made = documentBatch(chosen, { examples, encoded, encoder, options, random });
      await trainer.steps([{ batches: [made], lr }], signal ? { signal } : {});
    }
  } catch (error) {
    await trainer.dispose();
    throw error;
  }
  return { trainer, encoder };
}

async function softDocuments(
  { documents, pages }: DocumentTrainingData,
  { judgedWeight, teacherShare, thinShare }: DocumentTrainingOptions,
): Promise<SoftDocument[]> {
  const teacher = fitDocumentLogistic(documents);
  const nKeep = documents.filter(({ label }) => label === KEEP).length;
  // Both classes weigh alike, as for the teacher: 0.5 then aims at balanced accuracy.
  const balance = [documents.length - nKeep, nKeep].map(
    (count) => documents.length / (2 * Math.max(1, count)),
  );
  const examples: SoftDocument[] = [];
  for (const { text, label } of documents) {
    const opinion = await teacher.scoreDocument(text);
    const target = (1 - teacherShare) * label + teacherShare * opinion;
    examples.push({ text, target, weight: judgedWeight * balance[label]! });
  }
  for (const page of pages) {
    if (page.goldText === null) continue;
    const target = await teacher.scoreDocument(page.goldText);
    for (const text of [page.goldText, page.text, thinNoise(page, thinShare).text]) {
      examples.push({ text, target, weight: 1 / 3 });
    }
  }
  return examples;
}

function documentBatch(
  chosen: Int32Array,
  {
    examples,
    encoded,
    encoder,
    options: { nSeq, dropout },
    random,
  }: {
    readonly examples: readonly SoftDocument[];
    readonly encoded: readonly EncodedRows[];
    readonly encoder: LineEncoder;
    readonly options: DocumentTrainingOptions;
    readonly random: () => number;
  },
): BagBatch {
  const bags = new BagWriter(nSeq);
  const keep = {
    feature: () => random() >= dropout.features,
    word: () => random() >= dropout.words,
    scale: 1 / (1 - dropout.features),
  };
  const positions: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  chosen.forEach((index, position) => {
    bags.add(encoded[index]!, 0, encoder, keep);
    const { target, weight } = examples[index]!;
    positions.push(position, position);
    labels.push(1, 0);
    weights.push(weight * target, weight * (1 - target));
  });
  const { starts, ids, weights: bagWeights } = bags.finish();
  return {
    bagStarts: starts,
    bagIds: ids,
    bagWeights,
    positions: Int32Array.from(positions),
    labels: Int32Array.from(labels),
    weights: Float32Array.from(weights),
  };
}

/** Keep log-odds of documents by the trainer's own forward pass. */
export async function documentLogits(
  texts: readonly string[],
  trainer: Trainer,
  encoder: LineEncoder,
): Promise<Float32Array> {
  const { nSeq } = trainer.options;
  const found = new Float32Array(texts.length);
  for (let first = 0; first < texts.length; first += nSeq) {
    const some = texts.slice(first, first + nSeq);
    const bags = new BagWriter(nSeq);
    for (const text of some) bags.add(encodeDocument(text, encoder), 0, encoder);
    const { starts, ids, weights } = bags.finish();
    const { logits } = await trainer.forward(
      {
        bagStarts: starts,
        bagIds: ids,
        bagWeights: weights,
        positions: Int32Array.from(some, (_, position) => position),
        labels: new Int32Array(some.length),
      },
      { logits: true },
    );
    some.forEach((_, index) => {
      found[first + index] = logits[2 * index + 1]! - logits[2 * index]!;
    });
  }
  return found;
}
