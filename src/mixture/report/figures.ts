/**
 * The figures of a fit: correlations, predicted against true losses, learning curve, mixtures, effects of domains.
 * Each is one SVG text. What would not be readable is left out and said: see {@link MAX_DOMAINS} and {@link MAX_TARGETS}.
 */
import { figureText } from '../../charts/elements.ts';
import { dotsThrough, drawFigure, marginFor, type Panel, rangeOf } from '../../charts/figure.ts';
import { colour, GRID, INK, MUTED, PAPER, seriesColour, seriesStyle } from '../../charts/theme.ts';
import type { FittedMixture } from '../fit-types.ts';
import { spearman } from '../statistics.ts';
import { domainName, targetName } from '../tables.ts';

/** Domains that a figure shows; those of the greatest mean weight. */
export const MAX_DOMAINS = 60;
/** Targets that a figure shows; the first ones. */
export const MAX_TARGETS = 40;

const PANEL = { width: 330, height: 240 } as const;
const COLUMNS = 3;
const EFFECT_STEPS = 24;

/** Indices of the domains that are shown, in their order. */
export function shownDomains({ sampled, domains }: FittedMixture): number[] {
  return domains
    .map((_, domain) => domain)
    .sort((left, right) => sampled.mean[right]! - sampled.mean[left]! || left - right)
    .slice(0, MAX_DOMAINS)
    .sort((left, right) => left - right);
}

function shownTargets({ targets }: FittedMixture): number[] {
  return targets.slice(0, MAX_TARGETS).map((_, target) => target);
}

/** Spearman's correlation of every domain's weight with every target's loss; null where one does not vary. */
export function correlationHeatmap(fit: FittedMixture): Promise<string> {
  const { runs } = fit;
  const column = (values: Float64Array, nColumns: number, at: number): Float64Array =>
    Float64Array.from(runs.ids, (_, run) => values[run * nColumns + at]!);
  const domains = shownDomains(fit);
  const targets = shownTargets(fit);
  const losses = targets.map((target) => column(runs.losses, fit.targets.length, target));
  const cells = domains.flatMap((domain) => {
    const weights = column(runs.weights, fit.domains.length, domain);
    return losses.map((loss, at) => {
      const rho = spearman(weights, loss);
      return { domain, target: targets[at]!, rho, size: Math.abs(rho ?? 0) };
    });
  });
  const names = domains.map((domain) => nameOf(fit.domains[domain]!));
  const losing = targets.map((target) => figureText(targetName(fit.targets[target]!)));
  const left = marginFor(names);
  // Names stand at 45 degrees.
  const top = Math.ceil(marginFor(losing) * 0.75) + 16;
  const cell = { x: 'target', y: 'domain' } as const;
  return drawFigure((Plot) => ({
    title: 'Spearman correlation of weight and loss',
    legend: [
      { name: '−1: more weight, less loss', colour: colour('negative') },
      { name: '+1: more weight, more loss', colour: colour('positive') },
    ],
    panels: [
      {
        width: left + targets.length * 36 + Math.max(40, top),
        height: top + domains.length * 28 + 10,
        chart: {
          ...{ marginLeft: left, marginTop: top, marginBottom: 6, marginRight: Math.max(30, top) },
          x: { domain: targets, axis: 'top', label: null, tickRotate: -45, tickFormat: ofTarget },
          y: { domain: domains, label: null, tickFormat: ofDomain },
          marks: [
            Plot.cell(cells, { ...cell, fill: GRID, inset: 0.5 }),
            Plot.cell(cells, { ...cell, fill: PAPER, inset: 0.5, filter: isKnown }),
            ...([-1, 1] as const).map((sign) =>
              Plot.cell(cells, {
                ...{ ...cell, inset: 0.5, fill: colour(sign < 0 ? 'negative' : 'positive') },
                fillOpacity: 'size',
                filter: ({ rho }: { rho: number | null }) => rho !== null && sign * rho > 0,
              }),
            ),
            ...[true, false].map((isStrong) =>
              Plot.text(cells, {
                ...{ ...cell, text: rhoText, fontSize: 9, fill: isStrong ? PAPER : INK },
                filter: ({ size }: { size: number }) => size > 0.6 === isStrong,
              }),
            ),
          ],
          opacity: { type: 'linear', domain: [0, 1], range: [0, 1] },
        },
      },
    ],
  }));
  function ofTarget(target: number): string {
    return figureText(targetName(fit.targets[target]!));
  }
  function ofDomain(domain: number): string {
    return nameOf(fit.domains[domain]!);
  }
}

function isKnown({ rho }: { readonly rho: number | null }): boolean {
  return rho !== null;
}

function nameOf(domain: string): string {
  return figureText(domainName(domain));
}

/** Two decimals, and no minus in front of nothing. */
function rhoText({ rho }: { readonly rho: number | null }): string {
  return rho === null ? '–' : (Math.round(100 * rho) / 100 + 0).toFixed(2);
}

/** Left-out predictions of cross-validation against true losses, with calibrated 90 % intervals; null without it. */
export async function predictedVersusTrue(fit: FittedMixture): Promise<string | null> {
  const { runs, report } = fit;
  const validation = report.crossValidation;
  if (!validation) return null;
  return drawFigure((Plot) => ({
    title: 'Predicted and true loss, runs left out; lines are 90 % intervals',
    columns: COLUMNS,
    panels: shownTargets(fit).map((target): Panel => {
      const truth = Array.from(
        runs.ids,
        (_, run) => runs.losses[run * fit.targets.length + target]!,
      );
      const predicted = validation.predicted[target]!;
      const halves = validation.halfWidths90[target]!;
      const range = rangeOf([...truth, ...predicted]);
      const rho = validation.targets[target]!.spearman;
      const clip = (value: number): number => Math.max(range[0], Math.min(range[1], value));
      // One path for thousands of intervals, one for thousands of dots.
      const intervals = truth.flatMap((loss, run) => [
        [clip(predicted[run]! - halves[run]!), loss],
        [clip(predicted[run]! + halves[run]!), loss],
        [Number.NaN, Number.NaN],
      ]);
      const dots = dotsThrough(truth.map((loss, run) => [clip(predicted[run]!), loss] as const));
      return {
        ...PANEL,
        title: `${figureText(targetName(fit.targets[target]!))}, ρ ${rho === null ? '–' : rho.toFixed(4)}`,
        chart: {
          ...{ marginLeft: 48, marginBottom: 36 },
          x: { label: 'predicted loss', domain: range, ticks: 4 },
          y: { label: 'true loss', domain: range, grid: true, ticks: 5 },
          marks: [
            Plot.line(
              [range, range].map(([low, high], at) => (at === 0 ? [low, low] : [high, high])),
              {
                stroke: MUTED,
              },
            ),
            Plot.line(intervals, { stroke: seriesColour(0), strokeOpacity: 0.35, strokeWidth: 1 }),
            Plot.line(dots, {
              ...{ x: (dot) => dot?.[0], y: (dot) => dot?.[1] },
              ...{ stroke: seriesColour(0), strokeWidth: 3 },
            }),
          ],
        },
      };
    }),
  }));
}

/** Spearman and RMSE by the number of runs; null without a learning curve. */
export async function learningCurveFigure(fit: FittedMixture): Promise<string | null> {
  const curve = fit.report.learningCurve;
  if (!curve) return null;
  const measures = [
    ['Spearman correlation', (one: Measured) => one.spearman],
    ['RMSE (nats per token)', (one: Measured) => one.rmse],
  ] as const;
  const { points } = curve;
  const nTargets = Math.min(MAX_TARGETS, points[0]?.targets.length ?? 0);
  return drawFigure((Plot) => ({
    title: `Measures on ${curve.nHeldOut} runs left out, by runs fitted on`,
    columns: 2,
    legend: [
      { name: 'single targets', colour: MUTED, mark: 'line' },
      { name: 'their mean', colour: seriesColour(0), mark: 'line' },
    ],
    panels: measures.map(([label, measureOf]): Panel => {
      const pathOf = (values: readonly (number | null)[]) =>
        values.map((value, at) => [points[at]!.nRuns, value ?? Number.NaN]);
      const single = Array.from({ length: nTargets }, (_, target) =>
        pathOf(points.map((point) => measureOf(point.targets[target]!))),
      );
      const mean = pathOf(points.map(measureOf));
      return {
        width: 420,
        height: 280,
        chart: {
          ...{ marginLeft: 56, marginBottom: 40 },
          x: {
            ...{ label: 'runs', type: 'log' as const, base: 2, tickFormat: String },
            ticks: points.map(({ nRuns }) => nRuns),
            domain: rangeOf(points.map(({ nRuns }) => nRuns)),
          },
          y: {
            ...{ label, grid: true },
            domain: rangeOf([...single.flat(), ...mean].map(([, value]) => value!)),
          },
          marks: [
            ...single.map((line) => Plot.line(line, { stroke: MUTED, strokeOpacity: 0.6 })),
            Plot.line(mean, { stroke: seriesColour(0), strokeWidth: 2.5, marker: 'dot' }),
          ],
        },
      };
    }),
  }));
}

interface Measured {
  readonly spearman: number | null;
  readonly rmse: number;
}

/** A mixture that bars are drawn of. */
export interface NamedMixture {
  readonly name: string;
  /** By domain of the fit. */
  readonly weights: readonly number[];
}

/** Weights of mixtures side by side. */
export function mixtureBars(
  fit: FittedMixture,
  mixtures: readonly NamedMixture[],
): Promise<string> {
  const domains = shownDomains(fit);
  const bars = domains.flatMap((domain) =>
    mixtures.map(({ weights }, mixture) => ({ domain, mixture, weight: weights[domain]! })),
  );
  const high = Math.max(1e-9, ...bars.map(({ weight }) => weight));
  const names = domains.map((domain) => nameOf(fit.domains[domain]!));
  return drawFigure((Plot) => ({
    title: 'Weights of domains',
    legend: mixtures.map(({ name }, at) => ({ name, colour: seriesColour(at) })),
    panels: [
      {
        width: 720,
        height: 50 + domains.length * (mixtures.length * 13 + 8),
        chart: {
          ...{ marginLeft: marginFor(names), marginRight: 56, marginTop: 6, marginBottom: 40 },
          x: { label: 'weight (share)', domain: [0, high], grid: true },
          fy: { domain: domains, label: null, padding: 0.15, tickFormat: ofDomain },
          y: { axis: null, domain: mixtures.map((_, at) => at) },
          marks: [
            ...mixtures.map((_, at) =>
              Plot.barX(bars, {
                ...{ x: 'weight', y: 'mixture', fy: 'domain', fill: seriesColour(at) },
                filter: ({ mixture }: { mixture: number }) => mixture === at,
              }),
            ),
            Plot.text(bars, {
              ...{ x: 'weight', y: 'mixture', fy: 'domain', fontSize: 9, fill: MUTED },
              text: ({ weight }: { weight: number }) => weight.toFixed(4),
              ...{ textAnchor: 'start', dx: 4 },
            }),
          ],
        },
      },
    ],
  }));
  function ofDomain(domain: number): string {
    return nameOf(fit.domains[domain]!);
  }
}

/**
 * Predicted loss along the ray from the mean mixture to each vertex: one domain's weight goes from the least to the
 * greatest that the runs have, the others keep their proportions. Beyond the runs nothing is drawn.
 */
export function domainEffects(fit: FittedMixture): Promise<string> {
  const domains = shownDomains(fit).filter((domain) => rayRange(fit, domain) !== null);
  const rays = domains.map((domain) => rayOf(fit, domain));
  return drawFigure((Plot) => ({
    title: 'Predicted loss by the weight of one domain, the others in proportion',
    columns: COLUMNS,
    legend: domains.map((domain, at) => {
      const { stroke, strokeDasharray: dash } = seriesStyle(at);
      return { name: domainName(fit.domains[domain]!), colour: stroke, dash, mark: 'line' };
    }),
    panels: shownTargets(fit).map((target): Panel => {
      const lines = rays.map(({ weights }) => fit.surrogates[target]!.predict(weights).mean);
      return {
        ...PANEL,
        title: targetName(fit.targets[target]!),
        chart: {
          ...{ marginLeft: 48, marginBottom: 36 },
          x: {
            label: 'weight (share)',
            domain: rangeOf(rays.flatMap(({ steps }) => steps)),
            ticks: 4,
          },
          y: {
            ...{ label: 'predicted loss', grid: true, ticks: 5 },
            domain: rangeOf(lines.flatMap((line) => Array.from(line))),
          },
          marks: lines.map((line, at) =>
            Plot.line(
              rays[at]!.steps.map((step, row) => [step, line[row]!]),
              seriesStyle(at),
            ),
          ),
        },
      };
    }),
  }));
}

function rayRange({ sampled }: FittedMixture, domain: number): readonly [number, number] | null {
  const [low, high] = [sampled.min[domain]!, sampled.max[domain]!];
  return high > low && sampled.mean[domain]! < 1 ? [low, high] : null;
}

/** Mixtures along one ray, `[nSteps × nDomains]`. */
export function rayOf(
  fit: FittedMixture,
  domain: number,
): { readonly steps: readonly number[]; readonly weights: Float64Array } {
  const { sampled } = fit;
  const nDomains = fit.domains.length;
  const [low, high] = rayRange(fit, domain) ?? [sampled.mean[domain]!, sampled.mean[domain]!];
  const steps = Array.from(
    { length: EFFECT_STEPS + 1 },
    (_, step) => low + ((high - low) * step) / EFFECT_STEPS,
  );
  const weights = new Float64Array(steps.length * nDomains);
  for (const [row, step] of steps.entries()) {
    const scale = (1 - step) / (1 - sampled.mean[domain]!);
    for (let other = 0; other < nDomains; other++) {
      weights[row * nDomains + other] = other === domain ? step : sampled.mean[other]! * scale;
    }
  }
  return { steps, weights };
}
