/**
 * Reads the wide set: good documents of many kinds that refiners must leave alone, and bad ones
 * that they may drop. What the fields mean is in README.md beside this file. For testing only.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A document that is bad as a whole. */
export interface BadDocument {
  readonly id: string;
  readonly kind: string;
  /** Two-letter code. */
  readonly language: string;
  readonly text: string;
}

/** A good document. */
export interface WideDocument extends BadDocument {
  /** Lines (0-based, split at LF) that may be removed without harm. */
  readonly removable: readonly number[];
}

const BAD_FILE = 'bad.jsonl';

/** The good documents, kinds in alphabetical order. */
export function readWideSet(): WideDocument[] {
  return readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.jsonl') && name !== BAD_FILE)
    .sort()
    .flatMap((name) => readLines<WideDocument>(name));
}

/** The bad documents. */
export function readBadDocuments(): BadDocument[] {
  return readLines<BadDocument>(BAD_FILE);
}

function readLines<Row>(name: string): Row[] {
  return readFileSync(join(import.meta.dirname, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}
