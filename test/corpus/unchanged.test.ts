import { copyFileSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { planCorpus } from '../../src/corpus/plan.ts';
import { checkUnchanged } from '../../src/corpus/unchanged.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-unchanged-'));
const file = join(folder, 'a.jsonl');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => writeFileSync(file, '{"text":"one"}\n'));

const planned = async (fullHash = false) =>
  (await planCorpus({ inputs: [file], fullHash })).files[0]!;
const changed = (reason: RegExp) =>
  expect.objectContaining({ code: 'CORPUS_CHANGED', message: expect.stringMatching(reason) });

describe('checkUnchanged', () => {
  it('takes what was planned, and what replaced it with the same bytes and time', async () => {
    const source = await planned();
    await checkUnchanged(source);
    const { atime, mtime } = statSync(file);
    copyFileSync(file, `${file}.new`);
    rmSync(file);
    copyFileSync(`${file}.new`, file);
    utimesSync(file, atime, mtime);
    await checkUnchanged(source);
  });

  it('names what is longer, other, touched or gone', async () => {
    const source = await planned();
    writeFileSync(file, '{"text":"longer"}\n');
    await expect(checkUnchanged(source)).rejects.toEqual(changed(/18 bytes, 15 were planned/));
    const { atime, mtime } = statSync(file);
    writeFileSync(file, '{"text":"two"}\n');
    await expect(checkUnchanged(source)).rejects.toEqual(changed(/written or replaced/));
    const again = await planned();
    await checkUnchanged(again);
    // The same size and the same time: the bytes tell.
    writeFileSync(file, '{"text":"six"}\n');
    utimesSync(file, atime, mtime);
    await expect(checkUnchanged(again)).rejects.toEqual(changed(/written or replaced/));
    rmSync(file);
    await expect(checkUnchanged(again)).rejects.toEqual(changed(/it is gone/));
  });

  it('a plan of whole hashes may come from elsewhere, and holds from the first look on', async () => {
    const source = await planned(true);
    utimesSync(file, 5, 5);
    await checkUnchanged(source);
    utimesSync(file, 6, 6);
    await checkUnchanged(source);
    writeFileSync(file, '{"text":"two"}\n');
    await expect(checkUnchanged(source)).rejects.toEqual(changed(/written or replaced/));
  });
});
