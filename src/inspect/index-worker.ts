/**
 * The thread that makes the index and searches for words, so that the server answers meanwhile. Blocks go to the server as they
 * come; their memory is shared, and sizes appear in them later.
 *
 * Order of work: what was kept on disk, the narrow columns of every unit, words that somebody waits for, lengths of texts.
 * Everything is done in steps of a unit, and whoever waits is looked at between steps.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { inputRange } from '../corpus/unit-files.ts';
import { printable } from '../errors.ts';
import { FinishedRun } from '../refine/finished-run.ts';
import type { ScoreBlock } from '../scores/score-file.ts';
import type { IndexBlock, OutcomeKind } from './index-block.ts';
import { readIndex, writeIndex } from './index-cache.ts';
import { IndexBooks, indexUnit, sizeUnit, sourceCheck, type TextTaker } from './index-unit.ts';
import { scoreBlocks, scoresOf } from './kept-scores.ts';
import { type GridEdges, gridEdges, ScoreGrid } from './score-grid.ts';
import { searchUnit } from './search-unit.ts';

/** What the thread is told. */
export type IndexRequest =
  | { readonly kind: 'search'; readonly id: number; readonly words: readonly string[] }
  | { readonly kind: 'stop' };

/** What it tells. */
export type IndexNotice =
  | {
      readonly kind: 'block';
      readonly unit: number;
      readonly nRows: number;
      readonly bytes: SharedArrayBuffer;
      readonly sized: boolean;
    }
  | {
      readonly kind: 'names';
      readonly outcomes: readonly OutcomeKind[];
      readonly domains: readonly string[];
      readonly languages: readonly string[];
    }
  /** Sums of kept scores, which go on growing. */
  | { readonly kind: 'grid'; readonly edges: GridEdges; readonly bytes: SharedArrayBuffer }
  | { readonly kind: 'scored'; readonly unit: number }
  | { readonly kind: 'sized'; readonly unit: number; readonly isKnown: boolean }
  | { readonly kind: 'failed'; readonly unit: number; readonly message: string }
  | {
      readonly kind: 'found';
      readonly id: number;
      readonly unit: number;
      readonly rows: Int32Array;
    }
  | { readonly kind: 'searched'; readonly id: number }
  /** Everything that is committed is in the index. */
  | { readonly kind: 'rest'; readonly indexed: number; readonly every: number };

/**
 * Rows of the index, about: 120 MB. Of larger runs it has every second unit, every third, and so on, which is a sample as the
 * order of rows is that of the input.
 */
const MAX_ROWS = 12_000_000;
/**
 * Bytes that are fetched from buckets for the lengths of texts alone, about: a whole corpus would cross the network for them. The
 * lengths of what lies behind stay unknown, as do shares of edited documents.
 */
const MAX_FETCHED_BYTES = 2 ** 30;
/** A run under way is looked at again after this long. */
const LOOK_AGAIN_MS = 2_000;

const port = parentPort!;
const { dir } = workerData as { readonly dir: string };

let run = await FinishedRun.open(dir);
let isSource = sourceCheck(run);
let books = new IndexBooks();
const blocks = new Map<number, IndexBlock>();
const sized = new Set<number>();
const scored = new Set<number>();
let grid: ScoreGrid | null = null;
const failed = new Set<number>();
let search: {
  readonly id: number;
  readonly words: readonly string[];
  readonly left: number[];
} | null = null;
let fetchedBytes = 0;
let isStopped = false;
let isStored = true;
let wake: (() => void) | null = null;
const told = { outcomes: 0, domains: 0, languages: 0 };

port.on('message', (request: IndexRequest) => {
  if (request.kind === 'stop') isStopped = true;
  else search = { id: request.id, words: request.words, left: [...blocks.keys()] };
  wake?.();
});

function stride(): number {
  return Math.max(1, Math.ceil(run.counts.rowsIn / MAX_ROWS));
}

function say(notice: IndexNotice): void {
  port.postMessage(notice);
}

/** Names before the blocks that use them. */
function sayNames(): void {
  const now = {
    outcomes: books.outcomes.length,
    domains: books.domains.names.length,
    languages: books.languages.names.length,
  };
  const fresh = {
    outcomes: books.outcomes.slice(told.outcomes),
    domains: books.domains.names.slice(told.domains),
    languages: books.languages.names.slice(told.languages),
  };
  if (fresh.outcomes.length + fresh.domains.length + fresh.languages.length === 0) return;
  Object.assign(told, now);
  say({ kind: 'names', ...fresh });
}

function sayBlock(block: IndexBlock): void {
  sayNames();
  const { unit, nRows, bytes } = block;
  say({ kind: 'block', unit, nRows, bytes, sized: sized.has(unit) });
}

function restore(): void {
  const cached = readIndex(run);
  if (!cached) {
    openGrid(null);
    return;
  }
  books = new IndexBooks(cached.names);
  const layout = scoresOf(run);
  // Sums are of all their units or of none: without them texts are read again.
  const isGridOurs = cached.grid !== null;
  for (const { block, sized: isSized } of cached.blocks) {
    blocks.set(block.unit, block);
    if (isSized && (isGridOurs || !layout)) sized.add(block.unit);
    if (isGridOurs) scored.add(block.unit);
    sayBlock(block);
  }
  openGrid(cached.grid);
}

async function searchStep(): Promise<void> {
  const current = search!;
  const unit = current.left.shift();
  if (unit === undefined) {
    say({ kind: 'searched', id: current.id });
    if (search === current) search = null;
    return;
  }
  const rows = await searchUnit(run, unit, current.words).catch(() => new Int32Array());
  if (rows.length > 0) say({ kind: 'found', id: current.id, unit, rows });
}

async function indexStep(unit: number): Promise<void> {
  const block = await indexUnit(run, unit, books);
  blocks.set(unit, block);
  isStored = false;
  sayBlock(block);
}

async function scoreStep(unit: number): Promise<void> {
  scored.add(unit);
  for await (const block of scoreBlocks(run, unit)) grid!.addScores(block);
  isStored = false;
  say({ kind: 'scored', unit });
}

async function sizeStep(block: IndexBlock): Promise<void> {
  sized.add(block.unit);
  fetchedBytes += bytesToFetch(block.unit);
  const isKnown =
    fetchedBytes <= MAX_FETCHED_BYTES &&
    (await sizeUnit(run, block, books, isSource, await textTaker(block.unit)));
  isStored = false;
  sayNames();
  say({ kind: 'sized', unit: block.unit, isKnown });
}

/** Of a unit's texts, as they were written and as they came, those that lie behind addresses. */
function bytesToFetch(unit: number): number {
  const { path } = inputRange(run.unit(unit).input);
  const bytes = run.part(unit, 'staying')?.bytes ?? 0;
  return [run.out, path].filter((place) => remoteScheme(place) !== null).length * bytes;
}

/** Takes texts into the grid, by the rows of the unit's sidecar. */
async function textTaker(unit: number): Promise<TextTaker | null> {
  const { firstRow } = await run.layout(unit);
  if (!grid || firstRow === null || !run.unit(unit).scores) return null;
  const places = new Map<number, readonly [ScoreBlock, number]>();
  for await (const block of scoreBlocks(run, unit)) {
    for (const [at, row] of block.rowNumbers.entries()) places.set(row - firstRow, [block, at]);
  }
  return (position, data, range) => {
    const place = places.get(position);
    if (place) grid!.addText(...place, data, range);
  };
}

function openGrid(bytes: SharedArrayBuffer | null): void {
  const layout = scoresOf(run);
  if (!layout) return;
  const { thresholds, options } = run.identity;
  const isFromRetention = (options['lineThreshold'] ?? null) === null;
  grid = new ScoreGrid(gridEdges(layout, thresholds.document ?? null, isFromRetention), bytes);
  say({ kind: 'grid', edges: grid.edges, bytes: grid.buffer });
}

/** One step of whatever comes first; false when there is nothing to do. */
async function step(): Promise<boolean> {
  if (search) {
    await searchStep();
    return true;
  }
  const every = stride();
  const next = run.units.find(({ unit }) => {
    return unit % every === 0 && !blocks.has(unit) && !failed.has(unit);
  });
  const unscored = next || !grid ? undefined : firstWithout(scored);
  const unsized = next || unscored ? undefined : firstWithout(sized);
  const unit = next?.unit ?? unscored?.unit ?? unsized?.unit;
  if (unit === undefined) return false;
  try {
    if (next) await indexStep(unit);
    else if (unscored) await scoreStep(unit);
    else await sizeStep(unsized!);
  } catch (error) {
    if (next) failed.add(unit);
    say({ kind: 'failed', unit, message: printable((error as Error).message) });
  }
  return true;
}

function firstWithout(done: ReadonlySet<number>): IndexBlock | undefined {
  for (const block of blocks.values()) if (!done.has(block.unit)) return block;
  return undefined;
}

function store(): void {
  if (isStored) return;
  const { outcomes, domains, languages } = books;
  const names = { outcomes, domains: domains.names, languages: languages.names };
  const all = [...blocks.values()].map((block) => ({ block, sized: sized.has(block.unit) }));
  writeIndex(run, { names, blocks: all, grid: grid?.buffer ?? null });
  isStored = true;
}

async function work(): Promise<void> {
  restore();
  while (!isStopped) {
    if (await step()) {
      // Messages are let in.
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    store();
    say({ kind: 'rest', indexed: blocks.size, every: stride() });
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const timer = run.isWhole ? null : setTimeout(() => wake?.(), LOOK_AGAIN_MS);
    await woken;
    if (timer) clearTimeout(timer);
    if (!run.isWhole) {
      run = await FinishedRun.open(dir);
      isSource = sourceCheck(run);
    }
  }
  store();
}

await work();
process.exit(0);
