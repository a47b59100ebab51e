/**
 * One document for the page: what it is, what became of it, and its lines before and after, escaped and cut to what a browser
 * can show. Texts come from the run by unit and position (finished-run.ts), those that the run has changed from the inputs.
 */

import { isGristmillError } from '../errors.ts';
import { escapeHidden } from '../printable.ts';
import type { ExecuteOptions } from '../program/options.ts';
import type { FinishedRow, FinishedRun } from '../refine/finished-run.ts';
import type { OriginalTexts } from '../refine/original-texts.ts';
import { ALL_REASONS } from '../refine/reasons.ts';
import { type DocumentLine, editedLines, type LineState, uniformLines } from './document-lines.ts';
import type { DocumentSite, ShownSite } from './document-site.ts';

/** Lines that are sent at once. */
export const MAX_LINES = 1_000;
/** Characters of a line that are sent. */
const MAX_LINE_CHARS = 4_000;
const MAX_PROGRAM_CHARS = 20_000;
const MAX_VALUE_CHARS = 1_000;

/** A line as the page gets it. */
export interface ShownLine {
  readonly line: number | null;
  readonly state: LineState;
  readonly parts: readonly (readonly [kind: 'same' | 'gone' | 'new', text: string])[];
  /** Characters that are not sent. */
  readonly cut: number;
  /** Of "keep", where scores of lines are kept. */
  readonly score: number | null;
  /** Pages of the document's site that hold it; null where that is one, or the run has counted none. */
  readonly sitePages: number | null;
}

/** A document as the page gets it. */
export interface ShownDocument {
  readonly unit: number;
  readonly position: number;
  readonly row: number | null;
  readonly file: string;
  readonly id: string | null;
  readonly status: string;
  readonly reason: string;
  /** What the reason means. */
  readonly reasonText: string;
  readonly score: number | null;
  readonly program: string | null;
  readonly lines: readonly ShownLine[];
  /** First of them, and how many there are. */
  readonly from: number;
  readonly nLines: number;
  readonly counts: Readonly<Record<LineState, number>>;
  /** Why the text as it came cannot be shown; null where it is. */
  readonly missing: string | null;
  readonly values: readonly (readonly [name: string, value: string])[];
  /** Null where the run knows of no site. */
  readonly site: ShownSite | null;
}

/** A document in memory. */
export interface LoadedDocument {
  readonly row: FinishedRow;
  /** As it came; undefined where it cannot be told. */
  readonly original: string | null | undefined;
  readonly missing: string | null;
  readonly lines: readonly DocumentLine[];
}

/** Columns that are shown beside the text, where the corpus has them. */
export const SHOWN_COLUMNS = ['url', 'title', 'domain', 'language', 'kind', 'source', 'date'];

/** Reads a document. Null where the unit has no such row. @throws CORPUS_*, OPTION_INVALID for a unit that is not there */
export async function loadDocument(
  run: FinishedRun,
  originals: OriginalTexts,
  unit: number,
  position: number,
): Promise<LoadedDocument | null> {
  const { sites } = run.identity;
  const columns = [...new Set([...SHOWN_COLUMNS, ...(sites ? [sites.column] : [])])];
  const wanted = { text: true, from: position, to: position + 1, columns };
  let row: FinishedRow | undefined;
  for await (const rows of run.rows(unit, wanted)) row ??= rows[0];
  if (!row) return null;
  let original = row.original;
  let missing: string | null = null;
  if (original === undefined) {
    try {
      [original = null] = await originals.of([row]);
    } catch (error) {
      if (!isGristmillError(error)) throw error;
      missing = error.message;
    }
  }
  return { row, original, missing, lines: linesOf(run, row, original) };
}

function linesOf(
  run: FinishedRun,
  row: FinishedRow,
  original: string | null | undefined,
): DocumentLine[] {
  const { status, text, program } = row;
  if (status === 'dropped') return original ? uniformLines(original, 'removed') : [];
  if (typeof original === 'string' && text !== null && status === 'edited') {
    return editedLines(original, text, program, executionOf(run));
  }
  const shown = text ?? original;
  return typeof shown === 'string' ? uniformLines(shown, 'kept') : [];
}

function executionOf({ identity }: FinishedRun): ExecuteOptions {
  const { execute, dialect, executor } = identity.options as {
    execute?: ExecuteOptions;
    dialect?: NonNullable<ExecuteOptions['dialect']>;
    executor?: NonNullable<ExecuteOptions['executor']>;
  };
  return { ...execute, ...(dialect && { dialect }), ...(executor && { executor }) };
}

/** A part of a document as the page shows it. */
export function shownDocument(
  { row, missing, lines }: LoadedDocument,
  from: number,
  scores: ((line: number) => number | null) | null,
  site: DocumentSite | null = null,
): ShownDocument {
  const counts: Record<LineState, number> = { kept: 0, removed: 0, changed: 0, added: 0 };
  for (const { state } of lines) counts[state]++;
  const { unit, position, program } = row;
  const reason = row.reason ?? '';
  return {
    ...{
      unit,
      position,
      row: row.row,
      status: row.status,
      score: row.score,
      from,
      counts,
      missing,
    },
    file: shown(row.file, MAX_VALUE_CHARS),
    id: row.id === null ? null : shown(row.id, MAX_VALUE_CHARS),
    reason: shown(reason, MAX_VALUE_CHARS),
    reasonText: Object.hasOwn(ALL_REASONS, reason) ? ALL_REASONS[reason]! : '',
    program: program === null ? null : shownLines(program),
    lines: lines.slice(from, from + MAX_LINES).map((line) => shownLine(line, scores, site)),
    nLines: lines.length,
    values: Object.entries(row.values)
      .filter(([, value]) => typeof value === 'string' && value !== '')
      .map(([name, value]) => [shown(name, 100), shown(value as string, MAX_VALUE_CHARS)]),
    site: site?.shown ?? null,
  };
}

function shownLine(
  { line, state, parts }: DocumentLine,
  scores: ((line: number) => number | null) | null,
  site: DocumentSite | null,
): ShownLine {
  let left = MAX_LINE_CHARS;
  let cut = 0;
  const sent: (readonly ['same' | 'gone' | 'new', string])[] = [];
  for (const [kind, text] of parts) {
    const taken = text.slice(0, left);
    left -= taken.length;
    cut += text.length - taken.length;
    if (taken !== '') sent.push([kind, escapeText(taken)]);
  }
  const score = line === null ? null : (scores?.(line) ?? null);
  const sitePages = line === null ? null : (site?.pagesOf(line) ?? null);
  return { line, state, parts: sent, cut, score, sitePages };
}

/** What is hidden is written out; tabs are seen. */
export function escapeText(text: string): string {
  return text.split('\t').map(escapeHidden).join('\t');
}

function shown(text: string, maxChars: number): string {
  return escapeHidden(text.length > maxChars ? `${text.slice(0, maxChars)}…` : text);
}

function shownLines(program: string): string {
  const cut = program.length > MAX_PROGRAM_CHARS;
  const text = cut ? `${program.slice(0, MAX_PROGRAM_CHARS)}\n…` : program;
  return text.split('\n').map(escapeText).join('\n');
}
