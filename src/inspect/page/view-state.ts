/** What is shown, as it stands in the link behind `#`: a link opens the same view again. */

export const TABS = ['documents', 'what-if', 'blind', 'judged'] as const;
export type Tab = (typeof TABS)[number];

export const LIST_FACETS = ['status', 'reason', 'language', 'domain'] as const;
export type ListFacet = (typeof LIST_FACETS)[number];
export const RANGE_FACETS = ['score', 'share', 'size'] as const;
export type RangeFacet = (typeof RANGE_FACETS)[number];
export type Range = readonly [low: number | null, high: number | null];

export const SORTS = ['row', 'score', 'share', 'size'] as const;
export type Sort = (typeof SORTS)[number];

/** Ways of showing a document: differences with their surroundings, everything, or only what is left. */
export const SHOWS = ['changes', 'all', 'after'] as const;
export type Show = (typeof SHOWS)[number];

export interface ViewState {
  readonly tab: Tab;
  readonly lists: Readonly<Partial<Record<ListFacet, readonly string[]>>>;
  readonly ranges: Readonly<Partial<Record<RangeFacet, Range>>>;
  readonly words: string;
  readonly sort: Sort;
  readonly descending: boolean;
  readonly page: number;
  readonly open: { readonly unit: number; readonly position: number } | null;
  readonly show: Show;
  readonly seed: number;
}

export const START: ViewState = {
  tab: 'documents',
  lists: {},
  ranges: {},
  words: '',
  sort: 'row',
  descending: false,
  page: 0,
  open: null,
  show: 'changes',
  seed: 1,
};

/** Reads a state; what is no state is left out. */
export function parseState(hash: string): ViewState {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const lists: Partial<Record<ListFacet, string[]>> = {};
  for (const facet of LIST_FACETS) {
    const values = given.getAll(facet);
    if (values.length > 0) lists[facet] = values;
  }
  const ranges: Partial<Record<RangeFacet, Range>> = {};
  for (const facet of RANGE_FACETS) {
    const found = /^([\d.e-]*)\.\.([\d.e-]*)$/.exec(given.get(facet) ?? '');
    if (found) ranges[facet] = [boundOf(found[1]!), boundOf(found[2]!)];
  }
  const sort = (given.get('sort') ?? 'row').replace(/^-/, '');
  const open = /^(\d{1,9}):(\d{1,10})$/.exec(given.get('doc') ?? '');
  return {
    tab: oneOf(TABS, given.get('tab'), START.tab),
    ...{ lists, ranges },
    words: (given.get('words') ?? '').slice(0, 1_000),
    sort: oneOf(SORTS, sort, START.sort),
    descending: (given.get('sort') ?? '').startsWith('-'),
    page: wholeOf(given.get('page')),
    open: open && { unit: Number(open[1]), position: Number(open[2]) },
    show: oneOf(SHOWS, given.get('show'), START.show),
    seed: wholeOf(given.get('seed')) || START.seed,
  };
}

/** The state as it stands in a link; what is as at the start is left out. */
export function printState(state: ViewState): string {
  const out = new URLSearchParams();
  if (state.tab !== START.tab) out.set('tab', state.tab);
  for (const facet of LIST_FACETS) {
    for (const value of state.lists[facet] ?? []) out.append(facet, value);
  }
  for (const facet of RANGE_FACETS) {
    const range = state.ranges[facet];
    if (range) out.set(facet, `${range[0] ?? ''}..${range[1] ?? ''}`);
  }
  if (state.words !== '') out.set('words', state.words);
  if (state.sort !== 'row' || state.descending) {
    out.set('sort', `${state.descending ? '-' : ''}${state.sort}`);
  }
  if (state.page > 0) out.set('page', String(state.page));
  if (state.open) out.set('doc', `${state.open.unit}:${state.open.position}`);
  if (state.show !== START.show) out.set('show', state.show);
  if (state.seed !== START.seed) out.set('seed', String(state.seed));
  const text = out.toString();
  return text === '' ? '' : `#${text}`;
}

function oneOf<T extends string>(all: readonly T[], given: string | null, otherwise: T): T {
  return all.find((one) => one === given) ?? otherwise;
}

function boundOf(text: string): number | null {
  const value = Number(text);
  return text === '' || !Number.isFinite(value) ? null : value;
}

function wholeOf(text: string | null): number {
  return /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0;
}
