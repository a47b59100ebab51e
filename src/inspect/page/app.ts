/** The page: one state, which the link has, and what follows from it. */
import { render } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { BlindTab } from './blind-tab.ts';
import { ask, tell } from './client.ts';
import { DocumentPane } from './document-pane.ts';
import { Facets } from './facets.ts';
import * as format from './format.ts';
import { Help } from './help.ts';
import { html, type View } from './html.ts';
import { JudgedTab } from './judged-tab.ts';
import { DocumentTable, keyOf, PAGE_ROWS } from './table.ts';
import type {
  DocumentJudgement,
  Found,
  Head,
  LineVerdict,
  OpenDocument,
  RunSummary,
  ServerState,
  TableRow,
  Verdict,
} from './types.ts';
import { parseState, printState, SHOWS, TABS, type Tab, type ViewState } from './view-state.ts';
import { WhatIfTab } from './what-if-tab.ts';

const TAB_NAMES: Readonly<Record<Tab, string>> = {
  documents: 'Documents',
  'what-if': 'What if',
  blind: 'Blind test',
  judged: 'Judgements',
};
/** Typing is not asked about letter by letter. */
const TYPING_MS = 250;
const MAX_HEADS = 1_000;

function queryOf(state: ViewState): object {
  return {
    ...state.lists,
    ...state.ranges,
    ...(state.words.trim() !== '' && { words: state.words }),
    sort: state.sort,
    descending: state.descending,
    offset: state.page * PAGE_ROWS,
    limit: PAGE_ROWS,
  };
}

/** The state, and a way to change it; going back in the browser goes back. */
function useViewState(): readonly [ViewState, (change: Partial<ViewState>) => void] {
  const [state, setState] = useState(() => parseState(location.hash));
  useEffect(() => {
    const listen = (): void => setState(parseState(location.hash));
    addEventListener('hashchange', listen);
    addEventListener('popstate', listen);
    return () => {
      removeEventListener('hashchange', listen);
      removeEventListener('popstate', listen);
    };
  }, []);
  const change = useCallback((part: Partial<ViewState>): void => {
    const next = { ...parseState(location.hash), ...part };
    history.pushState(null, '', `${location.pathname}${printState(next)}`);
    setState(next);
  }, []);
  return [state, change];
}

/** What the server says of the index, and of judgements; asked again whenever it changes. */
function useServerState(fail: (error: unknown) => void): ServerState | null {
  const [state, setState] = useState<ServerState | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const follow = async (): Promise<void> => {
      let version = -1;
      while (!controller.signal.aborted) {
        const next = await ask<ServerState>('state', { version }, controller.signal);
        version = next.version;
        setState(next);
        // Blocks come by the hundred while an index is made.
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    };
    follow().catch((error) => {
      if (!controller.signal.aborted) fail(error);
    });
    return () => controller.abort();
  }, []);
  return state;
}

function App({ summary }: { readonly summary: RunSummary }): View {
  const [state, change] = useViewState();
  const [trouble, setTrouble] = useState('');
  const fail = useCallback((error: unknown) => {
    if ((error as Error).name !== 'AbortError') setTrouble((error as Error).message);
  }, []);
  const server = useServerState(fail);
  const [isHelp, setIsHelp] = useState(false);
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.key !== '?' || isTyping(event)) return;
      event.preventDefault();
      setIsHelp(true);
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
  return html`<div class="app">
    <header class="top">
      <h1>gristmill <span class="dim">inspect</span></h1>
      <span class="run" title=${summary.out}><bdi>${summary.name}</bdi></span>
      <nav aria-label="Views">${TABS.map((tab) => html`<button key=${tab} aria-current=${state.tab === tab ? 'page' : undefined} onClick=${() => change({ tab })}>${TAB_NAMES[tab]}</button>`)}</nav>
      <${Progress} ...${{ server, summary }} />
      <button class="quiet" onClick=${() => setIsHelp(true)} aria-label="Keys">Keys <kbd>?</kbd></button>
    </header>
    ${trouble ? html`<p class="notice top-notice" role="alert">${trouble} <button class="quiet" onClick=${() => setTrouble('')}>dismiss</button></p>` : null}
    ${state.tab === 'documents' ? html`<${Documents} ...${{ state, change, summary, server, fail, isHelp }} />` : null}
    ${state.tab === 'what-if' ? html`<${WhatIfTab} ...${{ summary, change, fail, version: server?.version ?? 0 }} />` : null}
    ${state.tab === 'blind' ? html`<${BlindTab} ...${{ state, change, fail }} />` : null}
    ${state.tab === 'judged' ? html`<${JudgedTab} ...${{ summary, change, fail }} />` : null}
    ${isHelp ? html`<${Help} close=${() => setIsHelp(false)} />` : null}
  </div>`;
}

function Progress({
  server,
  summary,
}: {
  readonly server: ServerState | null;
  readonly summary: RunSummary;
}): View {
  if (!server) return html`<span class="progress" role="status"></span>`;
  const { progress, units, isWhole } = server;
  const wanted = Math.ceil(units.committed / progress.every);
  const parts: string[] = [];
  if (!isWhole)
    parts.push(`under way: ${units.committed} of ${format.counted(units.planned, 'unit')}`);
  if (progress.indexed < wanted)
    parts.push(`index ${format.percent(progress.indexed / wanted, 0)}`);
  else if (progress.sized < progress.indexed)
    parts.push(`lengths ${format.percent(progress.sized / progress.indexed, 0)}`);
  if (progress.every > 1) parts.push(`one unit of ${progress.every}`);
  if (progress.failed.length > 0)
    parts.push(`${format.counted(progress.failed.length, 'unit')} cannot be read`);
  const judged = server.judged.documents + server.judged.lines;
  if (judged > 0) parts.push(`${format.whole(judged)} judged`);
  const title = progress.failed.map(({ message }) => message).join('\n');
  return html`<span class="progress" role="status" title=${title}>${format.counted(summary.counts.rowsIn, 'document')}${parts.length > 0 ? ` · ${parts.join(' · ')}` : ''}</span>`;
}

function isTyping({ target, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  if (ctrlKey || metaKey || altKey) return true;
  return (
    target instanceof HTMLInputElement && target.type !== 'range' && target.type !== 'checkbox'
  );
}

interface DocumentsProps {
  readonly state: ViewState;
  readonly change: (change: Partial<ViewState>) => void;
  readonly summary: RunSummary;
  readonly server: ServerState | null;
  readonly fail: (error: unknown) => void;
  readonly isHelp: boolean;
}

/** Rows of the table, as filters and the index change; answers that come late count for nothing. */
function useFound(state: ViewState, version: number, fail: (error: unknown) => void): Found | null {
  const [found, setFound] = useState<Found | null>(null);
  const query = JSON.stringify(queryOf(state));
  useEffect(() => {
    const controller = new AbortController();
    tell<Found>('query', JSON.parse(query), controller.signal).then(setFound, fail);
    return () => controller.abort();
  }, [query, version]);
  return found;
}

/** Beginnings of the documents on the page. */
function useHeads(rows: readonly TableRow[]): ReadonlyMap<string, Head> {
  const known = useRef(new Map<string, Head>());
  const [, setCount] = useState(0);
  const keys = rows.map(keyOf).join(' ');
  useEffect(() => {
    const missing = rows.filter((row) => !known.current.has(keyOf(row)));
    if (missing.length === 0) return;
    const controller = new AbortController();
    const wanted = missing.map(({ unit, position }) => ({ unit, position }));
    tell<Head[]>('heads', { keys: wanted }, controller.signal).then(
      (heads) => {
        if (known.current.size > MAX_HEADS) known.current.clear();
        for (const head of heads) known.current.set(keyOf(head), head);
        setCount((count) => count + 1);
      },
      // A row without its beginning is still a row.
      () => undefined,
    );
    return () => controller.abort();
  }, [keys]);
  return known.current;
}

/** The open document, with its lines as far as they have been asked for. */
function useDocument(open: ViewState['open'], fail: (error: unknown) => void) {
  const [shown, setShown] = useState<OpenDocument | null>(null);
  const key = open ? keyOf(open) : '';
  useEffect(() => {
    if (!open) {
      setShown(null);
      return;
    }
    const controller = new AbortController();
    ask<OpenDocument>('document', { ...open, from: 0 }, controller.signal).then(setShown, fail);
    return () => controller.abort();
  }, [key]);
  const more = (): void => {
    if (!shown || !open) return;
    ask<OpenDocument>('document', { ...open, from: shown.lines.length }).then((next) => {
      setShown((now) =>
        now === shown ? { ...shown, lines: [...shown.lines, ...next.lines] } : now,
      );
    }, fail);
  };
  const setJudgement = (judgement: DocumentJudgement | null): void => {
    setShown((now) => now && { ...now, judgement });
  };
  return { shown: open ? shown : null, more, setJudgement };
}

function Documents({ state, change, summary, server, fail, isHelp }: DocumentsProps): View {
  const found = useFound(state, server?.version ?? 0, fail);
  const rows = found?.rows ?? [];
  const heads = useHeads(rows);
  const { shown, more, setJudgement } = useDocument(state.open, fail);
  const [chosen, setChosen] = useState(0);
  const [chosenLine, setChosenLine] = useState(-1);
  const [saved, setSaved] = useState('');
  const search = useRef<HTMLInputElement>(null);
  const openKey = state.open ? keyOf(state.open) : '';
  useEffect(() => {
    setChosenLine(-1);
    setSaved('');
  }, [openKey]);
  useEffect(() => {
    const at = rows.findIndex((row) => keyOf(row) === openKey);
    setChosen(at >= 0 ? at : Math.min(chosen, Math.max(0, rows.length - 1)));
  }, [rows, openKey]);
  // A document that was opened takes the keyboard, once.
  const shownKey = shown ? keyOf(shown) : '';
  useEffect(() => {
    if (shownKey === '') return;
    const active = document.activeElement;
    const isElsewhere = active instanceof HTMLInputElement;
    if (!isElsewhere) document.getElementById('document-title')?.focus({ preventScroll: true });
  }, [shownKey]);

  const tellJudgement = (body: object): void => {
    if (!state.open) return;
    setSaved('saving …');
    tell<{ judgement: DocumentJudgement | null }>('judge', { ...state.open, ...body }).then(
      (answer) => {
        setJudgement(answer.judgement);
        setSaved('saved');
      },
      (error) => {
        setSaved('');
        fail(error);
      },
    );
  };
  const judge = (verdict: Verdict | null): void => tellJudgement({ verdict });
  const judgeLine = (line: number, verdict: LineVerdict | null): void =>
    tellJudgement({ lines: [{ line, verdict }] });
  const note = (text: string): void => tellJudgement({ note: text });
  const close = (): void => {
    change({ open: null });
    setTimeout(() => document.querySelector<HTMLElement>('tbody tr[tabindex="0"]')?.focus(), 0);
  };
  const openRow = (row: TableRow | undefined): void => {
    if (row) change({ open: { unit: row.unit, position: row.position } });
  };

  const keys = useMemo(() => ({ current: (_: KeyboardEvent): void => undefined }), []);
  keys.current = (event: KeyboardEvent): void => {
    if (isHelp) return;
    const inPane = (document.activeElement as HTMLElement | null)?.closest('.pane') !== null;
    if (event.key === 'Escape') {
      if (event.target instanceof HTMLInputElement) (event.target as HTMLElement).blur();
      else if (state.open) close();
      return;
    }
    if (isTyping(event)) return;
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const line = shown?.lines[chosenLine];
    const number = line?.line ?? null;
    const verdict = ({ '1': 'right', '2': 'should_stay', '3': 'should_go', '0': null } as const)[
      event.key as '1'
    ];
    let isTaken = true;
    if (step !== undefined && shown && inPane) {
      setChosenLine(Math.max(0, Math.min(shown.lines.length - 1, chosenLine + step)));
    } else if (step !== undefined) {
      const next = chosen + step;
      if (next >= rows.length && (state.page + 1) * PAGE_ROWS < (found?.matched ?? 0)) {
        setChosen(0);
        change({ page: state.page + 1 });
      } else if (next < 0 && state.page > 0) {
        setChosen(PAGE_ROWS - 1);
        change({ page: state.page - 1 });
      } else setChosen(Math.max(0, Math.min(rows.length - 1, next)));
    } else if (event.key === '[' || event.key === ']') {
      openRow(rows[chosen + (event.key === ']' ? 1 : -1)]);
    } else if (
      event.key === 'Enter' &&
      (event.target as HTMLElement).closest('button, a, summary') === null
    ) {
      openRow(rows[chosen]);
    } else if (event.key === '/') search.current?.focus();
    else if (
      event.key === 'ArrowRight' &&
      !inPane &&
      (state.page + 1) * PAGE_ROWS < (found?.matched ?? 0)
    ) {
      change({ page: state.page + 1 });
    } else if (event.key === 'ArrowLeft' && !inPane && state.page > 0)
      change({ page: state.page - 1 });
    else if (shown && (event.key === 'n' || event.key === 'p')) {
      const way = event.key === 'n' ? 1 : -1;
      let at = chosenLine + way;
      while (at >= 0 && at < shown.lines.length && shown.lines[at]!.state === 'kept') at += way;
      if (at >= 0 && at < shown.lines.length) setChosenLine(at);
      document.getElementById('document-title')?.focus({ preventScroll: true });
    } else if (shown && verdict !== undefined) judge(verdict);
    else if (shown && number !== null && 'sgu'.includes(event.key)) {
      judgeLine(number, ({ s: 'stay', g: 'go', u: null } as const)[event.key as 's']);
    } else if (shown && event.key === 'f') {
      change({ show: SHOWS[(SHOWS.indexOf(state.show) + 1) % SHOWS.length]! });
    } else if (shown && event.key === 'e') document.querySelector<HTMLElement>('.note')?.focus();
    else isTaken = false;
    if (isTaken) event.preventDefault();
  };
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => keys.current(event);
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);

  return html`<main class=${shown ? 'documents with-document' : 'documents'} id="main">
    <${Facets} ...${{ state, found, summary, change }} />
    <div class="middle">
      <div class="find">
        <${Search} ...${{ words: state.words, change, search }} />
        <p role="status" class="matched">${found ? `${format.whole(found.matched)} of ${format.counted(found.total, 'document')}${found.searching ? ', still looking …' : ''}` : ''}</p>
      </div>
      <${DocumentTable} ...${{ state, found, heads, chosen, choose: setChosen, open: openRow, change }} />
    </div>
    ${shown ? html`<${DocumentPane} ...${{ document: shown, summary, show: state.show, setShow: (show: ViewState['show']) => change({ show }), chosenLine, chooseLine: setChosenLine, judge, judgeLine, note, close, more, saved }} />` : null}
  </main>`;
}

interface SearchProps {
  readonly words: string;
  readonly change: (change: Partial<ViewState>) => void;
  readonly search: { current: HTMLInputElement | null };
}

function Search({ words, change, search }: SearchProps): View {
  const [typed, setTyped] = useState(words);
  const timer = useRef<number | undefined>(undefined);
  /** What the state was last told: what comes back of it must not take letters that were typed since. */
  const sent = useRef(words);
  useEffect(() => {
    if (words === sent.current) return;
    sent.current = words;
    clearTimeout(timer.current);
    setTyped(words);
  }, [words]);
  const type = (event: Event): void => {
    const { value } = event.target as HTMLInputElement;
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      sent.current = value;
      change({ words: value, page: 0 });
    }, TYPING_MS) as unknown as number;
  };
  return html`<input ref=${search} class="search" type="search" placeholder="Words in the text or id ( / )" aria-label="Words in the text or id" value=${typed} onInput=${type} />`;
}

const place = document.getElementById('app')!;
ask<RunSummary>('run').then(
  (summary) => {
    document.title = `${summary.name} · gristmill inspect`;
    place.replaceChildren();
    render(html`<${App} summary=${summary} />`, place);
  },
  (error: Error) => {
    place.textContent = error.message;
  },
);
