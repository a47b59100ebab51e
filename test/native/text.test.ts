/** UTF-8 and JSON lines in C++ against what Node and the reader in JavaScript say of the same bytes. */
import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RowShape, rowOf } from '../../src/corpus/json-row.ts';
import { native } from '../../src/native/index.ts';

const encoder = new TextEncoder();

/** Bytes that are text, but for some that were changed. */
const nearText = fc
  .tuple(
    fc.array(
      fc.oneof(
        fc.constantFrom(
          'a',
          ' plain ASCII of more than thirty-two bytes, so that ',
          'é',
          'Ж',
          'дом',
          '日本語',
          '\u0800',
        ),
        fc.constantFrom(
          '\ud7ff',
          '\ue000',
          '\uffff',
          '😀',
          '\u{10ffff}',
          '\u007f',
          '\u0080',
          '\u07ff',
        ),
      ),
      { maxLength: 30 },
    ),
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 2 }),
  )
  .map(([parts, changes]) => {
    const bytes = encoder.encode(parts.join(''));
    for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });

describe('validateUtf8', () => {
  const isValid = (bytes: Uint8Array): boolean => {
    const into = new Uint8Array(1);
    native().validateUtf8(bytes, Int32Array.of(0, bytes.length), into);
    return into[0] === 1;
  };

  it('agrees with Node on text, on text with changed bytes and on any bytes', () => {
    fc.assert(
      fc.property(fc.oneof(nearText, fc.uint8Array({ maxLength: 40 })), (bytes) => {
        expect(isValid(bytes)).toBe(isUtf8(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  it('agrees with Node on every sequence of two bytes and the edges of longer ones', () => {
    const edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
    for (let first = 0x80; first < 256; first++) {
      for (let second = 0; second < 256; second++) {
        for (const third of edges) {
          const bytes = Uint8Array.of(first, second, third, 0x80);
          for (const length of [2, 3, 4]) {
            const own = bytes.subarray(0, length);
            if (isValid(own) !== isUtf8(own)) expect.fail(`of ${own.join(' ')}`);
          }
        }
      }
    }
  });
});

interface Found {
  readonly text: string;
  readonly site: string | null;
}

/** What the reader in JavaScript makes of lines: the oracle. */
function rowsOf(lines: readonly Uint8Array[], siteColumn: string | null): Found[] {
  const shape: RowShape = {
    ...{ textColumn: 'text', idColumn: null, siteColumn, columns: null },
    reserved: new Set(),
  };
  return lines.flatMap((line) => {
    if (line.every((byte) => byte === 32 || byte === 9 || byte === 13)) return [];
    const result = rowOf(Buffer.from(line), shape, new Map());
    if ('problem' in result) return [];
    const { text, site } = result.row;
    const of = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    return [{ text: text === null ? '' : of(text), site: site ? of(site) : null }];
  });
}

async function taken(
  bytes: Uint8Array,
  given: Partial<Parameters<ReturnType<typeof native>['jsonTexts']>[0]> = {},
) {
  const { consumed, offsets, site } = await native().jsonTexts({
    ...{ bytes, begin: 0, limit: Number.POSITIVE_INFINITY, isEnd: true, maxLineBytes: 1e9 },
    ...{ textColumn: 'text', siteColumn: 'url', nThreads: 1, ...given },
  });
  const rows = Array.from({ length: offsets.length - 1 }, (_, row): Found => {
    const isNull = site.validity !== null && ((site.validity[row >> 3]! >> (row & 7)) & 1) === 0;
    const own = site.data.subarray(site.offsets[row], site.offsets[row + 1]);
    return {
      text: Buffer.from(bytes.subarray(offsets[row], offsets[row + 1])).toString(),
      site: isNull ? null : Buffer.from(own).toString(),
    };
  });
  return { consumed, rows };
}

const string = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('\ud800', 'a\udc00b', '\ud83d\ude00', 'many\nlines\n"quoted"\t\\ of text', ''),
);
/** Any JSON text of a value: compact, spaced, or with every character as an escape. */
const json = fc
  .tuple(
    fc.oneof(
      { weight: 4, arbitrary: string },
      { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
    ),
    fc.nat(2),
  )
  .map(([value, form]) => {
    if (form === 0) return JSON.stringify(value);
    if (form === 1) return JSON.stringify(value, null, 1).replaceAll('\n', ' \r\t');
    return JSON.stringify(value).replace(/[^\x20-\x7e]|[a-z](?=[^"{}[\]]*"$)/g, (own) =>
      [...own].map((each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
    );
  });
const key = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('"text"', '"url"', '"te\\u0078t"', '"\\u0075rl"') },
  { weight: 1, arbitrary: string.map((own) => JSON.stringify(own)) },
);
const object = fc
  .array(fc.tuple(key, json), { maxLength: 5 })
  .map((fields) => `{${fields.map(([name, value]) => `${name} : ${value}`).join(' ,')}}`);
const line = fc
  .tuple(
    fc.oneof(
      { weight: 5, arbitrary: object },
      { weight: 1, arbitrary: fc.oneof(json, fc.constant('  \t')) },
    ),
    fc.array(
      fc.tuple(
        fc.nat(),
        fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(34, 44, 91, 92, 125)),
      ),
      {
        maxLength: 1,
      },
    ),
  )
  .map(([text, changes]) => {
    const bytes = encoder.encode(text);
    for (const [at, byte] of changes)
      if (bytes.length > 0 && byte !== 10) bytes[at % bytes.length] = byte;
    return bytes;
  });

describe('jsonTexts', () => {
  it('takes what the reader in JavaScript takes, from any number of threads, and passes over the same lines', async () => {
    let nRows = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 60 }), fc.boolean(), async (lines, hasSite) => {
        const siteColumn = hasSite ? 'url' : null;
        const expected = rowsOf(lines, siteColumn);
        nRows += expected.length;
        for (const nThreads of [1, 3]) {
          const bytes = new Uint8Array(
            Buffer.concat(lines.flatMap((own) => [own, Buffer.from('\n')])),
          );
          const { rows, consumed } = await taken(bytes, { nThreads, siteColumn });
          expect(rows).toEqual(expected);
          expect(consumed).toBe(bytes.length);
        }
      }),
      { numRuns: 300 },
    );
    expect(nRows).toBeGreaterThan(500);
  });

  it.each([
    ['{"text":"a"}', 1],
    [' {"text":"a"}\r', 1],
    ['{"text":null}', 1],
    ['{}', 1],
    ['{"text":"a","text":"b"}', 1],
    ['{"text":"a",}', 0],
    ['{,}', 0],
    ['{"text":"a"} x', 0],
    ['{"text":1}', 0],
    ['{"text":"a","n":01}', 0],
    ['{"text":"a","n":-0.5e+3}', 1],
    ['{"text":"a","n":1.}', 0],
    ['{"text":"a","n":+1}', 0],
    ['{"text":"a","n":[[],{},[{"a":[1,2]}]]}', 1],
    ['{"text":"a","n":[1,]}', 0],
    ['{"text":"a","n":[}', 0],
    ['{"text":"a","n":{"b"}}', 0],
    ['{"text":"a","n":tru}', 0],
    ['{"text":"a\\x"}', 0],
    ['{"text":"a\\u12"}', 0],
    ['{"text":"\u0001"}', 0],
    ['{"text":"a', 0],
    ['["text"]', 0],
    ['\ufeff{"text":"a"}', 0],
  ])('%s is %i row', async (text, expected) => {
    const bytes = encoder.encode(text);
    expect(rowsOf([bytes], 'url').length).toBe(expected);
    expect((await taken(bytes)).rows.length).toBe(expected);
  });

  it('goes as deep as a line goes', async () => {
    const depth = 200_000;
    const deep = `{"text":"a","n":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect((await taken(encoder.encode(deep))).rows.length).toBe(1);
    expect((await taken(encoder.encode(deep.replace(']]}', ']}}')))).rows.length).toBe(0);
  });

  it('leaves the begin of a line, lines behind the limit, and ones that are too long', async () => {
    const lines = ['{"text":"one","url":"a"}', '{"text":"two is much longer"}', '{"text":"three"}'];
    const all = encoder.encode(lines.join('\n'));
    const second = lines[0]!.length + 1;
    const texts = async (given: object) => {
      const { rows, consumed } = await taken(Uint8Array.from(all), given);
      return [rows.map(({ text }) => text).join(), consumed];
    };
    expect(await texts({ isEnd: false })).toEqual([
      'one,two is much longer',
      second + lines[1]!.length + 1,
    ]);
    expect(await texts({ limit: second })).toEqual(['one', second]);
    expect(await texts({ limit: second + 1 })).toEqual([
      'one,two is much longer',
      second + lines[1]!.length + 1,
    ]);
    expect(await texts({ begin: second })).toEqual(['two is much longer,three', all.length]);
    expect(await texts({ maxLineBytes: 24 })).toEqual(['one,three', all.length]);
  });

  it('refuses bounds that are none', async () => {
    const refused = { nativeCode: 'OPTION_INVALID' };
    await expect(taken(new Uint8Array(3), { begin: 4 })).rejects.toMatchObject(refused);
    expect(() =>
      native().jsonTexts({ ...({} as Parameters<typeof taken>[1] & object), bytes: [] } as never),
    ).toThrow();
  });
});
