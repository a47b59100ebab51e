import { describe, expect, it } from 'vitest';
import { BOOSTED_DEFAULTS, fitBoosted } from '../../../src/scorers/baselines/boosted.ts';
import { fitLogistic, LOGISTIC_DEFAULTS } from '../../../src/scorers/baselines/logistic.ts';
import { LineEvaluation } from '../../../src/scorers/eval-lines.ts';
import type { LineScorer } from '../../../src/scorers/line-scorer.ts';
import { syntheticPages } from '../../train/support.ts';

const train = syntheticPages(90, 1);
const test = syntheticPages(30, 2);
const small = {
  ...BOOSTED_DEFAULTS,
  trees: { ...BOOSTED_DEFAULTS.trees, nTrees: 20, nLeaves: 4, minHessian: 1 },
};

async function macroF1(scorer: LineScorer): Promise<number> {
  const evaluation = new LineEvaluation();
  for (const page of test) {
    evaluation.add(page, await scorer.scoreLines(page.lines), scorer.threshold);
  }
  return evaluation.report().macroF1;
}

describe.each([
  ['logistic', (pages: typeof train) => fitLogistic(pages)],
  ['boosted', (pages: typeof train) => fitBoosted(pages, small)],
])('%s', (_, make) => {
  it('tells menus from prose on pages it has not seen', async () => {
    expect(await macroF1(make(train))).toBeGreaterThan(0.95);
  });

  it('gives the same scores whenever it is trained on the same pages', async () => {
    const { lines } = test[0]!;
    expect(await make(train).scoreLines(lines)).toEqual(await make(train).scoreLines(lines));
  });

  it('scores blank lines, empty pages and pages of blank lines', async () => {
    const scorer = make(train);
    expect(await scorer.scoreLines([''])).toEqual(Float32Array.of(1));
    const scores = await scorer.scoreLines(['', ...test[0]!.lines, '  ']);
    expect(scores).toHaveLength(test[0]!.lines.length + 2);
    expect(scores.every((score) => score >= 0 && score <= 1)).toBe(true);
  });
});

describe('fitLogistic', () => {
  it('depends on its seed only through the order of rows', async () => {
    const { lines } = test[0]!;
    const other = fitLogistic(train, { ...LOGISTIC_DEFAULTS, seed: 2 });
    expect(await other.scoreLines(lines)).not.toEqual(await fitLogistic(train).scoreLines(lines));
  });
});
