/** What if: thresholds move, and what the run would have kept follows, from kept scores and without a model. */
import { useEffect, useState } from 'preact/hooks';
import { ask } from './client.ts';
import * as format from './format.ts';
import { html, type View } from './html.ts';
import type { RunSummary, WhatIf, WhatIfFigures } from './types.ts';
import type { ViewState } from './view-state.ts';

export interface WhatIfProps {
  readonly summary: RunSummary;
  readonly change: (change: Partial<ViewState>) => void;
  readonly fail: (error: unknown) => void;
  /** Of the index: figures come in while it is made. */
  readonly version: number;
}

/** Places of sliders: one behind the index of the edge, 0 for none. */
interface Edges {
  readonly document: number;
  readonly line: number;
}

export function WhatIfTab({ summary, change, fail, version }: WhatIfProps): View {
  const [known, setKnown] = useState<WhatIf | null | undefined>(undefined);
  const [edges, setEdges] = useState<Edges | null>(null);
  const [figures, setFigures] = useState<WhatIfFigures | null>(null);
  const [asMade, setAsMade] = useState<WhatIfFigures | null>(null);
  useEffect(() => {
    if (known) return;
    ask<WhatIf | null>('thresholds').then((found) => {
      setKnown(found);
      if (found) setEdges(usedEdges(found));
    }, fail);
  }, [version]);
  const used = known ? usedEdges(known) : null;
  useEffect(() => {
    if (!edges) return;
    const controller = new AbortController();
    ask<WhatIfFigures>('what-if', { ...edges }, controller.signal).then(setFigures, fail);
    return () => controller.abort();
  }, [edges, version]);
  useEffect(() => {
    if (used) ask<WhatIfFigures>('what-if', { ...used }).then(setAsMade, fail);
  }, [known, version]);
  if (known === undefined) return html`<main class="tab" id="main"><h2>What if</h2></main>`;
  if (!known || !edges || !used) {
    return html`<main class="tab" id="main"><h2>What if</h2>
      <p>${summary.scores ? 'The scores are being read …' : 'This run has kept no scores. Run it with --keep-scores, and thresholds can be moved here without asking a model again.'}</p>
    </main>`;
  }
  const { documents, lines } = known;
  return html`<main class="tab what-if" id="main">
    <h2>What if</h2>
    <p>Thresholds of which the kept scores tell exactly. <code>gristmill refine --reuse</code> makes the corpus that they come to.</p>
    ${
      documents
        ? html`<${Slider} title="Document threshold" name="document" thresholds=${documents.thresholds} at=${edges.document} used=${used.document}
      set=${(document: number) => setEdges({ ...edges, document })} says="documents that score below it are dropped" />`
        : null
    }
    ${
      lines
        ? html`<${Slider} title="Line threshold" name="line" thresholds=${lines.thresholds} at=${edges.line} used=${used.line}
      set=${(line: number) => setEdges({ ...edges, line })} says=${retentionOf(lines, edges.line)} />`
        : null
    }
    <div class="controls">
      <button onClick=${() => setEdges(used)}>As the run was made</button>
      ${documents && edges.document !== used.document ? html`<button onClick=${() => change({ tab: 'documents', page: 0, lists: {}, words: '', ranges: { score: between(documents.thresholds, edges.document, used.document) } })}>Show the documents between</button>` : null}
    </div>
    ${figures && asMade ? html`<${Figures} ...${{ figures, asMade }} />` : null}
  </main>`;
}

function usedEdges({ documents, lines }: WhatIf): Edges {
  const place = (part: { thresholds: readonly number[]; used: number | null } | null): number =>
    part && part.used !== null ? part.thresholds.indexOf(part.used) + 1 : 0;
  return { document: place(documents), line: place(lines) };
}

function between(
  thresholds: readonly number[],
  one: number,
  other: number,
): readonly [number, number] {
  const value = (at: number): number => (at === 0 ? 0 : thresholds[at - 1]!);
  return [Math.min(value(one), value(other)), Math.max(value(one), value(other))];
}

function retentionOf({ thresholds, retentions }: NonNullable<WhatIf['lines']>, at: number): string {
  const threshold = at === 0 ? 0 : thresholds[at - 1]!;
  const found = retentions.find((one) => Math.abs(one.threshold - threshold) < 1e-9);
  const says = 'lines that score below it go';
  return found ? `${says}; retention ${found.retention}` : says;
}

interface SliderProps {
  readonly title: string;
  readonly name: string;
  readonly thresholds: readonly number[];
  readonly at: number;
  readonly used: number;
  readonly set: (at: number) => void;
  readonly says: string;
}

function Slider({ title, name, thresholds, at, used, set, says }: SliderProps): View {
  const text = at === 0 ? 'none' : thresholds[at - 1]!.toFixed(4);
  return html`<div class="slider">
    <label for=${`slider-${name}`}>${title} <output>${text}</output>${at === used ? html` <span class="dim">as the run was made</span>` : null}</label>
    <input id=${`slider-${name}`} type="range" min="0" max=${thresholds.length} step="1" value=${at} aria-valuetext=${text}
      onInput=${(event: Event) => set(Number((event.target as HTMLInputElement).value))} />
    <p class="dim">${says}</p>
  </div>`;
}

function Figures({
  figures,
  asMade,
}: {
  readonly figures: WhatIfFigures;
  readonly asMade: WhatIfFigures;
}): View {
  const rows: readonly (readonly [
    string,
    (of: WhatIfFigures) => number,
    (value: number, of: WhatIfFigures) => string,
  ])[] = [
    [
      'Documents dropped',
      (of) => of.dropped,
      (value, of) => `${format.whole(value)} (${format.percent(value / Math.max(1, of.rows))})`,
    ],
    [
      'Documents that lose lines',
      (of) => of.edited,
      (value, of) =>
        `${format.whole(value)} (${format.percent(value / Math.max(1, of.rows - of.dropped))} of those that stay)`,
    ],
    [
      'Lines removed',
      (of) => of.linesGone,
      (value, of) => `${format.whole(value)} (${format.percent(value / Math.max(1, of.lines))})`,
    ],
    [
      'Text removed, with documents',
      (of) => of.bytesDropped,
      (value, of) => `${format.bytes(value)} (${format.percent(value / Math.max(1, of.bytes))})`,
    ],
    [
      'Text removed, with lines',
      (of) => of.bytesGone,
      (value, of) => `${format.bytes(value)} (${format.percent(value / Math.max(1, of.bytes))})`,
    ],
    [
      'Text kept',
      (of) => of.bytes - of.bytesDropped - of.bytesGone,
      (value, of) => `${format.bytes(value)} (${format.percent(value / Math.max(1, of.bytes))})`,
    ],
  ];
  const hasBytes = figures.bytes > 0;
  const kept = hasBytes ? 1 - (figures.bytesDropped + figures.bytesGone) / figures.bytes : null;
  return html`<div aria-live="polite">
    ${
      kept === null
        ? null
        : html`<div class="kept-bar" role="img" aria-label=${`${format.percent(kept)} of the text is kept`}>
      <span class="kept-part" style=${{ width: `${kept * 100}%` }}></span>
      <span class="lines-part" style=${{ width: `${(100 * figures.bytesGone) / figures.bytes}%` }}></span>
    </div><p class="legend"><span class="key kept-part"></span>kept <span class="key lines-part"></span>lines removed <span class="key"></span>documents dropped</p>`
    }
    <table class="result"><caption>Of ${format.counted(figures.rows, 'document')} with scores${figures.rows < figures.total ? ` (of ${format.whole(figures.total)})` : ''}${hasBytes && figures.sizedRows < figures.rows ? `; text of ${format.whole(figures.sizedRows)} measured` : ''}</caption>
      <thead><tr><th scope="col">Figure</th><th scope="col">At these thresholds</th><th scope="col">As the run was made</th><th scope="col">Difference</th></tr></thead>
      <tbody>${rows
        .filter(([name]) => hasBytes || !name.startsWith('Text'))
        .map(([name, of, print]) => {
          const [now, then] = [of(figures), of(asMade)];
          const isBytes = name.startsWith('Text');
          const difference = now - then;
          const size = isBytes
            ? format.bytes(Math.abs(difference))
            : format.whole(Math.abs(difference));
          return html`<tr key=${name}><th scope="row">${name}</th><td class="number">${print(now, figures)}</td><td class="number">${print(then, asMade)}</td>
          <td class="number">${difference === 0 ? '–' : `${difference > 0 ? '+' : '−'}${size}`}</td></tr>`;
        })}</tbody></table>
    ${figures.unscored > 0 ? html`<p class="notice">${format.counted(figures.unscored, 'document')} would stay that the run has dropped: their lines have no scores, and are counted as kept.</p>` : null}
    ${hasBytes ? null : html`<p class="dim">Bytes follow when texts as they came have been measured, where they can be read.</p>`}
  </div>`;
}
