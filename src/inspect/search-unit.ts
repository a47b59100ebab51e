/**
 * Words in the texts of a unit: all of them, in any order, without regard to case. No pattern is made of them.
 *
 * Of Parquet parts the columns of ids and texts are gone through one after the other, with the words that each row has had so far
 * as bits: a string is made of every text and nothing else, which is a fifth of what rows cost. Parts of JSON lines, rows that
 * were refused, and ids that are no texts go row by row.
 */
import type { NarrowColumns } from '../corpus/narrow-columns.ts';
import type { FinishedRun } from '../refine/finished-run.ts';
import type { UnitFile } from '../refine/unit-record.ts';
import { isParquet, openPart, positionsOf } from './index-unit.ts';

/** Words that are looked for at once: a bit each. */
export const MAX_WORDS = 20;

/** Words of what a person has typed; what stands in double quotes is one. */
export function wordsOf(typed: string): string[] {
  const words: string[] = [];
  for (const [at, part] of typed.slice(0, 1_000).toLowerCase().split('"').entries()) {
    if (at % 2 === 1) words.push(part);
    else words.push(...part.split(/\s+/));
  }
  return words.filter((word) => word.trim() !== '').slice(0, MAX_WORDS);
}

/**
 * Positions of the rows that hold all words: in the text that was written, in the text as it came where the run has kept it,
 * in the id. Ascending.
 */
export async function searchUnit(
  run: FinishedRun,
  unit: number,
  words: readonly string[],
): Promise<Int32Array> {
  const [staying, dropped, rejected] = (['staying', 'dropped', 'rejected'] as const).map((role) => {
    const file = run.part(unit, role);
    return file && file.rows > 0 ? file : null;
  });
  const files = [staying, dropped].filter((file) => file !== null && file !== undefined);
  if (rejected || !files.every(({ path }) => isParquet(path))) return byRows(run, unit, words);
  const { text, original, id } = run.columns;
  const hasDroppedText = run.identity.options['droppedText'] === true;
  const prefix = (run.identity.options['statusPrefix'] as string | undefined) ?? '';
  const positions = await positionsOf(run, unit);
  const found: number[] = [];
  const search = async (
    file: UnitFile,
    columns: SearchedColumns,
    places: Int32Array,
  ): Promise<boolean> => {
    const rows = await searchPart(run, file, columns, words);
    for (const row of rows ?? []) found.push(places[row]!);
    return rows !== null;
  };
  const isDone =
    (!staying || (await search(staying, { id, texts: [original, text] }, positions.staying))) &&
    (!dropped ||
      (await search(
        dropped,
        { id: `${prefix}id`, texts: hasDroppedText ? [text] : [] },
        positions.dropped,
      )));
  return isDone ? Int32Array.from(found).sort() : byRows(run, unit, words);
}

interface SearchedColumns {
  readonly id: string | null;
  /** The first that a row has a value of counts. */
  readonly texts: readonly (string | null)[];
}

/** Rows of a part that hold all words; null where its ids are no texts. */
async function searchPart(
  run: FinishedRun,
  file: UnitFile,
  { id, texts }: SearchedColumns,
  words: readonly string[],
): Promise<number[] | null> {
  const columns = texts.filter((name) => name !== null);
  await using part = await openPart(run, file, id === null ? columns : [id, ...columns]);
  if (id !== null && !part.hasText(id)) return null;
  const held = new Uint32Array(part.nRows);
  if (id !== null) await eachText(part, id, (row, value) => (held[row]! |= bitsIn(value, words)));
  const isRead = new Uint8Array(part.nRows);
  for (const name of columns) {
    await eachText(
      part,
      name,
      (row, value) => {
        isRead[row] = 1;
        held[row]! |= bitsIn(value, words);
      },
      isRead,
    );
    if (!isRead.includes(0)) break;
  }
  const all = 2 ** words.length - 1;
  return [...held.keys()].filter((row) => held[row] === all);
}

async function eachText(
  part: NarrowColumns,
  name: string,
  take: (row: number, value: string) => void,
  isRead: Uint8Array | null = null,
): Promise<void> {
  for await (const { firstRow, nRows, offsets, data, isNull } of part.texts(name)) {
    for (let row = 0; row < nRows; row++) {
      if (isRead?.[firstRow + row] === 1 || isNull(row)) continue;
      take(firstRow + row, data.toString('utf8', offsets[row], offsets[row + 1]));
    }
  }
}

function bitsIn(text: string, words: readonly string[]): number {
  const lowered = text.toLowerCase();
  let bits = 0;
  for (let at = 0; at < words.length; at++) if (lowered.includes(words[at]!)) bits |= 1 << at;
  return bits;
}

async function byRows(
  run: FinishedRun,
  unit: number,
  words: readonly string[],
): Promise<Int32Array> {
  const all = 2 ** words.length - 1;
  const found: number[] = [];
  for await (const rows of run.rows(unit, { text: true })) {
    for (const { position, id, text, original } of rows) {
      const bits = bitsIn(id ?? '', words) | bitsIn(original ?? text ?? '', words);
      if (bits === all) found.push(position);
    }
  }
  return Int32Array.from(found);
}
