/** The loss curve of a run as SVG: training losses as a line, validation losses as dots, both over the step. */

import { escapeMarkup } from '../markup.ts';

/** A point of a curve. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
}

const WIDTH = 800;
const HEIGHT = 400;
const LEFT = 60;
const BOTTOM = 40;
const TOP = 30;
const RIGHT = 20;
/** More points than pixels show nothing more: neighbours are averaged. */
const MAX_POINTS = 700;

/**
 * Draws a plot.
 *
 * @param title any text; escaped
 */
export function lossPlot(
  title: string,
  training: readonly LossPoint[],
  validation: readonly LossPoint[],
): string {
  const points = thinned(training);
  const all = [...points, ...validation];
  const lastStep = Math.max(1, ...all.map(({ step }) => step));
  const low = Math.min(...all.map(({ loss }) => loss), Number.POSITIVE_INFINITY);
  const high = Math.max(...all.map(({ loss }) => loss), Number.NEGATIVE_INFINITY);
  const [bottom, top] =
    all.length === 0 ? [0, 1] : low === high ? [low - 1, high + 1] : [low, high];
  const x = (step: number): string =>
    (LEFT + (step / lastStep) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const y = (loss: number): string =>
    (HEIGHT - BOTTOM - ((loss - bottom) / (top - bottom)) * (HEIGHT - BOTTOM - TOP)).toFixed(1);
  const ticks = Array.from({ length: 5 }, (_, tick) => bottom + ((top - bottom) * tick) / 4);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="20">${escapeMarkup(title)}</text>`,
    ...ticks.flatMap((loss) => [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(loss)}" y2="${y(loss)}" stroke="#ddd"/>`,
      `<text x="${LEFT - 6}" y="${y(loss)}" text-anchor="end">${loss.toFixed(3)}</text>`,
    ]),
    `<text x="${LEFT}" y="${HEIGHT - 12}">0</text>`,
    `<text x="${WIDTH - RIGHT}" y="${HEIGHT - 12}" text-anchor="end">step ${lastStep}</text>`,
    `<polyline fill="none" stroke="#1f5fa8" points="${points.map(({ step, loss }) => `${x(step)},${y(loss)}`).join(' ')}"/>`,
    ...validation.map(
      ({ step, loss }) => `<circle cx="${x(step)}" cy="${y(loss)}" r="3" fill="#c0392b"/>`,
    ),
    '</svg>',
    '',
  ].join('\n');
}

function thinned(points: readonly LossPoint[]): LossPoint[] {
  const every = Math.ceil(points.length / MAX_POINTS);
  if (every <= 1) return [...points];
  const kept: LossPoint[] = [];
  for (let first = 0; first < points.length; first += every) {
    const group = points.slice(first, first + every);
    const loss = group.reduce((sum, point) => sum + point.loss, 0) / group.length;
    kept.push({ step: group.at(-1)!.step, loss });
  }
  return kept;
}
