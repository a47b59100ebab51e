import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hubFolder, hubModelPath } from '../../src/model/hub-cache.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { defaultModelFile } from '../../src/paths.ts';
import { resolveRefiner } from '../../src/refine/core.ts';
import { withNamedRefiner } from '../../src/refine/named-refiners.ts';
import { PROFILES } from '../../src/refine/profiles.ts';
import { openRefiner } from '../../src/refine/refiner.ts';
import { NAMED_REFINERS } from '../../src/refine/refiner-names.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-named-'));
const before = process.env['XDG_CACHE_HOME'];
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const published = ['web', 'math'].flatMap((domain) =>
  ['doc', 'chunk'].map((stage) => `gair-prox/${domain}-${stage}-refining-lm`),
);

/** Puts a model where `models pull` puts it. */
async function pull(repo: string, seed: number): Promise<string> {
  const path = hubModelPath(repo, COMMIT, 'bf16');
  mkdirSync(dirname(path), { recursive: true });
  mkdirSync(join(hubFolder(repo), 'refs'), { recursive: true });
  writeFileSync(join(hubFolder(repo), 'refs/main'), `${COMMIT}\n`);
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, type: 'bf16', seed, path });
  return path;
}

beforeAll(() => {
  process.env['XDG_CACHE_HOME'] = folder;
});
afterAll(() => {
  if (before === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = before;
  rmSync(folder, { recursive: true, force: true });
});

describe('withNamedRefiner', () => {
  it('says how to bring a published model that is not there', async () => {
    for (const [refiner, repo] of [
      ['prox-web', 'gair-prox/web-doc-refining-lm'],
      ['prox-math', 'gair-prox/math-doc-refining-lm'],
      ['ultrax', 'openbmb/UltraX-0.6B-Preview'],
    ] as const) {
      await expect(resolveRefiner({ refiner })).rejects.toMatchObject({
        code: 'REFINER_NOT_PULLED',
        message: expect.stringContaining(`gristmill models pull ${repo}\``),
      });
    }
    await expect(resolveRefiner({ refiner: 'prox-web', stages: ['chunk'] })).rejects.toThrow(
      'web-chunk-refining-lm',
    );
  });

  it('finds what was pulled, with its profile', async () => {
    const paths = new Map<string, string>();
    for (const [seed, repo] of published.entries()) paths.set(repo, await pull(repo, seed + 1));
    for (const domain of ['web', 'math'] as const) {
      const resolved = await resolveRefiner({ refiner: `prox-${domain}` });
      expect(resolved.document!.model.path).toBe(paths.get(`gair-prox/${domain}-doc-refining-lm`));
      expect(resolved.chunk!.model.path).toBe(paths.get(`gair-prox/${domain}-chunk-refining-lm`));
      expect(resolved.document!.profile).toEqual(PROFILES[`prox-${domain}`]);
      expect(resolved.document!.model.sha256).not.toBe(resolved.chunk!.model.sha256);
    }
    const one = await resolveRefiner({ refiner: 'prox-web', stages: ['document'] });
    expect(one.chunk).toBeNull();
  });

  it('is overruled by what is given beside it', () => {
    const own = { refiner: 'prox-web', chunkModel: 'own.gguf', stages: ['chunk'] } as const;
    expect(withNamedRefiner(own)).toEqual({ ...own, profile: 'prox-web' });
    expect(withNamedRefiner({ ...own, profile: 'prox' }).profile).toBe('prox');
  });

  it('asks for the system text that the package does not hold', async () => {
    const path = await pull('openbmb/UltraX-0.6B-Preview', 9);
    await expect(resolveRefiner({ refiner: 'ultrax' })).rejects.toMatchObject({
      code: 'REFINER_NO_SYSTEM',
      message: expect.stringContaining('github.com/openbmb/UltraX'),
    });
    const resolved = await resolveRefiner({ refiner: 'ultrax', system: 'Clean the text.' });
    expect(resolved).toMatchObject({
      document: null,
      chunk: { model: { path }, profile: { chat: { system: 'Clean the text.' } } },
      dialect: 'ultrax',
    });
    // Its grammar has the ops that write, too.
    expect(resolved.grammar.ops.map(({ name }) => name)).toContain('add_line');
  });

  it('names the refiners of the package', async () => {
    const { document, chunk } = await resolveRefiner({ refiner: 'default' });
    expect(document!.model.path).toBe(defaultModelFile('document'));
    expect(chunk!.model.path).toBe(defaultModelFile('chunk'));
    const { chunk: writer } = await resolveRefiner({ refiner: 'programs' });
    expect(writer!.model.path).toBe(defaultModelFile('programs'));
  });

  it('lets ranges of removed lines be in any order for the published ProX models only', async () => {
    const ascending = async (options: Parameters<typeof resolveRefiner>[0]) => {
      const { grammar } = await resolveRefiner(options);
      const parts = grammar.ops.find(({ name }) => name === 'remove_lines')!.parts;
      return parts.some((part) => part.kind === 'lineFrom' && part.ascending === true);
    };
    await pull('gair-prox/math-doc-refining-lm', 3);
    await pull('gair-prox/math-chunk-refining-lm', 4);
    await pull('openbmb/UltraX-0.6B-Preview', 9);
    expect(await ascending({ refiner: 'prox-math' })).toBe(false);
    expect(await ascending({ refiner: 'programs', profile: 'prox' })).toBe(false);
    expect(await ascending({ refiner: 'programs' })).toBe(true);
    // It learnt no other function.
    const { grammar } = await resolveRefiner({ refiner: 'programs' });
    expect(grammar.ops.map(({ name }) => name)).toEqual(['remove_lines']);
    expect(await ascending({ refiner: 'ultrax', system: 'Clean the text.' })).toBe(true);
  });

  it('refuses names that it does not know', async () => {
    for (const refiner of ['prox', 'toString', '']) {
      await expect(resolveRefiner({ refiner: refiner as 'ultrax' })).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringContaining(Object.keys(NAMED_REFINERS).join(', ')),
      });
    }
  });

  it('refines with a published shape of refiner', async () => {
    await using refiner = await openRefiner({ refiner: 'prox-web', threads: 1, slots: 2 });
    const [refined] = await refiner.refine([
      'Home | About\nThe mill stands where the river bends.',
    ]);
    expect(refined!.score).toBeGreaterThan(0);
    expect(refiner.models).toHaveLength(2);
  });
});
