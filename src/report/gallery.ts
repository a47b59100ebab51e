/** Documents of a run before and after, on a page: bounded in lines, in the length of lines and in all. */
import { type DiffLine, foldedLines, lineDiff, type ShownLine } from './diff.ts';
import { escaped, escapedLines, type Html, note, type Section } from './page.ts';
import type { GalleryDocument, RunSample } from './refine-sample.ts';

/** Characters of HTML that the gallery takes, at most. */
const MAX_GALLERY_CHARS = 1_200_000;
const MAX_DOCUMENT_CHARS = 60_000;
const MAX_DIFF_LINES = 40;
const MAX_LINE_CHARS = 600;

/** The gallery of a sample. @param sampled what it was drawn from, in words */
export function gallerySection({ gallery }: RunSample, sampled: string): Section {
  if (gallery.length === 0) return { title: 'Before and after', parts: [] };
  const parts: Html[] = [
    note(
      `Documents drawn from ${sampled}, by reason. Struck through: removed. Long stretches that stay are folded.`,
    ),
  ];
  let room = MAX_GALLERY_CHARS;
  let heading = '';
  for (const document of gallery) {
    const name = `${document.status}: ${document.reason}`;
    const html = galleryDocument(document);
    room -= html.length;
    if (room < 0) {
      parts.push(note('More documents do not fit into this page.'));
      break;
    }
    if (name !== heading) parts.push(`<h3>${escaped(name)}</h3>`);
    heading = name;
    parts.push(html);
  }
  return { title: 'Before and after', parts };
}

function galleryDocument(document: GalleryDocument): Html {
  const { id, row, unit, score, program, before, after, status } = document;
  const name = id ?? (row === null ? `a row of unit ${unit}` : `row ${row} of unit ${unit}`);
  const facts = [
    row === null ? null : `row ${row}`,
    score === null ? null : `score ${score.toFixed(3)}`,
  ].filter((fact) => fact !== null);
  const body =
    before === null
      ? note('The text before could not be read.')
      : `<pre>${status === 'edited' ? diffHtml(before, after ?? '') : plainHtml(before, status === 'dropped')}</pre>`;
  const shownProgram =
    program === null || program === '' ? '' : `<pre>${escaped(program, 2000)}</pre>`;
  return `<details open><summary>${escaped(name)}${facts.length > 0 ? ` <span class="muted">${escaped(facts.join(', '))}</span>` : ''}</summary>${body}${shownProgram}</details>`;
}

function plainHtml(text: string, isRemoved: boolean): Html {
  const lines = text.split('\n');
  const shown = lines
    .slice(0, MAX_DIFF_LINES)
    .map((line) => partHtml(cutLine(line), isRemoved ? 'del' : ''));
  if (lines.length > shown.length) shown.push(`… ${lines.length - shown.length} more lines`);
  return bounded(shown);
}

/** A diff as HTML. */
export function diffHtml(before: string, after: string): Html {
  const { lines, isCut } = lineDiff(before, after);
  const { shown, isCut: isLong } = foldedLines(lines, { context: 1, maxLines: MAX_DIFF_LINES });
  const html = shown.map(shownLine);
  if (isCut || isLong) html.push('…');
  return bounded(html);
}

function shownLine(line: ShownLine): Html {
  if (line.kind === 'fold') return `<span class="muted">… ${line.nLines} lines stay</span>`;
  const sign = SIGNS[line.kind];
  let room = MAX_LINE_CHARS;
  const parts = line.parts.map(({ kind, text }) => {
    const part = cutLine(text, Math.max(0, room));
    room -= part.length;
    return partHtml(part, kind === 'same' ? '' : kind === 'removed' ? 'del' : 'ins');
  });
  return `${sign} ${parts.join('')}`;
}

const SIGNS: Readonly<Record<DiffLine['kind'], string>> = {
  same: ' ',
  removed: '−',
  added: '+',
  changed: '~',
};

function partHtml(text: string, tag: '' | 'del' | 'ins'): Html {
  const safe = escapedLines(text);
  return tag === '' || safe === '' ? safe : `<${tag}>${safe}</${tag}>`;
}

function cutLine(text: string, maxChars = MAX_LINE_CHARS): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
}

function bounded(lines: readonly Html[]): Html {
  let room = MAX_DOCUMENT_CHARS;
  const shown: Html[] = [];
  for (const line of lines) {
    room -= line.length;
    if (room < 0) return [...shown, '…'].join('\n');
    shown.push(line);
  }
  return shown.join('\n');
}
