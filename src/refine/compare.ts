/**
 * Two finished runs over the same inputs, row by row: where they agree, who removed what, and which documents differ most.
 *
 * Both are read in the order of the inputs, side by side, a batch of each in memory at a time; their units may be cut
 * differently. What a run left of a document and the other did not is told by lines: those of the one text that the other
 * does not have, counted as often as they occur. A dropped document has no lines.
 */
import { GristmillError } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import { type FinishedRow, FinishedRun, type RowStatus } from './finished-run.ts';
import { compareIdentity } from './run-identity.ts';

/** Options of {@link compareRuns}. */
export interface CompareOptions {
  /** Column to compare by, of rows that at least one run kept; default: the first of `GROUP_COLUMNS` that rows have. */
  readonly by?: string;
  /** Documents that are listed; default 20. */
  readonly top?: number;
  /** Told how many rows of both runs are read. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Columns that are looked for. Of `url` the host counts. */
export const GROUP_COLUMNS = ['domain', 'language', 'lang', 'url'] as const;

/** What two runs made of some documents. */
export interface Agreement {
  readonly documents: number;
  /** Documents with another status, or another text. */
  readonly differing: number;
  /** Characters that both left, that only the first left, and that only the second left; line ends not counted. */
  readonly inBoth: number;
  readonly onlyInFirst: number;
  readonly onlyInSecond: number;
}

/** A document of which the runs made different things. */
export interface DifferingDocument {
  readonly file: string;
  readonly row: number;
  readonly id: string | null;
  readonly first: { readonly status: RowStatus; readonly reason: string | null };
  readonly second: { readonly status: RowStatus; readonly reason: string | null };
  readonly onlyInFirst: number;
  readonly onlyInSecond: number;
}

/** See {@link compareRuns}. */
export interface RunComparison extends Agreement {
  readonly first: string;
  readonly second: string;
  /** Settings in which the runs differ, `path: first -> second`. */
  readonly settings: readonly string[];
  /** Documents by status in the first run and status in the second. */
  readonly statuses: Readonly<Record<RowStatus, Readonly<Record<RowStatus, number>>>>;
  /** Documents that only one of the runs has committed. */
  readonly missingInFirst: number;
  readonly missingInSecond: number;
  /** Column of {@link groups}; null where there is none. */
  readonly by: string | null;
  /** By value of the column, the largest first; rows that both dropped have no value. */
  readonly groups: readonly (Agreement & { readonly value: string })[];
  /** Those that differ by the most characters. */
  readonly documentsThatDifferMost: readonly DifferingDocument[];
}

const STATUSES: readonly RowStatus[] = ['kept', 'edited', 'dropped', 'failed'];
/** Groups that are told apart; further ones are counted together. */
const MAX_GROUPS = 10_000;
const OTHERS = '(others)';
const NO_VALUE = '(none)';

type Counts = { -readonly [Key in keyof Agreement]: number };

const zero = (): Counts => ({
  ...{ documents: 0, differing: 0 },
  ...{ inBoth: 0, onlyInFirst: 0, onlyInSecond: 0 },
});

/**
 * Compares two runs.
 *
 * @throws RUN_COMPARE_INPUTS where they have read different inputs; RUN_NOT_FOUND, RUN_LEDGER_INVALID, CORPUS_*, ABORTED
 */
export async function compareRuns(
  first: string,
  second: string,
  { by, top = 20, signal, onProgress }: CompareOptions = {},
): Promise<RunComparison> {
  const runs = [
    await FinishedRun.open(first, signal),
    await FinishedRun.open(second, signal),
  ] as const;
  const [one, other] = runs;
  const inputsOf = ({ identity: { inputs, options } }: FinishedRun) => {
    return { inputs, options: { textColumn: options['textColumn'] } };
  };
  const changes = compareIdentity(inputsOf(one), inputsOf(other));
  if (changes.length > 0) {
    throw new GristmillError('RUN_COMPARE_INPUTS', { first, second, changes: changes.join('; ') });
  }
  const order = new Map(one.identity.inputs.map(({ path }, at) => [path, at]));
  const wanted = by === undefined ? [...GROUP_COLUMNS] : [by];
  const total = one.counts.rowsIn + other.counts.rowsIn;
  const tell = counting(onProgress, { phase: 'comparing', unit: 'rows', total });
  const sides = runs.map((run) => new RowReader(placedRows(run, order, wanted, signal), tell));
  const [left, right] = sides as [RowReader, RowReader];
  const counts = zero();
  const groups = new Map<string, Counts>();
  const statuses = Object.fromEntries(
    STATUSES.map((status) => [status, Object.fromEntries(STATUSES.map((inner) => [inner, 0]))]),
  ) as Record<RowStatus, Record<RowStatus, number>>;
  const missing = { first: 0, second: 0 };
  const most = new Most(top);
  let column: string | null = by ?? null;
  try {
    let [mine, theirs] = [await left.next(), await right.next()];
    while (mine || theirs) {
      const which = mine && theirs ? comparePlaces(mine, theirs) : mine ? -1 : 1;
      if (which < 0) {
        missing.second++;
        mine = await left.next();
        continue;
      }
      if (which > 0) {
        missing.first++;
        theirs = await right.next();
        continue;
      }
      const pair = [mine!, theirs!] as const;
      const found = difference(pair[0].row, pair[1].row);
      statuses[pair[0].row.status][pair[1].row.status]++;
      add(counts, found);
      column ??= columnOf(pair);
      if (column !== null) {
        const value = groupOf(pair, column);
        const key = groups.has(value) || groups.size < MAX_GROUPS ? value : OTHERS;
        const group = groups.get(key) ?? zero();
        add(group, found);
        groups.set(key, group);
      }
      if (found.differs) most.offer(pair, found);
      [mine, theirs] = [await left.next(), await right.next()];
    }
  } finally {
    for (const side of sides) await side.close();
  }
  return {
    ...{ first, second, ...counts, statuses },
    settings: settingsOf(one, other),
    missingInFirst: missing.first,
    missingInSecond: missing.second,
    by: column,
    groups: [...groups]
      .map(([value, group]) => ({ value, ...group }))
      .sort((a, b) => b.documents - a.documents || (a.value < b.value ? -1 : 1)),
    documentsThatDifferMost: most.documents,
  };
}

function settingsOf(one: FinishedRun, other: FinishedRun): string[] {
  const of = ({ identity: { versions, options, models, thresholds } }: FinishedRun) => {
    const hashes = Object.entries(models).map(([stage, model]) => [stage, model?.sha256 ?? null]);
    const { document, line } = thresholds;
    // Not under names that a comparison of identities passes over.
    const used = { document, line };
    return { versions, options, models: Object.fromEntries(hashes), used };
  };
  return compareIdentity(of(one) as object, of(other) as object);
}

/** A row with its place in the inputs. */
interface PlacedRow {
  readonly file: string;
  readonly at: number;
  readonly number: number;
  readonly row: FinishedRow;
}

function comparePlaces(one: PlacedRow, other: PlacedRow): number {
  return one.at - other.at || one.number - other.number;
}

/** The rows of a run, one after the other. */
class RowReader {
  readonly #rows: AsyncGenerator<PlacedRow[]>;
  readonly #onRows: (nRows: number) => void;
  #batch: PlacedRow[] = [];
  #next = 0;

  constructor(rows: AsyncGenerator<PlacedRow[]>, onRows: (nRows: number) => void) {
    this.#rows = rows;
    this.#onRows = onRows;
  }

  async next(): Promise<PlacedRow | null> {
    while (this.#next >= this.#batch.length) {
      this.#onRows(this.#batch.length);
      const pulled = await this.#rows.next();
      if (pulled.done) return null;
      this.#batch = pulled.value;
      this.#next = 0;
    }
    return this.#batch[this.#next++]!;
  }

  async close(): Promise<void> {
    await this.#rows.return(undefined);
  }
}

async function* placedRows(
  run: FinishedRun,
  order: ReadonlyMap<string, number>,
  columns: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<PlacedRow[]> {
  for (const { unit } of run.units) {
    for await (const batch of run.rows(unit, { text: true, columns, signal })) {
      yield batch.map((row) => {
        const { file } = row;
        if (row.row === null) {
          const reason = `rows of unit ${unit} have no numbers, as units of ${file} before it are not committed`;
          throw new GristmillError('RUN_LEDGER_INVALID', { file: run.out, reason });
        }
        return { file, at: order.get(file) ?? -1, number: row.row, row };
      });
    }
  }
}

interface Difference {
  readonly differs: boolean;
  readonly inBoth: number;
  readonly onlyInFirst: number;
  readonly onlyInSecond: number;
}

/** What only one of two outcomes has, in characters of whole lines. */
function difference(one: FinishedRow, other: FinishedRow): Difference {
  const differs = one.status !== other.status || one.text !== other.text;
  if (one.text === other.text) {
    const inBoth = (one.text ?? '').split('\n').reduce((sum, line) => sum + charsOf(line), 0);
    return { differs, inBoth, onlyInFirst: 0, onlyInSecond: 0 };
  }
  const left = new Map<string, number>();
  for (const line of (one.text ?? '').split('\n')) left.set(line, (left.get(line) ?? 0) + 1);
  let [inBoth, onlyInFirst, onlyInSecond] = [0, 0, 0];
  for (const line of (other.text ?? '').split('\n')) {
    const times = left.get(line) ?? 0;
    if (times > 0) {
      left.set(line, times - 1);
      inBoth += charsOf(line);
    } else onlyInSecond += charsOf(line);
  }
  for (const [line, times] of left) onlyInFirst += times * charsOf(line);
  return { differs, inBoth, onlyInFirst, onlyInSecond };
}

/** Code points. */
function charsOf(line: string): number {
  let pairs = 0;
  for (let at = 0; at < line.length; at++) {
    if ((line.charCodeAt(at) & 0xfc00) === 0xdc00) pairs++;
  }
  return line.length - pairs;
}

function add(counts: Counts, found: Difference): void {
  counts.documents++;
  if (found.differs) counts.differing++;
  counts.inBoth += found.inBoth;
  counts.onlyInFirst += found.onlyInFirst;
  counts.onlyInSecond += found.onlyInSecond;
}

type Pair = readonly [PlacedRow, PlacedRow];

function columnOf(pair: Pair): string | null {
  const has = (name: string): boolean => pair.some(({ row }) => row.values[name] != null);
  return GROUP_COLUMNS.find(has) ?? null;
}

function groupOf(pair: Pair, column: string): string {
  const value = pair.map(({ row }) => row.values[column]).find((own) => own != null);
  if (value == null) return NO_VALUE;
  const text = String(value).slice(0, 500);
  if (column !== 'url') return text;
  return URL.canParse(text) ? new URL(text).host : NO_VALUE;
}

/** The documents with the largest differences; of equal ones the first. */
class Most {
  readonly #nWanted: number;
  #found: DifferingDocument[] = [];

  constructor(nWanted: number) {
    this.#nWanted = nWanted;
  }

  get documents(): readonly DifferingDocument[] {
    return this.#found.slice(0, this.#nWanted);
  }

  offer([mine, theirs]: Pair, { onlyInFirst, onlyInSecond }: Difference): void {
    const size = onlyInFirst + onlyInSecond;
    const last = this.#found[this.#nWanted - 1];
    if (this.#nWanted === 0 || (last && sizeOf(last) >= size)) return;
    const outcome = ({ row: { status, reason } }: PlacedRow) => ({ status, reason });
    const at = this.#found.findIndex((one) => sizeOf(one) < size);
    this.#found.splice(at < 0 ? this.#found.length : at, 0, {
      file: mine.file,
      row: mine.number,
      id: mine.row.id ?? theirs.row.id,
      first: outcome(mine),
      second: outcome(theirs),
      ...{ onlyInFirst, onlyInSecond },
    });
    this.#found.length = Math.min(this.#found.length, this.#nWanted);
  }
}

function sizeOf({ onlyInFirst, onlyInSecond }: DifferingDocument): number {
  return onlyInFirst + onlyInSecond;
}
