/** Blind test: lines, or documents, without what became of them. */
import { useEffect, useState } from 'preact/hooks';
import { ask, tell } from './client.ts';
import * as format from './format.ts';
import { html, type View } from './html.ts';
import type { BlindFigure, BlindQuestion, BlindResult } from './types.ts';
import type { ViewState } from './view-state.ts';

type What = 'lines' | 'documents';
type Answer = 'stay' | 'go' | 'unsure';

const ANSWERS: readonly (readonly [Answer, string, string])[] = [
  ['stay', 'Should stay', 's'],
  ['go', 'Should go', 'g'],
  ['unsure', 'Unsure', 'u'],
];

export interface BlindProps {
  readonly state: ViewState;
  readonly change: (change: Partial<ViewState>) => void;
  readonly fail: (error: unknown) => void;
}

export function BlindTab({ state, change, fail }: BlindProps): View {
  const [what, setWhat] = useState<What>('lines');
  const [item, setItem] = useState(0);
  const [question, setQuestion] = useState<BlindQuestion | null>(null);
  const [trouble, setTrouble] = useState('');
  const [result, setResult] = useState<BlindResult | null>(null);
  const { seed } = state;
  useEffect(() => {
    const controller = new AbortController();
    setQuestion(null);
    setTrouble('');
    ask<BlindQuestion>('blind', { what, seed, item }, controller.signal).then(
      setQuestion,
      (error) => {
        if (!controller.signal.aborted) setTrouble((error as Error).message);
      },
    );
    return () => controller.abort();
  }, [what, seed, item]);
  const answer = (given: Answer): void => {
    if (!question) return;
    setQuestion(null);
    setResult(null);
    tell('blind', { what, seed, item, answer: given }).then(() => setItem(item + 1), fail);
  };
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof HTMLInputElement) return;
      const found = ANSWERS.find(([, , key]) => key === event.key);
      if (found) answer(found[0]);
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  });
  const showResult = (): void => {
    ask<BlindResult>('blind-result', { what }).then(setResult, fail);
  };
  const restart = (next: Partial<{ what: What; seed: number }>): void => {
    setItem(0);
    setResult(null);
    if (next.what) setWhat(next.what);
    if (next.seed !== undefined) change({ seed: next.seed });
  };
  return html`<main class="tab blind" id="main">
    <h2>Blind test</h2>
    <p>You see ${what === 'lines' ? 'a line of an edited document' : 'a document'} and are not told whether the refiner kept it. Your
      answers say how often it was right on this corpus. Documents are drawn alike, by seed${what === 'lines' ? ', a line of each' : ''}.</p>
    <div class="controls">
      <div role="group" aria-label="What is shown">
        <button aria-pressed=${what === 'lines'} onClick=${() => restart({ what: 'lines' })}>Lines</button>
        <button aria-pressed=${what === 'documents'} onClick=${() => restart({ what: 'documents' })}>Documents</button>
      </div>
      <label>Seed <input type="number" min="1" max="1000000" value=${seed} onChange=${(event: Event) => restart({ seed: Number((event.target as HTMLInputElement).value) || 1 })} /></label>
      <span class="dim">Question ${item + 1}</span>
    </div>
    <div class="question" aria-live="polite">
      ${trouble ? html`<p class="notice">${trouble}</p>` : null}
      ${question ? html`<${Question} question=${question} />` : trouble ? null : html`<p class="dim">Drawing the next one …</p>`}
    </div>
    <div class="controls" role="group" aria-label="Your answer">
      ${ANSWERS.map(([given, name, key]) => html`<button key=${given} class="big" disabled=${!question} aria-keyshortcuts=${key} onClick=${() => answer(given)}>${name} <kbd>${key}</kbd></button>`)}
      <button onClick=${showResult}>Show the result</button>
    </div>
    ${result ? html`<${Result} ...${{ result, what }} />` : null}
  </main>`;
}

function Question({ question }: { readonly question: BlindQuestion }): View {
  const { text, before, after } = question;
  return html`<div class="blind-lines">
    ${before.map((line, at) => html`<p key=${`b${at}`} class="dim"><bdi>${line || ' '}</bdi></p>`)}
    ${text.split('\n').map((line, at) => html`<p key=${at} class="asked"><bdi>${line || ' '}</bdi></p>`)}
    ${after.map((line, at) => html`<p key=${`a${at}`} class="dim"><bdi>${line || ' '}</bdi></p>`)}
  </div>`;
}

function Result({ result, what }: { readonly result: BlindResult; readonly what: What }): View {
  const rows: readonly (readonly [string, BlindFigure])[] = [
    [`removed ${what} that should go`, result.removed],
    [`kept ${what} that should stay`, result.kept],
  ];
  return html`<table class="result">
    <caption>How often the refiner was right here (95 % interval, Wilson)</caption>
    <thead><tr><th scope="col">Precision of</th><th scope="col">Right</th><th scope="col">Share</th><th scope="col">Interval</th><th scope="col">Unsure</th></tr></thead>
    <tbody>${rows.map(
      ([name, { asked, right, share, low, high, unsure }]) => html`<tr key=${name}>
      <th scope="row">${name}</th>
      <td class="number">${right} of ${asked}</td>
      <td class="number">${share === null ? '–' : format.percent(share)}</td>
      <td class="number">${low === null || high === null ? '–' : `${format.percent(low)} to ${format.percent(high)}`}</td>
      <td class="number">${unsure}</td>
    </tr>`,
    )}</tbody>
  </table>`;
}
