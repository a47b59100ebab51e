/** What has been judged, documents for labelling elsewhere, labels back. */
import { useEffect, useState } from 'preact/hooks';
import { ask, tell } from './client.ts';
import * as format from './format.ts';
import { html, type View } from './html.ts';
import { Status } from './table.ts';
import type { Judged, RunSummary, Verdict } from './types.ts';
import type { ViewState } from './view-state.ts';

const NAMES: Readonly<Record<Verdict, string>> = {
  right: 'right',
  should_stay: 'should have stayed',
  should_go: 'should have gone',
};

export interface JudgedProps {
  readonly summary: RunSummary;
  readonly change: (change: Partial<ViewState>) => void;
  readonly fail: (error: unknown) => void;
}

interface Taken {
  readonly taken: number;
  readonly unknown: number;
  readonly unlabelled: number;
}

export function JudgedTab({ summary, change, fail }: JudgedProps): View {
  const [judged, setJudged] = useState<Judged | null>(null);
  const [taken, setTaken] = useState<Taken | null>(null);
  const [n, setN] = useState(100);
  const load = (): void => {
    ask<Judged>('judged').then(setJudged, fail);
  };
  useEffect(load, []);
  const upload = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    const [file] = input.files ?? [];
    if (!file) return;
    tell<Taken>('labels', file).then((answer) => {
      setTaken(answer);
      input.value = '';
      load();
    }, fail);
  };
  const folder = `${summary.out}/_judgements`;
  return html`<main class="tab judged" id="main">
    <h2>Judgements</h2>
    ${judged ? html`<p>${format.counted(judged.counts.documents, 'document')}, ${format.counted(judged.counts.lines, 'line')} judged, ${format.counted(judged.counts.notes, 'note')}.</p>` : null}
    <p>They lie beside the run, in <code>${folder}</code>: <code>judgements.jsonl</code> has every answer in order, <code>documents.jsonl</code> and
      <code>lines.jsonl</code> are the labels that follow from them.</p>
    <pre class="program" tabIndex=${0}>${`gristmill eval documents --refiner default --data ${folder}/documents.jsonl
gristmill eval lines --refiner default --data ${folder}/lines.jsonl
gristmill annotate chunks ${folder}/lines.jsonl --way gold --out examples`}</pre>
    <h3>Label elsewhere</h3>
    <p>Documents whose score is nearest to the threshold, for a labelling tool, and its labels back (Label Studio’s or Argilla’s export).</p>
    <div class="controls">
      <label>Documents <input type="number" min="1" max="5000" value=${n} onInput=${(event: Event) => setN(Number((event.target as HTMLInputElement).value) || 1)} /></label>
      <a class="button" download href=${`api/export?form=label-studio&n=${n}`}>Label Studio (.json)</a>
      <a class="button" download href=${`api/export?form=argilla&n=${n}`}>Argilla (.jsonl)</a>
      <label class="button">Take labels back <input type="file" class="file" accept=".json,.jsonl" onChange=${upload} /></label>
    </div>
    <p role="status">${taken ? `${format.counted(taken.taken, 'label')} taken; ${taken.unknown} of other runs or rows, ${taken.unlabelled} without a label.` : ''}</p>
    ${
      judged && judged.documents.length > 0
        ? html`<table class="result"><caption>Last judged</caption>
      <thead><tr><th scope="col">Document</th><th scope="col">Became</th><th scope="col">You said</th><th scope="col">Lines</th><th scope="col">Note</th></tr></thead>
      <tbody>${judged.documents.map(
        ({ unit, position, judgement, row }) => html`<tr key=${`${unit}:${position}`}>
        <td><button class="link" onClick=${() => change({ tab: 'documents', open: { unit, position } })}>unit ${unit}, row ${position}</button></td>
        <td>${row ? html`<${Status} status=${row.status} />` : '–'}</td>
        <td>${judgement.verdict ? NAMES[judgement.verdict] : '–'}</td>
        <td class="number">${Object.keys(judgement.lines).length}</td>
        <td><bdi>${judgement.note}</bdi></td>
      </tr>`,
      )}</tbody></table>`
        : null
    }
  </main>`;
}
