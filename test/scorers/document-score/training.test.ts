import { describe, expect, it } from 'vitest';
import { validateDocument } from '../../../src/scorers/defaults/document.ts';
import {
  DOCUMENT_TRAINING_DEFAULTS,
  documentLogits,
  trainDocumentScorer,
} from '../../../src/scorers/document-score/training.ts';
import type { GoldDocument } from '../../../src/scorers/gold.ts';
import { syntheticPages } from '../../train/support.ts';

const pages = syntheticPages(80, 4);
/** Good documents are prose, bad ones are menus. */
const documents: GoldDocument[] = pages.map((page, index) => {
  const label = (index % 2) as 0 | 1;
  const lines = page.lines.filter((_, line) => (page.labels[line] === 1) === (label === 1));
  return { id: page.id, domain: '', text: lines.join('\n'), label };
});
const training = { ...DOCUMENT_TRAINING_DEFAULTS, nEmbd: 16, nFf: 32, hashBits: 8, nSeq: 16 };

describe('trainDocumentScorer', () => {
  it('judges documents it has not seen', async () => {
    const { trainer, encoder } = await trainDocumentScorer(
      { documents: documents.slice(0, 60), pages: pages.slice(0, 10) },
      training,
    );
    const test = documents.slice(60);
    const logits = await documentLogits(
      test.map(({ text }) => text),
      trainer,
      encoder,
    );
    const right = test.filter(({ label }, at) => logits[at]! > 0 === (label === 1)).length;
    expect(right / test.length).toBeGreaterThan(0.9);
    const odd = await documentLogits(['', '\n\n', 'word'], trainer, encoder);
    expect(odd.every(Number.isFinite)).toBe(true);
    await trainer.dispose();
  });
});

describe('validateDocument', () => {
  it('scores every document once, by models that did not see it', async () => {
    const found = await validateDocument({ documents, pages: [], training, nFolds: 3 });
    expect(found.nDocs).toBe(80);
    expect(found.balancedAccuracy).toBeGreaterThan(0.9);
    expect(found.calibration.slope).toBeGreaterThan(0);
    // Labels that nothing tells cannot be learnt: had a model seen them, it would know.
    const random = documents.map((document, at) => ({
      ...document,
      label: ((at * 7919) % 13 > 6 ? 1 : 0) as 0 | 1,
    }));
    const guessed = await validateDocument({ documents: random, pages: [], training, nFolds: 3 });
    expect(guessed.balancedAccuracy).toBeLessThan(0.7);
  });
});
