/**
 * Colours of figures are told apart by everybody: contrast by WCAG 2.2 (1.4.11 and 1.4.3), colour-blindness as Machado, Oliveira
 * and Fernandes simulate it (2009, severity 1.0), distances in OKLab.
 */
import { describe, expect, it } from 'vitest';
import {
  paletteOf,
  seriesColour,
  seriesStyle,
  themeCss,
  withColours,
} from '../../src/charts/theme.ts';

type Triple = readonly [number, number, number];
type Matrix = readonly [Triple, Triple, Triple];

const VISIONS: readonly (readonly [string, Matrix])[] = [
  [
    'all cones',
    [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ],
  ],
  [
    'no red cones',
    [
      [0.152286, 1.052583, -0.204868],
      [0.114503, 0.786281, 0.099216],
      [-0.003882, -0.048116, 1.051998],
    ],
  ],
  [
    'no green cones',
    [
      [0.367322, 0.860646, -0.227968],
      [0.280085, 0.672501, 0.047413],
      [-0.01182, 0.04294, 0.968881],
    ],
  ],
  [
    'no blue cones',
    [
      [1.255528, -0.076749, -0.178779],
      [-0.078411, 0.930809, 0.147602],
      [0.004733, 0.691367, 0.3039],
    ],
  ],
];

const times = (matrix: Matrix, vector: Triple): Triple => {
  const [a, b, c] = matrix.map(
    (row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2],
  );
  return [a!, b!, c!];
};

/** Linear light of `#rrggbb`. */
function lightOf(hex: string): Triple {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return [r!, g!, b!];
}

const luminance = ([r, g, b]: Triple): number => 0.2126 * r + 0.7152 * g + 0.0722 * b;

function contrast(one: string, other: string): number {
  const [dark, bright] = [luminance(lightOf(one)), luminance(lightOf(other))].sort((a, b) => a - b);
  return (bright! + 0.05) / (dark! + 0.05);
}

function oklab(light: Triple): Triple {
  const inside = light.map((value) => Math.min(1, Math.max(0, value))) as unknown as Triple;
  const cones = times(
    [
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    inside,
  ).map(Math.cbrt) as unknown as Triple;
  return times(
    [
      [0.2104542553, 0.793617785, -0.0040720468],
      [1.9779984951, -2.428592205, 0.4505937099],
      [0.0259040371, 0.7827717662, -0.808675766],
    ],
    cones,
  );
}

function distance(one: string, other: string, vision: Matrix): number {
  const [a, b] = [one, other].map((hex) => oklab(times(vision, lightOf(hex))));
  return Math.hypot(a![0] - b![0], a![1] - b![1], a![2] - b![2]);
}

describe.each(['light', 'dark'] as const)('on %s paper', (paper) => {
  const palette = paletteOf(paper);
  const at = (name: string): string => palette.get(name)!;
  const series = Array.from({ length: 8 }, (_, index) => at(`s${index}`));

  it('lines and areas stand out from the paper, and texts can be read', () => {
    for (const colour of [...series, at('negative'), at('positive'), at('accent')]) {
      expect(contrast(colour, at('paper'))).toBeGreaterThanOrEqual(3);
    }
    for (const name of ['ink', 'muted', 'removed', 'added', 'accent']) {
      expect(contrast(at(name), at('paper'))).toBeGreaterThanOrEqual(4.5);
    }
    for (const kind of ['removed', 'added']) {
      expect(contrast(at(kind), at(`${kind}-paper`))).toBeGreaterThanOrEqual(4.5);
      expect(contrast(at('ink'), at(`${kind}-paper`))).toBeGreaterThanOrEqual(7);
    }
  });

  it.each(VISIONS)('series are told apart with %s', (_, vision) => {
    for (const [index, one] of series.entries()) {
      for (const other of series.slice(index + 1)) {
        expect(distance(one, other, vision)).toBeGreaterThan(0.1);
      }
    }
    expect(distance(at('negative'), at('positive'), vision)).toBeGreaterThan(0.1);
    expect(distance(at('removed'), at('added'), vision)).toBeGreaterThan(0.05);
  });
});

describe('names of colours', () => {
  it('stand for values where a renderer knows no variables, and in style sheets', () => {
    const rect = `<rect fill="${seriesColour(9)}"/>`;
    expect(withColours(rect, 'light')).toBe(`<rect fill="${paletteOf('light').get('s1')}"/>`);
    expect(withColours('<text>var(--gm-ink)</text>', 'dark')).toContain('var(--gm-ink)');
    expect(themeCss(':root')).toContain(
      '@media (prefers-color-scheme:dark){:root{--gm-paper:#16181d',
    );
  });

  it('beyond the eighth are dashed', () => {
    expect(seriesStyle(7).strokeDasharray).toBeUndefined();
    expect(seriesStyle(8)).toEqual({ stroke: seriesStyle(0).stroke, strokeDasharray: '6 3' });
  });
});
