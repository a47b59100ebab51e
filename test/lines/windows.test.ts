import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planLineWindows } from '../../src/lines/windows.ts';

describe('planLineWindows', () => {
  it('gives every line one owner that sees it, within the size of a window', () => {
    fc.assert(
      fc.property(fc.nat(700), fc.integer({ min: 1, max: 200 }), (nLines, nCtx) => {
        const windows = planLineWindows(nLines, nCtx);
        const owners = new Uint8Array(nLines);
        for (const { from, to, first, last } of windows) {
          expect(to - from).toBeLessThanOrEqual(nCtx);
          expect(from >= 0 && from <= first && first < last && last <= to && to <= nLines).toBe(
            true,
          );
          for (let line = first; line < last; line++) owners[line]!++;
        }
        expect(owners.every((count) => count === 1)).toBe(true);
      }),
    );
  });

  it('shows what stands around, except at the ends of a page', () => {
    const windows = planLineWindows(1000, 512);
    expect(windows).toEqual([
      { from: 0, to: 512, first: 0, last: 448 },
      { from: 384, to: 896, first: 448, last: 832 },
      { from: 768, to: 1000, first: 832, last: 1000 },
    ]);
  });
});
