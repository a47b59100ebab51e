/**
 * What the bench of continual pre-training runs, by seed: the paper's grid under one shift with the restart from the
 * constant phase beside it, and infinite schedules over three splits of one language.
 */
import type { LossCurve } from '../../src/continual/fit/loss-curves.ts';
import { mergeWeights } from '../../src/schedules/merge-weights.ts';
import type { ScheduleInput } from '../../src/schedules/spec.ts';
import type { Checkpoint, Lab, LabRun, RunRequest } from './continual-runs.ts';

/** Losses by row; `old` and `new` under a shift, one loss for each split otherwise. */
export type Rows = Record<string, readonly number[]>;

/** What a seed gave under a shift. */
export interface ShiftResult {
  /** By row: loss on old and on new data. */
  readonly grid: Rows;
  /** By row: the same, from the annealed and from the constant checkpoint. */
  readonly restart: Rows;
  /** By row: highest rise of the old loss in the first steps over that at the start. */
  readonly transients: Rows;
  /** Old and new losses along four schedules, for the loss law. */
  readonly curves: { readonly old: readonly LossCurve[]; readonly new: readonly LossCurve[] };
}

/** Shares of replay of the paper, and those that it has for one of the shifts only. */
export const REPLAYS = [0, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5] as const;
const RESTARTS = [0, 0.05, 0.25] as const;
/** Of η_max; the paper's 1.65e-4 by 3e-4. */
const CONSTANT = 0.55;
const ANNEAL = 0.15;
const COOLDOWN = 0.6;

/** The grid under a shift. */
export async function runShift(
  lab: Lab,
  shift: 'weak' | 'strong',
  log: (line: string) => void,
): Promise<ShiftResult> {
  const { peakLr, minLr, nSteps, warmup } = lab.settings;
  const measure = Math.max(1, Math.round(nSteps / 30));
  const grid: Rows = {};
  const losses = ({ losses: own }: Checkpoint): readonly number[] => [own['old']!, own[shift]!];
  const base = await lab.run({
    name: 'base',
    data: { old: 1 },
    schedule: lab.cosine(),
    evalEvery: measure,
  });
  grid['D0 only'] = losses(base);
  const fromBase = async (row: string, request: Partial<RunRequest> = {}): Promise<LabRun> => {
    const run = await lab.run({
      name: `run-${Object.keys(grid).length}`,
      from: base,
      data: { [shift]: 1 },
      schedule: lab.cosine(),
      ...request,
    });
    grid[row] = losses(run);
    log(`${shift}, ${row}: ${grid[row].map((loss) => loss.toFixed(3)).join(' ')}`);
    return run;
  };
  const fresh = async (row: string, request: Partial<RunRequest>): Promise<void> => {
    const run = await lab.run({ name: row, data: {}, schedule: lab.cosine(), ...request });
    grid[row] = losses(run);
  };
  await fresh('D1 only', { data: { [shift]: 1 } });
  await fresh('union, 2× compute', { data: { old: 1, [shift]: 1 }, nSteps: 2 * nSteps });
  const curve = { evalEvery: measure };
  const rewarmed: LabRun[] = [];
  for (const replay of REPLAYS) {
    const run = await fromBase(`${Number((100 * replay).toFixed(2))} %`, {
      replay,
      ...(replay === 0 && curve),
    });
    if (RESTARTS.some((share) => share === replay)) rewarmed.push(run);
  }
  const flat: ScheduleInput = { kind: 'constant', peakLr, warmup: { fraction: warmup } };
  const followed = [
    rewarmed[0]!,
    await fromBase('constant η_min', { schedule: { kind: 'constant', peakLr: minLr }, ...curve }),
    await fromBase('constant η_max (no re-decay)', { schedule: flat, ...curve }),
    await fromBase('½ η_max', { schedule: lab.cosine(peakLr / 2), ...curve }),
  ];
  await fromBase('2 η_max', { schedule: lab.cosine(2 * peakLr) });
  for (const share of [0, 0.005, 0.02]) {
    await fromBase(`warm-up ${100 * share} %`, { schedule: lab.cosine(peakLr, share) });
  }
  await fromBase('optimizer kept', { optimizer: 'keep' });
  await fromBase('5 %, reshuffled', { replay: 0.05, order: 'reshuffled' });

  const transients: Rows = {};
  const early = async (row: string, request: Partial<RunRequest>): Promise<void> => {
    const run = await lab.run({
      name: 'early',
      from: base,
      data: { old: 1 },
      schedule: lab.cosine(),
      evalEvery: 10,
      stopAt: 60,
      ...request,
    });
    const start = run.measured[0]![1]['old']!;
    transients[row] = [Math.max(...run.measured.map(([, own]) => own['old']!)) - start];
  };
  const shifted = { data: { [shift]: 1 } };
  await early('same data, η_max', {});
  await early('same data, 2 η_max', { schedule: lab.cosine(2 * peakLr) });
  await early('same data, constant η_min', { schedule: { kind: 'constant', peakLr: minLr } });
  await early('shift, η_max', shifted);
  await early('shift, 2 η_max', { ...shifted, schedule: lab.cosine(2 * peakLr) });
  const second = { ...shifted, evalEvery: 1, stopAt: 2 };
  await early('shift, two steps, warm-up 0 %', { ...second, schedule: lab.cosine(peakLr, 0) });
  await early('shift, two steps, warm-up 1 %', second);

  const restart: Rows = {};
  const constantLr = CONSTANT * peakLr;
  const infinite = await lab.run({
    name: 'infinite',
    data: { old: 1 },
    schedule: infiniteOf(lab),
    keepConstant: true,
  });
  for (const [index, replay] of RESTARTS.entries()) {
    const run = await lab.run({
      name: 'restart',
      from: infinite.constant!,
      optimizer: 'keep',
      data: { [shift]: 1 },
      replay,
      schedule: { kind: 'infinite', constantLr, minLr, anneal: { length: { fraction: ANNEAL } } },
    });
    restart[`${100 * replay} %`] = [...losses(rewarmed[index]!), ...losses(run)];
  }
  const curvesOf = (set: string): LossCurve[] =>
    followed.map((run, index) => ({
      name: ['η_max', 'constant η_min', 'constant η_max', '½ η_max'][index]!,
      pretrainLr: base.rates,
      continueLr: run.rates,
      pretrainLosses: lossesOf(base, set),
      continueLosses: lossesOf(run, set),
    }));
  return { grid, restart, transients, curves: { old: curvesOf('old'), new: curvesOf(shift) } };
}

function lossesOf({ measured }: LabRun, set: string) {
  return measured.flatMap(([step, own]) => (step > 0 ? [{ step, loss: own[set]! }] : []));
}

/** Warm-up, cooldown, constant, anneal: the paper's lengths. */
function infiniteOf({ settings: { peakLr, minLr, warmup } }: Lab): ScheduleInput {
  return {
    kind: 'infinite',
    peakLr,
    constantLr: CONSTANT * peakLr,
    minLr,
    warmup: { fraction: warmup },
    cooldown: { shape: 'cosine', length: { fraction: COOLDOWN - warmup } },
    anneal: { length: { fraction: ANNEAL } },
  };
}

/** Checkpoints of a window, the one in front of it included. */
const N_MERGED = 13;
/** The decay's own steps, and the last half of them. */
const WINDOWS = [
  ['10 %', 1],
  ['5 %', 0.5],
] as const;

/** The same steps at the constant rate instead of a decay: their end, and their checkpoints merged. */
async function mergeRows(
  lab: Lab,
  stable: Checkpoint,
  nSteps: number,
  add: (row: string, loss: number) => void,
): Promise<void> {
  const { peakLr, minLr } = lab.settings;
  const every = Math.max(1, Math.floor(nSteps / (N_MERGED - 1)));
  const steps = Array.from({ length: N_MERGED }, (_, at) => nSteps - (N_MERGED - 1 - at) * every);
  const flat = await lab.run({
    ...{ name: 'flat', from: stable, optimizer: 'keep', data: { old: 1 }, nSteps },
    schedule: { kind: 'constant', peakLr },
    keepWeights: steps,
  });
  add('constant to the end, no decay', flat.losses['old']!);
  for (const [window, share] of WINDOWS) {
    const nCheckpoints = 1 + Math.round((N_MERGED - 1) * share);
    for (const shape of ['1-sqrt', 'linear', 'exponential'] as const) {
      const end = minLr / peakLr;
      const shares = mergeWeights({ shape, nCheckpoints, stepsBetween: every, end });
      const losses = await lab.measureMerge(flat.weights.slice(-nCheckpoints), shares);
      add(`constant, last ${window} merged as ${shape}`, losses['old']!);
    }
  }
}

/** Rows of the schedules over three splits: the old loss behind each; NaN where there is none. */
export async function runInfinite(lab: Lab, log: (line: string) => void): Promise<Rows> {
  const { peakLr, minLr, nSteps, warmup } = lab.settings;
  const rows: Rows = {};
  const oldOf = ({ losses }: Checkpoint): number => losses['old']!;
  const data = { old: 1 };
  const say = (row: string): void => {
    log(`${row}: ${rows[row]!.map((loss) => loss.toFixed(3)).join(' ')}`);
  };
  for (const optimizer of ['reset', 'keep'] as const) {
    const ends: number[] = [];
    let from: Checkpoint | undefined;
    for (let split = 0; split < 3; split++) {
      from = await lab.run({
        name: `cosine-${split}`,
        ...(from && { from, optimizer }),
        data,
        schedule: lab.cosine(),
      });
      ends.push(oldOf(from));
    }
    const row = `repeated cosine, optimizer ${optimizer === 'reset' ? 'reset' : 'kept'}`;
    rows[row] = ends;
    say(row);
  }
  const constantLr = CONSTANT * peakLr;
  const annealSteps = Math.round(ANNEAL * nSteps);
  const headSteps = nSteps - annealSteps;
  for (const shape of ['cosine', 'inverse-sqrt'] as const) {
    const annealed: number[] = [];
    const flat: number[] = [];
    let from: Checkpoint | undefined;
    for (let split = 0; split < 3; split++) {
      const head: LabRun = await lab.run({
        name: `head-${split}`,
        ...(from && { from, optimizer: 'keep' as const }),
        data,
        nSteps: headSteps,
        schedule: from
          ? { kind: 'constant', peakLr: constantLr }
          : {
              kind: 'infinite',
              peakLr,
              constantLr,
              warmup: { steps: warmup * nSteps },
              cooldown: {
                shape,
                length: { steps: (COOLDOWN - warmup) * nSteps },
                ...(shape === 'inverse-sqrt' && { timescale: 10 }),
              },
            },
      });
      const branch = await lab.run({
        name: `branch-${split}`,
        from: head,
        optimizer: 'keep',
        data,
        nSteps: annealSteps,
        schedule: { kind: 'infinite', constantLr, minLr, constant: { steps: 0 }, anneal: {} },
      });
      from = await lab.run({
        name: `tail-${split}`,
        from: head,
        optimizer: 'keep',
        data,
        nSteps: annealSteps,
        schedule: { kind: 'constant', peakLr: constantLr },
      });
      annealed.push(oldOf(branch));
      flat.push(oldOf(from));
    }
    rows[`infinite, ${shape} cooldown, annealed`] = annealed;
    rows[`infinite, ${shape} cooldown, not annealed`] = flat;
    say(`infinite, ${shape} cooldown, annealed`);
  }
  const whole = await lab.run({
    name: 'whole',
    data,
    nSteps: 3 * nSteps,
    schedule: lab.cosine(peakLr, warmup / 3),
  });
  rows['cosine over all three (length known)'] = [Number.NaN, Number.NaN, oldOf(whole)];
  const decaySteps = Math.round(0.3 * nSteps);
  const stable = await lab.run({
    name: 'stable',
    data,
    nSteps: 3 * nSteps - decaySteps,
    schedule: { kind: 'constant', peakLr, warmup: { steps: warmup * nSteps } },
  });
  for (const shape of ['1-sqrt', 'linear', 'exponential'] as const) {
    const run = await lab.run({
      name: `decay-${shape}`,
      from: stable,
      optimizer: 'keep',
      data,
      nSteps: decaySteps,
      schedule: { kind: 'wsd', peakLr, minLr, decay: { shape } },
    });
    rows[`WSD, last 10 % ${shape}`] = [Number.NaN, Number.NaN, oldOf(run)];
    say(`WSD, last 10 % ${shape}`);
  }
  await mergeRows(lab, stable, decaySteps, (row, loss) => {
    rows[row] = [Number.NaN, Number.NaN, loss];
    say(row);
  });
  return rows;
}
