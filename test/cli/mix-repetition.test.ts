import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readLosses } from '../../src/mixture/tables.ts';
import { smallStore } from '../mixture/proxies/support.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'mix-repetition-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

async function json(...args: string[]) {
  const { code, stdout, stderr } = await run(['mix', ...args, '--json']);
  expect(code === 0 ? '' : stderr).toBe('');
  return JSON.parse(stdout.toString());
}

describe('gristmill mix with repetition', () => {
  it('samples, trains two sweeps that repeat as the target, and fits both over scales', async () => {
    const store = await smallStore(folder);
    const domains = at('domains.yaml');
    const of = (tokens: number) =>
      writeFileSync(
        domains,
        `- { name: web, tokens: ${tokens} }\n- { name: news, tokens: 4e9 }\n- { name: maths, tokens: 4e9 }\n`,
      );
    of(1e9);
    const mixtures = at('mixtures.csv');
    const plan = at('repetition.json');
    const sampling = ['sample', '--domains', domains, '--n', '8', '--out', mixtures];
    const sampled = await json(
      ...sampling,
      ...['--preset', 'space-filling', '--budget-tokens', '4e9', '--max', 'news=0.4,maths=0.3'],
      ...['--repetition', plan, '--proxy-tokens', '2048'],
    );
    const [web] = sampled.repeated;
    expect(web).toMatchObject({ name: 'web', tokens: 1e9, subset: 512 });
    // A quarter of the target's tokens: weight w is 4 w times.
    const rows = readFileSync(mixtures, 'utf8').trim().split('\n').slice(1);
    const weights = rows.map((row) => Number(row.split(',')[1]));
    expect(web.mostEpochs).toBeCloseTo(4 * Math.max(...weights), 6);

    const training = ['train', '--mixtures', mixtures, '--store', store, '--repetition', plan];
    const quick = ['--batch', '4', '--eval-windows', '2', '--eval-every', '0', '--jobs', '2'];
    for (const [out, steps] of [
      ['short', '4'],
      ['long', '8'],
    ] as const) {
      await json(...training, ...quick, '--steps', steps, '--out', at(out));
      const { scales, epochDomains } = await readLosses(at(`${out}/losses.csv`));
      expect(epochDomains).toEqual(['maths', 'news', 'web']);
      // 128 tokens a sequence: 2,048 tokens see 4 of web, twice as many 8; shares are exact to a sequence.
      const nGiven = out === 'short' ? 4 : 8;
      for (const [row, weight] of weights.entries()) {
        const epochs = scales!.epochs![row * 3 + 2]!;
        expect(Math.abs(epochs - 4 * weight)).toBeLessThan(1 / nGiven);
      }
    }
    const losses = ['--losses', at('short/losses.csv'), at('long/losses.csv')];
    const fitting = ['fit', '--mixtures', mixtures, ...losses, '--model', 'scale'];
    const fitted = await json(...fitting, '--folds', '0', '--out', at('fit.json'));
    expect(fitted).toMatchObject({ nRuns: 16, ignoredColumns: [] });
    expect(fitted.scale.range.tokens).toEqual([2048, 4096]);

    // A domain of which there is less at the target would be repeated more than any proxy did.
    const optimizing = ['optimize', at('fit.json'), '--at', 'params=1e5,tokens=4e9'];
    of(1e7);
    const asked = ['--allow-beyond', '--allow-outside', '--min', 'web=0.2', '--domains', domains];
    const far = await json(...optimizing, ...asked);
    expect(far.warnings.map(({ kind }: { kind: string }) => kind)).toContain('repeats');
    of(4e9);
    const near = await json(...optimizing, ...asked);
    expect(near.warnings.map(({ kind }: { kind: string }) => kind)).not.toContain('repeats');
  }, 120_000);

  it('says what a plan of repetition wants', async () => {
    const domains = at('two.yaml');
    writeFileSync(domains, '- { name: a, tokens: 10 }\n- { name: b, tokens: 10 }\n');
    const sampling = ['mix', 'sample', '--domains', domains, '--n', '2', '--out', at('x.csv')];
    const without = await run([...sampling, '--repetition', at('r.json')]);
    expect(without.code).not.toBe(0);
    expect(without.stderr).toContain('--budget-tokens, the tokens of the target');
    const alone = await run([...sampling, '--proxy-tokens', '5']);
    expect(alone.stderr).toContain('--repetition with it');
  });
});
