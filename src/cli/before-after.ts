/**
 * Before and after of a few documents, as a person reads them: what was removed in red behind a minus, what stays
 * behind a space, long stretches that stay folded. Colour only on a terminal, and never with NO_COLOR.
 *
 * Texts are untrusted: control characters are shown as escapes, so that no document drives the terminal.
 */
import { styleText } from 'node:util';
import { counted } from '../figures.ts';
import { escapeHidden } from '../printable.ts';
import type { RefinedRow } from '../refine/run-options.ts';

/** Lines of one document that are shown, at most. */
const MAX_LINES = 28;
/** Lines that stay and are shown on each side of what goes. */
const CONTEXT = 1;
const MAX_WIDTH = 96;

type Style = 'red' | 'bold' | 'dim';

/** Keeps the first documents of a run that were edited or dropped. */
export class BeforeAfter {
  readonly #limit: number;
  readonly #edited: string[] = [];
  readonly #dropped: string[] = [];
  readonly #paint: (style: Style, text: string) => string;

  /**
   * @param limit documents of each kind
   * @param colour use colours
   */
  constructor(limit: number, colour: boolean) {
    this.#limit = limit;
    this.#paint = colour ? (style, text) => styleText(style, text) : (_, text) => text;
  }

  add(document: RefinedRow): void {
    const { status, reason } = document;
    if (status === 'edited' && this.#edited.length < this.#limit) {
      this.#edited.push(this.#editedText(document));
    }
    if (status === 'dropped' && this.#dropped.length < this.#limit) {
      const first =
        document
          .before()
          .split('\n')
          .find((line) => line.trim() !== '') ?? '';
      const name = this.#paint('bold', nameOf(document));
      this.#dropped.push(
        `${name} dropped (${reason})\n${this.#paint('red', `- ${cut(first)} …`)}\n`,
      );
    }
  }

  /** Everything that was kept, ready to print. */
  text(): string {
    return [...this.#edited, ...this.#dropped].map((part) => `${part}\n`).join('');
  }

  #editedText(document: RefinedRow): string {
    const before = document.before().split('\n');
    const stays = stayingLines(before, (document.after() ?? '').split('\n'));
    const shown = before.map((_, line) => {
      for (let near = line - CONTEXT; near <= line + CONTEXT; near++) {
        if (stays[near] === 0) return true;
      }
      return false;
    });
    const nRemoved = stays.filter((flag) => flag === 0).length;
    const lines: string[] = [
      `${this.#paint('bold', nameOf(document))} edited: ${nRemoved} of ${counted(before.length, 'line')} removed`,
    ];
    for (let line = 0; line < before.length && lines.length <= MAX_LINES; ) {
      if (shown[line]) {
        const text = cut(before[line]!);
        lines.push(stays[line] === 1 ? `  ${text}` : this.#paint('red', `- ${text}`));
        line++;
        continue;
      }
      const start = line;
      while (line < before.length && !shown[line]) line++;
      lines.push(
        this.#paint(
          'dim',
          `  … ${counted(line - start, 'line')} ${line - start === 1 ? 'stays' : 'stay'}`,
        ),
      );
    }
    if (lines.length > MAX_LINES) lines.push(this.#paint('dim', '  …'));
    return `${lines.join('\n')}\n`;
  }
}

/** True when colours are wanted on `stream`. */
export function wantsColour(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
}

/** 1 where a line of `before` stands in `after` too, in order; each line of `after` is used once. */
function stayingLines(before: readonly string[], after: readonly string[]): Uint8Array {
  const stays = new Uint8Array(before.length);
  let next = 0;
  // What the executor leaves is a subsequence: taking every match at once finds one.
  for (let line = 0; line < before.length && next < after.length; line++) {
    if (before[line] !== after[next]) continue;
    stays[line] = 1;
    next++;
  }
  return stays;
}

function nameOf({ id, row }: RefinedRow): string {
  return id === null ? `row ${row}` : `row ${row} (${cut(id)})`;
}

function cut(text: string): string {
  const safe = escapeHidden(text.length > 2 * MAX_WIDTH ? text.slice(0, 2 * MAX_WIDTH) : text);
  return safe.length > MAX_WIDTH ? `${safe.slice(0, MAX_WIDTH - 1)}…` : safe;
}
