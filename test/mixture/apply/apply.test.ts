import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planTexts, readStrings } from '../../../src/corpus/texts.ts';
import { type ApplyMixtureOptions, applyMixture } from '../../../src/mixture/apply/apply.ts';
import { chosenMixture } from '../../../src/mixture/apply/chosen-mixture.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import { native } from '../../../src/native.ts';
import { planSources, readDomainTexts } from '../../../src/train/sources.ts';
import { writeDomainCorpus } from '../proxies/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-apply-'));
const corpus = join(folder, 'domains.jsonl');
beforeAll(() => writeDomainCorpus(corpus));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sources = [{ domainColumn: 'kind', inputs: [corpus] }];
const mixture = { domains: ['web', 'news', 'maths'], weights: Float64Array.of(0.5, 0.3, 0.2) };
const options = (out: string, more: Partial<ApplyMixtureOptions> = {}): ApplyMixtureOptions => ({
  mixture,
  sources,
  out: join(folder, out),
  quota: { unit: 'rows', total: 100 },
  ...more,
});

/** Rows of a mixed corpus. */
async function rowsOf(out: string): Promise<{ text: string; domain: string }[]> {
  const inputs = [join(folder, out)];
  const domains = await planSources([{ domainColumn: 'domain', inputs }]);
  const rows: { text: string; domain: string }[] = [];
  for await (const batch of readDomainTexts(domains[0]!, new Set())) {
    for (const [row, domain] of batch.domains.entries()) {
      const { data, offsets } = batch.text;
      const text = Buffer.from(data.subarray(offsets[row], offsets[row + 1])).toString();
      rows.push({ text, domain: domain! });
    }
  }
  return rows;
}

describe('applyMixture', () => {
  it('has exact quotas of rows, texts as they were, and says what it did', async () => {
    const applied = await applyMixture(options('rows', { fileRows: 40 }));
    expect(applied.files.map(({ path, rows }) => [path, rows])).toEqual([
      ['part-00000.parquet', 40],
      ['part-00001.parquet', 40],
      ['part-00002.parquet', 20],
    ]);
    const rows = await rowsOf('rows');
    const own = new Map<string, Set<string>>();
    for (const line of readFileSync(corpus, 'utf8').trim().split('\n')) {
      const { text, kind } = JSON.parse(line) as { text: string; kind: string };
      own.set(kind, (own.get(kind) ?? new Set()).add(text));
    }
    const counts: Record<string, number> = {};
    for (const { text, domain } of rows) {
      counts[domain] = (counts[domain] ?? 0) + 1;
      expect(own.get(domain)!.has(text)).toBe(true);
    }
    expect(counts).toEqual({ web: 50, news: 30, maths: 20 });
    expect(rows.slice(0, 10).filter(({ domain }) => domain === 'web')).toHaveLength(5);
    expect(applied.domains.map(({ name, epochs }) => [name, epochs])).toEqual([
      ['maths', 20 / 30],
      ['news', 1],
      ['web', 50 / 30],
    ]);
    const chars = rows.reduce((sum, { text }) => sum + [...text].length, 0);
    expect(applied.domains.reduce((sum, domain) => sum + domain.chars, 0)).toBe(chars);
    expect(JSON.parse(readFileSync(join(folder, 'rows/_mixture.json'), 'utf8'))).toEqual(applied);
    expect(existsSync(join(folder, 'rows.partial'))).toBe(false);
  });

  it('gives the same bytes for the same seed, others for another', async () => {
    const hashes = async (out: string, seed: number) =>
      (await applyMixture(options(out, { seed }))).files.map(({ sha256 }) => sha256);
    const first = await hashes('first', 1);
    expect(await hashes('again', 1)).toEqual(first);
    expect(await hashes('other', 2)).not.toEqual(first);
  });

  it('counts tokens of a vocabulary', async () => {
    const tokenizer = join(folder, 'tokenizer.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: tokenizer, seed: 1 });
    const quota = { unit: 'tokens', total: 6000 } as const;
    const applied = await applyMixture(
      options('tokens', { quota, tokenizer, format: 'jsonl.zst' }),
    );
    const opened = await native().openTokenizer(tokenizer);
    let nTokens = 0;
    const plan = await planTexts({ inputs: [join(folder, 'tokens')] });
    for await (const text of readStrings(plan)) {
      const data = Buffer.from(text);
      nTokens += (await opened.encode({ data, offsets: Int32Array.of(0, data.length) })).ids.length;
    }
    opened.dispose();
    expect(applied.domains.reduce((sum, { tokens }) => sum + tokens!, 0)).toBe(nTokens);
    for (const { name, share } of applied.domains) {
      expect(share).toBeCloseTo(mixture.weights[mixture.domains.indexOf(name)]!, 1);
    }
    await expect(applyMixture(options('none', { quota }))).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('refuses what it cannot give, and leaves nothing behind', async () => {
    const law = { domains: ['web', 'law'], weights: Float64Array.of(0.5, 0.5) };
    for (const [more, code] of [
      [{ mixture: law }, 'MIXTURE_DOMAIN_UNKNOWN'],
      [{ maxEpochs: 1 }, 'MIXTURE_DOMAIN_TOO_SMALL'],
      [{ quota: { unit: 'rows', total: 0 } }, 'OPTION_INVALID'],
      [{ signal: AbortSignal.abort() }, 'ABORTED'],
    ] as const) {
      await expect(applyMixture(options('refused', more))).rejects.toMatchObject({ code });
    }
    expect(existsSync(join(folder, 'refused'))).toBe(false);
    expect(existsSync(join(folder, 'refused.partial'))).toBe(false);
    mkdirSync(join(folder, 'foreign'));
    writeFileSync(join(folder, 'foreign/mine.txt'), 'mine');
    await expect(applyMixture(options('foreign'))).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FOREIGN',
    });
  });
});

describe('chosenMixture', () => {
  const read = (name: string, text: string, id?: string) => {
    writeFileSync(join(folder, name), text);
    return chosenMixture(join(folder, name), id);
  };

  it('reads JSON, the only row of a table, or the one that is named', async () => {
    const expected = { domains: ['web', 'code'], weights: Float64Array.of(0.75, 0.25) };
    expect(await read('mixture.json', '{"web": 0.75, "code": 0.25}')).toEqual(expected);
    const table = 'index,train_web,train_code\n1,0.75,0.25\n';
    expect(await read('mixture.csv', table)).toEqual(expected);
    expect(await read('mixture.csv', `${table}2,0,1\n`, '1')).toEqual(expected);
    await expect(read('mixture.csv', `${table}2,0,1\n`)).rejects.toThrow(/or the index of one/);
    await expect(read('mixture.csv', table, '3')).rejects.toThrow(/an index 3/);
  });
});
