/** What `gristmill refine --estimate` prints. */
import { printable } from '../errors.ts';
import { count } from '../figures.ts';
import type { RefineEstimate } from '../refine/estimate.ts';
import type { Interval } from '../refine/intervals.ts';
import { columns } from './say.ts';

/** An estimate as text: each figure with its 90 % interval. */
export function estimateTable(estimate: RefineEstimate): string {
  const { sample, kept, workers } = estimate;
  const row = (name: string, of: Interval, shown: (value: number) => string): string[] => [
    name,
    shown(of.estimate),
    of.low === of.high ? 'exactly' : `${shown(of.low)} to ${shown(of.high)}`,
  ];
  const side = `${workers} workers side by side`;
  const figures = [
    ['', 'estimate', '90 % interval'],
    row('time on this machine', estimate.hours, hours),
    ...(workers > 1 ? [row(side, estimate.hoursOfWorkers, hours)] : []),
    ...(estimate.price ? [row('price', estimate.price, (value) => value.toFixed(2))] : []),
    row('documents', estimate.rows, (value) => count(Math.round(value))),
    row('documents that stay', kept.rows, share),
    row('characters that stay', kept.characters, share),
    row('tokens that stay', kept.tokens, share),
    row('tokens in the output', estimate.tokensOut, (value) => count(Math.round(value))),
    row('size of the output', estimate.outputBytes, bytes),
  ];
  const { ranges, rows, unitsRead, seconds, seed } = sample;
  return [
    columns(figures),
    `disk that --out needs: ${bytes(estimate.diskBytes)}\n`,
    `tokens as ${printable(estimate.vocabulary)} counts them\n`,
    `from ${count(rows)} documents in ${count(ranges)} places (${bytes(sample.bytes)} of text), `,
    `${count(unitsRead)} of ${count(estimate.units)} units read, in ${hours(seconds / 3600)}; seed ${seed}\n`,
  ].join('');
}

function share(value: number): string {
  return `${(value * 100).toFixed(1)} %`;
}

function hours(value: number): string {
  if (!Number.isFinite(value)) return 'unknown';
  const seconds = value * 3600;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return value < 2 ? `${(seconds / 60).toFixed(1)} min` : `${value.toFixed(1)} h`;
}

function bytes(value: number): string {
  if (!Number.isFinite(value)) return 'unknown';
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(1)} GB`;
}
