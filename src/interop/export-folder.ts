/**
 * A folder of exported files, whole or not there. `export.json` names what is in it; a folder with anything else is left
 * alone.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { syncFolder, writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { withLease } from '../work/lease.ts';
import type { ExportFile } from './schedules/target.ts';

/** Name of the file that says what a folder holds. */
export const EXPORT_RECORD = 'export.json';

/**
 * Writes files into a folder of their own; one of an earlier export is replaced. One at a time writes a folder; what a
 * killed one left half done is put right by the next.
 *
 * @param record what export.json says beside the names of the files
 * @throws EXPORT_FOREIGN for a folder that holds anything else; RUN_OUTPUT_IN_USE, RUN_LEASE_LOST, EXPORT_WRITE_FAILED
 */
export async function writeExportFolder(
  folder: string,
  files: readonly ExportFile[],
  record: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [parent, name] = [dirname(folder), basename(folder)];
  const partial = join(parent, `.${name}.gristmill-partial`);
  const old = join(parent, `.${name}.gristmill-old`);
  const lock = join(parent, `.${name}.gristmill-lock`);
  await withLease(folder, lock, 'EXPORT_WRITE_FAILED', {}, (lease) => {
    if (!existsSync(folder) && existsSync(old)) renameSync(old, folder);
    checkExportFolder(folder);
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial);
    const names = files.map(({ name }) => name);
    const text = `${JSON.stringify({ gristmill: 'export', ...record, files: names }, null, 2)}\n`;
    for (const file of [...files, { name: EXPORT_RECORD, text }]) {
      writeDurably(join(partial, file.name), file.text);
    }
    syncFolder(partial);
    lease.check();
    rmSync(old, { recursive: true, force: true });
    if (existsSync(folder)) renameSync(folder, old);
    renameSync(partial, folder);
    syncFolder(parent);
    rmSync(old, { recursive: true, force: true });
  });
}

/**
 * Makes sure that a folder is not there, is empty, or holds an earlier export and nothing else.
 *
 * @throws EXPORT_FOREIGN naming what it is that would be lost
 */
export function checkExportFolder(folder: string): void {
  if (!existsSync(folder)) return;
  const foreign = (what: string): never => {
    throw new GristmillError('EXPORT_FOREIGN', { path: folder, what });
  };
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    foreign('a file');
  }
  if (names.length === 0) return;
  const own = new Set([EXPORT_RECORD, ...recordedFiles(join(folder, EXPORT_RECORD))]);
  const other = names.filter((name) => !own.has(name));
  if (other.length > 0) foreign(other.slice(0, 5).join(', '));
}

function recordedFiles(file: string): string[] {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as {
      gristmill?: unknown;
      files?: unknown;
    };
    if (record.gristmill !== 'export' || !Array.isArray(record.files)) return [];
    return record.files.filter((name) => typeof name === 'string');
  } catch {
    return [];
  }
}
