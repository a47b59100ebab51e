/**
 * What the inspector's page asks its server, a path a question. Bodies and parameters are checked here; whatever comes from
 * documents leaves as JSON strings with everything hidden written out, and the page makes text of it, never markup.
 */
import { basename, resolve } from 'node:path';
import * as z from 'zod';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import type { FinishedRun } from '../refine/finished-run.ts';
import { ALL_REASONS } from '../refine/reasons.ts';
import type { Sites } from '../sites/site-file.ts';
import { blindFigures } from './blind.ts';
import { type BlindItem, drawItem } from './blind-items.ts';
import { borderline } from './borderline.ts';
import { type LoadedDocument, shownDocument } from './document.ts';
import type { DocumentSite } from './document-site.ts';
import { exportRows, FORMS, importRows, verdictOf } from './exchange.ts';
import { IndexStore } from './index-store.ts';
import { type Entry, LINE_VERDICTS, VERDICTS } from './judgement-types.ts';
import { Judgements } from './judgements.ts';
import { lineScores, scoresOf } from './kept-scores.ts';
import { querySchema, tableRow } from './query.ts';
import { ApiFailure, json, type Reply } from './replies.ts';
import { RunReader } from './run-reader.ts';

/** A request. */
export interface ApiRequest {
  readonly path: string;
  readonly parameters: URLSearchParams;
  /** Null of GET. */
  readonly body: Buffer | null;
}

const LONG_POLL_MS = 20_000;
const MAX_JUDGED = 500;
const MAX_EXPORT = 5_000;

const place = { unit: z.int().min(0), position: z.int().min(0) };
const headsSchema = z.strictObject({ keys: z.array(z.strictObject(place)).max(500) });
const judgeSchema = z.strictObject({
  ...place,
  verdict: z.enum(VERDICTS).nullable().optional(),
  note: z.string().max(10_000).optional(),
  lines: z
    .array(z.strictObject({ line: z.int().min(0), verdict: z.enum(LINE_VERDICTS).nullable() }))
    .max(100_000)
    .optional(),
});
const what = z.enum(['lines', 'documents']);
const answerSchema = z.strictObject({
  ...{
    what,
    seed: z
      .int()
      .min(0)
      .max(2 ** 31),
    item: z.int().min(0).max(1_000_000),
  },
  answer: z.enum(['stay', 'go', 'unsure']),
});

type Route = (request: ApiRequest) => Promise<Reply> | Reply;

/** Answers about one run. */
export class InspectorApi {
  readonly #reader: RunReader;
  readonly #store: IndexStore;
  readonly #judgements: Judgements;
  readonly #routes: ReadonlyMap<string, Route>;
  /** Opened with the first document of a run that has them. */
  #sites: Promise<Sites | null> | null = null;

  private constructor(run: FinishedRun, store: IndexStore, judgements: Judgements) {
    this.#reader = new RunReader(run);
    this.#store = store;
    this.#judgements = judgements;
    this.#routes = new Map<string, Route>([
      ['GET /api/run', () => json(this.#summary())],
      ['GET /api/state', (request) => this.#state(request)],
      ['POST /api/query', async (request) => json(await store.query(bodyOf(request, querySchema)))],
      [
        'POST /api/heads',
        async (request) => {
          return json(await this.#reader.heads(bodyOf(request, headsSchema).keys));
        },
      ],
      ['GET /api/document', (request) => this.#document(request)],
      ['POST /api/judge', (request) => this.#judge(request)],
      ['GET /api/thresholds', () => json(this.#thresholds())],
      ['GET /api/what-if', (request) => this.#whatIf(request)],
      ['GET /api/judged', () => json(this.#judged())],
      ['GET /api/blind', (request) => this.#blindItem(request)],
      ['POST /api/blind', (request) => this.#blindAnswer(request)],
      [
        'GET /api/blind-result',
        ({ parameters }) => {
          const kind = what.safeParse(parameters.get('what'));
          if (!kind.success) throw new ApiFailure(400, 'what: lines or documents');
          return json(blindFigures(this.#judgements.blind, kind.data));
        },
      ],
      ['GET /api/export', (request) => this.#export(request)],
      ['POST /api/labels', (request) => this.#labels(request)],
    ]);
  }

  /**
   * @param judgements folder of judgements; default: in the run's
   * @throws INSPECT_NOT_BUILT, RUN_OUTPUT_FAILED
   */
  static open(run: FinishedRun, judgements?: string): InspectorApi {
    const journal = Judgements.open(run, judgements);
    return new InspectorApi(run, IndexStore.open(run.out), journal);
  }

  async answer(request: ApiRequest): Promise<Reply> {
    const method = request.body === null ? 'GET' : 'POST';
    const route = this.#routes.get(`${method} ${request.path}`);
    if (!route) throw new ApiFailure(404, 'there is nothing here');
    return route(request);
  }

  async close(): Promise<void> {
    this.#judgements.close();
    (await this.#sites)?.dispose();
    await this.#store.close();
  }

  #summary() {
    const { out, identity, counts, units, isWhole, columns } = this.#reader.run;
    const { options, versions, thresholds, models, inputs } = identity;
    return {
      name: remoteScheme(out) === null ? basename(resolve(out)) : basename(out),
      ...{ out, options, versions, thresholds, counts, isWhole, columns },
      run: this.#judgements.run,
      models: Object.fromEntries(
        Object.entries(models).map(([stage, model]) => [
          stage,
          model && { name: basename(model.path), sha256: model.sha256 },
        ]),
      ),
      nInputs: inputs.length,
      units: { committed: units.length, planned: identity.units },
      reasons: ALL_REASONS,
      scores: scoresOf(this.#reader.run) !== null,
    };
  }

  async #state({ parameters }: ApiRequest): Promise<Reply> {
    const known = Number(parameters.get('version') ?? -1);
    await this.#store.change(known, LONG_POLL_MS);
    await this.#reader.refresh();
    const { version, progress } = this.#store;
    const { units, identity, counts, isWhole } = this.#reader.run;
    return json({
      ...{ version, progress, isWhole, rows: counts.rowsIn },
      units: { committed: units.length, planned: identity.units },
      judged: this.#judgements.counts,
    });
  }

  async #loaded(unit: number, position: number): Promise<LoadedDocument> {
    const document = await this.#reader.document(unit, position);
    if (!document) throw new ApiFailure(404, `unit ${unit} has no row ${position}`);
    return document;
  }

  async #document({ parameters }: ApiRequest): Promise<Reply> {
    const [unit, position, from] = ['unit', 'position', 'from'].map((key) =>
      wholeOf(parameters, key),
    );
    const document = await this.#loaded(unit!, position!);
    const { run } = this.#reader;
    const scores = await lineScores(run, document.row).catch(() => null);
    const shown = shownDocument(document, from!, scores, await this.#siteOf(document));
    return json({ ...shown, judgement: this.#judgements.of(unit!, position!) });
  }

  async #siteOf(document: LoadedDocument): Promise<DocumentSite | null> {
    const { run } = this.#reader;
    const column = run.identity.sites?.column;
    if (column === undefined) return null;
    const { siteOfDocument } = await import('./document-site.ts');
    const { sitesOfRun } = await import('../refine/finished-sites.ts');
    this.#sites ??= sitesOfRun(run);
    const sites = await this.#sites;
    return sites && siteOfDocument(sites, column, document);
  }

  /** Thresholds that can be asked about: those of which kept scores tell exactly. */
  #thresholds() {
    const { grid } = this.#store;
    const { run } = this.#reader;
    const layout = scoresOf(run);
    if (!grid || !layout) return null;
    const { document = null, line = null } = run.identity.thresholds;
    return {
      documents: layout.documents && { thresholds: grid.edges.documents, used: document },
      lines: layout.lines && {
        ...{ thresholds: grid.edges.lines, used: line },
        retentions: layout.lines.thresholds.map(({ retention, threshold }) => {
          return { retention, threshold };
        }),
      },
    };
  }

  #whatIf({ parameters }: ApiRequest): Reply {
    const { grid } = this.#store;
    if (!grid) throw new ApiFailure(422, 'this run has kept no scores');
    const edge = (key: 'document' | 'line', edges: readonly number[]): number => {
      const index = wholeOf(parameters, key);
      // One behind the index of the edge, so that 0 is none.
      if (index > edges.length) throw new ApiFailure(400, `${key}: at most ${edges.length}`);
      return index - 1;
    };
    const figures = grid.figures(
      edge('document', grid.edges.documents),
      edge('line', grid.edges.lines),
    );
    return json({ ...figures, total: this.#reader.run.counts.rowsIn });
  }

  async #judge(request: ApiRequest): Promise<Reply> {
    const { unit, position, verdict, note, lines = [] } = bodyOf(request, judgeSchema);
    const document = await this.#loaded(unit, position);
    const nLines = document.original?.split('\n').length ?? 0;
    const outside = lines.find(({ line }) => line >= nLines);
    if (outside) {
      throw new ApiFailure(
        422,
        `line ${outside.line}: the text as it came has ${nLines} lines here`,
      );
    }
    const entries: Entry[] = this.#opening(document);
    const own = this.#own(unit, position);
    if (verdict !== undefined || note !== undefined) {
      const before = this.#judgements.of(unit, position)?.verdict ?? null;
      entries.push({
        kind: 'verdict',
        ...own,
        verdict: verdict === undefined ? before : verdict,
        ...(note !== undefined && { note }),
      });
    }
    for (const { line, verdict: said } of lines) {
      entries.push({ kind: 'line', ...own, line, verdict: said });
    }
    this.#judgements.append(entries);
    return json({
      judgement: this.#judgements.of(unit, position),
      judged: this.#judgements.counts,
    });
  }

  #own(unit: number, position: number) {
    return { at: new Date().toISOString(), run: this.#judgements.run, unit, position };
  }

  /** The entry that stands before the first judgement of a document. */
  #opening({ row, original }: LoadedDocument): Entry[] {
    const { unit, position } = row;
    if (!this.#judgements.needsDocument(unit, position)) return [];
    const block = this.#store.block(unit);
    const { domain, language } = block
      ? tableRow(this.#store.names, block, position)
      : { domain: null, language: null };
    const isOriginal = typeof original === 'string';
    const text = isOriginal ? original : row.text;
    return [
      {
        kind: 'document',
        ...this.#own(unit, position),
        id: row.id ?? `${unit}:${position}`,
        ...{ file: row.file, row: row.row, status: row.status },
        ...(domain !== null && { domain }),
        ...(language !== null && { language }),
        // What is no Unicode is no text that anything may learn.
        text: text?.isWellFormed() ? text : null,
        isOriginal,
      },
    ];
  }

  #judged() {
    const documents = this.#judgements.judged(MAX_JUDGED).map(({ unit, position, judgement }) => {
      const block = this.#store.block(unit);
      const row =
        block && position < block.nRows ? tableRow(this.#store.names, block, position) : null;
      return { unit, position, judgement, row };
    });
    return { counts: this.#judgements.counts, documents };
  }

  async #item(kind: z.infer<typeof what>, seed: number, item: number): Promise<BlindItem> {
    const found = await drawItem(this.#store, this.#reader, kind, seed, item);
    if (found) return found;
    throw new ApiFailure(
      422,
      kind === 'lines'
        ? 'no edited document whose text as it came can be read'
        : 'no such document whose text as it came can be read',
    );
  }

  async #blindItem({ parameters }: ApiRequest): Promise<Reply> {
    const kind = what.safeParse(parameters.get('what'));
    if (!kind.success) throw new ApiFailure(400, 'what: lines or documents');
    const [seed, item] = ['seed', 'item'].map((key) => wholeOf(parameters, key));
    const { text, before, after } = await this.#item(kind.data, seed!, item!);
    // Neither the place nor what became of it: it is looked up when the answer comes.
    return json({ text, before, after });
  }

  async #blindAnswer(request: ApiRequest): Promise<Reply> {
    const { what: kind, seed, item, answer } = bodyOf(request, answerSchema);
    const { document, unit, position, line, was } = await this.#item(kind, seed, item);
    const own = this.#own(unit, position);
    const entries: Entry[] = [
      ...this.#opening(document),
      { kind: 'blind', ...own, what: kind, seed, item, line, was, answer },
    ];
    // An answer is a label too, and one that knows of no refiner.
    if (answer !== 'unsure' && line !== null) {
      entries.push({ kind: 'line', ...own, line, verdict: answer, source: 'blind' });
    } else if (answer !== 'unsure') {
      const verdict = verdictOf(answer === 'stay', document.row.status);
      entries.push({ kind: 'verdict', ...own, verdict, source: 'blind' });
    }
    this.#judgements.append(entries);
    return json({ judged: this.#judgements.counts });
  }

  async #export({ parameters }: ApiRequest): Promise<Reply> {
    const form = z.enum(FORMS).safeParse(parameters.get('form'));
    if (!form.success) throw new ApiFailure(400, `form: ${FORMS.join(' or ')}`);
    const n = Math.min(MAX_EXPORT, wholeOf(parameters, 'n') || 100);
    const threshold = this.#reader.run.identity.thresholds?.document ?? 0.5;
    const documents = await borderline(this.#store, this.#reader, threshold, n);
    const { run } = this.#judgements;
    const body = exportRows(
      form.data,
      documents.map((document) => ({ ...document, run })),
    );
    const isJson = form.data === 'label-studio';
    return {
      body,
      type: 'application/octet-stream',
      download: isJson ? 'borderline.json' : 'borderline.jsonl',
    };
  }

  async #labels({ body }: ApiRequest): Promise<Reply> {
    const { labels, unlabelled } = await importRows(body!);
    let taken = 0;
    let unknown = 0;
    for (const { unit, position, run, keep } of labels) {
      const isOurs = run === null || run === this.#judgements.run;
      const document = isOurs ? await this.#reader.document(unit, position) : null;
      if (!document) {
        unknown++;
        continue;
      }
      const verdict = verdictOf(keep, document.row.status);
      this.#judgements.append([
        ...this.#opening(document),
        { kind: 'verdict', ...this.#own(unit, position), verdict, source: 'labels' },
      ]);
      taken++;
    }
    return json({ taken, unknown, unlabelled, judged: this.#judgements.counts });
  }
}

function wholeOf(parameters: URLSearchParams, key: string): number {
  const given = parameters.get(key) ?? '0';
  const value = Number(given);
  if (/^\d{1,15}$/.test(given) && Number.isSafeInteger(value)) return value;
  throw new ApiFailure(400, `${key}: a whole number`);
}

function bodyOf<T>({ body }: ApiRequest, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(body!.toString());
  } catch {
    throw new ApiFailure(400, 'the body is no JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ApiFailure(400, `${issue?.path.join('.') || 'the body'}: ${issue?.message}`);
}
