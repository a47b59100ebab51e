import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { scheduleFromNeoxLengths } from '../../../src/interop/neox-schedules.ts';
import {
  exportSchedule,
  SCHEDULE_TARGETS,
  type ScheduleTarget,
} from '../../../src/interop/schedules/export.ts';
import { interpolate } from '../../../src/interop/schedules/table.ts';
import { lrCurve } from '../../../src/schedules/curve.ts';
import { SCHEDULE_KINDS, type ScheduleInput } from '../../../src/schedules/spec.ts';
import { megatronExponential, upstreamRate } from '../upstream-schedules.ts';

const sequencesPerStep = 512;
const nCtx = 2048;
const tokensPerStep = sequencesPerStep * nCtx;
const ends = { peakLr: 3e-4, minLr: 3e-5 };
const warmup = { fraction: 0.01 };
const paper = {
  kind: 'infinite',
  ...ends,
  constantLr: 1.65e-4,
  warmup,
  cooldown: { shape: 'cosine', length: { fraction: 0.59 } },
  constant: { fraction: 0.25 },
  anneal: { shape: 'exponential' },
} as const;
const wsd = (shape: 'linear' | 'cosine' | '1-sqrt' | 'exponential', warm: boolean) =>
  ({
    kind: 'wsd',
    ...ends,
    ...(warm && { warmup }),
    decay: { shape, length: { fraction: 0.2 } },
  }) as const;

/** Every kind of schedule, some of them in several forms. */
const SCHEDULES: Readonly<Record<string, ScheduleInput>> = {
  constant: { kind: 'constant', peakLr: 3e-4 },
  'constant, warm-up': { kind: 'constant', peakLr: 3e-4, warmup },
  'constant, warm-up from a rate': { kind: 'constant', peakLr: 3e-4, warmup, warmupStartLr: 1e-5 },
  linear: { kind: 'linear', ...ends, warmup },
  'linear to 0': { kind: 'linear', peakLr: 3e-4, warmup },
  'linear, flat end': { kind: 'linear', ...ends, decay: { fraction: 0.6 } },
  cosine: { kind: 'cosine', ...ends, warmup },
  'cosine, no warm-up': { kind: 'cosine', ...ends },
  'cosine, warm-up from a rate': { kind: 'cosine', ...ends, warmup, warmupStartLr: 1e-5 },
  'cosine, flat end': { kind: 'cosine', ...ends, warmup, decay: { fraction: 0.8 } },
  'cosine, cut off': { kind: 'cosine', ...ends, warmup, horizon: '2500 steps' },
  'linear, cut off': { kind: 'linear', ...ends, warmup, horizon: '2500 steps' },
  'wsd, cut off': { ...wsd('linear', true), horizon: '2500 steps' },
  'infinite, cut off': { ...paper, horizon: '2500 steps' },
  'inverse-sqrt': { kind: 'inverse-sqrt', peakLr: 3e-4, warmup },
  rewarm: { kind: 'rewarm', ...ends, warmup, cycles: [{ fraction: 0.5 }, { fraction: 0.5 }] },
  'rewarm, linear': {
    kind: 'rewarm',
    ...ends,
    warmup,
    decayShape: 'linear',
    cycles: [{ fraction: 0.5 }, { fraction: 0.5 }],
  },
  'infinite, the paper’s': paper,
  'infinite, not annealed': { ...paper, constant: undefined, anneal: undefined },
  'infinite, linear anneal': { ...paper, anneal: { shape: 'linear' } },
  'anneal alone': {
    kind: 'infinite',
    constantLr: 1.65e-4,
    minLr: 3e-5,
    constant: { steps: 0 },
    anneal: {},
  },
  'constant, anneal': {
    kind: 'infinite',
    constantLr: 1.65e-4,
    minLr: 3e-5,
    constant: { fraction: 0.85 },
    anneal: {},
  },
  'wsd, linear': wsd('linear', true),
  'wsd, cosine': wsd('cosine', true),
  'wsd, 1-sqrt': wsd('1-sqrt', true),
  'wsd, 1-sqrt, no warm-up': wsd('1-sqrt', false),
  'wsd, exponential': wsd('exponential', true),
  wsds: {
    kind: 'wsds',
    ...ends,
    warmup,
    periods: [{ fraction: 0.5 }, { fraction: 0.5 }],
    decay: { shape: 'linear', length: { fraction: 0.2 } },
  },
  power: {
    kind: 'power',
    peakLr: 1,
    a: 40,
    warmup,
    decay: { shape: 'linear', length: { fraction: 0.1 } },
  },
  composite: {
    kind: 'composite',
    parts: [
      { length: { fraction: 0.5 }, schedule: { kind: 'cosine', ...ends, warmup } },
      { schedule: { kind: 'constant', peakLr: 3e-5 } },
    ],
  },
};

const exported = (target: ScheduleTarget, schedule: ScheduleInput, totalSteps: number) => {
  const curve = lrCurve(schedule, { totalSteps, tokensPerStep });
  return { curve, ...exportSchedule(target, { curve, sequencesPerStep, nCtx }) };
};

/** Rows of an exported table. */
function rowsOf(text: string): { steps: number[]; rates: number[] } {
  const rows = text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',').map(Number) as [number, number]);
  return { steps: rows.map(([step]) => step), rates: rows.map(([, rate]) => rate) };
}

/** First and last steps, those around phases, and some between. */
function sampledSteps(totalSteps: number, edges: readonly number[]): number[] {
  const steps = new Set<number>();
  for (let at = 0; at < 500; at++) steps.add(1 + Math.floor((at * totalSteps) / 500));
  for (const edge of [0, totalSteps, ...edges]) {
    for (let near = -3; near <= 3; near++) steps.add(Math.floor(edge) + near);
  }
  return [...steps].filter((step) => step >= 1 && step <= totalSteps);
}

const cases = SCHEDULE_TARGETS.flatMap((target) =>
  Object.keys(SCHEDULES).map((schedule) => [target, schedule] as const),
);

describe('exportSchedule', () => {
  it('is tried with every kind of schedule', () => {
    const kinds = new Set(Object.values(SCHEDULES).map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual([...SCHEDULE_KINDS].sort());
  });

  // 2000 steps: phases end on whole steps. 1987: they do not.
  it.each([2000, 1987])('what trainers make of the exported text, %i steps', (totalSteps) => {
    let nExact = 0;
    for (const [target, schedule] of cases) {
      const { curve, form, exact, files, deviation, warnings } = exported(
        target,
        SCHEDULES[schedule]!,
        totalSteps,
      );
      const what = `${target}, ${schedule}, ${totalSteps} steps`;
      const table = files.find(({ name }) => name === 'lr-table.csv');
      const rows = table && rowsOf(table.text);
      const rate =
        form === 'native'
          ? upstreamRate(target, files[0]!.text)
          : (step: number) => interpolate(rows!, step);
      let largest = 0;
      const edges = curve.phases.flatMap(({ start, end }) => [start, end]);
      for (const step of sampledSteps(totalSteps, edges)) {
        const expected = curve.at(step);
        const difference = Math.abs(rate(step) - expected);
        if (exact && !(difference <= 1e-6 * expected + 1e-16)) {
          throw new Error(`${what}, step ${step}: expected ${expected}, received ${rate(step)}`);
        }
        largest = Math.max(largest, difference);
      }
      const peak = Math.max(...curve.phases.map(({ from, to }) => Math.max(from, to)));
      expect(largest / peak, what).toBeLessThanOrEqual(deviation.ofPeak * (1 + 1e-9) + 1e-12);
      // Not exact, or not its own: said in words.
      expect(warnings.length > 0, what).toBe(!exact || form === 'table');
      if (form === 'native' && !exact) {
        expect(largest / peak, what).toBeGreaterThan(0);
        expect(deviation.ofPeak, what).toBeLessThanOrEqual(0.01);
        // The exact table lies beside it.
        expect(rows, what).toBeDefined();
        expect(warnings[0], what).toContain(`step ${deviation.step}`);
      }
      if (form === 'native' && exact) nExact++;
    }
    expect(nExact).toBeGreaterThan(totalSteps === 2000 ? 50 : 20);
  });

  it('never writes the paper’s anneal as what Megatron-LM calls exponential', () => {
    // They are two functions…
    const { peakLr: from, minLr: to } = { peakLr: 1.65e-4, minLr: 3e-5 };
    const ours = (x: number) => from * (to / from) ** x;
    const theirs = (x: number) => to + (from - to) * megatronExponential(x);
    expect(Math.abs(ours(0.5) / theirs(0.5) - 1)).toBeGreaterThan(0.15);
    // …but for one ratio, and even there it is not written.
    for (const schedule of [
      paper,
      wsd('exponential', true),
      SCHEDULES['constant, anneal']!,
      SCHEDULES['anneal alone']!,
      { kind: 'infinite', constantLr: 2e-4, minLr: 1e-4, constant: { fraction: 0.8 }, anneal: {} },
    ] as const) {
      const { form, files, exact, warnings } = exported('megatron', schedule, 2000);
      expect(form).toBe('table');
      expect(exact).toBe(true);
      expect(warnings.join()).toMatch(/(anneal|decay) \(exponential\)/);
      for (const { name, text } of files) {
        if (name.endsWith('.args')) expect(text).not.toMatch(/exponential|wsd/i);
      }
    }
  });

  it.each([
    ['gpt-neox', 'exact', ['constant']],
    [
      'hf',
      'exact',
      ['cosine', 'cosine, no warm-up', 'wsd, 1-sqrt, no warm-up', 'constant, warm-up'],
    ],
    [
      'megatron',
      'exact',
      [
        'cosine',
        'cosine, no warm-up',
        'cosine, cut off',
        'linear',
        'wsd, 1-sqrt',
        'infinite, not annealed',
      ],
    ],
    ['torchtitan', 'exact', ['wsd, cosine', 'wsd, 1-sqrt', 'constant, warm-up']],
    ['nanotron', 'exact', ['constant', 'wsd, 1-sqrt, no warm-up']],
    [
      'olmo-core',
      'exact',
      [
        'cosine',
        'cosine, cut off',
        'rewarm',
        'wsds',
        'power',
        'inverse-sqrt',
        'infinite, linear anneal',
        'composite',
      ],
    ],
    ['litgpt', 'exact', ['constant']],
  ] as const)('%s: its own options are %s', (target, _, schedules) => {
    for (const schedule of schedules) {
      const { form, exact } = exported(target, SCHEDULES[schedule]!, 2000);
      expect({ schedule, form, exact }).toEqual({ schedule, form: 'native', exact: true });
    }
  });

  it('OLMo-core ends phases on tokens where they do not end on steps', () => {
    const { exact, files } = exported('olmo-core', SCHEDULES['cosine']!, 132_366);
    expect(exact).toBe(true);
    expect(files[0]!.text).toContain('units=SchedulerUnits.tokens');
  });

  it('says what a trainer has no form for', () => {
    const words = (target: ScheduleTarget, schedule: string) =>
      exported(target, SCHEDULES[schedule]!, 2000).warnings.join('; ');
    expect(words('megatron', 'infinite, the paper’s')).toContain('anneal (exponential)');
    expect(words('olmo-core', 'infinite, the paper’s')).toContain('anneal (exponential)');
    expect(words('gpt-neox', 'wsd, cosine')).toContain('no constant phase in front');
    expect(words('litgpt', 'wsd, cosine')).toContain('no constant phase in front');
    expect(words('torchtitan', 'cosine, flat end')).toContain('no constant phase behind');
    expect(words('hf', 'rewarm')).toContain('one descent');
  });

  it('a trainer that counts on gets a table with its offset', () => {
    const curve = lrCurve(SCHEDULES['cosine']!, { totalSteps: 200 });
    const { form, files, warnings } = exportSchedule('megatron', {
      curve,
      sequencesPerStep,
      nCtx,
      firstStep: 300,
    });
    expect(form).toBe('table');
    expect(warnings[0]).toContain('step 300');
    const text = (name: string) => files.find((file) => file.name === name)!.text;
    expect(text('megatron_lr_table.py')).toContain('FIRST_STEP = 300');
    expect(text('schedule.args')).toContain('--train-iters 500');
  });

  it('an infinite schedule for the branch of gpt-neox comes back as it was', () => {
    for (const shape of ['cosine', 'inverse-sqrt'] as const) {
      const schedule = {
        ...paper,
        cooldown: { ...paper.cooldown, shape, ...(shape === 'inverse-sqrt' && { timescale: 10 }) },
      };
      const { curve, files, warnings } = exported('gpt-neox', schedule, 1987);
      const file = files.find(({ name }) => name === 'schedule-infinite_lr.yml')!;
      const back = lrCurve(scheduleFromNeoxLengths(file.text), { totalSteps: 1987 });
      for (let step = 1; step <= 1987; step++) {
        expect(Math.abs(back.at(step) / curve.at(step) - 1)).toBeLessThan(1e-9);
      }
      expect(warnings.join()).toContain('branch infinite_lr');
    }
    const { files } = exported('gpt-neox', SCHEDULES['constant, anneal']!, 1987);
    expect(files.map(({ name }) => name)).not.toContain('schedule-infinite_lr.yml');
  });

  it('litgpt comes nearer with more micro-batches in a step', () => {
    const curve = lrCurve(SCHEDULES['cosine']!, { totalSteps: 2000 });
    const off = (iterationsPerStep: number) =>
      exportSchedule('litgpt', { curve, sequencesPerStep, nCtx, iterationsPerStep, tolerance: 1 });
    expect(off(64).deviation.ofPeak).toBeLessThan(off(1).deviation.ofPeak / 32);
    const rate = upstreamRate('litgpt', off(64).files[0]!.text, 64);
    const { ofPeak, step } = off(64).deviation;
    expect(Math.abs(rate(step) - curve.at(step)) / 3e-4).toBeCloseTo(ofPeak, 9);
  });

  it('refuses what it cannot mean', () => {
    const curve = lrCurve(SCHEDULES['cosine']!, { totalSteps: 10 });
    const options = { curve, sequencesPerStep, nCtx };
    expect(() => exportSchedule('other' as ScheduleTarget, options)).toThrow(/gpt-neox/);
    expect(() => exportSchedule('hf', { ...options, sequencesPerStep: 0 })).toThrow(
      /sequencesPerStep/,
    );
    expect(() => exportSchedule('hf', { ...options, firstStep: 5 })).toThrow(/firstStep/);
    const half = lrCurve(SCHEDULES['cosine']!, { totalSteps: 10.5 });
    expect(() => exportSchedule('hf', { ...options, curve: half })).toThrow(/totalSteps/);
  });

  it('does what the table of docs/commands/continue-export.md says', () => {
    const page = new URL('../../../docs/commands/continue-export.md', import.meta.url);
    const readme = readFileSync(page, 'utf8');
    const rows: Readonly<Record<string, readonly string[]>> = {
      'constant, no warm-up': ['constant'],
      constant: ['constant, warm-up'],
      linear: ['linear', 'linear to 0'],
      cosine: ['cosine'],
      'cosine, flat end': ['cosine, flat end'],
      'inverse-sqrt': ['inverse-sqrt'],
      'rewarm, wsds (linear)': ['rewarm', 'wsds'],
      'infinite, exponential anneal (the paper)': ['infinite, the paper’s'],
      'infinite, cosine cooldown, not annealed': ['infinite, not annealed'],
      'infinite, linear anneal': ['infinite, linear anneal'],
      'exponential anneal alone, no warm-up': ['anneal alone'],
      'wsd, linear or cosine': ['wsd, linear', 'wsd, cosine'],
      'wsd, 1-sqrt': ['wsd, 1-sqrt'],
      'wsd, 1-sqrt, no warm-up': ['wsd, 1-sqrt, no warm-up'],
      'wsd, exponential': ['wsd, exponential'],
      'power, linear decay': ['power'],
    };
    for (const [label, schedules] of Object.entries(rows)) {
      for (const schedule of schedules) {
        const cells = SCHEDULE_TARGETS.map((target) => {
          const { form, exact } = exported(target, SCHEDULES[schedule]!, 20_000);
          return form === 'table' ? 'table' : exact ? 'own' : 'near';
        });
        expect(readme).toContain(`| ${label} | ${cells.join(' | ')} |`);
      }
    }
  });
});
