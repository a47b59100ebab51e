/** The figure of a plan: drawn by a real renderer, names escaped, its size bounded. */
import { describe, expect, it } from 'vitest';
import { pngOf } from '../../../src/charts/png.ts';
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import { planTimeline } from '../../../src/continual/plan/timeline.ts';

function drawn(input: Omit<PlanInput, 'batch'>): Promise<string> {
  return planTimeline(resolvePlan(checkPlan({ batch: { nSeq: 4, nCtx: 16 }, ...input })));
}

const datasets = { old: {}, new: {} };
const infinite: Omit<PlanInput, 'batch'> = {
  name: 'x <b>&"',
  preset: 'infinite',
  rates: { peakLr: 3e-4 },
  datasets,
  stages: [
    { name: 'base-stage', data: 'old', steps: 400 },
    {
      name: 'shifted',
      data: [{ data: { old: 1, new: 1 }, until: { fraction: 0.5 } }, { data: 'new' }],
      steps: 200,
      replay: 0.25,
    },
  ],
};

describe('planTimeline', () => {
  it('draws every part, and a renderer takes it', async () => {
    const svg = await drawn(infinite);
    expect(svg).toContain('x &lt;b&gt;&amp;');
    expect(svg).not.toContain('<b>');
    for (const text of [
      'base-stage',
      'shifted',
      'old',
      'new',
      'tokens',
      'learning rate, in 1e-4',
    ]) {
      expect(svg).toMatch(new RegExp(`>(?:↑ )?${text}(?: →)?</text>`));
    }
    for (const text of [
      'hatched: replay',
      'anneal nothing starts from',
      'starts from that checkpoint',
    ]) {
      expect(svg).toContain(text);
    }
    // The abandoned anneal, its way on, and their marks in the legend.
    expect(svg.match(/stroke-dasharray="5 4"/g)).toHaveLength(2);
    expect(svg.match(/stroke-dasharray="1.5 3"/g)).toHaveLength(2);
    // The way on leads from the end of the constant phase to the second stage: it was a dot at nought once.
    expect(svg).toMatch(/stroke-dasharray="1.5 3"[^>]*><path d="M5\d\d[^"L]*L6\d\d/);
    // Two segments with two and one new sources, and replay in both.
    expect(svg.match(/fill="url\(#hatch-0\)"/g)).toHaveLength(3);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect((await pngOf(svg, 0.5)).length).toBeGreaterThan(1000);
  });

  it('leaves out what is not there', async () => {
    const svg = await drawn({
      datasets,
      stages: [
        { name: 'one', data: 'old', steps: 1, schedule: { kind: 'constant', peakLr: 0 } },
        { name: 'two', data: 'new', steps: 1, schedule: { kind: 'constant', peakLr: 0 } },
      ],
    });
    expect(svg).not.toMatch(/dasharray|hatched|NaN|Infinity/);
  });

  it('an anneal that another stage starts from is whole', async () => {
    const svg = await drawn({
      ...infinite,
      stages: [
        ...infinite.stages,
        {
          name: 'more',
          data: 'new',
          steps: 50,
          start: { stage: 'base-stage', checkpoint: 'annealed' },
          schedule: { kind: 'constant', peakLr: 3e-5 },
        },
      ],
    });
    expect(svg).not.toContain('stroke-dasharray="5 4"');
  });

  it('holds a bounded number of points, whatever the stages and cycles', async () => {
    const svg = await drawn({
      datasets,
      stages: Array.from({ length: 60 }, (_, index) => ({
        name: `stage${index}`,
        data: 'old',
        steps: 100_000,
        schedule: {
          kind: 'rewarm',
          peakLr: 1e-3,
          warmup: '1 %',
          cycles: Array.from({ length: 250 }, () => ({ fraction: 1 / 250 })),
        },
      })),
    });
    const nPoints = [...svg.matchAll(/ d="(M[^"]*)"/g)].reduce(
      (sum, [, path]) => sum + path!.split('L').length,
      0,
    );
    expect(nPoints).toBeGreaterThan(1000);
    expect(nPoints).toBeLessThan(4000);
    expect(svg.length).toBeLessThan(200_000);
  });
});
