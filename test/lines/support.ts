/** Small scoring models, trained for a moment on made-up pages. */
import { packEncoder, type ScoringEncoder } from '../../src/lines/encoder-file.ts';
import { BOOSTED_DEFAULTS } from '../../src/scorers/baselines/boosted.ts';
import {
  DOCUMENT_TRAINING_DEFAULTS,
  trainDocumentScorer,
} from '../../src/scorers/document-score/training.ts';
import type { GoldDocument } from '../../src/scorers/gold.ts';
import {
  LINE_TRAINING_DEFAULTS,
  type LineTrainingOptions,
  trainLineScorer,
} from '../../src/scorers/line-score/training.ts';
import { syntheticPages } from '../train/support.ts';

export const smallLineTraining: LineTrainingOptions = {
  ...LINE_TRAINING_DEFAULTS,
  nEmbd: 64,
  nLayer: 2,
  nHead: 2,
  nFf: 128,
  hashBits: 8,
  maxBins: 8,
  nCtx: 64,
  nSeq: 2,
  nEpochs: 6,
  peakLr: 5e-3,
  boosted: {
    ...BOOSTED_DEFAULTS,
    logistic: { ...BOOSTED_DEFAULTS.logistic, hashBits: 10 },
    nInnerFolds: 2,
    trees: { ...BOOSTED_DEFAULTS.trees, nTrees: 10, nLeaves: 4, minHessian: 1 },
  },
};

const NETWORK = { head: 'network', treeShare: 1 } as const;

const thresholds = [
  { retention: 0.999, threshold: 0.02, noiseRemoved: 0.2 },
  { retention: 0.99, threshold: 0.2, noiseRemoved: 0.6 },
  { retention: 0.9, threshold: 0.6, noiseRemoved: 0.9 },
];

/** A line scorer in `path`; the open trainer and the encoder come back for comparisons. */
export async function writeLineScorer(path: string, type: 'f32' | 'q8_0' = 'f32') {
  const { trainer, encoder } = await trainLineScorer(syntheticPages(60, 1), smallLineTraining);
  const scoring: ScoringEncoder = {
    kind: 'line-score',
    ...NETWORK,
    encoder,
    calibration: { slope: 0.9, intercept: 0.1 },
    thresholds,
  };
  const bytes = packEncoder(scoring);
  const { kind } = scoring;
  await trainer.exportGguf({ path, type, name: 'small lines', nCtx: 64, kind, encoder: bytes });
  return { trainer, scoring };
}

/** Documents of prose (to keep) and of menus (to drop). */
export function syntheticDocuments(nDocs: number, seed: number): GoldDocument[] {
  return syntheticPages(nDocs, seed).map((page, index) => {
    const label = (index % 2) as 0 | 1;
    const lines = page.lines.filter((_, line) => (page.labels[line] === 1) === (label === 1));
    return { id: page.id, domain: '', text: lines.join('\n'), label };
  });
}

/** A document scorer in `path`. */
export async function writeDocumentScorer(path: string) {
  const { trainer, encoder } = await trainDocumentScorer(
    { documents: syntheticDocuments(80, 4), pages: [] },
    { ...DOCUMENT_TRAINING_DEFAULTS, nEmbd: 32, nFf: 64, hashBits: 8, nSeq: 16, nEpochs: 20 },
  );
  const scoring: ScoringEncoder = {
    kind: 'document-score',
    ...NETWORK,
    encoder,
    calibration: { slope: 1, intercept: 0 },
    thresholds: [{ retention: 0.99, threshold: 0.4, noiseRemoved: 0.9 }],
  };
  const { kind } = scoring;
  const bytes = packEncoder(scoring);
  await trainer.exportGguf({
    path,
    type: 'f32',
    name: 'small docs',
    nCtx: 1,
    kind,
    encoder: bytes,
  });
  return { trainer, scoring };
}
