/**
 * Labelled pages: JSON lines, plain or compressed, read as a stream and checked row by row.
 *
 * Two shapes. Line gold is `{id, text, line_labels, line_mask, gold_text}` or, where people judged only some
 * lines, `{id, text, partial_labels}` ("1" keep, "0" remove, "?" not judged); lines are split at LF. Where only
 * the clean text is known, `{id, text, gold_text}`, the labels are read off it (align-gold.ts).
 * Document gold is `{id, text, label}` with 1 for keep. Other columns are ignored, `domain`, `language`,
 * `source_dataset`, `page_type` and (of documents) `kind` are optional strings.
 *
 * Pages of one domain look alike, so folds never cut a domain: {@link foldOf} hashes the domain, or the id of a
 * page without one.
 */
import { createHash } from 'node:crypto';
import { readLines } from '../corpus/byte-lines.ts';
import { GristmillError } from '../errors.ts';
import { type RowPlace, refuseRow, textOf } from '../train/row-fault.ts';
import { labelsFromGold } from './align-gold.ts';
import { KEEP, REMOVE, UNSCORED } from './gold-labels.ts';
import { jsonItems } from './json-rows.ts';

export { KEEP, REMOVE, UNSCORED };

/** A page with a label for each line. */
export interface GoldPage {
  readonly id: string;
  /** Registered domain; empty when unknown. */
  readonly domain: string;
  /** ISO 639-1 code; empty when unknown. */
  readonly language: string;
  /** Name of the source data set; empty when unknown. */
  readonly source: string;
  /** Article, forum, product, … as the data calls it; empty when unknown. */
  readonly pageType?: string;
  readonly text: string;
  /** `text` split at LF. */
  readonly lines: readonly string[];
  /** `REMOVE`, `KEEP` or `UNSCORED` for each line. */
  readonly labels: Uint8Array;
  /** What people wrote down as the page's main content; null when only single lines were judged. */
  readonly goldText: string | null;
}

/** A whole document, judged. */
export interface GoldDocument {
  readonly id: string;
  readonly domain: string;
  /** ISO 639-1 code, source data set and kind (README, recipe, …); empty when unknown. */
  readonly language?: string;
  readonly source?: string;
  readonly kind?: string;
  readonly text: string;
  /** `KEEP` or `REMOVE`. */
  readonly label: 0 | 1;
}

/** Longest accepted row of a gold file. */
const MAX_ROW_BYTES = 64 * 2 ** 20;
/** Bytes that are no UTF-8 are no text that anything may learn. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });

type Row = Readonly<Record<string, unknown>>;

/**
 * Pages of one gold file, in order.
 *
 * @param file path of a .jsonl, .jsonl.gz or .jsonl.zst file
 * @throws TRAIN_GOLD_INVALID naming file and line; CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function* readGoldPages(file: string, signal?: AbortSignal): AsyncGenerator<GoldPage> {
  for await (const { row, line } of readRows(file, signal)) yield goldPageOf(row, { file, line });
}

/**
 * Judged documents of one gold file, in order.
 *
 * @throws as {@link readGoldPages}
 */
export async function* readGoldDocuments(
  file: string,
  signal?: AbortSignal,
): AsyncGenerator<GoldDocument> {
  for await (const { row, line } of readRows(file, signal)) {
    const place = { file, line };
    const { label } = row;
    if (label !== 0 && label !== 1) refuseRow(place, 'label', '0 or 1', label);
    yield {
      id: requiredString(row, 'id', place),
      domain: optionalString(row, 'domain', place),
      language: optionalString(row, 'language', place),
      source: optionalString(row, 'source_dataset', place),
      kind: optionalString(row, 'kind', place) || optionalString(row, 'page_type', place),
      text: requiredString(row, 'text', place),
      label: label as 0 | 1,
    };
  }
}

/** What pages are grouped by: the domain, or the id where no domain is known. */
export function groupOf({ id, domain }: { readonly id: string; readonly domain: string }): string {
  return domain === '' ? `id:${id}` : `domain:${domain.toLowerCase()}`;
}

/**
 * The fold of a page: sha256 of its group, first 48 bits, modulo `nFolds`. It depends on nothing else, so adding
 * pages moves none of the others.
 */
export function foldOf(
  page: { readonly id: string; readonly domain: string },
  nFolds: number,
): number {
  const digest = createHash('sha256')
    .update(`fold ${groupOf(page)}`)
    .digest();
  return digest.readUIntBE(0, 6) % nFolds;
}

/** What may be left out whole, so that an evaluation meets what training never saw. */
export const LEAVE_OUT = ['source', 'page-type', 'language'] as const;
export type LeaveOut = (typeof LEAVE_OUT)[number];

/** What a page or a document is of; `unknown` where the data does not say. */
export function leaveOutKey(page: GoldPage | GoldDocument, by: LeaveOut): string {
  const type = 'lines' in page ? page.pageType : page.kind;
  const value = { source: page.source, 'page-type': type, language: page.language }[by];
  return value || 'unknown';
}

/**
 * Sources in `nGroups` groups of about the same number of lines, for training that must not see a page's source.
 *
 * @returns the group of each page
 */
export function sourceGroups(pages: readonly GoldPage[], nGroups: number): Int32Array {
  const lines = new Map<string, number>();
  for (const { source, labels } of pages) {
    lines.set(source, (lines.get(source) ?? 0) + labels.length);
  }
  const sorted = [...lines].sort(
    ([left, many], [right, few]) => few - many || (left < right ? -1 : 1),
  );
  const sizes = new Float64Array(nGroups);
  const groupOfSource = new Map<string, number>();
  for (const [source, count] of sorted) {
    const smallest = sizes.indexOf(Math.min(...sizes));
    sizes[smallest]! += count;
    groupOfSource.set(source, smallest);
  }
  return Int32Array.from(pages, ({ source }) => groupOfSource.get(source)!);
}

/**
 * Rows of a file of JSON objects, one a line or in one array, with the number of their line.
 *
 * @throws as {@link readGoldPages}
 */
export async function* readRows(
  file: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ row: Row; line: number }> {
  const format = file.endsWith('.gz')
    ? 'jsonl.gz'
    : file.endsWith('.zst')
      ? 'jsonl.zst'
      : ('jsonl' as const);
  const source = {
    path: file,
    format,
    byteStart: null,
    byteEnd: null,
    maxLineBytes: MAX_ROW_BYTES,
    signal,
  } as const;
  for await (const { bytes, line, fault } of jsonItems(readLines(source), MAX_ROW_BYTES)) {
    const invalid = (reason: string, cause?: unknown) =>
      new GristmillError('TRAIN_GOLD_INVALID', { file, line, reason }, { cause });
    if (fault !== undefined) throw invalid(`no JSON: ${fault}`);
    let row: unknown;
    try {
      row = JSON.parse(UTF8.decode(bytes));
    } catch (cause) {
      throw invalid(`no JSON: ${(cause as Error).message}`, cause);
    }
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      refuseRow({ file, line }, 'the row', 'a JSON object', row);
    }
    yield { row: row as Row, line };
  }
}

/** A page from a row, checked. @throws TRAIN_GOLD_INVALID */
export function goldPageOf(row: Row, place: RowPlace): GoldPage {
  const text = requiredString(row, 'text', place);
  const lines = text.split('\n');
  const goldText = row['gold_text'] === undefined ? null : requiredString(row, 'gold_text', place);
  const isLabelled = row['line_labels'] !== undefined || row['partial_labels'] !== undefined;
  return {
    id: requiredString(row, 'id', place),
    domain: optionalString(row, 'domain', place),
    language: optionalString(row, 'language', place),
    source: optionalString(row, 'source_dataset', place),
    pageType: optionalString(row, 'page_type', place),
    text,
    lines,
    labels:
      goldText === null || isLabelled
        ? givenLabels(row, lines, place)
        : labelsFromGold(lines, goldText),
    goldText,
  };
}

function givenLabels(row: Row, lines: readonly string[], place: RowPlace): Uint8Array {
  const partial = row['partial_labels'] !== undefined;
  const labelColumn = partial ? 'partial_labels' : 'line_labels';
  const given = flags(row, labelColumn, { alphabet: partial ? '01?' : '01', lines, place });
  // Without a mask every line counts.
  const hasMask = !partial && row['line_mask'] !== undefined;
  const mask = hasMask ? flags(row, 'line_mask', { alphabet: '01', lines, place }) : null;
  const labels = new Uint8Array(lines.length);
  for (let line = 0; line < lines.length; line++) {
    const scored = given[line] !== '?' && mask?.[line] !== '0';
    labels[line] = !scored ? UNSCORED : given[line] === '1' ? KEEP : REMOVE;
  }
  return labels;
}

/** A column that holds one character for each line. */
function flags(
  row: Row,
  column: string,
  {
    alphabet,
    lines,
    place,
  }: { readonly alphabet: string; readonly lines: readonly string[]; readonly place: RowPlace },
): string {
  const value = requiredString(row, column, place);
  if (value.length !== lines.length) {
    refuseRow(place, column, `${lines.length} characters, one a line`, value.length);
  }
  for (const flag of value) {
    if (!alphabet.includes(flag)) refuseRow(place, column, `characters of ${alphabet}`, flag);
  }
  return value;
}

export function requiredString(row: Row, column: string, place: RowPlace): string {
  return textOf(row[column], column, place);
}

function optionalString(row: Row, column: string, place: RowPlace): string {
  const value = row[column];
  return value === undefined || value === null ? '' : requiredString(row, column, place);
}
