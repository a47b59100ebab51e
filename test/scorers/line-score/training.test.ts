import { describe, expect, it } from 'vitest';
import { BOOSTED_DEFAULTS } from '../../../src/scorers/baselines/boosted.ts';
import { validateChunk } from '../../../src/scorers/defaults/chunk.ts';
import { LineEvaluation } from '../../../src/scorers/eval-lines.ts';
import { fitLineScore } from '../../../src/scorers/line-score/refiner.ts';
import { crossFit } from '../../../src/scorers/line-score/stack.ts';
import {
  LINE_TRAINING_DEFAULTS,
  type LineTrainingOptions,
  trainLineScorer,
} from '../../../src/scorers/line-score/training.ts';
import { syntheticPages } from '../../train/support.ts';

const pages = syntheticPages(60, 1);
const small: LineTrainingOptions = {
  ...LINE_TRAINING_DEFAULTS,
  nEmbd: 16,
  nLayer: 1,
  nHead: 2,
  nFf: 32,
  hashBits: 8,
  maxBins: 8,
  nCtx: 128,
  nSeq: 2,
  nEpochs: 6,
  peakLr: 5e-3,
  boosted: {
    ...BOOSTED_DEFAULTS,
    nInnerFolds: 2,
    trees: { ...BOOSTED_DEFAULTS.trees, nTrees: 10, nLeaves: 4, minHessian: 1 },
  },
};

describe('trainLineScorer', () => {
  it('tells menus from prose on pages it has not seen, also in pieces of a window', async () => {
    const scorer = await fitLineScore(pages, small);
    const evaluation = new LineEvaluation();
    for (const page of syntheticPages(20, 2)) {
      evaluation.add(page, await scorer.scoreLines(page.lines), scorer.threshold);
    }
    expect(evaluation.report().macroF1).toBeGreaterThan(0.95);
    const long = syntheticPages(40, 5).flatMap(({ lines }) => ['', ...lines]);
    expect(long.length).toBeGreaterThan(300);
    const scores = await scorer.scoreLines(long);
    expect(scores).toHaveLength(long.length);
    expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
    await scorer.dispose?.();
  });

  it('gives the same model for the same pages and seed, another for another seed', async () => {
    const train = async (seed: number) => {
      const { trainer } = await trainLineScorer(pages.slice(0, 12), {
        ...small,
        seed,
        nEpochs: 1,
        boosted: null,
      });
      const table = await trainer.readTensor('token_embd.weight');
      await trainer.dispose();
      return table;
    };
    const first = await train(1);
    expect(await train(1)).toEqual(first);
    expect(await train(2)).not.toEqual(first);
  });

  it('stops when it is aborted', async () => {
    const controller = new AbortController();
    const run = trainLineScorer(pages, small, {
      signal: controller.signal,
      onStep: ({ step }) => {
        if (step === 2) controller.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('crossFit', () => {
  it('asks for every page a stack that did not see its domain', async () => {
    // The label of a page's lines is its domain's secret: only a stack that saw the domain knows it.
    const secret = pages.map((page, index) => ({
      ...page,
      labels: page.labels.map(() => (Math.floor(index / 3) % 2) as 0 | 1),
    }));
    const { logits } = await crossFit(secret, [secret], {
      boosted: small.boosted!,
      nParts: 4,
    });
    let right = 0;
    let all = 0;
    logits[0]!.forEach(({ second }, page) => {
      const label = secret[page]!.labels[0]!;
      for (const logit of second) {
        all++;
        if (logit > 0 === (label === 1)) right++;
      }
    });
    expect(all).toBeGreaterThan(200);
    expect(right / all).toBeLessThan(0.75);
  });

  it('needs more than one domain', async () => {
    const same = pages.slice(0, 6).map((page) => ({ ...page, domain: 'one.example' }));
    await expect(crossFit(same, [same], { boosted: small.boosted! })).rejects.toMatchObject({
      code: 'TRAIN_DATA_TOO_SMALL',
    });
  });
});

describe('validateChunk', () => {
  it('measures both copies, calibrates, and gives thresholds that grow as less is kept', async () => {
    const validation = await validateChunk({
      pages: pages.slice(0, 36),
      extraPages: pages.slice(36),
      training: { ...small, boosted: null, nEpochs: 4 },
      nFolds: 3,
    });
    expect(validation.whole.nDocs).toBe(36);
    expect(validation.light.nLines).toBeLessThan(validation.whole.nLines);
    expect(validation.calibration.slope).toBeGreaterThan(0);
    const thresholds = validation.thresholds.map(({ threshold }) => threshold);
    expect(thresholds).toEqual([...thresholds].sort((left, right) => left - right));
  });
});
