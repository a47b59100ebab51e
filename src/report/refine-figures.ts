/** The figures of a refined corpus: funnel, reasons, histograms, throughput. Each is one SVG text, or null without data. */
import { figureText } from '../charts/elements.ts';
import { drawFigure, marginFor } from '../charts/figure.ts';
import { colour, MUTED, PAPER, seriesColour } from '../charts/theme.ts';
import type { FinishedRun } from '../refine/finished-run.ts';
import type { RefineCounts } from '../refine/statistics.ts';
import { shortCount } from './values.ts';

const WIDTH = 760;
const N_BINS = 40;
/** Bins of the time that a run took. */
const N_TIMES = 48;
const MAX_BARS = 24;

/** What became of rows, characters and tokens, as shares. @param tokens before and after; null where none were counted */
export function funnelFigure(
  counts: RefineCounts,
  tokens: { readonly before: number; readonly after: number } | null,
): Promise<string> {
  const { rowsIn, kept, edited, dropped, failed, charsIn, charsOut } = counts;
  const rows = [
    { name: 'kept', measure: 'rows', value: kept, total: rowsIn },
    { name: 'edited', measure: 'rows', value: edited, total: rowsIn },
    { name: 'dropped', measure: 'rows', value: dropped, total: rowsIn },
    { name: 'failed', measure: 'rows', value: failed, total: rowsIn },
    { name: 'kept', measure: 'characters', value: charsOut, total: charsIn },
    { name: 'dropped', measure: 'characters', value: charsIn - charsOut, total: charsIn },
    ...(tokens
      ? [
          { name: 'kept', measure: 'tokens', value: tokens.after, total: tokens.before },
          {
            name: 'dropped',
            measure: 'tokens',
            value: tokens.before - tokens.after,
            total: tokens.before,
          },
        ]
      : []),
  ].filter(({ value, total }) => value > 0 && total > 0);
  let below = 0;
  let measure = '';
  const bars = rows.map((row) => {
    if (row.measure !== measure) below = 0;
    measure = row.measure;
    const x1 = (100 * below) / row.total;
    below += row.value;
    return { ...row, x1, x2: (100 * below) / row.total };
  });
  const measures = [...new Set(bars.map((bar) => bar.measure))];
  const names = ['kept', 'edited', 'dropped', 'failed'];
  return drawFigure((Plot) => ({
    title: `What became of rows${tokens ? ', characters and tokens' : ' and characters'}`,
    legend: names.map((name, at) => ({
      name: name === 'dropped' ? 'dropped or removed' : name,
      colour: seriesColour(at),
    })),
    panels: [
      {
        width: WIDTH,
        height: 60 + 44 * measures.length,
        chart: {
          ...{ marginLeft: 84, marginRight: 24, marginBottom: 40 },
          x: { label: 'share (%)', domain: [0, 100] },
          y: { domain: measures, label: null },
          marks: [
            ...names.map((name, at) =>
              Plot.barX(bars, {
                ...{ x1: 'x1', x2: 'x2', y: 'measure', fill: seriesColour(at), insetLeft: 0.5 },
                filter: (bar: { name: string }) => bar.name === name,
              }),
            ),
            Plot.text(bars, {
              ...{ x: (bar) => (bar.x1 + bar.x2) / 2, y: 'measure', fill: PAPER },
              text: (bar) => shortCount(bar.value),
              filter: (bar) => bar.x2 - bar.x1 > 6,
            }),
          ],
        },
      },
    ],
  }));
}

/** Rows by reason, the most frequent first. */
export async function reasonsFigure({ reasons }: RefineCounts): Promise<string | null> {
  const bars = Object.entries(reasons)
    .filter(([, rows]) => rows > 0)
    .sort(([one, left], [other, right]) => right - left || (one < other ? -1 : 1))
    .slice(0, MAX_BARS)
    .map(([reason, rows]) => ({ reason: figureText(reason), rows }));
  if (bars.length === 0) return null;
  const names = bars.map(({ reason }) => reason);
  return drawFigure((Plot) => ({
    title: 'Rows by reason',
    panels: [
      {
        width: WIDTH,
        height: 60 + 20 * bars.length,
        chart: {
          ...{ marginLeft: marginFor(names), marginRight: 60, marginTop: 6, marginBottom: 40 },
          x: { label: 'rows', grid: true, tickFormat: shortCount, ticks: 6 },
          y: { domain: names, label: null },
          marks: [
            Plot.barX(bars, { x: 'rows', y: 'reason', fill: seriesColour(0) }),
            Plot.text(bars, {
              ...{ x: 'rows', y: 'reason', text: ({ rows }) => shortCount(rows) },
              ...{ fill: MUTED, textAnchor: 'start', dx: 4 },
            }),
          ],
        },
      },
    ],
  }));
}

/** A histogram of values in 0..1, with a threshold drawn. */
export async function histogramFigure(
  values: readonly number[],
  {
    title,
    label,
    threshold = null,
    scale = 1,
  }: {
    readonly title: string;
    readonly label: string;
    readonly threshold?: number | null;
    /** Of the axis: 100 for percent. */
    readonly scale?: number;
  },
): Promise<string | null> {
  if (values.length === 0) return null;
  const counts = new Float64Array(N_BINS);
  for (const value of values) {
    counts[Math.max(0, Math.min(N_BINS - 1, Math.floor(value * N_BINS)))]!++;
  }
  const bars = Array.from(counts, (rows, bin) => ({
    x1: (scale * bin) / N_BINS,
    x2: (scale * (bin + 1)) / N_BINS,
    rows,
  }));
  return drawFigure((Plot) => ({
    title,
    legend:
      threshold === null
        ? []
        : [
            {
              ...{ name: `threshold ${Number((scale * threshold).toPrecision(4))}` },
              ...{ colour: colour('positive'), mark: 'line', dash: '5 3' },
            },
          ],
    panels: [
      {
        width: WIDTH,
        height: 230,
        chart: {
          ...{ marginLeft: 56, marginBottom: 40 },
          x: { label, domain: [0, scale] },
          y: { label: 'documents', grid: true, tickFormat: shortCount, ticks: 5 },
          marks: [
            Plot.rectY(bars, { x1: 'x1', x2: 'x2', y: 'rows', fill: seriesColour(0), inset: 0.5 }),
            ...(threshold === null
              ? []
              : [
                  Plot.ruleX([scale * threshold], {
                    ...{ stroke: colour('positive'), strokeWidth: 2, strokeDasharray: '5 3' },
                  }),
                ]),
          ],
        },
      },
    ],
  }));
}

/** Rows a second over the time of a run; null where its records do not say when they were written, or for one unit. */
export async function throughputFigure(run: FinishedRun): Promise<string | null> {
  const spans = run.units.flatMap(({ endedAt, seconds, counts }) =>
    endedAt === undefined
      ? []
      : [{ start: endedAt - 1000 * seconds, endedAt, rows: counts.rowsIn }],
  );
  if (spans.length < 2) return null;
  const first = spans.reduce(
    (least, { start }) => Math.min(least, start),
    Number.POSITIVE_INFINITY,
  );
  const last = spans.reduce((most, { endedAt }) => Math.max(most, endedAt), 0);
  if (!(last > first)) return null;
  const step = (last - first) / N_TIMES;
  const rows = new Float64Array(N_TIMES);
  for (const { start, endedAt, rows: nRows } of spans) {
    const from = (start - first) / step;
    const to = Math.max(from + 1e-6, (endedAt - first) / step);
    // A unit's rows spread evenly over its time.
    for (let bin = Math.floor(from); bin < Math.min(N_TIMES, to); bin++) {
      const within = Math.min(bin + 1, to) - Math.max(bin, from);
      rows[bin]! += (nRows * within) / (to - from);
    }
  }
  const seconds = (last - first) / 1000;
  const [unit, size] =
    seconds > 7200 ? ['hours', 3600] : seconds > 180 ? ['minutes', 60] : ['seconds', 1];
  const points = Array.from(rows, (value, bin) => ({
    x1: (bin * step) / 1000 / size,
    x2: ((bin + 1) * step) / 1000 / size,
    rate: value / (step / 1000),
  }));
  return drawFigure((Plot) => ({
    title: 'Throughput over time',
    panels: [
      {
        width: WIDTH,
        height: 200,
        chart: {
          ...{ marginLeft: 56, marginBottom: 40 },
          x: { label: `time (${unit})`, domain: [0, seconds / size] },
          y: { label: 'rows per second', grid: true, tickFormat: shortCount, ticks: 4 },
          marks: [
            Plot.rectY(points, { x1: 'x1', x2: 'x2', y: 'rate', fill: seriesColour(0) }),
            Plot.ruleY([0], { stroke: MUTED }),
          ],
        },
      },
    ],
  }));
}
