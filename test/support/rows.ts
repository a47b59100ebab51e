/** Rows of a folder that a run has written as JSON lines, in order. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { native } from '../../src/native/index.ts';

/** A row with the columns that every run adds. */
export interface WrittenRow {
  readonly [column: string]: unknown;
  readonly id?: string;
  readonly text?: string;
}

/** Kept, edited and failed rows; of `dropped` the others. */
export function readRows(folder: string): WrittenRow[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl.zst'))
    .sort()
    .flatMap((name) => decoded(join(folder, name)).split('\n'))
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as WrittenRow);
}

function decoded(path: string): string {
  const decoder = new (native().ZstdDecoder)();
  const from = readFileSync(path);
  const into = Buffer.alloc(1 << 20);
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const { read, written } = decoder.decode(from.subarray(at), into);
    if (read === 0 && written === 0) return Buffer.concat(parts).toString();
    parts.push(Buffer.from(into.subarray(0, written)));
    at += read;
  }
}
