import { describe, expect, it } from 'vitest';
import { logistic } from '../../src/scorers/baselines/logistic.ts';
import { keepAll } from '../../src/scorers/baselines/rules.ts';
import { evaluateLines } from '../../src/scorers/cross-validate.ts';
import { type GoldPage, groupOf, KEEP, readGoldPages, UNSCORED } from '../../src/scorers/gold.ts';
import type { LineRefiner } from '../../src/scorers/line-scorer.ts';
import { goldFile, syntheticPages } from '../train/support.ts';

const pages = syntheticPages(60, 7);

/** Remembers what it was trained on and fails when it is shown a page of those domains. */
function suspicious(): { refiner: LineRefiner; scored: Set<string> } {
  const scored = new Set<string>();
  const byText = new Map(pages.map((page) => [page.text, page]));
  const refiner: LineRefiner = {
    name: 'suspicious',
    trainable: true,
    fit: (learning) => {
      const known = new Set(learning.map(groupOf));
      return {
        name: 'suspicious',
        threshold: 0.5,
        scoreLines: (lines) => {
          const page = byText.get(lines.join('\n'))!;
          if (known.has(groupOf(page))) throw new Error(`${page.domain} was trained on`);
          scored.add(page.id);
          return new Float32Array(lines.length).fill(1);
        },
      };
    },
  };
  return { refiner, scored };
}

describe('evaluateLines', () => {
  it('scores every page once, by a refiner that saw no page of its domain', async () => {
    const { refiner, scored } = suspicious();
    const sizes: number[] = [];
    const onFold = (_: number, nTrain: number, nScored: number): void => {
      sizes.push(nTrain + nScored);
    };
    const result = await evaluateLines({ refiner, pages, nFolds: 5, onFold });
    expect(scored.size).toBe(60);
    expect(sizes.every((size) => size === 60)).toBe(true);
    expect(result).toMatchObject({ refiner: 'suspicious', nFolds: 5, nDocs: 60 });
  });

  it('leaves whole sources out, in training pages too', async () => {
    const sources = pages.map((page, index) => ({ ...page, source: `s${index % 3}` }));
    const seen: string[][] = [];
    const refiner: LineRefiner = {
      name: 'watching',
      trainable: true,
      fit: (learning) => {
        seen.push([...new Set(learning.map(({ source }) => source))].sort());
        const scoreLines = (lines: readonly string[]) => new Float32Array(lines.length).fill(1);
        return { name: 'watching', threshold: 0.5, scoreLines };
      },
    };
    const others = sources.map((page) => ({ ...page, id: `${page.id}x`, domain: `${page.id}x` }));
    const options = { refiner, pages: sources, trainPages: others, nFolds: null } as const;
    const result = await evaluateLines({ ...options, leaveOut: 'source' });
    expect(seen).toEqual([
      ['s1', 's2'],
      ['s0', 's2'],
      ['s0', 's1'],
    ]);
    expect(result).toMatchObject({ leftOut: 'source', nFolds: null, nDocs: 60 });
    await expect(
      evaluateLines({ ...options, nFolds: 2, leaveOut: 'source' }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    // One language only: there is nothing else to learn from.
    await expect(evaluateLines({ ...options, leaveOut: 'language' })).rejects.toMatchObject({
      code: 'TRAIN_DATA_TOO_SMALL',
    });
  });

  it('leaves shared domains out of extra training pages', async () => {
    const { refiner } = suspicious();
    const result = await evaluateLines({
      refiner,
      pages: pages.slice(0, 30),
      trainPages: pages,
      nFolds: null,
    });
    expect(result.nDocs).toBe(30);
  });

  it('measures keep-all without training', async () => {
    const result = await evaluateLines({ refiner: keepAll, pages, nFolds: 5 });
    const labels = pages.flatMap((page) => [...page.labels]);
    const share = labels.filter((label) => label === KEEP).length / labels.length;
    expect(result.nFolds).toBeNull();
    expect(result.keep.precision).toBeCloseTo(share, 12);
    expect(result.contentCharsKept).toBe(1);
    expect(result.noiseCharsRemoved).toBe(0);
    expect(result.secondsPerMB).toBeGreaterThan(0);
  });

  it('refuses what cannot be measured', async () => {
    await expect(evaluateLines({ refiner: logistic, pages, nFolds: null })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(evaluateLines({ refiner: logistic, pages, nFolds: 1 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    const one = pages.slice(0, 1);
    await expect(evaluateLines({ refiner: logistic, pages: one, nFolds: 2 })).rejects.toMatchObject(
      { code: 'TRAIN_DATA_TOO_SMALL' },
    );
    const wrong: LineRefiner = {
      name: 'wrong',
      trainable: false,
      fit: () => ({ name: 'wrong', threshold: 0.5, scoreLines: () => new Float32Array(1) }),
    };
    await expect(evaluateLines({ refiner: wrong, pages, nFolds: null })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });
});

const dev = goldFile('dev.jsonl.gz');

describe.runIf(dev)('logistic on real pages', () => {
  it('clears what the rules reach, on domains it has not seen', async () => {
    const real: GoldPage[] = [];
    let seen = 0;
    // Every fourth page: enough to learn from in a test.
    for await (const page of readGoldPages(dev!)) if (seen++ % 4 === 0) real.push(page);
    expect(real.some(({ labels }) => labels.includes(UNSCORED))).toBe(true);
    const result = await evaluateLines({ refiner: logistic, pages: real, nFolds: 2 });
    expect(result.macroF1).toBeGreaterThan(0.78);
    expect(result.noiseCharsRemovedAt['0.99']).toBeGreaterThan(0.3);
  }, 120_000);
});
