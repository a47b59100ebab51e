/** Inputs of a corpus: files, directories and globs become a sorted list of files; their fingerprints. */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { GristmillError } from '../errors.ts';
import { localPath } from '../local-path.ts';
import {
  conversionOf,
  extensionOf,
  KNOWN_FORMATS,
  namedFormatOf,
  rankOf,
  STDIN,
} from './formats.ts';
import { nameOf, remoteScheme, withoutSecrets } from './storage/addresses.ts';
import { readAhead } from './storage/read-ahead.ts';
import { knownFile, openFile } from './storage/storages.ts';
import type { LeftOut } from './types.ts';
import { type Failure, specialOf, Walker } from './walk.ts';

/** Bytes of each end of a file that a fingerprint covers; a Parquet footer is covered whole on top. */
const SAMPLE_BYTES = 65536;

/** What the inputs of a corpus turn out to be. */
export interface FoundInputs {
  /** Files of known formats, each once, sorted by path (by code unit, so that every machine agrees). */
  readonly paths: readonly string[];
  /** What was named or found and cannot be read. */
  readonly failures: readonly Failure[];
  readonly leftOut: LeftOut;
}

/** Options of {@link expandInputs}. */
export interface ExpandOptions {
  /** Folders of results: what lies in them is no input. They need not be there yet. */
  readonly exclude?: readonly string[] | undefined;
  /** Whether the first failure ends it. */
  readonly failFast?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Files that the inputs name. Directories and globs yield only what has a known extension, of tables and plain text where a
 * glob has their ending or nothing better is there; names that begin with `_` or
 * `.` inside directories are bookkeeping, and folders that commands of ours have written are results: both are left out
 * and counted. Symbolic links are followed; a file with several names is taken once, by the first of them.
 *
 * @throws CORPUS_NO_FILES, PATH_REMOTE; CORPUS_READ_FAILED for a name that is not there; with `failFast` the first
 * failure
 */
export async function expandInputs(
  inputs: readonly string[],
  options: ExpandOptions = {},
): Promise<FoundInputs> {
  const excluded = new Set((options.exclude ?? []).map(realPathOf));
  const isRemote = (input: string): boolean => remoteScheme(input) !== null;
  const walker = new Walker(excluded, options.signal);
  const paths: string[] = [];
  for (const input of inputs) {
    if (input === STDIN) {
      if (!paths.includes(STDIN)) paths.push(STDIN);
      continue;
    }
    if (isRemote(input)) await expandAddress(input, walker, options.signal);
    else await expand(tidy(localPath(input, 'input')), walker);
    const first = options.failFast ? walker.failures[0] : undefined;
    if (first) throw first.error;
  }
  paths.push(...walker.files.map(({ path }) => path));
  const leftOut = walker.leftOut();
  // Nothing readable at all: the first reason says more than "no files".
  if (paths.length === 0 && walker.failures[0]) throw walker.failures[0].error;
  if (paths.length === 0) {
    throw new GristmillError('CORPUS_NO_FILES', {
      inputs: inputs.map(withoutSecrets).join(' '),
      formats: KNOWN_FORMATS,
      leftOut: describeLeftOut(leftOut)
        .map((line) => `; ${line}`)
        .join(''),
    });
  }
  paths.sort((left, right) => (left < right ? -1 : left > right ? 1 : 0));
  return { paths, failures: walker.failures, leftOut };
}

async function expand(input: string, walker: Walker): Promise<void> {
  const found = await stat(input).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error)) {
    if (found.isDirectory()) return walker.folder(input);
    const failure = fileFailure(input, specialOf(found));
    return failure ? walker.fail(input, failure) : walker.named(input);
  }
  const isLink = await lstat(input).catch(() => null);
  if (!isLink && (await import('picomatch')).default.scan(input).isGlob) return walker.glob(input);
  const isMissing = found.code === 'ENOENT' || found.code === 'ENOTDIR';
  const reason = isMissing
    ? isLink
      ? 'the link points to nothing'
      : 'it does not exist'
    : found.message;
  const failure = new GristmillError('CORPUS_READ_FAILED', { file: input, reason });
  // A name that is not there is a slip of the pen: nothing is begun that would have to be begun again.
  if (isMissing && !isLink) throw failure;
  walker.fail(input, failure);
}

/** @throws CORPUS_READ_FAILED for what is not there; STORAGE_* */
async function expandAddress(
  address: string,
  walker: Walker,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { expandRemote } = await import('./storage/expand.ts');
  const found = await expandRemote(address, signal);
  if (found.kind === 'listing') {
    await walker.listed(found.folder, found.files, found.glob);
    return;
  }
  const failure = fileFailure(found.path, null);
  if (failure) walker.fail(found.path, failure);
  else await walker.named(found.path);
}

function fileFailure(file: string, special: string | null): GristmillError | null {
  if (!namedFormatOf(nameOf(file))) {
    const conversion = conversionOf(extensionOf(nameOf(file)));
    // A name that a shell or SQL would read otherwise is left for a person to quote.
    const name = /^[\w./+-]+$/.test(file) ? file : 'FILE';
    const hint = conversion ? `; convert it: ${conversion.split('FILE').join(name)}` : '';
    return new GristmillError('CORPUS_FORMAT_UNKNOWN', { file, formats: KNOWN_FORMATS, hint });
  }
  if (special === null) return null;
  return new GristmillError('CORPUS_READ_FAILED', { file, reason: `it is ${special}, not a file` });
}

/** `./` and doubled slashes say nothing; `..` may cross a link and stays. */
function tidy(path: string): string {
  const short = path.replace(/\/{2,}/g, '/').replace(/(^|\/)(?:\.\/)+/g, '$1');
  const bare = short.length > 1 ? short.replace(/(?:\/\.?)+$/, '') : short;
  return bare === '' ? (path.startsWith('/') ? '/' : '.') : bare;
}

/** The path without links, of what need not be there: as far as it is. */
export function realPathOf(path: string): string {
  if (remoteScheme(path) !== null) return path.replace(/\/+$/, '');
  const missing: string[] = [];
  let folder = resolve(path);
  while (!existsSync(folder) && folder !== dirname(folder)) {
    missing.unshift(basename(folder));
    folder = dirname(folder);
  }
  try {
    return join(realpathSync(folder), ...missing);
  } catch {
    return resolve(path);
  }
}

/** What was left out, a line for each reason. */
export function describeLeftOut(leftOut: LeftOut): string[] {
  const { outputs, results, otherFormats, bookkeeping, repeated } = leftOut;
  const lines: string[] = [];
  for (const path of outputs) lines.push(`${path} is the output: what lies in it is no input`);
  for (const { path, command } of results.slice(0, MAX_NAMED)) {
    lines.push(`${path} was written by ${command} and is passed over; name it to read it`);
  }
  if (results.length > MAX_NAMED) {
    lines.push(`${results.length - MAX_NAMED} more folders of results are passed over`);
  }
  const others = Object.entries(otherFormats);
  if (others.length > 0) {
    const total = others.reduce((sum, [, files]) => sum + files, 0);
    const kinds = others.map(([extension, files]) => `${files} ${extension}`).join(', ');
    lines.push(`${count(total, 'file')} of other formats: ${kinds}`);
    const hints = new Set(others.map(([extension]) => conversionOf(extension)));
    for (const hint of hints) if (hint) lines.push(`to convert them: ${hint}`);
    const unnamed = others.find(([extension]) => rankOf(`x${extension}`) !== null);
    if (unnamed) lines.push(`to read them: a glob with their ending, 'FOLDER/**/*${unnamed[0]}'`);
  }
  if (bookkeeping > 0) {
    const verb = bookkeeping === 1 ? 'begins' : 'begin';
    lines.push(`${count(bookkeeping, 'name')} that ${verb} with _ or . passed over`);
  }
  if (repeated > 0) lines.push(`${count(repeated, 'further name')} of files that are read once`);
  return lines;
}

const MAX_NAMED = 8;

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

/**
 * A string that changes when the file does: size, time of change and SHA-256 of both ends (with the whole footer of a
 * Parquet file, which holds the sizes and bounds of every column). Of files behind addresses it is size and version (an
 * ETag), or the SHA-256 of everything where the storage has it. With `full`, the SHA-256 of everything, and nothing else:
 * it survives copying.
 */
export async function fingerprintOf(path: string, full: boolean): Promise<string> {
  const isRemote = remoteScheme(path) !== null;
  if (isRemote) {
    const { bytes, version, sha256 } = await knownFile(path);
    if (sha256 !== null) return `sha256:${sha256}`;
    if (!full) return `${bytes}-${version}`;
  }
  const hash = createHash('sha256');
  const file = await openFile(path);
  try {
    if (full) {
      for await (const chunk of readAhead(file)) hash.update(chunk);
      return `sha256:${hash.digest('hex')}`;
    }
    const size = file.bytes;
    hash.update(await file.read(0, Math.min(SAMPLE_BYTES, size)));
    const tail = await file.read(Math.max(0, size - SAMPLE_BYTES), Math.min(SAMPLE_BYTES, size));
    const footerBytes = footerBytesOf(tail);
    if (footerBytes > tail.byteLength && footerBytes < size) {
      hash.update(await file.read(size - footerBytes, footerBytes));
    }
    hash.update(tail);
    return `${size}-${file.changedMs}-${hash.digest('hex')}`;
  } finally {
    await file.close();
  }
}

function footerBytesOf(tail: Uint8Array): number {
  const bytes = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
  if (bytes.byteLength < 8 || bytes.toString('latin1', bytes.byteLength - 4) !== 'PAR1') return 0;
  return bytes.readUInt32LE(bytes.byteLength - 8) + 8;
}
