/**
 * `annotate documents`: an expert scores every document of a corpus, and the scores decide keep or drop (ProX,
 * arXiv 2409.17115 §3 and appendix).
 *
 *     documents.parquet     every row, in order: `id`, `text`, the corpus's other columns, and LABEL_COLUMNS
 *     documents.jsonl.zst   labelled rows as document gold: {text, id, domain, language, label} with 1 for keep
 *     statistics.json       comes last; a folder without it holds no finished set
 *     _annotate/            answers of the expert, and files in the making
 *
 * Conservation: rows read = labelled + failed + unfinished; only a spent budget leaves rows unfinished, and they are
 * not written. Running the same command again asks for nothing that was answered before.
 */
import { join } from 'node:path';
import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import { SlabPool } from '../batch/slab-pool.ts';
import { planCorpus } from '../corpus/plan.ts';
import { isTextColumn, stringColumn } from '../corpus/schema.ts';
import { openSink } from '../corpus/sink.ts';
import {
  type CorpusPlan,
  type CorpusSink,
  type ExtraColumn,
  ROW_NULL,
  ROW_OK,
  type UnitBatch,
} from '../corpus/types.ts';
import { openUnit } from '../corpus/unit.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import { mapOrdered } from '../refine/pipeline.ts';
import { type Expert, type ExpertOptions, type ExpertStats, openExpert } from './expert.ts';
import { discard, pendingFile, prepareFolder, publish, workFolder } from './output-files.ts';
import {
  cutText,
  isKept,
  type KeepRule,
  type ParsedScore,
  parseKeepRule,
  parseScore,
  type ScoreName,
  type ScoreProblem,
  scoresOf,
} from './scores.ts';
import { loadTemplate, type PromptTemplate } from './templates.ts';

/** Options of {@link annotateDocuments}. */
export interface AnnotateDocumentsOptions {
  /** Files, folders and globs of a corpus. */
  readonly inputs: readonly string[];
  /** Output folder. */
  readonly out: string;
  /** Who is asked. Answers are kept in `<out>/_annotate/answers` unless `cacheDir` says otherwise. */
  readonly expert: ExpertOptions;
  /** Default `text`. */
  readonly textColumn?: string;
  /** Default: `id` where there is one, else ids are `row:<number>`. */
  readonly idColumn?: string;
  /** Most rows to read. */
  readonly limit?: number;
  /** Characters of a text that the expert sees; longer ones are cut. Default 10 000. */
  readonly maxChars?: number;
  /** Longest answer in tokens. Default 512. */
  readonly answerTokens?: number;
  /** `prox` (default): educational ≥ 3, or 2 and format ≥ 4. `edu:N`: educational ≥ N; the format is not asked for. */
  readonly keepRule?: string;
  /** Folder of edited prompts. */
  readonly prompts?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: AnnotateProgress) => void;
}

/** Defaults of {@link AnnotateDocumentsOptions}. */
export const ANNOTATE_DOCUMENTS_DEFAULTS = Object.freeze({
  textColumn: 'text',
  maxChars: 10_000,
  answerTokens: 512,
  keepRule: 'prox',
});

/** How far a run is. */
export interface AnnotateProgress {
  readonly rows: number;
  /** Null where the corpus does not say. */
  readonly nRows: number | null;
  readonly labelled: number;
  readonly failed: number;
  readonly expert: ExpertStats;
}

/** Columns added to a row. Scores are whole numbers 0..5. */
export const LABEL_COLUMNS: readonly ExtraColumn[] = Object.freeze([
  { name: 'label', type: 'string' },
  { name: 'edu_score', type: 'double' },
  { name: 'format_score', type: 'double' },
  { name: 'edu_justification', type: 'string' },
  { name: 'format_justification', type: 'string' },
  { name: 'expert', type: 'string' },
  { name: 'requests', type: 'string' },
  { name: 'reason', type: 'string' },
] as const);

/** Why a row failed: a problem of its text, or, behind `edu_` or `format_`, of an answer. */
export type DocumentFailure =
  | 'null_text'
  | 'invalid_utf8'
  | 'empty_text'
  | `${'edu' | 'format'}_${'expert_failed' | ScoreProblem}`;

/** What {@link annotateDocuments} did; statistics.json. */
export interface AnnotateDocumentsStatistics {
  readonly out: string;
  /** `budget`: the rest of the corpus is left for another run. */
  readonly stopped: 'budget' | null;
  /** Rows read. */
  readonly rowsIn: number;
  readonly labelled: number;
  readonly failed: number;
  /** Rows for which the budget did not suffice. */
  readonly unfinished: number;
  readonly keep: number;
  readonly drop: number;
  /** Rows of which the expert saw the beginning only. */
  readonly cut: number;
  /** Rows by score, 0 to 5. */
  readonly eduScores: readonly number[];
  readonly formatScores: readonly number[];
  readonly failures: Readonly<Record<string, number>>;
  readonly keepRule: string;
  readonly maxChars: number;
  readonly answerTokens: number;
  readonly expert: ExpertStats & { readonly name: string };
  readonly seconds: number;
}

const PARQUET = 'documents.parquet';
const GOLD = 'documents.jsonl.zst';
const COLUMN_OF = { educational: 'edu', format: 'format' } as const;
/** Small batches: a batch stays in memory until its last document is answered. */
const BATCH = { batchRows: 256, batchBytes: 2 * 2 ** 20 };
const SLABS = { slabBytes: 32 * 2 ** 20, nSlabs: 3 };

/** Where an expert's answers lie unless somebody says otherwise. */
export function answersFolder(out: string): string {
  return join(workFolder(out), 'answers');
}

/**
 * Labels the documents of a corpus.
 *
 * @throws OPTION_INVALID, CORPUS_*, ENGINE_*, RUN_OUTPUT_FAILED, ANNOTATE_TEMPLATE_INVALID, ANNOTATE_CACHE_*,
 *   ANNOTATE_EXPERT_REFUSED, ANNOTATE_EXPERT_DOWN; ABORTED when `signal` fires: no result is written then, the answers
 *   stay
 */
export async function annotateDocuments(
  options: AnnotateDocumentsOptions,
): Promise<AnnotateDocumentsStatistics> {
  const started = performance.now();
  const settings = { ...ANNOTATE_DOCUMENTS_DEFAULTS, ...defined(options) };
  for (const name of ['maxChars', 'answerTokens'] as const) checkCount(name, settings[name], 1);
  if (options.limit !== undefined) checkCount('limit', options.limit, 0);
  const rule = parseKeepRule(settings.keepRule);
  const templates = scoresOf(rule).map((name) => loadTemplate(name, options.prompts));
  const { signal, out } = options;
  const plan = await planCorpus({
    inputs: options.inputs,
    textColumn: settings.textColumn,
    failFast: true,
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    ...(signal && { signal }),
  });
  await prepareFolder(out);
  const { maxChars, answerTokens, keepRule } = settings;
  await using expert = await openExpert({ cacheDir: answersFolder(out), ...options.expert });
  const judge = { expert, templates, rule, maxChars, answerTokens, signal };
  const counts = await new LabelRun(plan, judge, options).execute();
  const statistics = {
    out,
    ...counts,
    keepRule,
    maxChars,
    answerTokens,
    expert: { name: expert.name, ...expert.stats() },
    seconds: (performance.now() - started) / 1000,
  };
  await publish(out, [PARQUET, GOLD], statistics);
  return statistics;
}

/** What a document is judged with. */
interface Judge {
  readonly expert: Expert;
  readonly templates: readonly PromptTemplate[];
  readonly rule: KeepRule;
  readonly maxChars: number;
  readonly answerTokens: number;
  readonly signal: AbortSignal | undefined;
}

/** A row that was judged; null: the budget did not suffice. */
type Verdict = {
  readonly reason: DocumentFailure | null;
  readonly keep: boolean | null;
  readonly scores: Readonly<Partial<Record<ScoreName, ParsedScore>>>;
  readonly requests: string;
  readonly cut: boolean;
} | null;

const UNREAD = { keep: null, scores: {}, requests: '', cut: false } as const;

/** Asks for the scores of a text. @throws what ends the run */
async function judgeText(text: string, judge: Judge): Promise<Verdict> {
  const { expert, templates, rule, maxChars, answerTokens, signal } = judge;
  if (text.trim() === '') return { ...UNREAD, reason: 'empty_text' };
  const seen = cutText(text, maxChars);
  // Every answer is waited for, so that none is lost when another one fails.
  const settled = await Promise.allSettled(
    templates.map((template) =>
      expert.ask(
        { ...template.fill({ text: seen }), maxTokens: answerTokens },
        signal ? { signal } : {},
      ),
    ),
  );
  const scores: Partial<Record<ScoreName, ParsedScore>> = {};
  const requests: string[] = [];
  let reason: DocumentFailure | null = null;
  let unfinished = false;
  for (const [index, outcome] of settled.entries()) {
    const name = templates[index]!.name as ScoreName;
    if (outcome.status === 'fulfilled') {
      const parsed = parseScore(name, outcome.value);
      scores[name] = parsed;
      requests.push(outcome.value.hash);
      if (parsed.problem !== null) reason ??= `${COLUMN_OF[name]}_${parsed.problem}`;
    } else if (isGristmillError(outcome.reason, 'ANNOTATE_BUDGET_SPENT')) unfinished = true;
    else if (isGristmillError(outcome.reason, 'ANNOTATE_EXPERT_FAILED')) {
      reason ??= `${COLUMN_OF[name]}_expert_failed`;
    } else throw outcome.reason;
  }
  if (unfinished) return null;
  const { educational, format } = scores;
  const keep =
    reason === null ? isKept(rule, educational!.score!, format?.score ?? Number.NaN) : null;
  return { reason, keep, scores, requests: requests.join(' '), cut: seen.length < text.length };
}

/** A document on its way, with the batch that it is a row of. */
interface Item {
  readonly input: UnitBatch;
  readonly row: number;
  /** Of the corpus. */
  readonly number: number;
  readonly last: boolean;
}

/** Reading, judging and writing of one corpus. */
class LabelRun {
  readonly #plan: CorpusPlan;
  readonly #judge: Judge;
  readonly #options: AnnotateDocumentsOptions;
  readonly #counts = {
    stopped: null as 'budget' | null,
    rowsIn: 0,
    labelled: 0,
    failed: 0,
    unfinished: 0,
    keep: 0,
    drop: 0,
    cut: 0,
    eduScores: [0, 0, 0, 0, 0, 0],
    formatScores: [0, 0, 0, 0, 0, 0],
    failures: {} as Record<string, number>,
  };

  constructor(plan: CorpusPlan, judge: Judge, options: AnnotateDocumentsOptions) {
    this.#plan = plan;
    this.#judge = judge;
    this.#options = options;
  }

  async execute() {
    const { out, signal } = this.#options;
    const files = await this.#openFiles();
    try {
      const judged = mapOrdered(this.#read(), this.#judge.expert.concurrency, async (item) => ({
        item,
        verdict: await this.#judgeRow(item),
      }));
      let verdicts: Verdict[] = [];
      let open: Item | null = null;
      const flush = async ({ input, number }: Item): Promise<void> => {
        await this.#write(files, input, verdicts, number - verdicts.length + 1);
        input.batch.release();
        input.carry.release();
        verdicts = [];
      };
      for await (const { item, verdict } of judged) {
        verdicts.push(verdict);
        this.#count(verdict);
        // The reader may be waiting for this batch's memory: it goes back before the next one is there.
        if (item.last) await flush(item);
        open = item.last ? null : item;
      }
      if (open) await flush(open);
      if (signal?.aborted) throw new GristmillError('ABORTED', { what: 'annotating' });
      await files.parquet.close();
      await files.gold.close();
    } catch (error) {
      await Promise.allSettled([files.parquet.abort(), files.gold.abort()]);
      await discard(out, [PARQUET, GOLD]);
      throw error;
    }
    const { rowsIn, labelled, failed, unfinished } = this.#counts;
    if (rowsIn !== labelled + failed + unfinished) throw new Error('rows were lost');
    return this.#counts;
  }

  /** Rows in order. After the end of the budget or an interrupt no more are read. */
  async *#read(): AsyncGenerator<Item> {
    const { signal } = this.#options;
    const limit = this.#options.limit ?? Number.POSITIVE_INFINITY;
    const slabs = new SlabPool(SLABS);
    let number = 0;
    for (const unit of this.#plan.units) {
      if (number >= limit) return;
      for await (const input of openUnit(this.#plan, unit, slabs, {
        ...BATCH,
        ...(signal && { signal }),
      })) {
        const nRows = Math.min(input.batch.nDocs, limit - number);
        for (let row = 0; row < nRows; row++) {
          if (this.#counts.stopped !== null || signal?.aborted) return;
          yield { input, row, number, last: row === nRows - 1 };
          number++;
        }
        if (number >= limit) return;
      }
    }
  }

  async #judgeRow({ input, row }: Item): Promise<Verdict> {
    const status = input.rowStatus[row];
    if (status !== ROW_OK) {
      return { ...UNREAD, reason: status === ROW_NULL ? 'null_text' : 'invalid_utf8' };
    }
    // Read before the budget's end, judged after it.
    if (this.#counts.stopped !== null) return null;
    const verdict = await judgeText(textAt(input, row), this.#judge);
    if (verdict === null) this.#counts.stopped = 'budget';
    return verdict;
  }

  #count(verdict: Verdict): void {
    const counts = this.#counts;
    counts.rowsIn++;
    if (verdict === null) counts.unfinished++;
    else if (verdict.reason !== null) {
      counts.failed++;
      counts.failures[verdict.reason] = (counts.failures[verdict.reason] ?? 0) + 1;
    } else {
      counts.labelled++;
      if (verdict.keep) counts.keep++;
      else counts.drop++;
    }
    if (verdict?.cut) counts.cut++;
    const { educational, format } = verdict?.scores ?? {};
    if (educational && educational.score !== null) counts.eduScores[educational.score]!++;
    if (format && format.score !== null) counts.formatScores[format.score]!++;
    const { rowsIn: rows, labelled, failed } = counts;
    const known = this.#plan.units.every((unit) => unit.nRows !== null);
    const total = this.#plan.units.reduce((sum, unit) => sum + (unit.nRows ?? 0), 0);
    this.#options.onProgress?.({
      rows,
      nRows: known ? Math.min(total, this.#options.limit ?? total) : null,
      labelled,
      failed,
      expert: this.#judge.expert.stats(),
    });
  }

  async #openFiles(): Promise<{ parquet: CorpusSink; gold: CorpusSink }> {
    const { out } = this.#options;
    const { columns, textColumn } = this.#plan;
    const own = new Set(['id', 'text', textColumn, ...LABEL_COLUMNS.map(({ name }) => name)]);
    const text = stringColumn('text');
    const parquet = await openSink({
      format: 'parquet',
      path: pendingFile(out, PARQUET),
      columns: [text, ...columns.filter(({ name }) => !own.has(name))],
      textColumn: 'text',
      extra: [{ name: 'id', type: 'string' }, ...LABEL_COLUMNS],
    });
    try {
      const gold = await openSink({
        format: 'jsonl.zst',
        path: pendingFile(out, GOLD),
        columns: [text],
        textColumn: 'text',
        extra: [
          { name: 'id', type: 'string' },
          ...this.#originColumns().map((name) => ({ name, type: 'string' }) as const),
          { name: 'label', type: 'double' },
        ],
      });
      return { parquet, gold };
    } catch (error) {
      await parquet.abort();
      throw error;
    }
  }

  /** Columns that say where a document comes from, for folds by domain. */
  #originColumns(): string[] {
    return this.#plan.columns
      .filter((column) => ['domain', 'language'].includes(column.name) && isTextColumn(column))
      .map(({ name }) => name);
  }

  /** Writes the judged rows of a batch; those that the budget left out are not written. */
  async #write(
    { parquet, gold }: { parquet: CorpusSink; gold: CorpusSink },
    input: UnitBatch,
    verdicts: readonly Verdict[],
    firstNumber: number,
  ): Promise<void> {
    const { batch, carry } = input;
    const rowsWhere = (wanted: (verdict: Verdict) => boolean): Int32Array =>
      Int32Array.from(verdicts.keys()).filter((row) => wanted(verdicts[row]!));
    const text = verdicts.map((_, row) =>
      isNullAt(batch.text, row) ? null : Buffer.from(textAt(input, row)),
    );
    const id = verdicts.map((_, row) =>
      batch.id && !isNullAt(batch.id, row)
        ? decoder.decode(bytesAt(batch.id, row))
        : `row:${firstNumber + row}`,
    );
    const score = (name: ScoreName) => verdicts.map((verdict) => verdict?.scores[name] ?? null);
    const educational = score('educational');
    const format = score('format');
    await parquet.write({
      text,
      rows: rowsWhere((verdict) => verdict !== null),
      carry,
      extra: {
        id,
        label: verdicts.map((verdict) =>
          verdict?.keep === true ? 'keep' : verdict?.keep === false ? 'drop' : null,
        ),
        edu_score: educational.map((parsed) => parsed?.score ?? null),
        format_score: format.map((parsed) => parsed?.score ?? null),
        edu_justification: educational.map((parsed) => parsed?.justification ?? null),
        format_justification: format.map((parsed) => parsed?.justification ?? null),
        expert: verdicts.map(() => this.#judge.expert.name),
        requests: verdicts.map((verdict) => verdict?.requests ?? null),
        reason: verdicts.map((verdict) => verdict?.reason ?? null),
      },
    });
    const origins = this.#originColumns();
    const plain = origins.length > 0 ? await carry.select(null).plain() : null;
    const origin = origins.map((name): [string, (string | null)[]] => {
      const values = plain?.get(name);
      return [
        name,
        verdicts.map((_, row) => (typeof values?.[row] === 'string' ? values[row] : null)),
      ];
    });
    await gold.write({
      text,
      rows: rowsWhere((verdict) => typeof verdict?.keep === 'boolean'),
      carry: null,
      extra: {
        id,
        ...Object.fromEntries(origin),
        label: verdicts.map((verdict) => (verdict?.keep ? 1 : 0)),
      },
    });
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of a row; what is not UTF-8 becomes U+FFFD. */
function textAt({ batch }: UnitBatch, row: number): string {
  return decoder.decode(bytesAt(batch.text, row));
}

function checkCount(option: string, value: number, minimum: number): void {
  if (Number.isSafeInteger(value) && value >= minimum) return;
  const expected = `a whole number of at least ${minimum}`;
  throw new GristmillError('OPTION_INVALID', { option, expected, received: value });
}

function defined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
