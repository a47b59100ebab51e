import { describe, expect, it } from 'vitest';
import { calibrated } from '../../src/lines/calibration.ts';
import { fitCalibration, retentionThresholds } from '../../src/scorers/calibration.ts';
import { noiseRemovedAt } from '../../src/scorers/noise-removed.ts';
import { seededRandom } from '../../src/seeded.ts';

describe('fitCalibration', () => {
  it('finds the line that the labels were drawn by', () => {
    const random = seededRandom(5);
    const logits = Float64Array.from({ length: 40_000 }, () => random() * 8 - 4);
    const labels = logits.map((logit) =>
      random() < calibrated(logit, { slope: 0.6, intercept: -0.8 }) ? 1 : 0,
    );
    const found = fitCalibration({ logits, labels });
    expect(found.slope).toBeCloseTo(0.6, 1);
    expect(found.intercept).toBeCloseTo(-0.8, 1);
    // At the optimum the mean probability is the share of yes.
    const mean = logits.reduce((sum, logit) => sum + calibrated(logit, found), 0) / logits.length;
    expect(mean).toBeCloseTo(labels.reduce((sum, label) => sum + label, 0) / labels.length, 4);
  });

  it('finds how the line moves with the doubt of pages', () => {
    const random = seededRandom(6);
    const logits = Float64Array.from({ length: 40_000 }, () => random() * 8 - 4);
    const doubts = logits.map(() => random());
    const drawn = { slope: 1.2, intercept: 0.3, byDoubt: { slope: -0.8, intercept: -1 } };
    const labels = logits.map((logit, row) =>
      random() < calibrated(logit, drawn, doubts[row]) ? 1 : 0,
    );
    const found = fitCalibration({ logits, labels, doubts });
    expect(found.slope).toBeCloseTo(1.2, 1);
    expect(found.intercept).toBeCloseTo(0.3, 1);
    expect(found.byDoubt!.slope).toBeCloseTo(-0.8, 0);
    expect(found.byDoubt!.intercept).toBeCloseTo(-1, 0);
    expect(fitCalibration({ logits, labels }).byDoubt).toBeUndefined();
  });

  it('stays finite on scores that separate, and leaves rows of weight 0 out', () => {
    const found = fitCalibration({ logits: [-1, 1, 5], labels: [0, 1, 0], weights: [1, 1, 0] });
    expect(Number.isFinite(found.slope)).toBe(true);
    expect(calibrated(1, found)).toBeGreaterThan(0.9);
  });

  it('needs both labels', () => {
    expect(() => fitCalibration({ logits: [1, 2], labels: [1, 1] })).toThrow(
      expect.objectContaining({ code: 'TRAIN_DATA_TOO_SMALL' }),
    );
  });
});

describe('retentionThresholds', () => {
  it('agrees with the measure, and its thresholds do what they say', () => {
    const random = seededRandom(9);
    // Coarse scores: many ties.
    const scores = Float64Array.from({ length: 500 }, () => Math.round(random() * 20) / 20);
    const chars = scores.map((score) =>
      Math.round((random() < score ? 1 : -1) * (1 + random() * 90)),
    );
    const wanted = [0.99, 0.98, 0.95, 0.5];
    const measured = noiseRemovedAt(scores, chars, wanted);
    const content = chars.reduce((sum, own) => sum + Math.max(0, own), 0);
    for (const { retention, threshold, noiseRemoved } of retentionThresholds(
      scores,
      chars,
      wanted,
    )) {
      expect(noiseRemoved).toBeCloseTo(measured[String(retention)]!, 12);
      const kept = chars.reduce(
        (sum, own, line) => sum + (scores[line]! >= threshold ? Math.max(0, own) : 0),
        0,
      );
      expect(kept / content).toBeGreaterThanOrEqual(retention);
    }
  });

  it('removes all lines when all content may go', () => {
    expect(retentionThresholds([0.2, 0.4], [3, -3], [0])).toEqual([
      { retention: 0, threshold: 1, noiseRemoved: 1 },
    ]);
  });
});
