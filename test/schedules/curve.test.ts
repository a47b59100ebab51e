/** Curves against gpt-neox's values (fixtures/lr-schedules.json), against plain formulas, and what is refused. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { infiniteFromEnds } from '../../src/schedules/cumulative.ts';
import { lrCurve } from '../../src/schedules/curve.ts';
import { parseLength, parseTokens } from '../../src/schedules/lengths.ts';
import { DECAY_SHAPES, type ScheduleInput } from '../../src/schedules/spec.ts';

interface Golden {
  readonly name: string;
  readonly spec: {
    readonly kind: 'cosine' | 'infinite';
    readonly cooldown?: 'cosine' | 'inverse-sqrt';
    readonly timescale?: number;
    readonly totalSteps: number;
    readonly warmupFraction: number;
    readonly peakLr: number;
    readonly constantLr: number;
    readonly minLr: number;
    readonly cooldownEndFraction: number;
    readonly constantEndFraction: number;
  };
  readonly steps: readonly number[];
  readonly lr: readonly number[];
}

const fixture = fileURLToPath(new URL('./fixtures/lr-schedules.json', import.meta.url));
const goldens = JSON.parse(readFileSync(fixture, 'utf8')) as readonly Golden[];

function inputOf({ spec }: Golden): ScheduleInput {
  const { kind, peakLr, minLr, warmupFraction } = spec;
  if (kind === 'cosine') return { kind, peakLr, minLr, warmup: { fraction: warmupFraction } };
  return infiniteFromEnds({
    peakLr,
    minLr,
    constantLr: spec.constantLr,
    warmupEnd: warmupFraction,
    cooldownEnd: spec.cooldownEndFraction,
    constantEnd: spec.constantEndFraction,
    cooldown: spec.cooldown!,
    ...(spec.timescale !== undefined && { timescale: spec.timescale }),
  }) as ScheduleInput;
}

describe('published schedules', () => {
  it.each(goldens)('$name is gpt-neox’s to 1e-12', (golden) => {
    const curve = lrCurve(inputOf(golden), { totalSteps: golden.spec.totalSteps });
    expect(golden.steps.length).toBeGreaterThan(10);
    for (const [index, step] of golden.steps.entries()) {
      const expected = golden.lr[index]!;
      expect(Math.abs(curve.at(step) - expected) / expected).toBeLessThan(1e-12);
    }
  });

  it('gives the checkpoint before the anneal', () => {
    const curve = lrCurve(inputOf(goldens[1]!), { totalSteps: 132_366 });
    expect(curve.lastConstantStep).toBe(112_511);
    expect(curve.phases.map(({ name }) => name)).toEqual([
      'warmup',
      'cooldown',
      'constant',
      'anneal',
    ]);
    expect(lrCurve(inputOf(goldens[0]!), { totalSteps: 132_366 }).lastConstantStep).toBeNull();
  });
});

describe('formulas', () => {
  const horizon = { totalSteps: 1000, tokensPerStep: 500 };

  it.each(DECAY_SHAPES)('%s goes from one rate to the other', (shape) => {
    const curve = lrCurve(
      { kind: 'wsd', peakLr: 1, minLr: 0.1, decay: { shape, length: '200 steps' } },
      horizon,
    );
    expect(curve.at(800)).toBe(1);
    expect(curve.at(1000)).toBeCloseTo(0.1, 14);
    const x = 0.3;
    const plain = {
      linear: 1 - 0.9 * x,
      cosine: 0.1 + 0.45 * (1 + Math.cos(Math.PI * x)),
      'inverse-sqrt': 1 - (0.9 * (1 / Math.sqrt(1 + x) - 1)) / (1 / Math.sqrt(2) - 1),
      '1-sqrt': 0.1 + 0.9 * (1 - Math.sqrt(x)),
      exponential: 0.1 ** x,
    }[shape];
    expect(curve.at(860)).toBeCloseTo(plain, 14);
  });

  it('inverse square root falls as the root of steps', () => {
    const curve = lrCurve(
      { kind: 'inverse-sqrt', peakLr: 2, warmup: '100 steps', minLr: 0.7 },
      horizon,
    );
    expect(curve.at(50)).toBe(1);
    for (const step of [100, 101, 400, 700])
      expect(curve.at(step)).toBeCloseTo(2 * Math.sqrt(100 / step), 12);
    expect(curve.at(1000)).toBe(0.7);
  });

  it('rewarm repeats its cycles', () => {
    const cycle = lrCurve(
      { kind: 'cosine', peakLr: 1, minLr: 0.1, warmup: '10 %' },
      { totalSteps: 500 },
    );
    const twice = lrCurve(
      { kind: 'rewarm', peakLr: 1, minLr: 0.1, warmup: '10 %', cycles: ['50 %', '50 %'] },
      horizon,
    );
    for (const step of [1, 30, 50, 51, 300, 500]) {
      expect(twice.at(step)).toBeCloseTo(cycle.at(step), 14);
      expect(twice.at(step + 500)).toBeCloseTo(cycle.at(step), 14);
    }
  });

  it('wsds is stable again after every decay, and warms up once', () => {
    const decay = { shape: 'linear', length: '10 %' } as const;
    const curve = lrCurve(
      {
        kind: 'wsds',
        peakLr: 1,
        minLr: 0.1,
        warmup: '50 steps',
        periods: ['400 steps', '600 steps'],
        decay,
      },
      horizon,
    );
    expect([25, 50, 360, 400, 401, 940, 1000].map((step) => curve.at(step))).toEqual([
      0.5, 1, 1, 0.1, 1, 1, 0.1,
    ]);
  });

  it('power is a function of tokens', () => {
    const curve = lrCurve(
      {
        kind: 'power',
        peakLr: 0.02,
        a: 4,
        b: -0.5,
        warmup: '100 steps',
        decay: { shape: 'linear', length: '10 %' },
      },
      horizon,
    );
    expect(curve.at(100)).toBeCloseTo(4 / Math.sqrt(50_000), 14);
    expect(curve.at(400)).toBeCloseTo(4 / Math.sqrt(200_000), 14);
    expect(curve.atTokens(200_000)).toBe(curve.at(400));
    expect(curve.at(1000)).toBeCloseTo(0, 14);
  });

  it('composites put schedules in a row', () => {
    const curve = lrCurve(
      {
        kind: 'composite',
        parts: [
          { length: '40 %', schedule: { kind: 'cosine', peakLr: 1, minLr: 0.1 } },
          { schedule: { kind: 'constant', peakLr: 0.1, warmup: '50 %' } },
        ],
      },
      horizon,
    );
    expect(curve.at(200)).toBeCloseTo(0.55, 14);
    expect(curve.at(700)).toBeCloseTo(0.1, 14);
    expect(curve.at(550)).toBeCloseTo(0.05, 14);
  });

  it('an infinite schedule goes on without a warm-up and a peak', () => {
    const curve = lrCurve(
      { kind: 'infinite', constantLr: 1, minLr: 0.1, anneal: { length: '20 %' } },
      horizon,
    );
    expect(curve.at(1)).toBe(1);
    expect(curve.at(900)).toBeCloseTo(Math.sqrt(0.1), 14);
    expect(curve.lastConstantStep).toBe(800);
  });

  it('phases leave no gap, whatever the lengths', () => {
    const share = fc.double({ min: 0, max: 0.33, noNaN: true });
    fc.assert(
      fc.property(
        share,
        share,
        share,
        fc.integer({ min: 1, max: 1_000_000 }),
        (warmup, cooldown, anneal, totalSteps) => {
          const curve = lrCurve(
            {
              kind: 'infinite',
              peakLr: 3,
              constantLr: 2,
              minLr: 1,
              warmup: { fraction: warmup },
              cooldown: { shape: 'cosine', length: { fraction: cooldown } },
              anneal: { length: { fraction: anneal } },
            },
            { totalSteps },
          );
          let end = 0;
          for (const phase of curve.phases) {
            expect(phase.start).toBe(end);
            expect(phase.end).toBeGreaterThan(phase.start);
            end = phase.end;
          }
          expect(end).toBe(totalSteps);
          for (const at of [0.1, 0.5, 0.99]) {
            const rate = curve.at(totalSteps * at);
            expect(rate).toBeGreaterThanOrEqual(0);
            expect(rate).toBeLessThanOrEqual(3);
          }
        },
      ),
    );
  });
});

describe('schedules for more than there is', () => {
  const peakLr = 3;
  const minLr = 0.3;
  const warmup = { fraction: 0.05 };
  const kinds: readonly ScheduleInput[] = [
    { kind: 'constant', peakLr, warmup },
    { kind: 'linear', peakLr, minLr, warmup },
    { kind: 'cosine', peakLr, minLr, warmup, warmupStartLr: 0.1 },
    { kind: 'cosine', peakLr, minLr, decay: { fraction: 0.4 } },
    { kind: 'inverse-sqrt', peakLr, warmup },
    { kind: 'rewarm', peakLr, minLr, warmup, cycles: ['30 %', '70 %'] },
    ...DECAY_SHAPES.map(
      (shape): ScheduleInput => ({
        kind: 'infinite',
        peakLr,
        constantLr: 2,
        minLr,
        warmup,
        cooldown: { shape, length: '30 %' },
        anneal: { shape, length: '20 %' },
      }),
    ),
    ...DECAY_SHAPES.map(
      (shape): ScheduleInput => ({
        kind: 'wsds',
        peakLr,
        minLr,
        warmup,
        periods: ['50 %', '50 %'],
        decay: { shape, length: '20 %' },
      }),
    ),
    { kind: 'wsd', peakLr, minLr, warmup, decay: { shape: 'linear', length: '10 %' } },
    { kind: 'power', peakLr, a: 2, warmup, decay: { shape: 'cosine', length: '30 %' } },
  ];

  it('are the beginning of the whole, of every kind', () => {
    const tokensPerStep = 10;
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.integer({ min: 50, max: 1000 }),
        fc.double({ min: 0.02, max: 1, noNaN: true }),
        (schedule, wholeSteps, share) => {
          const totalSteps = Math.max(1, Math.round(wholeSteps * share));
          const whole = lrCurve(schedule, { totalSteps: wholeSteps, tokensPerStep });
          const horizon = `${wholeSteps * tokensPerStep} tokens`;
          const input = { ...schedule, horizon } as ScheduleInput;
          const cut = lrCurve(input, { totalSteps, tokensPerStep });
          let end = 0;
          for (const phase of cut.phases) {
            expect(phase.start).toBe(end);
            end = phase.end;
            expect(cut.at(end)).toBeCloseTo(phase.to, 12);
          }
          expect(end).toBe(totalSteps);
          for (let step = 1; step <= totalSteps; step++) {
            expect(cut.at(step)).toBeCloseTo(whole.at(step), 12);
          }
          // As a part of a row of schedules too.
          const parts = [{ length: '7 steps', schedule: { kind: 'constant' as const, peakLr: 1 } }];
          const row = {
            kind: 'composite',
            parts: [...parts, { schedule: input }],
          } as ScheduleInput;
          const composed = lrCurve(row, { totalSteps: totalSteps + 7, tokensPerStep });
          if (schedule.kind === 'power') return;
          for (let step = 1; step <= totalSteps; step += 3) {
            expect(composed.at(7 + step)).toBeCloseTo(whole.at(step), 11);
          }
        },
      ),
    );
  });

  it('have the rate of 4T of a cosine over 5T tokens', () => {
    const horizon = { totalSteps: 4000, tokensPerStep: 1e9 };
    const curve = lrCurve({ kind: 'cosine', peakLr, minLr, horizon: '5T tokens' }, horizon);
    const expected = minLr + ((peakLr - minLr) / 2) * (1 + Math.cos(Math.PI * 0.8));
    expect(curve.at(4000)).toBeCloseTo(expected, 14);
    expect(() => lrCurve({ kind: 'cosine', peakLr, horizon: '3T tokens' }, horizon)).toThrow(
      /horizon is 3000 steps, fewer than the 4000 of the whole/,
    );
  });
});

describe('lengths', () => {
  it('are read with their units', () => {
    expect(parseLength('1 %')).toEqual({ fraction: 0.01 });
    expect(parseLength('0.5%')).toEqual({ fraction: 0.005 });
    expect(parseLength('1_500 steps')).toEqual({ steps: 1500 });
    expect(parseLength('2.5B tokens')).toEqual({ tokens: 2.5e9 });
    expect(parseTokens('300B')).toBe(300e9);
    expect(parseTokens(12)).toBe(12);
  });

  it.each(['', '5', '0.1', '120 %', '-1 %', '5 epochs', '1 % of it', 'NaN steps', '1e999 steps'])(
    '%j is none',
    (text) => {
      expect(parseLength(text)).toBeNull();
    },
  );

  it('in tokens count by tokens of a step', () => {
    const warmup = '50k tokens';
    const curve = lrCurve(
      { kind: 'constant', peakLr: 1, warmup },
      { totalSteps: 1000, tokensPerStep: 500 },
    );
    expect(curve.at(50)).toBe(0.5);
    expect(() => lrCurve({ kind: 'constant', peakLr: 1, warmup }, { totalSteps: 1000 })).toThrow(
      /tokensPerStep/,
    );
  });
});

describe('what is refused', () => {
  const cosine = { kind: 'cosine', peakLr: 1, minLr: 0.1 } as const;
  it.each([
    ['a bare number as a length', { ...cosine, warmup: 0.01 }, /warmup: a length with its unit/],
    ['an unknown unit', { ...cosine, warmup: '3 epochs' }, /3 epochs/],
    ['a negative length', { ...cosine, warmup: { steps: -1 } }, /warmup/],
    [
      'phases that overlap',
      { ...cosine, warmup: '60 %', decay: '50 %' },
      /decay is 500 steps long, but 400 of 1000 are left/,
    ],
    [
      'a gap',
      {
        kind: 'infinite',
        peakLr: 1,
        constantLr: 0.5,
        cooldown: { shape: 'cosine', length: '10 %' },
        constant: '10 %',
      },
      /phases end at step 200 of 1000/,
    ],
    [
      'ends instead of lengths',
      {
        kind: 'infinite',
        peakLr: 1,
        constantLr: 0.5,
        minLr: 0.1,
        cooldown: { shape: 'cosine', length: '60 %' },
        constant: '85 %',
        anneal: { length: '15 %' },
      },
      /1600 steps long, but 1000 are left/,
    ],
    ['a peak below the least rate', { ...cosine, minLr: 2 }, /from 1 to 2/],
    [
      'an exponential to zero',
      { kind: 'infinite', constantLr: 1, anneal: { length: '10 %' } },
      /never reaches 0/,
    ],
    ['an unknown kind', { kind: 'sawtooth' }, /kind/],
    ['a key that is not there', { ...cosine, min_lr: 1 }, /min_lr/],
    ['a rate that is not finite', { ...cosine, peakLr: Number.POSITIVE_INFINITY }, /peakLr/],
    [
      'a peak that nothing leads down from',
      { kind: 'infinite', peakLr: 1, constantLr: 0.5 },
      /needs a cooldown/,
    ],
    ['cycles that leave a gap', { kind: 'rewarm', peakLr: 1, cycles: ['50 %'] }, /another cycle/],
  ])('%s', (_, input, message) => {
    const attempt = (): unknown =>
      lrCurve(input as ScheduleInput, { totalSteps: 1000 }, 'stage two');
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ code: 'SCHEDULE_INVALID' }));
    expect(attempt).toThrow(/^stage two: /);
  });

  it('ends that do not ascend', () => {
    expect(() =>
      infiniteFromEnds({
        peakLr: 1,
        constantLr: 0.5,
        minLr: 0.1,
        warmupEnd: 0.01,
        cooldownEnd: 0.59,
        constantEnd: 0.25,
      }),
    ).toThrow(/expected 0 <= warmupEnd/);
  });
});
