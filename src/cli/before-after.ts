/**
 * Before and after of a few documents of a run that is under way, as a person reads them (terminal-diff.ts). Documents are put into
 * words as they come, so that no text is kept.
 */
import type { RefinedRow } from '../refine/run-options.ts';
import { painter } from './colour.ts';
import { cutText, type DiffView, diffText } from './terminal-diff.ts';

const MAX_LINES = 28;
const MAX_WIDTH = 96;

/** Keeps the first documents of a run that were edited or dropped. */
export class BeforeAfter {
  readonly #limit: number;
  readonly #edited: string[] = [];
  readonly #dropped: string[] = [];
  readonly #view: DiffView;

  /**
   * @param limit documents of each kind
   * @param hasColour use colours
   */
  constructor(limit: number, hasColour: boolean) {
    this.#limit = limit;
    const paint = painter(hasColour);
    this.#view = { paint, hasColour, maxWidth: MAX_WIDTH, maxLines: MAX_LINES, context: 1 };
  }

  add(document: RefinedRow): void {
    const { status, reason } = document;
    const { paint } = this.#view;
    if (status === 'edited' && this.#edited.length < this.#limit) {
      const { summary, lines } = diffText(document.before(), document.after() ?? '', this.#view);
      const head = `${paint('bold', nameOf(document))} edited: ${summary}`;
      this.#edited.push(`${[head, ...lines].join('\n')}\n`);
    }
    if (status === 'dropped' && this.#dropped.length < this.#limit) {
      const lines = document.before().split('\n');
      const first = lines.find((line) => line.trim() !== '') ?? '';
      const name = paint('bold', nameOf(document));
      const shown = paint('red', `- ${cutText(first, MAX_WIDTH)} …`);
      this.#dropped.push(`${name} dropped (${reason})\n${shown}\n`);
    }
  }

  /** Everything that was kept, ready to print. */
  text(): string {
    return [...this.#edited, ...this.#dropped].map((part) => `${part}\n`).join('');
  }
}

function nameOf({ id, row }: RefinedRow): string {
  return id === null ? `row ${row}` : `row ${row} (${cutText(id, MAX_WIDTH)})`;
}
