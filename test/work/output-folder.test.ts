import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { outputFolder, REFINE_LAYOUT, recordName } from '../../src/work/output-folder.ts';
import type { Attempt } from '../../src/work/output-store.ts';

let out: string;
beforeEach(() => {
  out = join(mkdtempSync(join(tmpdir(), 'gristmill-output-')), 'out');
});
afterEach(() => rmSync(dirname(out), { recursive: true, force: true }));

const PATH = 'dropped/part-00003.parquet';
const first: Attempt = { unit: '00003', name: 'a-1' };
const second: Attempt = { unit: '00003', name: 'b-2' };
const recordOf = ({ name }: Attempt): string => JSON.stringify({ unit: 3, attempt: name });

/** Begins attempts and writes a file of each that holds the attempt's name. */
async function begun(...attempts: readonly Attempt[]) {
  const store = outputFolder(out);
  for (const attempt of attempts) {
    await store.begin(attempt);
    writeFileSync(store.pathOf(attempt, PATH), attempt.name);
  }
  return store;
}
const files = [{ path: PATH, bytes: 3 }];

describe('outputFolder', () => {
  it('lets exactly one of two attempts at a unit commit, and publishes its files', async () => {
    const store = await begun(first, second);
    expect(await store.commit(second, recordName(REFINE_LAYOUT, '00003'), recordOf(second))).toBe(
      true,
    );
    expect(await store.commit(first, recordName(REFINE_LAYOUT, '00003'), recordOf(first))).toBe(
      false,
    );
    expect(await store.publish(second, files)).toBeNull();
    await store.discard(first);
    expect(readFileSync(join(out, PATH), 'utf8')).toBe('b-2');
    expect(await store.attempts()).toEqual([]);
    expect(readdirSync(join(out, '_gristmill/tmp'))).toEqual([]);
    expect(await store.read(recordName(REFINE_LAYOUT, '00003'))).toBe(recordOf(second));
  });

  it('does not let an attempt commit that was discarded, whenever its process wakes up', async () => {
    const store = await begun(first);
    await store.discard(first);
    await expect(
      store.commit(first, recordName(REFINE_LAYOUT, '00003'), recordOf(first)),
    ).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(await store.read(recordName(REFINE_LAYOUT, '00003'))).toBeNull();
  });

  it('tells a discarded attempt that another has won', async () => {
    const store = await begun(first, second);
    await store.commit(second, recordName(REFINE_LAYOUT, '00003'), recordOf(second));
    await store.discard(first);
    expect(await store.commit(first, recordName(REFINE_LAYOUT, '00003'), recordOf(first))).toBe(
      false,
    );
  });

  it('does not discard an attempt that has committed', async () => {
    const store = await begun(first);
    await store.commit(first, recordName(REFINE_LAYOUT, '00003'), recordOf(first));
    await store.discard(first);
    expect(await store.publish(first, files)).toBeNull();
    expect(readFileSync(join(out, PATH), 'utf8')).toBe('a-1');
  });

  it('waits for files that another has just taken away and will put back', async () => {
    const store = await begun(first);
    await store.commit(first, recordName(REFINE_LAYOUT, '00003'), recordOf(first));
    const tmp = join(out, '_gristmill/tmp');
    // What stands there while somebody else discards, and has not looked again.
    renameSync(join(tmp, '00003.a-1'), join(tmp, '.gone.00003.a-1.0123abcd'));
    const publishing = store.publish(first, files);
    setTimeout(() => {
      renameSync(join(tmp, '.gone.00003.a-1.0123abcd'), join(tmp, '00003.a-1'));
    }, 40);
    expect(await publishing).toBeNull();
  });

  it('names a file that was cut or is gone', async () => {
    const store = await begun(first);
    await store.commit(first, recordName(REFINE_LAYOUT, '00003'), recordOf(first));
    await store.publish(first, files);
    writeFileSync(join(out, PATH), 'x');
    expect(await store.publish(first, files)).toBe(PATH);
    rmSync(join(out, PATH));
    expect(await store.publish(first, files)).toBe(PATH);
  });

  it('creates an object once, replaces and removes it', async () => {
    const store = outputFolder(out);
    expect(await store.create('run.json', 'one')).toBe(true);
    expect(await store.create('run.json', 'two')).toBe(false);
    // A network file system does it, loses its answer and tries again.
    expect(await store.create('run.json', 'one')).toBe(true);
    expect(await store.read('run.json')).toBe('one');
    await store.replace('workers/a.json', 'b');
    expect(await store.list('workers')).toEqual(['a.json']);
    await store.remove('workers/a.json');
    await store.remove('workers/a.json');
    expect(await store.list('workers')).toEqual([]);
    expect(await store.list('nothing')).toEqual([]);
  });

  it('removes an object by its content, and puts back what has taken its place', async () => {
    const store = outputFolder(out);
    await store.create('units/a.json', 'one');
    expect(await store.removeIf('units/a.json', 'other')).toBe(false);
    expect(await store.read('units/a.json')).toBe('one');
    expect(await store.removeIf('units/a.json', 'one')).toBe(true);
    expect(await store.read('units/a.json')).toBeNull();
    expect(await store.removeIf('units/a.json', 'one')).toBe(false);
    expect(readdirSync(join(out, '_gristmill/tmp'))).toEqual([]);
  });

  it('lists files of units and nothing else', async () => {
    const store = outputFolder(out);
    for (const path of ['part-00001.parquet', PATH, 'rejected/part-100000.jsonl.zst', 'note.txt']) {
      mkdirSync(dirname(join(out, path)), { recursive: true });
      writeFileSync(join(out, path), '');
    }
    const found: string[] = [];
    for await (const path of store.publicFiles()) found.push(path);
    expect(found.sort()).toEqual([PATH, 'part-00001.parquet', 'rejected/part-100000.jsonl.zst']);
    expect(await store.hasPublicFiles()).toBe(true);
    await store.removePublic(PATH);
    expect(existsSync(join(out, PATH))).toBe(false);
  });
});
