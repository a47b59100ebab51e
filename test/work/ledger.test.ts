/**
 * Records that are found damaged. What the bug was: a worker that had read a record, and found its file cut, removed whatever lay
 * under the record's name by then: also the record of another worker that had removed the same one, done the unit again
 * and committed it, and whose unit then was nobody's.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { OutputFile } from '../../src/corpus/output-file.ts';
import { type FileRecord, fileKind } from '../../src/work/file-kind.ts';
import { openLedger, readRecord } from '../../src/work/ledger.ts';
import { outputStore } from '../../src/work/open-output.ts';
import { unitName } from '../../src/work/output-folder.ts';
import type { LedgerLayout, OutputStore } from '../../src/work/output-store.ts';
import { useBucket } from '../support/own-bucket.ts';
import { installS3Server, S3Server } from '../support/s3-server.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-ledger-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LAYOUT: LedgerLayout = {
  ...{ folder: '_ledger', records: 'units', runFile: 'run.json', results: [''] },
  resultName: /^part-/,
};
const pathOf = (unit: number): string => `part-${unitName(unit)}`;
const KIND = fileKind<FileRecord, { readonly format: 1 }>({
  ...{ command: 'count', layout: LAYOUT, pathOf },
  schema: z.object({
    ...{ unit: z.int(), attempt: z.string() },
    file: z.object({ path: z.string(), bytes: z.int() }),
  }),
});

async function write(path: string, text: string): Promise<void> {
  const file = await OutputFile.create({ path });
  await file.write(Buffer.from(text));
  await file.close();
}

/** Does unit 0 as a worker of that name. */
async function doUnit(store: OutputStore, name: string): Promise<void> {
  const ledger = await openLedger(store, KIND, { format: 1 }, { member: { name, units: [0] } });
  try {
    await ledger.beginUnit(0);
    await write(ledger.pendingPath(0, pathOf(0)), 'whole');
    const committed = await ledger.commitUnit({ unit: 0, file: { path: pathOf(0), bytes: 5 } });
    expect(committed).toBe(true);
  } finally {
    await ledger.close();
  }
}

async function race(out: string): Promise<void> {
  const store = await outputStore(out, LAYOUT);
  await doUnit(store, 'one');
  const damage = (): Promise<void> => write(`${out}/${pathOf(0)}`, 'cut');
  await damage();
  let nLooks = 0;
  /** Between the look of the reader and its removal another worker comes and does the unit again. */
  const late: OutputStore = {
    ...store,
    async publish(attempt, files) {
      const damaged = await store.publish(attempt, files);
      if (nLooks++ === 0) await doUnit(store, 'two');
      return damaged;
    },
  };
  const notices: string[] = [];
  const reader = { store: late, kind: KIND, onNotice: (line: string) => void notices.push(line) };
  const found = await readRecord(reader, unitName(0));
  expect(found?.attempt).toMatch(/^two-/);
  expect(notices).toEqual([]);
  expect(await store.read('units/00000.json')).toContain('"two-');
  // Where nobody comes in between it goes.
  await damage();
  expect(await readRecord(reader, unitName(0))).toBeNull();
  expect(notices.join()).toContain('part-00000 is not as it was written: unit 00000');
  expect(await store.read('units/00000.json')).toBeNull();
}

describe('a record whose file is damaged', () => {
  it('is removed from a folder, but never the one that has taken its place', () =>
    race(join(folder, 'out')));
});

describe.skipIf(missing !== null)('a record whose file is damaged, on a bucket', () => {
  const server = new S3Server();
  useBucket(server, 'ledger');

  it('is removed, but never the one that has taken its place', () => race('s3://ledger/out'));
});
