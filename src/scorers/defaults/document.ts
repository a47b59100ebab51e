/**
 * The default document refiner: how `models/default-document.gguf` comes to be.
 *
 * Five folds over the judged documents give honest log-odds, from which come the measures and the calibration (both
 * classes alike, so that probability 0.5 aims at balanced accuracy); one model on everything gets that calibration.
 */
import { type Calibration, calibrated, type RetentionThreshold } from '../../lines/calibration.ts';
import { balanced } from '../balanced.ts';
import { fitCalibration, retentionThresholds } from '../calibration.ts';
import {
  DOCUMENT_TRAINING_DEFAULTS,
  type DocumentTrainingData,
  type DocumentTrainingOptions,
  documentLogits,
  trainDocumentScorer,
} from '../document-score/training.ts';
import { type DocumentMeasures, measureDocuments } from '../eval-documents.ts';
import { foldOf } from '../gold.ts';

/** Shares of the documents to keep that the model knows thresholds for. */
export const DOCUMENT_RETENTIONS = [0.995, 0.99, 0.98, 0.97, 0.95, 0.9, 0.8, 0.7] as const;

/** What the folds say. */
export interface DocumentValidation extends DocumentMeasures {
  readonly calibration: Calibration;
  /** Thresholds by share of the documents to keep that stay. */
  readonly thresholds: readonly RetentionThreshold[];
}

/** Options of {@link validateDocument}. */
export interface DefaultDocumentOptions extends DocumentTrainingData {
  readonly training?: DocumentTrainingOptions;
  readonly nFolds: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Scores every judged document by a model that did not learn from it.
 *
 * The decisions that are measured use a calibration fitted on the other folds, as a new document would meet it.
 */
export async function validateDocument({
  documents,
  pages,
  training = DOCUMENT_TRAINING_DEFAULTS,
  nFolds,
  signal,
}: DefaultDocumentOptions): Promise<DocumentValidation> {
  const folds = documents.map((document) => foldOf(document, nFolds));
  const labels = documents.map(({ label }) => label as number);
  const logits = new Float64Array(documents.length);
  for (let fold = 0; fold < nFolds; fold++) {
    const learning = documents.filter((_, at) => folds[at] !== fold);
    const held = documents.flatMap((_, at) => (folds[at] === fold ? [at] : []));
    const { trainer, encoder } = await trainDocumentScorer(
      { documents: learning, pages },
      training,
      signal,
    );
    try {
      const texts = held.map((at) => documents[at]!.text);
      const found = await documentLogits(texts, trainer, encoder);
      held.forEach((at, index) => {
        logits[at] = found[index]!;
      });
    } finally {
      await trainer.dispose();
    }
  }
  const weights = balanced(labels);
  const decisions = new Uint8Array(documents.length);
  for (let fold = 0; fold < nFolds; fold++) {
    const others = weights.map((weight, at) => (folds[at] === fold ? 0 : weight));
    const calibration = fitCalibration({ logits, labels, weights: others });
    documents.forEach((_, at) => {
      if (folds[at] === fold) decisions[at] = calibrated(logits[at]!, calibration) >= 0.5 ? 1 : 0;
    });
  }
  const calibration = fitCalibration({ logits, labels, weights });
  const scores = logits.map((logit) => calibrated(logit, calibration));
  const signed = labels.map((label) => (label === 1 ? 1 : -1));
  return {
    ...measureDocuments(logits, labels, decisions),
    calibration,
    thresholds: retentionThresholds(scores, signed, DOCUMENT_RETENTIONS),
  };
}
