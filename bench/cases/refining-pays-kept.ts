/**
 * Results of long work, kept so that a run that was cut goes on where it stood.
 *
 * A result lies under a key, the SHA-256 of everything that it depends on but the code: texts, options, seeds. Who starts
 * again with the same options gets it back; whatever else is asked for is made anew. A line is a result; half a line,
 * which a cut may leave behind, is taken off before anything is added.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';

/** The key of what depends on `parts`; objects by their JSON. */
export function keyOf(...parts: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = part instanceof Uint8Array ? part : Buffer.from(JSON.stringify(part));
    hash.update(`${bytes.length} `).update(bytes);
  }
  return hash.digest('hex').slice(0, 24);
}

/** See the file's header. */
export class KeptResults<Result> {
  readonly #file: string;
  readonly #results = new Map<string, Result>();

  /** @param file made with its folder when it is not there */
  constructor(file: string) {
    this.#file = file;
    mkdirSync(dirname(file), { recursive: true });
    if (!existsSync(file)) return;
    const bytes = readFileSync(file);
    const whole = bytes.lastIndexOf('\n') + 1;
    if (whole < bytes.length) truncateSync(file, whole);
    for (const line of bytes.toString('utf8', 0, whole).split('\n')) {
      if (line === '') continue;
      const { key, result } = JSON.parse(line) as { readonly key: string; readonly result: Result };
      this.#results.set(key, result);
    }
  }

  find(key: string): Result | undefined {
    return this.#results.get(key);
  }

  add(key: string, result: Result): void {
    this.#results.set(key, result);
    appendFileSync(this.#file, `${JSON.stringify({ key, result })}\n`);
  }
}
