/** The way of a stage as SVG: training loss, the loss of every validation set, and the learning rate, over the step. */
import { drawFigure, rangeOf, thinnedPoints } from '../../charts/figure.ts';
import { INK, MUTED, type SeriesStyle, seriesStyle } from '../../charts/theme.ts';
import { own } from '../../own.ts';
import type { StageRecord } from './stage-loop.ts';

const WIDTH = 820;
const LOSS_HEIGHT = 320;
const RATE_HEIGHT = 150;
const MARGIN_LEFT = 60;
/** More points than pixels show nothing more: neighbours are averaged. */
const MAX_POINTS = 600;

type Point = readonly [step: number, value: number];

/** Draws a stage. @param title any text */
export function stageFigure(title: string, records: readonly StageRecord[]): Promise<string> {
  const training = thinnedPoints(
    points(records, ({ loss }) => loss),
    MAX_POINTS,
  );
  const rates = points(records, ({ lr }) => lr);
  const shownRates = rates.length > 2 * MAX_POINTS ? everyFew(rates) : rates;
  const names = Object.keys(records.find(({ validation }) => validation)?.validation ?? {});
  const sets = names.map((name) =>
    thinnedPoints(
      points(records, ({ validation }) => own(validation ?? {}, name)),
      MAX_POINTS,
    ),
  );
  const lastStep = records.reduce((last, { step }) => Math.max(last, step), 1);
  const x = { label: 'step', domain: [0, lastStep] };
  return drawFigure((Plot) => ({
    title,
    description: `${title}: losses and learning rate over the step`,
    legend: ['training', ...names].map((name, at) => {
      const { stroke, strokeDasharray }: SeriesStyle =
        at === 0 ? { stroke: MUTED } : seriesStyle(at - 1);
      return { name, colour: stroke, dash: strokeDasharray, mark: 'line' as const };
    }),
    panels: [
      {
        width: WIDTH,
        height: LOSS_HEIGHT,
        chart: {
          marginLeft: MARGIN_LEFT,
          x,
          y: {
            label: 'loss (nats per token)',
            grid: true,
            domain: rangeOf([training, ...sets].flatMap((line) => line.map(([, loss]) => loss))),
          },
          marks: [
            Plot.line(training, { stroke: MUTED, strokeWidth: 1 }),
            ...sets.flatMap((line, at) => [
              Plot.line(line, { ...seriesStyle(at), strokeWidth: 1.8 }),
              Plot.dot(line, { fill: seriesStyle(at).stroke, r: 2.5 }),
            ]),
          ],
        },
      },
      {
        width: WIDTH,
        height: RATE_HEIGHT,
        chart: {
          marginLeft: MARGIN_LEFT,
          x,
          y: {
            ...{ label: 'learning rate', grid: true, ticks: 4, tickFormat: rateText },
            domain: [0, rangeOf([0, ...rates.map(([, value]) => value)])[1]],
          },
          marks: [Plot.line(shownRates, { stroke: INK, strokeWidth: 1.5 })],
        },
      },
    ],
  }));
}

/** Rates are around 1e-4. */
function rateText(rate: number): string {
  return rate === 0 ? '0' : rate.toExponential(1).replace('.0e', 'e');
}

function points(
  records: readonly StageRecord[],
  pick: (record: StageRecord) => number | undefined,
): Point[] {
  return records.flatMap((record) => {
    const value = pick(record);
    return value === undefined || !Number.isFinite(value) ? [] : [[record.step, value]];
  });
}

/** Corners of a schedule stay corners: points are left out, not averaged. */
function everyFew(line: readonly Point[]): Point[] {
  const every = Math.ceil(line.length / (2 * MAX_POINTS));
  return line.filter((_, at) => at % every === 0 || at === line.length - 1);
}
