/**
 * What the table asks of the index: rows that pass filters, a page of them in an order, and how many rows every bar of every
 * histogram stands for. A bar counts the rows that pass all the other filters, so that a click on it shows that many.
 *
 * One pass over the blocks, a millisecond or two for 100,000 rows; a longer one lets others in between blocks. Orders are by
 * counting steps (index-block.ts), so that no list of rows is made or sorted: a page is found by its place.
 */
import * as z from 'zod';
import {
  bytesOfStep,
  type IndexBlock,
  type IndexNames,
  MAX_STEP,
  NONE_8,
  NONE_16,
  OTHER_8,
  OTHER_16,
  sizeStepOf,
  stepOf,
  valueOfStep,
} from './index-block.ts';

const names = z.array(z.string().max(300)).max(500);
const range = z.tuple([z.number().nullable(), z.number().nullable()]);

/** A query as the page sends it. */
export const querySchema = z.strictObject({
  status: names.optional(),
  reason: names.optional(),
  domain: names.optional(),
  language: names.optional(),
  /** Bounds, both inclusive; null for none. Rows without a value pass no range. */
  score: range.optional(),
  share: range.optional(),
  /** Bytes of the text as it came. */
  size: range.optional(),
  words: z.string().max(1_000).optional(),
  sort: z.enum(['row', 'score', 'share', 'size']).optional(),
  descending: z.boolean().optional(),
  offset: z.int().min(0).optional(),
  limit: z.int().min(0).max(500).optional(),
});

export type Query = z.infer<typeof querySchema>;

/** A row of the table. */
export interface TableRow {
  readonly unit: number;
  readonly position: number;
  readonly status: string;
  readonly reason: string;
  readonly score: number | null;
  readonly share: number | null;
  readonly bytes: number | null;
  readonly domain: string | null;
  readonly language: string | null;
}

/** A bar of a histogram: a name, or bounds. */
export interface Bar {
  readonly name?: string;
  readonly from?: number;
  readonly to?: number;
  readonly count: number;
}

export interface QueryResult {
  /** Rows of the index. */
  readonly total: number;
  readonly matched: number;
  readonly rows: readonly TableRow[];
  readonly facets: Readonly<Record<Facet, readonly Bar[]>>;
  /** Rows that have no value yet, or none at all, among those that pass the other filters. */
  readonly unknown: Readonly<Record<'score' | 'share' | 'size', number>>;
}

const FACETS = ['status', 'reason', 'score', 'share', 'size', 'domain', 'language'] as const;
export type Facet = (typeof FACETS)[number];
/** Bit of words, behind those of the facets. */
const WORDS_BIT = 1 << FACETS.length;
const BINS = 20;
/** Bars of a facet of names; a person looks for others by the filter. */
const MAX_BARS = 12;
const OTHER = '(other)';
const NONE = '(none)';
const ROWS_AT_ONCE = 2_000_000;

/** Finds out which rows of a unit hold the words; null where that is not yet known. */
export type FoundRows = (unit: number) => Uint8Array | null;

/** The index as it is. */
export interface IndexView {
  readonly blocks: readonly IndexBlock[];
  readonly names: IndexNames;
}

/** A value that {@link Lists} takes for each number. */
interface Lists {
  readonly status: Uint8Array | null;
  readonly reason: Uint8Array | null;
  readonly domain: Uint8Array | null;
  readonly language: Uint8Array | null;
}

interface Ranges {
  readonly score: readonly [number, number] | null;
  readonly share: readonly [number, number] | null;
  readonly size: readonly [number, number] | null;
}

/** Runs a query. */
export async function runQuery(
  view: IndexView,
  query: Query,
  found: FoundRows | null,
): Promise<QueryResult> {
  const pass = new Pass(view, query, found);
  let since = 0;
  for (const block of view.blocks) {
    pass.count(block);
    since += block.nRows;
    if (since < ROWS_AT_ONCE) continue;
    since = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return pass.result();
}

class Pass {
  readonly #view: IndexView;
  readonly #query: Query;
  readonly #found: FoundRows | null;
  readonly #lists: Lists;
  readonly #ranges: Ranges;
  readonly #statusOf: Uint8Array;
  readonly #reasonOf: Uint16Array;
  readonly #statuses: string[];
  readonly #reasons: string[];
  readonly #counts: Record<Facet, Float64Array>;
  readonly #unknown = { score: 0, share: 0, size: 0 };
  /** Rows that pass, by step of what they are ordered by. */
  readonly #steps: Float64Array | null;
  /** Rows that pass, a block. */
  readonly #passing: number[] = [];
  #total = 0;
  #matched = 0;

  constructor(view: IndexView, query: Query, found: FoundRows | null) {
    this.#view = view;
    this.#query = query;
    this.#found = found;
    const { outcomes, domains, languages } = view.names;
    this.#statuses = [...new Set(outcomes.map(({ status }) => status))];
    this.#reasons = [...new Set(outcomes.map(({ reason }) => reason))];
    this.#statusOf = Uint8Array.from(outcomes, ({ status }) => this.#statuses.indexOf(status));
    this.#reasonOf = Uint16Array.from(outcomes, ({ reason }) => this.#reasons.indexOf(reason));
    this.#lists = {
      status: wanted(query.status, this.#statuses),
      reason: wanted(query.reason, this.#reasons),
      domain: wantedNumbers(query.domain, domains, NONE_16, OTHER_16),
      language: wantedNumbers(query.language, languages, NONE_8, OTHER_8),
    };
    this.#ranges = {
      score: stepsOf(query.score, stepOf),
      share: stepsOf(query.share, stepOf),
      size: stepsOf(query.size, sizeStepOf),
    };
    this.#counts = {
      status: new Float64Array(this.#statuses.length),
      reason: new Float64Array(this.#reasons.length),
      score: new Float64Array(BINS),
      share: new Float64Array(BINS),
      size: new Float64Array(64),
      domain: new Float64Array(NONE_16 + 1),
      language: new Float64Array(NONE_8 + 1),
    };
    this.#steps = this.#column(view.blocks[0]) ? new Float64Array(NONE_16 + 1) : null;
  }

  /** What rows are ordered by; null for their own order. */
  #column(block: IndexBlock | undefined): Uint16Array | null {
    const { sort = 'row' } = this.#query;
    return block && sort !== 'row' ? block[sort] : null;
  }

  /** Which filters the row does not pass, a bit each. */
  #fails(block: IndexBlock, row: number, found: Uint8Array | null): number {
    const { status, reason, domain, language } = this.#lists;
    const { score, share, size } = this.#ranges;
    const outcome = block.outcome[row]!;
    let fails = 0;
    if (status && status[this.#statusOf[outcome]!] === 0) fails |= 1;
    if (reason && reason[this.#reasonOf[outcome]!] === 0) fails |= 2;
    if (score && isOutside(block.score[row]!, score)) fails |= 4;
    if (share && isOutside(block.share[row]!, share)) fails |= 8;
    if (size && isOutside(block.size[row]!, size)) fails |= 16;
    if (domain && domain[block.domain[row]!] === 0) fails |= 32;
    if (language && language[block.language[row]!] === 0) fails |= 64;
    if (this.#found && found?.[row] !== 1) fails |= WORDS_BIT;
    return fails;
  }

  count(block: IndexBlock): void {
    const { nRows } = block;
    const found = this.#found?.(block.unit) ?? null;
    const order = this.#column(block);
    const counts = this.#counts;
    let passing = 0;
    for (let row = 0; row < nRows; row++) {
      const fails = this.#fails(block, row, found);
      // A row that fails one filter counts for the histogram of that filter alone.
      if ((fails & (fails - 1)) !== 0) continue;
      const outcome = block.outcome[row]!;
      if ((fails & ~1) === 0) counts.status[this.#statusOf[outcome]!]!++;
      if ((fails & ~2) === 0) counts.reason[this.#reasonOf[outcome]!]!++;
      if ((fails & ~4) === 0) this.#bin('score', block.score[row]!);
      if ((fails & ~8) === 0) this.#bin('share', block.share[row]!);
      if ((fails & ~16) === 0) this.#bin('size', block.size[row]!);
      if ((fails & ~32) === 0) counts.domain[block.domain[row]!]!++;
      if ((fails & ~64) === 0) counts.language[block.language[row]!]!++;
      if (fails !== 0) continue;
      passing++;
      if (order) this.#steps![order[row]!]!++;
    }
    this.#passing.push(passing);
    this.#matched += passing;
    this.#total += nRows;
  }

  #bin(facet: 'score' | 'share' | 'size', step: number): void {
    if (step === NONE_16) this.#unknown[facet]++;
    else if (facet === 'size') this.#counts.size[step >> 10]!++;
    else this.#counts[facet][Math.min(BINS - 1, Math.floor((step * BINS) / MAX_STEP))]!++;
  }

  result(): QueryResult {
    return {
      total: this.#total,
      matched: this.#matched,
      rows: this.#page(),
      facets: {
        status: bars(this.#statuses, this.#counts.status),
        reason: bars(this.#reasons, this.#counts.reason),
        score: shareBars(this.#counts.score),
        share: shareBars(this.#counts.share),
        size: sizeBars(this.#counts.size),
        domain: this.#nameBars('domain', this.#view.names.domains, NONE_16, OTHER_16),
        language: this.#nameBars('language', this.#view.names.languages, NONE_8, OTHER_8),
      },
      unknown: this.#unknown,
    };
  }

  #nameBars(
    facet: 'domain' | 'language',
    known: readonly string[],
    none: number,
    other: number,
  ): Bar[] {
    const counts = this.#counts[facet];
    const found = bars(known, counts);
    if (counts[other]! > 0) found.push({ name: OTHER, count: counts[other]! });
    const chosen = new Set(this.#query[facet]);
    const shown = found
      .sort((left, right) => right.count - left.count)
      .filter(({ name }, at) => at < MAX_BARS || chosen.has(name!));
    if (counts[none]! > 0 && known.length > 0) shown.push({ name: NONE, count: counts[none]! });
    return shown;
  }

  #page(): TableRow[] {
    const { offset = 0, limit = 50, descending = false } = this.#query;
    const end = Math.min(this.#matched, offset + limit);
    if (offset >= end) return [];
    if (this.#steps) return this.#orderedPage(offset, end, descending);
    if (!descending) return this.#rowPage(offset, end);
    return this.#rowPage(this.#matched - end, this.#matched - offset).reverse();
  }

  #rowPage(start: number, end: number): TableRow[] {
    const rows: TableRow[] = [];
    let before = 0;
    for (const [at, block] of this.#view.blocks.entries()) {
      const passing = this.#passing[at]!;
      if (before >= end) break;
      if (before + passing > start) {
        let place = before;
        const found = this.#found?.(block.unit) ?? null;
        for (let row = 0; row < block.nRows && place < end; row++) {
          if (this.#fails(block, row, found) !== 0) continue;
          if (place >= start) rows.push(this.#row(block, row));
          place++;
        }
      }
      before += passing;
    }
    return rows;
  }

  /** Steps that lie on the page, and how many rows of the first are before it; rows of one step are in their own order. */
  #orderedPage(start: number, end: number, descending: boolean): TableRow[] {
    const steps = this.#steps!;
    /** Place of the next row of each step of the page. */
    const places = new Map<number, number>();
    let before = 0;
    // Rows without a value are last in either direction.
    for (let at = 0; at <= NONE_16 && before < end; at++) {
      const step = at === NONE_16 ? NONE_16 : descending ? NONE_16 - 1 - at : at;
      const count = steps[step]!;
      if (count === 0) continue;
      if (before + count > start) places.set(step, before);
      before += count;
    }
    const rows: TableRow[] = new Array(end - start);
    let left = end - start;
    for (const [at, block] of this.#view.blocks.entries()) {
      if (this.#passing[at] === 0) continue;
      const order = this.#column(block)!;
      const found = this.#found?.(block.unit) ?? null;
      for (let row = 0; row < block.nRows && left > 0; row++) {
        const place = places.get(order[row]!);
        if (place === undefined || this.#fails(block, row, found) !== 0) continue;
        places.set(order[row]!, place + 1);
        if (place < start || place >= end) continue;
        rows[place - start] = this.#row(block, row);
        left--;
      }
      if (left === 0) break;
    }
    // Sizes may have come in since they were counted.
    return rows.filter((row) => row !== undefined);
  }

  #row(block: IndexBlock, row: number): TableRow {
    return tableRow(this.#view.names, block, row);
  }
}

/** A row as the table shows it. */
export function tableRow(index: IndexNames, block: IndexBlock, row: number): TableRow {
  const { status = 'failed', reason = '' } = index.outcomes[block.outcome[row]!] ?? {};
  const domain = block.domain[row]!;
  const language = block.language[row]!;
  return {
    unit: block.unit,
    position: row,
    status,
    reason,
    score: valueOfStep(block.score[row]!),
    share: valueOfStep(block.share[row]!),
    bytes: bytesOfStep(block.size[row]!),
    domain: domain === NONE_16 ? null : domain === OTHER_16 ? OTHER : index.domains[domain]!,
    language:
      language === NONE_8 ? null : language === OTHER_8 ? OTHER : index.languages[language]!,
  };
}

function isOutside(step: number, [low, high]: readonly [number, number]): boolean {
  return step === NONE_16 || step < low || step > high;
}

function stepsOf(
  bounds: readonly [number | null, number | null] | undefined,
  stepFor: (value: number) => number,
): readonly [number, number] | null {
  if (!bounds) return null;
  const [low, high] = bounds;
  return [low === null ? 0 : stepFor(low), high === null ? MAX_STEP : stepFor(high)];
}

/** 1 for each known name that is wanted; null where all are. */
function wanted(names: readonly string[] | undefined, known: readonly string[]): Uint8Array | null {
  if (!names || names.length === 0) return null;
  const chosen = new Set(names);
  return Uint8Array.from(known, (name) => (chosen.has(name) ? 1 : 0));
}

function wantedNumbers(
  names: readonly string[] | undefined,
  known: readonly string[],
  none: number,
  other: number,
): Uint8Array | null {
  if (!names || names.length === 0) return null;
  const chosen = new Set(names);
  const flags = new Uint8Array(none + 1);
  for (const [at, name] of known.entries()) if (chosen.has(name)) flags[at] = 1;
  if (chosen.has(NONE)) flags[none] = 1;
  if (chosen.has(OTHER)) flags[other] = 1;
  return flags;
}

function bars(names: readonly string[], counts: Float64Array): Bar[] {
  return names
    .map((name, at) => ({ name, count: counts[at]! }))
    .filter(({ count }) => count > 0)
    .sort((left, right) => right.count - left.count);
}

function shareBars(counts: Float64Array): Bar[] {
  return Array.from(counts, (count, at) => ({ from: at / BINS, to: (at + 1) / BINS, count }));
}

/** An octave of bytes a bar, without the empty ones at both ends. */
function sizeBars(counts: Float64Array): Bar[] {
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  if (first < 0) return [];
  return Array.from(counts.subarray(first, last + 1), (count, at) => {
    return { from: 2 ** (first + at) - 1, to: 2 ** (first + at + 1) - 1, count };
  });
}
