import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lineVerdicts } from '../../src/program/line-verdict.ts';
import { NEVER, ROW_STATES, ScorePacker } from '../../src/scores/batch-scores.ts';
import { evidenceAgainst, LEAST_EVIDENCE } from '../../src/scores/evidence.ts';
import { verdictAt } from '../../src/scores/verdict.ts';

const EDGES = [0.02, 0.1, 0.25, 0.41, 0.5, 0.64, 0.79, 0.99];
const score = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true }),
  // Pages on the bound: lines whose log-odds add up to it, or nearly.
  fc.constantFrom(...EDGES, 1 / (1 + Math.exp(2.5)), 1 / (1 + Math.exp(1.25)), 0.1, 0.9),
);
const page = fc.array(score, { maxLength: 60 }).map((scores) => Float32Array.from(scores));

function pack(lines: readonly (Float32Array | null)[], failed: readonly (string | null)[] = []) {
  return new ScorePacker(EDGES).pack({
    failed: lines.map((_, row) => failed[row] ?? null),
    document: Float64Array.from(lines, () => 0.7),
    lines,
  });
}

describe('packed scores', () => {
  it('give the verdicts of the scores at every edge, whether it is taken at its word or not', () => {
    fc.assert(
      fc.property(fc.array(page, { minLength: 1, maxLength: 5 }), (pages) => {
        const packed = pack(pages);
        for (const [row, scores] of pages.entries()) {
          const codes = packed.codes.subarray(packed.lineStarts[row], packed.lineStarts[row + 1]);
          for (const [edge, threshold] of EDGES.entries()) {
            for (const isFromRetention of [false, true]) {
              const acts = !isFromRetention || evidenceAgainst(scores, threshold) >= LEAST_EVIDENCE;
              const verdict = verdictAt(packed, row, { document: null, edge, isFromRetention });
              if (verdict.falls || verdict.codeBound === null) throw new Error('no verdict');
              const removed = lineVerdicts(codes, verdict.codeBound);
              expect(removed).toEqual(lineVerdicts(scores, acts ? threshold : 0));
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('say how far a row came', () => {
    const all = [Float32Array.of(0.1, 0.1), null, null, Float32Array.of(), null];
    const packed = pack(all, [null, null, 'engine_crashed', null, 'null_text']);
    const states = Array.from(packed.state, (state) => ROW_STATES[state]);
    expect(states).toEqual(['scored', 'fell', 'engine_crashed', 'scored', 'null_text']);
    expect([...packed.lineStarts]).toEqual([0, 2, 2, 2, 2, 2]);
    expect([...packed.actsFrom]).toEqual([2, NEVER, NEVER, NEVER, NEVER]);
    const cut = { document: 0.8, edge: 4, isFromRetention: true };
    expect(verdictAt(packed, 1, cut)).toEqual({ falls: true });
    expect(verdictAt(packed, 1, { ...cut, document: 0.7 })).toEqual({
      falls: false,
      codeBound: null,
    });
  });
});
