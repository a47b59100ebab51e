import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isGristmillError } from '../../src/errors.ts';
import { openLedger } from '../../src/refine/ledger.ts';
import { compareIdentity, type RunIdentity } from '../../src/refine/run-identity.ts';
import { addCounts, ZERO_COUNTS } from '../../src/refine/statistics.ts';
import type { UnitRecord } from '../../src/refine/unit-record.ts';

const identity: RunIdentity = {
  format: 1,
  versions: { gristmill: '1', llamaCpp: '2' },
  options: { executor: 'strict', limit: null },
  thresholds: { document: 0.5, documentRetention: null, line: null },
  models: { document: { path: 'a.gguf', bytes: 1, sha256: 'aa' }, chunk: null },
  inputs: [{ path: 'in.parquet', bytes: 3, fingerprint: 'f' }],
  units: 2,
};

let out: string;
beforeEach(() => {
  out = join(mkdtempSync(join(tmpdir(), 'gristmill-ledger-')), 'out');
});
afterEach(() => rmSync(join(out, '..'), { recursive: true, force: true }));

const record = (unit: number, path: string, rows = 1): UnitRecord => ({
  unit,
  input: 'in.parquet',
  counts: {
    ...ZERO_COUNTS,
    rowsIn: rows,
    [path.startsWith('dropped/') ? 'dropped' : 'kept']: rows,
  },
  files: [{ path, rows, bytes: 2, sha256: 'x' }],
  seconds: 1,
});

const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
  } catch (error) {
    if (isGristmillError(error)) return error.code;
    throw error;
  }
  return 'none';
};

describe('openLedger', () => {
  it('publishes the files of a unit only with its record', async () => {
    const ledger = await openLedger(out, identity);
    await ledger.beginUnit(0);
    const path = 'part-00000.parquet';
    writeFileSync(ledger.pendingPath(0, path), 'hi');
    expect(existsSync(join(out, path))).toBe(false);
    await ledger.commitUnit(record(0, path));
    expect(readFileSync(join(out, path), 'utf8')).toBe('hi');
    expect(existsSync(ledger.pendingPath(0, path))).toBe(false);
    ledger.close();
    expect([...(await openLedger(out, identity)).committed]).toEqual([0]);
  });

  it('finishes publishing after a crash between record and files', async () => {
    const ledger = await openLedger(out, identity);
    await ledger.beginUnit(0);
    const path = 'dropped/part-00000.parquet';
    writeFileSync(ledger.pendingPath(0, path), 'hi');
    // What a crash right after the record was linked leaves behind.
    const [attempt] = readdirSync(join(out, '_gristmill/tmp')).map((name) => name.split('.')[1]);
    const made = JSON.stringify({ ...record(0, path), attempt });
    writeFileSync(join(out, '_gristmill/units/00000.json'), made);
    ledger.close();
    (await openLedger(out, identity)).close();
    expect(readFileSync(join(out, path), 'utf8')).toBe('hi');
  });

  it('throws units in flight away', async () => {
    const ledger = await openLedger(out, identity);
    await ledger.beginUnit(1);
    writeFileSync(ledger.pendingPath(1, 'part-00001.parquet'), 'half');
    ledger.close();
    (await openLedger(out, identity)).close();
    expect(existsSync(ledger.pendingPath(1, 'part-00001.parquet'))).toBe(false);
    expect(existsSync(join(out, 'part-00001.parquet'))).toBe(false);
  });

  it('refuses a unit that loses a row', async () => {
    const ledger = await openLedger(out, identity);
    await ledger.beginUnit(0);
    const lossy = { ...record(0, 'p'), counts: { ...ZERO_COUNTS, rowsIn: 3, kept: 2 } };
    expect(await codeOf(() => ledger.commitUnit(lossy))).toBe('RUN_CONSERVATION');
    ledger.close();
  });

  it('refuses another run, naming what changed', async () => {
    const ledger = await openLedger(out, identity);
    await ledger.beginUnit(0);
    writeFileSync(ledger.pendingPath(0, 'part-00000.parquet'), 'hi');
    await ledger.commitUnit(record(0, 'part-00000.parquet'));
    ledger.close();
    const changed = { ...identity, options: { ...identity.options, executor: 'compat' } };
    await expect(openLedger(out, changed)).rejects.toThrow(
      /options\.executor: "strict" -> "compat"/,
    );
    // A refused run leaves the lease free.
    (await openLedger(out, identity)).close();
  });

  // Was: a run that failed for its device left run.json, and the same folder was refused with another device.
  it('lets other settings take a folder in which nothing was done', async () => {
    (await openLedger(out, identity)).close();
    const changed = { ...identity, options: { ...identity.options, executor: 'compat' } };
    (await openLedger(out, changed)).close();
    const kept = JSON.parse(readFileSync(join(out, '_gristmill/run.json'), 'utf8'));
    expect(kept.options.executor).toBe('compat');
  });

  it('refuses a folder with files of somebody else', async () => {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'thesis.txt'), 'mine');
    expect(await codeOf(() => openLedger(out, identity))).toBe('RUN_OUTPUT_FOREIGN');
  });

  it('is held by one process at a time', async () => {
    const ledger = await openLedger(out, identity);
    expect(await codeOf(() => openLedger(out, identity))).toBe('RUN_OUTPUT_IN_USE');
    ledger.close();
    expect(existsSync(join(out, '_gristmill/lock'))).toBe(false);
    (await openLedger(out, identity)).close();
  });

  // Was: a stopped process that had lost its lock wrote on, into the folder of the one that had taken it over.
  it('commits and begins nothing for a holder that lost its lease', async () => {
    const ledger = await openLedger(out, identity);
    await ledger.beginUnit(0);
    writeFileSync(ledger.pendingPath(0, 'part-00000.parquet'), 'hi');
    writeFileSync(join(out, '_gristmill/lock'), '{"pid":1,"host":"other","token":"t"}');
    expect(await codeOf(() => ledger.beginUnit(1))).toBe('RUN_LEASE_LOST');
    expect(await codeOf(() => ledger.commitUnit(record(0, 'part-00000.parquet')))).toBe(
      'RUN_LEASE_LOST',
    );
    expect(ledger.explain(new Error('ENOENT'))).toMatchObject({ code: 'RUN_LEASE_LOST' });
    ledger.close();
    // It is the other's, and stays.
    expect(existsSync(join(out, '_gristmill/lock'))).toBe(true);
  });

  // Was: only a file that was gone was seen, and the folder was refused for ever.
  it.each(['gone', 'cut'])('does a unit again whose file is %s', async (how) => {
    const ledger = await openLedger(out, identity);
    for (const unit of [0, 1]) {
      await ledger.beginUnit(unit);
      const path = `part-0000${unit}.parquet`;
      writeFileSync(ledger.pendingPath(unit, path), 'hi');
      await ledger.commitUnit(record(unit, path));
    }
    ledger.close();
    const file = join(out, 'part-00000.parquet');
    if (how === 'gone') rmSync(file);
    else writeFileSync(file, 'h');
    const notices: string[] = [];
    const again = await openLedger(out, identity, { onNotice: (line) => notices.push(line) });
    expect([...again.committed]).toEqual([1]);
    expect(notices.join()).toContain('part-00000.parquet is not as it was written: unit 0');
    again.close();
  });

  // Was: the unit was told as done where files had gone while it was committed, and as nobody's, to nobody, where the record
  // of another was removed for that: a worker of a queue waited for the end of such a unit for ever.
  it.each(['own', 'another'])(
    'says that a unit is undone whose files are not those of its record, %s',
    async (whose) => {
      const member = { name: 'me', units: [], mayBegin: true };
      const ledger = await openLedger(out, identity, { member });
      const path = 'part-00000.parquet';
      const object = join(out, '_gristmill/units/00000.json');
      await ledger.beginUnit(0);
      writeFileSync(ledger.pendingPath(0, path), whose === 'own' ? 'h' : 'hi');
      if (whose === 'another') {
        writeFileSync(object, JSON.stringify({ ...record(0, path), attempt: 'other-00000000' }));
      }
      await expect(ledger.commitUnit(record(0, path))).rejects.toMatchObject({
        code: 'RUN_UNIT_UNDONE',
        details: { unit: '00000' },
      });
      expect([existsSync(object), await ledger.isCommitted(0)]).toEqual([false, false]);
      await ledger.abandonUnit(0);
      await ledger.beginUnit(0);
      writeFileSync(ledger.pendingPath(0, path), 'hi');
      expect(await ledger.commitUnit(record(0, path))).toBe(true);
      await ledger.close();
    },
  );

  // Was: a record that parsed was believed.
  it.each([
    ['another unit', { unit: 1 }],
    ['a unit beyond the plan', { unit: 7 }],
    ['rows that do not add up', { counts: { ...ZERO_COUNTS, rowsIn: 5, kept: 1 } }],
    ['a file outside of the folder', { files: [{ path: '../x', rows: 1, bytes: 2, sha256: 'x' }] }],
    [
      'a file of other rows',
      { files: [{ path: 'part-00000.parquet', rows: 9, bytes: 2, sha256: 'x' }] },
    ],
    ['another input', { input: 'else.parquet' }],
    ['too many rows', { counts: { ...ZERO_COUNTS, rowsIn: 9, kept: 9 }, files: [] }],
    ['no counts', { counts: null }],
  ])('refuses a record of %s', async (_, change) => {
    (await openLedger(out, identity)).close();
    const file = join(out, '_gristmill/units/00000.json');
    const made = { ...record(0, 'part-00000.parquet'), ...change };
    writeFileSync(file, JSON.stringify(made));
    writeFileSync(join(out, 'part-00000.parquet'), 'hi');
    const plannedOf = () => ({ input: 'in.parquet', nRows: 3 });
    await expect(openLedger(out, identity, { plannedOf })).rejects.toMatchObject({
      code: 'RUN_LEDGER_INVALID',
      details: { file },
    });
  });

  it('codes an output that cannot be written', async () => {
    expect(await codeOf(() => openLedger('/dev/null/out', identity))).toBe('RUN_OUTPUT_FAILED');
  });
});

describe('compareIdentity', () => {
  it('ignores where a model lies and sees what it holds', async () => {
    const model = { path: 'b.gguf', bytes: 1, sha256: 'aa' };
    const moved = { ...identity, models: { ...identity.models, document: model } };
    expect(compareIdentity(identity, moved)).toEqual([]);
    const other = { ...identity, models: { document: { ...model, sha256: 'bb' }, chunk: null } };
    expect(compareIdentity(identity, other)).toEqual(['models.document.sha256: "aa" -> "bb"']);
  });

  it('names new and changed inputs by their path', async () => {
    const inputs = [{ path: 'in.parquet', bytes: 4, fingerprint: 'g' }];
    expect(compareIdentity(identity, { ...identity, inputs }).join()).toContain(
      'inputs.in.parquet.bytes: 3 -> 4',
    );
  });
});

describe('addCounts', () => {
  it('adds numbers and reasons', async () => {
    const first = { ...ZERO_COUNTS, rowsIn: 2, reasons: { b: 1, a: 1 } };
    const sum = addCounts(first, { ...first, reasons: { c: 2, a: 1 } });
    expect(sum.rowsIn).toBe(4);
    expect(Object.entries(sum.reasons)).toEqual([
      ['a', 2],
      ['b', 1],
      ['c', 2],
    ]);
  });
});
