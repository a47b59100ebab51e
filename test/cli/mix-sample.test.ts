import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMixtures, writeLosses } from '../../src/mixture/tables.ts';
import { run } from './support.ts';

let folder: string;
let domains: string;
let mixtures: string;
let fit: string;
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-mix-'));
  domains = path('domains.yaml');
  mixtures = path('mixtures.csv');
  fit = path('fit.json');
  await writeFile(
    domains,
    '- { name: web, tokens: 60e9 }\n- { name: code, tokens: 30e9 }\n- { name: math, tokens: 10e9 }\n',
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function json(args: readonly string[]): Promise<Record<string, never>> {
  const { code, stdout, stderr } = await run([...args, '--json']);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout.toString()) as Record<string, never>;
}

describe('gristmill mix sample and optimize', () => {
  it('samples, and after a fit proposes, keeps caps and says what is next', async () => {
    const sampled = await json([
      'mix',
      'sample',
      '--domains',
      domains,
      '--n',
      '60',
      '--out',
      mixtures,
    ]);
    expect(sampled).toMatchObject({ way: 'regmix', n: 60, nUnits: 5000 });
    const rows = await readMixtures(mixtures);
    expect(rows).toMatchObject({ nRenormalised: 0, ids: { length: 60 } });

    // A loss with an optimum inside: web .5, code .3, math .2.
    const losses = Float64Array.from(rows.ids, (_, row) => {
      const best = [0.5, 0.3, 0.2];
      const own = rows.weights.subarray(row * 3, row * 3 + 3);
      return 3 + own.reduce((sum, w, at) => sum + (Math.sqrt(w) - Math.sqrt(best[at]!)) ** 2, 0);
    });
    await writeLosses(path('losses.csv'), { targets: ['web'], ids: rows.ids, losses });
    await json([
      ...['mix', 'fit', '--mixtures', mixtures, '--losses', path('losses.csv')],
      ...['--model', 'gp', '--out', fit],
    ]);

    const out = path('proposal.json');
    const proposal = await json([
      ...['mix', 'optimize', fit, '--target', 'web', '--domains', domains],
      ...['--out', out, path('proposal.csv')],
    ]);
    const weights: readonly number[] = proposal['weights']!;
    for (const [at, best] of [0.5, 0.3, 0.2].entries()) {
      expect(Math.abs(weights[at]! - best)).toBeLessThan(0.05);
    }
    expect(proposal['hull']).toMatchObject({ isInside: true });
    expect(JSON.parse(await readFile(out, 'utf8'))).toEqual(proposal);
    expect([...(await readMixtures(path('proposal.csv'))).weights]).toEqual(weights);

    const capped = await run([
      ...['mix', 'optimize', fit, '--targets', 'web=2', '--domains', domains],
      ...['--budget-tokens', '150e9', '--max-epochs', '2', '--kl', '0.01', '--confidence', '1'],
      ...['--max', 'train_code=0.2'],
    ]);
    expect(capped.stderr).toContain('warning: at their largest weight: ');
    expect(capped.stdout.toString()).toMatch(/code +0\.2000 +0\.3000/);

    const next = await json([
      ...['mix', 'sample', '--preset', 'active', '--fit', fit, '--domains', domains, '--n', '4'],
      ...['--existing', path('proposal.csv'), '--out', path('next.csv')],
    ]);
    const [{ before, after }] = next['deviations'] as unknown as [
      { before: number; after: number },
    ];
    expect(after).toBeLessThan(before);

    const spread = await run([
      ...['mix', 'sample', '--preset', 'space-filling', '--domains', domains, '--n', '10'],
      ...['--out', path('spread.parquet')],
    ]);
    expect(spread.stdout.toString()).toContain('smallest Hellinger distance');
  }, 120_000);

  it('counts the domains of a corpus', async () => {
    const corpus = path('corpus.jsonl');
    const row = (text: string, domain: string) => `${JSON.stringify({ text, domain })}\n`;
    await writeFile(corpus, row('one two three', 'web') + row('let it = 1;', 'code'));
    const out = path('counted.csv');
    const { code, stderr } = await run([
      'mix',
      'sample',
      '--count',
      corpus,
      '--n',
      '5',
      '--out',
      out,
    ]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain('2 domains in 2 documents, by bytes');
    expect((await readMixtures(out)).domains).toEqual(['train_code', 'train_web']);
  });

  it('refuses what makes no sense', async () => {
    const out = ['--out', path('none.csv')];
    const noFit = await run(['mix', 'sample', '--preset', 'active', '--n', '2', ...out]);
    expect(noFit.code).toBe(2);
    expect(noFit.stderr).toContain('a fit, for --preset active');
    const usage = await run([
      'mix',
      'sample',
      '--domains',
      domains,
      '--n',
      '2',
      '--min',
      'web',
      ...out,
    ]);
    expect(usage.code).toBe(2);
    expect(usage.stderr).toContain('expected name=number');
    const caps = ['--budget-tokens', '1e12', '--max-epochs', '1'];
    const none = await run(['mix', 'sample', '--domains', domains, '--n', '2', ...caps, ...out]);
    expect(none.code).toBe(1);
    expect(none.stderr).toContain('the largest weights sum to 0.1, less than 1');
  });
});
