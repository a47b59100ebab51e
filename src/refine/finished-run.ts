/**
 * A run as it lies in its folder, local or in a bucket, for whoever reads it afterwards: what it was, its committed units, and
 * its rows by unit and by range, in the order of the input. Nothing is written and no lease is taken; a run under way shows what
 * it has committed.
 *
 * Where a row of a unit lies is told by the files of the unit alone (`p` is its position in the unit, from 0):
 *
 *     unit       p    0   1   2   3   4   5   6          rows in = staying + dropped + rejected
 *     staying         ·   ·       ·       ·              in order, without numbers: whatever the others do not name
 *     dropped/                ·           ·   ·          each with its input file and the number of its row there
 *     rejected/                       ·                  the same
 *
 * Invariants
 *  1. A range is read from the row groups that it touches, in batches of bounded rows and bytes; the whole unit is never in
 *     memory. Parts of JSON lines have no row groups, and are read up to the range.
 *  2. Positions follow from numbers of rows in the file, less that of the unit's first: the rows of the units of the same
 *     file before it. Where one of those is not committed, numbers are unknown: staying rows come first, then the others.
 *  3. In a unit of many files each file is a row, and its position is that of the file among those that the record names.
 *  4. Records are checked as a run checks those that it goes on from (unit-record.ts).
 *
 * Past 500 lines because where rows lie and how they are read are one: the layout of a unit is what its cursors go by.
 */
import { NarrowColumns } from '../corpus/narrow-columns.ts';
import { below, remoteScheme } from '../corpus/storage/addresses.ts';
import { readableFolder, readSmall, readSmallFiles } from '../corpus/storage/folders.ts';
import { inputRange } from '../corpus/unit-files.ts';
import { parseLedgerJson } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { checkRecord } from './check-record.ts';
import { type PartValues, partRows } from './part-rows.ts';
import type { RunIdentity } from './run-identity.ts';
import { addCounts, type RefineCounts, ZERO_COUNTS } from './statistics.ts';
import type { UnitFile, UnitRecord } from './unit-record.ts';

/** What became of a row. */
export type RowStatus = 'kept' | 'edited' | 'dropped' | 'failed';

/** A row of a finished run. */
export interface FinishedRow {
  readonly unit: number;
  /** Position in the unit, from 0. */
  readonly position: number;
  /** The input file. */
  readonly file: string;
  /** Index in the input file, from 0; null where it cannot be told. */
  readonly row: number | null;
  readonly id: string | null;
  readonly status: RowStatus;
  readonly reason: string | null;
  readonly program: string | null;
  /** Of the document stage, 0..1. */
  readonly score: number | null;
  /** The text that was written; null where there is none, or it was not asked for. */
  readonly text: string | null;
  /**
   * The text as it came, where the output tells (a kept original, rows that were not changed, texts of dropped rows);
   * undefined where only the input does. See original-texts.ts.
   */
  readonly original?: string | null;
  /** Values of the other columns that were asked for; undefined for those that the part does not have. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** What is read of rows. */
export interface RowsWanted {
  /** Also the texts. Default false. */
  readonly text?: boolean;
  /** Other columns of the corpus, by name; a part that lacks one has no value of it. Default none. */
  readonly columns?: readonly string[];
  /** First position, and the one behind the last. Default: the whole unit. */
  readonly from?: number;
  readonly to?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Names of the columns that the run has added or was told of. */
export interface RunColumns {
  readonly text: string;
  readonly id: string | null;
  readonly status: string;
  readonly reason: string;
  readonly program: string;
  readonly score: string;
  /** Null without `keepOriginal`. */
  readonly original: string | null;
}

/** Where the rows of a unit lie. */
export interface UnitLayout {
  /** Number of the unit's first row, as its sidecar of scores has it; null where it cannot be told. */
  readonly firstRow: number | null;
  /** Positions of the rows that the staying part does not have, ascending. */
  readonly dropped: Int32Array;
  readonly rejected: Int32Array;
}

type PartRole = 'staying' | 'dropped' | 'rejected';

const ROLE: Readonly<Record<string, PartRole>> = { dropped: 'dropped', rejected: 'rejected' };
/** Rejected rows that are read at once: nothing bounds the bytes of theirs. */
const RAW_ROWS = 16;
/** Layouts that are kept: four bytes a row that was taken out. */
const MAX_LAYOUTS = 64;

/** See the file's header. */
export class FinishedRun {
  readonly out: string;
  readonly identity: RunIdentity;
  /** Committed units, ascending. */
  readonly units: readonly UnitRecord[];
  readonly counts: RefineCounts;
  readonly columns: RunColumns;
  readonly #byIndex: ReadonlyMap<number, UnitRecord>;
  readonly #layouts = new Map<number, Promise<UnitLayout>>();

  private constructor(out: string, identity: RunIdentity, units: readonly UnitRecord[]) {
    this.out = out;
    this.identity = identity;
    this.units = units;
    this.counts = units.reduce((sum, { counts }) => addCounts(sum, counts), ZERO_COUNTS);
    this.columns = columnsOf(identity);
    this.#byIndex = new Map(units.map((record) => [record.unit, record]));
  }

  /**
   * Opens the run in a folder.
   *
   * @throws RUN_NOT_FOUND where there is none; RUN_LEDGER_INVALID; STORAGE_*, PATH_REMOTE, ABORTED
   */
  static async open(dir: string, signal?: AbortSignal): Promise<FinishedRun> {
    const out = readableFolder(dir, 'the run');
    const ledger = below(out, '_gristmill');
    const runFile = below(ledger, 'run.json');
    const found = await readSmallFiles(below(ledger, 'units'), isRecord, signal);
    const text = await readSmall(runFile, signal);
    // A bucket has no folder before there is something in it.
    if (text === null || (found === null && remoteScheme(out) === null)) {
      throw new GristmillError('RUN_NOT_FOUND', { path: dir, kinds: 'refine' });
    }
    const identity = parseLedgerJson(runFile, text) as RunIdentity;
    if (identity?.format !== 1 || !Number.isSafeInteger(identity.units)) {
      const reason = 'no run.json of this version';
      throw new GristmillError('RUN_LEDGER_INVALID', { file: runFile, reason });
    }
    const records = (found ?? [])
      .map(({ name, text: record }) => {
        const file = below(ledger, `units/${name}`);
        return checkRecord(parseLedgerJson(file, record), { file, name, nUnits: identity.units });
      })
      .sort((left, right) => left.unit - right.unit);
    return new FinishedRun(out, identity, records);
  }

  /** Whether every unit of the plan is committed. */
  get isWhole(): boolean {
    return this.units.length === this.identity.units;
  }

  /** Whether a unit is committed. */
  has(index: number): boolean {
    return this.#byIndex.has(index);
  }

  /** @throws OPTION_INVALID for a unit that is not committed */
  unit(index: number): UnitRecord {
    const record = this.#byIndex.get(index);
    if (record) return record;
    const expected = `a committed unit of ${this.out}`;
    throw new GristmillError('OPTION_INVALID', { option: 'unit', expected, received: index });
  }

  /** A file of a unit. */
  part(unit: number, role: PartRole): UnitFile | null {
    return this.unit(unit).files.find(({ path }) => roleOf(path) === role) ?? null;
  }

  /** Where a file of a unit lies. */
  pathOf({ path }: UnitFile): string {
    return below(this.out, path);
  }

  /** Where the rows of a unit lie. @throws CORPUS_* */
  layout(unit: number): Promise<UnitLayout> {
    const known = this.#layouts.get(unit);
    if (known) return known;
    const layout = this.#readLayout(unit);
    this.#layouts.set(unit, layout);
    const oldest = this.#layouts.keys().next().value;
    if (this.#layouts.size > MAX_LAYOUTS && oldest !== undefined) this.#layouts.delete(oldest);
    return layout;
  }

  /**
   * Rows of a unit in the order of the input, a batch after the other.
   *
   * @throws CORPUS_* for parts that are gone or damaged; ABORTED
   */
  async *rows(unit: number, wanted: RowsWanted = {}): AsyncGenerator<FinishedRow[]> {
    const { rowsIn } = this.unit(unit).counts;
    const from = Math.max(0, wanted.from ?? 0);
    const to = Math.min(rowsIn, wanted.to ?? rowsIn);
    if (from >= to) return;
    const layout = await this.layout(unit);
    const placeOf = this.#placesOf(unit);
    const taken = [countBelow(layout.dropped, from), countBelow(layout.dropped, to)] as const;
    const rejected = [countBelow(layout.rejected, from), countBelow(layout.rejected, to)] as const;
    const staying = [from - taken[0] - rejected[0], to - taken[1] - rejected[1]] as const;
    const sources = [
      this.#cursor(unit, 'staying', staying, wanted),
      this.#cursor(unit, 'dropped', taken, wanted),
      this.#cursor(unit, 'rejected', rejected, wanted),
    ] as const;
    try {
      let batch: FinishedRow[] = [];
      let [nextDropped, nextRejected] = [taken[0], rejected[0]];
      for (let position = from; position < to; position++) {
        let role: PartRole = 'staying';
        if (layout.dropped[nextDropped] === position) {
          role = 'dropped';
          nextDropped++;
        } else if (layout.rejected[nextRejected] === position) {
          role = 'rejected';
          nextRejected++;
        }
        const source = sources[role === 'staying' ? 0 : role === 'dropped' ? 1 : 2];
        let values = source.next();
        if (!values) {
          // A batch of a part is at an end: what has been put together is handed on before more is read.
          if (batch.length > 0) yield batch;
          batch = [];
          await source.fill();
          values = source.next();
        }
        if (!values) throw this.#cut(unit, role);
        const place = { unit, position, ...placeOf(position, layout.firstRow) };
        batch.push(this.#row(role, values, place, wanted));
      }
      if (batch.length > 0) yield batch;
    } finally {
      for (const source of sources) await source.close();
    }
  }

  #cut(unit: number, role: PartRole): GristmillError {
    const part = this.part(unit, role);
    const file = part ? this.pathOf(part) : role;
    return new GristmillError('CORPUS_FILE_INVALID', {
      file,
      reason: 'it has fewer rows than the ledger says',
    });
  }

  #cursor(
    unit: number,
    role: PartRole,
    [from, to]: readonly [number, number],
    { text = false, columns = [], signal }: RowsWanted,
  ): Cursor {
    const file = this.part(unit, role);
    if (!file || from >= to) return new Cursor(null);
    const own = this.columns;
    const hasDroppedText = this.identity.options['droppedText'] === true;
    const names = {
      staying: [own.status, own.reason, own.program, own.score, own.id],
      dropped: ['reason', 'id', 'score', 'program'].map((name) => this.#droppedName(name)),
      rejected: ['reason'],
    }[role];
    // The first is the largest.
    const texts = {
      staying: [own.original, own.text],
      dropped: hasDroppedText ? [own.text] : [],
      rejected: [],
    }[role].filter((name) => name !== null);
    return new Cursor(
      partRows(this.pathOf(file), {
        ...{ from, to, signal },
        bounding: (text ? texts[0] : null) ?? names[0]!,
        columns: [...names, ...(text ? texts : []), ...columns].filter((name) => name !== null),
        ...(text && role === 'rejected' && { columns: ['raw'], batchRows: RAW_ROWS }),
      }),
    );
  }

  #droppedName(name: string): string {
    return `${(this.identity.options['statusPrefix'] as string | undefined) ?? ''}${name}`;
  }

  #row(
    role: PartRole,
    values: PartValues,
    place: Pick<FinishedRow, 'unit' | 'position' | 'file' | 'row'>,
    { text: wantsText = false, columns = [] }: RowsWanted,
  ): FinishedRow {
    const own = this.columns;
    const extra = Object.fromEntries(columns.map((name) => [name, values(name)]));
    if (role === 'rejected') {
      return {
        ...place,
        ...{
          id: null,
          status: 'failed',
          reason: textOf(values('reason')),
          program: null,
          score: null,
        },
        text: null,
        ...(wantsText && { original: textOf(values('raw')) }),
        values: extra,
      };
    }
    if (role === 'dropped') {
      const name = (column: string): unknown => values(this.#droppedName(column));
      const hasText = this.identity.options['droppedText'] === true;
      return {
        ...place,
        id: textOf(name('id')),
        status: 'dropped',
        reason: textOf(name('reason')),
        program: textOf(name('program')),
        score: numberOf(name('score')),
        text: null,
        ...(wantsText && hasText && { original: textOf(values(own.text)) }),
        values: extra,
      };
    }
    const status = textOf(values(own.status)) as RowStatus;
    const text = wantsText ? textOf(values(own.text)) : null;
    const isTold = own.original !== null || status !== 'edited';
    return {
      ...place,
      id: own.id === null ? null : textOf(values(own.id)),
      status,
      reason: textOf(values(own.reason)),
      program: textOf(values(own.program)),
      score: numberOf(values(own.score)),
      text,
      ...(wantsText &&
        isTold && { original: own.original === null ? text : textOf(values(own.original)) }),
      values: extra,
    };
  }

  async #readLayout(unit: number): Promise<UnitLayout> {
    const { counts } = this.unit(unit);
    const firstRow = this.#firstRow(unit);
    const [dropped, rejected] = await Promise.all(
      (['dropped', 'rejected'] as const).map(async (role) => {
        const file = this.part(unit, role);
        const positions = new Int32Array(file?.rows ?? 0);
        if (!file || file.rows === 0 || firstRow === null) return positions;
        let at = 0;
        for (const row of await this.#rowNumbers(unit, file, role)) {
          const position = row - firstRow;
          if (!(position >= 0 && position < counts.rowsIn)) throw this.#cut(unit, role);
          positions[at++] = position;
        }
        if (at !== file.rows) throw this.#cut(unit, role);
        return positions.sort();
      }),
    );
    if (firstRow !== null) return { firstRow, dropped: dropped!, rejected: rejected! };
    const start = counts.rowsIn - dropped!.length - rejected!.length;
    return {
      firstRow,
      dropped: dropped!.map((_, at) => start + at),
      rejected: rejected!.map((_, at) => start + dropped!.length + at),
    };
  }

  /** Numbers of the rows of a part: in the input, or of the unit's files. */
  async #rowNumbers(
    unit: number,
    file: UnitFile,
    role: 'dropped' | 'rejected',
  ): Promise<Iterable<number>> {
    const files = this.filesOf(unit);
    const path = this.pathOf(file);
    if (files) {
      const numbers = new Map(files.map((each, at) => [each, at]));
      const named = role === 'dropped' ? this.#droppedName('file') : 'file';
      const own = { from: 0, to: file.rows, bounding: named, columns: [named] };
      const found: number[] = [];
      for await (const { nRows, valueAt } of partRows(path, own)) {
        for (let row = 0; row < nRows; row++) {
          found.push(numbers.get(String(valueAt(named, row))) ?? Number.NaN);
        }
      }
      return found;
    }
    const name = role === 'dropped' ? this.#droppedName('row') : 'row';
    if (path.endsWith('.parquet')) {
      await using part = await NarrowColumns.open(path, [name], { fingerprint: file.sha256 });
      return (await part.numbers(name)) ?? [];
    }
    const bounding = role === 'dropped' ? this.#droppedName('reason') : 'reason';
    const range = { from: 0, to: file.rows, bounding, columns: [name] };
    const found: number[] = [];
    for await (const { nRows, valueAt } of partRows(path, range)) {
      for (let row = 0; row < nRows; row++) found.push(Number(valueAt(name, row)));
    }
    return found;
  }

  /**
   * Files of a unit that has many, a row each; null for units of one file.
   *
   * @throws RUN_LEDGER_INVALID where run.json does not have them
   */
  filesOf(unit: number): readonly string[] | null {
    const { kind, path, start, end } = inputRange(this.unit(unit).input);
    if (kind !== 'files') return null;
    const files = this.identity.inputs.slice(start, end).map((input) => input.path);
    if (files.length === end - start && files[0] === path) return files;
    const reason = `it does not have the inputs ${start}..${end - 1} of unit ${unit}`;
    const file = below(this.out, '_gristmill/run.json');
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
  }

  #placesOf(
    unit: number,
  ): (position: number, firstRow: number | null) => Pick<FinishedRow, 'file' | 'row'> {
    const files = this.filesOf(unit);
    if (files) return (position) => ({ file: files[position]!, row: 0 });
    const file = inputRange(this.unit(unit).input).path;
    return (position, firstRow) => ({ file, row: firstRow === null ? null : firstRow + position });
  }

  #firstRow(unit: number): number | null {
    const { path, kind } = inputRange(this.unit(unit).input);
    if (kind === 'files') return 0;
    let rows = 0;
    for (let before = unit - 1; before >= 0; before--) {
      const record = this.#byIndex.get(before);
      if (!record) return isWholeFile(this.unit(unit).input) ? 0 : null;
      if (inputRange(record.input).path !== path) break;
      rows += record.counts.rowsIn;
    }
    return rows;
  }
}

function isRecord(name: string): boolean {
  return /^\d+\.json$/.test(name);
}

/** Nothing of the same file can come before it. */
function isWholeFile(input: string): boolean {
  return inputRange(input).start === 0;
}

function roleOf(path: string): PartRole {
  return ROLE[path.split('/')[0]!] ?? 'staying';
}

function columnsOf({ options }: RunIdentity): RunColumns {
  const prefix = (options['statusPrefix'] as string | undefined) ?? 'gristmill_';
  return {
    text: options['textColumn'] as string,
    id: (options['idColumn'] as string | null | undefined) ?? null,
    status: `${prefix}status`,
    reason: `${prefix}reason`,
    program: `${prefix}program`,
    score: `${prefix}doc_score`,
    original: options['keepOriginal'] === true ? `${prefix}original` : null,
  };
}

/** How many of ascending values are below a bound. */
function countBelow(values: Int32Array, bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : String(value);
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Rows of a part, one at a time out of its batches. */
class Cursor {
  readonly #batches: ReturnType<typeof partRows> | null;
  #batch: { readonly nRows: number; valueAt(name: string, row: number): unknown } | null = null;
  #row = 0;

  constructor(batches: ReturnType<typeof partRows> | null) {
    this.#batches = batches;
  }

  /** The values of the next row; null where its batch is at an end. */
  next(): PartValues | null {
    const batch = this.#batch;
    if (!batch || this.#row >= batch.nRows) return null;
    const row = this.#row++;
    return (name) => batch.valueAt(name, row);
  }

  async fill(): Promise<void> {
    const next = await this.#batches?.next();
    this.#batch = next && !next.done ? next.value : null;
    this.#row = 0;
  }

  async close(): Promise<void> {
    await this.#batches?.return(undefined);
  }
}
