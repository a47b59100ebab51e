import { describe, expect, it } from 'vitest';
import { pairedGain, type Run } from '../../bench/cases/refining-pays-table.ts';

const run = (...right: number[]): Run => ({ seed: 1, bitsPerByte: 2, right, nParams: 1 });
const items = (...ids: string[]) => ids.map((id) => ({ id }));

describe('pairedGain', () => {
  it('is the mean over questions of what seeds gained on average', () => {
    const arm = [run(1, 1, 0, 1), run(1, 0, 0, 1)];
    const raw = [run(0, 1, 0, 1), run(1, 0, 0, 0)];
    expect(pairedGain(arm, raw, items('a', 'b', 'c', 'd')).mean).toBeCloseTo(0.25, 12);
    expect(pairedGain(arm, arm, items('a', 'b', 'c', 'd'))).toEqual({ mean: 0, error: 0 });
  });

  it('has the error of a mean where texts have one question each, and a larger one where they stand together', () => {
    const arm = [run(1, 1, 0, 0, 1, 1, 0, 0)];
    const raw = [run(0, 0, 0, 0, 0, 0, 0, 0)];
    const alone = pairedGain(arm, raw, items('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'));
    expect(alone.error).toBeCloseTo(Math.sqrt(8 * 0.25) / 8, 12);
    const together = pairedGain(arm, raw, items('a', 'a', 'b', 'b', 'c', 'c', 'd', 'd'));
    expect(together.error).toBeCloseTo(Math.SQRT2 * alone.error, 12);
  });
});
