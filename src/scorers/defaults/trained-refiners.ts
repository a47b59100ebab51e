/**
 * The package's recipes as cross-validation sees them: trained anew on what it is given, and on nothing else (the package's
 * own models learn from made pages and whole documents too: line-stack.ts, document-stack.ts).
 */
import { measureDocument, spreadScores } from '../../lines/measure.ts';
import { blendLogits, documentStackLogits, stackHashBits } from '../../lines/stack.ts';
import { probability } from '../baselines/logistic.ts';
import type { DocumentRefiner } from '../eval-documents.ts';
import type { LineRefiner } from '../line-scorer.ts';
import { DOCUMENT_STACK_DEFAULTS, trainDocumentStack } from './document-stack.ts';
import { logitsOf, trainStack } from './line-stack.ts';

/** Lines: pages whole, thinned and cropped; not calibrated. */
export const defaultLines: LineRefiner = {
  name: 'default',
  trainable: true,
  fit: async (pages, { signal } = {}) => {
    const stack = await trainStack({ pages, partial: [], made: [], documents: [], signal });
    return {
      name: 'default',
      threshold: 0.5,
      scoreLines: (lines) => {
        const { scan, own } = logitsOf(stack, lines);
        return spreadScores(scan, own.map(probability), lines.length);
      },
    };
  },
};

/** Documents, both labels alike; not calibrated. */
export const defaultDocuments: DocumentRefiner = {
  name: 'default',
  trainable: true,
  fit: (documents) => {
    const stack = trainDocumentStack(
      documents.map(({ id, kind, text, label }) => ({
        ...{ id, text, label, weight: 1 },
        // Documents of no known kind are kinds of their own: folds of kinds are drawn from them.
        kind: kind || id,
      })),
    );
    return {
      name: 'default',
      threshold: 0.5,
      scoreDocument: (text) => {
        const document = measureDocument(text, stackHashBits(stack));
        const logits = documentStackLogits(stack, document);
        return probability(blendLogits(logits, DOCUMENT_STACK_DEFAULTS.treeShare)[0]!);
      },
    };
  },
};
