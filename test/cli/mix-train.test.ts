import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDomainCorpus } from '../mixture/proxies/support.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'mix-train-'));
const file = (name: string) => join(folder, name);
beforeAll(() => {
  writeDomainCorpus(file('domains.jsonl'));
  const source = `{ domainColumn: kind, inputs: [${file('domains.jsonl')}] }`;
  writeFileSync(file('domains.yaml'), `domains:\n  - ${source}\n`);
  writeFileSync(file('mixture.json'), '{"web": 0.5, "news": 0.3, "maths": 0.2}');
  writeFileSync(
    file('mixtures.csv'),
    'index,train_web,train_news,train_maths\n1,0.5,0.3,0.2\n2,0,0,1\n',
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gristmill mix tokenize, train, apply', () => {
  it('goes from texts to losses', async () => {
    const tokenize = await run([
      ...['mix', 'tokenize', '--domains', file('domains.yaml'), '--train-tokenizer', '400'],
      ...['--out', file('store'), '--validation', '0.3'],
    ]);
    expect(tokenize.code).toBe(0);
    expect(tokenize.stdout.toString()).toMatch(/^domain +docs +tokens.+maths.+news.+web/s);
    const flags = ['--steps', '2', '--batch', '2', '--eval-windows', '2', '--lr', '1e-3'];
    const train = ['mix', 'train', '--mixtures', file('mixtures.csv'), '--store', file('store')];
    const trained = await run([...train, '--out', file('sweep'), ...flags]);
    expect(trained.code).toBe(0);
    expect(trained.stdout.toString()).toMatch(/finished now +2\n/);
    expect(readFileSync(file('sweep/losses.csv'), 'utf8')).toMatch(
      /^index,metric\/maths_val_loss,.+\n1,.+\n2,.+\n$/,
    );
    const again = await run([...train, '--out', file('sweep'), ...flags, '--seed', '4', '--json']);
    expect(again.code).toBe(1);
    expect(JSON.parse(again.stderr)).toMatchObject({
      error: { code: 'MIXTURE_RUN_CHANGED', details: { changes: 'settings.seed: 0 -> 4' } },
    });
  });

  it('applies a mixture', async () => {
    const flags = ['--domains', file('domains.yaml'), '--rows', '50', '--json'];
    const applied = await run([
      'mix',
      'apply',
      file('mixture.json'),
      ...flags,
      '--out',
      file('out'),
    ]);
    expect(applied.code).toBe(0);
    const { domains, rows } = JSON.parse(applied.stdout.toString());
    expect(rows).toBe(50);
    expect(domains.map(({ rows: own }: { rows: number }) => own)).toEqual([10, 15, 25]);
    expect(existsSync(file('out/part-00000.parquet'))).toBe(true);
    const small = await run(['mix', 'apply', file('mixture.json'), ...flags, '--max-epochs', '1']);
    expect(small.code).toBe(2);
  });

  it('exports a row of a table for another trainer', async () => {
    const apply = ['mix', 'apply', file('mixtures.csv'), '--row', '1', '--export', 'megatron'];
    const paths = ['--paths', 'tokens/{domain}_text_document'];
    const exported = await run([...apply, ...paths]);
    expect(exported.stdout.toString()).toBe(
      '0.500000 tokens/web_text_document\n0.300000 tokens/news_text_document\n0.200000 tokens/maths_text_document\n',
    );
    expect((await run([...apply, ...paths, '--out', file('blend.txt')])).code).toBe(0);
    expect(readFileSync(file('blend.txt'), 'utf8')).toBe(exported.stdout.toString());
  });

  it('names bad usage', async () => {
    for (const args of [
      ['mix', 'tokenize', '--domains', 'x.yaml', '--out', 'y'],
      ['mix', 'apply', 'mixture.json', '--rows', '5'],
      ['mix', 'apply', 'mixture.json', '--rows', '5', '--tokens', '5'],
      ['mix', 'train', '--mixtures', 'm', '--store', 's', '--out', 'o', '--steps', '0'],
    ]) {
      expect((await run(args)).code).toBe(2);
    }
  });
});
