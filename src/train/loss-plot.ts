/** The loss curve of a run as SVG: training losses as a line, validation losses as dots, both over the step. */
import { drawFigure, rangeOf, thinnedPoints } from '../charts/figure.ts';
import { MUTED, seriesColour } from '../charts/theme.ts';

/** A point of a curve. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

/** More points than pixels show nothing more: neighbours are averaged. */
const MAX_POINTS = 700;
const MAX_DOTS = 400;

/**
 * Draws a plot.
 *
 * @param title any text
 */
export function lossPlot(
  title: string,
  training: readonly LossPoint[],
  validation: readonly LossPoint[],
): Promise<string> {
  const line = thinnedPoints(
    training.map(({ step, loss }) => [step, loss] as const),
    MAX_POINTS,
  );
  const dots = thinnedPoints(
    validation.map(({ step, loss }) => [step, loss] as const),
    MAX_DOTS,
  );
  const lastStep = Math.max(1, ...[...line, ...dots].map(([step]) => step));
  return drawFigure((Plot) => ({
    title,
    description: `${title}: losses of training and validation over the step`,
    legend: [
      { name: 'training', colour: MUTED, mark: 'line' },
      ...(dots.length > 0
        ? [{ name: 'validation', colour: seriesColour(0), mark: 'dot' as const }]
        : []),
    ],
    panels: [
      {
        width: 800,
        height: 360,
        chart: {
          marginLeft: 56,
          x: { label: 'step', domain: [0, lastStep] },
          y: {
            label: 'loss (nats per token)',
            grid: true,
            domain: rangeOf([...line, ...dots].map(([, loss]) => loss)),
          },
          marks: [
            Plot.line(line, { stroke: MUTED, strokeWidth: 1.2 }),
            Plot.line(dots, { stroke: seriesColour(0), strokeWidth: 1.5 }),
            Plot.dot(dots, { fill: seriesColour(0), r: 3 }),
          ],
        },
      },
    ],
  }));
}
