/** Sizes of engines by device, and what is said of models there. */
import { describe, expect, it } from 'vitest';
import {
  defaultSizes,
  defaultSlots,
  precisionNotices,
  promptSlots,
  slotNotices,
} from '../../src/refine/devices.ts';

describe('the slots of an engine', () => {
  it('are those of a step where it reads prompts only', () => {
    // 224 of 256 slots of a GPU's cache were never written to.
    expect(promptSlots(defaultSizes('cuda:0'))).toBe(32);
    expect(promptSlots(defaultSizes('cpu'))).toBe(4);
    expect(promptSlots({ nUbatch: 64 })).toBe(1);
  });

  it('are said where they are fewer than wanted', () => {
    const wanted = { device: 'cuda:1', nSlots: 16, nCtxSlot: 32_768 };
    expect(slotNotices('chunk', wanted, { nSlots: 16 })).toEqual([]);
    expect(slotNotices('chunk', wanted, { nSlots: 6 })).toEqual([
      'chunk stage on cuda:1: 6 slots of 32768 tokens instead of 16, as many as fit what is free (--slots N takes N)',
    ]);
  });

  it('shrink with the context, on every kind of device', () => {
    expect(defaultSlots('cuda:0', 2048)).toBe(256);
    expect(defaultSlots('cuda:0', 32_768)).toBe(16);
    expect(defaultSlots('cpu', 32_768)).toBe(2);
  });
});

describe('notices of precision', () => {
  const models = [
    { device: 'Stand-in A', name: 'web', quantisation: 'F16' },
    { device: 'Stand-in A', name: 'other', quantisation: 'BF16' },
    { device: 'CPU' },
  ];

  it('name models of 16-bit floats on a GPU', () => {
    expect(precisionNotices('cuda:0', models)).toEqual([
      expect.stringMatching(
        /^model web has weights of type F16: a GPU adds products up in 16 bits/,
      ),
    ]);
  });

  it('say nothing on the CPU, where they are added up in 32', () => {
    expect(precisionNotices('cpu', models)).toEqual([]);
  });
});
