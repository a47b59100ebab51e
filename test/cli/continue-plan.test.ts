import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'continue-plan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plan = join(folder, 'plan.yaml');
writeFileSync(
  plan,
  `name: english, then german
preset: rewarm
rates: { peakLr: 3e-3 }
batch: { nSeq: 16, nCtx: 64 }
datasets: { english: {}, german: {} }
stages:
  - { name: base, data: english, tokens: 2_048_000 }
  - { name: next, data: german, tokens: 1_024_000, replay: 25 % }
`,
);

describe('gristmill continue plan', () => {
  it('prints counts for people and for machines', async () => {
    const text = await run(['continue', 'plan', plan]);
    expect([text.code, text.stderr]).toEqual([0, '']);
    const printed = text.stdout.toString();
    expect(printed).toMatch(
      /^english, then german: 16 sequences of 64 tokens a step, 1,024 tokens\n/,
    );
    expect(printed).toMatch(
      /\nnext +base, annealed +1,000 +1,024,000 +cosine +0\.003 +0\.0003 +reset\n/,
    );
    expect(printed).toMatch(
      /\nnext +german +new +75 % +12,000 +768,000\n +english +replay +25 % +4,000 +256,000\n/,
    );
    expect(printed).toMatch(/3,072,000 tokens are run; .* 5,120,000; ratio 0\.6\n/);
    const json = JSON.parse((await run(['continue', 'plan', plan, '--json'])).stdout.toString());
    expect(json).toMatchObject({
      totals: { tokens: 3_072_000, retrainTokens: 5_120_000, computeRatio: 0.6 },
      stages: [{ name: 'base' }, { sources: [{ nSequences: 12_000 }, { nSequences: 4000 }] }],
    });
  });

  it('writes figures and rates', async () => {
    const [svg, png, csv] = ['a.svg', 'a.png', 'a.csv'].map((name) => join(folder, 'out', name));
    const { code } = await run(
      ...[['continue', 'plan', plan, '--svg', svg!, '--png', png!, '--schedule-csv', csv!]],
    );
    expect(code).toBe(0);
    expect(readFileSync(svg!, 'utf8')).toMatch(/^<svg /);
    expect(readFileSync(png!).subarray(1, 4).toString()).toBe('PNG');
    expect(readFileSync(csv!, 'utf8').split('\n')).toHaveLength(3002);
  });

  it('prints the presets', async () => {
    const text = (await run(['continue', 'plan', '--presets'])).stdout.toString();
    expect(text).toMatch(/^rewarm \(arXiv 2403\.08763/);
    expect(text).toMatch(/against: .*2407\.07263/);
    const json = await run(['continue', 'plan', '--presets', '--json']);
    expect(Object.keys(JSON.parse(json.stdout.toString()))).toEqual([
      'rewarm',
      'infinite',
      'reuse',
      'microanneal',
    ]);
  });

  it('refuses a plan that is wrong, and none', async () => {
    const wrong = join(folder, 'wrong.yaml');
    writeFileSync(wrong, readFileSync(plan, 'utf8').replace('replay: 25 %', 'replay: 125 %'));
    const refused = await run(['continue', 'plan', wrong]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(
      /CONTINUAL_PLAN_INVALID: plan .*wrong\.yaml: stage next: replay: .*125 %/,
    );
    expect((await run(['continue', 'plan'])).stderr).toMatch(/OPTION_INVALID: option plan\.yaml/);
  });
});
