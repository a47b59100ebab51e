import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMixtures, writeRuns } from '../../src/mixture/tables.ts';
import { scaleRuns } from '../mixture/scale/synthetic.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'mix-scale-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const table = join(folder, 'runs.csv');
const fit = join(folder, 'fit.json');
const domains = join(folder, 'domains.yaml');

beforeAll(async () => {
  await writeRuns(table, scaleRuns({ nMixtures: 8 }));
  const tokens = { web: '1e12', code: '2e9', books: '1e12' };
  writeFileSync(
    domains,
    `domains:\n${Object.entries(tokens)
      .map(([name, amount]) => `  - { name: ${name}, tokens: ${amount} }\n`)
      .join('')}`,
  );
  const { code, stdout } = await run([
    ...['mix', 'fit', '--mixtures', table, '--losses', table, '--model', 'scale', '--out', fit],
  ]);
  expect(code).toBe(0);
  const text = stdout.toString();
  expect(text).toMatch(/1\.00e\+8 to 9\.00e\+8 parameters, 2\.00e\+9 to 1\.00e\+10 tokens/);
  expect(text).toMatch(/left out: mean relative error +runs +ensemble +additive/);
  expect(text).toMatch(/size 3 of 3 from those below/);
}, 60_000);

async function optimize(...more: string[]) {
  return run(['mix', 'optimize', fit, '--allow-outside', ...more]);
}

describe('gristmill mix over scales', () => {
  it('proposes a mixture where it is asked to, and shows how it moves', async () => {
    const { code, stdout } = await optimize('--at', 'params=8e8,tokens=9e9', '--targets', 'web=1');
    expect(code).toBe(0);
    const text = stdout.toString();
    expect(text).toMatch(/params +tokens +web +code +books/);
    expect(text.trim().split('\n').at(-1)).toMatch(/^8\.0e8 +9\.0e9 /);
  });

  it('names the runs that tell most of a scale for their compute', async () => {
    const out = join(folder, 'next.csv');
    const sampling = [
      'mix',
      'sample',
      '--preset',
      'active',
      '--fit',
      fit,
      '--n',
      '6',
      '--out',
      out,
    ];
    const known = ['--domains', domains, '--at', 'params=9e8,tokens=1e10'];
    const { code, stdout, stderr } = await run([...sampling, ...known]);
    expect(code === 0 ? '' : stderr).toBe('');
    expect(stdout.toString()).toMatch(/scale +runs +FLOPs +variance they take\n/);
    expect(stdout.toString()).toMatch(/uncertainty of web: \S+ now, \S+ after these runs/);
    const read = await readMixtures(out);
    expect(read.domains).toHaveLength(3);
    expect(read.scales!.params).toHaveLength(6);
    for (const params of read.scales!.params) expect([1e8, 3e8, 9e8]).toContain(params);
    const named = await run([
      ...[...sampling, ...known, '--json'],
      ...['--scales', 'params=2e8,tokens=3e9', 'params=5e8,tokens=3e9'],
    ]);
    for (const { params, flops } of JSON.parse(named.stdout.toString()).design) {
      expect(flops).toBe(6 * params * 3e9);
    }
    const alone = await run([...sampling, '--scales', 'params=2e8,tokens=3e9']);
    expect(alone.stderr).toContain('a fit of model scale, with --at');
  }, 60_000);

  it('refuses a scale beyond the runs unless it is asked for', async () => {
    const refused = await optimize('--at', 'params=7e9,tokens=2e12', '--json');
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stderr.trim().split('\n').at(-1)!).error.code).toBe(
      'MIXTURE_BEYOND_RUNS',
    );
    const { code, stdout } = await optimize(
      ...['--at', 'params=7e9,tokens=2e10', '--allow-beyond', '--json'],
    );
    expect(code).toBe(0);
    const printed = JSON.parse(stdout.toString());
    expect(printed.path).toHaveLength(4);
    expect(printed.at).toMatchObject({ params: 7e9, tokens: 2e10 });
    const usage = await optimize('--at', 'params=7e9');
    expect(usage.stderr).toMatch(/expected params=number,tokens=number/);
  });

  it('takes less of a domain that would be repeated', async () => {
    const at = ['--at', 'params=9e8,tokens=1e11', '--allow-beyond', '--json'];
    const weightOf = async (...more: string[]) =>
      JSON.parse((await optimize(...at, ...more)).stdout.toString()).mixture.train_code;
    const [plenty, scarce] = [await weightOf(), await weightOf('--domains', domains)];
    expect(scarce).toBeLessThan(plenty);
    const capped = await weightOf('--domains', domains, '--max-epochs', '4');
    expect(capped).toBeLessThanOrEqual(0.08 + 1e-9);
  });

  it('predicts at a scale', async () => {
    const predicted = async (at: string): Promise<number> => {
      const mixtures = join(folder, 'm.csv');
      const [header, row] = readFileSync(table, 'utf8').split('\n');
      const nWeights = 4;
      const cut = (line: string) => line.split(',').slice(0, nWeights).join();
      writeFileSync(mixtures, `${cut(header!)}\n${cut(row!)}\n`);
      const { stdout } = await run(['mix', 'predict', fit, '--mixtures', mixtures, '--at', at]);
      return Number(stdout.toString().split('\n')[1]!.split(',')[1]);
    };
    expect(await predicted('params=9e8,tokens=1e10')).toBeLessThan(
      await predicted('params=1e8,tokens=2e9'),
    );
  });
});
