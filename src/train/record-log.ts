/**
 * What was measured during a run, a JSON line for every record: appended to as the run goes, and cut back to the step of
 * the checkpoint when it is resumed, so that an interrupted run leaves the same bytes as one that was not.
 */
import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { writeDurably } from '../durable-files.ts';

/** See the file's header. */
export class RecordLog<Entry extends { readonly step: number }> {
  readonly file: string;
  #records: Entry[] = [];

  constructor(file: string) {
    this.file = file;
  }

  get records(): readonly Entry[] {
    return this.#records;
  }

  /** Reads the records up to a step, all of them or none for 0; those behind it are made again. */
  resumeAt(step: number): void {
    this.#records =
      step === 0 ? [] : readRecords<Entry>(this.file).filter((one) => one.step <= step);
    writeWhole(this.file, this.#records.map((one) => `${JSON.stringify(one)}\n`).join(''));
  }

  add(record: Entry): void {
    this.#records.push(record);
    appendFileSync(this.file, `${JSON.stringify(record)}\n`);
  }

  /** The records are on the disk when this returns: to be called before a checkpoint that relies on them. */
  sync(): void {
    const handle = openSync(this.file, 'r+');
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }
}

function readRecords<Entry>(file: string): Entry[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      // A crash may leave half a line at the end.
      try {
        return line === '' ? [] : [JSON.parse(line) as Entry];
      } catch {
        return [];
      }
    });
}

/** Writes a file whole or not at all. */
export function writeWhole(file: string, text: string): void {
  writeDurably(file, text);
}
