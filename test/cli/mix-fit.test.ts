import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeLosses, writeMixtures } from '../../src/mixture/tables.ts';
import { bowlLaw, linearLaw, runsOf } from '../mixture/laws.ts';
import { run, start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'mix-fit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const runs = runsOf(
  { 'metric/line_val_loss': linearLaw([1, -1, 0.5]), 'metric/bowl_val_loss': bowlLaw([1, 0, 0]) },
  { nRuns: 80, nDomains: 3, noise: 0.02 },
);
const mixtures = join(folder, 'mixtures.csv');
const losses = join(folder, 'losses.csv');
const fitFile = join(folder, 'fit.json');

function runFit(...more: string[]) {
  return run(['mix', 'fit', '--mixtures', mixtures, '--losses', losses, ...more]);
}

beforeAll(async () => {
  await writeMixtures(mixtures, runs);
  await writeLosses(losses, runs);
  const { code, stderr } = await runFit('--model', 'ridge', '--out', fitFile, '--learning-curve');
  expect([code, stderr]).toEqual([0, '']);
});

describe('gristmill mix fit', () => {
  it('prints one object with --json', async () => {
    const out = join(folder, 'sub', 'json.json');
    const { code, stdout } = await runFit(
      ...['--model', 'ridge', '--out', out, '--runs', '40', '--seed', '3', '--json'],
    );
    expect(code).toBe(0);
    const printed = JSON.parse(stdout.toString());
    expect(printed).toMatchObject({
      out,
      model: 'ridge',
      seed: 3,
      nRuns: 40,
      nDomains: 3,
      targets: runs.targets,
      nRenormalised: 0,
      constantTargets: [],
      learningCurve: null,
      crossValidation: { nFolds: 5, targets: [{ target: 'metric/line_val_loss' }, {}] },
    });
    expect(printed.crossValidation).not.toHaveProperty('predicted');
    expect(existsSync(out)).toBe(true);
  });

  it('prints tables for people', async () => {
    const out = join(folder, 'text.json');
    const { stdout } = await runFit('--model', 'ridge', '--out', out, '--targets', 'line');
    expect(stdout.toString()).toMatch(/^ridge: 80 runs, 3 domains, 1 targets, /);
    expect(stdout.toString()).toMatch(/5-fold +Spearman +Pearson/);
    expect(stdout.toString()).toMatch(/\nline +0\.99/);
  });

  it('names what is wrong with a table, and writes nothing', async () => {
    const bad = join(folder, 'bad.csv');
    writeFileSync(bad, 'index,train_d0,train_d1,train_d2\nr0,0.5,0.5,0.1\n');
    const out = join(folder, 'never.json');
    const { code, stderr, stdout } = await run([
      'mix',
      'fit',
      '--mixtures',
      bad,
      '--losses',
      losses,
      '--out',
      out,
      '--json',
    ]);
    expect([code, stdout.toString(), existsSync(out)]).toEqual([1, '', false]);
    const { error } = JSON.parse(stderr);
    expect(error.code).toBe('MIXTURE_TABLE_INVALID');
    expect(error.details).toMatchObject({ file: bad, row: 1, received: 'a sum of 1.1' });
  });

  it('skips runs that one table lacks when told to', async () => {
    const more = join(folder, 'more.csv');
    writeFileSync(more, `${readFileSync(losses, 'utf8')}extra,1,\nextra2,1,2\n`);
    const args = ['mix', 'fit', '--mixtures', mixtures, '--losses', more, '--model', 'ridge'];
    const out = join(folder, 'more.json');
    expect((await run([...args, '--out', out])).code).toBe(1);
    const { stdout } = await run([...args, '--out', out, '--skip-missing', '--json']);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      nRuns: 80,
      nIncomplete: 1,
      nWithoutMixture: 1,
    });
  });

  it.each([
    [['--model', 'nothing'], 2],
    [['--runs', '0'], 2],
    [['--folds', '1'], 2],
    [['--runs', '81'], 2],
    [['--model', 'gp', '--runs', '3'], 1],
  ])('refuses %j', async (more, expected) => {
    const { code } = await runFit('--out', join(folder, 'no.json'), ...more);
    expect(code).toBe(expected);
  });

  it('ends in good order when interrupted', async () => {
    const out = join(folder, 'interrupted.json');
    const many = runsOf({ bowl: bowlLaw([0.5, 0.5, 0]) }, { nRuns: 700, nDomains: 3, noise: 0.1 });
    const [manyMixtures, manyLosses] = ['many-m.csv', 'many-l.csv'].map((n) => join(folder, n));
    await writeMixtures(manyMixtures!, many);
    await writeLosses(manyLosses!, many);
    const { process: child, finished } = start(
      ['mix', 'fit', '--mixtures', manyMixtures!, '--losses', manyLosses!, '--model', 'gp'].concat([
        '--folds',
        '700',
        '--out',
        out,
      ]),
    );
    // The first line of progress comes while most fits are still to be made.
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const { code, stderr } = await finished;
    expect([code, existsSync(out)]).toEqual([130, false]);
    expect(stderr).toMatch('interrupted');
  });
});

describe('gristmill mix predict', () => {
  it('prints a line a mixture, of any column order', async () => {
    const asked = join(folder, 'asked.csv');
    writeFileSync(asked, 'index,train_d2,train_d1,train_d0\nx,0,0,1\ny,0.5,0.5,0\n');
    const args = ['mix', 'predict', fitFile, '--mixtures', asked];
    const { code, stdout } = await run([...args, '--json']);
    expect(code).toBe(0);
    const rows = stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.map(({ index }) => index)).toEqual(['x', 'y']);
    const [{ predictions, interval }] = rows;
    expect(predictions['metric/line_val_loss']).toBeCloseTo(4, 1);
    const [low, high] = interval['metric/line_val_loss'];
    expect(low).toBeLessThan(predictions['metric/line_val_loss']);
    expect(high).toBeGreaterThan(predictions['metric/line_val_loss']);
    const wide = JSON.parse(
      (await run([...args, '--json', '--level', '0.99'])).stdout.toString().split('\n')[0]!,
    );
    expect(wide.interval['metric/line_val_loss'][0]).toBeLessThan(low);
    const out = join(folder, 'predictions.csv');
    expect((await run([...args, '--out', out])).stdout.toString()).toBe('');
    const csv = readFileSync(out, 'utf8').split('\n');
    expect(csv[0]).toMatch(/^index,metric\/line_val_loss,metric\/line_val_loss_low,/);
    expect(Number(csv[1]!.split(',')[1])).toBe(predictions['metric/line_val_loss']);
  });

  it('refuses other domains and files that are no fits', async () => {
    const other = join(folder, 'other.csv');
    writeFileSync(other, 'index,train_z\n1,1\n');
    const args = ['mix', 'predict', fitFile, '--mixtures', other, '--json'];
    const { code, stderr } = await run(args);
    expect([code, JSON.parse(stderr).error.code]).toEqual([1, 'MIXTURE_TABLE_INVALID']);
    const noFit = await run(['mix', 'predict', other, '--mixtures', mixtures, '--json']);
    expect(JSON.parse(noFit.stderr).error.code).toBe('MIXTURE_FIT_INVALID');
    expect(
      (await run(['mix', 'predict', fitFile, '--mixtures', mixtures, '--level', '1'])).code,
    ).toBe(2);
  });
});

describe('gristmill mix collect', () => {
  const tracked = join(folder, 'tracked.csv');

  it('writes what fit reads', async () => {
    writeFileSync(
      tracked,
      `Name,step,w/a,w/b,eval/x\n${Array.from({ length: 12 }, (_, at) => `r${at},1,${at / 11},${1 - at / 11},9\nr${at},2,,,${3 + at / 11}\n`).join('')}`,
    );
    const args = ['mix', 'collect', tracked, '--index-column', 'Name', '--weights-prefix', 'w/'];
    args.push('--losses', 'x=eval/x', '--step-column', 'step');
    const out = join(folder, 'collected');
    const { code, stdout } = await run([...args, '--out', out, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toEqual({
      files: [join(out, 'mixtures.csv'), join(out, 'losses.csv')],
      nRows: 24,
      nRuns: 12,
      nSkipped: 0,
      nRenormalised: 0,
      domains: ['train_a', 'train_b'],
      targets: ['metric/x_val_loss'],
    });
    const both = join(folder, 'both.parquet');
    expect((await run([...args, '--out', both])).code).toBe(0);
    for (const [m, l] of [
      [join(out, 'mixtures.csv'), join(out, 'losses.csv')],
      [both, both],
    ]) {
      const fitted = await run(
        ['mix', 'fit', '--mixtures', m!, '--losses', l!, '--model', 'ridge', '--json'].concat([
          '--out',
          join(folder, 'c.json'),
        ]),
      );
      expect(JSON.parse(fitted.stdout.toString()).crossValidation.mean.spearman).toBeCloseTo(1, 6);
    }
  });

  it('refuses flags that exclude each other, and pairs that are none', async () => {
    const args = ['mix', 'collect', tracked, '--out', folder];
    expect((await run([...args, '--index-column', 'a', '--index-from-file'])).code).toBe(2);
    expect((await run([...args, '--losses', 'x'])).code).toBe(2);
  });
});

describe('gristmill mix report', () => {
  it('writes a page and figures', async () => {
    const out = join(folder, 'report');
    const proposal = join(folder, 'proposal.json');
    writeFileSync(proposal, '{"d0":0.2,"d1":0.8,"d2":0}');
    const { code, stdout } = await run([
      'mix',
      'report',
      fitFile,
      '--out',
      out,
      '--proposal',
      proposal,
      '--json',
    ]);
    expect(code).toBe(0);
    const { html, figures } = JSON.parse(stdout.toString());
    expect(html).toBe(join(out, 'report.html'));
    expect(figures).toHaveLength(10);
    for (const file of [html, ...figures]) expect(existsSync(file)).toBe(true);
  });
});
