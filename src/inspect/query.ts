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
/** Octaves of sizes; the last one is for those that are not known. */
const UNKNOWN_SIZE = 64;

/** Bars by step; the last one is for rows without a value. */
const SHARE_BIN = Uint8Array.from({ length: NONE_16 + 1 }, (_, step) =>
  step === NONE_16 ? BINS : Math.min(BINS - 1, Math.floor((step * BINS) / MAX_STEP)),
);
const SIZE_BIN = Uint8Array.from({ length: NONE_16 + 1 }, (_, step) =>
  step === NONE_16 ? UNKNOWN_SIZE : step >> 10,
);

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
  readonly score: readonly [number, number];
  readonly share: readonly [number, number];
  readonly size: readonly [number, number];
}

/** Runs a query. */
export async function runQuery(
  view: IndexView,
  query: Query,
  found: FoundRows | null,
): Promise<QueryResult> {
  return (await countRows(view, query, found)).result(query);
}

/** Rows that have been filtered and counted: any page of them follows at once. */
export interface CountedRows {
  result(page: Pick<Query, 'offset' | 'limit'>): QueryResult;
}

/** The part of a query that all its pages share. */
export async function countRows(
  view: IndexView,
  query: Query,
  found: FoundRows | null,
): Promise<CountedRows> {
  const pass = new Pass(view, query, found);
  let since = 0;
  for (const block of view.blocks) {
    pass.count(block);
    since += block.nRows;
    if (since < ROWS_AT_ONCE) continue;
    since = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return pass;
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
  /** Bits of status and reason by outcome. */
  readonly #outcomeFails: Uint8Array;
  readonly #isUnfiltered: boolean;
  readonly #counts = {
    outcome: new Uint32Array(256),
    /** Of rows that fail by their status, or by their reason, alone. */
    otherStatus: new Uint32Array(256),
    otherReason: new Uint32Array(256),
    score: new Uint32Array(BINS + 1),
    share: new Uint32Array(BINS + 1),
    size: new Uint32Array(UNKNOWN_SIZE + 1),
    domain: new Uint32Array(NONE_16 + 1),
    language: new Uint32Array(NONE_8 + 1),
  };
  /** Rows that pass, by step of what they are ordered by. */
  readonly #steps: Uint32Array | null;
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
    const { status, reason, domain: domainList, language: languageList } = this.#lists;
    this.#outcomeFails = new Uint8Array(256);
    for (let at = 0; at < outcomes.length; at++) {
      if (status && status[this.#statusOf[at]!] === 0) this.#outcomeFails[at]! |= 1;
      if (reason && reason[this.#reasonOf[at]!] === 0) this.#outcomeFails[at]! |= 2;
    }
    const ranges = [query.score, query.share, query.size];
    this.#isUnfiltered =
      !found && !status && !reason && !domainList && !languageList && !ranges.some((one) => one);
    this.#steps = this.#column(view.blocks[0]) ? new Uint32Array(NONE_16 + 1) : null;
  }

  /** What rows are ordered by; null for their own order. */
  #column(block: IndexBlock | undefined): Uint16Array | null {
    const { sort = 'row' } = this.#query;
    return block && sort !== 'row' ? block[sort] : null;
  }

  /** Which filters the row does not pass, a bit each. */
  #fails(block: IndexBlock, row: number, found: Uint8Array | null): number {
    const { score, share, size } = this.#ranges;
    let fails = this.#outcomeFails[block.outcome[row]!]!;
    if (isOutside(block.score[row]!, score)) fails |= 4;
    if (isOutside(block.share[row]!, share)) fails |= 8;
    if (isOutside(block.size[row]!, size)) fails |= 16;
    if (this.#lists.domain && this.#lists.domain[block.domain[row]!] === 0) fails |= 32;
    if (this.#lists.language && this.#lists.language[block.language[row]!] === 0) fails |= 64;
    if (this.#found && found?.[row] !== 1) fails |= WORDS_BIT;
    return fails;
  }

  /** Everything that the loop needs is a local or a table: it is what a click waits for. */
  count(block: IndexBlock): void {
    const { nRows, outcome, score, share, size, domain, language } = block;
    const found = this.#found?.(block.unit) ?? null;
    const order = this.#column(block);
    const steps = this.#steps;
    const counts = this.#counts;
    const unfiltered = this.#isUnfiltered;
    let passing = 0;
    for (let row = 0; row < nRows; row++) {
      const fails = unfiltered ? 0 : this.#fails(block, row, found);
      // A row that fails one filter counts for the histogram of that filter alone.
      if ((fails & (fails - 1)) !== 0) continue;
      if (fails === 0) {
        counts.outcome[outcome[row]!]!++;
        counts.score[SHARE_BIN[score[row]!]!]!++;
        counts.share[SHARE_BIN[share[row]!]!]!++;
        counts.size[SIZE_BIN[size[row]!]!]!++;
        counts.domain[domain[row]!]!++;
        counts.language[language[row]!]!++;
        if (order) steps![order[row]!]!++;
        passing++;
      } else if (fails === 1) counts.otherStatus[outcome[row]!]!++;
      else if (fails === 2) counts.otherReason[outcome[row]!]!++;
      else if (fails === 4) counts.score[SHARE_BIN[score[row]!]!]!++;
      else if (fails === 8) counts.share[SHARE_BIN[share[row]!]!]!++;
      else if (fails === 16) counts.size[SIZE_BIN[size[row]!]!]!++;
      else if (fails === 32) counts.domain[domain[row]!]!++;
      else if (fails === 64) counts.language[language[row]!]!++;
    }
    this.#passing.push(passing);
    this.#matched += passing;
    this.#total += nRows;
  }

  result(page: Pick<Query, 'offset' | 'limit'>): QueryResult {
    const { outcome, otherStatus, otherReason, score, share, size } = this.#counts;
    return {
      total: this.#total,
      matched: this.#matched,
      rows: this.#page(page),
      facets: {
        status: this.#outcomeBars(this.#statuses, this.#statusOf, [outcome, otherStatus]),
        reason: this.#outcomeBars(this.#reasons, this.#reasonOf, [outcome, otherReason]),
        score: shareBars(score.subarray(0, BINS)),
        share: shareBars(share.subarray(0, BINS)),
        size: sizeBars(size.subarray(0, UNKNOWN_SIZE)),
        domain: this.#nameBars('domain', this.#view.names.domains, NONE_16, OTHER_16),
        language: this.#nameBars('language', this.#view.names.languages, NONE_8, OTHER_8),
      },
      unknown: { score: score[BINS]!, share: share[BINS]!, size: size[UNKNOWN_SIZE]! },
    };
  }

  #outcomeBars(
    names: readonly string[],
    numbers: ArrayLike<number>,
    parts: readonly Uint32Array[],
  ): Bar[] {
    const counts = new Uint32Array(names.length);
    for (const part of parts) {
      for (let at = 0; at < numbers.length; at++) counts[numbers[at]!]! += part[at]!;
    }
    return bars(names, counts);
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

  #page({ offset = 0, limit = 50 }: Pick<Query, 'offset' | 'limit'>): TableRow[] {
    const { descending = false } = this.#query;
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

function isOutside(step: number, range: readonly [number, number]): boolean {
  return step < range[0] || step > range[1];
}

function stepsOf(
  bounds: readonly [number | null, number | null] | undefined,
  stepFor: (value: number) => number,
): readonly [number, number] {
  // Rows without a value pass where there is no range, and only there.
  if (!bounds) return [0, NONE_16];
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

function bars(names: readonly string[], counts: Uint32Array): Bar[] {
  return names
    .map((name, at) => ({ name, count: counts[at]! }))
    .filter(({ count }) => count > 0)
    .sort((left, right) => right.count - left.count);
}

function shareBars(counts: Uint32Array): Bar[] {
  return Array.from(counts, (count, at) => ({ from: at / BINS, to: (at + 1) / BINS, count }));
}

/** An octave of bytes a bar, without the empty ones at both ends. */
function sizeBars(counts: Uint32Array): Bar[] {
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  if (first < 0) return [];
  return Array.from(counts.subarray(first, last + 1), (count, at) => {
    return { from: 2 ** (first + at) - 1, to: 2 ** (first + at + 1) - 1, count };
  });
}
