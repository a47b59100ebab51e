import { expect, it } from 'vitest';
import { stageFigure } from '../../../src/continual/run/figure.ts';

const records = (nSteps: number) => [
  { step: 0, validation: { old: 3, 'new <set>': 5 } },
  ...Array.from({ length: nSteps }, (_, step) => ({
    step: step + 1,
    loss: 4 - step / nSteps,
    lr: 1e-3,
    gradNorm: 1,
  })),
  { step: nSteps, validation: { old: 3.5, 'new <set>': 4 } },
];
const pointsOf = (line: string) => line.match(/points="([^"]*)"/)![1]!.split(' ');

it('has a line for training, one for every set, and the rate', () => {
  const figure = stageFigure('a & b', records(40));
  expect(figure).toContain('a &amp; b: loss');
  expect(figure).toContain('new &lt;set&gt;');
  const lines = figure.split('\n').filter((line) => line.startsWith('<polyline'));
  // Training, two sets, the rate; three in the legend.
  expect(lines.map((line) => pointsOf(line).length)).toEqual([40, 2, 2, 40, 2, 2, 2]);
  expect(figure.match(/<circle/g)).toHaveLength(4);
});

it('draws long runs with no more points than pixels, and nothing at all', () => {
  const lines = stageFigure('long', records(50_000)).split('\n');
  for (const line of lines.filter((one) => one.startsWith('<polyline'))) {
    expect(pointsOf(line).length).toBeLessThan(1300);
  }
  expect(stageFigure('empty', [])).toMatch(/^<svg/);
});
