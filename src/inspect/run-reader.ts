/**
 * Documents of a run for the server: by unit and position, with the text as it came, and the beginnings of many. A run under way is
 * opened again when somebody asks for a unit that is not known yet.
 */

import { isGristmillError } from '../errors.ts';
import { escapeHidden } from '../printable.ts';
import { type FinishedRow, FinishedRun } from '../refine/finished-run.ts';
import { OriginalTexts } from '../refine/original-texts.ts';
import { type LoadedDocument, loadDocument } from './document.ts';

/** The beginning of a document. */
export interface Head {
  readonly unit: number;
  readonly position: number;
  readonly id: string | null;
  /** Null where no text can be read. */
  readonly head: string | null;
}

const HEAD_CHARS = 160;
/** Positions that lie closer than this are read together. */
const NEAR_ROWS = 64;
const AT_ONCE = 2;
const MAX_DOCUMENTS = 4;
/** A ledger of thousands of units takes a while to read. */
const REFRESH_MS = 2_000;

/** See the file's header. */
export class RunReader {
  #run: FinishedRun;
  #originals: OriginalTexts;
  readonly #documents = new Map<string, Promise<LoadedDocument | null>>();
  #refreshed = 0;

  constructor(run: FinishedRun) {
    this.#run = run;
    this.#originals = new OriginalTexts(run);
  }

  get run(): FinishedRun {
    return this.#run;
  }

  /** Looks again what is committed. */
  async refresh(): Promise<void> {
    if (this.#run.isWhole || Date.now() - this.#refreshed < REFRESH_MS) return;
    this.#refreshed = Date.now();
    this.#run = await FinishedRun.open(this.#run.out);
    this.#originals = new OriginalTexts(this.#run);
    this.#documents.clear();
  }

  /** A document; null where there is none. The last few are remembered: their lines are asked for in parts. */
  async document(unit: number, position: number): Promise<LoadedDocument | null> {
    if (!(await this.#has(unit))) return null;
    const key = `${unit}:${position}`;
    const known = this.#documents.get(key);
    if (known) return known;
    const loaded = loadDocument(this.#run, this.#originals, unit, position);
    this.#documents.set(key, loaded);
    loaded.catch(() => this.#documents.delete(key));
    const oldest = this.#documents.keys().next().value;
    if (this.#documents.size > MAX_DOCUMENTS && oldest !== undefined) {
      this.#documents.delete(oldest);
    }
    return loaded;
  }

  /** Beginnings of documents, in the order asked for. */
  async heads(
    keys: readonly { readonly unit: number; readonly position: number }[],
  ): Promise<Head[]> {
    const known = new Set<number>();
    for (const unit of new Set(keys.map((key) => key.unit))) {
      if (await this.#has(unit)) known.add(unit);
    }
    const sorted = keys
      .filter(({ unit }) => known.has(unit))
      .sort((left, right) => left.unit - right.unit || left.position - right.position);
    const groups: { unit: number; positions: number[] }[] = [];
    for (const { unit, position } of sorted) {
      const last = groups.at(-1);
      if (last?.unit === unit && position - last.positions.at(-1)! < NEAR_ROWS) {
        last.positions.push(position);
      } else groups.push({ unit, positions: [position] });
    }
    const found = new Map<string, Head>();
    const next = groups.values();
    const work = async (): Promise<void> => {
      for (const { unit, positions } of next) {
        for (const head of await this.#headsOf(unit, positions)) {
          found.set(`${unit}:${head.position}`, head);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return keys.map(({ unit, position }) => {
      return found.get(`${unit}:${position}`) ?? { unit, position, id: null, head: null };
    });
  }

  async #headsOf(unit: number, positions: readonly number[]): Promise<Head[]> {
    const wanted = new Set(positions);
    const rows: FinishedRow[] = [];
    try {
      const range = { text: true, from: positions[0]!, to: positions.at(-1)! + 1 };
      for await (const batch of this.#run.rows(unit, range)) {
        rows.push(...batch.filter(({ position }) => wanted.has(position)));
      }
    } catch (error) {
      if (!isGristmillError(error)) throw error;
    }
    const bare = rows.filter(({ text, original }) => text === null && original === undefined);
    const originals = new Map<FinishedRow, string | null>();
    if (bare.length > 0) {
      const texts = await this.#originals.of(bare).catch(() => null);
      for (const [at, row] of bare.entries()) originals.set(row, texts?.[at] ?? null);
    }
    return rows.map((row) => {
      const text = row.text ?? row.original ?? originals.get(row) ?? null;
      return {
        ...{ unit, position: row.position },
        id: row.id === null ? null : escapeHidden(row.id.slice(0, 200)),
        head: text === null ? null : headOf(text),
      };
    });
  }

  async #has(unit: number): Promise<boolean> {
    if (this.#run.has(unit)) return true;
    await this.refresh();
    return this.#run.has(unit);
  }
}

/** The first characters of a text on one line. */
function headOf(text: string): string {
  const start = text.slice(0, HEAD_CHARS * 8).trimStart();
  const line = start.replaceAll('\n', ' · ').slice(0, HEAD_CHARS);
  // A cut between the halves of a pair leaves neither.
  return escapeHidden(line.replace(/[\ud800-\udbff]$/, ''));
}
