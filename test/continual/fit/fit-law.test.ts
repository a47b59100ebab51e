import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CptLaw, fitLaw, predictLaw } from '../../../src/continual/fit/fit-law.ts';
import { type LossCurve, readLossCurves } from '../../../src/continual/fit/loss-curves.ts';
import { lrAreas } from '../../../src/continual/fit/lr-areas.ts';
import { lrCurve } from '../../../src/schedules/curve.ts';
import type { ScheduleInput } from '../../../src/schedules/spec.ts';
import { seededRandom } from '../../../src/seeded.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-law-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LAMBDA = 0.99;
const TRUTH: CptLaw['parameters'] = {
  L0: 1.4,
  A: 0.5,
  alpha: 0.5,
  C1: 0.12,
  C2: 0.2,
  B: 0.6,
  E: 30,
  beta: 0.4,
};
const truth: CptLaw = {
  format: 'gristmill-cpt-law',
  parameters: TRUTH,
  lambda: LAMBDA,
  nLosses: 0,
  rmse: 0,
  leftOut: { kind: 'tail', rmse: 0, largest: 0, parts: [] },
};
const ratesOf = (schedule: ScheduleInput, totalSteps: number): Float64Array => {
  const curve = lrCurve(schedule, { totalSteps });
  return Float64Array.from({ length: totalSteps }, (_, step) => curve.at(step + 1));
};
const first = ratesOf({ kind: 'cosine', peakLr: 4e-3, minLr: 4e-4, warmup: '1 %' }, 800);

function curveOf(name: string, schedule: ScheduleInput, noise = 0): LossCurve {
  const second = ratesOf(schedule, 600);
  const predicted = predictLaw({ law: truth, pretrain: first, continuation: second });
  const random = seededRandom(name.length);
  const every = (losses: Float64Array, by: number) =>
    [...losses].flatMap((loss, at) =>
      (at + 1) % by === 0 ? [{ step: at + 1, loss: loss + noise * (random() - 0.5) }] : [],
    );
  return {
    name,
    pretrainLr: first,
    continueLr: second,
    pretrainLosses: every(predicted.pretrain, 20),
    continueLosses: every(predicted.continuation, 20),
  };
}
const SCHEDULES = {
  cosine: { kind: 'cosine', peakLr: 4e-3, minLr: 4e-4, warmup: '1 %' },
  half: { kind: 'cosine', peakLr: 2e-3, minLr: 2e-4, warmup: '1 %' },
  constant: { kind: 'constant', peakLr: 4e-4 },
} as const satisfies Record<string, ScheduleInput>;
const curves = (noise = 0) =>
  Object.entries(SCHEDULES).map(([name, schedule]) => curveOf(name, schedule, noise));

describe('lrAreas', () => {
  it('equals the double sum of its definition', () => {
    const rates = Float64Array.from([3, 3, 2, 1]);
    const second = Float64Array.from([2, 1.5]);
    const areas = lrAreas(rates, second, 0.5);
    const naive = (last: number, values: readonly number[], step: number): number => {
      const all = [last, ...values];
      let sum = 0;
      for (let i = 1; i <= step; i++) {
        for (let k = 1; k <= i; k++) sum += (all[k - 1]! - all[k]!) * 0.5 ** (i - k);
      }
      return sum;
    };
    expect([...areas.firstS1]).toEqual([3, 6, 8, 9, 9, 9]);
    expect([...areas.secondS1]).toEqual([0, 0, 0, 0, 2, 3.5]);
    for (let step = 1; step <= 4; step++) {
      expect(areas.firstS2[step - 1]).toBeCloseTo(naive(3, [...rates], step), 12);
    }
    for (let step = 1; step <= 2; step++) {
      expect(areas.secondS2[3 + step]).toBeCloseTo(naive(1, [...second], step), 12);
    }
    expect(areas.firstS2[5]).toBe(areas.firstS2[3]);
  });

  it('counts the way up to the peak as the peak', () => {
    const areas = lrAreas(Float64Array.from([1, 2, 4, 3]), new Float64Array(), 0.5);
    expect([...areas.firstS1]).toEqual([4, 8, 12, 15]);
    expect([...areas.firstS2]).toEqual([0, 0, 0, 1]);
  });
});

describe('fitLaw', () => {
  it('recovers a law that the curves follow', () => {
    const law = fitLaw({ curves: curves(), lambda: LAMBDA });
    expect(law.rmse).toBeLessThan(1e-6);
    expect(law.leftOut.kind).toBe('curve');
    expect(law.leftOut.parts.map(({ name }) => name)).toEqual(['cosine', 'half', 'constant']);
    expect(law.leftOut.largest).toBeLessThan(1e-2);
    for (const [name, value] of Object.entries(TRUTH)) {
      const found = law.parameters[name as keyof typeof TRUTH];
      expect(Math.abs(found / value - 1), name).toBeLessThan(0.05);
    }
  });

  it('predicts a schedule it has not seen, from noisy curves', () => {
    const law = fitLaw({ curves: curves(0.01), lambda: LAMBDA });
    const schedule = lrCurve(
      { kind: 'wsd', peakLr: 3e-3, minLr: 3e-4, decay: { shape: 'linear', length: '20 %' } },
      { totalSteps: 600 },
    );
    const options = { pretrain: first, continuation: schedule };
    const predicted = predictLaw({ law, ...options }).continuation;
    const true_ = predictLaw({ law: truth, ...options }).continuation;
    for (const step of [99, 299, 599]) {
      expect(Math.abs(predicted[step]! - true_[step]!)).toBeLessThan(0.02);
    }
    expect(law.leftOut.rmse).toBeLessThan(0.02);
  });

  it('leaves out the first steps where it is told to', () => {
    const [curve] = curves();
    const odd = curve!.pretrainLosses.map(({ step, loss }) => ({
      step,
      loss: step < 200 ? loss + 1 : loss,
    }));
    const bent = [{ ...curve!, pretrainLosses: odd }];
    expect(fitLaw({ curves: bent, lambda: LAMBDA }).rmse).toBeGreaterThan(0.05);
    expect(fitLaw({ curves: bent, lambda: LAMBDA, fromStep: 200 }).rmse).toBeLessThan(1e-6);
  });

  it('holds out the tail of the only curve; new data fall', () => {
    const curve = curveOf('cosine', SCHEDULES.cosine);
    const law = fitLaw({ curves: [curve], lambda: LAMBDA });
    expect(law.leftOut.kind).toBe('tail');
    expect(law.leftOut.largest).toBeLessThan(0.05);
    const falling = {
      ...curve,
      continueLosses: curve.continueLosses.map(({ step, loss }) => ({
        step,
        loss: loss - step / 2000,
      })),
    };
    expect(fitLaw({ curves: [falling], lambda: LAMBDA }).parameters.B).toBeLessThan(
      law.parameters.B,
    );
  });

  it('refuses curves that say too little', () => {
    const curve = curveOf('cosine', SCHEDULES.cosine);
    expect(() => fitLaw({ curves: [{ ...curve, continueLosses: [] }] })).toThrow(/phase continue/);
    expect(() => fitLaw({ curves: [{ ...curve, pretrainLosses: [] }] })).toThrow(/phase pretrain/);
    const flat = (losses: LossCurve['pretrainLosses']) =>
      losses.map(({ step }) => ({ step, loss: 1 }));
    const same = {
      ...curve,
      pretrainLosses: flat(curve.pretrainLosses),
      continueLosses: flat(curve.continueLosses),
    };
    expect(() => fitLaw({ curves: [same] })).toThrow(/differ/);
    expect(() => fitLaw({ curves: [curve], lambda: 1 })).toThrow(/lambda/);
    expect(() => fitLaw({ curves: [] })).toThrow(/phase pretrain/);
  });
});

describe('readLossCurves', () => {
  const file = join(folder, 'curves.csv');
  const read = (text: string, column?: string) => {
    writeFileSync(file, text);
    return readLossCurves(file, column);
  };
  const good =
    'step,lr,loss,phase,curve\n1,0.1,5,pretrain,a\n3,0.3,,pretrain,a\n2,0.2,3,continue,a\n1,0.5,4,pretrain,b\n';

  it('reads curves and fills rates between rows', () => {
    const [one, other] = read(good);
    expect([...one!.pretrainLr].map((rate) => Number(rate.toFixed(9)))).toEqual([0.1, 0.2, 0.3]);
    expect([...one!.continueLr]).toEqual([0.2, 0.2]);
    expect(one!.pretrainLosses).toEqual([{ step: 1, loss: 5 }]);
    expect(one!.continueLosses).toEqual([{ step: 2, loss: 3 }]);
    expect(other!.name).toBe('b');
  });

  it.each([
    ['a phase', good.replace('continue', 'cpt'), /row 3, column phase.*pretrain or continue/],
    ['a step', good.replace('3,0.3', '1,0.3'), /row 2, column step.*behind 1/],
    ['half a step', good.replace('3,0.3', '1.5,0.3'), /row 2, column step/],
    ['a huge step', good.replace('3,0.3', '1e15,0.3'), /row 2, column step/],
    [
      'a sum of steps',
      `step,lr,loss,phase,curve\n${'abcde'.replaceAll(/./g, '5000000,1,1,pretrain,$&\n')}`,
      /steps in all/,
    ],
    ['a rate', good.replace('0.3', '-1'), /row 2, column lr/],
    ['no rate', good.replace('0.3', ''), /row 2, column lr/],
    ['a loss', good.replace(',5,', ',nan,'), /row 1, column loss/],
    ['a column', good.replace('lr', 'rate'), /column lr.*only step, rate/],
  ])('refuses %s that is wrong, naming its place', (_, text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});
