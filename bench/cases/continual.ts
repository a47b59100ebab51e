/**
 * Case `continual`: the relations of continual pre-training (arXiv 2403.08763) at our scale, beside the paper's figures.
 *
 *     old language ─► weak shift, strong shift ─► replay, rates, warm-ups, checkpoints, three seeds
 *     old language, three splits ─► repeated cosine, infinite schedules, WSD
 *
 * Two trainers of one thread each work side by side. The paper's models have 405M parameters and learn 300B tokens of
 * real text; ours have 0.08M and learn 0.6M bytes of a synthetic language: levels say nothing, relations do.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fitLaw } from '../../src/continual/fit/fit-law.ts';
import { fitReplay, lossAt } from '../../src/continual/fit/fit-replay.ts';
import type { Pilot } from '../../src/continual/fit/pilots.ts';
import type { Bench, BenchTable } from '../types.ts';
import { REPLAYS, type Rows, runInfinite, runShift, type ShiftResult } from './continual-jobs.ts';
import { LARGE, Lab, SMALL } from './continual-runs.ts';

const SEEDS = [0, 1, 2];
const N_LANES = 2;
const LAW_LAMBDA = 0.99;

/** Table 2 of the paper: Pile and SlimPajama (weak), Pile and German (strong); D0, D1 and their mean. */
const PAPER = {
  weak: {
    'D0 only': ['2.17', '', ''],
    'union, 2× compute': ['2.17', '2.53', '2.35'],
    '0 %': ['2.44', '2.50', '2.47'],
    '0.5 %': ['2.27', '2.50', '2.39'],
    '1 %': ['2.26', '2.50', '2.38'],
    '5 %': ['2.23', '2.51', '2.37'],
    '10 %': ['2.21', '2.51', '2.36'],
    '50 %': ['2.16', '2.54', '2.35'],
  },
  strong: {
    'D0 only': ['2.17', '', ''],
    'union, 2× compute': ['2.26', '1.25', '1.75'],
    '0 %': ['3.56', '1.11', '2.34'],
    '1 %': ['2.83', '1.12', '1.97'],
    '5 %': ['2.57', '1.12', '1.85'],
    '10 %': ['2.46', '1.13', '1.80'],
    '25 %': ['2.33', '1.16', '1.75'],
    '50 %': ['2.24', '1.22', '1.73'],
  },
} as const;

type Shift = 'weak' | 'strong';

export const bench: Bench = {
  name: 'continual',
  async run({ quick, log }) {
    const settings = quick ? SMALL : LARGE;
    const seeds = quick ? [0] : SEEDS;
    const shifts: Record<Shift, ShiftResult[]> = { weak: [], strong: [] };
    const infinite: Rows[] = [];
    const jobs = seeds.flatMap((seed) => [
      ...(['weak', 'strong'] as const).map(
        (shift) => () =>
          inLab(seed, async (lab) => {
            shifts[shift].push(await runShift(lab, shift, (line) => log(`seed ${seed}: ${line}`)));
          }),
      ),
      () =>
        inLab(seed, async (lab) => {
          infinite.push(await runInfinite(lab, (line) => log(`seed ${seed}: ${line}`)));
        }),
    ]);
    const inLab = async (seed: number, work: (lab: Lab) => Promise<void>): Promise<void> => {
      const folder = mkdtempSync(join(tmpdir(), 'gristmill-continual-'));
      // Three splits of the old language, or the base and what is learnt of it again.
      const lab = await Lab.open({ ...settings, oldPhases: 3 }, folder, seed);
      try {
        await work(lab);
      } finally {
        await lab.dispose();
        rmSync(folder, { recursive: true, force: true });
      }
    };
    const lane = async (): Promise<void> => {
      for (let job = jobs.shift(); job; job = jobs.shift()) await job();
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: N_LANES }, lane));
    const minutes = ((performance.now() - start) / 60_000).toFixed(0);
    const size = `${settings.nSteps} steps of ${settings.nSeq * settings.nCtx} tokens a phase, η ${settings.peakLr} to ${settings.minLr}, ${seeds.length} seeds, ${minutes} minutes`;
    return [
      gridTable('weak', shifts.weak, size),
      gridTable('strong', shifts.strong, size),
      infiniteTable(infinite),
      restartTable(shifts),
      transientTable(shifts),
      fitTable(shifts),
    ];
  },
};

/** Mean and standard deviation, where there is more than one. */
function spread(values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (!Number.isFinite(mean)) return '–';
  if (values.length < 2) return mean.toFixed(3);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return `${mean.toFixed(3)} ± ${Math.sqrt(squares / (values.length - 1)).toFixed(3)}`;
}

function gridTable(shift: Shift, results: readonly ShiftResult[], size: string): BenchTable {
  const grids = results.map(({ grid }) => grid);
  const paper: Readonly<Record<string, readonly string[]>> = PAPER[shift];
  const rows = Object.keys(grids[0] ?? {}).map((row) => {
    const old = grids.map((grid) => grid[row]![0]!);
    const fresh = grids.map((grid) => grid[row]![1]!);
    const average = old.map((loss, at) => (loss + fresh[at]!) / 2);
    return [row, ...[old, fresh, average].map(spread), ...(paper[row] ?? ['', '', ''])];
  });
  const averageOf = (row: string): number[] =>
    grids.map((grid) => (grid[row]![0]! + grid[row]![1]!) / 2);
  const union = averageOf('union, 2× compute');
  const chosen = shift === 'weak' ? '5 %' : '25 %';
  const gaps = [chosen, '50 %'].map((row) => {
    const differences = averageOf(row).map((average, at) => average - union[at]!);
    return `${row} replay ${spread(differences)}`;
  });
  return {
    title: `A ${shift} shift: validation losses, nats a token (ours a byte)`,
    columns: ['run', 'D0', 'D1', 'mean', 'paper D0', 'paper D1', 'paper mean'],
    rows,
    notes: [size, `R5, mean above that of the union: ${gaps.join(', ')}`],
  };
}

function infiniteTable(results: readonly Rows[]): BenchTable {
  return {
    title: 'Schedules over three splits of the old language: its validation loss',
    columns: ['schedule', 'split 1', 'split 2', 'split 3'],
    rows: Object.keys(results[0] ?? {}).map((row) => [
      row,
      ...[0, 1, 2].map((split) => spread(results.map((rows) => rows[row]![split]!))),
    ]),
    notes: ['the last 15 % of a split anneal; cosine and WSD over all three have one end'],
  };
}

function restartTable(shifts: Readonly<Record<Shift, readonly ShiftResult[]>>): BenchTable {
  return {
    title: 'Continuing after the anneal, warmed up again, or from the constant phase on',
    columns: ['shift, replay', 'annealed: D0', 'D1', 'constant: D0', 'D1'],
    rows: (['weak', 'strong'] as const).flatMap((shift) =>
      Object.keys(shifts[shift][0]?.restart ?? {}).map((row) => [
        `${shift}, ${row}`,
        ...[0, 1, 2, 3].map((at) => spread(shifts[shift].map(({ restart }) => restart[row]![at]!))),
      ]),
    ),
    notes: [
      'from the constant phase 15 % of the old tokens are not learnt, and the optimizer is kept',
    ],
  };
}

function transientTable(shifts: Readonly<Record<Shift, readonly ShiftResult[]>>): BenchTable {
  const rows = Object.keys(shifts.weak[0]?.transients ?? {});
  return {
    title: 'Highest rise of the old loss within 60 steps of a new warm-up',
    columns: ['run', 'weak', 'strong'],
    rows: rows.map((row) => [
      row,
      ...(['weak', 'strong'] as const).map((shift) =>
        spread(shifts[shift].map(({ transients }) => transients[row]![0]!)),
      ),
    ]),
    notes: ['measured every 10 steps; where it says two steps, at 1 and 2'],
  };
}

/** What the fits make of these runs: means over the seeds as pilots, and the curves of each seed. */
function fitTable(shifts: Readonly<Record<Shift, readonly ShiftResult[]>>): BenchTable {
  const rows: (string | number)[][] = [];
  for (const shift of ['weak', 'strong'] as const) {
    const grids = shifts[shift].map(({ grid }) => grid);
    const pilots = REPLAYS.map((replay): Pilot => {
      const row = `${Number((100 * replay).toFixed(2))} %`;
      const meanOf = (at: number): number =>
        grids.reduce((sum, grid) => sum + grid[row]![at]!, 0) / grids.length;
      return { replay, losses: { old: meanOf(0), new: meanOf(1) } };
    });
    const few = pilots.filter(({ replay }) => [0, 0.01, 0.05, 0.25].includes(replay));
    const last = pilots.at(-1)!;
    const whole = fitReplay({ pilots, old: ['old'], new: ['new'] });
    const unbracketed = fitReplay({ pilots: few, old: ['old'], new: ['new'] });
    for (const [index, { set, rmse, leaveOneOut }] of whole.losses.entries()) {
      const beyond = lossAt(unbracketed.losses[index]!, last) - last.losses[set]!;
      const laws = shifts[shift].map(({ curves }) =>
        fitLaw({ curves: set === 'old' ? curves.old : curves.new, lambda: LAW_LAMBDA }),
      );
      rows.push([
        `${shift}, ${set}`,
        rmse.toFixed(4),
        leaveOneOut!.rmse.toFixed(4),
        leaveOneOut!.largestAtEnds.toFixed(3),
        beyond.toFixed(3),
        spread(laws.map((law) => law.rmse)),
        spread(laws.map((law) => law.leftOut.rmse)),
      ]);
    }
  }
  return {
    title: 'Fits of these runs: replay (seven pilots) and the loss law (four schedules)',
    columns: [
      'loss',
      'replay: RMSE',
      'left out, inside',
      'left out, ends',
      '50 % from 0, 1, 5, 25 %',
      'law: RMSE',
      'schedule left out',
    ],
    rows,
    notes: [`λ of the law ${LAW_LAMBDA}`],
  };
}
