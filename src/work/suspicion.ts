/**
 * Which rows may have killed a worker: a pure function of what was in flight at each death.
 *
 * A death accuses every set of rows that an engine had then. The next worker gives each accused set to the engine in a call
 * of its own, with nothing else in flight, so that the next death names the set for certain: it is halved then. A set that
 * comes through is cleared by the worker. A single row is set aside after two deaths in calls of its own.
 */
import type { RowSet } from './position.ts';

/** A set that was in flight at a death. */
export interface Suspect extends RowSet {
  /** Deaths in a call of its own. */
  readonly deaths: number;
}

/** What is known of a run's deaths; plain data, sent to the next worker. */
export interface Suspicion {
  /** No two of a unit and stage overlap. */
  readonly suspects: readonly Suspect[];
  /** Single rows that killed twice. */
  readonly aside: readonly RowSet[];
}

export const NO_SUSPICION: Suspicion = Object.freeze({ suspects: [], aside: [] });

/** Deaths of a single row in calls of its own before it is set aside. */
const DEATHS_OF_A_ROW = 2;

/** What is known after a worker died with `inFlight` in its engines. */
export function afterDeath(known: Suspicion, inFlight: readonly RowSet[]): Suspicion {
  const [only] = inFlight;
  const accused = only && known.suspects.find((suspect) => isWithin(only, suspect));
  if (inFlight.length === 1 && accused) {
    const others = known.suspects.filter((suspect) => suspect !== accused);
    const deaths = accused.deaths + 1;
    if (only.nRows > 1) {
      return { ...known, suspects: [...halves(only), ...others] };
    }
    if (deaths < DEATHS_OF_A_ROW) {
      return { ...known, suspects: [{ ...only, deaths }, ...others] };
    }
    return { suspects: others, aside: [...known.aside, only] };
  }
  const fresh = inFlight.filter((set) => !known.suspects.some((other) => overlaps(set, other)));
  return {
    ...known,
    suspects: [...known.suspects, ...fresh.map((set) => ({ ...set, deaths: 0 }))],
  };
}

/** What is known when the set came through a call of its own. */
export function cleared(known: Suspicion, set: RowSet): Suspicion {
  return { ...known, suspects: known.suspects.filter((suspect) => !isWithin(set, suspect)) };
}

function halves({ unit, stage, first, end, nRows }: RowSet): Suspect[] {
  const middle = (first + end) >> 1;
  const part = { unit, stage, nRows: Math.ceil(nRows / 2), deaths: 0 };
  return [
    { ...part, first, end: middle },
    { ...part, first: middle, end },
  ];
}

const isOfSame = (left: RowSet, right: RowSet): boolean =>
  left.unit === right.unit && left.stage === right.stage;

function isWithin(inner: RowSet, outer: RowSet): boolean {
  return isOfSame(inner, outer) && inner.first >= outer.first && inner.end <= outer.end;
}

/** Whether two sets have rows in common, or may have. */
function overlaps(left: RowSet, right: RowSet): boolean {
  return isOfSame(left, right) && left.first < right.end && right.first < left.end;
}
