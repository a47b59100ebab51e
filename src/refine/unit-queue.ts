/** Where the lanes of a run get their units: what is left of its share, or what somebody else hands out. */
import type { CorpusPlan, CorpusUnit } from '../corpus/types.ts';
import type { CommittedTotals } from './committed-totals.ts';
import type { Ledger } from './ledger.ts';
import type { RunPlace } from './run-place.ts';

/** A unit that will be refined, with the rows that a limit leaves of it. */
export interface LimitedUnit {
  readonly unit: CorpusUnit;
  readonly maxRows: number;
}

/** Units one after the other; null where there is none left. */
export interface UnitQueue {
  next(): Promise<LimitedUnit | null>;
  /** The unit that will most likely be next; null where nobody knows. */
  upcoming(): CorpusUnit | null;
}

/**
 * Units not yet committed, cut to the limit.
 *
 * @param totals of those that are committed
 */
export function unitsLeft(
  share: readonly CorpusUnit[],
  { committed }: Pick<Ledger, 'committed'>,
  limit: number | undefined,
  totals: Pick<CommittedTotals, 'rowsOf'>,
): LimitedUnit[] {
  if (limit === undefined) {
    return share
      .filter((unit) => !committed.has(unit.index))
      .map((unit) => ({ unit, maxRows: Number.POSITIVE_INFINITY }));
  }
  const left: LimitedUnit[] = [];
  let rows = limit;
  for (const unit of share) {
    if (rows <= 0) break;
    if (!committed.has(unit.index)) left.push({ unit, maxRows: rows });
    rows -= totals.rowsOf(unit.index) ?? unit.nRows ?? 0;
  }
  return left;
}

/**
 * A queue over `left`, or over a feed's units; one that somebody else has committed by now is passed over.
 *
 * @param onOthers told of those
 */
export function queueOf(
  left: readonly LimitedUnit[],
  { feed, waiting }: Pick<RunPlace, 'feed' | 'waiting'>,
  { units }: CorpusPlan,
  ledger: Ledger,
  onOthers: (unit: number) => Promise<void>,
): UnitQueue {
  let nTaken = 0;
  const take = async (): Promise<LimitedUnit | null> => {
    if (!feed) return left[nTaken++] ?? null;
    // Nobody has any for it: that is no standing still.
    const index = await waiting('input', () => feed.next());
    const unit = index === null ? undefined : units[index];
    return unit ? { unit, maxRows: Number.POSITIVE_INFINITY } : null;
  };
  return {
    async next() {
      for (let next = await take(); next !== null; next = await take()) {
        const { index } = next.unit;
        if (!(await ledger.isCommitted(index))) return next;
        await onOthers(index);
      }
      return null;
    },
    upcoming: () => (feed ? null : (left[nTaken]?.unit ?? null)),
  };
}
