/**
 * The plotting room: every figure of every command is drawn here, by Observable Plot over linkedom.
 *
 * Why Plot: a mark a layer and a scale an axis say what was measured, ticks and labels are chosen well, and it draws into any
 * `document`; linkedom gives one in a tenth of jsdom's size. Both run on Node 20. Vega does as much from JSON, in five times the
 * bytes and with a runtime of its own; the charts that were drawn by hand had each its own ticks. Both are loaded with the first
 * figure (half a CPU-second) and never before.
 *
 * Invariants
 *  1. A figure is one SVG text that stands alone: no script, no style attribute, nothing loaded, colours by name (theme.ts).
 *  2. What is hidden in a text is made seen: here in those of Plot, by `figureText` in all others. Markup is escaped by the
 *     serialiser; no text from outside becomes an attribute, which it escapes for HTML alone.
 *  3. The same numbers give the same bytes: no counters in names of classes, coordinates with two decimals.
 */
import type * as PlotModule from '@observablehq/plot';
import { libraries } from '../libraries/index.ts';
import { escapeHidden } from '../printable.ts';
import {
  element,
  figureText,
  hatchPatterns,
  LETTER,
  type LegendEntry,
  legendMark,
  legendRows,
  MARGIN,
  type SvgDocument,
  type SvgElement,
  text,
} from './elements.ts';
import { GRID, INK, PAPER, themeCss } from './theme.ts';

/** What draws: Plot's own functions, for marks. */
export type Plot = typeof PlotModule;

/** A chart of a figure: options of Plot, without what the figure says itself. */
export type ChartOptions = Omit<
  PlotModule.PlotOptions,
  'document' | 'title' | 'caption' | 'figure'
>;

/** A panel of a figure. */
export interface Panel {
  readonly title?: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly chart: ChartOptions;
}

/** A figure by its parts. */
export interface FigureSpec {
  readonly title: string;
  /** What is seen, for whoever does not see it. Default: the title. */
  readonly description?: string;
  readonly panels: readonly Panel[];
  /** Panels side by side. Default 1. */
  readonly columns?: number;
  readonly legend?: readonly LegendEntry[];
  /** Colours of which `url(#hatch-…)` fills are made; see {@link hatchOf}. */
  readonly hatches?: readonly string[];
}

const TITLE_HEIGHT = 30;
const PANEL_TITLE = 20;
const LEGEND_ROW = 20;
const MAX_TITLE = 110;
const FONT = 'system-ui, sans-serif';
const STYLE = `<style>${themeCss(':root')}</style>`;
const NUMBERS: ReadonlySet<string> = new Set(
  'd transform x y x1 x2 y1 y2 cx cy r rx ry width height points dx dy'.split(' '),
);

let opened: Promise<{ readonly Plot: Plot; readonly document: SvgDocument }> | null = null;

async function open() {
  const { Plot, parseHTML } = await libraries.plot();
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  return { Plot, document: document as unknown as SvgDocument };
}

/**
 * Draws a figure.
 *
 * @param specOf its parts, made with Plot's marks
 * @returns SVG
 */
export async function drawFigure(specOf: (plot: Plot) => FigureSpec): Promise<string> {
  opened ??= open();
  const { Plot, document } = await opened;
  const spec = specOf(Plot);
  const columns = Math.max(1, Math.min(spec.columns ?? 1, spec.panels.length));
  const cells = placed(spec.panels, columns);
  const width = Math.max(
    360,
    MARGIN + Math.max(0, ...cells.map(({ x, panel }) => x + panel.width)),
  );
  const legend = legendRows(spec.legend ?? [], width);
  const top = TITLE_HEIGHT + legend.length * LEGEND_ROW + (legend.length > 0 ? 6 : 0);
  const height = top + MARGIN + Math.max(0, ...cells.map(({ y, panel }) => y + panelHeight(panel)));
  const root = element(document, 'svg', {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: 'img',
    fill: INK,
    color: INK,
    'font-family': FONT,
    'font-size': 11,
  });
  // The name of the picture, as an element: the serialiser escapes texts for XML, attributes only for HTML.
  const name = element(document, 'title', {});
  name.textContent = figureText(spec.description ?? spec.title, MAX_TITLE * 2);
  const style = element(document, 'style', {});
  style.textContent = themeCss(':root');
  root.append(name, style, element(document, 'rect', { width, height, fill: PAPER }));
  if (spec.hatches) root.append(hatchPatterns(document, spec.hatches));
  root.append(text(document, figureText(spec.title, MAX_TITLE), MARGIN, 20, { 'font-size': 14 }));
  for (const [row, entries] of legend.entries()) {
    const y = TITLE_HEIGHT + row * LEGEND_ROW + 8;
    for (const { x, entry } of entries) root.append(legendMark(document, entry, x, y));
  }
  for (const { panel, x, y } of cells) root.append(drawn(Plot, document, panel, x, top + y));
  const svg = root.outerHTML.replace(/^<svg/, '<svg xmlns="http://www.w3.org/2000/svg"');
  return `${svg}\n`;
}

/** A figure for a page that has the theme itself: without a style sheet of its own. */
export function inlineFigure(svg: string): string {
  return svg.replace(STYLE, '').trim();
}

/** Room for the longest of some names beside an axis, in pixels. */
export function marginFor(names: readonly string[], least = 40): number {
  return Math.ceil(Math.max(least, ...names.map((name) => name.length * LETTER + 14)));
}

/** The striped fill in the colour of {@link FigureSpec.hatches}. */
export function hatchOf(index: number): string {
  return `url(#hatch-${index})`;
}

/** Many dots as one line: of no length each, with round ends. */
export function dotsThrough<T>(points: readonly T[]): (T | null)[] {
  return points.flatMap((point) => [point, null]);
}

/** The range of finite values, widened where it is empty. */
export function rangeOf(values: Iterable<number>): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** No more points than `most`: neighbours are averaged, and each group stands where its last point does. */
export function thinnedPoints(
  points: readonly (readonly [x: number, y: number])[],
  most: number,
): [x: number, y: number][] {
  const every = Math.max(1, Math.ceil(points.length / most));
  return Array.from({ length: Math.ceil(points.length / every) }, (_, group) => {
    const own = points.slice(group * every, (group + 1) * every);
    return [own.at(-1)![0], own.reduce((sum, [, value]) => sum + value, 0) / own.length];
  });
}

interface Cell {
  readonly panel: Panel;
  readonly x: number;
  readonly y: number;
}

function panelHeight({ height, title }: Panel): number {
  return height + (title === undefined ? 0 : PANEL_TITLE);
}

/** Panels row by row, as wide as their columns. */
function placed(panels: readonly Panel[], columns: number): Cell[] {
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...panels.filter((__, at) => at % columns === column).map((one) => one.width)),
  );
  const cells: Cell[] = [];
  let y = 0;
  for (let first = 0; first < panels.length; first += columns) {
    const row = panels.slice(first, first + columns);
    let x = 0;
    for (const [column, panel] of row.entries()) {
      cells.push({ panel, x, y });
      x += widths[column]! + MARGIN;
    }
    y += Math.max(...row.map(panelHeight)) + MARGIN;
  }
  return cells;
}

function drawn(plot: Plot, document: SvgDocument, panel: Panel, x: number, y: number): SvgElement {
  const { width, height, title, chart } = panel;
  const svg = plot.plot({
    ...{ width, height, className: 'chart', document },
    ...chart,
    style: {},
  } as PlotModule.PlotOptions) as unknown as SvgElement;
  for (const style of svg.querySelectorAll('style')) style.remove();
  for (const each of [svg, ...svg.querySelectorAll('*')]) tidy(each);
  const top = title === undefined ? y : y + PANEL_TITLE;
  for (const name of ['class', 'fill', 'font-family', 'font-size']) svg.removeAttribute(name);
  svg.setAttribute('x', String(x));
  svg.setAttribute('y', String(top));
  const group = element(document, 'g', {});
  if (title !== undefined) {
    const said = figureText(title, Math.floor(width / LETTER));
    group.append(text(document, said, x + MARGIN, y + 14, { 'font-size': 12 }));
  }
  group.append(svg);
  return group;
}

/** Two decimals are finer than a screen; colours of axes are the theme's; what only a browser's scripts read goes. */
function tidy(each: SvgElement): void {
  each.removeAttribute('style');
  // Texts of marks and axes, after Plot has laid them out.
  if (each.localName === 'text' || each.localName === 'tspan') {
    if ([...each.children].length === 0) each.textContent = escapeHidden(each.textContent ?? '');
  }
  for (const { name, value } of [...each.attributes]) {
    // A label of a part without a role says nothing to anybody.
    if (name === 'aria-label' || name === 'aria-hidden') each.removeAttribute(name);
    else if (NUMBERS.has(name)) each.setAttribute(name, rounded(value));
    else if (value === 'currentColor') each.setAttribute(name, INK);
  }
  if (each.getAttribute('stroke-opacity') === '0.1') {
    each.removeAttribute('stroke-opacity');
    each.setAttribute('stroke', GRID);
  }
}

function rounded(value: string): string {
  return value.replace(/-?\d+\.\d{3,}(?:e-?\d+)?/g, (number) =>
    String(Number(Number(number).toFixed(2))),
  );
}
