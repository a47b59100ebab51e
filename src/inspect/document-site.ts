/** The site of a document, as its run has counted it: on how many pages of it each line stands, and its template beside them. */
import { escapeHidden } from '../printable.ts';
import type { FinishedRow } from '../refine/finished-run.ts';
import type { Sites } from '../sites/site-file.ts';
import { siteOf } from '../sites/site-names.ts';

/** Lines of a template that are sent. */
const MAX_TEMPLATE_LINES = 100;

/** A site as the page gets it. */
export interface ShownSite {
  readonly name: string;
  readonly pages: number;
  /** Lines of its template, those without a text included. */
  readonly nTemplate: number;
  /** By falling number of pages; as lines are compared: lower case, digits as 0, cut after 160 bytes. */
  readonly template: readonly { readonly pages: number; readonly text: string }[];
}

/** What is known of a document's site. */
export interface DocumentSite {
  readonly shown: ShownSite;
  /** Pages that hold a line of the text as it came; null for one page. */
  pagesOf(line: number): number | null;
}

/** Null for a document without a site (dropped/ does not have the column), and for a site that repeats nothing. @param column that says the site */
export function siteOfDocument(
  { table }: Sites,
  column: string,
  { row, original }: { readonly row: FinishedRow; readonly original: string | null | undefined },
): DocumentSite | null {
  const value = row.values[column];
  const site = typeof value === 'string' ? siteOf(value) : null;
  if (site === null) return null;
  const { pages, template, texts } = table.texts(site);
  if (pages === 0) return null;
  const text = original ?? row.text;
  const lines = text === null ? null : table.linePages(Buffer.from(text), site).lines;
  return {
    shown: {
      ...{ name: escapeHidden(site), pages, nTemplate: template },
      template: texts
        .slice(0, MAX_TEMPLATE_LINES)
        .map((line) => ({ pages: line.pages, text: escapeHidden(line.text) })),
    },
    pagesOf: (line) => lines?.[line] || null,
  };
}
