/** The figure of a fit: fitted losses over the share of replay, pilots as dots, the chosen share as a line. */
import {
  COLOURS,
  label,
  lineThrough,
  num,
  panelAt,
  rangeOf,
  svgOf,
  textAt,
} from '../../charts/svg.ts';
import { lossAt, type ReplayFit } from './fit-replay.ts';
import { percentText } from './pilots.ts';

const N_POINTS = 200;
const N_TICKS = 6;
const PANEL = { width: 560, height: 240, left: 70, top: 50, gap: 70 } as const;

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
export function replayFigure(fit: ReplayFit, chosen?: number): string {
  const curve = replayCurve(fit);
  const [low, high] = fit.spans.replay;
  const ticks = Array.from(
    { length: N_TICKS },
    (_, at) => low + ((high - low) * at) / (N_TICKS - 1),
  );
  const sides = (['old', 'new'] as const).filter((side) =>
    fit.losses.some((loss) => loss.side === side),
  );
  const parts: string[] = [
    textAt(10, 20, 'Loss by share of replay: pilots (dots), fits (lines)', { size: 13 }),
  ];
  for (const [place, side] of sides.entries()) {
    const losses = fit.losses.filter((loss) => loss.side === side);
    const measured = fit.pilots.flatMap((pilot) => losses.map(({ set }) => pilot.losses[set]!));
    const drawn = curve.flatMap((point) => losses.map(({ set }) => point.losses[set]!));
    const panel = panelAt({
      left: PANEL.left,
      top: PANEL.top + place * (PANEL.height + PANEL.gap),
      width: PANEL.width,
      height: PANEL.height,
      xRange: rangeOf(fit.spans.replay),
      yRange: rangeOf([...measured, ...drawn]),
      title: side === 'old' ? 'old data' : 'new data',
      xTicks: ticks.map((share) => [share, percentText(share)] as const),
    });
    parts.push(panel.frame);
    for (const [index, { set }] of losses.entries()) {
      const stroke = COLOURS[index % COLOURS.length]!;
      const dots = fit.pilots.map(
        (pilot) => `M${num(panel.x(pilot.replay))} ${num(panel.y(pilot.losses[set]!))}h0`,
      );
      parts.push(
        lineThrough(
          curve.map((point) => [panel.x(point.replay), panel.y(point.losses[set]!)] as const),
          { stroke },
        ),
        `<path d="${dots.join('')}" stroke="${stroke}" stroke-width="6" stroke-linecap="round" fill="none"/>`,
        textAt(PANEL.left + PANEL.width + 10, panel.y(curve.at(-1)!.losses[set]!) + 4, label(set), {
          fill: stroke,
        }),
      );
    }
    if (chosen !== undefined) {
      const x = num(panel.x(chosen));
      const top = PANEL.top + place * (PANEL.height + PANEL.gap);
      parts.push(
        `<line x1="${x}" x2="${x}" y1="${top}" y2="${top + PANEL.height}" stroke="#999" stroke-dasharray="4 3"/>`,
        textAt(panel.x(chosen) + 4, top + 14, percentText(chosen), { fill: '#555' }),
      );
    }
  }
  return svgOf(
    PANEL.left + PANEL.width + 200,
    60 + sides.length * (PANEL.height + PANEL.gap),
    parts,
  );
}
