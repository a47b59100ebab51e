/**
 * Documents to annotate: rows of a corpus with what is known of them, or pages with gold labels.
 */
import { bytesAt, isNullAt } from '../batch/document-batch.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { planCorpus } from '../corpus/plan.ts';
import { readRowBatches } from '../corpus/rows.ts';
import { type CorpusPlan, ROW_OK } from '../corpus/types.ts';
import { throwIfAborted } from '../errors.ts';
import { type SourceDocument, sourceDocument } from './chunks/windows.ts';

/** Options of {@link planDocuments}. */
export interface PlanDocumentsOptions {
  /** Files, folders and globs of a corpus. */
  readonly inputs: readonly string[];
  /** Default `text`. */
  readonly textColumn?: string;
  /** Default: the corpus's own choice, else the row's number. */
  readonly idColumn?: string;
  /** Rows of a unit of the plan, about. */
  readonly unitRows?: number;
  /** Told what lies in the inputs and is not read. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A row: a document, or none where the text is null or no UTF-8. */
export type DocumentRow = SourceDocument | null;

/**
 * What {@link documentsOf} reads: `domain` (or the host of `url`) and `language` where the corpus has such columns of strings.
 *
 * @throws CORPUS_*, ABORTED
 */
export async function planDocuments({
  inputs,
  textColumn,
  idColumn,
  unitRows,
  onNotice,
  signal,
}: PlanDocumentsOptions): Promise<CorpusPlan> {
  const whole = await planCorpus({
    inputs,
    failFast: true,
    onNotice,
    ...(textColumn !== undefined && { textColumn }),
    ...(idColumn !== undefined && { idColumn }),
    ...(unitRows !== undefined && { unitRows }),
    ...(signal && { signal }),
  });
  const known = new Set(['domain', 'url', 'language', whole.textColumn, whole.idColumn]);
  return onlyColumns(whole, known);
}

/** Rows of a plan of {@link planDocuments}, or of some of its units, in its order. @throws CORPUS_*, ABORTED */
export async function* documentsOf(
  plan: CorpusPlan,
  signal: AbortSignal | undefined,
): AsyncGenerator<DocumentRow> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let row = 0;
  for await (const { batch, rowStatus, columns } of readRowBatches(plan, signal)) {
    const values = await columns();
    const stringAt = (name: string, batchRow: number): string => {
      const value = values.get(name)?.[batchRow];
      return typeof value === 'string' ? value : '';
    };
    for (const [batchRow, status] of rowStatus.entries()) {
      throwIfAborted(signal, 'reading documents');
      const { id } = batch;
      const own = id && !isNullAt(id, batchRow) ? decoder.decode(bytesAt(id, batchRow)) : '';
      yield status === ROW_OK
        ? sourceDocument({
            id: own === '' ? `row:${row}` : own,
            domain: stringAt('domain', batchRow) || hostOf(stringAt('url', batchRow)),
            language: stringAt('language', batchRow),
            source: '',
            text: decoder.decode(bytesAt(batch.text, batchRow)),
          })
        : null;
      row++;
    }
  }
}

/** The host of a URL without `www.`; empty for what is none. */
export function hostOf(url: string): string {
  if (!URL.canParse(url)) return '';
  return new URL(url).hostname.replace(/^www\./, '');
}
