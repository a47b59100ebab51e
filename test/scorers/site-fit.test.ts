/** The fit of what a site's repetition weighs, against what was put in and against a naive search. */
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.ts';
import {
  addSiteRows,
  fitSiteWeights,
  noSiteRows,
  type SiteRows,
} from '../../src/scorers/site-fit.ts';
import { seededRandom } from '../../src/seeded.ts';

const encoder = new TextEncoder();

/** Lines whose labels follow from scores and weights. */
function drawn(weights: readonly number[], n: number, seed: number): SiteRows {
  const random = seededRandom(seed);
  const rows = noSiteRows();
  for (let row = 0; row < n; row++) {
    const offset = 6 * random() - 2;
    const steps = [1, 3, 7, 2][Math.floor(4 * random())]!;
    const odds = weights.reduce((sum, own, at) => sum + (steps & (1 << at) ? own : 0), offset);
    rows.offsets.push(offset);
    rows.steps.push(steps);
    rows.labels.push(random() < 1 / (1 + Math.exp(-odds)) ? 1 : 0);
  }
  return rows;
}

describe('fitting factors of sites', () => {
  it('finds those that the labels were drawn by', () => {
    const { half, most, all } = fitSiteWeights(drawn([-2.5, -1, -2], 60_000, 3));
    expect(Math.log(half)).toBeCloseTo(-2.5, 0);
    expect(Math.log(most)).toBeCloseTo(-1, 0);
    expect(Math.log(all)).toBeCloseTo(-2, 0);
    expect(Math.abs(Math.log(half) + 2.5) + Math.abs(Math.log(most) + 1)).toBeLessThan(0.25);
  });

  it('never speaks for a line, and says nothing without lines', () => {
    expect(fitSiteWeights(noSiteRows())).toEqual({ half: 1, most: 1, all: 1 });
    const { half, most, all } = fitSiteWeights(drawn([2, 1, 1], 5000, 4));
    expect([half, most, all]).toEqual([1, 1, 1]);
  });

  it('is where no other factors fit better', () => {
    const rows = drawn([-1.2, 0.4, -0.7], 3000, 5);
    const loss = (factors: readonly number[]): number => {
      const weights = factors.map(Math.log);
      let sum = weights.reduce((all, own) => all + own ** 2 / 2, 0);
      for (const [row, steps] of rows.steps.entries()) {
        const odds = weights.reduce(
          (all, own, at) => all + (steps & (1 << at) ? own : 0),
          rows.offsets[row]!,
        );
        sum += Math.log1p(Math.exp(rows.labels[row] === 1 ? -odds : odds));
      }
      return sum;
    };
    const { half, most, all } = fitSiteWeights(rows);
    const best = [half, most, all];
    expect(most).toBe(1);
    for (const at of [0, 1, 2]) {
      for (const times of [0.9, 0.99, 1.01, 1.1]) {
        const near = best.map((own, other) => (other === at ? Math.min(1, own * times) : own));
        expect(loss(near)).toBeGreaterThanOrEqual(loss(best) - 1e-6);
      }
    }
  });

  it('takes lines that have a label and a step', () => {
    const rows = noSiteRows();
    const labels = Uint8Array.of(1, 0, 255, 1);
    addSiteRows(rows, { labels }, [0.5, 0.5, 0.5, 1], [7, 0, 7, 1]);
    addSiteRows(rows, { labels: Uint8Array.of(0) }, [0.25], [3]);
    expect(rows.steps).toEqual([7, 1, 3]);
    expect(rows.labels).toEqual([1, 1, 0]);
    expect(rows.offsets[0]).toBe(0);
    expect(rows.offsets[1]).toBe(12);
    expect(rows.offsets[2]).toBeCloseTo(Math.log(1 / 3), 6);
  });
});

describe('steps', () => {
  it('are what the factors are made of', () => {
    const lines = Array.from({ length: 40 }, (_, at) => `row ${at % 7 === 0 ? '' : 'word'} ${at}`);
    const text = encoder.encode(`${lines.join('\n')}\n\nend`);
    const pages = Int32Array.from({ length: 42 }, (_, at) => ((at * 7) % 10 < 8 ? 9 : 0));
    const steps = native().siteSteps(text, 9, pages);
    const factors = native().siteFactors(text, 9, pages);
    const byStep = new Map<number, Set<number>>();
    for (const [line, step] of steps.entries()) {
      byStep.set(step, (byStep.get(step) ?? new Set()).add(factors[line]!));
    }
    expect(byStep.get(0)).toEqual(new Set([1]));
    expect(byStep.size).toBeGreaterThan(2);
    for (const own of byStep.values()) expect(own.size).toBe(1);
  });
});
