import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseReplay } from '../../../src/continual/fit/choose-replay.ts';
import { fitReplay } from '../../../src/continual/fit/fit-replay.ts';
import { curvesFromRuns, pilotsFromRuns } from '../../../src/continual/fit/from-runs.ts';
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { runPlan } from '../../../src/continual/run/run.ts';
import { testTexts } from '../../support/corpus.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-from-runs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const out = join(folder, 'run');
const SHARES = [0, 0.1, 0.25, 0.5, 0.75];

beforeAll(async () => {
  const write = (name: string, texts: readonly string[]): string => {
    const file = join(folder, `${name}.jsonl`);
    writeFileSync(file, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    return file;
  };
  const sums = Array.from({ length: 60 }, (_, row) =>
    `${row * row} + ${row} = ${row * row + row}\n`.repeat(8),
  );
  const plan: PlanInput = {
    model: { shape: { nEmbd: 16, nLayer: 1, nHead: 2 } },
    tokenizer: { train: { vocabSize: 300 } },
    batch: { nSeq: 8, nCtx: 16 },
    validation: { share: 0.2, every: 2, windows: 8 },
    checkpointEvery: 0,
    nThreads: 1,
    datasets: {
      prose: { inputs: [write('prose', testTexts(60, 4))] },
      sums: { inputs: [write('sums', sums)] },
    },
    stages: [
      {
        name: 'base',
        data: 'prose',
        steps: 30,
        maxEpochs: 20,
        schedule: {
          kind: 'infinite',
          peakLr: 0.01,
          constantLr: 0.01,
          minLr: 0.001,
          warmup: '2 steps',
          anneal: { length: '20 %' },
        },
      },
      ...SHARES.map((replay, index) => ({
        name: `pilot-${index}`,
        data: 'sums',
        steps: 20,
        maxEpochs: 20,
        replay,
        start: { stage: 'base', checkpoint: 'constant' as const },
        schedule: { kind: 'cosine' as const, peakLr: 0.01, minLr: 0.001 },
      })),
    ],
  };
  await runPlan(checkPlan(plan), { out });
});

describe('pilotsFromRuns', () => {
  it('takes the stages that start from another one', () => {
    const pilots = pilotsFromRuns([out]);
    expect(pilots.map(({ replay }) => replay)).toEqual(SHARES);
    expect(pilots[0]!.tokens).toBe(20 * 8 * 16);
    expect(Object.keys(pilots[0]!.losses)).toEqual(['prose', 'sums']);
    const fit = fitReplay({ pilots, old: ['prose'], new: ['sums'] });
    expect(fit.spans.replay).toEqual([0, 0.75]);
    const { rises, predicted } = chooseReplay({ fit, tolerance: 10 });
    expect(predicted['prose']! - rises!['prose']!).toBeCloseTo(pilots[0]!.start!['prose']!, 9);
  });

  it('takes the stages that are named, and says where there are none', () => {
    expect(pilotsFromRuns([out], { stages: ['pilot-2'] })).toHaveLength(1);
    expect(() => pilotsFromRuns([out], { stages: ['base'] })).toThrow(/one of the stages base/);
    expect(() => pilotsFromRuns([folder])).toThrow(/summary of a finished run/);
  });

  it('refuses a summary that is none', () => {
    const other = join(folder, 'other');
    mkdirSync(other);
    for (const content of ['{', '[]', '{"nParams":1,"stages":[{"stage":"../x"}]}', 'null']) {
      writeFileSync(join(other, 'summary.json'), content);
      expect(() => pilotsFromRuns([other])).toThrow(/summary of a finished run/);
    }
  });
});

describe('curvesFromRuns', () => {
  it('joins a stage to its parent up to the checkpoint it started from', () => {
    const curves = curvesFromRuns([out], { set: 'prose', stages: ['pilot-3'] });
    expect(curves.map(({ name }) => name)).toEqual(['pilot-3']);
    const [first] = curves;
    expect(first!.pretrainLr).toHaveLength(24);
    expect(first!.pretrainLr[23]).toBe(0.01);
    expect(first!.continueLr).toHaveLength(20);
    expect(first!.pretrainLosses.map(({ step }) => step)).toEqual(
      Array.from({ length: 12 }, (_, at) => 2 * at + 2),
    );
    expect(first!.continueLosses.at(-1)!.step).toBe(20);
  });

  it('refuses to mix shares of replay', () => {
    expect(() => curvesFromRuns([out], { set: 'prose' })).toThrow(
      /column pilot-1: expected stages of one share of replay, as 0 %; name them, found 10 %/,
    );
  });

  it('names a validation set that is not there', () => {
    expect(() => curvesFromRuns([out], { set: 'none', stages: ['pilot-0'] })).toThrow(
      /column none.*prose, sums/,
    );
  });
});
