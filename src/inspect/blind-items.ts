/** Drawing the items of a blind test; see blind.ts for what is drawn. */
import { itemRandom } from './blind.ts';
import type { LoadedDocument } from './document.ts';
import { escapeText } from './document.ts';
import type { IndexStore } from './index-store.ts';
import type { BlindEntry } from './judgement-types.ts';
import type { RunReader } from './run-reader.ts';

/** An item as it is known here; the page is told less. */
export interface BlindItem {
  readonly unit: number;
  readonly position: number;
  readonly line: number | null;
  readonly was: BlindEntry['was'];
  /** The line, or the beginning of the document. */
  readonly text: string;
  /** Lines around it, as they came. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly document: LoadedDocument;
}

/** Documents that are tried for one item: some have no text as it came, or no line of the kind. */
const TRIES = 30;
const CONTEXT_LINES = 2;
const MAX_CHARS = 2_000;
const DOCUMENT_LINES = 40;

/** The item of a seed; null where none is found. */
export async function drawItem(
  store: IndexStore,
  reader: RunReader,
  what: BlindEntry['what'],
  seed: number,
  item: number,
): Promise<BlindItem | null> {
  const random = itemRandom(seed, item);
  const was = random() < 0.5 ? 'kept' : 'removed';
  const statuses =
    what === 'lines' ? ['edited'] : was === 'kept' ? ['kept', 'edited'] : ['dropped'];
  const candidates = candidatesOf(store, statuses);
  if (candidates.total === 0) return null;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const place = candidates.at(Math.floor(random() * candidates.total));
    const draw = random();
    const document = await reader.document(place.unit, place.position).catch(() => null);
    if (!document || typeof document.original !== 'string') continue;
    if (what === 'documents') return wholeItem(place, was, document);
    const found = lineItem(place, was, document, draw);
    if (found) return found;
  }
  return null;
}

interface Place {
  readonly unit: number;
  readonly position: number;
}

function wholeItem(place: Place, was: BlindEntry['was'], document: LoadedDocument): BlindItem {
  const lines = document.original!.split('\n', DOCUMENT_LINES);
  const text = cut(lines.join('\n'), 2 * MAX_CHARS);
  return { ...place, line: null, was, text, before: [], after: [], document };
}

function lineItem(
  place: Place,
  was: BlindEntry['was'],
  document: LoadedDocument,
  draw: number,
): BlindItem | null {
  const original = document.original!.split('\n');
  const wanted = was === 'kept' ? 'kept' : 'removed';
  const own = document.lines.filter(({ line, state }) => {
    return line !== null && state === wanted && original[line]!.trim() !== '';
  });
  const chosen = own[Math.floor(draw * own.length)];
  if (!chosen) return null;
  const line = chosen.line!;
  const around = (from: number, to: number): string[] =>
    original.slice(Math.max(0, from), Math.max(0, to)).map((text) => cut(text, 300));
  return {
    ...place,
    ...{ line, was, document },
    text: cut(original[line]!, MAX_CHARS),
    before: around(line - CONTEXT_LINES, line),
    after: around(line + 1, line + 1 + CONTEXT_LINES),
  };
}

function cut(text: string, maxChars: number): string {
  const part = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return part.split('\n').map(escapeText).join('\n');
}

/** Rows of some statuses, as if they stood in a list. */
function candidatesOf(store: IndexStore, statuses: readonly string[]) {
  const { outcomes } = store.names;
  const wanted = Uint8Array.from(outcomes, ({ status, part }) =>
    statuses.includes(status) && part !== 'rejected' ? 1 : 0,
  );
  const blocks = store.blocks;
  const counts = blocks.map(({ outcome }) => {
    let count = 0;
    for (const number of outcome) count += wanted[number] ?? 0;
    return count;
  });
  return {
    total: counts.reduce((sum, count) => sum + count, 0),
    at(place: number): Place {
      let left = place;
      for (const [at, block] of blocks.entries()) {
        if (left >= counts[at]!) {
          left -= counts[at]!;
          continue;
        }
        for (let row = 0; row < block.nRows; row++) {
          if (wanted[block.outcome[row]!] !== 1) continue;
          if (left === 0) return { unit: block.unit, position: row };
          left--;
        }
      }
      throw new RangeError(`${place} of ${this.total}`);
    },
  };
}
