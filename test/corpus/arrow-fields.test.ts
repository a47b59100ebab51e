/** Arrow types through Parquet and back: what Parquet cannot say lies in ARROW:schema, which names our columns too. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { ARROW_SCHEMA_KEY, arrowFieldOf, parseArrowSchema } from '../../src/corpus/arrow-fields.ts';
import type { ArrowField, ArrowType } from '../../src/corpus/arrow-schema.ts';
import { openArrowStream } from '../../src/corpus/arrow-stream.ts';
import { keptMetadata } from '../../src/corpus/metadata.ts';
import { readFooter } from '../../src/corpus/parquet-file.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { PlainValue, SinkFormat } from '../../src/corpus/types.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { exact, field, readAll, streamOf } from './arrow-support.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function convert(input: string, output: string, format: SinkFormat): Promise<void> {
  const plan = await planCorpus({ inputs: [input], failFast: true });
  const sink = await openSink({
    format,
    path: output,
    columns: plan.columns,
    textColumn: 'text',
    extra: [{ name: 'added', type: 'string' }],
    replace: true,
    metadata: await keptMetadata(plan, plan.units[0]!),
  });
  const pool = new SlabPool();
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      const extra = { added: Array.from({ length: batch.nDocs }, () => 'x') };
      await sink.write({ text: batch.text, rows: null, carry, extra });
      carry.release();
      batch.release();
    }
  }
  await sink.close();
}

const index = { id: '0', bits: 8, signed: true, ordered: false } as const;
const ends = field('run_ends', { kind: 'int', bits: 32, signed: true }, { nullable: false });

/** Fields, values, and what of the type is left behind a Parquet file (undefined: everything). */
const COLUMNS: readonly [ArrowField, readonly PlainValue[], ArrowType?][] = [
  [field('text', { kind: 'largeUtf8' }), ['one', 'two']],
  [field('wait', { kind: 'duration', unit: 's' }), [5n, null]],
  [field('at', { kind: 'timestamp', unit: 'us', zone: 'Europe/Berlin' }), [0n, -1n]],
  [field('kind', { kind: 'utf8' }, { dictionary: index }), ['a', 'a']],
  [field('view', { kind: 'binaryView' }), [Buffer.from('short'), null]],
  [
    field('wide', { kind: 'largeList' }, { children: [field('item', { kind: 'utf8' })] }),
    [['a'], []],
  ],
  [
    field('pair', { kind: 'fixedList', size: 2 }, { children: [field('item', { kind: 'bool' })] }),
    [[true, null], null],
  ],
  [
    field('price', { kind: 'decimal', precision: 9, scale: 2, bits: 32 }),
    [Buffer.from('0000007b', 'hex'), null],
  ],
  [
    field('tag', { kind: 'fixedBinary', width: 2 }, { metadata: [['unit', 'cm']] }),
    [Buffer.from('ab'), null],
  ],
  [field('sure', { kind: 'int', bits: 16, signed: false }, { nullable: false }), [65535, 0]],
  [
    field('runs', { kind: 'runEnds' }, { children: [ends, field('values', { kind: 'utf8' })] }),
    ['r', 'r'],
    { kind: 'utf8' },
  ],
  [field('span', { kind: 'interval', unit: 'dayTime' }), [[1, -2], null], { kind: 'struct' }],
];

describe('Arrow types', () => {
  it('go to Arrow as they came, to Parquet with what Parquet cannot say beside it', async () => {
    const fields = COLUMNS.map(([one]) => one);
    const metadata = [['huggingface', '{}']] as const;
    const values = COLUMNS.map(([, column]) => column);
    const [source, arrow, parquet, back] = ['s.arrow', 'a.arrow', 'p.parquet', 'b.arrow'].map(
      (name) => join(folder, name),
    ) as [string, string, string, string];
    await writeFile(source, streamOf({ fields, metadata }, [values]));
    const added = field('added', { kind: 'utf8' });

    await convert(source, arrow, 'arrow');
    const same = await openArrowStream(arrow);
    expect(same.schema).toEqual({ fields: [...fields, added], metadata });
    await same.close();

    await convert(source, parquet, 'parquet');
    const { key_value_metadata: found = [] } = await readFooter(parquet);
    const text = found.find(({ key }) => key === ARROW_SCHEMA_KEY)?.value ?? '';
    expect(parseArrowSchema(text)).toEqual({ fields: [...fields, added], metadata });
    expect(found.find(({ key }) => key === 'huggingface')?.value).toBe('{}');

    // The Arrow columns that our Parquet file has: all but what Parquet holds otherwise.
    await convert(parquet, back, 'arrow');
    const stream = await openArrowStream(back);
    await stream.close();
    for (const [at, [one, , left]] of COLUMNS.entries()) {
      const read = stream.schema.fields[at]!;
      expect([read.name, read.type]).toEqual([one.name, left ?? one.type]);
      expect(read.nullable).toBe(one.nullable);
      expect(read.metadata).toEqual(one.metadata);
    }
    const { columns } = await readAll(await readFile(back));
    const strings = columns.slice(0, values.length).map((column) => column.map(exact));
    expect(strings).toEqual(values.map((column) => column.map(exact)));
  });

  it('a duration in seconds and one in milliseconds are two types, though both are INT64', async () => {
    const paths: string[] = [];
    for (const unit of ['s', 'ms'] as const) {
      const fields = [field('text', { kind: 'utf8' }), field('wait', { kind: 'duration', unit })];
      const path = join(folder, `wait-${unit}.arrow`);
      await writeFile(path, streamOf({ fields, metadata: [] }, [[['t'], [5n]]]));
      paths.push(path);
    }
    await expect(planCorpus({ inputs: paths, failFast: true })).rejects.toMatchObject({
      code: 'CORPUS_SCHEMA_DIFFERS',
    });
  });

  it('columns of one name and two types go to Parquet and back', async () => {
    const fields = [
      field('text', { kind: 'utf8' }),
      field('twin', { kind: 'utf8' }),
      field('twin', { kind: 'int', bits: 32, signed: true }),
      field('twin', { kind: 'struct' }, { children: [field('deep', { kind: 'bool' })] }),
    ];
    const values = [['t'], ['one'], [2], [[true]]];
    const [source, parquet, back] = ['t.arrow', 't.parquet', 'tb.arrow'].map((name) => {
      return join(folder, name);
    }) as [string, string, string];
    await writeFile(source, streamOf({ fields, metadata: [] }, [values]));
    await convert(source, parquet, 'parquet');
    await convert(parquet, back, 'arrow');
    const { schema, columns } = await readAll(await readFile(back));
    expect(schema.fields.slice(0, 4)).toEqual(fields);
    expect(columns.slice(0, 4)).toEqual(values);
  });

  it('a damaged ARROW:schema costs types, not the file', () => {
    for (const text of ['', 'AAAA', '/////w==', Buffer.alloc(64, 0xff).toString('base64')]) {
      expect(parseArrowSchema(text)).toBe(null);
    }
  });

  it('a column whose type was widened is written as what it is now', () => {
    const arrow = field('n', { kind: 'int', bits: 32, signed: true });
    const elements = [{ name: 'n', type: 'INT64', repetition_type: 'OPTIONAL' }] as const;
    const { type } = arrowFieldOf({ name: 'n', type: 'int64', elements, arrow });
    expect(type).toEqual({ kind: 'int', bits: 64, signed: true });
  });
});
