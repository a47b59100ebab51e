/**
 * A document as one bag of rows of an embedding table: what a neural document scorer reads.
 *
 *     rows   | bins of feature 0 | bins of feature 1 | … | 2 ** hashBits hashed words |
 *
 * The same table as that of lines (line-encoder.ts), with features of the whole document and its distinct words.
 */
import { binRows } from './bins.ts';
import type { EncodedRows, LineEncoder } from './line-encoder.ts';
import { measureDocument } from './measure.ts';

/** Encodes a document as one row. */
export function encodeDocument(text: string, { bins, hashBits }: LineEncoder): EncodedRows {
  const { features, words } = measureDocument(text, hashBits);
  return { binned: binRows(features, bins), words };
}
