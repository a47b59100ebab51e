/**
 * Arrow IPC as it comes: streams and files of other writers, and what damage makes of them.
 *
 * The bug was a reader that compared nothing with the bytes: one bit gave 22 rows of 6, or 4, or an endless loop; and
 * that knew neither lists nor views of the wide kinds, nor compressed bodies.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Builder } from 'flatbuffers';
import { describe, expect, it } from 'vitest';
import { END_OF_STREAM, schemaMessage } from '../../src/corpus/arrow-build.ts';
import { arrowFormOf } from '../../src/corpus/arrow-frames.ts';
import { openArrowStream } from '../../src/corpus/arrow-stream.ts';
import { ValueBudget, valueReader } from '../../src/corpus/arrow-values.ts';
import type { PlainValue } from '../../src/corpus/types.ts';
import { isGristmillError } from '../../src/errors.ts';
import { exact, field, readAll, streamOf } from './arrow-support.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures/arrow');
const read = async (name: string): Promise<Uint8Array> => readFile(join(FIXTURES, name));

/** Values of a file as it lies on the disk: the file form is sought in, not streamed. */
async function readPath(name: string): Promise<PlainValue[][]> {
  const stream = await openArrowStream(join(FIXTURES, name));
  const columns: PlainValue[][] = stream.schema.fields.map(() => []);
  for await (const batch of stream.batches()) {
    for (const [at, array] of batch.columns.entries()) {
      const value = valueReader(array, new ValueBudget());
      for (let row = 0; row < batch.length; row++) columns[at]!.push(value(row));
    }
  }
  await stream.close();
  return columns;
}

const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');

describe('streams of other writers', () => {
  it.each([
    ['large-list.arrow', [['a']]],
    ['null-column.arrow', [null]],
    // 1.23 and 4.56, in the seven bytes that 15 digits take; the bug was a read of four words whatever the width.
    ['decimal64.arrow', [hex('0000000000007b'), hex('000000000001c8')]],
    // 12 at scale -2: 1200.
    ['negative-scale.arrow', [hex('0000000004b0')]],
    ['leading-bom.arrow', ['\ufeffThe harbour']],
    ['six-rows.arrow', [0n, 1n, 2n, 3n, 4n, 5n]],
    ['dictionary-deltas.arrow', ['a', 'b', null, 'c', 'a', 'b', 'z', 'z', 'y']],
  ] as const)('%s', async (name, expected) => {
    const { columns } = await readAll(await read(name), 7);
    expect(columns[1]!.map(exact)).toEqual(expected.map(exact));
    expect((await readPath(name))[1]!.map(exact)).toEqual(expected.map(exact));
  });

  it.each(['lz4.arrow', 'zstd.arrow'])('compressed batches in the file form: %s', async (name) => {
    const text = 'one page of text, one page of text, one page of text';
    const texts = Array.from({ length: 400 }, () => [text, null, 'three']).flat();
    const numbers = Array.from({ length: 1200 }, (_, row) => BigInt(row));
    expect(await readPath(name)).toEqual([texts, numbers]);
    expect((await readAll(await read(name), 1000)).columns).toEqual([texts, numbers]);
  });

  it('LZ4 blocks that refer to blocks before them', async () => {
    const texts = Array.from({ length: 4000 }, (_, row) => {
      return `row ${row % 7} of a page that says much the same`;
    });
    expect((await readAll(await read('lz4-linked.arrow'))).columns).toEqual([texts]);
  });

  it('columns without a name, and with one name', async () => {
    const fields = ['', 'a', 'a'].map((name) => field(name, { kind: 'utf8' }));
    const bytes = streamOf({ fields, metadata: [] }, [[['x'], ['y'], ['z']]]);
    expect((await readAll(bytes)).columns).toEqual([['x'], ['y'], ['z']]);
  });
});

describe('one stream after another', () => {
  const schema = { fields: [field('text', { kind: 'utf8' })], metadata: [] };

  it('is read on when it has the same columns', async () => {
    const [one, other] = [streamOf(schema, [[['a']]]), streamOf(schema, [[['b', 'c']]])];
    const { columns } = await readAll(Buffer.concat([one, other]));
    expect(columns).toEqual([['a', 'b', 'c']]);
  });

  it('is refused when it has others: its rows would be passed over', async () => {
    const others = { fields: [field('text', { kind: 'binary' })], metadata: [] };
    const bytes = Buffer.concat([streamOf(schema, [[['a']]]), streamOf(others, [])]);
    await expect(readAll(bytes)).rejects.toThrow(/second stream begins, with other columns/);
    await expect(readAll(bytes)).rejects.toMatchObject({ code: 'CORPUS_UNSUPPORTED' });
  });

  it('anything else behind the end is damage', async () => {
    const bytes = Buffer.concat([streamOf(schema, [[['a']]]), Buffer.from('trailing words')]);
    await expect(readAll(bytes)).rejects.toMatchObject({ code: 'CORPUS_FILE_INVALID' });
  });
});

describe('what is refused by name', () => {
  it('big-endian streams', async () => {
    const builder = new Builder();
    builder.startVector(4, 0, 4);
    const fields = builder.endVector();
    builder.startObject(4);
    builder.addFieldInt16(0, 1, 0);
    builder.addFieldOffset(1, fields, 0);
    const schema = builder.endObject();
    builder.startObject(5);
    builder.addFieldOffset(2, schema, 0);
    builder.addFieldInt16(0, 4, 0);
    builder.addFieldInt8(1, 1, 0);
    builder.finish(builder.endObject());
    const metadata = builder.asUint8Array();
    const frame = new Uint8Array(8 + Math.ceil(metadata.byteLength / 8) * 8);
    frame.set([255, 255, 255, 255]);
    new DataView(frame.buffer).setUint32(4, frame.byteLength - 8, true);
    frame.set(metadata, 8);
    await expect(readAll(frame)).rejects.toThrow(/big-endian/);
    await expect(readAll(frame)).rejects.toMatchObject({ code: 'CORPUS_UNSUPPORTED' });
  });

  it.each([
    ['{"text": "a"}', /JSON: write it to a file named \.jsonl/],
    ['\ufeff [1]', /JSON/],
    ['PAR1....', /Parquet file/],
    ['FEA1....', /Feather version 1/],
    ['text,label\n', /looks like text/],
  ])('standard input that holds something else: %s', (text, message) => {
    expect(() => arrowFormOf(Buffer.from(text))).toThrow(message);
  });

  it('an empty input', async () => {
    await expect(readAll(new Uint8Array(0))).rejects.toThrow(/no schema/);
  });
});

/** The rows that a damaged stream gives; null where it is refused, as it must be: with a code. */
async function rowsOf(bytes: Uint8Array): Promise<number | null> {
  try {
    return (await readAll(bytes)).rows;
  } catch (error) {
    if (!isGristmillError(error) && (error as Error).constructor.name !== 'ArrowFault') throw error;
    return null;
  }
}

describe('damage', () => {
  it('a bit that gave 16 rows more is found', async () => {
    await expect(readAll(await read('fabricated.arrow'))).rejects.toThrow(
      /column text has 2 values, its batch 18/,
    );
  });

  it('no single bit makes or takes a row', async () => {
    const bytes = await read('six-rows.arrow');
    const found = new Map<number | null, number>();
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const damaged = Uint8Array.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const rows = await rowsOf(damaged);
      found.set(rows, (found.get(rows) ?? 0) + 1);
    }
    expect([...found.keys()].sort()).toEqual([6, null]);
    expect(found.get(null)).toBeGreaterThan(5000);
  });

  it('wherever a stream is cut, whole batches come or none', async () => {
    const schema = { fields: [field('text', { kind: 'utf8View' })], metadata: [] };
    const long = 'more than the twelve bytes that lie in the view';
    const bytes = streamOf(schema, [[['a', long]], [[long]]]);
    const found = new Set<number | null>();
    for (let end = 0; end < bytes.byteLength; end++)
      found.add(await rowsOf(bytes.subarray(0, end)));
    expect([...found].sort()).toEqual([0, 2, 3, null]);
  });

  it('wherever a file is cut, it is refused', async () => {
    const bytes = await read('zstd.arrow');
    for (let end = 0; end < bytes.byteLength; end += 13) {
      expect(await rowsOf(bytes.subarray(0, end))).toBe(null);
    }
  });

  it('a body that goes on takes no message with it', async () => {
    // A length of a body one bit too long took the next batch, and zeros in that one's body were an end of the stream.
    const schema = { fields: [field('n', { kind: 'int', bits: 64, signed: true })], metadata: [] };
    const zeros = Array.from({ length: 16 }, () => 0n);
    const bytes = streamOf(schema, [[zeros], [zeros], [zeros]]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let changed = 0;
    for (let at = 0; at + 8 <= bytes.byteLength; at += 4) {
      if (view.getBigInt64(at, true) !== 128n) continue;
      for (let longer = 8; longer < bytes.byteLength; longer += 8) {
        const damaged = Uint8Array.from(bytes);
        new DataView(damaged.buffer).setBigInt64(at, 128n + BigInt(longer), true);
        expect([48, null]).toContain(await rowsOf(damaged));
        changed++;
      }
    }
    expect(changed).toBeGreaterThan(300);
  });

  it('a list that names its item without end is refused, not followed', async () => {
    const schema = { fields: [field('n', { kind: 'null' })], metadata: [] };
    const [message, end] = [schemaMessage(schema), END_OF_STREAM];
    const bytes = Buffer.concat([message, end]);
    // Every 32-bit word of the metadata as an offset back to the root, one after another.
    for (let at = 8; at + 4 <= message.byteLength; at += 4) {
      for (const offset of [0, 4, -at, 0x7fffffff]) {
        const damaged = Buffer.from(bytes);
        damaged.writeInt32LE(offset, at);
        await rowsOf(damaged);
      }
    }
  });
});
