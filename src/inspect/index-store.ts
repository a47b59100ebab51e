/**
 * The index as the server sees it: blocks that its thread has sent, in the order of units, and words that are being looked for.
 */
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { GristmillError } from '../errors.ts';
import { distFile } from '../paths.ts';
import { blockOver, type IndexBlock, type IndexNames } from './index-block.ts';
import type { IndexNotice, IndexRequest } from './index-worker.ts';
import { type CountedRows, countRows, type Query, type QueryResult } from './query.ts';
import { ScoreGrid } from './score-grid.ts';
import { wordsOf } from './search-unit.ts';

/** How far the index is. */
export interface IndexProgress {
  /** Units in the index, with lengths of texts, and units whose texts as they came could not be read. */
  readonly indexed: number;
  readonly sized: number;
  readonly unknown: number;
  /** Whether the thread has nothing left to do for now. */
  readonly rests: boolean;
  /** Every how many units of a very large run one is in the index. */
  readonly every: number;
  readonly failed: readonly { readonly unit: number; readonly message: string }[];
}

/** Searches that are remembered: going back to one asks nothing again. */
const MAX_SEARCHES = 4;
const MAX_FAILURES = 20;

interface Search {
  readonly id: number;
  readonly rows: Map<number, Uint8Array>;
  done: boolean;
}

/** See the file's header. */
export class IndexStore {
  readonly #worker: Worker;
  readonly #names: IndexNames = { outcomes: [], domains: [], languages: [] };
  #blocks: IndexBlock[] = [];
  readonly #byUnit = new Map<number, IndexBlock>();
  readonly #sized = new Set<number>();
  readonly #searches = new Map<string, Search>();
  readonly #failed: { unit: number; message: string }[] = [];
  #nextSearch = 1;
  /** The last query, counted: pages of it ask for no more. */
  #counted: { readonly key: string; readonly rows: Promise<CountedRows> } | null = null;
  #unknown = 0;
  #grid: ScoreGrid | null = null;
  #rests = false;
  #every = 1;
  #isEnded = false;
  /** Grows whenever a query may give something else. */
  #version = 0;
  #waiting: (() => void)[] = [];

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (notice: IndexNotice) => this.#take(notice));
    worker.on('error', (error) => {
      this.#isEnded = true;
      this.#failed.push({ unit: -1, message: error.message });
      this.#changed();
    });
    worker.on('exit', () => {
      this.#isEnded = true;
      this.#changed();
    });
  }

  /** Starts the thread. @throws INSPECT_NOT_BUILT */
  static open(dir: string): IndexStore {
    const file = distFile('inspect/index-worker.js');
    if (!existsSync(file)) {
      throw new GristmillError('INSPECT_NOT_BUILT', { file });
    }
    const worker = new Worker(file, {
      workerData: { dir },
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    });
    return new IndexStore(worker);
  }

  get version(): number {
    return this.#version;
  }

  get names(): IndexNames {
    return this.#names;
  }

  get blocks(): readonly IndexBlock[] {
    return this.#blocks;
  }

  /** Sums of kept scores; null where there are none. */
  get grid(): ScoreGrid | null {
    return this.#grid;
  }

  block(unit: number): IndexBlock | undefined {
    return this.#byUnit.get(unit);
  }

  get progress(): IndexProgress {
    return {
      indexed: this.#blocks.length,
      sized: this.#sized.size,
      unknown: this.#unknown,
      rests: this.#rests || this.#isEnded,
      every: this.#every,
      failed: this.#failed,
    };
  }

  /** Resolves when the version is another one than `known`, or after a while. */
  async change(known: number, maxMs: number): Promise<void> {
    if (this.#version !== known || this.#isEnded) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, maxMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** A query over what is there; words are looked for in the thread, and what is found so far counts. */
  async query(query: Query): Promise<QueryResult & { readonly searching: boolean }> {
    const search = query.words === undefined ? null : this.#searchFor(query.words);
    const found = search && ((unit: number) => search.rows.get(unit) ?? null);
    const { offset, limit, ...shared } = query;
    const key = `${this.#version} ${JSON.stringify(shared)}`;
    if (this.#counted?.key !== key) {
      // A query under way goes by the blocks that are there when it begins.
      const view = { blocks: [...this.#blocks], names: this.#names };
      this.#counted = { key, rows: countRows(view, query, found) };
    }
    const counted = await this.#counted.rows;
    const searching = search !== null && !search.done;
    return {
      ...counted.result({
        ...(offset !== undefined && { offset }),
        ...(limit !== undefined && { limit }),
      }),
      searching,
    };
  }

  async close(): Promise<void> {
    if (this.#isEnded) return;
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    this.#tell({ kind: 'stop' });
    const timer = setTimeout(() => void this.#worker.terminate(), 5_000);
    await exited;
    clearTimeout(timer);
  }

  #searchFor(typed: string): Search | null {
    const words = wordsOf(typed);
    if (words.length === 0) return null;
    const key = JSON.stringify(words);
    const known = this.#searches.get(key);
    if (known) return known;
    // The thread looks for one at a time: what was given up counts for nothing.
    for (const [other, { done }] of this.#searches) if (!done) this.#searches.delete(other);
    const search: Search = { id: this.#nextSearch++, rows: new Map(), done: false };
    this.#searches.set(key, search);
    const oldest = this.#searches.keys().next().value;
    if (this.#searches.size > MAX_SEARCHES && oldest !== undefined) this.#searches.delete(oldest);
    this.#tell({ kind: 'search', id: search.id, words });
    return search;
  }

  #tell(request: IndexRequest): void {
    this.#worker.postMessage(request);
  }

  #take(notice: IndexNotice): void {
    switch (notice.kind) {
      case 'names':
        this.#names.outcomes.push(...notice.outcomes);
        for (const name of notice.domains) this.#names.domains.push(name);
        this.#names.languages.push(...notice.languages);
        return;
      case 'block': {
        const block = blockOver(notice.unit, notice.nRows, notice.bytes);
        this.#byUnit.set(block.unit, block);
        this.#insert(block);
        if (notice.sized) this.#sized.add(block.unit);
        this.#rests = false;
        break;
      }
      case 'grid':
        this.#grid = new ScoreGrid(notice.edges, notice.bytes);
        break;
      case 'scored':
        break;
      case 'sized':
        this.#sized.add(notice.unit);
        if (!notice.isKnown) this.#unknown++;
        break;
      case 'failed':
        if (this.#failed.length < MAX_FAILURES) {
          this.#failed.push({ unit: notice.unit, message: notice.message });
        }
        break;
      case 'found': {
        const search = [...this.#searches.values()].find(({ id }) => id === notice.id);
        if (!search) return;
        const rows = new Uint8Array(this.#byUnit.get(notice.unit)?.nRows ?? 0);
        for (const row of notice.rows) rows[row] = 1;
        search.rows.set(notice.unit, rows);
        break;
      }
      case 'searched':
        for (const search of this.#searches.values())
          if (search.id === notice.id) search.done = true;
        break;
      case 'rest':
        this.#rests = true;
        this.#every = notice.every;
        break;
    }
    this.#changed();
  }

  /** Most units come in order. */
  #insert(block: IndexBlock): void {
    const blocks = this.#blocks;
    const last = blocks.at(-1);
    if (!last || last.unit < block.unit) {
      blocks.push(block);
      return;
    }
    const at = blocks.findIndex(({ unit }) => unit > block.unit);
    this.#blocks = [...blocks.slice(0, at), block, ...blocks.slice(at)];
  }

  #changed(): void {
    this.#version++;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
