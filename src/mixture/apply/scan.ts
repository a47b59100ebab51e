/**
 * The first two passes over the sources: sizes of all documents, then the texts of the chosen ones into a spool.
 *
 * A mixed corpus takes documents in random order, which column files cannot give. The chosen ones are therefore copied
 * once, in the order of the sources, into one file that is read by position.
 */
import { closeSync, readSync } from 'node:fs';
import { GristmillError } from '../../errors.ts';
import { native } from '../../native/index.ts';
import type { NativeTokenizer } from '../../native/tokenizer.ts';
import { createFresh, writeWholly } from '../../pending-file.ts';
import { type PlannedSource, readDomainTexts } from '../../tokens/sources.ts';

/** Sizes of the documents of a domain, in the order of the sources. */
export interface ScannedDomain {
  readonly name: string;
  readonly chars: number[];
  /** Empty without a tokenizer; ends of documents are not counted. */
  readonly tokens: number[];
}

/** Measures every document. @returns domains sorted by name @throws CORPUS_*, TRAIN_SOURCES_INVALID, ABORTED */
export async function scanDomains(
  planned: readonly PlannedSource[],
  tokenizer: NativeTokenizer | null,
  signal?: AbortSignal,
): Promise<{ readonly domains: readonly ScannedDomain[]; readonly nSkipped: number }> {
  const found = new Map<string, ScannedDomain>();
  const names = new Set<string>();
  let nSkipped = 0;
  for (const { source } of planned) {
    // Named ones are there without a document too: what is said of them is that they have none.
    if ('name' in source) found.set(source.name, { name: source.name, chars: [], tokens: [] });
  }
  for (const source of planned) {
    for await (const { text, domains } of readDomainTexts(source, names, signal)) {
      const chars = new Int32Array(domains.length);
      native().countCodePoints(text.data, text.offsets, chars);
      const starts = tokenizer ? (await tokenizer.encode(text)).starts : null;
      for (const [row, name] of domains.entries()) {
        if (name === null) {
          nSkipped++;
          continue;
        }
        let domain = found.get(name);
        if (!domain) {
          domain = { name, chars: [], tokens: [] };
          found.set(name, domain);
        }
        domain.chars.push(chars[row]!);
        if (starts) domain.tokens.push(starts[row + 1]! - starts[row]!);
      }
    }
  }
  const domains = [...found.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  return { domains, nSkipped };
}

/** Texts of chosen documents. */
export class Spool {
  readonly #file: number;
  readonly #offsets: readonly Float64Array[];
  readonly #lengths: readonly Uint32Array[];

  private constructor(
    file: number,
    offsets: readonly Float64Array[],
    lengths: readonly Uint32Array[],
  ) {
    this.#file = file;
    this.#offsets = offsets;
    this.#lengths = lengths;
  }

  /**
   * Copies the chosen documents into `path`.
   *
   * @param chosen for every domain 1 for each document that is wanted
   * @throws CORPUS_*, TRAIN_SOURCES_INVALID when the sources are not what was scanned, ABORTED
   */
  static async fill(
    path: string,
    planned: readonly PlannedSource[],
    domains: readonly string[],
    chosen: readonly Uint8Array[],
    signal?: AbortSignal,
  ): Promise<Spool> {
    const indexOf = new Map(domains.map((name, domain) => [name, domain]));
    const offsets = chosen.map((flags) => new Float64Array(flags.length));
    const lengths = chosen.map((flags) => new Uint32Array(flags.length));
    const seen = new Uint32Array(domains.length);
    const names = new Set<string>();
    const file = createFresh(path);
    let end = 0;
    try {
      for (const source of planned) {
        for await (const { text, domains: rows } of readDomainTexts(source, names, signal)) {
          for (const [row, name] of rows.entries()) {
            const domain = name === null ? undefined : indexOf.get(name);
            if (domain === undefined) continue;
            const doc = seen[domain]!++;
            if (chosen[domain]![doc] !== 1) continue;
            const bytes = text.data.subarray(text.offsets[row], text.offsets[row + 1]);
            offsets[domain]![doc] = end;
            lengths[domain]![doc] = bytes.length;
            writeWholly(file, bytes);
            end += bytes.length;
          }
        }
      }
      for (const [domain, nSeen] of seen.entries()) {
        if (nSeen === chosen[domain]!.length) continue;
        const reason = `domain ${domains[domain]}: ${chosen[domain]!.length} documents, then ${nSeen}`;
        throw new GristmillError('TRAIN_SOURCES_INVALID', { file: 'changed while read', reason });
      }
      return new Spool(file, offsets, lengths);
    } catch (error) {
      closeSync(file);
      throw error;
    }
  }

  /** The text of a chosen document. */
  read(domain: number, doc: number): Uint8Array {
    const bytes = new Uint8Array(this.#lengths[domain]![doc]!);
    const offset = this.#offsets[domain]![doc]!;
    let done = 0;
    while (done < bytes.length) {
      const nRead = readSync(this.#file, bytes, done, bytes.length - done, offset + done);
      if (nRead === 0) throw new Error('the spool is cut short');
      done += nRead;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
