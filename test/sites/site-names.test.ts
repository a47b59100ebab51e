import { describe, expect, it } from 'vitest';
import { SiteNames, siteOf, siteOfHost } from '../../src/sites/site-names.ts';

const encoder = new TextEncoder();

describe('the site of a value', () => {
  it.each([
    ['https://news.example.co.uk/a', 'example.co.uk'],
    ['http://WWW.EXAMPLE.com.:8080', 'example.com'],
    ['someone.github.io', 'someone.github.io'],
    ['https://user:pw@shop.example.com/', 'example.com'],
    ['https://bücher.example.de/', 'example.de'],
    ['https://www.bücher.de/', 'xn--bcher-kva.de'],
    ['https://www.xn--bcher-kva.de/', 'xn--bcher-kva.de'],
    ['https://WWW.BÜCHER.de/', 'xn--bcher-kva.de'],
    ['http://10.0.0.7:81/x', '10.0.0.7'],
    ['localhost:3000', 'localhost'],
    ['co.uk', 'co.uk'],
  ])('%s is %s', (value, expected) => expect(siteOf(value)).toBe(expected));

  it.each(['', 'not a host', 'https:///x', 'a..b', 'urn:isbn:3'])('%j has none', (value) =>
    expect(siteOf(value)).toBe(null),
  );

  it('is none for a host that is too long in ASCII', () => {
    expect(siteOfHost(`${'üüüüüüüüüü.'.repeat(30)}com`)).toBe(null);
  });
});

describe('the sites of a column', () => {
  const columnOf = (values: readonly (string | null)[]) => {
    const encoded = values.map((value) => encoder.encode(value ?? ''));
    const offsets = new Int32Array(values.length + 1);
    for (const [row, bytes] of encoded.entries()) offsets[row + 1] = offsets[row]! + bytes.length;
    const validity = new Uint8Array(Math.ceil(values.length / 8));
    for (const [row, value] of values.entries()) {
      if (value !== null) validity[row >> 3]! |= 1 << (row & 7);
    }
    const data = new Uint8Array(Buffer.concat(encoded));
    return { length: values.length, data, offsets, validity, nullCount: 1 };
  };

  it('are told once, whatever the spelling of their hosts', () => {
    const {
      siteOf: rows,
      names,
      nameStarts,
    } = new SiteNames().of(
      columnOf([
        'https://a.example.com/1',
        null,
        'B.EXAMPLE.com',
        'nothing at all',
        'http://x.org:1/',
      ]),
    );
    expect([...rows]).toEqual([0, -1, 0, -1, 1]);
    expect(new TextDecoder().decode(names)).toBe('example.comx.org');
    expect([...nameStarts]).toEqual([0, 11, 16]);
  });

  it('do not depend on what was asked before, nor on how much', () => {
    const names = new SiteNames();
    for (let round = 0; round < 3; round++) {
      const hosts = Array.from({ length: 30_000 }, (_, host) => `h${round}x${host}.example.org`);
      expect(new Set(names.of(columnOf(hosts)).siteOf)).toEqual(new Set([0]));
    }
    expect([...names.of(columnOf(['h0x0.example.org', 'other.net'])).siteOf]).toEqual([0, 1]);
  });
});
