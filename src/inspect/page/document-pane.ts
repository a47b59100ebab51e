/** One document: what became of it and why, its lines before and after, and what people say of them. */
import { useEffect, useRef, useState } from 'preact/hooks';
import * as format from './format.ts';
import { html, type View } from './html.ts';
import { Status } from './table.ts';
import type { LineVerdict, OpenDocument, RunSummary, ShownLine, Verdict } from './types.ts';
import { SHOWS, type Show } from './view-state.ts';

/** Lines that stay and are shown beside ones that do not. */
const CONTEXT = 3;
/** Shorter stretches are not worth a fold. */
const MIN_FOLD = 3;

export interface PaneProps {
  readonly document: OpenDocument;
  readonly summary: RunSummary;
  readonly show: Show;
  readonly setShow: (show: Show) => void;
  /** Index of the chosen line in `document.lines`; -1 for none. */
  readonly chosenLine: number;
  readonly chooseLine: (line: number) => void;
  readonly judge: (verdict: Verdict | null) => void;
  readonly judgeLine: (line: number, verdict: LineVerdict | null) => void;
  readonly note: (text: string) => void;
  readonly close: () => void;
  readonly more: () => void;
  readonly saved: string;
}

const SHOW_NAMES: Readonly<Record<Show, string>> = {
  changes: 'Changes',
  all: 'All lines',
  after: 'What is left',
};

const VERDICT_NAMES: readonly (readonly [Verdict, string, string])[] = [
  ['right', 'Right', '1'],
  ['should_stay', 'Should have stayed', '2'],
  ['should_go', 'Should have gone', '3'],
];

export function DocumentPane(props: PaneProps): View {
  const { document: shown, summary, show, setShow, close, saved } = props;
  const { counts, judgement } = shown;
  const isDropped = shown.status === 'dropped';
  const threshold = summary.thresholds.document ?? null;
  return html`<section class="pane" aria-label="Document" data-key=${`${shown.unit}:${shown.position}`}>
    <header>
      <div class="pane-title">
        <h2 tabIndex=${-1} id="document-title"><bdi>${shown.id ?? `Row ${shown.row ?? shown.position}`}</bdi></h2>
        <button class="quiet" onClick=${close} aria-label="Close the document">✕</button>
      </div>
      <p class="facts"><${Status} status=${shown.status} />
        <span title=${shown.reasonText}>${shown.reason}</span>
        ${shown.score === null ? null : html`<span>score ${format.score(shown.score)}${threshold === null ? '' : ` (threshold ${threshold.toFixed(3)})`}</span>`}
        ${counts.removed + counts.changed + counts.added > 0 && !isDropped ? html`<span>${summaryOf(counts)}</span>` : null}
      </p>
      ${shown.reasonText ? html`<p class="dim">${shown.reasonText}</p>` : null}
      <p class="dim"><bdi>${shown.file}</bdi>${shown.row === null ? '' : `, row ${format.whole(shown.row)}`}</p>
      ${shown.values.length > 0 ? html`<dl class="values">${shown.values.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><bdi>${value}</bdi></dd></div>`)}</dl>` : null}
      ${shown.site ? html`<${Template} site=${shown.site} />` : null}
      ${shown.program ? html`<details><summary>Program</summary><pre class="program" tabIndex=${0}>${shown.program}</pre></details>` : null}
      <div class="judge" role="group" aria-label="Your judgement of this document">
        ${VERDICT_NAMES.map(
          ([
            verdict,
            name,
            key,
          ]) => html`<button key=${verdict} aria-pressed=${judgement?.verdict === verdict} aria-keyshortcuts=${key}
          onClick=${() => props.judge(judgement?.verdict === verdict ? null : verdict)}>${name} <kbd>${key}</kbd></button>`,
        )}
        <${Note} key=${`${shown.unit}:${shown.position}`} text=${judgement?.note ?? ''} note=${props.note} />
        <span class="saved" role="status">${saved}</span>
      </div>
      ${shown.missing === null ? null : html`<p class="notice">The text as it came cannot be shown: ${shown.missing} What the run wrote is below.</p>`}
      <div class="shows" role="group" aria-label="Which lines are shown">
        ${SHOWS.map((one) => html`<button key=${one} aria-pressed=${show === one} onClick=${() => setShow(one)}>${SHOW_NAMES[one]}</button>`)}
        <span class="legend"><del>removed</del> <ins>put in</ins></span>
      </div>
    </header>
    <${Lines} ...${props} />
  </section>`;
}

/** What the document's site repeats, beside the document. */
function Template({ site }: { readonly site: NonNullable<OpenDocument['site']> }): View {
  const { name, pages, nTemplate, template } = site;
  const rest = nTemplate - template.length;
  return html`<details class="site-template"><summary><bdi>${name}</bdi>: ${format.counted(pages, 'page')}, ${format.counted(nTemplate, 'line')} of its template</summary>
    <ol class="site-lines" tabIndex=${0} aria-label="Lines that the site repeats">${template.map((line, at) => html`<li key=${at}><span class="line-number">${format.whole(line.pages)}</span> <bdi>${line.text}</bdi></li>`)}</ol>
    ${rest > 0 ? html`<p class="dim">${format.counted(rest, 'more line')}</p>` : null}
  </details>`;
}

function summaryOf({ removed, changed, added }: OpenDocument['counts']): string {
  const parts = [
    removed > 0 ? `${format.counted(removed, 'line')} removed` : '',
    changed > 0 ? `${format.whole(changed)} changed` : '',
    added > 0 ? `${format.whole(added)} added` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function Note({
  text,
  note,
}: {
  readonly text: string;
  readonly note: (text: string) => void;
}): View {
  const [typed, setTyped] = useState(text);
  return html`<input class="note" type="text" placeholder="Note (e)" aria-label="Note on this document" maxlength="10000" value=${typed}
    onInput=${(event: InputEvent) => setTyped((event.target as HTMLInputElement).value)}
    onChange=${() => (typed === text ? undefined : note(typed))}
    onKeyDown=${(event: KeyboardEvent) => (event.key === 'Enter' ? (event.target as HTMLElement).blur() : undefined)} />`;
}

/** What is shown of the lines: lines, and folds of lines. */
type Item = { readonly at: number } | { readonly fold: readonly [from: number, to: number] };

function itemsOf(lines: readonly ShownLine[], show: Show, open: ReadonlySet<number>): Item[] {
  if (show === 'all') return lines.map((_, at) => ({ at }));
  const isShown = lines.map(({ state }) => (show === 'after' ? state !== 'removed' : false));
  if (show === 'changes') {
    for (const [at, { state }] of lines.entries()) {
      if (state === 'kept') continue;
      const end = Math.min(lines.length, at + CONTEXT + 1);
      for (let near = Math.max(0, at - CONTEXT); near < end; near++) isShown[near] = true;
    }
    if (!isShown.includes(true)) return lines.map((_, at) => ({ at }));
  }
  const items: Item[] = [];
  for (let at = 0; at < lines.length; ) {
    if (isShown[at]) {
      items.push({ at });
      at++;
      continue;
    }
    const from = at;
    while (at < lines.length && !isShown[at]) at++;
    const isOpen = open.has(from) || (show === 'changes' && at - from < MIN_FOLD);
    if (isOpen) for (let line = from; line < at; line++) items.push({ at: line });
    else items.push({ fold: [from, at] });
  }
  return items;
}

function Lines({
  document: shown,
  show,
  chosenLine,
  chooseLine,
  judgeLine,
  more,
}: PaneProps): View {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => setOpen(new Set()), [shown.unit, shown.position, show]);
  useEffect(() => {
    const line = list.current?.querySelector<HTMLElement>('[data-chosen="true"]');
    line?.scrollIntoView({ block: 'nearest' });
    if (line && list.current?.closest('.pane')?.contains(document.activeElement)) {
      const isTyping = document.activeElement instanceof HTMLInputElement;
      if (!isTyping) line.focus({ preventScroll: true });
    }
  }, [chosenLine]);
  if (shown.nLines === 0) return html`<p class="empty">There is no text to show.</p>`;
  const hasScores = shown.lines.some(({ score }) => score !== null);
  return html`<div class="lines-scroll" tabIndex=${0} role="region" aria-label="Lines of the document">
    <ol class=${hasScores ? 'lines scored' : 'lines'} ref=${list}>
      ${itemsOf(shown.lines, show, open).map((item) => {
        if ('fold' in item) {
          const [from, to] = item.fold;
          const what = show === 'after' ? 'removed' : to - from === 1 ? 'stays' : 'stay';
          return html`<li key=${`fold ${from}`} class="fold"><button class="quiet fold-button" onClick=${() => setOpen(new Set([...open, from]))}>… ${format.counted(to - from, 'line')} ${what}</button></li>`;
        }
        const line = shown.lines[item.at]!;
        const said = line.line === null ? undefined : shown.judgement?.lines[line.line];
        return html`<${Line} key=${item.at} ...${{ line, said, nSitePages: shown.site?.pages ?? 0, isChosen: item.at === chosenLine, choose: () => chooseLine(item.at), judgeLine }} />`;
      })}
    </ol>
    ${shown.from + shown.lines.length < shown.nLines ? html`<button onClick=${more}>Show more lines (${format.whole(shown.nLines - shown.from - shown.lines.length)} left)</button>` : null}
  </div>`;
}

interface LineProps {
  readonly line: ShownLine;
  readonly said: LineVerdict | undefined;
  /** Pages of the document's site. */
  readonly nSitePages: number;
  readonly isChosen: boolean;
  readonly choose: () => void;
  readonly judgeLine: (line: number, verdict: LineVerdict | null) => void;
}

function Line({ line, said, nSitePages, isChosen, choose, judgeLine }: LineProps): View {
  const { line: number, state, parts, cut } = line;
  const press = (verdict: LineVerdict): void => {
    if (number !== null) judgeLine(number, said === verdict ? null : verdict);
  };
  return html`<li class=${`line line-${state}`} data-chosen=${isChosen} tabIndex=${isChosen ? 0 : -1} onClick=${choose}>
    <span class="line-number">${number === null ? '+' : number}</span>
    ${line.score === null ? null : html`<span class="line-score" title=${`score of keep: ${line.score.toFixed(3)}`}><span class="line-score-fill" style=${{ width: `${line.score * 100}%` }}></span></span>`}
    <span class="line-text"><bdi>${
      state === 'removed'
        ? html`<del>${parts.map(([, text]) => text)}</del>`
        : parts.map(([kind, text]) =>
            kind === 'gone'
              ? html`<del>${text}</del>`
              : kind === 'new'
                ? html`<ins>${text}</ins>`
                : text,
          )
    }</bdi>${cut > 0 ? html`<em class="cut"> … ${format.counted(cut, 'character')} more</em>` : null}${line.sitePages === null ? null : html`<small class="line-site" title="pages of the site that hold this line"> ${format.whole(line.sitePages)} of ${format.counted(nSitePages, 'page')}</small>`}</span>
    ${
      number === null
        ? null
        : html`<span class="line-judge">
      <button class="quiet" aria-pressed=${said === 'stay'} title="This line should stay (s)" aria-label=${`Line ${number} should stay`} onClick=${() => press('stay')}>stay</button>
      <button class="quiet" aria-pressed=${said === 'go'} title="This line should go (g)" aria-label=${`Line ${number} should go`} onClick=${() => press('go')}>go</button>
    </span>`
    }
  </li>`;
}
