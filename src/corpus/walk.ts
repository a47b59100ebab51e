/**
 * Finding the files of a corpus below folders and globs.
 *
 * Invariants
 *  1. Nothing is passed over in silence: what cannot be read is a failure, what is left out is counted by its reason.
 *  2. A file is found once, whatever its names: symbolic links are resolved. Hard links are files of their own.
 *  3. No folder is entered twice, so links in a circle end.
 *  4. Of a folder, or a glob that leaves the ending open, one rank of formats is read: Parquet, JSON lines and Arrow; where there
 *     is none of them below it, tables; where there are none either, plain text. What is of a lower rank lies beside the corpus
 *     (a README.txt, a list as CSV) and is counted. A glob that has an ending means it, whatever lies there.
 */
import { isUtf8 } from 'node:buffer';
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { extensionOf, type FolderRank, formatOf, rankOf } from './formats.ts';
import { commandOf, TAKEN_OUT } from './own-folders.ts';
import { remoteScheme } from './storage/addresses.ts';
import type { StoredFile } from './storage/types.ts';
import type { LeftOut } from './types.ts';

/** A file and what it is called: its path as a person would write it, and without links. */
export interface FoundFile {
  readonly path: string;
  readonly real: string;
}

/** What cannot be read, and why. */
export interface Failure {
  readonly path: string;
  readonly error: GristmillError;
}

interface Folder extends FoundFile {
  /** Reached through a symbolic link. */
  readonly isLink: boolean;
  /** Path below the folder where the walk began; empty there. */
  readonly below: string;
  /** Everything below is wanted; otherwise the pattern says what. */
  readonly isWanted: boolean;
}

/** What a pattern wants below its base. */
interface Pattern {
  matches(below: string): boolean;
  /** Whether something below a folder could match. */
  enters(below: string): boolean;
  /** Whether the names down to `below` were all written out, so that bookkeeping names count too. */
  spells(below: string): boolean;
  /** Whether it matches a file for its ending: with another one it would not. */
  hasEnding(below: string): boolean;
}

const EVERYTHING: Pattern = {
  matches: () => true,
  enters: () => true,
  spells: () => false,
  hasEnding: () => false,
};
/** Ranks in the order in which a folder is read as them. */
const RANKS: readonly FolderRank[] = ['corpus', 'table', 'text'];

/** A file of a folder that could be read. */
interface Candidate extends FoundFile {
  readonly isLink: boolean;
  readonly rank: FolderRank;
  /** It is read whatever lies beside it. */
  readonly isMeant: boolean;
}
/** Extensions that are told apart in {@link LeftOut.otherFormats}. */
const MAX_EXTENSIONS = 32;

/** Collects files, failures and what is left out over any number of inputs. */
export class Walker {
  readonly files: FoundFile[] = [];
  readonly failures: Failure[] = [];
  readonly #seen = new Set<string>();
  readonly #excluded: ReadonlySet<string>;
  readonly #signal: AbortSignal | undefined;
  readonly #outputs = new Set<string>();
  readonly #results: { path: string; command: string }[] = [];
  readonly #otherFormats = new Map<string, number>();
  #bookkeeping = 0;
  #repeated = 0;

  /** @param excluded folders that are not entered, without links in their paths */
  constructor(excluded: ReadonlySet<string>, signal: AbortSignal | undefined) {
    this.#excluded = excluded;
    this.#signal = signal;
  }

  /** What was not taken, by its reason. */
  leftOut(): LeftOut {
    const byName = [...this.#otherFormats].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      outputs: [...this.#outputs].sort(),
      results: [...this.#results].sort((a, b) => (a.path < b.path ? -1 : 1)),
      otherFormats: Object.fromEntries(byName),
      bookkeeping: this.#bookkeeping,
      repeated: this.#repeated,
    };
  }

  /** A file that was named outright. */
  async named(path: string): Promise<void> {
    const isRemote = remoteScheme(path) !== null;
    const real = isRemote ? path : await realpath(path).catch(() => path);
    if (this.#isExcluded(real)) this.#outputs.add(path);
    else this.#take([{ path, real }]);
  }

  /**
   * All files of known formats of a listing, or those that match a glob and those below folders that match it.
   *
   * @param folder address that the glob is relative to, with its slash
   */
  async listed(folder: string, files: readonly StoredFile[], glob: string | null): Promise<void> {
    const pattern =
      glob === null ? EVERYTHING : patternOf(glob, (await import('picomatch')).default);
    // Of what tells results, a listing has the names alone: those of refined corpora and of annotations say enough.
    const results = new Map<string, string>();
    for (const { path } of files) {
      const [, result, mark] = /^(.*\/)(_gristmill\/run\.json|_annotate\/kind)$/s.exec(path) ?? [];
      if (result !== undefined && result !== folder) {
        results.set(result, mark!.startsWith('_g') ? 'refine' : 'annotate');
      }
    }
    for (const [path, command] of results) this.#results.push({ path, command });
    const found: Candidate[] = [];
    for (const { path } of files) {
      const below = path.slice(folder.length);
      const names = below.split('/');
      const folders = names.slice(0, -1).map((_, at) => names.slice(0, at + 1).join('/'));
      if (folders.some((name) => results.has(`${folder}${name}/`))) continue;
      // Everything below a folder that matches is wanted, as when folders are walked.
      const wanted = [...folders, below].find((name) => pattern.matches(name));
      if (wanted === undefined) continue;
      const spelt = names.findIndex(
        (name, at) =>
          isBookkeeping(name) &&
          !(name.includes('=') && at < names.length - 1) &&
          !(pattern.spells(names.slice(0, at + 1).join('/')) && at < wanted.split('/').length),
      );
      if (spelt >= 0) {
        if (!OWN_BOOKKEEPING.has(names[spelt]!)) this.#bookkeeping++;
      } else if (rankOf(below) === null) this.#countOther(below);
      else if (this.#isExcluded(path)) this.#outputs.add(path);
      else {
        const isMeant = wanted === below && pattern.hasEnding(below);
        found.push({ path, real: path, isLink: false, rank: rankOf(below)!, isMeant });
      }
    }
    this.#takeBest(found);
  }

  /** All files of known formats below a folder. */
  async folder(path: string): Promise<void> {
    await this.#walk(path, EVERYTHING);
  }

  /** Files of known formats that match a glob, and those below folders that match it. */
  async glob(pattern: string): Promise<void> {
    const { default: picomatch } = await import('picomatch');
    const { base, glob } = picomatch.scan(pattern);
    const folder = base === '' ? '.' : base;
    const found = await stat(folder).catch(() => null);
    if (found?.isDirectory()) await this.#walk(folder, patternOf(glob, picomatch));
  }

  /** Says that a file cannot be read. */
  fail(path: string, error: GristmillError): void {
    this.failures.push({ path, error });
  }

  #isExcluded(real: string): boolean {
    for (const folder of this.#excluded) {
      if (real === folder || real.startsWith(`${folder}/`)) return true;
    }
    return false;
  }

  #take(files: readonly FoundFile[]): void {
    for (const file of files) {
      if (this.#seen.has(file.real)) {
        this.#repeated++;
        continue;
      }
      this.#seen.add(file.real);
      this.files.push(file);
    }
  }

  async #walk(root: string, pattern: Pattern): Promise<void> {
    const real = await realpath(root).catch(() => root);
    if (this.#isExcluded(real)) {
      this.#outputs.add(root);
      return;
    }
    const entered = new Set<string>();
    const found: Candidate[] = [];
    // Folders by their own names come first: what can be reached without a link is called by that name.
    const own: Folder[] = [
      { path: root, real, isLink: false, below: '', isWanted: pattern === EVERYTHING },
    ];
    const linked: Folder[] = [];
    for (let next = own.pop(); next; next = own.pop() ?? linked.shift()) {
      throwIfAborted(this.#signal, 'planning');
      if (entered.has(next.real)) continue;
      entered.add(next.real);
      for (const folder of await this.#read(next, pattern, found)) {
        (folder.isLink ? linked : own).push(folder);
      }
    }
    this.#takeBest(found);
  }

  /** Takes what is meant and the best rank of the others, and counts the rest; see invariant 4. */
  #takeBest(found: readonly Candidate[]): void {
    const others = found.filter(({ isMeant }) => !isMeant);
    const best = RANKS.find((rank) => others.some((file) => file.rank === rank));
    const taken = found.filter(({ isMeant, rank }) => isMeant || rank === best);
    for (const { path, rank } of others) if (rank !== best) this.#countOther(path);
    this.#take(
      taken.sort((a, b) => Number(a.isLink) - Number(b.isLink) || (a.path < b.path ? -1 : 1)),
    );
  }

  /** Reads one folder: files go to `found`, folders are returned. */
  async #read(folder: Folder, pattern: Pattern, found: Candidate[]): Promise<Folder[]> {
    let entries: Dirent<Buffer>[];
    try {
      entries = await readdir(folder.path, { withFileTypes: true, encoding: 'buffer' });
    } catch (error) {
      this.#failRead(folder.path, (error as Error).message);
      return [];
    }
    const names = new Set(entries.map(({ name }) => name.toString()));
    const command = await commandOf(folder.path, names);
    if (command !== null && folder.below !== '') {
      this.#results.push({ path: folder.path, command });
      return [];
    }
    const folders: Folder[] = [];
    for (const entry of entries) {
      const name = entry.name.toString();
      const path = childPath(folder.path, name);
      const below = folder.below === '' ? name : `${folder.below}/${name}`;
      if (!isUtf8(entry.name)) {
        this.#failName(folder.path, entry);
        continue;
      }
      const kind = await this.#kindOf(entry, path);
      if (kind === null) continue;
      const isWanted = folder.isWanted || pattern.matches(below);
      if (kind.isFolder) {
        if (command === 'refine' && TAKEN_OUT.has(name)) {
          this.#results.push({ path, command });
        } else if (isWanted || pattern.enters(below)) {
          if (
            isBookkeeping(name) &&
            !name.includes('=') &&
            !(pattern.spells(below) && !folder.isWanted)
          ) {
            if (!OWN_BOOKKEEPING.has(name)) this.#bookkeeping++;
            continue;
          }
          const real = kind.real ?? childPath(folder.real, name);
          if (this.#isExcluded(real)) this.#outputs.add(path);
          else
            folders.push({
              path,
              real,
              isLink: folder.isLink || kind.real !== null,
              below,
              isWanted,
            });
        }
      } else if (isWanted) {
        const rank = rankOf(name);
        const isMeant = !folder.isWanted && pattern.hasEnding(below);
        if (rank === null) this.#countOther(name);
        else if (isBookkeeping(name) && !(pattern.spells(below) && !folder.isWanted))
          this.#bookkeeping++;
        else if (kind.special !== null) {
          if (rank !== 'corpus' && !isMeant) this.#countOther(name);
          else this.#failRead(path, `it is ${kind.special}, not a file`);
        } else {
          const real = kind.real ?? childPath(folder.real, name);
          const isLink = folder.isLink || kind.real !== null;
          if (this.#isExcluded(real)) this.#outputs.add(path);
          else found.push({ path, real, isLink, rank, isMeant });
        }
      }
    }
    return folders;
  }

  /** What an entry is behind its links; `real` only for links. Null for what is named as a failure or is nothing. */
  async #kindOf(
    entry: Dirent<Buffer>,
    path: string,
  ): Promise<{ isFolder: boolean; special: string | null; real: string | null } | null> {
    if (entry.isDirectory()) return { isFolder: true, special: null, real: null };
    if (entry.isFile()) return { isFolder: false, special: null, real: null };
    try {
      const found = await stat(path);
      const real = entry.isSymbolicLink() ? await realpath(path) : null;
      const special = specialOf(found);
      return { isFolder: found.isDirectory(), special, real };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const name = entry.name.toString();
      // A link to nothing that would be no document either, or a file that was just removed.
      if (!entry.isSymbolicLink() || (!formatOf(name) && extensionOf(name) !== '')) return null;
      this.#failRead(path, code === 'ENOENT' ? 'the link points to nothing' : message);
      return null;
    }
  }

  #failRead(path: string, reason: string): void {
    this.fail(path, new GristmillError('CORPUS_READ_FAILED', { file: path, reason }));
  }

  /** A name that is no UTF-8 cannot be a path here; what it would hide is said. */
  #failName(folder: string, entry: Dirent<Buffer>): void {
    const latin1 = entry.name.toString('latin1');
    if (!entry.isDirectory() && !formatOf(latin1)) {
      this.#countOther(latin1);
      return;
    }
    const path = childPath(folder, escapeName(entry.name));
    this.#failRead(path, 'its name is not UTF-8: rename it');
  }

  #countOther(name: string): void {
    let extension = extensionOf(name) || 'no extension';
    if (!this.#otherFormats.has(extension) && this.#otherFormats.size >= MAX_EXTENSIONS)
      extension = 'others';
    this.#otherFormats.set(extension, (this.#otherFormats.get(extension) ?? 0) + 1);
  }
}

/** Names of our own, which are not worth a word. */
const OWN_BOOKKEEPING = new Set(['_gristmill', '_annotate']);

function isBookkeeping(name: string): boolean {
  return name.startsWith('_') || name.startsWith('.');
}

function childPath(folder: string, name: string): string {
  if (folder === '.') return name;
  return folder.endsWith('/') ? `${folder}${name}` : `${folder}/${name}`;
}

/** What a path is that is neither a file nor a folder; null for those. */
export function specialOf(found: {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}): string | null {
  if (found.isFile() || found.isDirectory()) return null;
  if (found.isFIFO()) return 'a FIFO, which can be read only once';
  return found.isSocket() ? 'a socket' : 'a device';
}

/** Bytes that are no ASCII as `\xHH`. */
function escapeName(name: Buffer): string {
  return [...name]
    .map((byte) =>
      byte >= 0x20 && byte < 0x7f
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, '0')}`,
    )
    .join('');
}

/** An ending that no glob means. */
const NO_ENDING = '.gristmill-none';

/** A glob below its base, by segments where its braces allow it. */
function patternOf(glob: string, picomatch: typeof import('picomatch').default): Pattern {
  const matches = picomatch(glob);
  const segments = segmentsOf(glob);
  const deep = segments ? segments.indexOf('**') : 0;
  const each = segments?.map((segment) => (segment === '**' ? null : picomatch(segment))) ?? [];
  const names = (below: string): string[] => below.split('/');
  return {
    matches: (below) => matches(below),
    enters: (below) => {
      const parts = names(below);
      const checked = deep < 0 ? parts.length : Math.min(parts.length, deep);
      if (deep < 0 && parts.length >= each.length) return false;
      return parts.slice(0, checked).every((part, at) => each[at]?.(part) ?? false);
    },
    spells: (below) => deep < 0 || names(below).length <= deep,
    hasEnding: (below) => !matches(`${below.slice(0, -extensionOf(below).length)}${NO_ENDING}`),
  };
}

/** Null where braces or parentheses reach over a slash. */
function segmentsOf(glob: string): string[] | null {
  const segments = glob.split('/');
  const isWhole = (segment: string): boolean =>
    ['{}', '()', '[]'].every(
      ([open, close]) => segment.split(open!).length === segment.split(close!).length,
    );
  // `a**b` and the like match as `*` does; a segment of `**` alone goes deep.
  return segments.every(isWhole) ? segments : null;
}
