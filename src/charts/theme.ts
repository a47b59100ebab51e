/**
 * Colours of all figures and pages, by name: light, and dark where whoever looks prefers that.
 *
 * Figures name colours (`var(--gm-ink)`); what they are stands once a document, in {@link THEME_CSS}. The eight series were
 * searched for by computer: any two stay apart (0.1 in OKLab) for people without red, green or blue cones too, and all keep
 * 3 : 1 to the paper. Beyond eight, lines are also dashed.
 */

/** Values of a colour on light and on dark paper. */
type Pair = readonly [light: string, dark: string];

const COLOURS: Readonly<Record<string, Pair>> = {
  paper: ['#ffffff', '#16181d'],
  ink: ['#1f2328', '#e6e8eb'],
  muted: ['#59606a', '#a7adb6'],
  grid: ['#dfe2e6', '#33373f'],
  accent: ['#1b62a5', '#5aa9f0'],
  removed: ['#a3260d', '#ff9d85'],
  'removed-paper': ['#fdecea', '#3b1a16'],
  added: ['#0a5c9e', '#8cc8ff'],
  'added-paper': ['#e6f1fb', '#12273b'],
  negative: ['#1b62a5', '#5aa9f0'],
  positive: ['#b3370f', '#f2875c'],
  s0: ['#1b62a5', '#5aa9f0'],
  s1: ['#cd8124', '#91732d'],
  s2: ['#7f2014', '#cbcf99'],
  s3: ['#158eff', '#666af3'],
  s4: ['#9c84ad', '#f07aa0'],
  s5: ['#53345e', '#c54090'],
  s6: ['#c1460f', '#8ed3fd'],
  s7: ['#95626d', '#81a705'],
};

const N_SERIES = 8;
const DASHES = [undefined, '6 3', '2 3', '8 3 2 3'] as const;

/** A colour by its name, for attributes of figures and for style sheets. */
export function colour(name: string): string {
  return `var(--gm-${name})`;
}

export const PAPER: string = colour('paper');
export const INK: string = colour('ink');
export const MUTED: string = colour('muted');
export const GRID: string = colour('grid');

/** How the series of a figure are told apart. */
export interface SeriesStyle {
  readonly stroke: string;
  /** Lengths of dashes and gaps; none for a whole line. */
  readonly strokeDasharray?: string;
}

/** The style of a series; eight colours, then the same dashed. */
export function seriesStyle(index: number): SeriesStyle {
  const dash = DASHES[Math.floor(index / N_SERIES) % DASHES.length];
  return { stroke: seriesColour(index), ...(dash !== undefined && { strokeDasharray: dash }) };
}

/** The colour of a series. */
export function seriesColour(index: number): string {
  return colour(`s${index % N_SERIES}`);
}

/** What the names of colours mean, as CSS below `selector`. */
export function themeCss(selector: string): string {
  const values = (at: 0 | 1): string =>
    Object.entries(COLOURS)
      .map(([name, pair]) => `--gm-${name}:${pair[at]}`)
      .join(';');
  const dark = `${selector}{${values(1)}}`;
  return `${selector}{color-scheme:light dark;${values(0)}}@media (prefers-color-scheme:dark){${dark}}@media print{${selector}{color-scheme:light;${values(0)}}}`;
}

/** The values of all colours on one paper. */
export function paletteOf(paper: 'light' | 'dark'): ReadonlyMap<string, string> {
  const at = paper === 'light' ? 0 : 1;
  return new Map(Object.entries(COLOURS).map(([name, pair]) => [name, pair[at]]));
}

/** A figure with the colours themselves in the place of their names, for renderers that know no variables. */
export function withColours(svg: string, paper: 'light' | 'dark'): string {
  const palette = paletteOf(paper);
  return svg.replace(/="var\(--gm-([\w-]+)\)"/g, (whole, name: string) => {
    const value = palette.get(name);
    return value === undefined ? whole : `="${value}"`;
  });
}
