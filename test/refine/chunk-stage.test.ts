import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DIALECTS } from '../../src/program/dialects.ts';
import { execute } from '../../src/program/execute.ts';
import { chunkStage } from '../../src/refine/chunk-stage.ts';
import { defaultSlots } from '../../src/refine/devices.ts';
import { openLocalEngine, type RefinerEngine } from '../../src/refine/engine.ts';
import type { Profile } from '../../src/refine/profile.ts';
import { PROFILES } from '../../src/refine/profiles.ts';
import { documents, removeFolder, tinyModel } from '../engine/support.ts';

let engine: RefinerEngine;
beforeAll(async () => {
  const modelPath = await tinyModel('chunk', { tokenizer: 'bpe', architecture: 'qwen3', seed: 5 });
  const sizes = { nThreads: 1, nSlots: 4, nCtxSlot: 512, nUbatch: 128 };
  engine = await openLocalEngine({ modelPath, device: 'cpu', ...sizes });
});
afterAll(async () => {
  await engine?.dispose();
  removeFolder();
});

const profile: Profile = {
  ...PROFILES['ultrax']!,
  chat: { template: "{{ messages[0]['content'] }}", system: null },
  chunk: {
    ...PROFILES['ultrax']!.chunk!,
    windows: { unit: 'characters', max: 1600, overlap: 0.2, maxContextTokens: 512 },
    maxNewTokens: 24,
  },
};
const stage = (maxPromptTokens: number) =>
  chunkStage({
    engine,
    profile,
    grammar: DIALECTS.ultrax.makeGrammar({ deletionOnly: false }),
    firstLine: 1,
    maxPromptTokens,
  });
const columnOf = (texts: readonly string[]) => ({ ...documents(texts), validity: null }) as never;

const lines = Array.from(
  { length: 120 },
  (_, at) => `${at} The mill stands where the river bends.`,
);
const bytes = Array.from({ length: 40 }, (_, at) => `${at} 東京東京東京東京`);

describe('chunkStage', () => {
  it('gives every line one owner, whether its windows fit or are halved', async () => {
    const texts = [lines.join('\n'), bytes.join('\n'), 'one line', ''];
    const column = columnOf(texts);
    for (const maxPromptTokens of [480, 200, 90]) {
      const written = await stage(maxPromptTokens)(column, Int32Array.of(0, 1, 2, 3));
      expect(written.windowsSkipped).toBe(0);
      let nWindows = 0;
      for (const [doc, programs] of written.programs.entries()) {
        let owned = 0;
        for (const { lineStart, ownStart = lineStart, lineEnd } of programs!) {
          expect(ownStart).toBe(owned);
          owned = lineEnd;
          nWindows++;
        }
        expect(owned).toBe(texts[doc]!.split('\n').length);
        const { reason } = execute(texts[doc]!, programs!, { dialect: 'ultrax' });
        expect(reason).not.toBe('window_invalid');
      }
      expect(written.windows).toBe(nWindows);
    }
  });

  it('halves what does not fit, and shows overlaps where all fits', async () => {
    const column = columnOf([lines.join('\n')]);
    const whole = await stage(500)(column, Int32Array.of(0));
    const halved = await stage(120)(column, Int32Array.of(0));
    expect(whole.programs[0]!.some(({ ownStart }) => ownStart !== undefined)).toBe(true);
    expect(halved.windows).toBeGreaterThan(whole.windows);
  });

  it('leaves a line alone that never fits', async () => {
    const text = `first\n${'word '.repeat(800)}\nlast`;
    const written = await stage(300)(columnOf([text]), Int32Array.of(0));
    expect(written.windowsSkipped).toBe(1);
    const owned = written.programs[0]!.map(({ lineStart, lineEnd }) => [lineStart, lineEnd]);
    expect(owned).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });
});

describe('defaultSlots', () => {
  it('shrinks with long contexts, by the kind of device only', () => {
    expect([2048, 4096, 8192, 32_768].map((tokens) => defaultSlots('cpu', tokens))).toEqual([
      16, 16, 4, 2,
    ]);
    expect([2048, 4096, 8192, 32_768].map((tokens) => defaultSlots('cuda:0', tokens))).toEqual([
      256, 256, 64, 16,
    ]);
  });
});
