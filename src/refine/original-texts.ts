/**
 * Texts as they went into a run: from the rows themselves where the output tells (finished-run.ts), else from the inputs,
 * which have to be what the run has read. Other columns of the inputs too: rows that were dropped have none in the output.
 *
 * Where the last call ended the next one goes on, so that rows in ascending order cost one reading of their inputs. Calls
 * wait for each other.
 */
import { isNullAt } from '../batch/document-batch.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { namedFormatOf } from '../corpus/formats.ts';
import { planCorpus } from '../corpus/plan.ts';
import type {
  CorpusFormat,
  CorpusPlan,
  CorpusUnit,
  PlainValue,
  UnitBatch,
} from '../corpus/types.ts';
import { checkUnchanged } from '../corpus/unchanged.ts';
import { openUnit } from '../corpus/unit.ts';
import { inputRange } from '../corpus/unit-files.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import { borrowSlabs } from './borrowed-slabs.ts';
import type { FinishedRow, FinishedRun } from './finished-run.ts';
import { valuesOf } from './part-rows.ts';

/** Plans of inputs that are kept. */
const MAX_PLANS = 8;
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

/** A row as it went in. */
export interface InputRow {
  readonly text: string | null;
  /** Values of the columns that were asked for; none where the text came from the output. */
  readonly values: Readonly<Record<string, PlainValue>>;
}

/** A place in an input. */
interface Cursor {
  readonly key: string;
  readonly borrowed: ReturnType<typeof borrowSlabs>;
  readonly batches: AsyncGenerator<UnitBatch>;
  batch: UnitBatch | null;
}

/** What one reading is to find. */
interface Wanted {
  readonly rows: ReadonlyMap<number, FinishedRow>;
  readonly first: number;
  readonly last: number;
  readonly into: Map<FinishedRow, InputRow>;
}

/** See the file's header. */
export class OriginalTexts {
  readonly #run: FinishedRun;
  readonly #plans = new Map<string, Promise<CorpusPlan>>();
  readonly #signal: AbortSignal | undefined;
  readonly #columns: readonly string[];
  #cursor: Cursor | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param columns of the inputs, for {@link inputs}; an input that lacks one has no value of it */
  constructor(run: FinishedRun, signal?: AbortSignal, columns: readonly string[] = []) {
    this.#run = run;
    this.#signal = signal;
    this.#columns = columns;
  }

  /**
   * The texts of some rows of one unit; null for those that had none.
   *
   * @param rows ascending by position, read with their texts
   * @throws RUN_ORIGINAL_GONE where an input is gone or another one; CORPUS_*, ABORTED
   */
  async of(rows: readonly FinishedRow[]): Promise<(string | null)[]> {
    const missing = rows.filter(({ original }) => original === undefined);
    const found = await this.#inTurn(missing);
    return rows.map((row) => row.original ?? found.get(row)?.text ?? null);
  }

  /** The same with columns of the input, for which it is read in any case. @throws as {@link of} */
  async inputs(rows: readonly FinishedRow[]): Promise<InputRow[]> {
    const found = await this.#inTurn(rows);
    return rows.map((row) => found.get(row) ?? { text: row.original ?? null, values: {} });
  }

  /** Closes what is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn.catch(() => undefined);
    await this.#close();
  }

  #inTurn(rows: readonly FinishedRow[]): Promise<Map<FinishedRow, InputRow>> {
    const read = async (): Promise<Map<FinishedRow, InputRow>> => {
      const into = new Map<FinishedRow, InputRow>();
      if (rows.length > 0) await this.#read(rows, into);
      return into;
    };
    const turn = this.#turn.then(read, read);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #read(rows: readonly FinishedRow[], into: Map<FinishedRow, InputRow>): Promise<void> {
    const range = inputRange(this.#run.unit(rows[0]!.unit).input);
    if (range.kind !== 'files') return this.#readFile(range, rows, into);
    for (const row of rows) {
      await this.#readFile({ ...range, kind: 'whole', path: row.file }, [row], into);
    }
  }

  async #readFile(
    { path, kind, start, end }: ReturnType<typeof inputRange>,
    rows: readonly FinishedRow[],
    into: Map<FinishedRow, InputRow>,
  ): Promise<void> {
    const { unit } = rows[0]!;
    const gone = (reason: string, cause?: unknown): GristmillError =>
      new GristmillError('RUN_ORIGINAL_GONE', { unit, file: path, reason }, { cause });
    if (rows.some(({ row }) => row === null)) {
      throw gone(
        'units of this file before it are not committed, so that its rows have no numbers',
      );
    }
    const wanted: Wanted = {
      rows: new Map(rows.map((row) => [row.row!, row])),
      first: rows[0]!.row!,
      last: rows.at(-1)!.row!,
      into,
    };
    try {
      const plan = await this.#planOf(path, gone);
      let before = 0;
      for (const part of plan.units) {
        const first = before;
        before += part.nRows ?? 0;
        if (kind === 'row groups') {
          if (part.rowGroupStart! < start || part.rowGroupStart! >= end) continue;
          if (!rows.some(({ row }) => row! >= first && row! < before)) continue;
        }
        const stretch: CorpusUnit =
          kind === 'bytes' ? { ...part, byteStart: start, byteEnd: end } : part;
        if (await this.#readPart(plan, stretch, wanted)) return;
        if (kind === 'bytes') return;
      }
    } catch (error) {
      await this.#close();
      if (!isGristmillError(error) || !error.code.startsWith('CORPUS_')) throw error;
      throw gone(error.message, error);
    }
  }

  /** @returns whether the last one was found */
  async #readPart(plan: CorpusPlan, part: CorpusUnit, wanted: Wanted): Promise<boolean> {
    const key = JSON.stringify([plan.files[0]!.path, part.index, part.byteStart]);
    const open = this.#cursor;
    const isBehind = !open?.batch || Number(open.batch.rowNumbers[0] ?? 0n) > wanted.first;
    if (open?.key !== key || isBehind) {
      await this.#close();
      const options = { reject: 'lines' as const, ...(this.#signal && { signal: this.#signal }) };
      const borrowed = borrowSlabs();
      const batches = openUnit(plan, part, borrowed.slabs, options);
      this.#cursor = { key, borrowed, batches, batch: null };
    }
    const cursor = this.#cursor!;
    while (cursor.batch || (await advance(cursor))) {
      if (await this.#take(cursor.batch!, wanted)) return true;
      if (!(await advance(cursor))) break;
    }
    await this.#close();
    return false;
  }

  async #take(input: UnitBatch, { rows, last, into }: Wanted): Promise<boolean> {
    const { batch, carry, rowNumbers } = input;
    const found = [...rowNumbers].flatMap((number, at) => {
      const row = rows.get(Number(number));
      return row ? [{ row, at }] : [];
    });
    const isCarried = this.#columns.length > 0 && found.length > 0;
    const carried = isCarried
      ? await valuesOf(
          carry,
          Int32Array.from(found, ({ at }) => at),
        )
      : null;
    for (const [index, { row, at }] of found.entries()) {
      const { text } = batch;
      const bytes = text.data.subarray(text.offsets[at], text.offsets[at + 1]);
      const values = this.#columns.map((name) => [name, carried?.(name, index) as PlainValue]);
      into.set(row, {
        text: isNullAt(text, at) ? null : lossy.decode(bytes),
        values: Object.fromEntries(values),
      });
    }
    return rowNumbers.length > 0 && Number(rowNumbers.at(-1)) >= last;
  }

  async #close(): Promise<void> {
    const cursor = this.#cursor;
    this.#cursor = null;
    if (!cursor) return;
    release(cursor);
    try {
      await cursor.batches.return(undefined);
    } finally {
      cursor.borrowed[Symbol.dispose]();
    }
  }

  #planOf(path: string, gone: (reason: string) => GristmillError): Promise<CorpusPlan> {
    const known = this.#plans.get(path);
    if (known) return known;
    const plan = this.#makePlan(path, gone);
    this.#plans.set(path, plan);
    const oldest = this.#plans.keys().next().value;
    if (this.#plans.size > MAX_PLANS && oldest !== undefined) this.#plans.delete(oldest);
    return plan;
  }

  async #makePlan(path: string, gone: (reason: string) => GristmillError): Promise<CorpusPlan> {
    const { inputs, options } = this.#run.identity;
    const input = inputs.find((one) => one.path === path);
    const format = namedFormatOf(path) as CorpusFormat | null;
    if (!input || format === null || path === '-') throw gone('it is no file');
    await checkUnchanged({ ...input, format, rows: null, schema: 0, partition: [] });
    const maxLineBytes = options['maxLineBytes'];
    const textPer = options['textPer'];
    const plan = await planCorpus({
      inputs: [path],
      textColumn: this.#run.columns.text,
      idColumn: null,
      // A unit for every row group: only those that are touched are read.
      unitRows: 1,
      failFast: true,
      ...(typeof maxLineBytes === 'number' && { maxLineBytes }),
      ...((textPer === 'file' || textPer === 'line') && { textPer }),
      ...(this.#signal && { signal: this.#signal }),
    });
    return onlyColumns(plan, new Set([this.#run.columns.text, ...this.#columns]));
  }
}

/** @returns whether there is another batch */
async function advance(cursor: Cursor): Promise<boolean> {
  release(cursor);
  const next = await cursor.batches.next();
  cursor.batch = next.done ? null : next.value;
  return !next.done;
}

function release(cursor: Cursor): void {
  cursor.batch?.batch.release();
  cursor.batch?.carry.release();
  cursor.batch = null;
}
