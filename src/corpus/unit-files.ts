/**
 * Units of many files: plain text that is a document a file. A file is a row then, and a folder of 10^5 small ones would be 10^5
 * units with a record and an output file each, so that files that follow each other in the plan are one unit up to its bounds.
 *
 * Invariants
 *  1. Which files a unit has follows from the listing, their sizes and the bounds alone.
 *  2. All of them have the same columns and the same values of folder names.
 *  3. Each is one row, whatever it holds: the number of a row in its unit is that of its file.
 */
import { type ByteLine, type LineSource, readLines } from './byte-lines.ts';
import type { CorpusPlan, CorpusUnit, SourceFile } from './types.ts';
import { checkUnchanged } from './unchanged.ts';

/** Files that are read side by side: most of the time of a small one is that of opening it. */
const READS_AT_ONCE = 8;
/** Larger ones are not read ahead of their turn. */
const AHEAD_BYTES = 2 ** 20;

/** Whether a file is one row, so that a unit may have many. */
export function isRowFile({ format }: Pick<SourceFile, 'format'>): boolean {
  return /^txt\b/.test(format);
}

/** How many rows or bytes a unit has, about. */
interface Bounds {
  readonly unitRows: number;
  readonly unitBytes: number;
}

type Growing = { -readonly [Key in keyof CorpusUnit]: CorpusUnit[Key] };

/** Takes a file that is one row into the unit before it, where it fits. @returns whether it did */
export function joinsUnit(
  last: Growing | undefined,
  file: UnitFile,
  previous: UnitFile | undefined,
  { unitRows, unitBytes }: Bounds,
): boolean {
  if (!last || !previous || !isRowFile(file) || !isRowFile(previous)) return false;
  const nFiles = last.nFiles ?? 1;
  const fits = nFiles < unitRows && last.bytes + file.bytes <= unitBytes;
  if (!fits || file.schema !== previous.schema || file.folders !== previous.folders) return false;
  last.nFiles = nFiles + 1;
  last.nRows = nFiles + 1;
  last.bytes += file.bytes;
  return true;
}

/** What decides whether files go together. */
export interface UnitFile extends Pick<SourceFile, 'format' | 'bytes' | 'schema'> {
  /** What the names of its folders say, as one text. */
  readonly folders: string;
}

/** The files of a unit. */
export function filesOfUnit(
  { files }: Pick<CorpusPlan, 'files'>,
  { fileIndex, nFiles = 1 }: Pick<CorpusUnit, 'fileIndex' | 'nFiles'>,
): readonly SourceFile[] {
  return files.slice(fileIndex, fileIndex + nFiles);
}

/** Where a row of a unit lies: its file, and its number there. */
export interface RowPlace {
  readonly file: string;
  readonly row: bigint;
}

/** Places of the rows of a unit, by their numbers as batches have them. */
export function placesOf(
  { files }: Pick<CorpusPlan, 'files'>,
  { fileIndex, nFiles }: Pick<CorpusUnit, 'fileIndex' | 'nFiles'>,
): (row: bigint) => RowPlace {
  if (nFiles === undefined) {
    const file = files[fileIndex]!.path;
    return (row) => ({ file, row });
  }
  return (row) => ({ file: files[fileIndex + Number(row)]!.path, row: 0n });
}

/** What a unit is called: its file, and what it is of it; of many files the first, and their places among the inputs. */
export function inputName({ files }: Pick<CorpusPlan, 'files'>, unit: CorpusUnit): string {
  const path = files[unit.fileIndex]?.path ?? '?';
  const { rowGroupStart, rowGroupEnd, byteStart, byteEnd, fileIndex, nFiles } = unit;
  if (rowGroupStart !== null) return `${path}[row groups ${rowGroupStart}..${rowGroupEnd! - 1}]`;
  if (byteStart !== null) return `${path}[bytes ${byteStart}..${byteEnd}]`;
  if (nFiles !== undefined) return `${path}[files ${fileIndex}..${fileIndex + nFiles - 1}]`;
  return path;
}

/** Which stretch of which file a unit is, from the name that its record has; of many files which of the run's inputs. */
export function inputRange(input: string): {
  readonly path: string;
  readonly kind: 'row groups' | 'bytes' | 'files' | 'whole';
  readonly start: number;
  /** Behind the last. */
  readonly end: number;
} {
  const found = /^(.*)\[(row groups|bytes|files) (\d+)\.\.(-?\d+)\]$/s.exec(input);
  if (!found) return { path: input, kind: 'whole', start: 0, end: Number.POSITIVE_INFINITY };
  const kind = found[2] as 'row groups' | 'bytes' | 'files';
  const end = Number(found[4]) + (kind === 'bytes' ? 0 : 1);
  return { path: found[1]!, kind, start: Number(found[3]), end };
}

/**
 * Lines of the files of a unit, one file after the other, each read whole.
 *
 * @param sourceOf how one is read
 * @throws CORPUS_CHANGED for one that is not what was planned; CORPUS_READ_FAILED, CORPUS_FILE_INVALID, ABORTED
 */
export async function* eachFile(
  files: readonly SourceFile[],
  sourceOf: (file: SourceFile) => LineSource,
): AsyncGenerator<ByteLine[]> {
  const ahead: Promise<ByteLine[]>[] = [];
  let next = 0;
  try {
    for (const file of files) {
      while (next < files.length && ahead.length < READS_AT_ONCE) {
        const wanted = files[next]!;
        if (wanted !== file && wanted.bytes > AHEAD_BYTES) break;
        next++;
        const reading = linesOfFile(wanted, sourceOf(wanted));
        // Whoever waits for it is told.
        reading.catch(() => undefined);
        ahead.push(reading);
      }
      yield await ahead.shift()!;
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

async function linesOfFile(file: SourceFile, source: LineSource): Promise<ByteLine[]> {
  const lines: ByteLine[] = [];
  try {
    for await (const group of readLines(source)) lines.push(...group);
  } catch (error) {
    // What a file that changes looks like to its reader is damage of any kind.
    if (source.signal?.aborted !== true) await checkUnchanged(file);
    throw error;
  }
  // One look is enough: nothing of the file has gone on before it.
  await checkUnchanged(file);
  return lines;
}
