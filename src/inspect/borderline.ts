/** Documents whose score is nearest to the threshold: those that a label says most about. */

import { MAX_STEP, NONE_16, stepOf } from './index-block.ts';
import type { IndexStore } from './index-store.ts';
import type { RunReader } from './run-reader.ts';

/** A document with its text as it came (as it was written where that is all there is). */
export interface BorderlineDocument {
  readonly key: string;
  readonly id: string;
  readonly text: string;
  readonly status: string;
  readonly score: number | null;
}

/** Bytes of texts that are given out at once. */
const MAX_CHARS = 64 * 2 ** 20;

/** The nearest ones, nearest first; those without a text are passed over. */
export async function borderline(
  store: IndexStore,
  reader: RunReader,
  threshold: number,
  n: number,
): Promise<BorderlineDocument[]> {
  const middle = stepOf(threshold);
  const counts = new Float64Array(MAX_STEP + 1);
  for (const { score } of store.blocks) {
    for (const step of score) if (step !== NONE_16) counts[Math.abs(step - middle)]!++;
  }
  let reach = 0;
  // Twice as many, as some have no text.
  for (let found = 0; reach < MAX_STEP; reach++) {
    found += counts[reach]!;
    if (found >= 2 * n) break;
  }
  const near: { unit: number; position: number; distance: number }[] = [];
  for (const { unit, score } of store.blocks) {
    for (let position = 0; position < score.length && near.length < 8 * n; position++) {
      const step = score[position]!;
      const distance = Math.abs(step - middle);
      if (step !== NONE_16 && distance <= reach) near.push({ unit, position, distance });
    }
  }
  near.sort((left, right) => left.distance - right.distance);
  const documents: BorderlineDocument[] = [];
  let chars = 0;
  for (const { unit, position } of near) {
    if (documents.length >= n || chars > MAX_CHARS) break;
    const document = await reader.document(unit, position).catch(() => null);
    const text = document?.original ?? document?.row.text;
    if (!document || typeof text !== 'string' || !text.isWellFormed()) continue;
    const { id, status, score } = document.row;
    const key = `${unit}:${position}`;
    documents.push({ key, id: id ?? key, text, status, score });
    chars += text.length;
  }
  return documents;
}
