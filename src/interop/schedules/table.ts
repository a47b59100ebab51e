/**
 * A curve as a table: `step,lr`, and the stretch of Python that reads it.
 *
 * Up to `maxRows` steps every step is a row. Beyond, rows are breakpoints with straight lines between them, laid so that
 * no step is off by more than 1e-6 of its rate; if that takes more than `maxRows`, the bound is doubled until it
 * fits. What the lines are off by is measured at every step, not derived.
 *
 * The reader is of the standard library alone, so that each trainer's loader is a few lines around rate(step).
 */
import type { LrCurve } from '../../schedules/curve.ts';
import { type Deviation, deviationOf, EXACT, largestRate } from './measure.ts';
import { decimal, type ExportFile } from './target.ts';

/** A table. */
export interface LrTable {
  /** Ascending, from 1 to the last step. */
  readonly steps: readonly number[];
  readonly rates: readonly number[];
  /** Every step is a row. */
  readonly isWhole: boolean;
  readonly deviation: Deviation;
}

/** File name of tables. */
export const TABLE_FILE = 'lr-table.csv';

/** A curve of whole steps as a table of at most about `maxRows` rows. */
export function lrTable(curve: LrCurve, nSteps: number, maxRows: number): LrTable {
  if (nSteps <= maxRows) {
    const steps = Array.from({ length: nSteps }, (_, index) => index + 1);
    const rates = steps.map((step) => curve.at(step));
    return { steps, rates, isWhole: true, deviation: { relative: 0, ofPeak: 0, step: 1 } };
  }
  const edges = edgesOf(curve, nSteps);
  for (let bound = EXACT / 2; ; bound *= 2) {
    const steps = breakpoints(curve, edges, bound, maxRows);
    // At a bound of 10 a line between two edges always passes; edges alone may be more than maxRows.
    if (steps === null && bound < 10) continue;
    const kept = steps ?? edges;
    const rates = kept.map((step) => curve.at(step));
    const table = { steps: kept, rates };
    const deviation = deviationOf(curve, (step) => interpolate(table, step));
    return { ...table, isWhole: false, deviation };
  }
}

/** Rate of a step: the row's, or on the line between two. */
export function interpolate(
  { steps, rates }: Pick<LrTable, 'steps' | 'rates'>,
  step: number,
): number {
  const time = Math.min(Math.max(step, steps[0]!), steps.at(-1)!);
  let low = 0;
  let high = steps.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle]! <= time) low = middle;
    else high = middle;
  }
  if (high === low || time === steps[low]) return rates[low]!;
  const x = (time - steps[low]!) / (steps[high]! - steps[low]!);
  return rates[low]! * (1 - x) + rates[high]! * x;
}

/** The first and last steps of phases. */
function edgesOf({ phases }: LrCurve, nSteps: number): number[] {
  const edges = new Set([1, nSteps]);
  for (const { start, end } of phases) {
    for (const step of [Math.floor(start) + 1, Math.floor(end)]) {
      if (step >= 1 && step <= nSteps) edges.add(step);
    }
  }
  return [...edges].sort((left, right) => left - right);
}

/** Edges and what lies between them so that lines are within `bound`; null beyond `maxRows`. */
function breakpoints(
  curve: LrCurve,
  edges: readonly number[],
  bound: number,
  maxRows: number,
): number[] | null {
  // Beyond exactness rows are not spent on what is relative to nearly nothing.
  const floor = (bound > EXACT ? 0.01 : 1e-9) * largestRate(curve);
  const fits = (from: number, to: number): boolean => {
    const first = curve.at(from);
    const last = curve.at(to);
    const stride = Math.max(1, Math.floor((to - from) / 64));
    for (let step = from + 1; step < to; step += stride) {
      const x = (step - from) / (to - from);
      const expected = curve.at(step);
      if (Math.abs(first * (1 - x) + last * x - expected) > bound * Math.max(expected, floor))
        return false;
    }
    return true;
  };
  const steps = [edges[0]!];
  for (const edge of edges.slice(1)) {
    let reach = edge - steps.at(-1)!;
    while (steps.at(-1)! < edge) {
      const from = steps.at(-1)!;
      reach = Math.min(reach * 2, edge - from);
      while (reach > 1 && !fits(from, from + reach)) reach = Math.max(1, Math.floor(reach * 0.8));
      steps.push(from + reach);
      if (steps.length > maxRows) return null;
    }
  }
  return steps;
}

/** The table and its reader. */
export function tableFiles({ steps, rates, isWhole, deviation }: LrTable): ExportFile[] {
  const rows = steps.map((step, index) => `${step},${decimal(rates[index]!)}\n`);
  const between = isWhole
    ? 'Every step is a row.'
    : `Between two rows the rate is on the straight line; no step is off by more than ${deviation.relative.toExponential(1)} of its rate.`;
  return [
    { name: TABLE_FILE, text: `step,lr\n${rows.join('')}` },
    {
      name: 'lr_table.py',
      text: `"""Learning rates from ${TABLE_FILE}, which lies beside this file. Step 1 is the first one.

${between}
"""

import bisect
import csv
import pathlib

with open(pathlib.Path(__file__).with_name("${TABLE_FILE}"), newline="") as file:
    _rows = [(int(row["step"]), float(row["lr"])) for row in csv.DictReader(file)]
_steps = [step for step, _ in _rows]
_rates = [rate for _, rate in _rows]


def rate(step):
    """Rate of a step; behind the last row its rate holds."""
    step = min(max(step, _steps[0]), _steps[-1])
    low = bisect.bisect_right(_steps, step) - 1
    if low == len(_steps) - 1 or _steps[low] == step:
        return _rates[low]
    share = (step - _steps[low]) / (_steps[low + 1] - _steps[low])
    return _rates[low] * (1 - share) + _rates[low + 1] * share
`,
    },
  ];
}
