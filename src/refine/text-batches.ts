/**
 * Texts of callers, checked and gathered into batches.
 *
 * A text is a string, or null or undefined for none. A string with half a surrogate pair has no UTF-8: its row is
 * `invalid_utf8`, as a row of a file is whose bytes are not UTF-8.
 */
import { refuseOption } from '../options.ts';
import type { RefineRowsOptions, RefinerText } from './refiner-types.ts';
import type { LeavableSource } from './source.ts';

/** UTF-16 units of one batch, so that a long array streams through the slabs. One long text may have more. */
export const BATCH_CHARS = 4 * 2 ** 20;

/** Longest wait for a batch of rows to fill: a slow source gets its rows back one by one. */
const FILL_MS = 50;

const encoder = new TextEncoder();

/** Texts as bytes, with the status that each has on arrival (0 fine, 1 null, 2 not UTF-8). */
export interface EncodedTexts {
  readonly values: (Uint8Array | null)[];
  readonly arrival: Uint8Array;
}

/** Encodes checked texts. */
export function encodeTexts(texts: readonly RefinerText[]): EncodedTexts {
  const arrival = new Uint8Array(texts.length);
  const values = Array.from(texts, (text, index) => {
    if (text === null || text === undefined) {
      arrival[index] = 1;
      return null;
    }
    if (!text.isWellFormed()) arrival[index] = 2;
    return encoder.encode(text);
  });
  return { values, arrival };
}

/** @throws OPTION_INVALID naming the first value that is no text */
export function checkTexts(option: string, texts: unknown): asserts texts is RefinerText[] {
  if (!Array.isArray(texts)) {
    refuseOption(option, 'an array of strings, null for a row without a text', texts);
  }
  for (const [index, text] of texts.entries()) checkText(`${option}[${index}]`, text);
}

function checkText(option: string, text: unknown): asserts text is RefinerText {
  if (typeof text !== 'string' && text !== null && text !== undefined) {
    refuseOption(option, 'a string, or null for a row without a text', text);
  }
}

/** Consecutive slices of bounded rows and characters, one long text alone at worst. */
export function* slicesOf(
  texts: readonly RefinerText[],
  maxRows: number,
): Generator<readonly RefinerText[]> {
  let start = 0;
  while (start < texts.length) {
    let end = start;
    let chars = 0;
    while (end < texts.length && end - start < maxRows) {
      chars += texts[end]?.length ?? 0;
      if (chars > BATCH_CHARS && end > start) break;
      end++;
    }
    yield texts.slice(start, end);
    start = end;
  }
}

/** Rows of one batch with their texts. */
export interface RowBatch<Row> {
  readonly rows: Row[];
  readonly texts: RefinerText[];
}

/** How the text of a row is found. @throws OPTION_INVALID for a row whose text is no text */
export function textOf<Row>(
  text: RefineRowsOptions<Row>['text'],
): (row: Row, index: number) => RefinerText {
  const read = (row: Row): unknown => {
    if (typeof text === 'function') return text(row);
    if (text === undefined && (typeof row === 'string' || row === null || row === undefined)) {
      return row;
    }
    return (row as Record<string, unknown> | null | undefined)?.[text ?? 'text'];
  };
  const named = typeof text === 'string' ? text : 'text';
  return (row, index) => {
    const value = read(row);
    const isObject = typeof row === 'object' && row !== null;
    if (typeof text !== 'function' && isObject && !(named in row)) {
      refuseOption('text', `a property of row ${index}, or a function of rows`, named);
    }
    checkText(`text of row ${index}`, value);
    return value;
  };
}

/** Gathers rows into batches; a failure of the source or of `text` comes behind the rows before it. */
export async function* gatherRows<Row>(
  source: LeavableSource<Row>,
  text: (row: Row, index: number) => RefinerText,
  maxRows: number,
): AsyncGenerator<RowBatch<Row>> {
  let pulling: Promise<IteratorResult<Row, undefined>> | null = null;
  let nRows = 0;
  for (let ended = false; !ended; ) {
    const batch: RowBatch<Row> = { rows: [], texts: [] };
    let failure: { readonly error: unknown } | null = null;
    let chars = 0;
    let full: NodeJS.Timeout | undefined;
    let filled: Promise<null> | null = null;
    try {
      while (batch.rows.length < maxRows && chars < BATCH_CHARS) {
        pulling ??= source.next();
        const pulled: IteratorResult<Row, undefined> | null =
          filled === null ? await pulling : await Promise.race([pulling, filled]);
        if (pulled === null) break;
        pulling = null;
        if (pulled.done) {
          ended = true;
          break;
        }
        const value = text(pulled.value, nRows++);
        batch.rows.push(pulled.value);
        batch.texts.push(value);
        chars += value?.length ?? 0;
        filled ??= new Promise((resolve) => {
          full = setTimeout(resolve, FILL_MS, null);
        });
      }
    } catch (error) {
      ended = true;
      failure = { error };
    } finally {
      clearTimeout(full);
    }
    if (batch.rows.length > 0) yield batch;
    if (failure) {
      source.leave();
      throw failure.error;
    }
  }
}
