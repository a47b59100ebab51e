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
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EXPORT_RECORD, writeExportFolder } from '../../src/interop/export-folder.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'gristmill-export-folder-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const files = [
  { name: 'schedule.yml', text: 'a: 1\n' },
  { name: 'blend.yml', text: 'b: 2\n' },
];

describe('writeExportFolder', () => {
  it('writes a folder and replaces its own', async () => {
    const folder = join(root, 'deep', 'stage');
    await writeExportFolder(folder, files, { trainer: 'hf' });
    expect(readdirSync(folder).sort()).toEqual(['blend.yml', EXPORT_RECORD, 'schedule.yml']);
    expect(JSON.parse(readFileSync(join(folder, EXPORT_RECORD), 'utf8'))).toEqual({
      gristmill: 'export',
      trainer: 'hf',
      files: ['schedule.yml', 'blend.yml'],
    });
    await writeExportFolder(folder, files.slice(1), { trainer: 'hf' });
    expect(readdirSync(folder).sort()).toEqual(['blend.yml', EXPORT_RECORD]);
    expect(readdirSync(join(root, 'deep'))).toEqual(['stage']);
  });

  it('leaves alone what it has not written', async () => {
    const folder = join(root, 'stage');
    await writeExportFolder(folder, files, {});
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    await expect(writeExportFolder(folder, files, {})).rejects.toThrow(/notes\.txt/);
    const other = join(root, 'other');
    mkdirSync(other);
    await writeExportFolder(other, files, {});
    rmSync(other, { recursive: true });
    mkdirSync(other);
    writeFileSync(join(other, 'schedule.yml'), 'mine');
    await expect(writeExportFolder(other, files, {})).rejects.toThrow(
      /EXPORT_FOREIGN|schedule\.yml/,
    );
    expect(readFileSync(join(other, 'schedule.yml'), 'utf8')).toBe('mine');
    // A record of something else does not make its files ours.
    writeFileSync(join(other, EXPORT_RECORD), JSON.stringify({ files: ['schedule.yml'] }));
    await expect(writeExportFolder(other, files, {})).rejects.toThrow(/schedule\.yml/);
    const file = join(root, 'file');
    writeFileSync(file, 'mine');
    await expect(writeExportFolder(file, files, {})).rejects.toThrow(/a file/);
    expect(existsSync(join(root, '.file.gristmill-partial'))).toBe(false);
  });

  it('codes what cannot be written', async () => {
    writeFileSync(join(root, 'file'), '');
    await expect(writeExportFolder(join(root, 'file', 'stage'), files, {})).rejects.toEqual(
      expect.objectContaining({ code: 'EXPORT_WRITE_FAILED' }),
    );
  });

  // Two at once wrote into one partial folder, and one took away what the other had renamed.
  it('is written by one at a time', async () => {
    const folder = join(root, 'stage');
    const all = await Promise.allSettled(
      [1, 2, 3].map((run) => writeExportFolder(folder, files, { run })),
    );
    const refused = all.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeLessThan(3);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: 'RUN_OUTPUT_IN_USE' });
    }
    expect(readdirSync(folder).sort()).toEqual(['blend.yml', EXPORT_RECORD, 'schedule.yml']);
    expect(readdirSync(root)).toEqual(['stage']);
  });

  it('goes on where a kill left it: between taking the old one away and giving the new one its name', async () => {
    const folder = join(root, 'stage');
    await writeExportFolder(folder, files, {});
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    renameSync(folder, join(root, '.stage.gristmill-old'));
    mkdirSync(join(root, '.stage.gristmill-partial'));
    // The old one is there again, and judged as always.
    await expect(writeExportFolder(folder, files, {})).rejects.toMatchObject({
      code: 'EXPORT_FOREIGN',
    });
    rmSync(join(folder, 'notes.txt'));
    await writeExportFolder(folder, files.slice(1), {});
    expect(readdirSync(folder).sort()).toEqual(['blend.yml', EXPORT_RECORD]);
    expect(readdirSync(root)).toEqual(['stage']);
  });
});
