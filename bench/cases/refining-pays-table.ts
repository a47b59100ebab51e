/** Tables of the case `refining-pays`: arms against raw text, with what chance alone would do. */
import type { GoldPage } from '../../src/scorers/gold.ts';
import type { BenchTable } from '../types.ts';
import type { ClozeItem } from './refining-pays-cloze.ts';
import { linesLeft } from './refining-pays-data.ts';
import type { Arm } from './refining-pays-refiners.ts';

/** What one model came to. */
export interface Run {
  readonly seed: number;
  readonly bitsPerByte: number;
  /** By question: 1 where the word was found. */
  readonly right: readonly number[];
  readonly nParams: number;
}

/** An arm and its models. */
export interface MeasuredArm extends Arm {
  /** Corpora that have this arm. */
  readonly corpora: string[];
  readonly nDocs: number;
  readonly nBytes: number;
  readonly nTokens: number;
  readonly runs: Run[];
}

const COLUMNS = [
  'training text',
  'documents',
  'MB',
  'content / noise left',
  'epochs',
  'bits per byte (mean ± sd)',
  'range',
  'against raw (± s.e.)',
  'cloze (mean ± sd)',
  'cloze against raw (± s.e.)',
];

interface TableOptions {
  readonly name: string;
  readonly arms: readonly MeasuredArm[];
  readonly pages: readonly GoldPage[];
  readonly cloze: readonly ClozeItem[];
  /** Of every run. */
  readonly nTokens: number;
  readonly notes: readonly string[];
}

/** One corpus; its first arm is raw. */
export function tableOf(options: TableOptions): BenchTable {
  const { name, arms, notes } = options;
  return {
    title: `Does refining pay? Main content of unseen domains, learnt from ${name}`,
    columns: COLUMNS,
    rows: arms.map((arm) => rowOf(arm, options)),
    notes: [...notes, orderOf(arms)],
  };
}

function rowOf(
  arm: MeasuredArm,
  { arms, pages, cloze, nTokens }: TableOptions,
): (string | number)[] {
  const raw = arms[0]!;
  const bits = arm.runs.map(({ bitsPerByte }) => bitsPerByte);
  const { mean, deviation } = moments(bits);
  const base = moments(raw.runs.map(({ bitsPerByte }) => bitsPerByte));
  const error = Math.hypot(deviation, base.deviation) / Math.sqrt(bits.length);
  const share = (value: number): string => `${(100 * value).toFixed(1)} %`;
  const left = linesLeft(pages, arm.texts);
  const difference = mean - base.mean;
  const found = moments(arm.runs.map(({ right }) => meanOf(right)));
  const gain = pairedGain(arm.runs, raw.runs, cloze);
  return [
    arm.name,
    arm.nDocs,
    (arm.nBytes / 1e6).toFixed(1),
    arm.isWritten ? '–' : `${share(left.content)} / ${share(left.noise)}`,
    (nTokens / arm.nTokens).toFixed(2),
    `${mean.toFixed(4)} ± ${deviation.toFixed(4)}`,
    `${Math.min(...bits).toFixed(4)}..${Math.max(...bits).toFixed(4)}`,
    arm === raw
      ? '–'
      : `${difference.toFixed(4)} ± ${error.toFixed(4)} (${share(difference / base.mean)})`,
    `${found.mean.toFixed(3)} ± ${found.deviation.toFixed(3)}`,
    arm === raw ? '–' : `${gain.mean.toFixed(3)} ± ${gain.error.toFixed(3)}`,
  ];
}

/**
 * How many more questions an arm answers than another, as a share, and the standard error of that: the same questions
 * are asked of both, and those of one text stand or fall together.
 */
export function pairedGain(
  arm: readonly Run[],
  other: readonly Run[],
  cloze: readonly Pick<ClozeItem, 'id'>[],
): { readonly mean: number; readonly error: number } {
  const gains = cloze.map(
    (_, item) =>
      meanOf(arm.map(({ right }) => right[item]!)) - meanOf(other.map(({ right }) => right[item]!)),
  );
  const mean = meanOf(gains);
  const byText = new Map<string, number>();
  cloze.forEach(({ id }, item) => {
    byText.set(id, (byText.get(id) ?? 0) + gains[item]! - mean);
  });
  const squares = [...byText.values()].reduce((sum, own) => sum + own ** 2, 0);
  return { mean, error: Math.sqrt(squares) / cloze.length };
}

function moments(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / Math.max(1, values.length - 1)) };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function orderOf(arms: readonly MeasuredArm[]): string {
  const bitsOf = ({ runs }: MeasuredArm): number =>
    meanOf(runs.map(({ bitsPerByte }) => bitsPerByte));
  const order = [...arms].sort((left, right) => bitsOf(left) - bitsOf(right));
  return `Measured order in bits per byte, best first: ${order.map(({ name }) => name).join(' < ')}. Expected: refined < rules < raw.`;
}
