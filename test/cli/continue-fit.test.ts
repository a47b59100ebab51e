import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-continue-fit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pilots = join(folder, 'pilots.csv');
// Table 2 of arXiv 2403.08763: Pile to German.
writeFileSync(
  pilots,
  'replay,pile,german\n0,3.56,1.11\n1%,2.83,1.12\n5%,2.57,1.12\n10%,2.46,1.13\n25%,2.33,1.16\n50%,2.24,1.22\n',
);
const choose = (...more: string[]) =>
  run(['continue', 'fit-replay', pilots, '--old', 'pile', '--new', 'german', ...more]);

describe('gristmill continue fit-replay', () => {
  it('finds the share that keeps to a tolerance, and writes the fit and its figure', async () => {
    const [out, svg] = [join(folder, 'fit.json'), join(folder, 'fit.svg')];
    const { code, stdout } = await choose(
      ...['--tolerance', '0.16', '--base', '2.17', '--out', out, '--svg', svg, '--json'],
    );
    expect(code).toBe(0);
    const { choice, fit: fitted } = JSON.parse(stdout.toString());
    // The paper chose 25 %, whose measured rise is 0.16.
    expect(choice.replay).toBeCloseTo(0.25, 1);
    expect(fitted.losses).toHaveLength(2);
    const written = JSON.parse(readFileSync(out, 'utf8'));
    expect(written.choice).toEqual(choice);
    expect(written.curve.at(-1).replay).toBe(0.5);
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg[\s\S]*pile/);
  });

  it('prints tables', async () => {
    const { code, stdout } = await choose('--weights', 'pile=1,german=1');
    expect(code).toBe(0);
    expect(stdout.toString()).toMatch(/pile +old, power[\s\S]*lowest weighted average/);
    const bare = await choose();
    expect(bare.stdout.toString()).not.toMatch(/replay \d+ %:/);
  });

  it('ends with coded errors', async () => {
    const far = await choose('--tolerance', '0.01', '--base', '2.17');
    expect([far.code, far.stderr]).toEqual([
      1,
      expect.stringMatching(/CONTINUAL_EXTRAPOLATION.*0 %\.\.50 %/),
    ]);
    const none = await run(['continue', 'fit-replay', pilots, '--old', 'english']);
    expect([none.code, none.stderr]).toEqual([
      1,
      expect.stringMatching(/CONTINUAL_PILOTS_INVALID.*column english/),
    ]);
    const both = await choose('--tolerance', '1', '--weights', 'pile=1');
    expect([both.code, both.stderr]).toEqual([2, expect.stringMatching(/OPTION_INVALID/)]);
    const lost = await choose('--out', join(folder, 'no', 'fit.json'));
    expect([lost.code, lost.stderr]).toEqual([1, expect.stringMatching(/CONTINUAL_WRITE_FAILED/)]);
    expect((await choose('--weights', 'pile')).code).toBe(2);
  });
});

describe('gristmill continue fit-law', () => {
  it('fits curves and predicts a schedule', async () => {
    const rows = ['step,lr,loss,phase,curve'];
    for (const [curve, rate] of [
      ['a', 1e-3],
      ['b', 5e-4],
    ] as const) {
      for (let step = 1; step <= 200; step++) {
        const loss = 2 + (step * 1e-3) ** -0.3;
        rows.push(`${step},0.001,${step % 10 === 0 ? loss : ''},pretrain,${curve}`);
      }
      for (let step = 1; step <= 100; step++) {
        const area = 0.2 + step * rate;
        const loss = 2 + area ** -0.3 + 0.5 * (1 - (1 + 40 * step * rate) ** -0.5);
        rows.push(`${step},${rate},${step % 5 === 0 ? loss : ''},continue,${curve}`);
      }
    }
    const curves = join(folder, 'curves.csv');
    writeFileSync(curves, `${rows.join('\n')}\n`);
    const out = join(folder, 'law.json');
    const schedule = JSON.stringify({ kind: 'linear', peakLr: 8e-4 });
    const { code, stdout } = await run([
      'continue',
      'fit-law',
      curves,
      '--schedule',
      schedule,
      '--steps',
      '50',
      '--out',
      out,
      '--json',
    ]);
    expect(code).toBe(0);
    const { law, predicted } = JSON.parse(stdout.toString());
    expect(law.rmse).toBeLessThan(1e-3);
    expect(law.leftOut.kind).toBe('curve');
    expect(predicted.totalSteps).toBe(50);
    expect(JSON.parse(readFileSync(out, 'utf8')).losses).toHaveLength(50);
    const text = await run(['continue', 'fit-law', curves]);
    expect(text.stdout.toString()).toMatch(/2 curves[\s\S]*alpha[\s\S]*every curve left out/);
    const wrong = await run(['continue', 'fit-law', curves, '--loss', 'other']);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/column other/)]);
    expect(existsSync(join(folder, 'law.json'))).toBe(true);
  });
});
