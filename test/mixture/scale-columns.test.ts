import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fitMixture } from '../../src/mixture/fit.ts';
import { loadFit, saveFit } from '../../src/mixture/fit-file.ts';
import { joinRuns, readLosses, readMixtures, writeRuns } from '../../src/mixture/tables.ts';
import { scaleRuns } from './scale/synthetic.ts';

const folder = mkdtempSync(join(tmpdir(), 'mixture-scales-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('columns of size and tokens', () => {
  it('read back as they were written, epochs too', async () => {
    const runs = scaleRuns({ nMixtures: 3 });
    const epochs = runs.weights.map((weight) => 10 * weight);
    const whole = { ...runs, scales: { ...runs.scales, epochs } };
    for (const name of ['runs.csv', 'runs.parquet']) {
      const path = join(folder, name);
      await writeRuns(path, whole);
      const mixtures = await readMixtures(path);
      expect(mixtures.ignored.some((column) => /^(params|tokens|epochs)/.test(column))).toBe(false);
      const { scales, domains } = joinRuns(mixtures, await readLosses(path));
      expect(domains).toEqual(runs.domains);
      expect(scales).toEqual(whole.scales);
    }
  });

  it('are no domains and no targets, and may stand in either table', async () => {
    // Without the published form every column of numbers was a domain, tokens too.
    const mixtures = file('m.csv', 'index,web,code\n1,0.5,0.5\n2,0.2,0.8\n');
    const losses = file('l.csv', 'index,web,params,tokens\n2,3.1,1e9,2e10\n1,3.2,1e8,1e9\n');
    const read = await readLosses(losses);
    expect(read.targets).toEqual(['web']);
    const { scales } = joinRuns(await readMixtures(mixtures), read);
    expect([...scales!.params, ...scales!.tokens]).toEqual([1e8, 1e9, 1e9, 2e10]);
    const beside = file('b.csv', 'index,web,code,params,tokens\n1,0.5,0.5,1e8,1e9\n');
    expect((await readMixtures(beside)).domains).toEqual(['web', 'code']);
  });

  it('are refused where one is missing or a number is none', async () => {
    const one = file('one.csv', 'index,train_web,train_code,params\n1,0.5,0.5,1e8\n');
    await expect(readMixtures(one)).rejects.toThrow(/tokens.*this column/);
    const zero = file('zero.csv', 'index,train_web,train_code,params,tokens\n1,0.5,0.5,1e8,0\n');
    await expect(readMixtures(zero)).rejects.toMatchObject({
      code: 'MIXTURE_TABLE_INVALID',
      message: expect.stringContaining('a number above 0'),
    });
    const some = file(
      'some.csv',
      'index,train_web,train_code,params,tokens,epochs_web\n1,0.5,0.5,1e8,1e9,2\n',
    );
    await expect(readMixtures(some)).rejects.toThrow(/epochs_code.*epochs of every domain/);
  });

  it('go through a fit and its file', async () => {
    const runs = scaleRuns();
    const fit = await fitMixture({ runs, model: 'scale', targets: ['web'], folds: 0 });
    const path = join(folder, 'fit.json');
    await saveFit(path, fit);
    const { fit: read } = await loadFit(path);
    expect(read.runs.scales).toEqual(runs.scales);
    expect(read.report.scale).toEqual(fit.report.scale);
    const [own, back] = [fit, read].map(({ surrogates }) => surrogates[0]!.predict(runs.weights));
    expect(back!.mean).toEqual(own!.mean);
  });

  it('choose how much repetition costs where runs repeat', async () => {
    const runs = scaleRuns({ noise: 0 });
    const epochs = runs.weights.map((_, at) => (at % 3 === 0 ? 40 : 1));
    const scales = { ...runs.scales, epochs };
    const fit = await fitMixture({ runs: { ...runs, scales }, model: 'scale', folds: 0 });
    expect(fit.report.scale!.repeatWorth).toBeGreaterThan(0);
    expect(
      (await fitMixture({ runs, model: 'scale', folds: 0 })).report.scale!.repeatWorth,
    ).toBeNull();
  });
});
