/**
 * Texts as they went into a run: from the rows themselves where the output tells (finished-run.ts), else from the inputs,
 * which have to be what the run has read.
 */
import { isNullAt } from '../batch/document-batch.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { formatOf } from '../corpus/formats.ts';
import { planCorpus } from '../corpus/plan.ts';
import type { CorpusFormat, CorpusPlan, CorpusUnit } from '../corpus/types.ts';
import { checkUnchanged } from '../corpus/unchanged.ts';
import { openUnit } from '../corpus/unit.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import { borrowSlabs } from './borrowed-slabs.ts';
import { type FinishedRow, type FinishedRun, inputRange } from './finished-run.ts';

/** Plans of inputs that are kept. */
const MAX_PLANS = 8;
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

/** See the file's header. Rows of one input file come cheapest together. */
export class OriginalTexts {
  readonly #run: FinishedRun;
  readonly #plans = new Map<string, Promise<CorpusPlan>>();
  readonly #signal: AbortSignal | undefined;

  constructor(run: FinishedRun, signal?: AbortSignal) {
    this.#run = run;
    this.#signal = signal;
  }

  /**
   * The texts of some rows of one unit; null for those that had none.
   *
   * @param rows ascending by position, read with their texts
   * @throws RUN_ORIGINAL_GONE where an input is gone or another one; CORPUS_*, ABORTED
   */
  async of(rows: readonly FinishedRow[]): Promise<(string | null)[]> {
    const texts = new Map<FinishedRow, string | null>();
    const missing = rows.filter((row) => {
      if (row.original === undefined) return true;
      texts.set(row, row.original);
      return false;
    });
    if (missing.length > 0) await this.#read(missing, texts);
    return rows.map((row) => texts.get(row) ?? null);
  }

  async #read(rows: readonly FinishedRow[], into: Map<FinishedRow, string | null>): Promise<void> {
    const { unit } = rows[0]!;
    const { path, kind, start, end } = inputRange(this.#run.unit(unit).input);
    const gone = (reason: string, cause?: unknown): GristmillError =>
      new GristmillError('RUN_ORIGINAL_GONE', { unit, file: path, reason }, { cause });
    if (rows.some(({ row }) => row === null)) {
      throw gone(
        'units of this file before it are not committed, so that its rows have no numbers',
      );
    }
    const wanted = new Map(rows.map((row) => [row.row!, row]));
    const last = rows.at(-1)!.row!;
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
        if (await this.#readPart(plan, stretch, wanted, last, into)) return;
        if (kind === 'bytes') return;
      }
    } catch (error) {
      if (!isGristmillError(error) || !error.code.startsWith('CORPUS_')) throw error;
      throw gone(error.message, error);
    }
  }

  /** @returns whether the last one was found */
  async #readPart(
    plan: CorpusPlan,
    part: CorpusUnit,
    wanted: ReadonlyMap<number, FinishedRow>,
    last: number,
    into: Map<FinishedRow, string | null>,
  ): Promise<boolean> {
    const options = { reject: 'lines' as const, ...(this.#signal && { signal: this.#signal }) };
    using borrowed = borrowSlabs();
    for await (const input of openUnit(plan, part, borrowed.slabs, options)) {
      const { batch, carry, rowNumbers } = input;
      try {
        const { text } = batch;
        for (const [at, number] of rowNumbers.entries()) {
          const row = wanted.get(Number(number));
          if (!row) continue;
          const bytes = text.data.subarray(text.offsets[at], text.offsets[at + 1]);
          into.set(row, isNullAt(text, at) ? null : lossy.decode(bytes));
        }
        if (rowNumbers.length > 0 && Number(rowNumbers.at(-1)) >= last) return true;
      } finally {
        batch.release();
        carry.release();
      }
    }
    return false;
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
    const format = formatOf(path) as CorpusFormat | null;
    if (!input || format === null || path === '-') throw gone('it is no file');
    await checkUnchanged({ ...input, format, rows: null, schema: 0, partition: [] });
    const maxLineBytes = options['maxLineBytes'];
    const plan = await planCorpus({
      inputs: [path],
      textColumn: this.#run.columns.text,
      idColumn: null,
      // A unit for every row group: only those that are touched are read.
      unitRows: 1,
      failFast: true,
      ...(typeof maxLineBytes === 'number' && { maxLineBytes }),
      ...(this.#signal && { signal: this.#signal }),
    });
    return onlyColumns(plan, new Set([this.#run.columns.text]));
  }
}
