import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { chooseReplay } from '../../../src/continual/fit/choose-replay.ts';
import { fitReplay, predictReplay } from '../../../src/continual/fit/fit-replay.ts';
import { type Pilot, readPilots } from '../../../src/continual/fit/pilots.ts';
import { replayCurve, replayFigure } from '../../../src/continual/fit/replay-figure.ts';
import { GristmillError } from '../../../src/errors.ts';
import { seededRandom } from '../../../src/seeded.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-pilots-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SHARES = [0, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5];
const oldLoss = (replay: number): number => 1.8 + 0.12 * (replay + 0.04) ** -0.5;
const newLoss = (replay: number): number => 1.6 + 0.15 * (1 - replay) ** -0.7;
const pilotsAt = (shares: readonly number[], noise = 0): Pilot[] => {
  const random = seededRandom(7);
  return shares.map((replay) => ({
    replay,
    losses: {
      old: oldLoss(replay) + noise * (random() - 0.5),
      new: newLoss(replay) + noise * (random() - 0.5),
    },
  }));
};
const fitted = (pilots = pilotsAt(SHARES)) => fitReplay({ pilots, old: ['old'], new: ['new'] });

function failure(run: () => unknown): GristmillError {
  try {
    run();
  } catch (error) {
    if (error instanceof GristmillError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('fitReplay', () => {
  it('recovers laws that the pilots follow', () => {
    const { losses, notes } = fitted();
    const [old, fresh] = losses;
    expect(old!.parameters['E']).toBeCloseTo(1.8, 4);
    expect(old!.parameters['C']).toBeCloseTo(0.12, 4);
    expect(old!.parameters['epsilon']).toBeCloseTo(0.04, 4);
    expect(old!.parameters['gamma']).toBeCloseTo(0.5, 4);
    expect(fresh!.parameters['E']).toBeCloseTo(1.6, 4);
    expect(fresh!.parameters['B']).toBeCloseTo(0.15, 4);
    expect(fresh!.parameters['b']).toBeCloseTo(0.7, 4);
    expect(old!.leaveOneOut!.largest).toBeLessThan(1e-5);
    expect(fresh!.leaveOneOut!.largest).toBeLessThan(1e-5);
    expect(notes).toEqual([]);
  });

  it('predicts between noisy pilots to about their noise, and its leave-one-out error says so', () => {
    const noise = 0.01;
    const fit = fitted(pilotsAt(SHARES, noise));
    for (const replay of [0.003, 0.03, 0.15, 0.4]) {
      const predicted = predictReplay(fit, { replay });
      expect(Math.abs(predicted['old']! - oldLoss(replay))).toBeLessThan(1.5 * noise);
      expect(Math.abs(predicted['new']! - newLoss(replay))).toBeLessThan(1.5 * noise);
    }
    for (const { rmse, leaveOneOut } of fit.losses) {
      expect(leaveOneOut!.largest).toBeGreaterThan(rmse);
      expect(leaveOneOut!.largest).toBeLessThan(3 * noise);
      expect(leaveOneOut!.errors).toHaveLength(SHARES.length);
    }
  });

  it('fits the D-CPT form when pilots have several token counts and sizes', () => {
    const law = (replay: number, tokens: number, params: number): number =>
      1.2 +
      40 * params ** -0.3 +
      30 * replay ** 0.1 * tokens ** -0.35 +
      0.1 * (replay + 0.05) ** -0.4;
    const pilots = [1e6, 2e6, 4e6].flatMap((tokens) =>
      [1e5, 4e5, 1.6e6].flatMap((params) =>
        [0, 0.02, 0.1, 0.25, 0.5].map((replay) => ({
          replay,
          tokens,
          params,
          losses: { old: law(replay, tokens, params) },
        })),
      ),
    );
    const fit = fitReplay({ pilots, old: ['old'], new: [] });
    expect(fit.losses[0]!.form).toBe('d-cpt');
    expect(fit.losses[0]!.rmse).toBeLessThan(1e-3);
    const place = { replay: 0.05, tokens: 3e6, params: 2e5 };
    expect(predictReplay(fit, place)['old']).toBeCloseTo(law(0.05, 3e6, 2e5), 2);
    expect(failure(() => predictReplay(fit, { ...place, tokens: 9e6 })).message).toMatch(
      /tokens 1000000\.\.4000000/,
    );
  });

  it('gives the same fit again, and keeps a note where four pilots leave no error to report', () => {
    const pilots = pilotsAt([0, 0.05, 0.25, 0.5], 0.01);
    expect(fitted(pilots)).toEqual(fitted(pilots));
    expect(fitted(pilots).losses[0]!.leaveOneOut).toBeNull();
    expect(fitted(pilots).notes.join()).toMatch(/leave-one-out/);
  });

  it('refuses to extrapolate', () => {
    const fit = fitted(pilotsAt([0, 0.01, 0.05, 0.25]));
    const error = failure(() => predictReplay(fit, { replay: 0.5 }));
    expect(error.code).toBe('CONTINUAL_EXTRAPOLATION');
    expect(error.message).toMatch(/50 %.*0 %\.\.25 %/);
  });

  it('draws a curve and a figure, names escaped', async () => {
    const pilots = pilotsAt(SHARES).map(({ replay, losses }) => ({
      replay,
      losses: { '<old>': losses['old']! },
    }));
    const fit = fitReplay({ pilots, old: ['<old>'], new: [] });
    expect(replayCurve(fit, 11).map(({ replay }) => replay)[10]).toBe(0.5);
    const svg = await replayFigure(fit, 0.1);
    expect(svg).toContain('&lt;old&gt;');
    expect(svg).toContain('10 %');
  });
});

describe('chooseReplay', () => {
  it('finds the least replay that keeps forgetting within a tolerance', () => {
    const base = oldLoss(0.2);
    const choice = chooseReplay({ fit: fitted(), tolerance: 0.05, base });
    expect(oldLoss(choice.replay) - base).toBeCloseTo(0.05, 4);
    expect(choice.rises!['old']).toBeLessThanOrEqual(0.05);
    expect(chooseReplay({ fit: fitted(), tolerance: 0.05, base: { old: base } })).toEqual(choice);
    expect(chooseReplay({ fit: fitted(), tolerance: 2, base }).replay).toBe(0);
  });

  it('measures from the most replay without a base', () => {
    const { replay } = chooseReplay({ fit: fitted(), tolerance: 0.05 });
    expect(oldLoss(replay) - oldLoss(0.5)).toBeCloseTo(0.05, 4);
  });

  it('finds the lowest weighted average', () => {
    const { replay, average } = chooseReplay({ fit: fitted(), weights: { old: 1, new: 1 } });
    const averageAt = (at: number): number => (oldLoss(at) + newLoss(at)) / 2;
    let best = 0;
    for (let at = 0; at <= 0.5; at += 1e-4) if (averageAt(at) < averageAt(best)) best = at;
    expect(replay).toBeCloseTo(best, 2);
    expect(average).toBeCloseTo(averageAt(best), 5);
    expect(chooseReplay({ fit: fitted(), weights: { old: 0, new: 1 } }).replay).toBeCloseTo(0, 6);
  });

  it('gives no answer at the edge of the pilots', () => {
    const fit = fitted();
    const tight = failure(() => chooseReplay({ fit, tolerance: 0.01, base: oldLoss(0.9) }));
    expect(tight.code).toBe('CONTINUAL_EXTRAPOLATION');
    expect(tight.message).toMatch(/replay 0 %\.\.50 %/);
    const alone = failure(() => chooseReplay({ fit, weights: { old: 1 } }));
    expect(alone.code).toBe('CONTINUAL_EXTRAPOLATION');
    const inner = fitted(pilotsAt([0.05, 0.1, 0.25, 0.4, 0.5]));
    expect(failure(() => chooseReplay({ fit: inner, tolerance: 5, base: 2 })).code).toBe(
      'CONTINUAL_EXTRAPOLATION',
    );
  });

  it('refuses wrong options', () => {
    const fit = fitted();
    expect(failure(() => chooseReplay({ fit, tolerance: -1 })).code).toBe('OPTION_INVALID');
    expect(failure(() => chooseReplay({ fit, weights: { other: 1 } })).message).toMatch(/other/);
    expect(failure(() => chooseReplay({ fit, weights: { old: 0 } })).code).toBe('OPTION_INVALID');
    expect(failure(() => chooseReplay({ fit, tolerance: 1, base: { new: 1 } })).message).toMatch(
      /old/,
    );
  });
});

describe('readPilots', () => {
  const file = join(folder, 'pilots.csv');
  const read = (text: string, sets = ['old', 'new']) => {
    writeFileSync(file, text);
    return readPilots(file, sets);
  };
  const good = 'replay,old,new\n0,3,1\n5%,2,1.1\n0.25,1.5,1.2\n50 %,1.4,1.4\n';

  it('reads shares and percent, and leaves other columns aside', () => {
    expect(read(good).map(({ replay }) => replay)).toEqual([0, 0.05, 0.25, 0.5]);
    const sized = good.replaceAll('\n', ',1e6,x\n').replace('new,1e6,x', 'new,tokens,note');
    expect(read(sized)[0]).toEqual({ replay: 0, losses: { old: 3, new: 1 }, tokens: 1e6 });
  });

  it.each([
    ['a bare percent', good.replace('5%', '5'), /row 2, column replay/],
    ['all replay', good.replace('50 %', '1'), /row 4, column replay.*below 1/],
    ['no number', good.replace('1.1', 'NaN'), /row 2, column new/],
    ['infinity', good.replace('1.1', 'Infinity'), /row 2, column new/],
    ['an empty cell', good.replace('1.1', ''), /row 2, column new/],
    ['a negative loss', good.replace('1.1', '-1'), /row 2, column new/],
    ['a missing column', good.replace('new', 'other'), /column new.*only replay, old, other/],
    ['a column twice', good.replace('new', 'old'), /column old.*twice/],
    ['too few', good.split('\n').slice(0, 4).join('\n'), /at least 4 different shares, found 3/],
    ['a pilot twice', `${good}0.05,2,1.1\n`, /row 5.*no second pilot like row 2/],
    ['constant losses', good.replace(/,(1|1\.1|1\.2|1\.4)$/gm, ',1'), /column new.*differ/],
    ['ragged rows', `${good}0.4,1\n`, /row 5.*3 fields/],
    ['nothing', '', /column replay/],
    [
      'a partial size',
      good.replace('new', 'new,tokens').replaceAll(/(\d)$/gm, '$1,').replace('1,\n', '1,5\n'),
      /tokens/,
    ],
  ])('refuses %s, naming its place', (_, text, message) => {
    const error = failure(() => read(text, text.includes('other') ? ['old', 'new'] : undefined));
    expect(error.code).toBe('CONTINUAL_PILOTS_INVALID');
    expect(error.message).toMatch(message);
  });

  it('does not take a name of Object for a set, and prints no control characters', () => {
    const pilots = pilotsAt(SHARES);
    const error = failure(() => fitReplay({ pilots, old: ['constructor'], new: [] }));
    expect(error.code).toBe('CONTINUAL_PILOTS_INVALID');
    const raw = failure(() => read(good.replace('1.1', '\u001b[31m')));
    expect(raw.message).not.toContain('\u001b');
    expect(failure(() => readPilots(join(folder, 'none.csv'), ['old'])).code).toBe(
      'CONTINUAL_PILOTS_INVALID',
    );
    expect(failure(() => fitReplay({ pilots, old: ['old'], new: ['old'] })).code).toBe(
      'OPTION_INVALID',
    );
  });
});
