/**
 * Loss curves with their learning rates: of pre-training and the continuation behind it.
 *
 *     step,lr,loss,phase[,curve]
 *     1,0.001,5.2,pretrain,a          steps of a phase count from 1
 *     2,0.001,,pretrain,a             without a loss: the rate counts
 *     1,0.0005,2.1,continue,a
 *
 * Rates of steps between two rows lie on the line between them; before the first row of a phase its rate holds.
 */
import { readFileSync } from 'node:fs';
import { parseCsv } from '../../csv.ts';
import { refusePilot } from './pilots.ts';

/** A measured loss of a curve. */
export interface CurveLoss {
  /** In the phase, from 1. */
  readonly step: number;
  readonly loss: number;
}

/** A run: pre-training, then a continuation. */
export interface LossCurve {
  readonly name: string;
  /** Rates by step. */
  readonly pretrainLr: Float64Array;
  readonly continueLr: Float64Array;
  readonly pretrainLosses: readonly CurveLoss[];
  readonly continueLosses: readonly CurveLoss[];
}

const PHASES = ['pretrain', 'continue'] as const;
/** Steps of a phase. */
export const MAX_STEPS = 5_000_000;
/** Of all curves together: rates are held by step. */
const MAX_ALL_STEPS = 20_000_000;

interface Row {
  readonly row: number;
  readonly step: number;
  readonly lr: number;
  readonly loss: number | null;
}

/**
 * Reads curves from CSV.
 *
 * @param lossColumn default `loss`
 * @throws CONTINUAL_PILOTS_INVALID, naming row and column
 */
export function readLossCurves(file: string, lossColumn = 'loss'): LossCurve[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    refusePilot(file, 0, 'step', 'a file that can be read', (cause as Error).message);
  }
  const { header, rows } = parseCsv(text, file, 'CONTINUAL_PILOTS_INVALID');
  const names = header.map((name) => name.trim());
  const columnOf = (name: string): number => {
    const at = names.indexOf(name);
    if (at < 0) refusePilot(file, 0, name, 'this column', `only ${names.join(', ')}`);
    return at;
  };
  const [stepAt, lrAt, lossAt, phaseAt] = ['step', 'lr', lossColumn, 'phase'].map(columnOf);
  const curveAt = names.indexOf('curve');
  const curves = new Map<string, Record<(typeof PHASES)[number], Row[]>>();
  for (const [index, cells] of rows.entries()) {
    const row = index + 1;
    const phase = cells[phaseAt!]!.trim();
    if (phase !== 'pretrain' && phase !== 'continue') {
      refusePilot(file, row, 'phase', PHASES.join(' or '), phase);
    }
    const numberAt = (at: number, expected: string, isGood: (value: number) => boolean): number => {
      const cell = cells[at]!.trim();
      const value = cell === '' ? Number.NaN : Number(cell);
      if (!isGood(value)) refusePilot(file, row, names[at]!, expected, cells[at]!);
      return value;
    };
    const step = numberAt(stepAt!, `a whole number in 1..${MAX_STEPS}`, (value) => {
      return Number.isSafeInteger(value) && value >= 1 && value <= MAX_STEPS;
    });
    const isRate = (value: number): boolean => Number.isFinite(value) && value >= 0;
    const lr = numberAt(lrAt!, 'a finite rate, 0 or more', isRate);
    const hasLoss = cells[lossAt!]!.trim() !== '';
    const loss = hasLoss ? numberAt(lossAt!, 'a finite loss, 0 or more, or nothing', isRate) : null;
    const name = curveAt < 0 ? 'curve' : cells[curveAt]!.trim();
    let curve = curves.get(name);
    if (!curve) {
      curve = { pretrain: [], continue: [] };
      curves.set(name, curve);
    }
    const last = curve[phase].at(-1);
    if (last && step <= last.step) {
      refusePilot(file, row, 'step', `a step behind ${last.step} of ${name}, ${phase}`, step);
    }
    curve[phase].push({ row, step, lr, loss });
  }
  const nSteps = [...curves.values()]
    .flatMap((curve) => [curve.pretrain.at(-1)?.step ?? 0, curve.continue.at(-1)?.step ?? 0])
    .reduce((sum, steps) => sum + steps, 0);
  if (nSteps > MAX_ALL_STEPS) {
    refusePilot(file, rows.length, 'step', `at most ${MAX_ALL_STEPS} steps in all`, nSteps);
  }
  return [...curves].map(([name, { pretrain, continue: second }]) => ({
    name,
    pretrainLr: ratesOf(pretrain),
    continueLr: ratesOf(second),
    pretrainLosses: lossesOf(pretrain),
    continueLosses: lossesOf(second),
  }));
}

function ratesOf(rows: readonly Row[]): Float64Array {
  const rates = new Float64Array(rows.at(-1)?.step ?? 0);
  let before: Row | undefined;
  for (const row of rows) {
    const from = before?.step ?? 0;
    const start = before?.lr ?? row.lr;
    for (let step = from + 1; step <= row.step; step++) {
      rates[step - 1] = start + ((row.lr - start) * (step - from)) / (row.step - from);
    }
    before = row;
  }
  return rates;
}

function lossesOf(rows: readonly Row[]): CurveLoss[] {
  return rows.flatMap(({ step, loss }) => (loss === null ? [] : [{ step, loss }]));
}
