import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countDomains } from '../../src/mixture/count-domains.ts';
import { orderDomains, priorOf, readDomains } from '../../src/mixture/domains.ts';
import { readFrozenGroups } from '../../src/mixture/optimize/frozen-file.ts';
import { defaultModelFile } from '../../src/paths.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gristmill-domains-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('readDomains', () => {
  const expected = [
    { name: 'web', tokens: 3e9 },
    { name: 'code', tokens: 1e9, maxEpochs: 2 },
  ];
  it.each([
    [
      'a.yaml',
      'domains:\n  - { name: web, tokens: 3e9 }\n  - { name: code, tokens: 1e9, maxEpochs: 2 }\n',
    ],
    ['a.json', '[{"name":"web","tokens":3e9},{"name":"code","tokens":1e9,"maxEpochs":2}]'],
    ['b.yaml', '[{ name: web, tokens: 3B }, { name: code, tokens: 1_000_000_000, maxEpochs: 2 }]'],
    ['b.csv', 'name,tokens,max_epochs\nweb,3B,\ncode,1_000_000k,2\n'],
    ['a.csv', 'name,tokens,max_epochs\nweb,3e9,\ncode,1000000000,2\n'],
  ])('reads %s', (name, text) => {
    const domains = readDomains(file(name, text));
    expect(domains).toEqual(expected);
    expect([...priorOf(domains)]).toEqual([0.75, 0.25]);
  });

  it('reads priors by name, which come before tokens', () => {
    const domains = readDomains(file('p.yaml', 'web: 6\ncode: 2\n'));
    expect([...priorOf(domains)]).toEqual([0.75, 0.25]);
    expect([...priorOf(expected.map((d, at) => ({ ...d, prior: at })))]).toEqual([0, 1]);
  });

  it.each([
    ['twice.yaml', '[{name: a}, {name: a}]', /domains .*twice\.yaml: a is there twice/],
    ['one.yaml', '[{name: a}]', /expected at least 2, received 1/],
    [
      'negative.yaml',
      '[{name: a, tokens: -1}, {name: b}]',
      /0\.tokens: expected tokens, e\.g\. .*received -1/,
    ],
    ['some.yaml', '[{name: a, prior: 1}, {name: b}]', /b has no prior, but others have/],
    ['key.yaml', '[{name: a, token: 1}, {name: b}]', /Unrecognized key: "token"/],
    ['text.yaml', 'hello', /expected a list of/],
    ['comma.yaml', '[{name: "a,b"}, {name: b}]', /name a,b: a comma, quote/],
    ['bad.csv', 'name,tokens\na,many\nb,1\n', /row 1, tokens: expected a number, received many/],
    ['column.csv', 'name,size\na,1\n', /column size: expected name, tokens, prior, max_epochs/],
  ])('refuses %s', (name, text, message) => {
    expect(() => readDomains(file(name, text))).toThrow(message);
  });

  it('refuses priors that are all 0 or not known', () => {
    expect(() => priorOf([{ name: 'a', tokens: 0 }])).toThrow(/sum to 0, expected more than 0/);
    expect(() => priorOf([{ name: 'a' }])).toThrow(/a has neither prior nor tokens/);
  });
});

describe('orderDomains', () => {
  it('takes the order and the names of a fit', () => {
    const domains = [
      { name: 'b', prior: 1 },
      { name: 'train_a', prior: 2 },
    ];
    expect(orderDomains(domains, ['train_a', 'train_b'])).toEqual([
      { name: 'train_a', prior: 2 },
      { name: 'train_b', prior: 1 },
    ]);
    expect(() => orderDomains(domains, ['a', 'c'])).toThrow(/missing c; not known to the fit: b/);
  });
});

describe('readFrozenGroups', () => {
  it('reads groups under the names of the domains', () => {
    const text =
      'groups:\n  - { name: g, domains: [a, b], freeze: ratios, weights: { a: 2, b: 1 } }\n';
    expect(readFrozenGroups(file('g.yaml', text), ['train_a', 'b', 'c'])).toEqual([
      { name: 'g', domains: ['train_a', 'b'], freeze: 'ratios', weights: { train_a: 2, b: 1 } },
    ]);
    const bad = file('h.yaml', '[{ name: g, domains: [z], freeze: total }]');
    expect(() => readFrozenGroups(bad, ['a'])).toThrow(/z is none of a/);
    const worse = file('i.yaml', '[{ name: g, domains: [a], freeze: all }]');
    expect(() => readFrozenGroups(worse, ['a'])).toThrow(/0\.freeze/);
  });
});

describe('countDomains', () => {
  const rows = [
    { text: 'héllo', domain: 'web' },
    { text: 'abc', domain: 'code' },
    { text: 'de', domain: 'web' },
    { text: 'nowhere', domain: '' },
    { text: null, domain: 'code' },
  ];

  it('counts bytes, and tokens of a vocabulary', async () => {
    const input = file('corpus.jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const bytes = await countDomains({ inputs: [input] });
    expect(bytes).toMatchObject({ unit: 'bytes', nDocs: 5, nSkipped: 2 });
    expect(bytes.domains).toEqual([
      { name: 'code', tokens: 3 },
      { name: 'web', tokens: 8 },
    ]);
    const tokenizer = defaultModelFile('programs');
    const tokens = await countDomains({ inputs: [input], tokenizer });
    expect(tokens.unit).toBe('tokens');
    for (const [at, { tokens: count }] of tokens.domains.entries()) {
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(bytes.domains[at]!.tokens!);
    }
    await expect(countDomains({ inputs: [input], domainColumn: 'source' })).rejects.toThrow(
      /no column source/,
    );
  });
});
