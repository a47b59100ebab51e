import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fitMixture } from '../../src/mixture/fit.ts';
import { fitInput, loadFit, saveFit } from '../../src/mixture/fit-file.ts';
import type { FitMixtureOptions } from '../../src/mixture/fit-types.ts';
import { halfWidthAt, predictMixtures } from '../../src/mixture/predict.ts';
import { normalHalfWidth, spearman } from '../../src/mixture/statistics.ts';
import { bowlLaw, linearLaw, runsOf } from './laws.ts';

const folder = mkdtempSync(join(tmpdir(), 'mixture-fit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const coefficients = [1, -2, 0.5, 0];
const noise = 0.05;
const runs = runsOf(
  {
    'metric/line_val_loss': linearLaw(coefficients),
    'metric/bowl_val_loss': bowlLaw([0.4, 0.3, 0.2, 0.1]),
    'metric/flat_val_loss': () => 7,
  },
  { nRuns: 120, nDomains: 4, noise: 0, seed: 3 },
);
const noisy = runsOf(
  { line: linearLaw(coefficients) },
  { nRuns: 300, nDomains: 4, noise, seed: 5 },
);

function fitted(options: Partial<FitMixtureOptions> = {}) {
  return fitMixture({ runs, model: 'ridge', ...options });
}

describe('fitMixture', () => {
  it('fits every target, constants as constants', async () => {
    const fit = await fitted();
    expect(fit.targets).toEqual(runs.targets);
    const { crossValidation, constantTargets, notes } = fit.report;
    expect(constantTargets).toEqual(['metric/flat_val_loss']);
    expect(notes.join()).toMatch('predicted as that loss: flat');
    const [line, , flat] = crossValidation!.targets;
    expect(line!.spearman).toBeGreaterThan(0.999);
    expect(flat).toMatchObject({ spearman: null, rmse: 0 });
    const others = crossValidation!.targets.slice(0, 2).map((target) => target.spearman!);
    expect(crossValidation!.mean.spearman).toBeCloseTo((others[0]! + others[1]!) / 2, 12);
    const [, , last] = predictMixtures(fit, runs);
    expect(last!.mean.every((loss) => loss === 7)).toBe(true);
    // Nothing is known of the error of a target that never changed; an interval of no width said too much.
    expect(last!.halfWidth).toBeNull();
  });

  it('predicts a run by fits that did not see it', async () => {
    const { report } = await fitted({ folds: 6, seed: 4 });
    const { predicted, targets } = report.crossValidation!;
    const losses = Float64Array.from(runs.ids, (_, run) => runs.losses[run * 3 + 1]!);
    expect(targets[1]!.spearman).toBeCloseTo(spearman(losses, predicted[1]!)!, 12);
    // A whole fit that saw the run would be closer on average.
    const [, bowl] = predictMixtures(await fitted({ folds: 0 }), runs);
    const error = (all: ArrayLike<number>): number =>
      losses.reduce((sum, loss, run) => sum + (loss - all[run]!) ** 2, 0);
    expect(error(bowl!.mean)).toBeLessThan(error(predicted[1]!));
  });

  it('calibrates intervals: known noise is covered as the level says', async () => {
    const fit = await fitMixture({ runs: noisy, model: 'ridge' });
    const { coverage } = fit.report.crossValidation!.targets[0]!;
    for (const [place, level] of [0.5, 0.8, 0.9, 0.95].entries()) {
      expect(Math.abs(coverage.calibrated[place]! - level)).toBeLessThan(0.08);
    }
    const fresh = runsOf(
      { line: linearLaw(coefficients) },
      { nRuns: 2000, nDomains: 4, noise, seed: 99 },
    );
    const [line] = predictMixtures(fit, fresh, { level: 0.9 });
    const nCovered = fresh.losses.filter(
      (loss, run) => Math.abs(loss - line!.mean[run]!) <= line!.halfWidth![run]!,
    ).length;
    expect(nCovered / 2000).toBeGreaterThan(0.84);
    expect(nCovered / 2000).toBeLessThan(0.96);
    expect(line!.halfWidth![0]! / normalHalfWidth(0.9)).toBeCloseTo(noise, 1);
  });

  it('has no intervals without cross-validation for a family without deviations', async () => {
    const fit = await fitted({ folds: 0 });
    expect(fit.report.crossValidation).toBeNull();
    expect(predictMixtures(fit, runs)[0]!.halfWidth).toBeNull();
  });

  it('gives the same for the same seed, whatever else is asked', async () => {
    const one = await fitted({ nRuns: 60, seed: 8 });
    const two = await fitted({ nRuns: 60, seed: 8, learningCurve: true });
    const other = await fitted({ nRuns: 60, seed: 9 });
    const { seconds: _one, learningCurve: _curve, ...report } = one.report;
    expect(two.report).toMatchObject(report);
    expect(two.runs.ids).toEqual(one.runs.ids);
    expect(new Set(one.runs.ids).size).toBe(60);
    expect(other.runs.ids).not.toEqual(one.runs.ids);
    expect(two.surrogates.map((s) => s.toJson())).toEqual(one.surrogates.map((s) => s.toJson()));
  });

  it('draws a learning curve on runs that it leaves out', async () => {
    const progress: number[] = [];
    const fit = await fitMixture({
      runs: noisy,
      model: 'ridge',
      folds: 0,
      learningCurve: true,
      onProgress: ({ done, total }) => progress.push(done / total),
    });
    const { nHeldOut, points } = fit.report.learningCurve!;
    expect(nHeldOut).toBe(60);
    expect(points.map(({ nRuns, nRepeats }) => [nRuns, nRepeats])).toEqual([
      [32, 3],
      [64, 3],
      [128, 3],
      [240, 1],
    ]);
    expect(points.at(-1)!.rmse).toBeLessThan(points[0]!.rmse);
    expect(progress).toHaveLength(1 + 10);
    expect(progress.at(-1)).toBe(1);
    const few = await fitted({ nRuns: 20, learningCurve: true });
    expect(few.report.learningCurve).toBeNull();
    expect(few.report.notes.join()).toMatch('20 runs are too few for a learning curve');
  });

  it('chooses targets by whole and by short name', async () => {
    const fit = await fitted({ targets: ['bowl', 'metric/line_val_loss'], folds: 0 });
    expect(fit.targets).toEqual(['metric/bowl_val_loss', 'metric/line_val_loss']);
    const [bowl, line] = predictMixtures(fit, runs);
    const [wholeLine, wholeBowl] = predictMixtures(await fitted({ folds: 0 }), runs);
    expect([bowl!.mean, line!.mean]).toEqual([wholeBowl!.mean, wholeLine!.mean]);
  });

  it('states what few runs and unseen domains mean', async () => {
    const few = runsOf({ line: linearLaw([1, 2, 3, 4, 5, 6]) }, { nRuns: 6, nDomains: 6 });
    const { report } = await fitMixture({ runs: few, model: 'ridge', folds: 2 });
    expect(report.notes[0]).toMatch('6 runs of 6 domains');
    const weights = Float64Array.of(1, 0, 0.5, 0, 0.2, 0, 0.1, 0, 1, 0);
    for (let run = 0; run < 5; run++) weights[run * 2] = 1;
    const two = { domains: ['a', 'b'], targets: ['t'], ids: [...'12345'], weights };
    const losses = Float64Array.of(1, 2, 3, 4, 5);
    const fit = await fitMixture({ runs: { ...two, losses }, model: 'ridge', folds: 0 });
    expect(fit.report.notes.join('; ')).toMatch(/weight 0 in every run.*: b; .*same weight.*: a$/);
  });

  it.each([
    [{ model: 'nothing' as never }, 'OPTION_INVALID', /option model: expected one of ridge, gbdt/],
    [{ nRuns: 121 }, 'OPTION_INVALID', /option runs: expected a whole number in 1..120/],
    [{ nRuns: 2 }, 'MIXTURE_DATA_TOO_SMALL', /surrogate ridge of 4 domains: expected at least 3/],
    [{ nRuns: 4, folds: 2 }, 'MIXTURE_DATA_TOO_SMALL', /in 2-fold cross-validation/],
    [{ folds: 1 }, 'OPTION_INVALID', /option folds/],
    [{ targets: ['x'] }, 'OPTION_INVALID', /option targets/],
    [{ signal: AbortSignal.abort() }, 'ABORTED', /aborted/],
  ])('refuses %o', async (options, code, message) => {
    const error = await fitted(options).catch((cause) => cause);
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });
});

describe('halfWidthAt', () => {
  it('passes through the calibrated levels and grows between and beyond', () => {
    const halfWidths = [0.5, 1.5, 1.6, 3];
    for (const [place, level] of [0.5, 0.8, 0.9, 0.95].entries()) {
      expect(halfWidthAt(halfWidths, level)).toBeCloseTo(halfWidths[place]!, 12);
    }
    let last = 0;
    for (let level = 0.02; level < 1; level += 0.02) {
      const half = halfWidthAt(halfWidths, level);
      expect(half).toBeGreaterThan(last);
      last = half;
    }
    expect(halfWidthAt(null, 0.9)).toBe(normalHalfWidth(0.9));
  });
});

describe('files of fits', () => {
  it('reads back the same predictions, to the bit', async () => {
    const fit = await fitted({ learningCurve: true });
    const file = join(folder, 'fit.json');
    const inputs = [{ file: 'a.csv', sha256: 'ff' }];
    await saveFit(file, fit, inputs);
    const read = await loadFit(file);
    expect(read.inputs).toEqual(inputs);
    const { surrogates: _surrogates, ...rest } = fit;
    expect(read.fit).toMatchObject(rest);
    expect(predictMixtures(read.fit, runs)).toEqual(predictMixtures(fit, runs));
  });

  it.each([
    ['not JSON', () => '{', /it is no JSON/],
    ['another format', () => '{}', /format/],
    ['another version', (text: string) => text.replace('"version":1', '"version":2'), /version/],
    [
      'an unknown model',
      (t: string) => t.replace('"model":"ridge"', '"model":"x"'),
      /option model/,
    ],
    [
      'a domain too many',
      (text: string) => text.replace('"domains":[', '"domains":["more",'),
      /sampled.mean: expected 5, found 4/,
    ],
    [
      'a damaged surrogate',
      (text: string) => text.replace('"slopes":[', '"slopes":["x",'),
      /surrogate ridge: slopes/,
    ],
    ['a key too many', (text: string) => text.replace('{', '{"more":1,'), /more/],
  ])('refuses %s', async (name, damage, message) => {
    const good = join(folder, 'good.json');
    await saveFit(good, await fitted({ folds: 0 }));
    const file = join(folder, `${name}.json`);
    writeFileSync(file, damage(readFileSync(good, 'utf8')));
    const error = await loadFit(file).catch((cause) => cause);
    expect(error.code).toBe('MIXTURE_FIT_INVALID');
    expect(error.message).toMatch(message);
    expect(error.message).toContain(file);
  });

  it('names what cannot be read or written', async () => {
    expect(await loadFit(join(folder, 'none')).catch((e) => e.code)).toBe('CORPUS_READ_FAILED');
    expect(await fitInput(join(folder, 'none')).catch((e) => e.code)).toBe('CORPUS_READ_FAILED');
    const below = join(folder, 'good.json', 'fit.json');
    const fit = await fitted({ folds: 0 });
    expect(await saveFit(below, fit).catch((e) => e.code)).toBe('MIXTURE_WRITE_FAILED');
    writeFileSync(join(folder, 'abc'), 'abc');
    expect((await fitInput(join(folder, 'abc'))).sha256).toMatch(/^ba7816bf/);
  });
});
