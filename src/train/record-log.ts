/**
 * What was measured during a run, a JSON line for every record: appended to as the run goes, and cut back to the step of
 * the checkpoint when it is resumed, so that an interrupted run leaves the same bytes as one that was not.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';

/** What the file holds up to a moment, to be kept in a checkpoint: damage of it is noticed by that. */
export interface RecordMark {
  readonly bytes: number;
  readonly sha256: string;
}

/** See the file's header. */
export class RecordLog<Entry extends { readonly step: number }> {
  readonly file: string;
  #records: Entry[] = [];
  #bytes = 0;
  #hash = createHash('sha256');

  constructor(file: string) {
    this.file = file;
  }

  get records(): readonly Entry[] {
    return this.#records;
  }

  /**
   * Reads the records up to a step, all of them or none for 0; those behind it are made again.
   *
   * @param mark of the checkpoint that the run goes on from
   * @throws RUN_LEDGER_INVALID when the file does not hold what it held then
   */
  resumeAt(step: number, mark: RecordMark | null = null): void {
    const text = mark === null ? this.#read() : this.#readMarked(mark, step);
    this.#records = step === 0 ? [] : recordsOf<Entry>(text).filter((one) => one.step <= step);
    const kept = this.#records.map((one) => `${JSON.stringify(one)}\n`).join('');
    this.#bytes = 0;
    this.#hash = createHash('sha256');
    this.#count(kept);
    writeWhole(this.file, kept);
  }

  add(record: Entry): void {
    const line = `${JSON.stringify(record)}\n`;
    this.#records.push(record);
    this.#count(line);
    appendFileSync(this.file, line);
  }

  mark(): RecordMark {
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest('hex') };
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

  #count(text: string): void {
    this.#bytes += Buffer.byteLength(text);
    this.#hash.update(text);
  }

  #read(): Buffer {
    return existsSync(this.file) ? readFileSync(this.file) : Buffer.alloc(0);
  }

  #readMarked({ bytes, sha256 }: RecordMark, step: number): Buffer {
    const held = this.#read().subarray(0, bytes);
    if (createHash('sha256').update(held).digest('hex') === sha256) return held;
    throw new GristmillError('RUN_LEDGER_INVALID', {
      file: this.file,
      reason: `it was changed since the checkpoint of step ${step}; put it back, or remove the checkpoint to begin anew`,
    });
  }
}

/** The mark in the state of a checkpoint; null for one without. */
export function markIn(state: string): RecordMark | null {
  try {
    const { records } = JSON.parse(state) as { readonly records?: RecordMark };
    return records && Number.isSafeInteger(records.bytes) ? records : null;
  } catch {
    return null;
  }
}

function recordsOf<Entry>(text: Buffer): Entry[] {
  return text
    .toString('utf8')
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
