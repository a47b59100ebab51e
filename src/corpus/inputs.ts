/** Inputs of a corpus: files, directories and globs become a sorted list of files; formats and fingerprints. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { glob, isDynamicPattern } from 'tinyglobby';
import { GristmillError } from '../errors.ts';
import { withFile } from './parquet-file.ts';
import type { CorpusFormat } from './types.ts';

/** How JSON lines are named: with each of these endings, plain or compressed. `.json` is what C4, Dolma and mC4 use. */
const JSON_NAMES = ['.jsonl', '.ndjson', '.json'];

/** Extensions and their formats. */
const FORMATS: readonly (readonly [string, CorpusFormat])[] = [
  ['.parquet', 'parquet'],
  ...JSON_NAMES.flatMap((name): [string, CorpusFormat][] => [
    [name, 'jsonl'],
    [`${name}.gz`, 'jsonl.gz'],
    [`${name}.zst`, 'jsonl.zst'],
  ]),
  ['.arrow', 'arrow'],
  ['.arrows', 'arrow'],
];

/** The name of standard input. */
export const STDIN = '-';

/** Bytes of each end of a file that a fingerprint covers; a Parquet footer is covered whole on top. */
const SAMPLE_BYTES = 65536;

/** Known extensions, for messages. */
export const KNOWN_FORMATS = FORMATS.map(([extension]) => extension).join(' ');

/** Format by extension, or null. */
export function formatOf(path: string): CorpusFormat | null {
  if (path === STDIN) return 'arrow';
  const name = path.toLowerCase();
  const found = FORMATS.filter(([extension]) => name.endsWith(extension));
  return found.at(-1)?.[1] ?? null;
}

/**
 * Files that the inputs name, each once, sorted by path (by code unit, so that every machine agrees). A file named
 * outright must have a known extension; directories and globs yield only what has one. Names that begin with `_` or
 * `.` inside directories are bookkeeping and left out.
 *
 * @throws CORPUS_NO_FILES, CORPUS_FORMAT_UNKNOWN, CORPUS_READ_FAILED
 */
export async function expandInputs(inputs: readonly string[]): Promise<string[]> {
  const files = new Set<string>();
  for (const input of inputs) {
    if (input === STDIN) {
      files.add(STDIN);
      continue;
    }
    const status = await stat(input).catch((error: NodeJS.ErrnoException) => error);
    if (!(status instanceof Error)) {
      if (!status.isDirectory()) {
        if (!formatOf(input)) {
          throw new GristmillError('CORPUS_FORMAT_UNKNOWN', {
            file: input,
            formats: KNOWN_FORMATS,
          });
        }
        files.add(input);
        continue;
      }
      const base = input.replace(/\/+$/, '') || '/';
      const below = await glob('**/*', {
        cwd: input,
        onlyFiles: true,
        ignore: ['**/_*/**', '**/_*'],
      });
      for (const name of below) if (formatOf(name)) files.add(`${base}/${name}`);
      continue;
    }
    if (!isDynamicPattern(input)) {
      const reason = status.code === 'ENOENT' ? 'it does not exist' : status.message;
      throw new GristmillError('CORPUS_READ_FAILED', { file: input, reason });
    }
    const found = await glob(input, { onlyFiles: true, absolute: isAbsolute(input) });
    for (const name of found) if (formatOf(name)) files.add(name);
  }
  if (files.size === 0) {
    throw new GristmillError('CORPUS_NO_FILES', {
      inputs: inputs.join(' '),
      formats: KNOWN_FORMATS,
    });
  }
  return [...files].sort((left, right) => (left < right ? -1 : left > right ? 1 : 0));
}

/**
 * A string that changes when the file does: size, time of change and SHA-256 of both ends (with the whole footer of a
 * Parquet file, which holds the sizes and bounds of every column). With `full`, the SHA-256 of everything, and
 * nothing else: it survives copying.
 */
export async function fingerprintOf(path: string, full: boolean): Promise<string> {
  const hash = createHash('sha256');
  if (full) {
    await pipeline(createReadStream(path), hash);
    return `sha256:${hash.digest('hex')}`;
  }
  return withFile(path, async (buffer, handle) => {
    const { size, mtimeMs } = await handle.stat();
    hash.update(new Uint8Array(await buffer.slice(0, Math.min(SAMPLE_BYTES, size))));
    const tail = new Uint8Array(await buffer.slice(Math.max(0, size - SAMPLE_BYTES), size));
    const footerBytes = footerBytesOf(tail);
    if (footerBytes > tail.byteLength && footerBytes < size) {
      hash.update(new Uint8Array(await buffer.slice(size - footerBytes, size)));
    }
    hash.update(tail);
    return `${size}-${Math.round(mtimeMs)}-${hash.digest('hex')}`;
  });
}

function footerBytesOf(tail: Uint8Array): number {
  const bytes = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
  if (bytes.byteLength < 8 || bytes.toString('latin1', bytes.byteLength - 4) !== 'PAR1') return 0;
  return bytes.readUInt32LE(bytes.byteLength - 8) + 8;
}
