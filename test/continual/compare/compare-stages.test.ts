import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareStages } from '../../../src/continual/compare/compare-stages.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-compare-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, candidate: object, web: object, more: object = {}): string {
  const out = join(folder, name);
  mkdirSync(out, { recursive: true });
  const stage = (at: number, of: string, annealed: object) => ({
    ...{ stage: `microanneal-${of}`, index: at, tokens: 100, parent: 'base/annealed' },
    losses: { start: annealed, constant: null, annealed, merged: null },
  });
  const stages = [stage(1, 'candidate', candidate), { ...stage(2, 'web', web), ...more }];
  writeFileSync(join(out, 'summary.json'), JSON.stringify({ stages }));
  return out;
}

describe('compareStages', () => {
  it('gives differences over seeds by set, with a verdict for each', async () => {
    const runs = [
      write('0', { maths: 2, web: 3, own: 1 }, { maths: 2.2, web: 2.9 }),
      write('1', { maths: 2.1, web: 3.1 }, { maths: 2.31, web: 3.15 }),
      write('2', { maths: 1.9, web: 2.9 }, { maths: 2.1, web: 2.95 }),
    ];
    const { losses, nRuns, notes } = await compareStages({ runs });
    expect({ nRuns, notes }).toEqual({ nRuns: 3, notes: [] });
    // A set that only one run has is not compared.
    expect(losses.map(({ set }) => set)).toEqual(['maths', 'web']);
    expect(losses[0]).toMatchObject({ pairs: 'runs', nPairs: 3, verdict: 'better' });
    expect(losses[0]!.mean).toBeCloseTo(-0.61 / 3, 12);
    expect(losses[0]!.candidate).toBeCloseTo(2, 12);
    expect(losses[1]).toMatchObject({ verdict: 'undecided' });
  });

  it('decides nothing by one run, and says what would', async () => {
    const { losses, notes } = await compareStages({ runs: [write('one', { a: 1 }, { a: 9 })] });
    expect(losses).toMatchObject([{ low: null, high: null, verdict: 'undecided' }]);
    expect(notes).toEqual([
      expect.stringMatching(/one run has no interval.*other seeds, or --data/),
    ]);
  });

  it('takes the merged model where there is one, and says where stages are not alike', async () => {
    const more = {
      ...{ tokens: 90, parent: 'other/annealed' },
      losses: { annealed: { a: 5 }, merged: { a: 4 } },
    };
    const runs = [write('m', { a: 1 }, { a: 9 }, more), write('n', { a: 1 }, { a: 4 })];
    const { losses, notes } = await compareStages({ runs });
    expect(losses[0]!.against).toBe(4);
    expect(notes).toEqual([
      '1 of the runs gave the two stages different numbers of tokens',
      '1 of the runs started the two stages from different checkpoints',
    ]);
  });

  it('names folders without a finished run, and stages that are not there', async () => {
    await expect(compareStages({ runs: [join(folder, 'none')] })).rejects.toThrowError(
      /none\/summary\.json.*the summary of a finished run/,
    );
    const runs = [write('x', { a: 1 }, { a: 2 })];
    await expect(compareStages({ runs, candidate: 'good' })).rejects.toThrowError(
      /a stage good.*microanneal-candidate, microanneal-web/,
    );
  });
});
