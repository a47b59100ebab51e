/** Figures stand alone, whatever their names: no script, no style attribute, nothing hidden; and they are the same every time. */
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import {
  dotsThrough,
  drawFigure,
  hatchOf,
  inlineFigure,
  rangeOf,
  thinnedPoints,
} from '../../src/charts/figure.ts';
import { pngOf } from '../../src/charts/png.ts';
import { seriesColour, seriesStyle } from '../../src/charts/theme.ts';

const HOSTILE = [
  '</text><script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onload='alert(1)",
  '\u202eright to left',
  '\u001b[31mred\u0000',
  'half \ud800 pair',
  ']]><!--',
  'x'.repeat(5000),
];

function hostileFigure(): Promise<string> {
  return drawFigure((Plot) => ({
    title: HOSTILE.join(' '),
    description: HOSTILE[1]!,
    hatches: [seriesColour(0)],
    legend: HOSTILE.map((name, at) => ({
      name,
      colour: at === 0 ? hatchOf(0) : seriesColour(at),
      mark: (['area', 'line', 'dot'] as const)[at % 3]!,
    })),
    panels: HOSTILE.map((title, at) => ({
      title,
      width: 300,
      height: 120,
      chart: {
        x: { label: title.slice(0, 40) },
        marks: [
          Plot.line(
            [
              [0, 0.123456789],
              [1, 2],
              [2, 1.987654321],
            ],
            seriesStyle(at),
          ),
          Plot.text([[1, 1]], { text: () => title.slice(0, 60) }),
        ],
      },
    })),
    columns: 3,
  }));
}

describe('drawFigure', () => {
  it('lets no name out of its text', async () => {
    const svg = await hostileFigure();
    const { document } = parseHTML(`<!doctype html><html><body>${svg}</body></html>`);
    const names = new Set(
      [...document.querySelectorAll('body *')].map(({ tagName }) => tagName.toLowerCase()),
    );
    expect([...names].sort()).toEqual([
      'circle',
      'defs',
      'g',
      'line',
      'path',
      'pattern',
      'rect',
      'style',
      'svg',
      'text',
      'title',
    ]);
    for (const each of document.querySelectorAll('body *')) {
      for (const { name } of each.attributes) expect(name).not.toMatch(/^on|^style$|href|^src$/i);
    }
    const shown = document.querySelector('svg')!.textContent!;
    expect(shown).toContain('<script>');
    expect(shown).toContain('\\u202e');
    expect(shown).toContain('\\u001b');
    // Control characters, bidirectional marks, halves of pairs: none.
    expect(svg.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cs}\p{Cf}]/u);
    expect(svg.length).toBeLessThan(40_000);
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|@import/);
    expect((await pngOf(svg, 0.5)).length).toBeGreaterThan(1000);
  });

  it('is well-formed XML', async () => {
    const svg = await hostileFigure();
    // A strict parser takes it: resvg's.
    await expect(pngOf(svg, 0.5)).resolves.toBeDefined();
  });

  it('draws the same bytes again, with two decimals', async () => {
    const [first, second] = [await hostileFigure(), await hostileFigure()];
    expect(second).toBe(first);
    expect(first.replace(/<style>.*?<\/style>/s, '')).not.toMatch(/="[^"]*\d\.\d{3,}/);
  });

  it('goes into a page without a style sheet of its own', async () => {
    const svg = await drawFigure(() => ({ title: 'empty', panels: [] }));
    expect(svg).toContain('<style>');
    expect(inlineFigure(svg)).not.toContain('<style>');
    expect(inlineFigure(svg)).toMatch(/^<svg .*<\/svg>$/s);
  });

  it('puts panels side by side, as wide as their columns', async () => {
    const panel = (width: number) => ({ width, height: 100, chart: { marks: [] } });
    const svg = await drawFigure((Plot) => ({
      title: 'grid',
      columns: 2,
      panels: [300, 400, 200].map((width) => {
        return { ...panel(width), chart: { marks: [Plot.dot([[1, 1]])] } };
      }),
    }));
    const places = [
      ...svg.matchAll(/<svg [^>]*?x="(\d+)" y="(\d+)"|<svg [^>]*?y="(\d+)" x="(\d+)"/g),
    ].map(([, x, y, otherY, otherX]) => [Number(x ?? otherX), Number(y ?? otherY)]);
    expect(places.map(([x]) => x)).toEqual([0, 312, 0]);
    expect(places[2]![1]! - places[0]![1]!).toBe(112);
  });
});

describe('points', () => {
  it('are thinned by averages, and ranges are never empty', () => {
    const line = Array.from({ length: 1000 }, (_, at) => [at, at % 2] as const);
    const thin = thinnedPoints(line, 100);
    expect(thin.length).toBe(100);
    expect(thin[0]).toEqual([9, 0.5]);
    expect(thinnedPoints([], 10)).toEqual([]);
    expect(rangeOf([Number.NaN])).toEqual([0, 1]);
    expect(rangeOf([3, 3])).toEqual([2.5, 3.5]);
  });

  it('become one path of dots', async () => {
    const svg = await drawFigure((Plot) => ({
      title: 'dots',
      panels: [
        {
          width: 200,
          height: 100,
          chart: {
            marks: [
              Plot.line(
                dotsThrough([
                  [1, 1],
                  [2, 4],
                  [3, 2],
                ]),
                {
                  x: (dot) => dot?.[0],
                  y: (dot) => dot?.[1],
                  strokeWidth: 5,
                },
              ),
            ],
          },
        },
      ],
    }));
    expect(svg).toMatch(/ d="M[\d.,]+ZM[\d.,]+ZM[\d.,]+Z"/);
  });
});
