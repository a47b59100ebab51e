/**
 * Files and folders that survive a crash: written under another name, synced, renamed (who may write: work/lease.ts).
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { GristmillError, isGristmillError } from './errors.ts';
import { localPath, makeFolder } from './local-path.ts';
import { PendingFile } from './pending-file.ts';

export { syncFolder } from './pending-file.ts';

/** Reads a JSON file of a ledger. @throws RUN_LEDGER_INVALID */
export function readLedgerJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason }, { cause });
  }
  return parseLedgerJson(file, text);
}

/** The value of a JSON file of a ledger that has been read. @throws RUN_LEDGER_INVALID */
export function parseLedgerJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason }, { cause });
  }
}

/**
 * Writes a file whole or not at all; it is on the disk when this returns. See pending-file.ts for links and devices.
 *
 * @param content text, bytes, or pieces of text one after the other
 */
export function writeDurably(file: string, content: string | Uint8Array | Iterable<string>): void {
  localPath(file, 'output');
  const pending = new PendingFile(file);
  try {
    const isWhole = typeof content === 'string' || content instanceof Uint8Array;
    for (const piece of isWhole ? [content] : content) pending.write(piece);
    pending.commit();
  } catch (error) {
    pending.discard();
    throw error;
  }
}

/**
 * The same for a result that somebody asked for: its folder is made where it is missing, a failure has the room's code.
 *
 * @throws `code`
 */
export function writeResultAs(
  code: 'MIXTURE_WRITE_FAILED' | 'CONTINUAL_WRITE_FAILED' | 'REPORT_WRITE_FAILED',
  path: string,
  content: string | Uint8Array | Iterable<string>,
): void {
  try {
    makeFolder(dirname(path));
    writeDurably(path, content);
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    throw new GristmillError(code, { path, reason: (cause as Error).message }, { cause });
  }
}
