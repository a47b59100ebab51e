/**
 * The figures of a fit: correlations, predicted against true losses, learning curve, mixtures, effects of domains.
 * Each is one SVG text. What would not be readable is left out and said: see {@link MAX_DOMAINS} and {@link MAX_TARGETS}.
 */

import {
  COLOURS,
  divergingColour,
  label,
  lineThrough,
  num,
  panelAt,
  rangeOf,
  svgOf,
  textAt,
} from '../../charts/svg.ts';
import type { FittedMixture, LearningCurve } from '../fit-types.ts';
import { spearman } from '../statistics.ts';
import { domainName, targetName } from '../tables.ts';

/** Domains that a figure shows; those of the greatest mean weight. */
export const MAX_DOMAINS = 60;
/** Targets that a figure shows; the first ones. */
export const MAX_TARGETS = 40;

const PANEL = { width: 260, height: 190, gapX: 90, gapY: 60, perRow: 3 } as const;
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
export function correlationHeatmap(fit: FittedMixture): string {
  const { runs } = fit;
  const domains = shownDomains(fit);
  const targets = shownTargets(fit);
  const column = (values: Float64Array, nColumns: number, at: number): Float64Array =>
    Float64Array.from(runs.ids, (_, run) => values[run * nColumns + at]!);
  const [cell, left, top] = [30, 190, 150];
  const parts = [
    textAt(10, 20, 'Spearman correlation of weight and loss', { size: 13 }),
    ...targets.map((target, place) =>
      textAt(left + place * cell + cell / 2 + 4, top - 8, label(targetName(fit.targets[target]!)), {
        turn: -45,
      }),
    ),
  ];
  const losses = targets.map((target) => column(runs.losses, fit.targets.length, target));
  for (const [row, domain] of domains.entries()) {
    const y = top + row * cell;
    const name = label(domainName(fit.domains[domain]!));
    parts.push(textAt(left - 8, y + cell / 2 + 4, name, { anchor: 'end' }));
    const weights = column(runs.weights, fit.domains.length, domain);
    for (const [place, loss] of losses.entries()) {
      const rho = spearman(weights, loss);
      const x = left + place * cell;
      const fill = rho === null ? '#eee' : divergingColour(rho);
      parts.push(
        `<rect x="${x}" y="${y}" width="${cell}" height="${cell}" fill="${fill}" stroke="white"/>`,
        textAt(x + cell / 2, y + cell / 2 + 3, rho === null ? '–' : hundredths(rho), {
          anchor: 'middle',
          size: 9,
          fill: rho !== null && Math.abs(rho) > 0.6 ? 'white' : '#333',
        }),
      );
    }
  }
  const width = left + targets.length * cell + 130;
  return svgOf(width, top + domains.length * cell + 20, parts);
}

/** Two decimals, and no minus in front of nothing. */
function hundredths(value: number): string {
  return (Math.round(100 * value) / 100 + 0).toFixed(2);
}

interface Slot {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Panels of a grid and its size. */
function grid(nPanels: number): { readonly slots: Slot[]; width: number; height: number } {
  const { width, height, gapX, gapY, perRow } = PANEL;
  const nColumns = Math.min(perRow, Math.max(1, nPanels));
  const slots = Array.from({ length: nPanels }, (_, place) => ({
    left: 60 + (place % nColumns) * (width + gapX),
    top: 60 + Math.floor(place / nColumns) * (height + gapY),
    width,
    height,
  }));
  const nRows = Math.ceil(nPanels / nColumns);
  return { slots, width: nColumns * (width + gapX), height: 60 + nRows * (height + gapY) };
}

/** Left-out predictions of cross-validation against true losses, with calibrated 90 % intervals; null without it. */
export function predictedVersusTrue(fit: FittedMixture): string | null {
  const { runs, report } = fit;
  const validation = report.crossValidation;
  if (!validation) return null;
  const targets = shownTargets(fit);
  const { slots, width, height } = grid(targets.length);
  const parts = [
    textAt(10, 20, 'Predicted (across) and true loss (up), runs left out; 90 % intervals', {
      size: 13,
    }),
  ];
  for (const [place, target] of targets.entries()) {
    const truth = Array.from(runs.ids, (_, run) => runs.losses[run * fit.targets.length + target]!);
    const predicted = validation.predicted[target]!;
    const halves = validation.halfWidths90[target]!;
    const range = rangeOf([...truth, ...predicted]);
    const rho = validation.targets[target]!.spearman;
    const title = `${label(targetName(fit.targets[target]!))}, ρ ${rho === null ? '–' : rho.toFixed(4)}`;
    const panel = panelAt({ ...slots[place]!, xRange: range, yRange: range, title });
    const clip = (value: number): number => Math.max(range[0], Math.min(range[1], value));
    const bars = predicted.map((mean, run) => {
      const y = num(panel.y(truth[run]!));
      const half = halves[run]!;
      return `M${num(panel.x(clip(mean - half)))} ${y}H${num(panel.x(clip(mean + half)))}`;
    });
    // A line of no length with round ends is a dot: one path for thousands of them.
    const dots = predicted.map(
      (mean, run) => `M${num(panel.x(clip(mean)))} ${num(panel.y(truth[run]!))}h0`,
    );
    const [low, high] = range;
    parts.push(
      panel.frame,
      `<line x1="${num(panel.x(low))}" y1="${num(panel.y(low))}" x2="${num(panel.x(high))}" y2="${num(panel.y(high))}" stroke="#bbb"/>`,
      `<path d="${bars.join('')}" stroke="#9db8d6" stroke-width="1" fill="none"/>`,
      `<path d="${dots.join('')}" stroke="#1f5fa8" stroke-width="3" stroke-linecap="round" fill="none"/>`,
    );
  }
  return svgOf(width, height, parts);
}

/** Spearman and RMSE by the number of runs; null without a learning curve. */
export function learningCurveFigure(fit: FittedMixture): string | null {
  const curve = fit.report.learningCurve;
  if (!curve) return null;
  const { slots, width, height } = grid(2);
  const measures = [
    ['Spearman', (one: { spearman: number | null; rmse: number }) => one.spearman],
    ['RMSE', (one: { spearman: number | null; rmse: number }) => one.rmse],
  ] as const;
  const parts = [
    textAt(10, 20, `Measures on ${curve.nHeldOut} runs left out, by runs fitted on`, { size: 13 }),
    ...measures.map(([title, value], place) => curvePanel(curve, slots[place]!, title, value)),
    textAt(60, height - 12, 'grey: single targets; blue: their mean', { fill: '#555' }),
  ];
  return svgOf(width, height, parts);
}

function curvePanel(
  { points }: LearningCurve,
  slot: Slot,
  title: string,
  measureOf: (one: { readonly spearman: number | null; readonly rmse: number }) => number | null,
): string {
  const xs = points.map(({ nRuns }) => Math.log2(nRuns));
  const nTargets = points[0]?.targets.length ?? 0;
  const lines = Array.from({ length: nTargets }, (_, target) =>
    points.map((point) => measureOf(point.targets[target]!)),
  );
  const means = points.map(measureOf);
  const shown = [...lines.flat(), ...means].filter((value) => value !== null);
  const panel = panelAt({
    ...slot,
    xRange: rangeOf(xs),
    yRange: rangeOf(shown),
    title,
    xTicks: points.map(({ nRuns }) => [Math.log2(nRuns), String(nRuns)] as const),
  });
  const draw = (values: readonly (number | null)[], stroke: string, width: number): string => {
    const path = values.flatMap((value, place) =>
      value === null ? [] : [[panel.x(xs[place]!), panel.y(value)] as const],
    );
    return lineThrough(path, { stroke, width });
  };
  return [
    panel.frame,
    ...lines.slice(0, MAX_TARGETS).map((values) => draw(values, '#ccc', 1)),
    draw(means, COLOURS[0], 2.5),
  ].join('\n');
}

/** A mixture that bars are drawn of. */
export interface NamedMixture {
  readonly name: string;
  /** By domain of the fit. */
  readonly weights: readonly number[];
}

/** Weights of mixtures side by side. */
export function mixtureBars(fit: FittedMixture, mixtures: readonly NamedMixture[]): string {
  const domains = shownDomains(fit);
  const high = Math.max(
    1e-9,
    ...mixtures.flatMap(({ weights }) => domains.map((d) => weights[d]!)),
  );
  const [left, width, bar, top] = [190, 420, 11, 50];
  const block = mixtures.length * bar + 8;
  const parts = [textAt(10, 20, 'Weights of domains', { size: 13 })];
  for (const [place, { name }] of mixtures.entries()) {
    const x = left + place * 170;
    parts.push(
      `<rect x="${x}" y="30" width="10" height="10" fill="${COLOURS[place % COLOURS.length]}"/>`,
      textAt(x + 14, 39, label(name)),
    );
  }
  for (const [row, domain] of domains.entries()) {
    const y = top + row * block;
    const name = label(domainName(fit.domains[domain]!));
    parts.push(textAt(left - 8, y + (block - 8) / 2 + 4, name, { anchor: 'end' }));
    for (const [place, { weights }] of mixtures.entries()) {
      const weight = weights[domain]!;
      const long = (weight / high) * width;
      parts.push(
        `<rect x="${left}" y="${y + place * bar}" width="${num(long)}" height="${bar - 1}" fill="${COLOURS[place % COLOURS.length]}"/>`,
        textAt(left + long + 4, y + place * bar + 9, weight.toFixed(4), { size: 9, fill: '#555' }),
      );
    }
  }
  return svgOf(left + width + 70, top + domains.length * block + 16, parts);
}

/**
 * Predicted loss along the ray from the mean mixture to each vertex: one domain's weight goes from the least to the
 * greatest that the runs have, the others keep their proportions. Beyond the runs nothing is drawn.
 */
export function domainEffects(fit: FittedMixture): string {
  const targets = shownTargets(fit);
  const domains = shownDomains(fit).filter((domain) => rayRange(fit, domain) !== null);
  const { slots, width, height } = grid(targets.length);
  const rays = domains.map((domain) => rayOf(fit, domain));
  const parts = [
    textAt(10, 20, 'Predicted loss (up) by the weight of one domain (across)', { size: 13 }),
  ];
  for (const [place, target] of targets.entries()) {
    const lines = rays.map(({ weights }) => fit.surrogates[target]!.predict(weights).mean);
    const panel = panelAt({
      ...slots[place]!,
      xRange: rangeOf(rays.flatMap(({ steps }) => steps)),
      yRange: rangeOf(lines.flatMap((line) => Array.from(line))),
      title: label(targetName(fit.targets[target]!)),
    });
    parts.push(
      panel.frame,
      ...lines.map((line, at) =>
        lineThrough(
          rays[at]!.steps.map((step, row) => [panel.x(step), panel.y(line[row]!)] as const),
          { stroke: COLOURS[at % COLOURS.length]!, width: at < COLOURS.length ? 1.5 : 0.8 },
        ),
      ),
    );
  }
  const perRow = 4;
  const legend = domains.map((domain, at) => {
    const x = 20 + (at % perRow) * 240;
    const y = height + Math.floor(at / perRow) * 16;
    return [
      `<rect x="${x}" y="${y - 9}" width="14" height="${at < COLOURS.length ? 9 : 4}" fill="${COLOURS[at % COLOURS.length]}"/>`,
      textAt(x + 18, y, label(domainName(fit.domains[domain]!))),
    ].join('');
  });
  const legendHeight = Math.ceil(domains.length / perRow) * 16 + 10;
  return svgOf(Math.max(width, 980), height + legendHeight, [...parts, ...legend]);
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
