/** The column of filters: names with bars, histograms. A click chooses, a second one takes back. */
import { useRef } from 'preact/hooks';
import * as format from './format.ts';
import { html, type View } from './html.ts';
import type { Bar, Found, RunSummary } from './types.ts';
import {
  LIST_FACETS,
  type ListFacet,
  RANGE_FACETS,
  type Range,
  type RangeFacet,
  type ViewState,
} from './view-state.ts';

const TITLES: Readonly<Record<ListFacet | RangeFacet, string>> = {
  status: 'Status',
  reason: 'Reason',
  language: 'Language',
  domain: 'Domain',
  score: 'Document score',
  share: 'Share removed',
  size: 'Length as it came',
};

export interface FacetsProps {
  readonly state: ViewState;
  readonly found: Found | null;
  readonly summary: RunSummary;
  readonly change: (change: Partial<ViewState>) => void;
}

export function Facets({ state, found, summary, change }: FacetsProps): View {
  const isFiltered =
    Object.keys(state.lists).length > 0 || Object.keys(state.ranges).length > 0 || state.words;
  return html`<aside class="facets" aria-label="Filters">
    <div class="facets-head">
      <h2>Filters</h2>
      ${
        isFiltered
          ? html`<button class="quiet" onClick=${() => change({ lists: {}, ranges: {}, words: '', page: 0 })}>Clear all</button>`
          : null
      }
    </div>
    ${LIST_FACETS.slice(0, 2).map((facet) => html`<${Names} key=${facet} ...${{ facet, state, found, summary, change }} />`)}
    ${RANGE_FACETS.map((facet) => html`<${Histogram} key=${facet} ...${{ facet, state, found, summary, change }} />`)}
    ${LIST_FACETS.slice(2).map((facet) => html`<${Names} key=${facet} ...${{ facet, state, found, summary, change }} />`)}
  </aside>`;
}

function Names({ facet, state, found, summary, change }: FacetsProps & { facet: ListFacet }): View {
  const bars = found?.facets[facet] ?? [];
  if (bars.length === 0) return null;
  const chosen = state.lists[facet] ?? [];
  const most = Math.max(1, ...bars.map(({ count }) => count));
  const choose = (name: string): void => {
    const next = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name];
    const { [facet]: _, ...others } = state.lists;
    change({ lists: next.length > 0 ? { ...others, [facet]: next } : others, page: 0 });
  };
  return html`<section class="facet">
    <h3>${TITLES[facet]}</h3>
    <ul>
      ${bars.map(({ name = '', count }) => {
        const meaning = facet === 'reason' ? summary.reasons[name] : undefined;
        return html`<li key=${name}>
          <button class="bar" aria-pressed=${chosen.includes(name)} title=${meaning ?? name} onClick=${() => choose(name)}>
            <span class=${`bar-fill ${facet === 'status' ? `status-${name}` : ''}`} style=${{ width: `${(100 * count) / most}%` }}></span>
            <span class="bar-name"><bdi>${name || '(none)'}</bdi></span>
            <span class="bar-count">${format.whole(count)}</span>
          </button>
        </li>`;
      })}
    </ul>
  </section>`;
}

function labelOf(facet: RangeFacet, { from = 0, to = 0 }: Bar): string {
  if (facet === 'size') return `${format.bytes(from)} to ${format.bytes(to)}`;
  if (facet === 'share') return `${format.percent(from, 0)} to ${format.percent(to, 0)}`;
  return `${from.toFixed(2)} to ${to.toFixed(2)}`;
}

/** A bar ends a step of the index before the next one begins; the last one has no end. */
function rangeOf(facet: RangeFacet, { from = 0, to = 0 }: Bar, isLast: boolean): Range {
  if (facet === 'size') return [from, Math.max(from, Math.floor((to + 1) * 0.9993) - 1)];
  return [from, isLast ? null : to - 2e-5];
}

function isInside({ from = 0, to = 0 }: Bar, range: Range | undefined): boolean {
  if (!range) return true;
  const middle = (from + to) / 2;
  return (range[0] === null || middle >= range[0]) && (range[1] === null || middle <= range[1]);
}

function Histogram({
  facet,
  state,
  found,
  summary,
  change,
}: FacetsProps & { facet: RangeFacet }): View {
  const box = useRef<HTMLDivElement>(null);
  const bars = found?.facets[facet] ?? [];
  const total = bars.reduce((sum, { count }) => sum + count, 0);
  if (total === 0 && !state.ranges[facet]) return null;
  const range = state.ranges[facet];
  const most = Math.max(1, ...bars.map(({ count }) => count));
  const set = (next: Range | undefined): void => {
    const { [facet]: _, ...others } = state.ranges;
    change({ ranges: next ? { ...others, [facet]: next } : others, page: 0 });
  };
  const choose = (bar: Bar, at: number, extend: boolean): void => {
    const [low, high] = rangeOf(facet, bar, at === bars.length - 1);
    if (extend && range) {
      const upper = range[1] === null || high === null ? null : Math.max(range[1], high);
      set([Math.min(range[0] ?? low!, low!), upper]);
      return;
    }
    set(range && range[0] === low && range[1] === high ? undefined : [low, high]);
  };
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const all = [...(box.current?.querySelectorAll('button') ?? [])];
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    all[Math.max(0, Math.min(all.length - 1, at + step))]?.focus();
  };
  const threshold = facet === 'score' ? (summary.thresholds.document ?? null) : null;
  const unknown = found?.unknown[facet] ?? 0;
  const first = Math.max(
    0,
    bars.findIndex((bar) => range !== undefined && isInside(bar, range)),
  );
  return html`<section class="facet">
    <h3>${TITLES[facet]}
      ${range ? html`<button class="quiet" aria-label=${`Clear ${TITLES[facet]}`} onClick=${() => set(undefined)}>clear</button>` : null}
    </h3>
    <div class="histogram" ref=${box} role="group" aria-label=${`${TITLES[facet]}: histogram, a bar filters, with shift it extends`} onKeyDown=${move}>
      ${bars.map((bar, at) => {
        const height = bar.count === 0 ? 0 : Math.max(4, (100 * bar.count) / most);
        const label = `${labelOf(facet, bar)}: ${format.counted(bar.count, 'document')}`;
        return html`<button key=${at} class=${isInside(bar, range) ? 'column' : 'column outside'} title=${label} aria-label=${label}
          aria-pressed=${range !== undefined && isInside(bar, range)} tabIndex=${at === first ? 0 : -1}
          onClick=${(event: MouseEvent) => choose(bar, at, event.shiftKey)}><span style=${{ height: `${height}%` }}></span></button>`;
      })}
      ${threshold === null ? null : html`<span class="threshold" style=${{ left: `${threshold * 100}%` }}></span>`}
    </div>
    <p class="scale"><span>${ends(facet, bars)[0]}</span>${
      threshold === null ? null : html`<span>threshold ${threshold.toFixed(3)}</span>`
    }<span>${ends(facet, bars)[1]}</span></p>
    ${unknown > 0 ? html`<p class="scale">${format.counted(unknown, 'document')} without</p>` : null}
  </section>`;
}

function ends(facet: RangeFacet, bars: readonly Bar[]): readonly [string, string] {
  if (facet === 'size')
    return [format.bytes(bars[0]?.from ?? 0), format.bytes(bars.at(-1)?.to ?? 0)];
  return facet === 'share' ? ['0 %', '100 %'] : ['0', '1'];
}
