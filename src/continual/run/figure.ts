/** The way of a stage as SVG: training loss, the loss of every validation set, and the learning rate, over the step. */
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
import { own } from '../../own.ts';
import type { StageRecord } from './stage-loop.ts';

const WIDTH = 860;
const LEFT = 70;
const PLOT_WIDTH = 600;
const LOSS_HEIGHT = 280;
const RATE_HEIGHT = 110;
const TOP = 40;
const GAP = 50;
/** More points than pixels show nothing more: neighbours are averaged. */
const MAX_POINTS = 600;

type Point = readonly [step: number, value: number];

/** Draws a stage. @param title any text; escaped */
export function stageFigure(title: string, records: readonly StageRecord[]): string {
  const training = points(records, ({ loss }) => loss);
  const rates = points(records, ({ lr }) => lr);
  const names = Object.keys(records.find(({ validation }) => validation)?.validation ?? {});
  const sets = names.map((name) =>
    points(records, ({ validation }) => own(validation ?? {}, name)),
  );
  const lastStep = Math.max(1, ...records.map(({ step }) => step));
  const across = { left: LEFT, width: PLOT_WIDTH, xRange: [0, lastStep] as const };
  const shown = thinned(training);
  const loss = panelAt({
    ...across,
    top: TOP,
    height: LOSS_HEIGHT,
    yRange: rangeOf([shown, ...sets].flatMap((line) => line.map(([, value]) => value))),
    title: `${title}: loss, nats a token`,
  });
  const rate = panelAt({
    ...across,
    top: TOP + LOSS_HEIGHT + GAP,
    height: RATE_HEIGHT,
    yRange: [0, rangeOf([0, ...rates.map(([, value]) => value)])[1]],
    title: 'learning rate',
  });
  const placed = (panel: typeof loss, line: readonly Point[]): Point[] =>
    line.map(([step, value]) => [panel.x(step), panel.y(value)]);
  const legend = ['training', ...names].map((name, at) => {
    const y = TOP + 12 + 18 * at;
    const x = LEFT + PLOT_WIDTH + 16;
    return `${lineThrough(
      [
        [x, y - 4],
        [x + 18, y - 4],
      ],
      { stroke: colourOf(at), width: 2.5 },
    )}\n${textAt(x + 24, y, label(name))}`;
  });
  const lines = sets.flatMap((line, at) => [
    lineThrough(placed(loss, line), { stroke: colourOf(at + 1) }),
    ...placed(loss, line).map(
      ([x, y]) => `<circle cx="${num(x)}" cy="${num(y)}" r="2.5" fill="${colourOf(at + 1)}"/>`,
    ),
  ]);
  return svgOf(WIDTH, TOP + LOSS_HEIGHT + GAP + RATE_HEIGHT + 40, [
    loss.frame,
    rate.frame,
    lineThrough(placed(loss, shown), { stroke: colourOf(0), width: 1 }),
    ...lines,
    lineThrough(placed(rate, rates.length > 2 * MAX_POINTS ? everyFew(rates) : rates), {
      stroke: '#333',
    }),
    ...legend,
  ]);
}

/** Grey for training, the colours for the sets. */
function colourOf(at: number): string {
  return at === 0 ? '#b5b5b5' : COLOURS[(at - 1) % COLOURS.length]!;
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

function everyFew(line: readonly Point[]): Point[] {
  const every = Math.ceil(line.length / (2 * MAX_POINTS));
  return line.filter((_, at) => at % every === 0 || at === line.length - 1);
}

function thinned(line: readonly Point[]): Point[] {
  const every = Math.max(1, Math.ceil(line.length / MAX_POINTS));
  return Array.from({ length: Math.ceil(line.length / every) }, (_, group) => {
    const own = line.slice(group * every, (group + 1) * every);
    return [own.at(-1)![0], own.reduce((sum, [, value]) => sum + value, 0) / own.length];
  });
}
