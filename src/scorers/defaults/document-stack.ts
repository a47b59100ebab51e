/**
 * The package's document refiner: how `models/default-document.gguf` comes to be. A regression over the document's
 * distinct words and its form, and trees over the same form and the regression's log-odds; no network.
 *
 * It is asked only what it knows. Good is whole, readable, informative text of any kind: judged documents, the main
 * content of labelled pages and those pages whole, documentation, code and texts of many kinds and languages. Bad is
 * what people judged so, what is left of pages without their content, and menus, errors, spam and litter that we wrote.
 *
 * Validation leaves kinds out: every document is scored by a model that saw no document of its kind (source of pages,
 * language of judged documents; judged English documents by hash). Its threshold is the highest at which, as a mean
 * over kinds, at most the share `1 - retention` of the good documents falls.
 */
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { pushTo } from '../../groups.ts';
import { binRows, quantileBins } from '../../lines/bins.ts';
import { type Calibration, calibrated, type RetentionThreshold } from '../../lines/calibration.ts';
import { DOCUMENT_FEATURES } from '../../lines/feature-names.ts';
import { lineLogits } from '../../lines/logistic.ts';
import { measureDocument } from '../../lines/measure.ts';
import {
  blendLogits,
  documentRows,
  documentStackLogits,
  type LineStack,
} from '../../lines/stack.ts';
import { balanced } from '../balanced.ts';
import { type BoostedTreesOptions, toColumns, trainBoostedTrees } from '../boosted-trees.ts';
import { fitCalibration } from '../calibration.ts';
import { areaUnderCurve } from '../eval-documents.ts';
import {
  type LineLogisticOptions,
  type LogisticRows,
  trainLineLogistic,
} from '../line-logistic.ts';

/** A document to learn from. */
export interface KindExample {
  readonly id: string;
  /** What is left out together in validation, and counted apart. */
  readonly kind: string;
  readonly text: string;
  readonly label: 0 | 1;
  readonly weight: number;
}

/** Options of the training. */
export interface DocumentStackOptions {
  readonly logistic: LineLogisticOptions;
  readonly trees: BoostedTreesOptions;
  readonly maxBins: number;
  /** Folds of kinds; of those, log-odds for the trees. */
  readonly nFolds: number;
  readonly treeShare: number;
}

export const DOCUMENT_STACK_DEFAULTS: DocumentStackOptions = Object.freeze({
  logistic: { hashBits: 17, maxBins: 32, nEpochs: 4, learningRate: 0.05, l2: 1e-5, seed: 1 },
  trees: {
    nTrees: 120,
    nLeaves: 15,
    learningRate: 0.08,
    minHessian: 8,
    lambda: 10,
    rowShare: 0.5,
    featureShare: 0.3,
    seed: 1,
  },
  maxBins: 64,
  nFolds: 6,
  treeShare: 0.5,
});

/** Shares of good documents, as a mean over kinds, that the model knows thresholds for. */
export const KIND_RETENTIONS = [0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.9, 0.8] as const;

/** Good kinds of fewer documents are counted together. */
const MIN_OF_A_KIND = 20;

/** What validation says of one kind. */
export interface KindReport {
  readonly kind: string;
  readonly label: 0 | 1;
  readonly nDocuments: number;
  /** Share that is dropped at the default threshold. */
  readonly dropped: number;
}

/** What the folds say. */
export interface DocumentStackValidation {
  readonly auc: number;
  readonly calibration: Calibration;
  readonly thresholds: readonly RetentionThreshold[];
  readonly kinds: readonly KindReport[];
}

interface Table extends LogisticRows {
  readonly folds: Int32Array;
}

/**
 * Scores every document by a model that saw none of its kind.
 *
 * @param retention of the default threshold, for the report by kind
 */
export async function validateDocumentStack(
  examples: readonly KindExample[],
  retention: number,
  options: DocumentStackOptions = DOCUMENT_STACK_DEFAULTS,
): Promise<DocumentStackValidation> {
  const table = tableOf(examples, options);
  const logits = new Float32Array(examples.length);
  for (let fold = 0; fold < options.nFolds; fold++) {
    await setImmediate();
    const stack = trainOn(table, options, (own) => own !== fold);
    const blended = blendLogits(documentStackLogits(stack, table), options.treeShare);
    for (let row = 0; row < table.nRows; row++) {
      if (table.folds[row] === fold) logits[row] = blended[row]!;
    }
  }
  const labels = Array.from(examples, ({ label }) => label);
  const calibration = fitCalibration({ logits, labels, weights: balancedOf(examples) });
  const scores = Float64Array.from(logits, (logit) => calibrated(logit, calibration));
  const thresholds = KIND_RETENTIONS.map((share) => kindThreshold(examples, scores, share));
  const { threshold } = thresholds.find((entry) => entry.retention === retention)!;
  return {
    auc: areaUnderCurve(scores, labels),
    calibration,
    thresholds,
    kinds: kindReports(examples, scores, threshold),
  };
}

/** Trains on all documents. */
export function trainDocumentStack(
  examples: readonly KindExample[],
  options: DocumentStackOptions = DOCUMENT_STACK_DEFAULTS,
): LineStack {
  return trainOn(tableOf(examples, options), options, () => true);
}

function tableOf(examples: readonly KindExample[], options: DocumentStackOptions): Table {
  const measured = examples.map(({ text }) => measureDocument(text, options.logistic.hashBits));
  const nRows = examples.length;
  const width = DOCUMENT_FEATURES.length;
  const features = new Float32Array(nRows * width);
  const starts = new Int32Array(nRows + 1);
  measured.forEach((one, row) => {
    features.set(one.features, row * width);
    starts[row + 1] = starts[row]! + one.words.ids.length;
  });
  const ids = new Int32Array(starts[nRows]!);
  measured.forEach(({ words }, row) => {
    ids.set(words.ids, starts[row]);
  });
  return {
    nRows,
    features,
    words: { ids, starts, nearAt: starts.slice(1) },
    labels: Uint8Array.from(examples, ({ label }) => label),
    weights: Float32Array.from(balancedOf(examples)),
    folds: Int32Array.from(examples, ({ kind }) => foldOfKind(kind, options.nFolds)),
  };
}

/** Both models, from the rows of some folds. */
function trainOn(
  table: Table,
  { logistic, trees, maxBins, nFolds }: DocumentStackOptions,
  learns: (fold: number) => boolean,
): LineStack {
  const { nRows, folds, weights, features, labels } = table;
  const own = weights.map((weight, row) => (learns(folds[row]!) ? weight : 0));
  const logits = new Float32Array(nRows);
  for (let inner = 0; inner < nFolds; inner++) {
    if (!learns(inner)) continue;
    const others = own.map((weight, row) => (folds[row] === inner ? 0 : weight));
    const found = lineLogits(trainLineLogistic({ ...table, weights: others }, logistic), table);
    for (let row = 0; row < nRows; row++) if (folds[row] === inner) logits[row] = found[row]!;
  }
  const rows = documentRows(features, logits);
  const nFeatures = DOCUMENT_FEATURES.length + 1;
  const bins = quantileBins(rows, { nFeatures, maxBins });
  return {
    logistic: trainLineLogistic({ ...table, weights: own }, logistic),
    bins,
    trees: trainBoostedTrees(
      {
        nRows,
        nFeatures,
        maxBins,
        columns: toColumns(binRows(rows, bins), nFeatures),
        targets: Float32Array.from(labels),
        weights: own,
      },
      trees,
    ),
  };
}

function balancedOf(examples: readonly KindExample[]): number[] {
  return balanced(
    examples.map(({ label }) => label),
    examples.map(({ weight }) => weight),
  );
}

/** The fold that a kind is left out in. */
export function foldOfKind(kind: string, nFolds: number): number {
  return createHash('sha256').update(`kind ${kind}`).digest().readUIntBE(0, 6) % nFolds;
}

/** Scores of the good documents by kind; small kinds as one. */
export function goodByKind(
  examples: readonly KindExample[],
  scores: ArrayLike<number>,
): Map<string, number[]> {
  const kinds = new Map<string, number[]>();
  examples.forEach(({ kind, label }, row) => {
    if (label === 1) pushTo(kinds, kind, scores[row]!);
  });
  const small: number[] = [];
  for (const [kind, own] of kinds) {
    if (own.length >= MIN_OF_A_KIND) continue;
    small.push(...own);
    kinds.delete(kind);
  }
  if (small.length > 0) kinds.set('of small kinds', small);
  return kinds;
}

/** The highest threshold at which the mean over kinds of the good documents that fall is within bounds. */
export function kindThreshold(
  examples: readonly KindExample[],
  scores: Float64Array,
  retention: number,
): RetentionThreshold {
  const kinds = [...goodByKind(examples, scores).values()];
  const points = kinds
    .flatMap((own) => own.map((score) => ({ score, loss: 1 / (own.length * kinds.length) })))
    .sort((left, right) => left.score - right.score);
  let lost = 0;
  let threshold = 0;
  for (const { score, loss } of points) {
    threshold = score;
    lost += loss;
    if (lost > 1 - retention) break;
  }
  const bad = examples.flatMap(({ label }, row) => (label === 0 ? [scores[row]!] : []));
  const gone = bad.filter((score) => score < threshold).length;
  return { retention, threshold, noiseRemoved: gone / Math.max(1, bad.length) };
}

/** By kind and label: what falls below a threshold. */
export function kindReports(
  examples: readonly KindExample[],
  scores: Float64Array,
  threshold: number,
): KindReport[] {
  const counts = new Map<string, { kind: string; label: 0 | 1; n: number; gone: number }>();
  examples.forEach(({ kind, label }, row) => {
    const key = `${label} ${kind}`;
    const own = counts.get(key) ?? { kind, label, n: 0, gone: 0 };
    counts.set(key, own);
    own.n++;
    if (scores[row]! < threshold) own.gone++;
  });
  return [...counts.values()]
    .map(({ kind, label, n, gone }) => ({ kind, label, nDocuments: n, dropped: gone / n }))
    .sort((left, right) => left.label - right.label || right.dropped - left.dropped);
}
