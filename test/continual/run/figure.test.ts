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
const pathsOf = (figure: string) =>
  [...figure.matchAll(/<path d="(M[^"]*L[^"]*)"/g)].map(([, path]) => path!.split('L').length);

it('has a line for training, one for every set, and the rate', async () => {
  const figure = await stageFigure('a & b', records(40));
  expect(figure).toContain('>a &amp; b<');
  expect(figure).toContain('new &lt;set&gt;');
  expect(figure).toContain('loss (nats per token)');
  // Training, two sets, the rate: other paths are ticks, of two points without an L between numbers.
  expect(pathsOf(figure).filter((points) => points > 1)).toEqual(
    expect.arrayContaining([40, 2, 2, 40]),
  );
  expect(figure.match(/<circle/g)).toHaveLength(4);
});

it('draws long runs with no more points than pixels, and nothing at all', async () => {
  const paths = pathsOf(await stageFigure('long', records(50_000)));
  expect(Math.max(...paths)).toBeGreaterThan(500);
  for (const points of paths) expect(points).toBeLessThan(1300);
  expect(await stageFigure('empty', [])).toMatch(/^<svg/);
});
