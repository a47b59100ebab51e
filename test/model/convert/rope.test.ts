import { describe, expect, it } from 'vitest';
import { llama3RopeFactors } from '../../../src/model/convert/rope.ts';

describe('llama3RopeFactors', () => {
  it('is bit for bit what PyTorch computes', () => {
    const rope = {
      kind: 'llama3',
      base: 500_000,
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContext: 256,
    } as const;
    // Written down from torch 1.13.
    expect([...llama3RopeFactors(rope, 16)]).toEqual([1, 1, 3.5685336589813232, 8, 8, 8, 8, 8]);
  });
});
