import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.ts';
import { checkSources, readSources } from '../../src/tokens/sources.ts';
import { openTokenStore, type StoreIndex } from '../../src/tokens/token-store.ts';
import { isHeldOut } from '../../src/tokens/token-writer.ts';
import { tokenizeDomains } from '../../src/tokens/tokenize.ts';
import { writeDomainCorpus } from '../mixture/proxies/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-tokenize-'));
const corpus = join(folder, 'domains.jsonl');
const extra = join(folder, 'extra.jsonl');
const store = join(folder, 'store');
const sources = [
  { name: 'extra', inputs: [extra], textColumn: 'body' },
  { domainColumn: 'kind', inputs: [corpus] },
];
const extraBodies = ['one text', 'another text', 'a third\nwith lines', 'one text'];
let index: StoreIndex;

beforeAll(async () => {
  writeDomainCorpus(corpus);
  const rows = [...extraBodies.map((body) => ({ body })), { body: null }];
  writeFileSync(extra, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  index = await tokenizeDomains({
    sources,
    tokenizer: { trainSize: 400 },
    out: store,
    validationShare: 0.3,
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('tokenizeDomains', () => {
  it('has every document whole, on the side that its text decides', async () => {
    expect(index.domains.map(({ name }) => name)).toEqual(['extra', 'maths', 'news', 'web']);
    expect(index).toMatchObject({ idBytes: 2, nSkipped: 1 });
    const rows = readFileSync(corpus, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; kind: string });
    const tokenizer = await native().openTokenizer(join(store, 'tokenizer.gguf'));
    using opened = openTokenStore(store);
    for (const [domain, stored] of index.domains.entries()) {
      const own =
        stored.name === 'extra'
          ? extraBodies
          : rows.filter(({ kind }) => kind === stored.name).map(({ text }) => text);
      for (const part of ['train', 'validation'] as const) {
        const texts = own.filter(
          (text) => isHeldOut(Buffer.from(text), 0.3) === (part === 'validation'),
        );
        const expected: number[] = [];
        const starts = [0];
        for (const text of texts) {
          const data = Buffer.from(text);
          const offsets = Int32Array.of(0, data.length);
          expected.push(...(await tokenizer.encode({ data, offsets })).ids, tokenizer.info.eos);
          starts.push(expected.length);
        }
        const { nTokens, nDocs, nBytes, sha256 } = stored[part];
        expect([nTokens, nDocs]).toEqual([expected.length, texts.length]);
        expect(nBytes).toBe(texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
        expect([...opened.read(domain, part, 0, nTokens)]).toEqual(expected);
        const file = (end: string) => readFileSync(join(store, stored.folder, `${part}.${end}`));
        expect(createHash('sha256').update(file('tokens')).digest('hex')).toBe(sha256);
        const bytes = file('starts');
        expect(starts.map((_, at) => Number(bytes.readBigUInt64LE(at * 8)))).toEqual(starts);
      }
    }
    tokenizer.dispose();
  });

  it('is read by position, and says what is not there', () => {
    using opened = openTokenStore(store);
    const all = opened.read(3, 'train', 0, 50);
    expect([...opened.read(3, 'train', 20, 10)]).toEqual([...all.slice(20, 30)]);
    const { nTokens } = index.domains[3]!.train;
    expect(() => opened.read(3, 'train', nTokens - 2, 3)).toThrow(/no tokens/);
  });

  it('holds out domains whole, and trains no tokenizer on them', async () => {
    const held = await tokenizeDomains({
      sources,
      tokenizer: { trainSize: 400 },
      out: join(folder, 'held'),
      validationShare: 0.3,
      heldOut: ['extra'],
    });
    const own = held.domains.find(({ name }) => name === 'extra')!;
    expect([own.train.nDocs, own.validation.nDocs]).toEqual([0, extraBodies.length]);
    const without = await tokenizeDomains({
      sources: sources.slice(1),
      tokenizer: { trainSize: 400 },
      out: join(folder, 'without'),
      validationShare: 0.3,
    });
    expect(held.tokenizer.sha256).toBe(without.tokenizer.sha256);
    const partsOf = (from: StoreIndex) =>
      from.domains.filter(({ name }) => name !== 'extra').map(({ folder: _, ...rest }) => rest);
    expect(partsOf(held)).toEqual(partsOf(without));
  });

  it('takes rows by values of columns', async () => {
    const rows = [
      { text: 'red one', colour: 'red', size: 'big' },
      { text: 'blue one', colour: 'blue', size: 'big' },
      { text: 'small red one', colour: 'red', size: 'small' },
      { text: 'no colour', colour: null, size: 'big' },
    ];
    const file = join(folder, 'colours.jsonl');
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const docsOf = async (where: Record<string, string[]>, out: string) => {
      const made = await tokenizeDomains({
        sources: [{ name: 'some', inputs: [file], where }],
        tokenizer: join(store, 'tokenizer.gguf'),
        out: join(folder, out),
        heldOut: ['some'],
      }).catch((error: unknown) => error as { code: string });
      return 'code' in made ? made.code : [made.domains[0]!.validation.nDocs, made.nSkipped];
    };
    expect(await docsOf({ colour: ['red', 'blue'] }, 'red-blue')).toEqual([3, 1]);
    expect(await docsOf({ colour: ['red'], size: ['big'] }, 'big-red')).toEqual([1, 3]);
    expect(await docsOf({ shape: ['round'] }, 'round')).toBe('CORPUS_COLUMN_MISSING');
  });

  it('goes on where it was, gives the same bytes, and refuses other settings', async () => {
    const options = { sources, tokenizer: { trainSize: 400 }, validationShare: 0.3 };
    const again = join(folder, 'again');
    const controller = new AbortController();
    const onProgress = ({ nSources }: { nSources: number }) => {
      if (nSources === 1) controller.abort();
    };
    await expect(
      tokenizeDomains({ ...options, out: again, onProgress, signal: controller.signal }),
    ).rejects.toThrow(/aborted/);
    const first = join(again, 'source-00000/record.json');
    const before = statSync(first).mtimeMs;
    const resumed = await tokenizeDomains({ ...options, out: again });
    expect(resumed.domains).toEqual(index.domains);
    expect(statSync(first).mtimeMs).toBe(before);
    expect(await tokenizeDomains({ ...options, out: again })).toEqual(resumed);
    await expect(
      tokenizeDomains({ ...options, out: again, validationShare: 0.1 }),
    ).rejects.toMatchObject({
      code: 'TRAIN_STORE_CHANGED',
      details: { changes: expect.stringMatching(/validationShare/) },
    });
    writeFileSync(join(again, 'source-00001/00000/train.tokens'), 'short');
    expect(() => openTokenStore(again)).toThrow(/expected \d+ bytes, received 5/);
  });
});

describe('checkSources', () => {
  it('refuses what is no source, and a name twice', () => {
    for (const [input, message] of [
      [{ domains: [] }, /domains/],
      [{ domains: [{ name: 'a' }] }, /domains\.0\.inputs: .*expected array/],
      [
        {
          domains: [
            { name: 'a', inputs: ['x'] },
            { name: 'a', inputs: ['y'] },
          ],
        },
        /a is there twice/,
      ],
      [{ domains: [{ name: 'a"b', inputs: ['x'] }] }, /quote/],
    ] as const) {
      expect(() => checkSources(input)).toThrow(message);
    }
    expect(() => readSources(join(folder, 'none.yaml'))).toThrow(/none.yaml: ENOENT/);
  });

  it('refuses a column that is not there', async () => {
    await expect(
      tokenizeDomains({
        sources: [{ domainColumn: 'sort', inputs: [corpus] }],
        tokenizer: { trainSize: 300 },
        out: join(folder, 'none'),
      }),
    ).rejects.toMatchObject({ code: 'CORPUS_COLUMN_MISSING' });
  });
});
