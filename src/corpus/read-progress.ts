/**
 * How far the reading of a plan is: by rows where every unit tells how many it has, else by bytes. A unit that does not tell
 * has as many bytes behind it as its texts had so far, its own at most, and all of them at its end: what is told only grows.
 */
import { counting, type OnProgress } from '../progress.ts';
import type { CorpusPlan, CorpusUnit } from './types.ts';

/** Counts what is read. */
export interface ReadingCount {
  batch(nRows: number, textBytes: number): void;
  /** Ends a unit, of which all batches were counted. */
  unit(unit: CorpusUnit): void;
}

/** A count of a plan that tells `onProgress`. */
export function readingCount(
  { units }: CorpusPlan,
  onProgress: OnProgress | undefined,
): ReadingCount {
  const sum = (of: (unit: CorpusUnit) => number): number =>
    units.reduce((total, unit) => total + of(unit), 0);
  const byRows = units.every(({ nRows }) => nRows !== null);
  const total = byRows ? sum(({ nRows }) => nRows ?? 0) : sum(({ bytes }) => bytes);
  const tell = counting(onProgress, { phase: 'reading', unit: byRows ? 'rows' : 'bytes', total });
  let [at, own] = [0, 0];
  const advance = (to: number): void => {
    const most = byRows ? (units[at]?.nRows ?? 0) : (units[at]?.bytes ?? 0);
    const more = Math.min(most, to) - own;
    own += more;
    tell(more);
  };
  let textBytesOfUnit = 0;
  return {
    batch(nRows, textBytes) {
      textBytesOfUnit += textBytes;
      advance(byRows ? own + nRows : textBytesOfUnit);
    },
    unit({ nRows, bytes }) {
      advance(byRows ? (nRows ?? 0) : bytes);
      [own, textBytesOfUnit] = [0, 0];
      at++;
    },
  };
}
