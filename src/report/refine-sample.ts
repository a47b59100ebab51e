/**
 * What a report says beyond the ledger's counts, from rows of the run: all of them where there are few, else stretches that are
 * drawn over the whole run with a seed. Rows are read a batch at a time and nothing of a text is kept but its sizes, besides the
 * documents of the gallery.
 *
 * Stretches are drawn by position among all rows, so that every row is as likely; of compressed inputs and streams, which cannot
 * be entered in the middle, only the beginnings, where texts have to be read from them.
 */

import { inputRange } from '../corpus/unit-files.ts';
import { type GristmillError, isGristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import type { NativeTokenizer } from '../native/tokenizer.ts';
import { counting, type OnProgress } from '../progress.ts';
import type { FinishedRow, FinishedRun } from '../refine/finished-run.ts';
import { type InputRow, OriginalTexts } from '../refine/original-texts.ts';
import { seededRandom } from '../seeded.ts';

/** Options of `sampleRun`. */
export interface SampleOptions {
  /** Rows that are read, about; a smaller run is read whole. Default 20 000. */
  readonly rows?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Documents of the gallery, by reason; 0 for none. Default 4. */
  readonly gallery?: number;
  /** GGUF file whose tokens are counted. Default: none are. */
  readonly tokenizer?: string | undefined;
  /** Told how many rows of the sample are read. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const SAMPLE_DEFAULTS = Object.freeze({ rows: 20_000, seed: 1, gallery: 4 });

/** A document of the gallery. */
export interface GalleryDocument {
  readonly unit: number;
  readonly row: number | null;
  readonly id: string | null;
  readonly status: string;
  readonly reason: string;
  readonly program: string | null;
  readonly score: number | null;
  /** Null where it could not be read. */
  readonly before: string | null;
  readonly after: string | null;
}

/** Rows and characters of a domain or a language in the sample. */
export interface GroupSizes {
  rows: number;
  dropped: number;
  charsIn: number;
  charsOut: number;
}

/** What was seen of the sample. */
export interface RunSample {
  readonly nRows: number;
  /** Rows of the run. */
  readonly nTotal: number;
  readonly isWhole: boolean;
  readonly seed: number;
  /** Scores of the document stage, and the share of its characters that each edited or kept document lost. */
  readonly scores: readonly number[];
  readonly removedShares: readonly number[];
  /** Code points of the documents before. */
  readonly lengths: readonly number[];
  readonly domains: ReadonlyMap<string, GroupSizes>;
  readonly languages: ReadonlyMap<string, GroupSizes>;
  /** Columns that domains and languages are from. */
  readonly domainColumn: string | null;
  readonly languageColumn: string | null;
  /** Tokens of the sample before and after; null without a tokenizer. */
  readonly tokens: { readonly before: number; readonly after: number } | null;
  readonly gallery: readonly GalleryDocument[];
  /** What could not be read, for people. */
  readonly notes: readonly string[];
}

const STRETCHES = 24;
const DOMAIN_COLUMNS = ['domain', 'host', 'hostname', 'url', 'source_url', 'warc_target_uri'];
const LANGUAGE_COLUMNS = ['language', 'lang', 'language_code'];
/** More are a column of something else; what comes after counts as `(others)`. */
const MAX_GROUPS = 50_000;
const MAX_REASONS = 40;
/** Characters of a text that the gallery keeps. */
const MAX_KEPT_CHARS = 20_000;
/** Rows that are read of a file that cannot be entered in the middle. */
const BEGINNING_ROWS = 5_000;
const OTHERS = '(others)';
const NONE = '(none)';

interface Stretch {
  readonly unit: number;
  readonly from: number;
  readonly to: number;
}

/** Reads a sample of a run. @throws CORPUS_*, ABORTED */
export async function sampleRun(run: FinishedRun, asked: SampleOptions = {}): Promise<RunSample> {
  const { rows, seed, gallery } = { ...SAMPLE_DEFAULTS, ...definedOf(asked) };
  const names = await columnsOf(run, asked.signal);
  const tokenizer =
    asked.tokenizer === undefined ? null : await native().openTokenizer(asked.tokenizer);
  try {
    const collected = new Collected(names, { seed, gallery, tokenizer });
    const columns = [names.domain, names.language].filter((name) => name !== null);
    await using originals = new OriginalTexts(run, asked.signal, columns);
    const stretches = stretchesOf(run, rows, seed);
    const total = stretches.reduce((sum, { from, to }) => sum + to - from, 0);
    const tell = counting(asked.onProgress, { phase: 'reading', unit: 'rows', total });
    for (const { unit, from, to } of stretches) {
      const wanted = { from, to, text: true, columns, signal: asked.signal };
      for await (const batch of run.rows(unit, wanted)) {
        await collected.add(batch, await inputsOf(batch, originals, columns, collected));
        tell(batch.length);
      }
    }
    const nTotal = run.counts.rowsIn;
    return { ...collected.result(), nTotal, isWhole: collected.nRows === nTotal, seed };
  } finally {
    tokenizer?.dispose();
  }
}

function definedOf<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

/** Stretches of units, ascending and apart from each other. */
export function stretchesOf(run: FinishedRun, rows: number, seed: number): Stretch[] {
  const total = run.counts.rowsIn;
  const isEntered = run.units.map(({ input }) => inputRange(input).kind !== 'whole');
  const all = run.units.map(({ unit, counts }, at): Stretch => {
    const isReadWhole = isEntered[at] || run.columns.original !== null;
    return {
      unit,
      from: 0,
      to: isReadWhole ? counts.rowsIn : Math.min(counts.rowsIn, BEGINNING_ROWS),
    };
  });
  if (total <= rows)
    return run.units.map(({ unit, counts }) => ({ unit, from: 0, to: counts.rowsIn }));
  const within = all.reduce((sum, { to }) => sum + to, 0);
  const length = Math.max(1, Math.ceil(rows / STRETCHES));
  const nBlocks = Math.ceil(within / length);
  const random = seededRandom(seed);
  const blocks = new Set<number>();
  // Distinct blocks, of which there are more than are wanted.
  for (
    let tries = 0;
    blocks.size < Math.min(STRETCHES, nBlocks) && tries < 64 * STRETCHES;
    tries++
  ) {
    blocks.add(Math.floor(random() * nBlocks));
  }
  const stretches: Stretch[] = [];
  for (const block of [...blocks].sort((left, right) => left - right)) {
    let [from, to] = [block * length, Math.min(within, (block + 1) * length)];
    for (const { unit, to: size } of all) {
      if (from < size && to > 0)
        stretches.push({ unit, from: Math.max(0, from), to: Math.min(size, to) });
      from -= size;
      to -= size;
      if (to <= 0) break;
    }
  }
  return stretches;
}

/** Texts as they went in, as far as they can be read: what cannot is said once. */
async function inputsOf(
  batch: readonly FinishedRow[],
  originals: OriginalTexts,
  columns: readonly string[],
  collected: Collected,
): Promise<(InputRow | null)[]> {
  const isTold = batch.map(({ original }) => original !== undefined);
  // Dropped rows have no other columns in the output.
  const missing = batch.filter(
    ({ status }, at) => !isTold[at] || (columns.length > 0 && status === 'dropped'),
  );
  let read = new Map<FinishedRow, InputRow>();
  if (missing.length > 0 && !collected.isInputGone) {
    try {
      const rows = await originals.inputs(missing);
      read = new Map(missing.map((row, at) => [row, rows[at]!]));
    } catch (error) {
      if (!isGristmillError(error, 'RUN_ORIGINAL_GONE')) throw error;
      collected.inputGone(error);
    }
  }
  return batch.map((row) => {
    const found = read.get(row);
    if (found) return found;
    return row.original === undefined ? null : { text: row.original, values: {} };
  });
}

interface Names {
  readonly domain: string | null;
  readonly language: string | null;
}

/** The columns of domains and languages, of those that the first rows that stay have. */
async function columnsOf(run: FinishedRun, signal: AbortSignal | undefined): Promise<Names> {
  const columns = [...DOMAIN_COLUMNS, ...LANGUAGE_COLUMNS];
  for (const { unit, counts } of run.units) {
    if (counts.kept + counts.edited === 0) continue;
    const rows: FinishedRow[] = [];
    // The first batch may be a dropped row alone, which has no columns.
    for await (const batch of run.rows(unit, { columns, to: 256, signal })) rows.push(...batch);
    const has = (name: string): boolean =>
      rows.some(({ values }) => typeof values[name] === 'string');
    const domain = DOMAIN_COLUMNS.find(has) ?? null;
    const language = LANGUAGE_COLUMNS.find(has) ?? null;
    if (domain !== null || language !== null) return { domain, language };
  }
  return { domain: null, language: null };
}

/** The host of an address, without `www.`; any other value as it is. */
export function domainOf(value: string): string {
  if (!/^[a-z][a-z\d+.-]*:\/\//i.test(value)) return value;
  try {
    return new URL(value).hostname.replace(/^www\./, '') || value;
  } catch {
    return value;
  }
}

function codePoints(text: string): number {
  let n = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0xd800 && code < 0xdc00) n--;
  }
  return n;
}

class Collected {
  nRows = 0;
  isInputGone = false;
  readonly #names: Names;
  readonly #perReason: number;
  readonly #tokenizer: NativeTokenizer | null;
  readonly #random: () => number;
  readonly #scores: number[] = [];
  readonly #shares: number[] = [];
  readonly #lengths: number[] = [];
  readonly #domains = new Map<string, GroupSizes>();
  readonly #languages = new Map<string, GroupSizes>();
  readonly #gallery = new Map<string, { seen: number; documents: GalleryDocument[] }>();
  readonly #notes: string[] = [];
  readonly #tokens = { before: 0, after: 0 };

  constructor(
    names: Names,
    {
      seed,
      gallery,
      tokenizer,
    }: {
      readonly seed: number;
      readonly gallery: number;
      readonly tokenizer: NativeTokenizer | null;
    },
  ) {
    this.#names = names;
    this.#perReason = gallery;
    this.#tokenizer = tokenizer;
    this.#random = seededRandom(seed + 1);
  }

  inputGone(error: GristmillError): void {
    this.isInputGone = true;
    this.#notes.push(
      `Texts that the run has changed cannot be compared: ${error.message}. Shares removed, sizes before and the gallery lack them.`,
    );
  }

  async add(rows: readonly FinishedRow[], inputs: readonly (InputRow | null)[]): Promise<void> {
    this.nRows += rows.length;
    const counted: [before: string | null, after: string | null][] = [];
    for (const [at, row] of rows.entries()) {
      const input = inputs[at] ?? null;
      const after = row.status === 'kept' || row.status === 'edited' ? row.text : null;
      if (row.score !== null) this.#scores.push(row.score);
      const charsIn = input?.text == null ? null : codePoints(input.text);
      const charsOut = after === null ? 0 : codePoints(after);
      if (charsIn !== null) this.#lengths.push(charsIn);
      if (charsIn !== null && charsIn > 0 && after !== null) {
        this.#shares.push(Math.max(0, 1 - charsOut / charsIn));
      }
      counted.push([input?.text ?? null, after]);
      this.#group(row, input, charsIn ?? charsOut, charsOut);
      this.#show(row, input);
    }
    if (this.#tokenizer) {
      this.#tokens.before += await this.#count(counted.map(([before]) => before ?? ''));
      this.#tokens.after += await this.#count(counted.map(([, after]) => after ?? ''));
    }
  }

  result(): Omit<RunSample, 'nTotal' | 'isWhole' | 'seed'> {
    return {
      nRows: this.nRows,
      scores: this.#scores,
      removedShares: this.#shares,
      lengths: this.#lengths,
      domains: this.#domains,
      languages: this.#languages,
      domainColumn: this.#names.domain,
      languageColumn: this.#names.language,
      tokens: this.#tokenizer ? { ...this.#tokens } : null,
      gallery: [...this.#gallery]
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .flatMap(([, { documents }]) => documents),
      notes: this.#notes,
    };
  }

  #group(row: FinishedRow, input: InputRow | null, charsIn: number, charsOut: number): void {
    const groups = [
      [this.#names.domain, this.#domains, domainOf],
      [this.#names.language, this.#languages, (value: string) => value],
    ] as const;
    for (const [column, sizes, nameOf] of groups) {
      if (column === null) continue;
      const value = row.values[column] ?? input?.values[column];
      const name = typeof value === 'string' && value !== '' ? nameOf(value.slice(0, 2000)) : NONE;
      const key = sizes.has(name) || sizes.size < MAX_GROUPS ? name : OTHERS;
      let group = sizes.get(key);
      if (!group) {
        group = { rows: 0, dropped: 0, charsIn: 0, charsOut: 0 };
        sizes.set(key, group);
      }
      group.rows++;
      group.dropped += row.status === 'dropped' ? 1 : 0;
      group.charsIn += charsIn;
      group.charsOut += charsOut;
    }
  }

  /** A reservoir for every reason. */
  #show(row: FinishedRow, input: InputRow | null): void {
    if (this.#perReason === 0 || row.status === 'kept') return;
    const key = `${row.status} ${row.reason ?? ''}`;
    let shown = this.#gallery.get(key);
    if (!shown) {
      if (this.#gallery.size >= MAX_REASONS) return;
      shown = { seen: 0, documents: [] };
      this.#gallery.set(key, shown);
    }
    shown.seen++;
    const isFull = shown.documents.length >= this.#perReason;
    const place = isFull ? Math.floor(this.#random() * shown.seen) : shown.documents.length;
    if (place >= this.#perReason) return;
    shown.documents[place] = {
      ...{ unit: row.unit, row: row.row, id: row.id, status: row.status, program: row.program },
      ...{ reason: row.reason ?? '', score: row.score },
      before: (input?.text ?? null)?.slice(0, MAX_KEPT_CHARS) ?? null,
      after: row.text?.slice(0, MAX_KEPT_CHARS) ?? null,
    };
  }

  async #count(texts: readonly string[]): Promise<number> {
    const bytes = texts.map((text) => Buffer.from(text));
    const offsets = new Int32Array(bytes.length + 1);
    for (const [at, { byteLength }] of bytes.entries()) offsets[at + 1] = offsets[at]! + byteLength;
    const { starts } = await this.#tokenizer!.encode({ data: Buffer.concat(bytes), offsets });
    return Number(starts.at(-1) ?? 0);
  }
}
