/** The table of documents: a page of rows, one of which is chosen. */
import { useEffect, useRef } from 'preact/hooks';
import * as format from './format.ts';
import { html, type View } from './html.ts';
import type { Found, Head, TableRow } from './types.ts';
import type { Sort, ViewState } from './view-state.ts';

export const PAGE_ROWS = 50;

export interface TableProps {
  readonly state: ViewState;
  readonly found: Found | null;
  readonly heads: ReadonlyMap<string, Head>;
  /** Index of the chosen row on the page. */
  readonly chosen: number;
  readonly choose: (row: number) => void;
  readonly open: (row: TableRow) => void;
  readonly change: (change: Partial<ViewState>) => void;
}

export function keyOf({
  unit,
  position,
}: {
  readonly unit: number;
  readonly position: number;
}): string {
  return `${unit}:${position}`;
}

export function DocumentTable(props: TableProps): View {
  const { state, found, heads, chosen, choose, open, change } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const rows = found?.rows ?? [];
  useEffect(() => {
    const row = body.current?.children[chosen] as HTMLElement | undefined;
    row?.scrollIntoView({ block: 'nearest' });
    // The row is where the keyboard is, unless somebody types or reads elsewhere.
    const active = document.activeElement;
    if (active === document.body || body.current?.contains(active))
      row?.focus({ preventScroll: true });
  }, [chosen, rows]);
  const nPages = Math.max(1, Math.ceil((found?.matched ?? 0) / PAGE_ROWS));
  return html`<section class="table" aria-label="Documents">
    <div class="table-scroll">
      <table role="grid" aria-rowcount=${found?.matched ?? 0}>
        <thead>
          <tr>
            <th scope="col">Status</th>
            <th scope="col" class="wide">Document</th>
            <th scope="col" class="extra">Reason</th>
            <${Sortable} sort="score" title="Score" ...${{ state, change }} />
            <${Sortable} sort="share" title="Removed" ...${{ state, change }} />
            <${Sortable} sort="size" title="Length" extra ...${{ state, change }} />
            <th scope="col" class="extra">Domain</th>
            <th scope="col" class="extra">Lang.</th>
          </tr>
        </thead>
        <tbody ref=${body}>
          ${rows.map((row, at) => {
            const head = heads.get(keyOf(row));
            const isOpen = state.open !== null && keyOf(state.open) === keyOf(row);
            return html`<tr key=${keyOf(row)} tabIndex=${at === chosen ? 0 : -1} aria-selected=${at === chosen}
              class=${isOpen ? 'open' : ''} onClick=${() => {
                choose(at);
                open(row);
              }}>
              <td><${Status} status=${row.status} /></td>
              <td class="wide"><div class="head">${
                head?.id ? html`<strong><bdi>${head.id}</bdi></strong> ` : null
              }<bdi class="dim">${head ? (head.head ?? '(no text here)') : '…'}</bdi></div></td>
              <td class="extra nowrap">${row.reason}</td>
              <td class="number">${format.score(row.score)}</td>
              <td class="number">${
                row.share === null
                  ? '–'
                  : html`<span class="share"><span class="share-fill" style=${{ width: `${row.share * 100}%` }}></span></span><span class="share-text">${format.percent(row.share, 0)}</span>`
              }</td>
              <td class="extra number">${format.bytes(row.bytes)}</td>
              <td class="extra domain"><bdi>${row.domain ?? '–'}</bdi></td>
              <td class="extra"><bdi>${row.language ?? '–'}</bdi></td>
            </tr>`;
          })}
        </tbody>
      </table>
      ${found && rows.length === 0 ? html`<p class="empty">${found.searching ? 'Looking for these words …' : 'No document passes these filters.'}</p>` : null}
    </div>
    <nav class="pages" aria-label="Pages of the table">
      <button disabled=${state.page === 0} onClick=${() => change({ page: state.page - 1 })}>‹ Previous</button>
      <span>Page ${format.whole(state.page + 1)} of ${format.whole(nPages)}</span>
      <button disabled=${state.page + 1 >= nPages} onClick=${() => change({ page: state.page + 1 })}>Next ›</button>
    </nav>
  </section>`;
}

const MARKS: Readonly<Record<string, string>> = {
  kept: '●',
  edited: '◐',
  dropped: '○',
  failed: '▲',
};

export function Status({ status }: { readonly status: string }): View {
  return html`<span class=${`status status-${status}`}><span aria-hidden="true">${MARKS[status] ?? '?'}</span> ${status}</span>`;
}

function Sortable({
  sort,
  title,
  extra = false,
  state,
  change,
}: { sort: Sort; title: string; extra?: boolean } & Pick<TableProps, 'state' | 'change'>): View {
  const isSorted = state.sort === sort;
  const next = (): Partial<ViewState> => {
    if (!isSorted) return { sort, descending: true, page: 0 };
    return state.descending
      ? { descending: false, page: 0 }
      : { sort: 'row', descending: false, page: 0 };
  };
  const order = isSorted ? (state.descending ? 'descending' : 'ascending') : 'none';
  return html`<th scope="col" class=${extra ? 'extra number' : 'number'} aria-sort=${order}>
    <button class="quiet" onClick=${() => change(next())}>${title}<span aria-hidden="true">${isSorted ? (state.descending ? ' ↓' : ' ↑') : ''}</span></button>
  </th>`;
}
