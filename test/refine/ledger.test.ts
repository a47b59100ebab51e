import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isGristmillError } from '../../src/errors.ts';
import { openLedger, pendingPath, type UnitRecord } from '../../src/refine/ledger.ts';
import { compareIdentity, type RunIdentity } from '../../src/refine/run-identity.ts';
import { addCounts, ZERO_COUNTS } from '../../src/refine/statistics.ts';

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
  counts: { ...ZERO_COUNTS, rowsIn: rows, kept: rows },
  files: [{ path, rows, bytes: 2, sha256: 'x' }],
  seconds: 1,
});

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (isGristmillError(error)) return error.code;
    throw error;
  }
  return 'none';
};

describe('openLedger', () => {
  it('publishes the files of a unit only with its record', () => {
    const ledger = openLedger(out, identity);
    ledger.beginUnit(0);
    const path = 'part-00000.parquet';
    writeFileSync(pendingPath(out, 0, path), 'hi');
    expect(existsSync(join(out, path))).toBe(false);
    ledger.commitUnit(record(0, path));
    expect(readFileSync(join(out, path), 'utf8')).toBe('hi');
    expect(existsSync(pendingPath(out, 0, path))).toBe(false);
    ledger.close();
    expect([...openLedger(out, identity).committed.keys()]).toEqual([0]);
  });

  it('finishes publishing after a crash between record and files', () => {
    const ledger = openLedger(out, identity);
    ledger.beginUnit(0);
    const path = 'dropped/part-00000.parquet';
    writeFileSync(pendingPath(out, 0, path), 'hi');
    // What a crash right after the record's rename leaves behind.
    writeFileSync(join(out, '_gristmill/units/00000.json'), JSON.stringify(record(0, path)));
    ledger.close();
    openLedger(out, identity).close();
    expect(readFileSync(join(out, path), 'utf8')).toBe('hi');
  });

  it('throws units in flight away', () => {
    const ledger = openLedger(out, identity);
    ledger.beginUnit(1);
    writeFileSync(pendingPath(out, 1, 'part-00001.parquet'), 'half');
    ledger.close();
    openLedger(out, identity).close();
    expect(existsSync(pendingPath(out, 1, 'part-00001.parquet'))).toBe(false);
    expect(existsSync(join(out, 'part-00001.parquet'))).toBe(false);
  });

  it('refuses a unit that loses a row', () => {
    const ledger = openLedger(out, identity);
    ledger.beginUnit(0);
    const lossy = { ...record(0, 'p'), counts: { ...ZERO_COUNTS, rowsIn: 3, kept: 2 } };
    expect(codeOf(() => ledger.commitUnit(lossy))).toBe('RUN_CONSERVATION');
    ledger.close();
  });

  it('refuses another run, naming what changed', () => {
    openLedger(out, identity).close();
    const changed = { ...identity, options: { ...identity.options, executor: 'compat' } };
    expect(() => openLedger(out, changed)).toThrow(/options\.executor: "strict" -> "compat"/);
    // A refused run leaves the lock free.
    openLedger(out, identity).close();
  });

  it('refuses a folder with files of somebody else', () => {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'thesis.txt'), 'mine');
    expect(codeOf(() => openLedger(out, identity))).toBe('RUN_OUTPUT_FOREIGN');
  });

  it('is held by one process at a time, and freed by a dead one', () => {
    const ledger = openLedger(out, identity);
    expect(codeOf(() => openLedger(out, identity))).toBe('RUN_OUTPUT_IN_USE');
    ledger.close();
    const lock = join(out, '_gristmill/lock');
    // No process has this id: Linux's largest is 2^22.
    writeFileSync(lock, JSON.stringify({ pid: 2 ** 30, host: hostname() }));
    openLedger(out, identity).close();
    writeFileSync(lock, JSON.stringify({ pid: 2 ** 30, host: 'another-host' }));
    expect(codeOf(() => openLedger(out, identity))).toBe('RUN_OUTPUT_IN_USE');
    writeFileSync(lock, '');
    openLedger(out, identity).close();
  });

  it('says so when a committed file is gone', () => {
    const ledger = openLedger(out, identity);
    ledger.beginUnit(0);
    writeFileSync(pendingPath(out, 0, 'p.parquet'), 'hi');
    ledger.commitUnit(record(0, 'p.parquet'));
    ledger.close();
    rmSync(join(out, 'p.parquet'));
    expect(codeOf(() => openLedger(out, identity))).toBe('RUN_LEDGER_INVALID');
  });

  it('codes an output that cannot be written', () => {
    expect(codeOf(() => openLedger('/dev/null/out', identity))).toBe('RUN_OUTPUT_FAILED');
  });
});

describe('compareIdentity', () => {
  it('ignores where a model lies and sees what it holds', () => {
    const model = { path: 'b.gguf', bytes: 1, sha256: 'aa' };
    const moved = { ...identity, models: { ...identity.models, document: model } };
    expect(compareIdentity(identity, moved)).toEqual([]);
    const other = { ...identity, models: { document: { ...model, sha256: 'bb' }, chunk: null } };
    expect(compareIdentity(identity, other)).toEqual(['models.document.sha256: "aa" -> "bb"']);
  });

  it('names new and changed inputs by their path', () => {
    const inputs = [{ path: 'in.parquet', bytes: 4, fingerprint: 'g' }];
    expect(compareIdentity(identity, { ...identity, inputs }).join()).toContain(
      'inputs.in.parquet.bytes: 3 -> 4',
    );
  });
});

describe('addCounts', () => {
  it('adds numbers and reasons', () => {
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
