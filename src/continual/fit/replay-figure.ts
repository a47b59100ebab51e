/** The figure of a fit: fitted losses over the share of replay, pilots as dots, the chosen share as a line. */
import { dotsThrough, drawFigure, rangeOf } from '../../charts/figure.ts';
import { MUTED, seriesStyle } from '../../charts/theme.ts';
import { lossAt, type ReplayFit } from './fit-replay.ts';
import { percentText } from './pilots.ts';

const N_POINTS = 200;
const PANEL = { width: 720, height: 280 } as const;

/** A point of a fitted curve. */
export interface ReplayCurvePoint {
  /** Share, 0..1. */
  readonly replay: number;
  /** By validation set. */
  readonly losses: Readonly<Record<string, number>>;
}

/** Fitted losses over the shares that the pilots span, at the largest tokens and parameters; `nPoints` at least 2. */
export function replayCurve(fit: ReplayFit, nPoints: number = N_POINTS): ReplayCurvePoint[] {
  const [low, high] = fit.spans.replay;
  const { tokens, params } = fit.spans;
  return Array.from({ length: nPoints }, (_, at) => {
    const replay = low + ((high - low) * at) / (nPoints - 1);
    const place = {
      replay,
      ...(tokens && { tokens: tokens[1] }),
      ...(params && { params: params[1] }),
    };
    return {
      replay,
      losses: Object.fromEntries(fit.losses.map((loss) => [loss.set, lossAt(loss, place)])),
    };
  });
}

/** Draws a fit as SVG, a panel for old and one for new data. */
export function replayFigure(fit: ReplayFit, chosen?: number): Promise<string> {
  const curve = replayCurve(fit);
  const sides = (['old', 'new'] as const).filter((side) =>
    fit.losses.some((loss) => loss.side === side),
  );
  const setsOf = (side: 'old' | 'new') => fit.losses.filter((loss) => loss.side === side);
  const widest = Math.max(...sides.map((side) => setsOf(side).length));
  const stylesOf = (side: 'old' | 'new', at: number) => {
    // Sets of both sides have names of their own, and so colours of their own.
    return seriesStyle(side === 'old' ? at : widest + at);
  };
  return drawFigure((Plot) => ({
    title: 'Loss by share of replay: pilots (dots), fits (lines)',
    legend: sides.flatMap((side) =>
      setsOf(side).map(({ set }, at) => {
        const { stroke, strokeDasharray } = stylesOf(side, at);
        return { name: set, colour: stroke, dash: strokeDasharray, mark: 'line' as const };
      }),
    ),
    panels: sides.map((side) => {
      const losses = setsOf(side);
      const measured = fit.pilots.flatMap((pilot) => losses.map(({ set }) => pilot.losses[set]!));
      const drawn = curve.flatMap((point) => losses.map(({ set }) => point.losses[set]!));
      return {
        title: side === 'old' ? 'old data' : 'new data',
        ...PANEL,
        chart: {
          marginLeft: 56,
          marginBottom: 40,
          x: {
            ...{ label: 'share of replay', tickFormat: percentText, ticks: 6 },
            domain: rangeOf(fit.spans.replay),
          },
          y: {
            label: 'loss (nats per token)',
            grid: true,
            domain: rangeOf([...measured, ...drawn]),
          },
          marks: [
            ...(chosen === undefined
              ? []
              : [
                  Plot.ruleX([chosen], { stroke: MUTED, strokeDasharray: '4 3' }),
                  Plot.text([chosen], {
                    ...{ x: (share: number) => share, text: percentText, fill: MUTED },
                    ...{ frameAnchor: 'top', textAnchor: 'start', dx: 5 },
                  }),
                ]),
            ...losses.flatMap(({ set }, at) => [
              Plot.line(
                curve.map((point) => [point.replay, point.losses[set]!] as const),
                stylesOf(side, at),
              ),
              Plot.line(dotsThrough(fit.pilots), {
                x: (pilot) => pilot?.replay,
                y: (pilot) => pilot?.losses[set],
                stroke: stylesOf(side, at).stroke,
                strokeWidth: 6,
              }),
            ]),
          ],
        },
      };
    }),
  }));
}
