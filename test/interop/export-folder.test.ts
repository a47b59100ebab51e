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
  it('writes a folder and replaces its own', () => {
    const folder = join(root, 'deep', 'stage');
    writeExportFolder(folder, files, { trainer: 'hf' });
    expect(readdirSync(folder).sort()).toEqual(['blend.yml', EXPORT_RECORD, 'schedule.yml']);
    expect(JSON.parse(readFileSync(join(folder, EXPORT_RECORD), 'utf8'))).toEqual({
      gristmill: 'export',
      trainer: 'hf',
      files: ['schedule.yml', 'blend.yml'],
    });
    writeExportFolder(folder, files.slice(1), { trainer: 'hf' });
    expect(readdirSync(folder).sort()).toEqual(['blend.yml', EXPORT_RECORD]);
    expect(readdirSync(join(root, 'deep'))).toEqual(['stage']);
  });

  it('leaves alone what it has not written', () => {
    const folder = join(root, 'stage');
    writeExportFolder(folder, files, {});
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    expect(() => writeExportFolder(folder, files, {})).toThrow(/notes\.txt/);
    const other = join(root, 'other');
    mkdirSync(other);
    writeExportFolder(other, files, {});
    rmSync(other, { recursive: true });
    mkdirSync(other);
    writeFileSync(join(other, 'schedule.yml'), 'mine');
    expect(() => writeExportFolder(other, files, {})).toThrow(/EXPORT_FOREIGN|schedule\.yml/);
    expect(readFileSync(join(other, 'schedule.yml'), 'utf8')).toBe('mine');
    // A record of something else does not make its files ours.
    writeFileSync(join(other, EXPORT_RECORD), JSON.stringify({ files: ['schedule.yml'] }));
    expect(() => writeExportFolder(other, files, {})).toThrow(/schedule\.yml/);
    const file = join(root, 'file');
    writeFileSync(file, 'mine');
    expect(() => writeExportFolder(file, files, {})).toThrow(/a file/);
    expect(existsSync(join(root, '.file.gristmill-partial'))).toBe(false);
  });

  it('codes what cannot be written', () => {
    writeFileSync(join(root, 'file'), '');
    expect(() => writeExportFolder(join(root, 'file', 'stage'), files, {})).toThrow(
      expect.objectContaining({ code: 'EXPORT_WRITE_FAILED' }),
    );
  });
});
