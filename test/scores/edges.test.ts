import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { thresholdFor } from '../../src/lines/calibration.ts';
import {
  countUpTo,
  edgeAt,
  MAX_EDGES,
  ScoreCoder,
  scoreEdges,
  scoreOfCode,
} from '../../src/scores/edges.ts';

const TABLE = [
  { retention: 0.999, threshold: 0.0388, noiseRemoved: 0.28 },
  { retention: 0.99, threshold: 0.2525, noiseRemoved: 0.57 },
  { retention: 0.98, threshold: 0.4112, noiseRemoved: 0.66 },
  { retention: 0.9, threshold: 0.7861, noiseRemoved: 0.83 },
  { retention: 0.8, threshold: 0.8808, noiseRemoved: 0.88 },
];

describe('scoreEdges', () => {
  it('has the threshold in use, the table, retentions between its entries and hundredths', () => {
    const edges = scoreEdges(0.123456, TABLE);
    expect(edges.length).toBeLessThanOrEqual(MAX_EDGES);
    expect(edges).toEqual([...new Set(edges)].sort((left, right) => left - right));
    expect(edges).toContain(0.123456);
    for (const { threshold } of TABLE) expect(edges).toContain(threshold);
    for (const retention of [0.999, 0.985, 0.973, 0.95, 0.94, 0.85, 0.8]) {
      expect(edges).toContain(thresholdFor(retention, TABLE));
    }
    for (const written of ['0.01', '0.29', '0.37', '0.57', '0.99']) {
      expect(edges).toContain(Number(written));
    }
  });

  it('keeps what matters most of a table that is too long', () => {
    const long = Array.from({ length: 400 }, (_, at) => {
      return { retention: 1 - at / 1000, threshold: at / 400, noiseRemoved: 0 };
    });
    const edges = scoreEdges(0.777, long);
    expect(edges).toHaveLength(MAX_EDGES);
    expect(edges).toContain(0.777);
    for (const { threshold } of long.slice(0, 200)) expect(edges).toContain(threshold);
  });
});

describe('ScoreCoder', () => {
  const unit = fc.double({ min: 0, max: 1, noNaN: true });

  it('cuts at every edge exactly where the scores cut', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(unit, { minLength: 1, maxLength: MAX_EDGES }),
        fc.array(unit, { maxLength: 50 }),
        (unsorted, values) => {
          const edges = [...unsorted].sort((left, right) => left - right);
          // Scores that are edges, and the float32 nearest to them, among others.
          const scores = Float32Array.from([0, 1, ...values, ...edges.slice(0, 20)]);
          const codes = new Uint8Array(scores.length);
          new ScoreCoder(edges).encode(scores, codes, 0);
          for (const [at, score] of scores.entries()) {
            for (const [edge, threshold] of edges.entries()) {
              expect(codes[at]! <= edge).toBe(score < threshold);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is monotone, and its middles lie inside their codes', () => {
    const edges = scoreEdges(0.2525, TABLE);
    const scores = Float32Array.from({ length: 4001 }, (_, at) => at / 4000);
    const codes = new Uint8Array(scores.length);
    new ScoreCoder(edges).encode(scores, codes, 0);
    for (let at = 1; at < codes.length; at++) {
      expect(codes[at]).toBeGreaterThanOrEqual(codes[at - 1]!);
    }
    // Nothing is below 0, the first edge.
    for (let code = 1; code <= edges.length; code++) {
      expect(countUpTo(edges, scoreOfCode(edges, code))).toBe(code);
    }
  });
});

describe('edgeAt', () => {
  it('tells the nearest edges of what is none', () => {
    expect(edgeAt([0.1, 0.5], 0.5)).toEqual({ edge: 1 });
    expect(edgeAt([0.1, 0.5], 0.2)).toEqual({ below: 0.1, above: 0.5 });
    expect(edgeAt([0.1, 0.5], 0.05)).toEqual({ below: null, above: 0.1 });
    expect(edgeAt([0.1, 0.5], 0.6)).toEqual({ below: 0.5, above: null });
  });
});
