/** Small pieces of SVG: a page, panels with axes, colours. Every text is escaped here and nowhere else. */
import { printable } from '../errors.ts';
import { escapeMarkup } from '../markup.ts';

/** Colours that lines and bars take in turn. */
export const COLOURS = [
  '#1f5fa8',
  '#c0392b',
  '#2e8b57',
  '#b8860b',
  '#7d3c98',
  '#d35400',
  '#148f9c',
  '#7f8c1d',
  '#c2458f',
  '#5d6d7e',
] as const;

const MAX_LABEL = 30;
const N_TICKS = 4;

/** A figure by its parts. */
export function svgOf(width: number, height: number, parts: readonly string[]): string {
  const size = `viewBox="0 0 ${num(width)} ${num(height)}" width="${num(width)}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11">`,
    `<rect width="${num(width)}" height="${num(height)}" fill="white"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

/** Text at a place. */
export function textAt(
  x: number,
  y: number,
  text: string,
  {
    anchor = 'start',
    size,
    turn,
    fill,
  }: {
    readonly anchor?: 'start' | 'middle' | 'end';
    readonly size?: number;
    /** Degrees around the place. */
    readonly turn?: number;
    readonly fill?: string;
  } = {},
): string {
  const attributes = [
    `x="${num(x)}" y="${num(y)}"`,
    anchor === 'start' ? '' : ` text-anchor="${anchor}"`,
    size === undefined ? '' : ` font-size="${size}"`,
    turn === undefined ? '' : ` transform="rotate(${turn} ${num(x)} ${num(y)})"`,
    fill === undefined ? '' : ` fill="${fill}"`,
  ];
  return `<text ${attributes.join('')}>${escapeMarkup(printable(text))}</text>`;
}

/** A name cut to what fits beside a figure. */
export function label(name: string): string {
  return name.length > MAX_LABEL ? `${name.slice(0, MAX_LABEL - 1)}…` : name;
}

/** A coordinate: two decimals are finer than a screen. */
export function num(value: number): string {
  return String(Number(value.toFixed(2)));
}

/** The range of finite values, widened where it is empty. */
export function rangeOf(values: Iterable<number>): readonly [low: number, high: number] {
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

/** A panel with axes. */
export interface Panel {
  /** Frame, ticks, title. */
  readonly frame: string;
  x(value: number): number;
  y(value: number): number;
}

/** Lays out a panel; `left`, `top`, `width` and `height` are those of the plotted area. */
export function panelAt({
  left,
  top,
  width,
  height,
  xRange,
  yRange,
  title,
  xTicks,
}: {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly xRange: readonly [number, number];
  readonly yRange: readonly [number, number];
  readonly title: string;
  /** Places of ticks and what they say. Default: even steps. */
  readonly xTicks?: readonly (readonly [at: number, text: string])[];
}): Panel {
  const x = (value: number): number =>
    left + ((value - xRange[0]) / (xRange[1] - xRange[0])) * width;
  const y = (value: number): number =>
    top + height - ((value - yRange[0]) / (yRange[1] - yRange[0])) * height;
  const along = xTicks ?? ticksOf(xRange).map((value) => [value, tickText(value, xRange)] as const);
  const frame = [
    ...ticksOf(yRange).flatMap((value) => [
      `<line x1="${num(left)}" x2="${num(left + width)}" y1="${num(y(value))}" y2="${num(y(value))}" stroke="#e5e5e5"/>`,
      textAt(left - 5, y(value) + 4, tickText(value, yRange), { anchor: 'end', fill: '#555' }),
    ]),
    ...along.map(([value, text]) =>
      textAt(x(value), top + height + 14, text, { anchor: 'middle', fill: '#555' }),
    ),
    `<rect x="${num(left)}" y="${num(top)}" width="${num(width)}" height="${num(height)}" fill="none" stroke="#999"/>`,
    textAt(left, top - 7, title, { size: 12 }),
  ].join('\n');
  return { frame, x, y };
}

function ticksOf([low, high]: readonly [number, number]): number[] {
  return Array.from({ length: N_TICKS }, (_, tick) => low + ((high - low) * tick) / (N_TICKS - 1));
}

/** As many decimals as the range needs. */
function tickText(value: number, [low, high]: readonly [number, number]): string {
  const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(high - low))));
  return value.toFixed(digits);
}

/** A line through points. */
export function lineThrough(
  points: readonly (readonly [x: number, y: number])[],
  {
    stroke,
    width = 1.5,
    dash,
  }: {
    readonly stroke: string;
    readonly width?: number;
    /** Lengths of dashes and gaps, e.g. `5 3`. None: a whole line. */
    readonly dash?: string;
  },
): string {
  const path = points.map(([x, y]) => `${num(x)},${num(y)}`).join(' ');
  const dashes = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
  return `<polyline fill="none" stroke="${stroke}" stroke-width="${width}"${dashes} points="${path}"/>`;
}

/** Blue for −1, white for 0, red for 1. */
export function divergingColour(value: number): string {
  const strength = Math.min(1, Math.abs(value));
  const to = value < 0 ? [31, 95, 168] : [192, 57, 43];
  const channels = to.map((channel) => Math.round(255 + (channel - 255) * strength));
  return `rgb(${channels.join(',')})`;
}
