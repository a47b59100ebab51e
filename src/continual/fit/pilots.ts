/**
 * Pilot runs: what is known of a continuation at a few shares of replay.
 *
 *     replay,old,new[,tokens][,params]
 *     0,2.44,2.50                        a share in 0..1, or percent with its sign
 *     5%,2.23,2.51
 *
 * Rows are counted from 1; the header is row 0. Nothing is guessed: a value that is not what it should be names its
 * place. A bare 5 is refused, because 5 % is 0.05.
 */
import { readFileSync } from 'node:fs';
import { parseCsv } from '../../csv.ts';
import { GristmillError, printable } from '../../errors.ts';

/** One pilot run. */
export interface Pilot {
  /** Share of the old data in the batches, 0 or more and below 1. */
  readonly replay: number;
  /** Final loss by validation set, nats a token or whatever unit, the same in all pilots. */
  readonly losses: Readonly<Record<string, number>>;
  /** Losses before the continuation, where they are known. */
  readonly start?: Readonly<Record<string, number>>;
  /** Tokens of the continuation. */
  readonly tokens?: number;
  /** Parameters of the model. */
  readonly params?: number;
}

/** Fewest different shares of replay. */
export const MIN_SHARES = 4;
/** Each is left out once: as many fits for every loss. */
const MAX_PILOTS = 200;
const SIZES = ['tokens', 'params'] as const;

/** Fails with the place of a pilot's value. */
export function refusePilot(
  file: string,
  row: number | string,
  column: string,
  expected: string,
  received: unknown,
): never {
  throw new GristmillError('CONTINUAL_PILOTS_INVALID', { file, row, column, expected, received });
}

/**
 * Checks pilots for a fit: finite losses that vary, shares that differ, sizes for all or for none.
 *
 * @param sets validation sets that are needed
 * @param file named in errors
 * @throws CONTINUAL_PILOTS_INVALID
 */
export function checkPilots(
  pilots: readonly Pilot[],
  sets: readonly string[],
  file = 'given',
): void {
  if (pilots.length > MAX_PILOTS) {
    refusePilot(file, MAX_PILOTS + 1, 'replay', `at most ${MAX_PILOTS} rows`, pilots.length);
  }
  const seen = new Map<string, number>();
  for (const [index, pilot] of pilots.entries()) {
    const row = index + 1;
    const { replay } = pilot;
    if (!(typeof replay === 'number' && replay >= 0 && replay < 1)) {
      const expected = 'a share of replay, 0 or more and below 1, or percent with its sign';
      refusePilot(file, row, 'replay', expected, replay);
    }
    for (const set of sets) {
      const loss = Object.hasOwn(pilot.losses, set) ? pilot.losses[set] : undefined;
      if (!(typeof loss === 'number' && Number.isFinite(loss) && loss >= 0)) {
        refusePilot(file, row, set, 'a finite loss, 0 or more', loss ?? 'nothing');
      }
    }
    for (const size of SIZES) {
      const value = pilot[size];
      const isThere = value !== undefined;
      if (isThere !== (pilots[0]![size] !== undefined)) {
        refusePilot(file, row, size, 'a value in every row or in none', value ?? 'nothing');
      }
      if (isThere && !(Number.isFinite(value) && value > 0)) {
        refusePilot(file, row, size, 'a finite number above 0', value);
      }
    }
    const key = `${replay} ${pilot.tokens} ${pilot.params}`;
    const first = seen.get(key);
    if (first !== undefined) {
      const expected = `no second pilot like row ${first}; give the mean of its seeds`;
      refusePilot(file, row, 'replay', expected, replay);
    }
    seen.set(key, row);
  }
  const nShares = new Set(pilots.map(({ replay }) => replay)).size;
  if (nShares < MIN_SHARES) {
    const expected = `at least ${MIN_SHARES} different shares`;
    refusePilot(file, pilots.length, 'replay', expected, nShares);
  }
  for (const set of sets) {
    const first = pilots[0]!.losses[set]!;
    if (pilots.every(({ losses }) => losses[set] === first)) {
      refusePilot(file, pilots.length, set, 'losses that differ', `${first} in every row`);
    }
  }
}

/**
 * Reads pilots from CSV; columns that are neither asked for nor a size are left aside.
 *
 * @param sets columns of losses
 * @throws CONTINUAL_PILOTS_INVALID, naming row and column
 */
export function readPilots(file: string, sets: readonly string[]): Pilot[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    refusePilot(file, 0, 'replay', 'a file that can be read', (cause as Error).message);
  }
  const { header, rows } = parseCsv(text, file, 'CONTINUAL_PILOTS_INVALID');
  const names = header.map((name) => name.trim());
  const columnOf = (name: string): number => {
    const at = names.indexOf(name);
    if (at < 0) refusePilot(file, 0, name, 'this column', `only ${names.join(', ')}`);
    if (names.lastIndexOf(name) !== at) refusePilot(file, 0, name, 'this column once', 'twice');
    return at;
  };
  const replayAt = columnOf('replay');
  const lossAt = sets.map(columnOf);
  const sizeAt = SIZES.filter((size) => names.includes(size)).map(
    (size) => [size, columnOf(size)] as const,
  );
  const pilots = rows.map((cells, index): Pilot => {
    const numberAt = (at: number, expected: string): number => {
      const cell = cells[at]!.trim();
      const value = cell === '' ? Number.NaN : Number(cell);
      if (!Number.isFinite(value)) refusePilot(file, index + 1, names[at]!, expected, cells[at]!);
      return value;
    };
    return {
      replay: shareOf(cells[replayAt]!, () => numberAt(replayAt, 'a share, or percent')),
      losses: Object.fromEntries(sets.map((set, at) => [set, numberAt(lossAt[at]!, 'a loss')])),
      ...Object.fromEntries(sizeAt.map(([size, at]) => [size, numberAt(at, 'a number above 0')])),
    };
  });
  checkPilots(pilots, sets, file);
  return pilots;
}

function shareOf(cell: string, plain: () => number): number {
  const percent = /^\s*(\d{1,3}(?:\.\d{1,20})?)\s*%\s*$/.exec(cell.slice(0, 60));
  return percent ? Number(percent[1]) / 100 : plain();
}

/** A share as people read it. */
export function percentText(share: number): string {
  return printable(`${Number((100 * share).toPrecision(4))} %`);
}
