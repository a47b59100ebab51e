/** Pieces of a figure beside its charts: texts, legends, stripes. Text is put in by the document, which escapes it. */
import { printable } from '../printable.ts';
import { INK } from './theme.ts';

/** What is used of an element of a document; the project is written without the library of a browser. */
export interface SvgElement {
  readonly attributes: Iterable<{ readonly name: string; readonly value: string }>;
  readonly outerHTML: string;
  readonly localName: string;
  readonly children: Iterable<SvgElement>;
  textContent: string | null;
  append(...children: readonly SvgElement[]): void;
  remove(): void;
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  querySelectorAll(selector: string): Iterable<SvgElement>;
}

/** What is used of a document. */
export interface SvgDocument {
  createElementNS(namespace: string, name: string): SvgElement;
}

/** An entry of a legend. */
export interface LegendEntry {
  readonly name: string;
  readonly colour: string;
  /** A line (dashed or not), an area (plain or striped), a dot. Default: area. */
  readonly mark?: 'line' | 'area' | 'dot';
  readonly dash?: string | undefined;
}

/** Pixels of a letter, about. */
export const LETTER = 6.4;
export const MARGIN = 12;
const MAX_LEGEND = 40;
const MAX_TEXT = 30;

/** Text as it may stand in a figure: one line, nothing hidden, bounded. */
export function figureText(value: string, maxChars: number = MAX_TEXT): string {
  const seen = printable(value, 4 * maxChars);
  return seen.length > maxChars ? `${seen.slice(0, maxChars - 1)}…` : seen;
}

/** An entry and its place in its row. */
export interface PlacedEntry {
  readonly x: number;
  readonly entry: LegendEntry;
}

/** Rows of entries, each as wide as its text. */
export function legendRows(entries: readonly LegendEntry[], width: number): PlacedEntry[][] {
  const shown = entries.slice(0, MAX_LEGEND);
  const more = entries.length - shown.length;
  const rows: PlacedEntry[][] = [];
  let x = Number.POSITIVE_INFINITY;
  for (const entry of [
    ...shown,
    ...(more > 0 ? [{ name: `and ${more} more`, colour: 'none' }] : []),
  ]) {
    const room = Math.round(40 + figureText(entry.name).length * LETTER);
    if (x + room > width - MARGIN) {
      rows.push([]);
      x = MARGIN;
    }
    rows.at(-1)!.push({ x, entry });
    x += room;
  }
  return rows;
}

/** Mark and name of an entry. */
export function legendMark(
  document: SvgDocument,
  { name, colour, mark = 'area', dash }: LegendEntry,
  x: number,
  y: number,
): SvgElement {
  const group = element(document, 'g', {});
  const line = { x1: x, x2: x + 20, y1: y, y2: y, stroke: colour, 'stroke-width': 2 };
  const marks = {
    line: () => element(document, 'line', { ...line, ...(dash && { 'stroke-dasharray': dash }) }),
    dot: () => element(document, 'circle', { cx: x + 10, cy: y, r: 4, fill: colour }),
    area: () => element(document, 'rect', { x, y: y - 6, width: 18, height: 12, fill: colour }),
  };
  if (colour !== 'none') group.append(marks[mark]());
  group.append(text(document, figureText(name), x + 25, y + 4, {}));
  return group;
}

/** Stripes in each of some colours. */
export function hatchPatterns(document: SvgDocument, colours: readonly string[]): SvgElement {
  const defs = element(document, 'defs', {});
  for (const [at, colour] of colours.entries()) {
    const pattern = element(document, 'pattern', {
      id: `hatch-${at}`,
      ...{ width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
    });
    pattern.append(
      element(document, 'rect', { width: 5, height: 5, fill: colour, 'fill-opacity': 0.25 }),
      element(document, 'rect', { width: 2, height: 5, fill: colour }),
    );
    defs.append(pattern);
  }
  return defs;
}

/** An element by its name. */
export function element(
  document: SvgDocument,
  name: string,
  attributes: Readonly<Record<string, string | number>>,
): SvgElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** Text at a place. */
export function text(
  document: SvgDocument,
  content: string,
  x: number,
  y: number,
  attributes: Readonly<Record<string, string | number>>,
): SvgElement {
  const made = element(document, 'text', { x, y, fill: INK, ...attributes });
  made.textContent = content;
  return made;
}
