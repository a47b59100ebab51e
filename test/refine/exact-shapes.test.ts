/**
 * The architectures of the published refiners, whole and with random weights: every layer, head and piece of the
 * vocabulary, from page to refined page. Few tokens, so that a CPU does it in seconds.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  RANDOM_MODEL_PRESETS,
  type RandomModelPreset,
  writeRandomModel,
} from '../../src/model/random.ts';
import { loadProfile } from '../../src/refine/find-profile.ts';
import type { Profile } from '../../src/refine/profile.ts';
import { openRefiner } from '../../src/refine/refiner.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-shapes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** The larger one takes 2.3 GB at its peak, 0.6 of them the mapped file. */
const small = totalmem() < 4 * 2 ** 30;
if (small) console.warn('skipped: the exact shape of UltraX, on less than 4 GB of memory');
const PAGE = 'Home | About | Contact\nThe mill stands where the river bends.\nCopyright 2024.';

async function model(preset: RandomModelPreset): Promise<string> {
  const path = join(folder, `${preset}.gguf`);
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS[preset], type: 'q8_0', path, seed: 2 });
  return path;
}

function profileFile(profile: Profile): string {
  const file = join(folder, `${profile.name}.json`);
  writeFileSync(file, JSON.stringify(profile));
  return file;
}

describe('published shapes', () => {
  it('ProX: 354,284,800 parameters, one key-value head, judge and write', async () => {
    const path = await model('350m');
    const { document, chunk, ...rest } = loadProfile('prox-web', undefined);
    const profile = profileFile({ ...rest, document, chunk: { ...chunk!, maxNewTokens: 12 } });
    await using refiner = await openRefiner({
      documentModel: path,
      chunkModel: path,
      profile,
      documentThreshold: 0,
      threads: 2,
      slots: 1,
    });
    for (const info of refiner.models) {
      expect(info).toMatchObject({ nParams: 354_284_800, nHead: 16, nHeadKv: 1, nVocab: 32_000 });
    }
    const [refined] = await refiner.refine([PAGE]);
    expect(refined!.score).toBeGreaterThan(0);
    expect(refined!.score).toBeLessThan(1);
    expect(refined!.program).not.toBe('');
  }, 60_000);

  it.skipIf(small)(
    'UltraX: 596,049,920 parameters, heads of 128, tied embeddings',
    async () => {
      const path = await model('qwen3-0.6b');
      const { chunk, ...rest } = loadProfile('ultrax', undefined);
      const windows = {
        unit: 'characters',
        max: 48_000,
        overlap: 0.2,
        maxContextTokens: 512,
      } as const;
      const profile = profileFile({ ...rest, chunk: { ...chunk!, windows, maxNewTokens: 12 } });
      const system = 'Remove noise, keep the text.';
      await using refiner = await openRefiner({ chunkModel: path, profile, system, threads: 2 });
      expect(refiner.models[0]).toMatchObject({
        architecture: 'qwen3',
        nParams: 596_049_920,
        nLayer: 28,
        nHead: 16,
        nHeadKv: 8,
        nVocab: 151_936,
      });
      const [refined] = await refiner.refine([PAGE]);
      expect(refined!.program).not.toBe('');
    },
    60_000,
  );
});
