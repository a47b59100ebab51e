/**
 * A plan as SVG: the learning rate of all its stages in a row over tokens, under it how heavy the data of each step are in
 * the models at its ends (retention.ts), and the mix of data.
 *
 * Replay is hatched in the colour of its dataset. Where a stage starts from the constant phase of another one and nothing
 * starts from that one's end, its anneal is on nobody's way: it is dashed. A dotted line leads from a checkpoint that is
 * not the end of the stage in front to the stage that starts from it.
 */
import { figureText, type LegendEntry } from '../../charts/elements.ts';
import { drawFigure, hatchOf } from '../../charts/figure.ts';
import { colour, MUTED, seriesColour } from '../../charts/theme.ts';
import { sequencesBefore } from '../../schedules/batch-size.ts';
import { tokensText } from './report.ts';
import { type RetainedStretch, type Retention, retentionsOf } from './retention.ts';
import { peakOf } from './segments.ts';
import type { ContinualPlan, PlanStage } from './types.ts';

const WIDTH = 980;
const RATE_HEIGHT = 290;
const MIX_HEIGHT = 220;
const KEPT_HEIGHT = 130;
/** Points of weights in models together, and models that are drawn. */
const MAX_KEPT_POINTS = 800;
const MAX_KEPT = 8;
const MARGIN_LEFT = 64;
const MARGIN_RIGHT = 24;
/** Points of all curves together; more than there are pixels. */
const MAX_POINTS = 2000;
const MIN_STAGE_POINTS = 4;
const MAX_HATCHES = 64;
const RATE_LINE = colour('accent');
const BRANCH_LINE = colour('positive');
const MERGE_DOT = colour('negative');
/** Radius of the heaviest checkpoint of a merge; areas are by weight. */
const MAX_DOT = 5;
/** Pixels of a letter, about. */
const LETTER = 6.4;

type Point = readonly [tokens: number, rate: number];

/** A stage in its place. */
interface Placed {
  readonly stage: PlanStage;
  /** Tokens of the stages in front. */
  readonly start: number;
  /** Tokens in front of a step of the stage, its start included. */
  readonly at: (step: number) => number;
}

/** A checkpoint that is merged. */
interface MergeDot {
  readonly x: number;
  readonly rate: number;
  readonly r: number;
}

/** A stretch of a stage's curve. */
interface Stretch {
  readonly points: readonly Point[];
  /** On nobody's way. */
  readonly isAbandoned: boolean;
}

/** A share of the mix, over some tokens. */
interface MixBar {
  readonly x1: number;
  readonly x2: number;
  readonly y1: number;
  readonly y2: number;
  readonly fill: string;
}

/** Draws a plan. */
export function planTimeline(plan: ContinualPlan): Promise<string> {
  let total = 0;
  const placed = plan.stages.map((stage): Placed => {
    const start = total;
    total += stage.nTokens;
    const at = (step: number): number =>
      start + sequencesBefore(stage, plan.sequencesPerStep, step) * plan.nCtx;
    return { stage, start, at };
  });
  const kept = retentionsOf(plan).slice(0, MAX_KEPT);
  const peak = Math.max(...plan.stages.map(({ curve }) => peakOf(curve)));
  // Rates are around 1e-4: in units of a power of ten their ticks can be read.
  const exponent = peak > 0 ? Math.floor(Math.log10(peak)) : 0;
  const unit = 10 ** exponent;
  const names = [
    ...new Set(
      plan.stages.flatMap(({ segments }) =>
        segments.flatMap(({ sources }) => sources.map(({ dataset }) => dataset)),
      ),
    ),
  ];
  const across = {
    width: WIDTH,
    chart: { marginLeft: MARGIN_LEFT, marginRight: MARGIN_RIGHT },
  } as const;
  const x = { domain: [0, total], tickFormat: tokensText, ticks: 8 };
  const stretches = placed.flatMap((at) => stretchesOf(plan, at, total));
  const branches = placed.flatMap((at) => branchOf(at, placed));
  const starts = placed.slice(1).map(({ start }) => start);
  const labels = placed.flatMap((at) => stageLabel(at, total));
  return drawFigure((Plot) => ({
    title: plan.name,
    description: `${plan.name}: learning rate and data over tokens`,
    legend: legendOf(plan, names),
    hatches: names.slice(0, MAX_HATCHES).map((_, at) => seriesColour(at)),
    panels: [
      {
        ...across,
        height: RATE_HEIGHT,
        chart: {
          ...across.chart,
          marginTop: 34,
          x: { ...x, label: null },
          r: { type: 'identity' },
          y: {
            label: `learning rate${exponent === 0 ? '' : `, in 1e${exponent}`}`,
            grid: true,
            domain: [0, peak > 0 ? peak / unit : 1],
          },
          marks: [
            Plot.ruleX(starts, { stroke: MUTED, strokeWidth: 0.7 }),
            ...stretches.map(({ points, isAbandoned }) =>
              Plot.line(
                points.map(([tokens, rate]) => [tokens, rate / unit]),
                {
                  ...{ stroke: RATE_LINE, strokeWidth: 1.8 },
                  ...(isAbandoned && { strokeDasharray: '5 4' }),
                },
              ),
            ),
            ...branches.flatMap(([from, to]) => [
              Plot.dot([[from[0], from[1] / unit]], { r: 3, fill: BRANCH_LINE }),
              Plot.line(
                [from, to].map(([tokens, rate]) => [tokens, rate / unit]),
                {
                  ...{ stroke: BRANCH_LINE, strokeWidth: 1.3, strokeDasharray: '1.5 3' },
                },
              ),
            ]),
            Plot.dot(placed.flatMap(mergeDots), {
              ...{ x: 'x', y: 'y', r: 'r', fill: MERGE_DOT, fillOpacity: 0.7 },
              y: ({ rate }: MergeDot) => rate / unit,
            }),
            Plot.text(labels, {
              ...{ x: 'at', text: 'text', frameAnchor: 'top', dy: -8, lineAnchor: 'bottom' },
            }),
          ],
        },
      },
      {
        ...across,
        height: KEPT_HEIGHT,
        chart: {
          ...across.chart,
          x: { ...x, label: null },
          y: { label: 'weight in the model (relative)', grid: true, domain: [0, 1], ticks: 3 },
          marks: [
            Plot.ruleX(starts, { stroke: MUTED, strokeWidth: 0.7 }),
            ...kept.flatMap((retention) =>
              keptLines(retention, placed, kept.length).map((points) =>
                Plot.line(points, { stroke: BRANCH_LINE, strokeWidth: 1.5 }),
              ),
            ),
          ],
        },
      },
      {
        ...across,
        height: MIX_HEIGHT,
        chart: {
          ...across.chart,
          marginBottom: 40,
          x: { ...x, label: 'tokens' },
          y: { label: 'data (% of the sequences)', domain: [0, 100], ticks: 5 },
          marks: [
            Plot.rect(
              placed.flatMap((at) => mixBars(at, names)),
              { x1: 'x1', x2: 'x2', y1: 'y1', y2: 'y2', fill: 'fill' },
            ),
            Plot.ruleX(starts, { stroke: MUTED, strokeWidth: 0.7 }),
          ],
          color: { type: 'identity' },
        },
      },
    ],
  }));
}

/** The curve of a stage, in one line, or in two where its anneal is on nobody's way. */
function stretchesOf(plan: ContinualPlan, at: Placed, total: number): Stretch[] {
  const { stage } = at;
  const points = curvePoints(at, Math.round((MAX_POINTS * stage.nTokens) / total));
  const { constantStep } = stage;
  if (constantStep === null || !isAnnealAbandoned(plan, stage)) {
    return [{ points, isAbandoned: false }];
  }
  const cut = at.at(constantStep);
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
function curvePoints({ stage, at: place }: Placed, wanted: number): Point[] {
  const { curve, nSteps } = stage;
  const budget = Math.max(MIN_STAGE_POINTS, wanted);
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

/** How heavy the data of each step are in a model, of the heaviest: a line for every stage of its way. */
function keptLines(
  { stretches }: Retention,
  placed: readonly Placed[],
  nModels: number,
): Point[][] {
  const density = ({ firstStep, endStep, share }: RetainedStretch): number =>
    share / (endStep - firstStep);
  const most = stretches.reduce((high, stretch) => Math.max(high, density(stretch)), 0);
  if (!(most > 0)) return [];
  const lines = new Map<number, RetainedStretch[]>();
  for (const stretch of stretches) {
    const own = lines.get(stretch.stage);
    if (own) own.push(stretch);
    else lines.set(stretch.stage, [stretch]);
  }
  return [...lines].map(([stage, own]) => {
    const { at: place } = placed[stage]!;
    const every = Math.ceil((own.length * nModels * lines.size) / MAX_KEPT_POINTS);
    return own
      .filter((_, at) => at % every === 0 || at === own.length - 1)
      .map(
        (stretch): Point => [
          place((stretch.firstStep + stretch.endStep) / 2),
          density(stretch) / most,
        ],
      );
  });
}

/** The checkpoints of a merge on the curve, by their weights. */
function mergeDots({ stage, at: place }: Placed): MergeDot[] {
  const { merge, curve } = stage;
  if (!merge) return [];
  const largest = Math.max(...merge.weights);
  return merge.steps.map((step, at) => ({
    x: place(step),
    rate: curve.at(step),
    r: MAX_DOT * Math.sqrt(merge.weights[at]! / largest),
  }));
}

/** From the checkpoint to the stage that starts from it, where that is not simply the end of the stage in front. */
function branchOf(
  { stage, start }: Placed,
  placed: readonly Placed[],
): (readonly [from: Point, to: Point])[] {
  const { from } = stage;
  if (!from || (from.checkpoint === 'annealed' && from.stage === stage.index - 1)) return [];
  const parent = placed[from.stage]!;
  const step = from.checkpoint === 'constant' ? parent.stage.constantStep! : parent.stage.nSteps;
  const rate = parent.stage.curve.at(step);
  return [
    [
      [parent.at(step), rate],
      [start, rate],
    ],
  ];
}

/** Above its stretch, cut to fit; none where there is no room. */
function stageLabel(
  { stage, start }: Placed,
  total: number,
): { readonly at: number; readonly text: string }[] {
  const pixels = ((WIDTH - MARGIN_LEFT - MARGIN_RIGHT) * stage.nTokens) / total;
  const nLetters = Math.floor((pixels - 4) / LETTER);
  if (nLetters < 2) return [];
  const text = figureText(stage.done ? `${stage.name} (done)` : stage.name, nLetters);
  return [{ at: start + stage.nTokens / 2, text }];
}

function mixBars({ stage, at: place }: Placed, names: readonly string[]): MixBar[] {
  return stage.segments.flatMap(({ firstStep, endStep, sources }) => {
    const range = { x1: place(firstStep), x2: place(endStep) };
    let below = 0;
    return sources.map(({ dataset, kind, weight }) => {
      const [y1, y2] = [100 * below, 100 * (below + weight)];
      below += weight;
      const at = names.indexOf(dataset);
      const isHatched = kind === 'replay' && at < MAX_HATCHES;
      return { ...range, y1, y2, fill: isHatched ? hatchOf(at) : seriesColour(at) };
    });
  });
}

function legendOf({ stages }: ContinualPlan, names: readonly string[]): LegendEntry[] {
  const isBranched = stages.some(
    ({ from, index }) => from && (from.checkpoint === 'constant' || from.stage !== index - 1),
  );
  return [
    ...names.map((name, at): LegendEntry => ({ name, colour: seriesColour(at) })),
    ...(stages.some(({ replay }) => replay)
      ? [{ name: 'hatched: replay', colour: hatchOf(0) }]
      : []),
    ...(stages.some((stage) => isAnnealAbandoned({ stages }, stage))
      ? [legendLine('anneal nothing starts from', RATE_LINE, '5 4')]
      : []),
    ...(stages.some(({ merge }) => merge)
      ? [{ name: 'checkpoints merged, by weight', colour: MERGE_DOT, mark: 'dot' as const }]
      : []),
    ...(isBranched ? [legendLine('starts from that checkpoint', BRANCH_LINE, '1.5 3')] : []),
  ];
}

function legendLine(name: string, stroke: string, dash: string): LegendEntry {
  return { name, colour: stroke, mark: 'line', dash };
}
