/**
 * Before and after on a terminal: what was removed in red behind a minus, what came in cyan behind a plus, lines that were changed
 * behind a tilde, long stretches that stay folded. Without colours changed characters stand in `[-…-]` and `{+…+}`.
 *
 * Texts are untrusted: what a terminal acts on is shown as an escape, so that no document drives it.
 */

import { counted } from '../figures.ts';
import { escapeHidden } from '../printable.ts';
import { foldedLines, lineDiff, type ShownLine } from '../report/diff.ts';
import type { Paint } from './colour.ts';

/** How much is shown. */
export interface DiffView {
  readonly paint: Paint;
  readonly hasColour: boolean;
  /** Characters of a line, and lines of a document. */
  readonly maxWidth: number;
  readonly maxLines: number;
  /** Lines that stay and are shown on each side of a change. */
  readonly context: number;
}

/** What an edited document lost, in words, and its lines. */
export function diffText(
  before: string,
  after: string,
  view: DiffView,
): { readonly summary: string; readonly lines: readonly string[] } {
  const { lines, nBefore, nRemoved, nChanged, isCut } = lineDiff(before, after);
  const { shown, isCut: isLong } = foldedLines(lines, view);
  const changed = nChanged > 0 ? `, ${nChanged} changed` : '';
  const text = shown.map((line) => lineText(line, view));
  if (isCut || isLong) text.push(view.paint('dim', '  …'));
  return { summary: `${nRemoved} of ${counted(nBefore, 'line')} removed${changed}`, lines: text };
}

/** Lines of a document that is gone. */
export function removedText(text: string, view: DiffView): string[] {
  const lines = text.split('\n');
  const shown = lines
    .slice(0, view.maxLines)
    .map((line) => view.paint('red', `- ${cutText(line, view.maxWidth)}`));
  if (lines.length > shown.length) shown.push(view.paint('dim', '  …'));
  return shown;
}

/** Nothing hidden, and no longer than `maxWidth`. */
export function cutText(text: string, maxWidth: number): string {
  const safe = escapeHidden(text.length > 2 * maxWidth ? text.slice(0, 2 * maxWidth) : text);
  return safe.length > maxWidth ? `${safe.slice(0, maxWidth - 1)}…` : safe;
}

function lineText(line: ShownLine, { paint, hasColour, maxWidth }: DiffView): string {
  if (line.kind === 'fold') {
    return paint('dim', `  … ${counted(line.nLines, 'line')} stay`);
  }
  if (line.kind === 'same') return `  ${cutText(line.parts[0]!.text, maxWidth)}`;
  if (line.kind === 'removed') return paint('red', `- ${cutText(line.parts[0]!.text, maxWidth)}`);
  if (line.kind === 'added') return paint('cyan', `+ ${cutText(line.parts[0]!.text, maxWidth)}`);
  let room = maxWidth;
  const parts = line.parts.map(({ kind, text }) => {
    if (room <= 0) return '';
    const part = cutText(text, room);
    room -= part.length;
    if (kind === 'same') return part;
    if (kind === 'removed')
      return hasColour ? paint(['red', 'strikethrough'], part) : `[-${part}-]`;
    return hasColour ? paint(['cyan', 'underline'], part) : `{+${part}+}`;
  });
  return `~ ${parts.join('')}`;
}
