/**
 * `annotate documents`: an expert scores every document of a corpus, and the scores decide keep or drop (ProX,
 * arXiv 2409.17115 §3 and appendix).
 *
 *     documents.parquet     every row, in order, with its label, scores and justifications (label-files.ts)
 *     documents.jsonl.zst   labelled rows as document gold
 *     train.jsonl, validation.jsonl   labelled rows as chat messages, to fine-tune a document refiner on
 *     failed.jsonl          rows without a label, with the cause of each
 *     statistics.json       comes last; a folder without it holds no finished set
 *     _annotate/            answers of the expert, and files in the making
 *
 * Conservation: rows read = labelled + failed + unfinished; only a spent budget or quota leaves rows unfinished, and they
 * are not written. Running the same command again asks for nothing that was answered before.
 */
import { SlabPool } from '../../batch/slab-pool.ts';
import { countRows } from '../../corpus/count-rows.ts';
import { planCorpus } from '../../corpus/plan.ts';
import { below } from '../../corpus/storage/addresses.ts';
import { type CorpusPlan, ROW_NULL, ROW_OK, type UnitBatch } from '../../corpus/types.ts';
import { openUnit } from '../../corpus/unit.ts';
import { GristmillError, isGristmillError, throwIfAborted } from '../../errors.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  flag,
  listOf,
  name,
  type OptionTable,
  share,
  text,
  whole,
} from '../../options.ts';
import { loadProfile } from '../../refine/find-profile.ts';
import { mapOrdered } from '../../refine/pipeline.ts';
import type { Profile } from '../../refine/profile.ts';
import { statusColumns } from '../../refine/reserved-columns.ts';
import { WorkTeller } from '../../work/activity.ts';
import type { Lease } from '../../work/lease.ts';
import { idOfSame } from '../../work/ledger-kind.ts';
import { outputAddress, runNameAt } from '../../work/open-output.ts';
import { type Expert, endsInGoodOrder, openExpert } from '../expert/expert.ts';
import { askedTotals, deviceOf } from '../expert/expert-totals.ts';
import { FailureCauses } from '../failure-causes.ts';
import { checkCount, given, refuseOption } from '../options.ts';
import { publish, takeFolder, workFolder } from '../output-files.ts';
import { loadTemplate, type PromptTemplate } from '../templates.ts';
import {
  checkLabelColumns,
  LABEL_FILES,
  type LabelFileSettings,
  LabelFiles,
  textAt,
} from './label-files.ts';
import {
  ANNOTATE_DOCUMENTS_DEFAULTS,
  type AnnotateDocumentsOptions,
  type AnnotateDocumentsStatistics,
  type DocumentFailure,
  type Verdict,
} from './label-types.ts';
import {
  cutText,
  isKept,
  type KeepRule,
  type ParsedScore,
  parseKeepRule,
  parseScore,
  SCORE_PROBLEMS,
  type ScoreName,
  scoresOf,
} from './scores.ts';

const COLUMN_OF = { educational: 'edu', format: 'format' } as const;
/** Small batches: a batch stays in memory until its last document is answered. */
const BATCH = { batchRows: 256, batchBytes: 2 * 2 ** 20 };
const SLABS = { slabBytes: 32 * 2 ** 20, nSlabs: 3 };

/** Where an expert's answers lie unless somebody says otherwise. */
export function answersFolder(out: string): string {
  return below(workFolder(out), 'answers');
}

const OPTION_TABLE: OptionTable<AnnotateDocumentsOptions> = {
  inputs: listOf(name, 1),
  out: name,
  expert: anObject,
  textColumn: name,
  idColumn: name,
  limit: whole(0),
  maxChars: whole(1),
  answerTokens: whole(1),
  keepRule: text,
  prompts: name,
  profile: name,
  validation: share,
  statusPrefix: text,
  replaceStatus: flag,
  signal: abortSignal,
  onNotice: callback,
  onProgress: callback,
  onActivity: callback,
};

/**
 * Labels the documents of a corpus.
 *
 * @throws OPTION_INVALID, CORPUS_*, ENGINE_*, RUN_OUTPUT_FAILED, RUN_OUTPUT_IN_USE, RUN_LEASE_LOST, ANNOTATE_OUTPUT_OTHER, ANNOTATE_TEMPLATE_INVALID,
 *   ANNOTATE_CACHE_*, ANNOTATE_EXPERT_REFUSED, ANNOTATE_EXPERT_DOWN; ABORTED when `signal` fires: no result is written then, the answers
 *   stay
 */
export async function annotateDocuments(
  options: AnnotateDocumentsOptions,
): Promise<AnnotateDocumentsStatistics> {
  const checked = prepareLabels(options);
  const out = outputAddress(options.out);
  const prepared = {
    ...checked,
    options: { ...options, out },
    settings: { ...checked.settings, out },
  };
  const taken = (): Promise<Lease> => takeFolder(out, 'documents', options);
  return labelCorpus(prepared, taken, () =>
    openExpert({ cacheDir: answersFolder(out), ...options.expert }),
  );
}

/** Checked options with the defaults filled in, and what they mean. */
export interface PreparedLabels {
  readonly options: AnnotateDocumentsOptions;
  readonly settings: AnnotateDocumentsOptions &
    Required<Pick<AnnotateDocumentsOptions, keyof typeof ANNOTATE_DOCUMENTS_DEFAULTS>>;
  readonly profile: Profile;
  readonly rule: KeepRule;
  readonly templates: readonly PromptTemplate[];
}

/** @throws OPTION_INVALID, PROFILE_*, ANNOTATE_TEMPLATE_INVALID */
export function prepareLabels(options: AnnotateDocumentsOptions): PreparedLabels {
  checkOptions<AnnotateDocumentsOptions>('annotateDocuments', options, OPTION_TABLE, [
    'inputs',
    'out',
    'expert',
  ]);
  const settings = { ...ANNOTATE_DOCUMENTS_DEFAULTS, ...given(options) };
  for (const name of ['maxChars', 'answerTokens'] as const) checkCount(name, settings[name], 1);
  if (options.limit !== undefined) checkCount('limit', options.limit, 0);
  if (!(settings.validation >= 0 && settings.validation <= 1)) {
    refuseOption('validation', 'a number in 0..1', settings.validation);
  }
  const profile = loadProfile(settings.profile, undefined);
  if (profile.document === null) {
    refuseOption('profile', 'one that describes the document stage', profile.name);
  }
  const rule = parseKeepRule(settings.keepRule);
  const templates = scoresOf(rule).map((name) => loadTemplate(name, options.prompts));
  return { options, settings, profile, rule, templates };
}

/** Labels a corpus into a folder. @throws as {@link annotateDocuments} */
export async function labelCorpus(
  { options, settings, profile, rule, templates }: PreparedLabels,
  take: () => Promise<Lease>,
  open: () => Promise<Expert>,
): Promise<AnnotateDocumentsStatistics> {
  const started = performance.now();
  const { signal, out } = options;
  const plan = await planCorpus({
    inputs: options.inputs,
    textColumn: settings.textColumn,
    failFast: true,
    onNotice: options.onNotice,
    // The labels' file has columns for all fields: one that comes late must not end a run that cost money.
    inferLines: 'all',
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    ...(signal && { signal }),
  });
  const columns = checkLabelColumns(plan, statusColumns(options));
  const lease = await take();
  await using _given = { [Symbol.asyncDispose]: async () => lease.release() };
  const { maxChars, answerTokens, keepRule } = settings;
  await using expert = await open();
  const judge = { expert, templates, rule, maxChars, answerTokens, signal };
  const teller = new WorkTeller(options.onActivity);
  teller.tell(() => ({
    ...{ kind: 'run', run: runNameAt(idOfSame(['documents', options.inputs]), out), worker: null },
    ...{ device: deviceOf(options.expert), out, units: null, resumed: 0 },
  }));
  const { validation } = settings;
  const files = { out, expert: expert.name, profile, validation, columns };
  const counts = await new LabelRun(plan, judge, options, teller).execute(files);
  const statistics = {
    out,
    ...counts,
    keepRule,
    maxChars,
    answerTokens,
    expert: { name: expert.name, ...expert.stats() },
    seconds: (performance.now() - started) / 1000,
  };
  await publish(out, lease, LABEL_FILES, statistics);
  return statistics;
}

/** What a document is judged with. */
export interface Judge {
  readonly expert: Expert;
  readonly templates: readonly PromptTemplate[];
  readonly rule: KeepRule;
  readonly maxChars: number;
  readonly answerTokens: number;
  readonly signal: AbortSignal | undefined;
}

const UNREAD = { keep: null, scores: {}, requests: '', cut: false } as const;

/** Asks for the scores of a text. @returns what ended the run in good order, or a verdict; @throws what else ends it */
export async function judgeText(text: string, judge: Judge): Promise<Verdict | GristmillError> {
  const { expert, templates, rule, maxChars, answerTokens, signal } = judge;
  if (text.trim() === '') return { ...UNREAD, reason: 'empty_text', cause: 'the text is empty' };
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
  let cause: string | null = null;
  let end: GristmillError | null = null;
  for (const [index, outcome] of settled.entries()) {
    const name = templates[index]!.name as ScoreName;
    if (outcome.status === 'fulfilled') {
      const parsed = parseScore(name, outcome.value);
      scores[name] = parsed;
      requests.push(outcome.value.hash);
      if (parsed.problem !== null) {
        reason ??= `${COLUMN_OF[name]}_${parsed.problem}`;
        cause ??= SCORE_PROBLEMS[parsed.problem];
      }
    } else if (endsInGoodOrder(outcome.reason)) end ??= outcome.reason;
    else if (isGristmillError(outcome.reason, 'ANNOTATE_EXPERT_FAILED')) {
      reason ??= `${COLUMN_OF[name]}_expert_failed`;
      cause ??= String(outcome.reason.details['reason']);
    } else throw outcome.reason;
  }
  if (end) return end;
  const { educational, format } = scores;
  const keep =
    reason === null ? isKept(rule, educational!.score!, format?.score ?? Number.NaN) : null;
  const cut = seen.length < text.length;
  return { reason, cause, keep, scores, requests: requests.join(' '), cut };
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
  /** Rows that will be read, where somebody is told and reading does not tell first. */
  #nAll: number | null = null;
  readonly #judge: Judge;
  readonly #options: AnnotateDocumentsOptions;
  readonly #counts = {
    stopped: null as AnnotateDocumentsStatistics['stopped'],
    stoppedBy: null as string | null,
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
  readonly #causes = new FailureCauses();

  readonly #teller: WorkTeller;

  constructor(
    plan: CorpusPlan,
    judge: Judge,
    options: AnnotateDocumentsOptions,
    teller: WorkTeller,
  ) {
    this.#teller = teller;
    this.#plan = plan;
    this.#judge = judge;
    this.#options = options;
  }

  async execute(settings: LabelFileSettings) {
    const { signal } = this.#options;
    const { expert } = this.#judge;
    const files = await LabelFiles.open(this.#plan, settings);
    try {
      const judged = mapOrdered(this.#read(), expert.concurrency, async (item) => ({
        item,
        verdict: await this.#judgeRow(item),
      }));
      let verdicts: Verdict[] = [];
      let open: Item | null = null;
      const flush = async ({ input, number }: Item): Promise<void> => {
        const first = number - verdicts.length + 1;
        await this.#teller.timed('write', () => files.write(input, verdicts, first));
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
      throwIfAborted(signal, 'annotating');
      await files.close();
    } catch (error) {
      await files.abort();
      throw error;
    }
    const { rowsIn, labelled, failed, unfinished } = this.#counts;
    if (rowsIn !== labelled + failed + unfinished) throw new Error('rows were lost');
    return { ...this.#counts, causes: this.#causes.list() };
  }

  /** Rows in order. After the end of the budget or an interrupt no more are read. */
  async *#read(): AsyncGenerator<Item> {
    const { signal } = this.#options;
    const limit = this.#options.limit ?? Number.POSITIVE_INFINITY;
    const slabs = new SlabPool(SLABS);
    let number = 0;
    if (this.#options.onProgress) this.#nAll = await countRows(this.#plan, { limit, signal });
    for (const unit of this.#plan.units) {
      if (number >= limit) return;
      for await (const input of openUnit(this.#plan, unit, slabs, {
        aligned: true,
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
      return status === ROW_NULL
        ? { ...UNREAD, reason: 'null_text', cause: 'there is no text' }
        : { ...UNREAD, reason: 'invalid_utf8', cause: 'the text is not UTF-8' };
    }
    // Read before the budget's end, judged after it.
    if (this.#counts.stopped !== null) return null;
    const text = textAt(input, row);
    const verdict = await this.#teller.timed('ask', () => judgeText(text, this.#judge));
    if (!(verdict instanceof GristmillError)) return verdict;
    this.#counts.stopped ??= verdict.code === 'ANNOTATE_EXPERT_QUOTA' ? 'quota' : 'budget';
    this.#counts.stoppedBy ??= verdict.message;
    return null;
  }

  #count(verdict: Verdict): void {
    const counts = this.#counts;
    counts.rowsIn++;
    if (verdict === null) counts.unfinished++;
    else if (verdict.reason !== null) {
      counts.failed++;
      if (verdict.cause !== null) this.#causes.add(verdict.cause);
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
    this.#teller.reached(() => askedTotals(this.#judge.expert.stats(), { labelled, failed }));
    this.#options.onProgress?.({
      rows,
      nRows: this.#nAll,
      labelled,
      failed,
      expert: this.#judge.expert.stats(),
    });
  }
}
