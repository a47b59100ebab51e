/**
 * The index: what the table filters and counts by, ten bytes a row, a block a unit.
 *
 *     outcome   Uint8    number in `outcomes`: status, reason, and which of the unit's files has the row
 *     language  Uint8    number in `languages`; NONE_8 unknown, OTHER_8 one too many
 *     domain    Uint16   number in `domains`; NONE_16, OTHER_16
 *     score     Uint16   of the document stage, in steps of 1 / MAX_STEP; NONE_16 where there is none
 *     share     Uint16   share of bytes removed, the same; NONE_16 while it is not known
 *     size      Uint16   bytes of the text as it came, 1024 steps an octave; NONE_16 while it is not known
 *
 * Rows are in the order of the input. Blocks lie in shared memory: the thread that makes them goes on filling shares and
 * sizes while they are asked. Numbers of names only ever grow, and what has no number left is counted as other.
 */
import type { RowStatus } from '../refine/finished-run.ts';

/** Marks of the two widths. */
export const NONE_8 = 255;
export const OTHER_8 = 254;
export const NONE_16 = 65_535;
export const OTHER_16 = 65_534;
/** Largest step of scores and shares. */
export const MAX_STEP = 65_533;
const STEPS_AN_OCTAVE = 1024;
/** Bytes that a row takes in {@link IndexBlock.bytes}. */
export const ROW_BYTES = 10;

/** What became of a row, and the file that it lies in. */
export interface OutcomeKind {
  readonly status: RowStatus;
  readonly reason: string;
  readonly part: 'staying' | 'dropped' | 'rejected';
}

/** Names behind the numbers of all blocks. */
export interface IndexNames {
  readonly outcomes: OutcomeKind[];
  readonly domains: string[];
  readonly languages: string[];
}

/** One unit's rows. */
export interface IndexBlock {
  readonly unit: number;
  readonly nRows: number;
  readonly outcome: Uint8Array;
  readonly language: Uint8Array;
  readonly domain: Uint16Array;
  readonly score: Uint16Array;
  readonly share: Uint16Array;
  readonly size: Uint16Array;
  /** All of them, as they are kept in a file. */
  readonly bytes: SharedArrayBuffer;
}

/** A block over its bytes; new ones know nothing yet. */
export function blockOver(
  unit: number,
  nRows: number,
  bytes: SharedArrayBuffer | null = null,
): IndexBlock {
  const all = bytes ?? new SharedArrayBuffer(nRows * ROW_BYTES);
  const wide = (column: number) => new Uint16Array(all, column * 2 * nRows, nRows);
  const narrow = (column: number) => new Uint8Array(all, 8 * nRows + column * nRows, nRows);
  const [domain, score, share, size] = [wide(0), wide(1), wide(2), wide(3)];
  const [outcome, language] = [narrow(0), narrow(1)];
  if (bytes === null) {
    for (const column of [domain, score, share, size]) column.fill(NONE_16);
    language.fill(NONE_8);
  }
  return { unit, nRows, outcome, language, domain, score, share, size, bytes: all };
}

/** A score or a share in 0..1 as a step; null is {@link NONE_16}. */
export function stepOf(value: number | null): number {
  if (value === null || !Number.isFinite(value)) return NONE_16;
  return Math.round(Math.min(1, Math.max(0, value)) * MAX_STEP);
}

/** What a step stands for. */
export function valueOfStep(step: number): number | null {
  return step === NONE_16 ? null : step / MAX_STEP;
}

/** A number of bytes as a step, true to a tenth of a percent. */
export function sizeStepOf(bytes: number): number {
  return Math.min(MAX_STEP, Math.round(Math.log2(bytes + 1) * STEPS_AN_OCTAVE));
}

/** About how many bytes a step stands for. */
export function bytesOfStep(step: number): number | null {
  return step === NONE_16 ? null : Math.round(2 ** (step / STEPS_AN_OCTAVE) - 1);
}

/** Numbers for names, as they are met. */
export class NameBook {
  readonly names: string[];
  readonly #numbers: Map<string, number>;
  readonly #other: number;

  /** @param other number of whatever comes when there are no more */
  constructor(names: readonly string[], other: number) {
    this.names = [...names];
    this.#numbers = new Map(this.names.map((name, at) => [name, at]));
    this.#other = other;
  }

  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.names.length >= this.#other) return this.#other;
    const number = this.names.length;
    this.names.push(name);
    this.#numbers.set(name, number);
    return number;
  }
}
