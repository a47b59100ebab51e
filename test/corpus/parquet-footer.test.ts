/** Footers and pages that no writer at hand makes: old and future writers, damage, what is refused by name. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readFooter } from '../../src/corpus/parquet-file.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { readRowBatches } from '../../src/corpus/rows.ts';
import { readThrift } from '../../src/corpus/thrift.ts';
import { isGristmillError } from '../../src/errors.ts';
import { native } from '../../src/native/index.ts';
import {
  type ChunkSpec,
  dataPage,
  dictionaryPage,
  type Fields,
  parquetFile,
  plainBytes,
  thrift,
} from './parquet-bytes.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-footer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ROOT = { 4: 'schema', 5: 2 };
const TEXT = { 1: 6, 3: 0, 4: 'text', 6: 0 };
const texts: ChunkSpec = {
  path: ['text'],
  type: 6,
  nValues: 2,
  pages: [dataPage(2, plainBytes('one', 'two'))],
};
const int64 = (...values: bigint[]): Buffer => Buffer.from(BigInt64Array.from(values).buffer);
const value: ChunkSpec = { path: ['v'], type: 2, nValues: 2, pages: [dataPage(2, int64(7n, 8n))] };

let nFiles = 0;
function write(spec: Parameters<typeof parquetFile>[0]): string {
  const path = join(folder, `${nFiles++}.parquet`);
  writeFileSync(path, parquetFile(spec));
  return path;
}

/** A file of a text and a column `v`. */
function withColumn(element: Fields, chunk: ChunkSpec = value, footer: Fields = {}): string {
  const schema = [ROOT, TEXT, { 4: 'v', ...element }];
  return write({ schema, groups: [{ nRows: 2, chunks: [texts, chunk] }], footer });
}

async function valuesOf(path: string, column = 'v'): Promise<unknown[]> {
  const plan = await planCorpus({ inputs: [path], failFast: true });
  const values: unknown[] = [];
  for await (const { columns } of readRowBatches(plan)) {
    values.push(...((await columns()).get(column) ?? []));
  }
  return values;
}

describe('what is read', () => {
  it('a type that is not known, or that contradicts the physical one, is the physical type', async () => {
    const annotations: Fields[] = [
      { 10: { 99: {} } },
      { 10: { 8: { 1: true, 2: { 9: {} } } } }, // a timestamp in a unit to come
      { 6: 99 },
      { 6: 0 }, // UTF8 on an INT64
      { 10: { 6: {} } }, // DATE on an INT64
      { 6: 5 }, // DECIMAL without a precision
      { 10: { 14: {} } },
    ];
    for (const annotation of annotations) {
      const path = withColumn({ 1: 2, 3: 0, ...annotation });
      const { columns } = await planCorpus({ inputs: [path], failFast: true });
      expect(columns[1]!.type).toBe('int64');
      expect(await valuesOf(path)).toEqual([7n, 8n]);
    }
  });

  it('numbers as metadata values, no row count, a column without a name', async () => {
    const path = withColumn({ 1: 2, 3: 0 }, value, { 3: 0n, 5: [{ 1: 'a', 2: 5 }, { 1: 'b' }] });
    expect(await valuesOf(path)).toEqual([7n, 8n]);
    const footer = await readFooter(path);
    expect(footer.num_rows).toBe(2n);
    expect(footer.key_value_metadata).toEqual([{ key: 'a', value: '5' }, { key: 'b' }]);
    const nameless = withColumn({ 1: 2, 3: 0, 4: '' }, { ...value, path: [''] });
    expect(await valuesOf(nameless, '')).toEqual([7n, 8n]);
  });

  it('row groups without rows, whatever their offsets and codecs', async () => {
    const odd = { nValues: 0, pages: [], codec: 3, meta: { 9: 0n, 7: 0n } };
    const chunks = [
      { ...texts, ...odd },
      { ...value, ...odd },
    ];
    const empty = { nRows: 0, chunks };
    const full = { nRows: 2, chunks: [texts, value] };
    const schema = [ROOT, TEXT, { 1: 2, 3: 0, 4: 'v' }];
    const path = write({ schema, groups: [full, empty, full, { nRows: 0, chunks: [] }] });
    expect(await valuesOf(path)).toEqual([7n, 8n, 7n, 8n]);
  });

  it('chunks in another order than the schema', async () => {
    const schema = [ROOT, TEXT, { 1: 2, 3: 0, 4: 'v' }];
    const path = write({ schema, groups: [{ nRows: 2, chunks: [value, texts] }] });
    expect(await valuesOf(path)).toEqual([7n, 8n]);
  });

  it('uncompressed sizes of 0, and ones that say too little or too much', async () => {
    for (const size of [0n, 1n, 2n ** 40n]) {
      expect(await valuesOf(withColumn({ 1: 2, 3: 0 }, { ...value, meta: { 6: size } }))).toEqual([
        7n,
        8n,
      ]);
    }
  });

  it('bit-packed levels, which old writers have: most significant bit first', async () => {
    // Two optional values, the second null.
    const body = Buffer.concat([Buffer.of(0b1000_0000), int64(7n)]);
    const pages = [dataPage(2, body, { levels: 4 })];
    expect(await valuesOf(withColumn({ 1: 2, 3: 1 }, { ...value, pages }))).toEqual([7n, null]);
  });

  it('LZ4 as Hadoop frames it, as a frame, and as a bare block', async () => {
    const plain = int64(7n, 8n);
    const block = Buffer.concat([Buffer.of(0xf0, 1), plain]); // 16 literals
    const big = (n: number): Buffer => Buffer.of(0, 0, 0, n);
    const half = (at: number): Buffer =>
      Buffer.concat([Buffer.of(0x80), plain.subarray(at, at + 8)]);
    const forms = {
      hadoop: [big(16), big(block.length), block],
      'hadoop, a block of two': [big(16), big(9), half(0), big(9), half(8)],
      'hadoop, two blocks': [big(8), big(9), half(0), big(8), big(9), half(8)],
      frame: [
        Buffer.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82),
        Buffer.of(block.length, 0, 0, 0),
        block,
        Buffer.alloc(4),
      ],
      'stored frame': [
        Buffer.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82),
        Buffer.of(16, 0, 0, 0x80),
        plain,
        Buffer.alloc(4),
      ],
      block: [block],
    };
    for (const [name, parts] of Object.entries(forms)) {
      const pages = [dataPage(2, Buffer.concat(parts), { uncompressed: 16 })];
      expect(
        await valuesOf(withColumn({ 1: 2, 3: 0 }, { ...value, pages, codec: 5 })),
        name,
      ).toEqual([7n, 8n]);
    }
  });
});

describe('brotli', () => {
  const stored = brotliCompressSync(int64(7n, 8n));
  const page = (uncompressed: number): Buffer => dataPage(2, stored, { uncompressed });

  it('is read, beside row groups of other codecs', async () => {
    const schema = [ROOT, TEXT, { 1: 2, 3: 0, 4: 'v' }];
    const brotli = { ...value, codec: 4, pages: [page(16)] };
    const groups = [brotli, value, brotli].map((chunk) => ({ nRows: 2, chunks: [texts, chunk] }));
    expect(await valuesOf(write({ schema, groups }))).toEqual([7n, 8n, 7n, 8n, 7n, 8n]);
  });

  it('damage is CORPUS_CORRUPT; what would fill the disk is refused before it is decoded', async () => {
    const cases = [
      [page(15), 'CORPUS_CORRUPT'],
      [page(17), 'CORPUS_CORRUPT'],
      [dataPage(2, stored.subarray(0, -1), { uncompressed: 16 }), 'CORPUS_CORRUPT'],
      [page(2 ** 31 - 1), 'CORPUS_UNSUPPORTED'],
    ] as const;
    for (const [bad, code] of cases) {
      const path = withColumn({ 1: 2, 3: 0 }, { ...value, codec: 4, pages: [bad] });
      await expect(valuesOf(path)).rejects.toMatchObject({ code });
    }
  });
});

describe('what is refused', () => {
  const schema = [ROOT, TEXT, { 1: 2, 3: 0, 4: 'v' }];
  const groups = (...chunks: ChunkSpec[]) => [{ nRows: 2, chunks }];
  it.each([
    [
      'a codec',
      'CORPUS_UNSUPPORTED',
      'LZO',
      { schema, groups: groups(texts, { ...value, codec: 3 }) },
    ],
    [
      'a codec to come',
      'CORPUS_UNSUPPORTED',
      'codec 12',
      { schema, groups: groups(texts, { ...value, codec: 12 }) },
    ],
    [
      'an encoding to come',
      'CORPUS_UNSUPPORTED',
      'column v is encoded with encoding 10: write the file anew',
      { schema, groups: groups(texts, { ...value, meta: { 2: [0, 10] } }) },
    ],
    [
      'encryption',
      'CORPUS_UNSUPPORTED',
      'v is encrypted',
      { schema, groups: groups(texts, { ...value, chunk: { 8: { 1: {} } } }) },
    ],
    [
      'other files',
      'CORPUS_UNSUPPORTED',
      'other files',
      { schema, groups: groups({ ...texts, chunk: { 1: 'x.parquet' } }, value) },
    ],
    [
      'a physical type to come',
      'CORPUS_UNSUPPORTED',
      'physical type 9',
      { schema: [ROOT, TEXT, { 1: 9, 3: 0, 4: 'v' }], groups: groups(texts, value) },
    ],
    [
      'no fields',
      'CORPUS_UNSUPPORTED',
      'without fields',
      { schema: [ROOT, TEXT, { 3: 1, 4: 'v' }], groups: groups(texts) },
    ],
    [
      'a missing chunk',
      'CORPUS_FILE_INVALID',
      'no chunk of column v',
      { schema, groups: groups(texts) },
    ],
    [
      'a chunk too many',
      'CORPUS_FILE_INVALID',
      'column w',
      { schema, groups: groups(texts, value, { ...value, path: ['w'] }) },
    ],
    [
      'another type',
      'CORPUS_FILE_INVALID',
      'INT32 where',
      { schema, groups: groups(texts, { ...value, type: 1 }) },
    ],
    [
      'a place outside',
      'CORPUS_FILE_INVALID',
      'lies outside',
      { schema, groups: groups(texts, { ...value, meta: { 9: 10n ** 9n } }) },
    ],
    [
      'a cut schema',
      'CORPUS_FILE_INVALID',
      'cut off',
      { schema: [{ 4: 'schema', 5: 3 }, ...schema.slice(1)], groups: groups(texts, value) },
    ],
    [
      'elements too many',
      'CORPUS_FILE_INVALID',
      'belong nowhere',
      { schema: [{ 4: 'schema', 5: 1 }, ...schema.slice(1)], groups: groups(texts, value) },
    ],
    [
      'another row count',
      'CORPUS_FILE_INVALID',
      'declares 5 rows',
      { schema, groups: groups(texts, value), footer: { 3: 5n } },
    ],
  ] as const)('%s: %s', async (_, code, message, spec) => {
    await expect(readFooter(write(spec))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  it('an encoding by its number, at reading', async () => {
    const pages = [dataPage(2, int64(7n, 8n), { encoding: 77 })];
    await expect(valuesOf(withColumn({ 1: 2, 3: 0 }, { ...value, pages }))).rejects.toMatchObject({
      code: 'CORPUS_CORRUPT',
      message: expect.stringContaining('encoding 77 is not supported'),
    });
  });

  it('property: any footer of any bytes is a coded error or a plan', async () => {
    const good = parquetFile({ schema, groups: groups(texts, value) });
    const footerAt = good.byteLength - 8 - good.readUInt32LE(good.byteLength - 8);
    const flips = fc.array(fc.tuple(fc.nat(good.byteLength - 9 - footerAt), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(flips, async (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, byte] of changes) bytes[footerAt + at] = byte;
        const path = join(folder, 'flipped.parquet');
        writeFileSync(path, bytes);
        try {
          await valuesOf(path);
        } catch (error) {
          expect(isGristmillError(error), String(error)).toBe(true);
          expect((error as { code: string }).code).toMatch(/^CORPUS_/);
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe('memory', () => {
  it('a page of 300 million values in a few bytes is decoded as it is asked for', async () => {
    // Indices and slices of all values of a page once took 20 bytes each: 6 GB of a file of 143 bytes.
    const nValues = 300_000_000;
    const run = [...thriftVarint(nValues * 2), 0];
    const pages = [
      dictionaryPage(1, plainBytes('spam')),
      dataPage(nValues, Buffer.from([1, ...run]), { encoding: 8 }),
    ];
    const path = write({
      schema: [{ 4: 'schema', 5: 1 }, TEXT],
      groups: [{ nRows: nValues, chunks: [{ path: ['text'], type: 6, nValues, pages }] }],
    });
    const before = process.memoryUsage().rss;
    const plan = await planCorpus({ inputs: [path], failFast: true });
    for await (const { batch } of readRowBatches(plan)) {
      expect(batch.nDocs).toBeGreaterThan(0);
      break;
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
  });

  it('a list of 200 million items in one row is refused by name', async () => {
    const nValues = 200_000_000;
    const runs = (first: number[], rest: number[]): Buffer => {
      const body = Buffer.from([...first, ...rest]);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(body.byteLength);
      return Buffer.concat([length, body]);
    };
    const repetition = runs([2, 0], [...thriftVarint((nValues - 1) * 2), 1]);
    const definition = runs([], [...thriftVarint(nValues * 2), 0]);
    const nulls = dataPage(nValues, Buffer.concat([repetition, definition]));
    const path = write({
      schema: [ROOT, TEXT, { 1: 2, 3: 2, 4: 'v' }],
      groups: [
        {
          nRows: 1,
          chunks: [
            { ...texts, nValues: 1, pages: [dataPage(1, plainBytes('one'))] },
            { ...value, nValues, pages: [nulls] },
          ],
        },
      ],
    });
    await expect(valuesOf(path)).rejects.toMatchObject({
      code: 'CORPUS_UNSUPPORTED',
      message: expect.stringContaining('column v holds more than'),
    });
  });

  it('another object in place of a reader is refused: it was read as one', () => {
    const { LeafReader, LeafWriter, ZstdDecoder } = native();
    const writer = new LeafWriter({
      column: 'c',
      type: 6,
      typeLength: 0,
      maxDefinition: 1,
      maxRepetition: 0,
      zstdLevel: 1,
      pageBytes: 1000,
      dictionary: true,
      order: 4,
    });
    for (const other of [
      new ZstdDecoder(),
      {},
      Object.create(LeafReader.prototype),
      writer,
      [],
      null,
    ]) {
      expect(() => writer.appendLeaf(other as never, 0, 1, null)).toThrow();
    }
  });
});

describe('readThrift', () => {
  it('reads what is written', () => {
    const fields = {
      1: true,
      2: false,
      3: -5,
      4: -(2n ** 63n),
      5: 'é',
      6: [1, 2],
      40: { 1: [{ 1: 'x' }] },
    };
    const { value: read, size } = readThrift(thrift(fields));
    expect(size).toBe(thrift(fields).byteLength);
    expect(read.get(1)).toBe(true);
    expect(read.get(2)).toBe(false);
    expect(read.get(3)).toBe(-5n);
    expect(read.get(4)).toBe(-(2n ** 63n));
    expect(Buffer.from(read.get(5) as Uint8Array).toString()).toBe('é');
    expect(read.get(6)).toEqual([1n, 2n]);
    expect(read.get(40)).toEqual(new Map([[1, [new Map([[1, Buffer.from('x')]])]]]));
  });

  it('hands over the elements of one list of the outermost struct, and keeps none of them', () => {
    const bytes = thrift({
      2: [7, 8],
      4: [
        { 1: 'a', 4: [1] },
        { 1: 'b', 4: [2, 3] },
      ],
      6: 'end',
    });
    const whole = readThrift(bytes).value;
    const elements: unknown[] = [];
    const taken = { field: 4, take: (element: unknown) => void elements.push(element) };
    const { value: read, size } = readThrift(bytes, taken);
    expect(size).toBe(bytes.byteLength);
    // Lists of the same number within its elements are theirs.
    expect(elements).toEqual(whole.get(4));
    expect(read).toEqual(new Map(whole).set(4, []));
  });

  it('property: any bytes end in a value or a ThriftError, without taking what is not there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(readThrift(bytes).size).toBeLessThanOrEqual(bytes.byteLength);
        } catch (error) {
          expect((error as Error).constructor.name).toBe('ThriftError');
        }
      }),
      { numRuns: 2000 },
    );
    // A list of two thousand million booleans in six bytes.
    expect(() => readThrift(Uint8Array.of(0x19, 0xf1, 0xff, 0xff, 0xff, 0x7f))).toThrow('cut off');
  });
});

function thriftVarint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}
