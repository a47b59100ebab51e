import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fitMixture } from '../../src/mixture/fit.ts';
import { readMixture } from '../../src/mixture/read-mixture.ts';
import { correlationHeatmap, rayOf } from '../../src/mixture/report/figures.ts';
import { writeReport } from '../../src/mixture/report/report.ts';
import { spearman } from '../../src/mixture/statistics.ts';
import { bowlLaw, linearLaw, runsOf } from './laws.ts';

const folder = mkdtempSync(join(tmpdir(), 'mixture-report-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hostile = '<script>alert("x")</script>';
const runs = {
  ...runsOf(
    { [hostile]: linearLaw([1, -1, 0.5]), 'metric/bowl_val_loss': bowlLaw([0.5, 0.3, 0.2]) },
    { nRuns: 90, nDomains: 3, noise: 0.05 },
  ),
  domains: ['train_a', `train_${hostile}`, 'train_c & d'],
};

describe('writeReport', () => {
  it('writes one page that stands alone, and its figures', async () => {
    const fit = await fitMixture({ runs, model: 'ridge', learningCurve: true });
    const out = join(folder, 'all');
    const proposal = join(folder, 'proposal.json');
    writeFileSync(proposal, JSON.stringify({ a: 0.75, [hostile]: 0.25, 'c & d': 0 }));
    const result = await writeReport({
      fit,
      out,
      proposal: { name: 'proposal', table: await readMixture(proposal) },
      title: `Fit & ${hostile}`,
    });
    const names = ['correlations', 'predicted', 'learning-curve', 'mixtures', 'effects'];
    const files = names.flatMap((name) => [`${name}.svg`, `${name}.png`]);
    expect(result.figures).toEqual(files.map((name) => join(out, name)));
    expect(readdirSync(out).sort()).toEqual(['report.html', ...files].sort());
    const page = readFileSync(result.html, 'utf8');
    const drawings = result.figures.filter((file) => file.endsWith('.svg'));
    for (const text of [page, ...drawings.map((file) => readFileSync(file, 'utf8'))]) {
      expect(text).not.toContain('<script');
      expect(text).not.toMatch(/NaN|Infinity|undefined/);
      // Every element that is opened is closed.
      const opened = text.match(/<(?:svg|text|table|tr|td|figure|ul|li)\b/g)!.length;
      expect(text.match(/<\/(?:svg|text|table|tr|td|figure|ul|li)>/g)).toHaveLength(opened);
    }
    expect(page).toContain('c &amp; d');
    expect(page).toContain('5-fold cross-validation');
    expect(page).toMatch(/<th>mean of the runs<\/th><th>proposal<\/th>/);
    // Nothing is loaded from elsewhere.
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|src=|href=/);
  });

  it('leaves out what was not measured, and bears targets and domains that do not vary', async () => {
    const flat = { ...runs, weights: runs.weights.map((_, at) => (at % 3 === 0 ? 1 : 0)) };
    const losses = runs.losses.map((loss, at) => (at % 2 === 0 ? 4 : loss));
    const fit = await fitMixture({ runs: { ...flat, losses }, model: 'ridge', folds: 0 });
    const { html, figures } = await writeReport({ fit, out: join(folder, 'less') });
    expect(figures.map((file) => file.split('/').at(-1))).toEqual([
      'correlations.svg',
      'correlations.png',
      'mixtures.svg',
      'mixtures.png',
      'effects.svg',
      'effects.png',
    ]);
    expect(readFileSync(html, 'utf8')).toMatch(/No cross-validation was made/);
  });

  it('refuses a mixture of other domains', async () => {
    const fit = await fitMixture({ runs, model: 'ridge', folds: 0 });
    const table = { domains: ['z'], ids: ['1'], weights: Float64Array.of(1) };
    const proposal = { name: 'proposal', table };
    const failure = await writeReport({ fit, out: folder, proposal }).catch((error) => error);
    expect(failure.code).toBe('MIXTURE_TABLE_INVALID');
  });
});

describe('figures', () => {
  it('show the correlations of the runs', async () => {
    const fit = await fitMixture({ runs, model: 'ridge', folds: 0 });
    const weights = Array.from(runs.ids, (_, run) => runs.weights[run * 3]!);
    const losses = Array.from(runs.ids, (_, run) => runs.losses[run * 2 + 1]!);
    expect(await correlationHeatmap(fit)).toContain(`>${spearman(weights, losses)!.toFixed(2)}<`);
  });

  it('draw rays from the least to the greatest weight, through the mean, inside the simplex', async () => {
    const fit = await fitMixture({ runs, model: 'ridge', folds: 0 });
    const { steps, weights } = rayOf(fit, 1);
    expect([steps[0], steps.at(-1)]).toEqual([fit.sampled.min[1], fit.sampled.max[1]]);
    for (const [row, step] of steps.entries()) {
      const [first, , third] = weights.subarray(row * 3, row * 3 + 3);
      expect(first! + step + third!).toBeCloseTo(1, 12);
      if (step < 1)
        expect(first! / third!).toBeCloseTo(fit.sampled.mean[0]! / fit.sampled.mean[2]!, 8);
    }
  });
});

describe('readMixture', () => {
  it.each([
    ['a.json', '{"a":0.5,"b":0.5}'],
    ['b.json', '{"weights":{"a":0.5,"b":0.5},"loss":3}'],
    ['c.json', '{"domains":["a","b"],"weights":[0.5,0.5],"value":1}'],
    ['d.csv', 'index,a,b\n1,0.5,0.5\n2,1,0\n'],
  ])('reads %s', async (name, text) => {
    writeFileSync(join(folder, name), text);
    const { domains, weights } = await readMixture(join(folder, name));
    expect([domains, [...weights]]).toEqual([
      ['a', 'b'],
      [0.5, 0.5],
    ]);
  });

  it.each(['{', '[]', '{"a":"x"}', '{"a":-2}', '{}', '{"domains":["a"],"weights":[]}'])(
    'refuses %s',
    async (text) => {
      writeFileSync(join(folder, 'bad.json'), text);
      const failure = await readMixture(join(folder, 'bad.json')).catch((error) => error);
      expect(failure.code).toBe('MIXTURE_TABLE_INVALID');
    },
  );
});
