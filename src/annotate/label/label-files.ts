/**
 * The files of `annotate documents`, under pending names until the run publishes them:
 *
 *     documents.parquet      every row: `id`, `text`, the corpus's other columns, {@link LABEL_COLUMNS}; names of the
 *                            corpus are never taken unasked
 *     documents.jsonl.zst    labelled rows as document gold: {text, id, domain, language, label} with 1 for keep; the
 *                            domain is the column `domain`, or the host of `url`
 *     failed.jsonl           rows without a label: {id, row, reason, cause, requests}
 *     train.jsonl, validation.jsonl   labelled rows as chat messages: the text, and the profile's answer for its label
 */
import { bytesAt, isNullAt } from '../../batch/document-batch.ts';
import { isTextColumn, stringColumn } from '../../corpus/schema.ts';
import { openSink } from '../../corpus/sink.ts';
import type {
  CorpusColumn,
  CorpusPlan,
  CorpusSink,
  ExtraColumn,
  ExtraValues,
  UnitBatch,
} from '../../corpus/types.ts';
import { GristmillError } from '../../errors.ts';
import type { Profile } from '../../refine/profile.ts';
import type { AddedColumns } from '../../refine/reserved-columns.ts';
import { chatRow, splitOf } from '../chat-file.ts';
import { hostOf } from '../documents.ts';
import { discard, JsonLinesFile, pendingFile } from '../output-files.ts';
import type { Split } from '../types.ts';
import type { Verdict } from './label-types.ts';
import type { ScoreName } from './scores.ts';

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
  { name: 'cause', type: 'string' },
] as const);

const PARQUET = 'documents.parquet';
const GOLD = 'documents.jsonl.zst';
const TRAIN = 'train.jsonl';
const VALIDATION = 'validation.jsonl';
const FAILED = 'failed.jsonl';
/** What is published, in this order. */
export const LABEL_FILES: readonly string[] = Object.freeze([
  PARQUET,
  GOLD,
  TRAIN,
  VALIDATION,
  FAILED,
]);
/** Columns of the corpus that tell the domain and the language. */
const ORIGINS: ReadonlySet<string> = new Set(['domain', 'url', 'language']);

/** How the columns of documents.parquet are called. */
export interface LabelColumns {
  readonly text: string;
  /** Of `id` and {@link LABEL_COLUMNS} the name. */
  nameOf(column: string): string;
  /** Columns of the corpus that go along. */
  readonly carried: readonly CorpusColumn[];
}

/**
 * The columns of documents.parquet. The column of the ids goes along only under another name than theirs.
 *
 * @throws CORPUS_COLUMN_RESERVED for a column of the corpus that would be lost
 */
export function checkLabelColumns(
  { columns, textColumn, idColumn, files, schemas }: CorpusPlan,
  { statusPrefix, replaceStatus }: AddedColumns,
): LabelColumns {
  const nameOf = (column: string): string => `${statusPrefix ?? ''}${column}`;
  const others = columns.filter(({ name }) => name !== textColumn);
  const isTaken = others.some(({ name }) => name === 'text');
  const text = isTaken ? nameOf('text') : 'text';
  const added = new Set(['id', ...LABEL_COLUMNS.map(({ name }) => name)].map(nameOf));
  const isOwn = (name: string): boolean => name === text || added.has(name);
  const lost = others.find(
    ({ name }) => isOwn(name) && !(name === idColumn && name === nameOf('id')),
  );
  if (added.has(text) || (lost && !replaceStatus)) {
    const column = lost?.name ?? text;
    const has = (at: number): boolean => schemas[at]!.columns.some(({ name }) => name === column);
    const found = files.find(({ schema }) => has(schema)) ?? files[0];
    throw new GristmillError('CORPUS_COLUMN_RESERVED', { file: found?.path ?? '?', column });
  }
  return { text, nameOf, carried: others.filter(({ name }) => !isOwn(name)) };
}

/** Where and what is written. */
export interface LabelFileSettings {
  readonly out: string;
  readonly columns: LabelColumns;
  /** Name for the column `expert`. */
  readonly expert: string;
  /** With a document stage. */
  readonly profile: Profile;
  /** Share of domains whose documents validate. */
  readonly validation: number;
}

/** See the file's header. */
export class LabelFiles {
  readonly #plan: CorpusPlan;
  readonly #parquet: CorpusSink;
  readonly #gold: CorpusSink;
  readonly #chats: Readonly<Record<Split, JsonLinesFile>>;
  readonly #failed: JsonLinesFile;
  readonly #settings: LabelFileSettings;

  private constructor(
    plan: CorpusPlan,
    settings: LabelFileSettings,
    sinks: { readonly parquet: CorpusSink; readonly gold: CorpusSink },
  ) {
    this.#plan = plan;
    this.#settings = settings;
    this.#chats = {
      train: new JsonLinesFile(pendingFile(settings.out, TRAIN)),
      validation: new JsonLinesFile(pendingFile(settings.out, VALIDATION)),
    };
    this.#failed = new JsonLinesFile(pendingFile(settings.out, FAILED));
    this.#parquet = sinks.parquet;
    this.#gold = sinks.gold;
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async open(plan: CorpusPlan, settings: LabelFileSettings): Promise<LabelFiles> {
    const { out, columns } = settings;
    const idColumn: ExtraColumn = { name: 'id', type: 'string' };
    const parquet = await openSink({
      format: 'parquet',
      path: pendingFile(out, PARQUET),
      columns: [stringColumn(columns.text), ...columns.carried],
      textColumn: columns.text,
      extra: [idColumn, ...LABEL_COLUMNS].map(({ name, type }) => {
        return { name: columns.nameOf(name), type };
      }),
    });
    const text = stringColumn('text');
    try {
      const gold = await openSink({
        format: 'jsonl.zst',
        path: pendingFile(out, GOLD),
        columns: [text],
        textColumn: 'text',
        extra: [
          { name: 'id', type: 'string' },
          { name: 'domain', type: 'string' },
          { name: 'language', type: 'string' },
          { name: 'label', type: 'double' },
        ],
      });
      return new LabelFiles(plan, settings, { parquet, gold });
    } catch (error) {
      await parquet.abort();
      throw error;
    }
  }

  /**
   * Writes the judged rows of a batch; those that the budget left out are not written.
   *
   * @param firstNumber of the batch's first row in the corpus
   */
  async write(input: UnitBatch, verdicts: readonly Verdict[], firstNumber: number): Promise<void> {
    const { batch, carry } = input;
    const rowsWhere = (wanted: (verdict: Verdict) => boolean): Int32Array =>
      Int32Array.from(verdicts.keys()).filter((row) => wanted(verdicts[row]!));
    const text = verdicts.map((_, row) =>
      isNullAt(batch.text, row) ? null : Buffer.from(textAt(input, row)),
    );
    const id = verdicts.map((_, row) => {
      const own = batch.id && !isNullAt(batch.id, row);
      return (own && decoder.decode(bytesAt(batch.id!, row))) || `row:${firstNumber + row}`;
    });
    const score = (name: ScoreName) => verdicts.map((verdict) => verdict?.scores[name] ?? null);
    const educational = score('educational');
    const format = score('format');
    const { nameOf } = this.#settings.columns;
    const values: Record<string, ExtraValues> = {
      id,
      label: verdicts.map((verdict) =>
        verdict?.keep === true ? 'keep' : verdict?.keep === false ? 'drop' : null,
      ),
      edu_score: educational.map((parsed) => parsed?.score ?? null),
      format_score: format.map((parsed) => parsed?.score ?? null),
      edu_justification: educational.map((parsed) => parsed?.justification ?? null),
      format_justification: format.map((parsed) => parsed?.justification ?? null),
      expert: verdicts.map(() => this.#settings.expert),
      requests: verdicts.map((verdict) => verdict?.requests ?? null),
      reason: verdicts.map((verdict) => verdict?.reason ?? null),
      cause: verdicts.map((verdict) => verdict?.cause ?? null),
    };
    await this.#parquet.write({
      text,
      rows: rowsWhere((verdict) => verdict !== null),
      carry,
      extra: Object.fromEntries(
        Object.entries(values).map(([name, column]) => [nameOf(name), column]),
      ),
    });
    for (const [row, verdict] of verdicts.entries()) {
      if (verdict === null || verdict.reason === null) continue;
      const { reason, cause, requests } = verdict;
      await this.#failed.write({ id: id[row], row: firstNumber + row, reason, cause, requests });
    }
    const origin = await originsOf(input, this.#plan);
    const domain = verdicts.map((_, row) => origin('domain', row) || hostOf(origin('url', row)));
    for (const [row, verdict] of verdicts.entries()) {
      if (typeof verdict?.keep !== 'boolean') continue;
      const { profile, validation } = this.#settings;
      const { user, answers } = profile.document!;
      // Split and joined, not replaced: the text may hold the placeholder and replacement patterns.
      const message = user.split('{text}').join(textAt(input, row));
      const answer = (verdict.keep ? answers.keep : answers.drop).trim();
      const split = splitOf({ id: id[row]!, domain: domain[row]! }, validation);
      await this.#chats[split].write(chatRow(message, answer, profile));
    }
    await this.#gold.write({
      text,
      rows: rowsWhere((verdict) => typeof verdict?.keep === 'boolean'),
      carry: null,
      extra: {
        id,
        domain,
        language: verdicts.map((_, row) => origin('language', row)),
        label: verdicts.map((verdict) => (verdict?.keep ? 1 : 0)),
      },
    });
  }

  /** All files are on the disk when this resolves. @throws CORPUS_WRITE_FAILED, RUN_OUTPUT_FAILED */
  async close(): Promise<void> {
    await this.#parquet.close();
    await this.#gold.close();
    const { train, validation } = this.#chats;
    await Promise.all([train.close(), validation.close(), this.#failed.close()]);
  }

  async abort(): Promise<void> {
    const { train, validation } = this.#chats;
    await Promise.allSettled([
      this.#parquet.abort(),
      this.#gold.abort(),
      train.close(),
      validation.close(),
      this.#failed.close(),
    ]);
    await discard(this.#settings.out, LABEL_FILES);
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of a row; what is not UTF-8 becomes U+FFFD. */
export function textAt({ batch }: Pick<UnitBatch, 'batch'>, row: number): string {
  return decoder.decode(bytesAt(batch.text, row));
}

/** Values of columns that say where documents come from; empty where the corpus does not have them. */
async function originsOf(
  { carry }: UnitBatch,
  plan: CorpusPlan,
): Promise<(name: string, row: number) => string> {
  const origins = plan.columns.filter((column) => ORIGINS.has(column.name));
  if (!origins.some(isTextColumn)) return () => '';
  const columns = await carry.select(null).plain();
  const places = new Map(carry.columns.map((column, at) => [column.name, at]));
  return (name, row) => {
    const value = columns[places.get(name) ?? -1]?.[row];
    return typeof value === 'string' ? value : '';
  };
}
