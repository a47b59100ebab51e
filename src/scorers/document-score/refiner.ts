/**
 * The neural document scorer as cross-validation sees it: trained on judged documents alone, scoring with the
 * trainer's own forward pass.
 */
import type { DocumentRefiner } from '../eval-documents.ts';
import { DOCUMENT_TRAINING_DEFAULTS, documentLogits, trainDocumentScorer } from './training.ts';

/** Trains the scorer with {@link DOCUMENT_TRAINING_DEFAULTS}, more often over the few documents. */
export const documentScore: DocumentRefiner = {
  name: 'document-score',
  trainable: true,
  fit: async (documents) => {
    const { trainer, encoder } = await trainDocumentScorer(
      { documents, pages: [] },
      { ...DOCUMENT_TRAINING_DEFAULTS, nEpochs: 20 },
    );
    return {
      name: 'document-score',
      threshold: 0.5,
      scoreDocument: async (text) => {
        const [logit] = await documentLogits([text], trainer, encoder);
        return 1 / (1 + Math.exp(-logit!));
      },
      dispose: () => trainer.dispose(),
    };
  },
};
