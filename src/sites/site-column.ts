/** Which column says what site a page is of. */
import { isTextColumn } from '../corpus/schema.ts';
import type { CorpusPlan } from '../corpus/types.ts';
import { GristmillError } from '../errors.ts';

/** Names of columns of URLs in published corpora, and of hosts; the first kind is asked first. */
const NAMES: readonly (readonly string[])[] = [
  ['url', 'uri', 'source_url', 'page_url', 'document_url', 'canonical_url', 'warc_target_uri'],
  ['host', 'hostname', 'domain', 'site', 'url_host_name', 'netloc'],
];

/** The only column that can be meant, by its name; null where none or several can. */
export function onlySiteColumn({ columns, textColumn }: CorpusPlan): string | null {
  for (const names of NAMES) {
    const found = columns.filter(
      (column) =>
        column.name !== textColumn &&
        names.includes(column.name.toLowerCase().replaceAll('-', '_')) &&
        isTextColumn(column),
    );
    if (found.length > 0) return found.length === 1 ? found[0]!.name : null;
  }
  return null;
}

/**
 * The column that was named, or the only one that can be meant.
 *
 * @throws SITES_COLUMN_UNKNOWN, CORPUS_COLUMN_MISSING, CORPUS_COLUMN_TYPE
 */
export function siteColumnOf(plan: CorpusPlan, wish: string | undefined): string {
  const names = plan.columns.map(({ name }) => name).join(', ');
  const chosen = wish ?? onlySiteColumn(plan);
  if (chosen === null) throw new GristmillError('SITES_COLUMN_UNKNOWN', { columns: names });
  const column = plan.columns.find(({ name }) => name === chosen);
  const file = plan.files[0]?.path ?? '';
  if (!column) {
    throw new GristmillError('CORPUS_COLUMN_MISSING', {
      ...{ file, column: chosen, suggestion: '', columns: names },
    });
  }
  if (!isTextColumn(column)) {
    throw new GristmillError('CORPUS_COLUMN_TYPE', {
      ...{ file, column: chosen, expected: 'a flat string column', received: column.type },
    });
  }
  return chosen;
}
