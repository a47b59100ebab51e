import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { type PlanOptions, planCorpus } from '../../src/corpus/plan.ts';
import { openUnit, type UnitOptions } from '../../src/corpus/unit.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-rejected-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Row {
  readonly row: number;
  readonly text?: string | null;
  readonly reason?: string;
  readonly detail?: string;
  readonly raw?: Buffer;
}

/** Rows and rejected rows of a file in the order of their numbers. */
async function read(
  bytes: string | Buffer,
  options: UnitOptions = { reject: 'lines' },
  planned: Partial<PlanOptions> = {},
): Promise<Row[]> {
  const input = join(folder, 'in.jsonl');
  await writeFile(input, bytes);
  const plan = await planCorpus({ inputs: [input], failFast: true, ...planned });
  const rows: Row[] = [];
  const pool = new SlabPool({ slabBytes: 1 << 20 });
  for (const unit of plan.units) {
    for await (const { batch, rowNumbers, rowStatus, rejected, carry } of openUnit(
      plan,
      unit,
      pool,
      options,
    )) {
      for (let doc = 0; doc < batch.nDocs; doc++) {
        const text = rowStatus[doc] === 1 ? null : Buffer.from(bytesAt(batch.text, doc)).toString();
        rows.push({ row: Number(rowNumbers[doc]), text });
      }
      for (const { row, reason, detail, raw } of rejected) {
        rows.push({ row: Number(row), reason, detail, raw: Buffer.from(raw) });
      }
      if (options.reject === 'values') await carry.select(null).plain();
      batch.release();
      carry.release();
    }
  }
  return rows.sort((left, right) => left.row - right.row);
}

describe('rows that cannot be rows', () => {
  const lines: [line: string | Buffer, reason: string, detail: RegExp][] = [
    [
      '{"text":"a","x":NaN}',
      'line_invalid',
      /^line 2: no JSON object: character 17: NaN is no JSON/,
    ],
    ['{"text":"a","x":-Infinity}', 'line_invalid', /-Infinity is no JSON/],
    ['[1,2]', 'line_invalid', /^line 2: no JSON object: expected an object, found an array$/],
    ['null', 'line_invalid', /found null$/],
    ['17', 'line_invalid', /found number$/],
    ['"text"', 'line_invalid', /found string$/],
    ['{"text":"cut', 'line_invalid', /it ends at character 12, inside a string$/],
    ['not json at all', 'line_invalid', /no JSON value begins so$/],
    ['{"text":5}', 'text_type', /^line 2, column text: expected a string, found 5$/],
    ['{"text":["a"]}', 'text_type', /found \["a"\]$/],
    ['{"text":true}', 'text_type', /found true$/],
    ['{"text":"half \\ud83d"}', 'invalid_utf8', /column text: expected Unicode text/],
    [
      Buffer.from('{"text":"caf\xe9","n":1}', 'latin1'),
      'invalid_utf8',
      /column text: expected UTF-8/,
    ],
    [
      Buffer.from('{"title":"caf\xe9","text":"a"}', 'latin1'),
      'field_utf8',
      /column title: expected UTF-8/,
    ],
    [Buffer.from('{"text":"a","caf\xe9":1}', 'latin1'), 'field_utf8', /expected a name in UTF-8/],
    [Buffer.from('{"text":"a"\xff}', 'latin1'), 'line_invalid', /byte 12 of it is not UTF-8$/],
  ];

  it.each(lines)('%s is one row: %s', async (line, reason, detail) => {
    const bytes = Buffer.from(line as string);
    const file = Buffer.concat([
      Buffer.from('{"text":"first"}\n'),
      bytes,
      Buffer.from('\n\n{"text":"last"}\n'),
    ]);
    expect(await read(file)).toEqual([
      { row: 0, text: 'first' },
      { row: 1, reason, detail: expect.stringMatching(detail), raw: bytes },
      { row: 2, text: 'last' },
    ]);
  });

  it('a field that is called like an added column costs its row', async () => {
    const options = { reject: 'lines', reserved: new Set(['gristmill_status']) } as const;
    const rows = await read('{"text":"a"}\n{"text":"b","gristmill_status":"kept"}\n', options);
    expect(rows.map(({ reason }) => reason)).toEqual([undefined, 'field_reserved']);
    expect(rows[1]!.detail).toContain('--status-prefix');
  });

  it('a file of nothing else is a file, at planning too', async () => {
    const rows = await read('{"text":"a","x":NaN}\n');
    expect(rows.map(({ row, reason }) => [row, reason])).toEqual([[0, 'line_invalid']]);
    expect(await read('[1]\n[2]\n')).toHaveLength(2);
  });

  it('where nobody takes them, the first one ends the unit by name', async () => {
    await expect(read('{"text":"a"}\n\n{"text":NaN}\n', {})).rejects.toMatchObject({
      code: 'CORPUS_LINE_INVALID',
      details: { line: 3, reason: expect.stringContaining('NaN') },
    });
    await expect(read('{"text":"a"}\n{"text":1}\n', {})).rejects.toMatchObject({
      code: 'CORPUS_VALUE_INVALID',
      details: { row: 1, column: 'text' },
    });
  });

  it('a line beyond the bound is one row, with its first bytes and its size', async () => {
    const long = `{"text":"${'x'.repeat(300_000)}"}`;
    const file = `{"text":"a"}\n${long}\r\n{"text":"b"}\n${' '.repeat(200_000)}\n${long}`;
    const rows = await read(file, { reject: 'lines' }, { maxLineBytes: 1000 });
    expect(rows.map(({ row, text, reason }) => [row, text, reason])).toEqual([
      [0, 'a', undefined],
      [1, undefined, 'line_too_long'],
      [2, 'b', undefined],
      [3, undefined, 'line_too_long'],
    ]);
    expect(rows[1]!.detail).toMatch(/^line 2: 3000\d\d bytes from byte 13, the bound is 1000/);
    expect(rows[1]!.raw!.toString()).toBe(long.slice(0, 65_536));
  });

  it('values must fit their columns exactly, or cost their row', async () => {
    const good = '{"text":"a","n":1,"x":0.5,"s":"s","b":true,"u":18446744073709551615}\n';
    const bad: [string, string][] = [
      ['{"text":"a","n":9223372036854775808}', 'field_type'],
      ['{"text":"a","n":1.5}', 'field_type'],
      ['{"text":"a","n":-0}', 'field_type'],
      ['{"text":"a","n":"1"}', 'field_type'],
      ['{"text":"a","x":9007199254740993}', 'field_type'],
      ['{"text":"a","x":1e400}', 'field_type'],
      ['{"text":"a","x":0.123456789012345678901}', 'field_type'],
      ['{"text":"a","u":-1}', 'field_type'],
      ['{"text":"a","u":18446744073709551616}', 'field_type'],
      ['{"text":"a","s":5}', 'field_type'],
      ['{"text":"a","b":"true"}', 'field_type'],
      ['{"text":"a","s":"half \\udc00"}', 'field_utf8'],
      ['{"text":"a","late":1}', 'field_unknown'],
      ['{"text":"a","n":1,"n":2}', 'field_repeated'],
    ];
    const fine = ['{"text":"a","late":null}', '{"text":"a","n":2.0}', '{"text":"a","n":1,"n":1}'];
    const file = good + [...bad.map(([line]) => line), ...fine].join('\n');
    const planned = { inferLines: 1 };
    const typed = await read(file, { reject: 'values' }, planned);
    expect(typed.slice(1).map(({ reason }) => reason)).toEqual([
      ...bad.map(([, reason]) => reason),
      ...fine.map(() => undefined),
    ]);
    expect(typed[13]!.detail).toMatch(/column late: expected a field of the lines .*--infer-lines/);
    // JSON is passed on as it is: nothing has to fit anything.
    const passed = await read(file, { reject: 'lines' }, planned);
    expect(passed.every(({ reason }) => reason === undefined)).toBe(true);
  });

  it('property: every line is a row or a rejected row with its bytes, in units of any size', async () => {
    const line = fc.oneof(
      fc.constantFrom(
        '{"text":"a"}',
        '{"text":null}',
        '{"x":1}',
        '[',
        '',
        ' ',
        '{"text":1}',
        '\ufeff{}',
      ),
      fc.json().map((json) => `{"text":"t","v":${json}}`),
      fc.json(),
    );
    const pieces = fc.array(line, { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(pieces, fc.integer({ min: 1, max: 200 }), async (texts, unitBytes) => {
        const file = `{"text":"first"}\n${texts.join('\n')}`;
        const rows = await read(file, { reject: 'lines', batchRows: 3 }, { unitBytes });
        const expected = file
          .split('\n')
          .filter((text) => text.trim() !== '' || text.includes('\ufeff'));
        expect(rows.map(({ row }) => row)).toEqual(expected.map((_, row) => row));
        for (const [row, text] of expected.entries()) {
          let parsed: unknown;
          try {
            parsed = JSON.parse(text);
          } catch {}
          const isObject = parsed !== null && typeof parsed === 'object' && !Array.isArray(parsed);
          const value = isObject ? ((parsed as { text?: unknown }).text ?? null) : undefined;
          if (value === null || typeof value === 'string') expect(rows[row]!.text).toBe(value);
          else expect(rows[row]!.raw!.toString()).toBe(text);
        }
      }),
      { numRuns: 60 },
    );
  });
});
