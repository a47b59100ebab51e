/**
 * A plan as SVG: the learning rate of all its stages in a row over tokens, and under it the mix of data.
 *
 * Replay is hatched in the colour of its dataset. Where a stage starts from the constant phase of another one and nothing
 * starts from that one's end, its anneal is on nobody's way: it is dashed. A dotted line leads from a checkpoint that is
 * not the end of the stage in front to the stage that starts from it.
 */
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
import { tokensText } from './report.ts';
import { peakOf } from './segments.ts';
import type { ContinualPlan, PlanStage } from './types.ts';

const LEFT = 70;
const PLOT_WIDTH = 760;
const LEGEND_WIDTH = 230;
const TOP = 72;
const RATE_HEIGHT = 220;
const MIX_HEIGHT = 150;
const GAP = 40;
/** Points of all curves together; more than there are pixels. */
const MAX_POINTS = 2000;
const MIN_STAGE_POINTS = 4;
const MAX_LEGEND = 20;
const MAX_TITLE = 110;
/** Pixels of a letter, about. */
const LETTER = 6.2;
const N_TICKS = 6;

type Point = readonly [tokens: number, rate: number];

/** A stage in its place. */
interface Placed {
  readonly stage: PlanStage;
  /** Tokens of the stages in front. */
  readonly start: number;
  readonly tokensPerStep: number;
}

/** A stretch of a stage's curve. */
interface Stretch {
  readonly points: readonly Point[];
  /** On nobody's way. */
  readonly isAbandoned: boolean;
}

/** Draws a plan. */
export function planTimeline(plan: ContinualPlan): string {
  let total = 0;
  const placed = plan.stages.map((stage): Placed => {
    const start = total;
    total += stage.nTokens;
    return { stage, start, tokensPerStep: plan.tokensPerStep };
  });
  const peak = Math.max(...plan.stages.map(({ curve }) => peakOf(curve)));
  // Rates are around 1e-4: in units of a power of ten their ticks can be read.
  const exponent = peak > 0 ? Math.floor(Math.log10(peak)) : 0;
  const unit = 10 ** exponent;
  const across = { left: LEFT, width: PLOT_WIDTH, xRange: [0, total] as const };
  const rates = panelAt({
    ...across,
    top: TOP,
    height: RATE_HEIGHT,
    yRange: [0, peak > 0 ? peak / unit : 1],
    title: '',
    xTicks: [],
  });
  const bottom = TOP + RATE_HEIGHT + GAP + MIX_HEIGHT;
  const mix = panelAt({
    ...across,
    top: bottom - MIX_HEIGHT,
    height: MIX_HEIGHT,
    yRange: [0, 100],
    title: 'data, % of the sequences',
    xTicks: tokenTicks(total),
  });
  const names = [
    ...new Set(
      plan.stages.flatMap(({ segments }) =>
        segments.flatMap(({ sources }) => sources.map(({ dataset }) => dataset)),
      ),
    ),
  ];
  const unitName = exponent === 0 ? '' : `, in 1e${exponent}`;
  return svgOf(LEFT + PLOT_WIDTH + LEGEND_WIDTH, Math.max(bottom + 44, legendEnd(names)), [
    hatches(names),
    textAt(LEFT, 20, plan.name.slice(0, MAX_TITLE), { size: 14 }),
    textAt(LEFT, 42, `learning rate${unitName}`, { size: 12 }),
    rates.frame,
    ...placed.flatMap((at) => [stageName(at, rates), mixBars(at, names, mix)]),
    mix.frame,
    ...placed.flatMap((at) => [
      ...(at.start > 0 ? [boundary(at.start, rates, bottom)] : []),
      ...stretchesOf(plan, at, total).map(({ points, isAbandoned }) =>
        lineThrough(
          points.map(([tokens, rate]) => [rates.x(tokens), rates.y(rate / unit)]),
          { stroke: '#1f5fa8', width: 1.8, ...(isAbandoned && { dash: '5 4' }) },
        ),
      ),
      ...branchOf(at, placed, rates, unit),
    ]),
    textAt(LEFT + PLOT_WIDTH / 2, bottom + 32, 'tokens', { anchor: 'middle', fill: '#555' }),
    ...legend(plan, names),
  ]);
}

/** The curve of a stage, in one line, or in two where its anneal is on nobody's way. */
function stretchesOf(plan: ContinualPlan, at: Placed, total: number): Stretch[] {
  const { stage } = at;
  const points = curvePoints(at, Math.round((MAX_POINTS * stage.nTokens) / total));
  const { constantStep } = stage;
  if (constantStep === null || !isAnnealAbandoned(plan, stage)) {
    return [{ points, isAbandoned: false }];
  }
  const cut = at.start + constantStep * at.tokensPerStep;
  const rate: Point = [cut, stage.curve.at(constantStep)];
  return [
    { points: [...points.filter(([tokens]) => tokens < cut), rate], isAbandoned: false },
    { points: [rate, ...points.filter(([tokens]) => tokens > cut)], isAbandoned: true },
  ];
}

function isAnnealAbandoned(
  { stages }: Pick<ContinualPlan, 'stages'>,
  { index }: PlanStage,
): boolean {
  const children = stages.filter(({ from }) => from?.stage === index);
  return children.length > 0 && children.every(({ from }) => from!.checkpoint === 'constant');
}

/** By phases, so that corners are corners; evenly where there are more phases than points. */
function curvePoints({ stage, start, tokensPerStep }: Placed, wanted: number): Point[] {
  const { curve, nSteps } = stage;
  const budget = Math.max(MIN_STAGE_POINTS, wanted);
  const place = (step: number): number => start + step * tokensPerStep;
  if (2 * curve.phases.length > budget) {
    return Array.from({ length: budget + 1 }, (_, at) => {
      const step = (nSteps * at) / budget;
      return [place(step), curve.at(step)];
    });
  }
  return curve.phases.flatMap(({ shape, start: first, end, from, to }) => {
    const isStraight = shape === 'constant' || shape === 'linear';
    const nInner = isStraight ? 0 : Math.ceil((budget * (end - first)) / nSteps);
    const inner = Array.from({ length: nInner }, (_, at): Point => {
      const step = first + ((end - first) * (at + 1)) / (nInner + 1);
      return [place(step), curve.at(step)];
    });
    return [[place(first), from] as const, ...inner, [place(end), to] as const];
  });
}

/** From the checkpoint to the stage that starts from it, where that is not simply the end of the stage in front. */
function branchOf(
  { stage, start }: Placed,
  placed: readonly Placed[],
  rates: Panel,
  unit: number,
): string[] {
  const { from } = stage;
  if (!from || (from.checkpoint === 'annealed' && from.stage === stage.index - 1)) return [];
  const parent = placed[from.stage]!;
  const step = from.checkpoint === 'constant' ? parent.stage.constantStep! : parent.stage.nSteps;
  const rate = parent.stage.curve.at(step);
  const x = rates.x(parent.start + step * parent.tokensPerStep);
  const y = rates.y(rate / unit);
  return [
    `<circle cx="${num(x)}" cy="${num(y)}" r="3" fill="#c0392b"/>`,
    lineThrough(
      [
        [x, y],
        [rates.x(start), y],
      ],
      { stroke: '#c0392b', width: 1.2, dash: '1.5 3' },
    ),
  ];
}

function boundary(tokens: number, { x }: Panel, bottom: number): string {
  return lineThrough(
    [
      [x(tokens), TOP],
      [x(tokens), bottom],
    ],
    { stroke: '#999', width: 0.7 },
  );
}

/** Above its stretch, cut to fit; none where there is no room. */
function stageName({ stage, start }: Placed, { x }: Panel): string {
  const left = x(start);
  const width = x(start + stage.nTokens) - left;
  const nLetters = Math.floor((width - 4) / LETTER);
  const text = stage.done ? `${stage.name} (done)` : stage.name;
  if (nLetters < 2) return '';
  const cut = text.length > nLetters ? `${text.slice(0, nLetters - 1)}…` : text;
  return textAt(left + width / 2, TOP - 8, cut, { anchor: 'middle' });
}

function mixBars({ stage, start, tokensPerStep }: Placed, names: string[], mix: Panel): string {
  return stage.segments
    .flatMap(({ firstStep, endStep, sources }) => {
      const left = mix.x(start + firstStep * tokensPerStep);
      const width = mix.x(start + endStep * tokensPerStep) - left;
      let below = 0;
      return sources.map(({ dataset, kind, weight }) => {
        const top = mix.y((below + weight) * 100);
        const height = mix.y(below * 100) - top;
        below += weight;
        const at = names.indexOf(dataset);
        const fill = kind === 'replay' ? `url(#replay-${at})` : colourOf(at);
        return `<rect x="${num(left)}" y="${num(top)}" width="${num(width)}" height="${num(height)}" fill="${fill}"/>`;
      });
    })
    .join('\n');
}

function colourOf(dataset: number): string {
  return COLOURS[dataset % COLOURS.length]!;
}

/** Stripes in the colour of each dataset. */
function hatches(names: readonly string[]): string {
  const patterns = names.map((_, at) => {
    const colour = colourOf(at);
    return `<pattern id="replay-${at}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="${colour}" fill-opacity="0.25"/><rect width="2" height="5" fill="${colour}"/></pattern>`;
  });
  return `<defs>${patterns.join('')}</defs>`;
}

function legendEnd(names: readonly string[]): number {
  return TOP + 20 * (Math.min(names.length, MAX_LEGEND) + 5);
}

function legend({ stages }: ContinualPlan, names: readonly string[]): string[] {
  const x = LEFT + PLOT_WIDTH + 20;
  const rows: string[] = [];
  const row = (mark: (y: number) => string, text: string): void => {
    const y = TOP + 10 + 20 * rows.length;
    rows.push(`${mark(y)}\n${textAt(x + 26, y + 4, text)}`);
  };
  const box = (fill: string) => (y: number) =>
    `<rect x="${x}" y="${num(y - 6)}" width="18" height="12" fill="${fill}"/>`;
  const line = (stroke: string, dash: string) => (y: number) =>
    lineThrough(
      [
        [x, y],
        [x + 18, y],
      ],
      { stroke, dash },
    );
  names.slice(0, MAX_LEGEND).forEach((name, at) => {
    row(box(colourOf(at)), label(name));
  });
  if (names.length > MAX_LEGEND) row(() => '', `and ${names.length - MAX_LEGEND} more`);
  if (stages.some(({ replay }) => replay)) row(box('url(#replay-0)'), 'hatched: replay');
  if (stages.some((stage) => isAnnealAbandoned({ stages }, stage))) {
    row(line('#1f5fa8', '5 4'), 'anneal that nothing starts from');
  }
  if (
    stages.some(
      ({ from, index }) => from && (from.checkpoint === 'constant' || from.stage !== index - 1),
    )
  ) {
    row(line('#c0392b', '1.5 3'), 'starts from that checkpoint');
  }
  return rows;
}

/** Round numbers of tokens. */
function tokenTicks(total: number): (readonly [number, string])[] {
  const rough = total / N_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((width) => width >= rough)!;
  return Array.from({ length: Math.floor(total / step + 1e-9) + 1 }, (_, at) => [
    at * step,
    tokensText(at * step),
  ]);
}
