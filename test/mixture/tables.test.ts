import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { csvText, parseCsv } from '../../src/csv.ts';
import {
  alignDomains,
  joinRuns,
  readLosses,
  readMixtures,
  roundMixture,
  writeLosses,
  writeMixtures,
} from '../../src/mixture/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'mixture-tables-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let nFiles = 0;
function fileOf(text: string): string {
  const file = join(folder, `t${nFiles++}.csv`);
  writeFileSync(file, text);
  return file;
}

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => expect.unreachable(),
    (error) => error,
  );
}

describe('parseCsv', () => {
  it('reads back what csvText wrote', () => {
    const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '😀') });
    const records = fc.integer({ min: 1, max: 4 }).chain((nFields) =>
      fc.array(
        fc
          .array(field, { minLength: nFields, maxLength: nFields })
          // One empty field alone is an empty line, which a file may end with.
          .filter((fields) => fields.length > 1 || fields[0] !== ''),
        { minLength: 1 },
      ),
    );
    fc.assert(
      fc.property(records, fc.boolean(), (all, isCrlf) => {
        const hasBreak = all.some((fields) => fields.some((text) => /[\r\n]/.test(text)));
        const text = csvText(all);
        const { header, rows } = parseCsv(
          isCrlf && !hasBreak ? text.replaceAll('\n', '\r\n') : text,
          'f',
        );
        expect([header, ...rows]).toEqual(all);
      }),
    );
  });

  it.each([
    ['a,b\n1\n', 'row 1, column b: expected 2 fields, as the header has, found 1'],
    ['a,b\n1,"2', 'row 1, column b: expected a closing quote, found the end of the file'],
    ['a,b\n1,2"3\n', 'no quote inside a bare field'],
    ['a,b\n1,"2"3\n', 'a comma or the end of the line after a field'],
    ['a,b\n1,2\n\n3,4\n', 'expected 2 fields'],
    ['a,b\r1,2\n', 'a comma or the end of the line after a field'],
  ])('refuses %j', (text, message) => {
    expect(() => parseCsv(text, 'f')).toThrow(message);
  });
});

describe('readMixtures', () => {
  it('reads the published form with BOM and CR LF, and divides sums that rounding moved', async () => {
    const file = fileOf(
      '\ufeffindex,train_a,"train_b,c",note\r\n1,0.25,0.75,x\r\n2,0.5,0.499,\r\n\r\n',
    );
    const table = await readMixtures(file);
    expect(table.domains).toEqual(['train_a', 'train_b,c']);
    expect(table.ids).toEqual(['1', '2']);
    expect(table.nRenormalised).toBe(1);
    expect(table.ignored).toEqual(['note']);
    expect([...table.weights]).toEqual([0.25, 0.75, 0.5 / 0.999, 0.499 / 0.999]);
  });

  it('takes all columns where none has the prefix, and a prefix that is given', async () => {
    expect((await readMixtures(fileOf('index,a,b\n1,1,0\n'))).domains).toEqual(['a', 'b']);
    const file = fileOf('id,w.a,w.b,train_x\n1,1e0,.0,9\n');
    const table = await readMixtures(file, { prefix: 'w.', indexColumn: 'id' });
    expect(table.domains).toEqual(['w.a', 'w.b']);
  });

  it('reads thousands of columns', async () => {
    const nDomains = 5000;
    const names = Array.from({ length: nDomains }, (_, domain) => `train_${domain}`);
    const file = fileOf(`index,${names.join(',')}\n1,${names.map(() => 1 / nDomains).join(',')}\n`);
    expect((await readMixtures(file)).domains).toHaveLength(nDomains);
  });

  it.each([
    ['index,a,b\n1,0.5,0.6\n', /row 1, .*sum to 1 within 0.02, found a sum of 1.1$/],
    [
      'index,a,b\n1,0.5,0.5\n2,1.1,-0.1\n',
      /row 2, column b: expected a weight of at least 0, found -0.1/,
    ],
    ['index,a,b\n1,NaN,1\n', /row 1, column a: expected a finite number, found NaN/],
    ['index,a,b\n1,inf,1\n', /found inf/],
    ['index,a,b\n1,0x1,0\n', /found 0x1/],
    ['index,a,b\n1,,1\n', /found nothing/],
    [
      'index,a,b\n1,0,1\n1,1,0\n',
      /row 2, column index: expected an index that row 1 does not have, found 1/,
    ],
    ['index,train_a,w,train_a\n1,0,1,1\n', /distinct column names/],
    ['index,a,a\n1,0,1\n', /row 0, column a: expected distinct column names/],
    ['index,a,\n1,0,1\n', /sum to 1 within 0.02, found a sum of 0/],
    ['a,b\n0,1\n', /row 0, column index: expected this column, found a, b/],
    ['index\n1\n', /columns of this form/],
    ['index,a\n', /at least one row/],
    ['', /an empty file/],
    ['index,a,b\n,0,1\n', /expected an index, found nothing/],
  ])('refuses %j', async (text, message) => {
    const error = await failure(readMixtures(fileOf(text)));
    expect(error.code).toBe('MIXTURE_TABLE_INVALID');
    expect(error.message).toMatch(message);
  });

  it('refuses a file that is not there, not UTF-8, or no Parquet', async () => {
    const latin = join(folder, 'latin.csv');
    writeFileSync(latin, Buffer.from([0x69, 0xe9, 0x0a]));
    expect((await failure(readMixtures(latin))).message).toMatch('it is not UTF-8');
    expect((await failure(readMixtures(join(folder, 'none')))).code).toBe('CORPUS_READ_FAILED');
    const fake = join(folder, 'fake.parquet');
    writeFileSync(fake, 'index,a\n1,1\n');
    expect((await failure(readMixtures(fake))).code).toBe('CORPUS_FILE_INVALID');
  });
});

describe('columns of tables', () => {
  it('takes the index that pandas writes without a name, and leaves it out beside a column index', async () => {
    const table = await readMixtures(fileOf(',train_a,train_b\n7,0.25,0.75\n'));
    expect([table.ids, table.domains, table.ignored]).toEqual([['7'], ['train_a', 'train_b'], []]);
    const named = await readMixtures(fileOf(',x,train_a\n7,0,1\n'), { indexColumn: '' });
    expect(named.ids).toEqual(['7']);
    const both = await readMixtures(fileOf(',index,a,b\n0,7,0.25,0.75\n'));
    expect([both.ids, both.domains]).toEqual([['7'], ['a', 'b']]);
    expect(both.ignored).toEqual(['(column without a name)']);
  });

  it('leaves out columns of words, as Olmix has them, and names them; not those of missing numbers', async () => {
    const table = await readMixtures(fileOf('run,name,index,ash,elm\nk1,s-1,1,0.25,0.75\n'));
    expect([table.domains, table.ignored]).toEqual([
      ['ash', 'elm'],
      ['run', 'name'],
    ]);
    const error = await failure(readMixtures(fileOf('index,ash,elm,fir\n1,0.25,0.75,\n')));
    expect(error.message).toMatch(/row 1, column fir: expected a finite number, found nothing/);
  });

  it('takes the columns that are named and leaves out those that are not wanted', async () => {
    const file = fileOf('index,metric/leaf_val_loss,exam_bpb,step\n1,3.5,1.5,9\n');
    const plain = await readLosses(file);
    expect([plain.targets, plain.ignored]).toEqual([
      ['metric/leaf_val_loss'],
      ['exam_bpb', 'step'],
    ]);
    const both = await readLosses(file, { targets: ['exam_bpb', 'leaf'] });
    expect([both.targets, [...both.losses]]).toEqual([
      ['exam_bpb', 'metric/leaf_val_loss'],
      [1.5, 3.5],
    ]);
    const missing = await failure(readLosses(file, { targets: ['bark'] }));
    expect(missing.message).toMatch(/column bark: expected this column, found index, metric/);
    const weights = fileOf('index,seed,ash,elm\n1,3,0.25,0.75\n');
    expect((await failure(readMixtures(weights))).message).toMatch(/found a sum of 4/);
    expect((await readMixtures(weights, { ignore: ['seed'] })).domains).toEqual(['ash', 'elm']);
    const chosen = await readMixtures(weights, { domains: ['train_elm', 'ash'].slice(1) }).catch(
      (cause) => cause,
    );
    expect(chosen.message).toMatch(/found a sum of 0.25/);
  });

  it('refuses two names of one domain', async () => {
    const error = await failure(
      readMixtures(fileOf('index,ash,train_ash\n1,0.5,0.5\n'), { prefix: '' }),
    );
    expect(error.message).toMatch(/expected one column for ash, found ash and train_ash/);
  });

  it('reads percent and says so, and sums of any size where that is asked', async () => {
    const percent = await readMixtures(fileOf('index,a,b\n1,25,75\n2,50,49.9\n'));
    expect([...percent.weights]).toEqual([0.25, 0.75, 50 / 99.9, 49.9 / 99.9]);
    expect(percent.nRenormalised).toBe(1);
    expect(percent.notes.join()).toMatch(/weights are percent/);
    const parts = fileOf('index,a,b\n1,1,3\n2,2,2\n');
    expect((await failure(readMixtures(parts))).message).toMatch(/found a sum of 4/);
    expect([...(await readMixtures(parts, { relative: true })).weights]).toEqual([
      0.25, 0.75, 0.5, 0.5,
    ]);
    const nothing = await failure(readMixtures(fileOf('index,a,b\n1,0,0\n'), { relative: true }));
    expect(nothing.message).toMatch(/weights of index 1 of a sum above 0, found a sum of 0/);
  });

  it('reads semicolons, with decimal commas too, and tabs', async () => {
    const expected = ['ash', 'elm'];
    for (const text of [
      'index;ash;elm\r\n1;0,25;0,75\r\n',
      'index;ash;elm\n1;0.25;.75\n',
      'index\tash\telm\n1\t0.25\t0.75\n',
    ]) {
      const table = await readMixtures(fileOf(text));
      expect([table.domains, [...table.weights]]).toEqual([expected, [0.25, 0.75]]);
    }
    expect(
      (await readMixtures(fileOf('"index";"a;b","c"\n'.replace(';', ',').concat('1,0,1\n'))))
        .domains,
    ).toEqual(['a;b', 'c']);
  });

  it('joins an index that was a number on the way, and only where it is the same one', async () => {
    const mixtures = await readMixtures(fileOf('index,a,b\n1.0,0,1\n2.0,1,0\n'));
    const losses = await readLosses(fileOf('index,x\n002,2\n1,1\n'));
    const runs = joinRuns(mixtures, losses);
    expect([runs.ids, [...runs.losses]]).toEqual([
      ['1.0', '2.0'],
      [1, 2],
    ]);
    // Exact names go first: 1 and 01 are two runs here.
    const two = await readMixtures(fileOf('index,a,b\n1,0,1\n01,1,0\n'));
    const exact = await readLosses(fileOf('index,x\n01,2\n1,1\n'));
    expect([...joinRuns(two, exact).losses]).toEqual([1, 2]);
    const unclear = await readLosses(fileOf('index,x\n1.0,2\n1,1\n'));
    expect(() => joinRuns(two, unclear)).toThrow(/index that losses has too, found 01/);
  });

  it('skips losses that are infinite like those that are not there', async () => {
    const file = fileOf('index,x\n1,1.5\n2,inf\n3,-Infinity\n4,1e999\n5,nan\n');
    const table = await readLosses(file, { onMissing: 'skip' });
    expect([table.ids, table.nSkipped]).toEqual([['1'], 4]);
    expect((await failure(readLosses(file))).message).toMatch(/row 2, column x: .* found inf/);
  });
});

describe('readLosses', () => {
  const text = 'index,metric/a_val_loss,metric/b_val_loss,train_x\n1,2.5,3\n'.replace(
    '3\n',
    '3,1\n',
  );

  it('takes the columns of the published form', async () => {
    const table = await readLosses(fileOf(text));
    expect(table.targets).toEqual(['metric/a_val_loss', 'metric/b_val_loss']);
    expect([...table.losses]).toEqual([2.5, 3]);
  });

  it('refuses a missing loss, or leaves its row out', async () => {
    const file = fileOf('index,a,b\n1,2,\n2,3,4\n3,nan,1\n');
    const error = await failure(readLosses(file));
    expect(error.message).toMatch('row 1, column b: expected a finite number, found nothing');
    const { ids, losses, nSkipped } = await readLosses(file, { onMissing: 'skip' });
    expect([ids, [...losses], nSkipped]).toEqual([['2'], [3, 4], 2]);
  });
});

describe('joinRuns and alignDomains', () => {
  const mixtures = { domains: ['a', 'b'], ids: ['1', '2'], weights: Float64Array.of(1, 0, 0, 1) };
  const losses = { targets: ['t'], ids: ['2', '3'], losses: Float64Array.of(5, 6) };

  it('joins on ids in the order of the mixtures', () => {
    const runs = joinRuns(mixtures, losses, { onMissing: 'skip' });
    expect(runs.ids).toEqual(['2']);
    expect([...runs.weights, ...runs.losses]).toEqual([0, 1, 5]);
    expect([runs.nWithoutLosses, runs.nWithoutMixture]).toEqual([1, 1]);
  });

  it('refuses ids that only one table has', () => {
    expect(() => joinRuns(mixtures, losses)).toThrow(
      'table mixtures, row 1, column index: expected an index that losses has too, found 1',
    );
    const both = { ...losses, ids: ['1', '2', '3'], losses: Float64Array.of(1, 2, 3) };
    expect(() => joinRuns(mixtures, both)).toThrow('table losses, row 3');
    const none = { ...losses, ids: ['8', '9'] };
    expect(() => joinRuns(mixtures, none, { onMissing: 'skip' })).toThrow(
      'an index that mixtures has too',
    );
  });

  it('puts columns in order by name, with or without the prefix', () => {
    expect([...alignDomains(mixtures, ['train_b', 'train_a'])]).toEqual([0, 1, 1, 0]);
    expect(() => alignDomains(mixtures, ['a'])).toThrow('weight 0 in a domain');
    expect(() => alignDomains(mixtures, ['a', 'b', 'c'])).toThrow('column c: expected this column');
  });
});

describe('writing', () => {
  const table = {
    domains: ['train_a', 'train_b', 'train_c'],
    ids: ['x,1', '2'],
    weights: Float64Array.of(1 / 3, 1 / 3, 1 / 3, 0.000001, 0.999999, 0),
  };

  it.each(['csv', 'parquet'])('reads back %s', async (format) => {
    const file = join(folder, `m.${format}`);
    await writeMixtures(file, table);
    const { domains, ids, weights, nRenormalised } = await readMixtures(file);
    expect({ domains, ids, nRenormalised }).toEqual({
      domains: table.domains,
      ids: table.ids,
      nRenormalised: 0,
    });
    expect([...weights.subarray(3)]).toEqual([0.000001, 0.999999, 0]);
    expect(weights[0]).toBe(0.333334);
    const losses = {
      targets: ['metric/t_val_loss'],
      ids: ['1'],
      losses: Float64Array.of(0.1 + 0.2),
    };
    await writeLosses(file, losses);
    expect(await readLosses(file)).toMatchObject(losses);
  });

  it('gives names the published form, and writes sums that are 1 in decimals', async () => {
    const file = join(folder, 'names.csv');
    await writeMixtures(file, { ...table, domains: ['a', 'b', 'c'] }, { digits: 3 });
    expect(readFileSync(file, 'utf8')).toBe(
      'index,train_a,train_b,train_c\n"x,1",0.334,0.333,0.333\n2,0,1,0\n',
    );
    await writeLosses(file, { targets: ['t'], ids: ['1'], losses: Float64Array.of(2) });
    expect(readFileSync(file, 'utf8')).toBe('index,metric/t_val_loss\n1,2\n');
  });

  it('rounds to a grid: whole sum, less than one step off', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        (raw, digits) => {
          const sum = raw.reduce((total, value) => total + value, 0);
          fc.pre(sum > 1e-3);
          const weights = Float64Array.from(raw, (value) => value / sum);
          const units = Array.from(roundMixture(weights, digits), (w) =>
            Math.round(w * 10 ** digits),
          );
          expect(units.reduce((total, unit) => total + unit, 0)).toBe(10 ** digits);
          for (const [domain, unit] of units.entries()) {
            expect(unit).toBeGreaterThanOrEqual(0);
            // Rounding to the nearest leaves half a step; carrying the sum one more at most.
            expect(Math.abs(unit - weights[domain]! * 10 ** digits)).toBeLessThan(1.51);
          }
        },
      ),
    );
    expect([...roundMixture(Float64Array.of(0.25, 0.75), 1)]).toEqual([0.2, 0.8]);
  });
});
