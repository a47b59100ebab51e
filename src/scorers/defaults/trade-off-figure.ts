/** What removing noise costs, as a figure: a line for every refiner with scores, a dot for every rule. */
import {
  COLOURS,
  label,
  lineThrough,
  num,
  type Panel,
  panelAt,
  svgOf,
  textAt,
} from '../../charts/svg.ts';
import type { LineContender } from './tables.ts';

const [LEFT, TOP, WIDTH, HEIGHT, LEGEND] = [60, 40, 520, 360, 190];
/** Nobody gives more content away than this. */
const LEAST_KEPT = 0.7;
const KEPT_TICKS = [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1];
const REMOVED_TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** Draws the contenders. @param title any text; escaped */
export function tradeOffFigure(title: string, contenders: readonly LineContender[]): string {
  const ticks = (all: readonly number[]) => all.map((at) => [at, at.toFixed(2)] as const);
  const panel = panelAt({
    ...{ left: LEFT, top: TOP, width: WIDTH, height: HEIGHT, title },
    xRange: [LEAST_KEPT, 1],
    yRange: [0, 1],
    xTicks: ticks(KEPT_TICKS),
    yTicks: ticks(REMOVED_TICKS),
  });
  const legend = contenders.map(({ name }, at) => {
    const [x, y] = [LEFT + WIDTH + 16, TOP + 12 + 20 * at];
    const colour = colourOf(at);
    return `<rect x="${x}" y="${y - 9}" width="12" height="10" fill="${colour}"/>\n${textAt(x + 18, y, label(plain(name)))}`;
  });
  return svgOf(LEFT + WIDTH + LEGEND, TOP + HEIGHT + 44, [
    panel.frame,
    textAt(LEFT + WIDTH / 2, TOP + HEIGHT + 34, 'content characters kept', { anchor: 'middle' }),
    textAt(16, TOP + HEIGHT / 2, 'noise characters removed', { anchor: 'middle', turn: -90 }),
    ...contenders.map((contender, at) => markOf(contender, panel, colourOf(at))),
    ...legend,
  ]);
}

function markOf({ hasScores, whole }: LineContender, panel: Panel, colour: string): string {
  if (!hasScores) {
    const { contentCharsKept, noiseCharsRemoved } = whole;
    if (contentCharsKept < LEAST_KEPT) return '';
    return `<circle cx="${num(panel.x(contentCharsKept))}" cy="${num(panel.y(noiseCharsRemoved))}" r="5" fill="${colour}"/>`;
  }
  const points = whole.tradeOff
    .filter(({ contentKept }) => contentKept >= LEAST_KEPT)
    .map(({ contentKept, noiseRemoved }) => [panel.x(contentKept), panel.y(noiseRemoved)] as const);
  return lineThrough(points, { stroke: colour, width: 2 });
}

function colourOf(at: number): string {
  return COLOURS[at % COLOURS.length]!;
}

/** Names of the tables may be bold there. */
function plain(name: string): string {
  return name.replaceAll('**', '');
}
