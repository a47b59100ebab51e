import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planCorpus } from '../../../src/corpus/plan.ts';
import { planTexts, readStrings } from '../../../src/corpus/texts.ts';
import { type ApplyMixtureOptions, applyMixture } from '../../../src/mixture/apply/apply.ts';
import { chosenMixture } from '../../../src/mixture/apply/chosen-mixture.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import { native } from '../../../src/native/index.ts';
import { planSources, readDomainTexts } from '../../../src/tokens/sources.ts';
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
    // Two names of one domain: the weight of the first was lost.
    const twice = { domains: ['train_web', 'web'], weights: Float64Array.of(0.5, 0.5) };
    await expect(applyMixture(options('refused', { mixture: twice }))).rejects.toThrow(
      /distinct domains, with or without train_, received web/,
    );
    const proto = { domains: ['web', '__proto__'], weights: Float64Array.of(0.985, 0.015) };
    await expect(applyMixture(options('refused', { mixture: proto }))).rejects.toMatchObject({
      code: 'MIXTURE_DOMAIN_UNKNOWN',
    });
    mkdirSync(join(folder, 'foreign'));
    writeFileSync(join(folder, 'foreign/mine.txt'), 'mine');
    await expect(applyMixture(options('foreign'))).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FOREIGN',
    });
  });
});

describe('what a killed run leaves', () => {
  it('is no input of any run, and removed by the next', async () => {
    const data = join(folder, 'killed');
    mkdirSync(data);
    cpSync(corpus, join(data, 'corpus.jsonl'));
    const from = { sources: [{ domainColumn: 'kind', inputs: [data] }], fileRows: 40 };
    const partial = join(data, 'mixed.partial');
    const kept = join(folder, 'as-killed');
    const seen: string[][] = [];
    // What lies there while it writes: nothing has its name yet, one file is whole, one begun.
    await applyMixture({
      ...options('killed/mixed', from),
      onProgress: (phase, row) => {
        if (phase !== 'write' || row < 80) return;
        rmSync(kept, { recursive: true, force: true });
        cpSync(partial, kept, { recursive: true });
      },
    });
    rmSync(join(data, 'mixed'), { recursive: true });
    renameSync(kept, partial);
    seen.push(readdirSync(partial).sort());
    expect(seen[0]).toEqual(expect.arrayContaining(['_mixture.json', 'part-00000.parquet']));
    // Its rows counted as rows of the corpus.
    const plan = await planCorpus({ inputs: [data], failFast: true });
    expect(plan.files.map(({ path }) => path)).toEqual([join(data, 'corpus.jsonl')]);
    expect(plan.leftOut.results).toEqual([{ path: partial, command: 'mix apply' }]);
    const applied = await applyMixture(options('killed/mixed', from));
    expect(Object.keys(applied.inputs)).toEqual([join(data, 'corpus.jsonl')]);
    expect(existsSync(partial)).toBe(false);
  });

  it('is told from a folder of somebody else’s', async () => {
    const partial = join(folder, 'somebodys.partial');
    mkdirSync(partial);
    writeFileSync(join(partial, 'notes.txt'), 'mine');
    await expect(applyMixture(options('somebodys'))).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FOREIGN',
      details: { out: partial },
    });
    expect(readFileSync(join(partial, 'notes.txt'), 'utf8')).toBe('mine');
  });
});

describe('domains without documents', () => {
  const write = (name: string, texts: readonly string[]) => {
    const path = join(folder, name);
    writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    return path;
  };

  it('are said to have none, and are none of a mixture that gives them no weight', async () => {
    const named = [
      { name: 'web', inputs: [write('web.jsonl', ['one', 'two', 'three'])] },
      { name: 'law', inputs: [write('law.jsonl', [])] },
      { name: 'maths', inputs: [write('maths.jsonl', ['', ''])] },
    ];
    const given = (out: string, weights: number[], unit: 'rows' | 'chars' = 'rows') =>
      options(out, {
        sources: named,
        mixture: { domains: ['web', 'law', 'maths'], weights: Float64Array.from(weights) },
        quota: { unit, total: 2 },
      });
    await expect(applyMixture(given('empty', [0.5, 0.5, 0]))).rejects.toThrow(
      /^domain law: its share is 1 rows, but 0 are there/,
    );
    await expect(applyMixture(given('empty', [0.2, 0.2, 0.6], 'chars'))).rejects.toThrow(
      /domain law: .*; domain maths: its share is 1 chars, but 0 are there/,
    );
    expect((await applyMixture(given('full', [1, 0, 0]))).rows).toBe(2);
  });

  it('names domains that got none, and refuses a corpus of nothing', async () => {
    const sources = ['ash', 'elm'].map((name) => ({
      name,
      inputs: [write(`${name}.jsonl`, Array(3).fill(`${name} page 0 ${'x'.repeat(38)}`))],
    }));
    const few = { domains: ['ash', 'elm'], weights: Float64Array.of(0.7, 0.3) };
    const given = (out: string, quota: ApplyMixtureOptions['quota']) =>
      options(out, { sources, mixture: few, quota });
    await expect(applyMixture(given('nothing', { unit: 'chars', total: 30 }))).rejects.toThrow(
      'option chars: expected at least 35, with which a domain gets a document, received 30',
    );
    expect(existsSync(join(folder, 'nothing'))).toBe(false);
    const { notes } = await applyMixture(given('little', { unit: 'rows', total: 1 }));
    expect(notes).toEqual([
      'domain elm got no document: its share is less than one; from 2 rows in all on it gets one',
    ]);
  });
});

describe('a finished corpus', () => {
  it('is the result of the same command, and of no other', async () => {
    const first = await applyMixture(options('finished'));
    const before = statSync(join(folder, 'finished/part-00000.parquet')).mtimeMs;
    expect(await applyMixture(options('finished'))).toEqual(first);
    expect(statSync(join(folder, 'finished/part-00000.parquet')).mtimeMs).toBe(before);
    const other = { domains: ['web', 'news'], weights: Float64Array.of(0.5, 0.5) };
    for (const [more, changes] of [
      [{ seed: 3 }, 'seed'],
      [{ mixture: other }, 'weights'],
      [{ quota: { unit: 'rows', total: 90 }, format: 'arrow' }, 'total, corpus'],
    ] as const) {
      await expect(applyMixture(options('finished', more))).rejects.toMatchObject({
        code: 'MIXTURE_RUN_CHANGED',
        details: { changes },
      });
    }
    rmSync(join(folder, 'finished/part-00000.parquet'));
    await expect(applyMixture(options('finished'))).rejects.toMatchObject({
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
