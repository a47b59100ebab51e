import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { BLEND_TARGETS, type BlendTarget } from '../../src/interop/blend-targets.ts';
import { exportBlend, leftOutOfBlend } from '../../src/interop/blends.ts';

const entries = [
  { name: 'web', weight: 2 / 3, path: 'data/web' },
  { name: 'none', weight: 0, path: 'data/none' },
  { name: 'ma "th"', weight: 0.005, path: 'data/maths' },
  { name: 'código', weight: 1 / 3 - 0.005, path: 'data/código' },
];
const text = (target: BlendTarget) => exportBlend(target, { entries, seed: 7 });

describe('exportBlend', () => {
  it.each(BLEND_TARGETS)('%s: as the golden file has it', (target) => {
    const golden = new URL(`./golden/${target}.txt`, import.meta.url);
    if (process.env['UPDATE_GOLDEN']) writeFileSync(golden, text(target));
    expect(text(target)).toBe(readFileSync(golden, 'utf8'));
  });

  it('weights sum to 1 exactly in their decimals', () => {
    const sum = (weights: readonly number[]) =>
      weights.reduce((total, weight) => total + Math.round(weight * 1e6), 0);
    const neox = parse(text('gpt-neox')) as Record<string, number[]>;
    expect(sum(neox['train-data-weights']!)).toBe(1e6);
    expect(neox['train-data-paths']).toEqual(['data/web', 'data/maths', 'data/código']);
    const nanotron = parse(text('nanotron')) as {
      data_stages: { data: { dataset: { dataset_weights: number[]; dataset_folder: string[] } } }[];
    };
    const { dataset_weights: weights, dataset_folder: folders } =
      nanotron.data_stages[0]!.data.dataset;
    expect(sum(weights)).toBe(1e6);
    expect(folders).toEqual(neox['train-data-paths']);
    const olmo = parse(text('olmo-core')) as {
      sources: { source_name: string; target_ratio: number; paths: string[] }[];
    };
    expect(sum(olmo.sources.map((source) => source.target_ratio))).toBe(1e6);
    expect(olmo.sources[1]).toMatchObject({ source_name: 'ma "th"', paths: ['data/maths'] });
    const tokens = text('megatron').trim().split(/\s+/);
    expect(sum(tokens.filter((_, at) => at % 2 === 0).map(Number))).toBe(1e6);
  });

  it('says what is left out, and refuses a name twice', () => {
    const rare = [
      { name: 'web', weight: 1 - 1e-9, path: 'w' },
      { name: 'rare', weight: 1e-9, path: 'r' },
    ];
    expect(leftOutOfBlend(rare)).toEqual(['rare']);
    expect(leftOutOfBlend(entries)).toEqual([]);
    const twice = [
      { ...rare[0]!, weight: 0.5 },
      { ...rare[0]!, weight: 0.5 },
    ];
    expect(() => exportBlend('olmo-core', { entries: twice })).toThrow(
      /distinct ones, received web/,
    );
  });

  it('escapes names and paths in the syntax of each', () => {
    const odd = `a"b\\\n# c: 'é\u2028${'"'.repeat(3)}`;
    const written = (target: BlendTarget) =>
      exportBlend(target, { entries: [{ name: odd, weight: 1, path: odd }] });
    expect(parse(written('gpt-neox'))['train-data-paths']).toEqual([odd]);
    expect(parse(written('olmo-core')).sources[0]).toMatchObject({
      source_name: odd,
      paths: [odd],
    });
    expect(parse(written('axolotl')).datasets[0].path).toBe(odd);
    expect(parse(written('nanotron')).data_stages[0].data.dataset.dataset_folder).toEqual([odd]);
    for (const target of ['torchtitan', 'litgpt', 'hf', 'mosaicml-streaming'] as const) {
      const line = written(target)
        .split('\n')
        .find((each) => each.startsWith('    ("'))!;
      expect(JSON.parse(`[${line.trim().slice(1, -2)}]`).slice(0, 2)).toEqual([odd, odd]);
    }
  });

  it('refuses what the form cannot hold', () => {
    const spaced = [{ name: 'web', weight: 1, path: 'my data/web' }];
    expect(() => exportBlend('megatron', { entries: spaced })).toThrow(/white space/);
    expect(exportBlend('nanotron', { entries: spaced })).toContain('"my data/web"');
    const half = [{ name: 'web', weight: 0.5, path: 'x' }];
    expect(() => exportBlend('litgpt', { entries: half })).toThrow(/sum to 1/);
    expect(() => exportBlend('other' as BlendTarget, { entries: spaced })).toThrow(/gpt-neox/);
  });
});
