/**
 * Lines and rows before the middle of a plain file, for units that begin there.
 *
 * What was read or counted once is remembered by file and fingerprint, so that units in order cost nothing and any
 * order costs at most one more pass over the file in a process.
 */
import { type LineCounts, type LineSource, readLines } from './byte-lines.ts';

/** Files that are remembered; the one that was used longest ago goes. */
const MAX_FILES = 256;
/** Lines are only counted here: of long ones no more than this is held. */
const COUNTED_LINE_BYTES = 1 << 16;

const known = new Map<string, Map<number, LineCounts>>();

function countsOf({ path }: LineSource, fingerprint: string): Map<number, LineCounts> {
  const key = `${fingerprint}\0${path}`;
  const counts = known.get(key) ?? new Map([[0, { lines: 0, rows: 0 }]]);
  known.delete(key);
  known.set(key, counts);
  if (known.size > MAX_FILES) known.delete(known.keys().next().value!);
  return counts;
}

/** Lines and rows that begin before the source's `byteStart`. @throws CORPUS_READ_FAILED, ABORTED */
export async function countsBefore(source: LineSource, fingerprint: string): Promise<LineCounts> {
  const byteEnd = source.byteStart ?? 0;
  const counts = countsOf(source, fingerprint);
  let byteStart = 0;
  for (const offset of counts.keys())
    if (offset <= byteEnd && offset > byteStart) byteStart = offset;
  const before = { ...counts.get(byteStart)! };
  if (byteStart < byteEnd) {
    const stretch = { ...source, byteStart, byteEnd, maxLineBytes: COUNTED_LINE_BYTES };
    for await (const _ of readLines(stretch, before));
    counts.set(byteEnd, { ...before });
  }
  return before;
}

/** Remembers what a unit that was read to its end has found. */
export function rememberCounts(
  source: LineSource,
  fingerprint: string,
  before: LineCounts,
  unit: LineCounts,
): void {
  if (source.byteEnd === null) return;
  const { lines, rows } = { lines: before.lines + unit.lines, rows: before.rows + unit.rows };
  countsOf(source, fingerprint).set(source.byteEnd, { lines, rows });
}
