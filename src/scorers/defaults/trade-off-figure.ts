/** What removing noise costs, as a figure: a line for every refiner with scores, a dot for every rule. */
import { drawFigure } from '../../charts/figure.ts';
import { seriesColour, seriesStyle } from '../../charts/theme.ts';
import type { LineContender } from './tables.ts';

/** Nobody gives more content away than this. */
const LEAST_KEPT = 0.7;

/** Draws the contenders. @param title any text */
export function tradeOffFigure(
  title: string,
  contenders: readonly LineContender[],
): Promise<string> {
  return drawFigure((Plot) => ({
    title,
    legend: contenders.map(({ name, hasScores }, at) => {
      const { stroke, strokeDasharray } = seriesStyle(at);
      return {
        name: plain(name),
        colour: stroke,
        mark: hasScores ? ('line' as const) : ('dot' as const),
        dash: strokeDasharray,
      };
    }),
    panels: [
      {
        width: 680,
        height: 440,
        chart: {
          marginLeft: 50,
          marginBottom: 40,
          x: {
            ...{ label: 'content characters kept (share)', grid: true, tickFormat: hundredths },
            domain: [LEAST_KEPT, 1],
          },
          y: {
            ...{ label: 'noise characters removed (share)', grid: true, tickFormat: hundredths },
            domain: [0, 1],
          },
          marks: contenders.flatMap(({ hasScores, whole }, at) => {
            if (!hasScores) {
              const { contentCharsKept, noiseCharsRemoved } = whole;
              if (contentCharsKept < LEAST_KEPT) return [];
              const dot = [[contentCharsKept, noiseCharsRemoved]];
              return [Plot.dot(dot, { fill: seriesColour(at), r: 5 })];
            }
            const points = whole.tradeOff
              .filter(({ contentKept }) => contentKept >= LEAST_KEPT)
              .map(({ contentKept, noiseRemoved }) => [contentKept, noiseRemoved] as const);
            return [Plot.line(points, { ...seriesStyle(at), strokeWidth: 2 })];
          }),
        },
      },
    ],
  }));
}

function hundredths(share: number): string {
  return share.toFixed(2);
}

/** Names of the tables may be bold there. */
function plain(name: string): string {
  return name.replaceAll('**', '');
}
