/**
 * Judgements of a run, beside it:
 *
 *     _judgements/judgements.jsonl   the journal: an entry a line (judgement-types.ts), only ever appended to, each on the disk
 *                                    before the page is told so
 *     _judgements/documents.jsonl    what it comes to, as labelled documents: {id, text, label, …}, label 1 to keep
 *     _judgements/lines.jsonl        and as labelled pages: {id, text, partial_labels, …}, a character a line: 1, 0 or ?
 *
 * The last two are what `eval documents`, `eval lines`, `train` and `annotate chunks --way gold` read; they are made anew from
 * the journal, whole or not at all, a moment after it has grown. Names that begin with `_` are no inputs of any command.
 *
 * Invariants
 *  1. The last entry about a thing counts; null takes one back. Entries of another run in the same folder stay and count for the
 *     labels (texts stand in the journal), but are not shown.
 *  2. A last line without its end, which a crash leaves, is ended before the next entry and passed over.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { PendingFile } from '../pending-file.ts';
import type { FinishedRun } from '../refine/finished-run.ts';
import {
  type BlindEntry,
  type DocumentEntry,
  type DocumentJudgement,
  type Entry,
  entrySchema,
  type LineVerdict,
  type Verdict,
} from './judgement-types.ts';

export const JUDGEMENTS_FOLDER = '_judgements';
const JOURNAL = 'judgements.jsonl';
const DOCUMENTS = 'documents.jsonl';
const LINES = 'lines.jsonl';
const READ_BYTES = 1 << 20;
const LF = 10;
/** How long label files may lag behind the journal. */
const LAG_MS = 500;

/** State of a document while entries are read. */
interface State {
  verdict: Verdict | null;
  note: string;
  lines: Map<number, LineVerdict>;
}

/** The journal of a run, open. */
export class Judgements {
  /** Null where there is nowhere to keep them. */
  readonly #folder: string | null;
  readonly #out: string;
  /** The run that entries are of. */
  readonly run: string;
  readonly #states = new Map<string, State>();
  /** Documents whose text stands in the journal. */
  readonly #known = new Set<string>();
  readonly #blind: BlindEntry[] = [];
  #descriptor: number | null = null;
  #timer: NodeJS.Timeout | null = null;

  private constructor(folder: string | null, out: string, run: string) {
    this.#folder = folder;
    this.#out = out;
    this.run = run;
  }

  /**
   * Opens the journal; nothing is written before the first judgement.
   *
   * @param folder default: in the run's folder; a run in a bucket has none, as nothing can be appended to there
   * @throws RUN_OUTPUT_FAILED
   */
  static open(run: FinishedRun, folder?: string): Judgements {
    const identity = createHash('sha256').update(JSON.stringify(run.identity)).digest('hex');
    const own = remoteScheme(run.out) === null ? join(run.out, JUDGEMENTS_FOLDER) : null;
    const journal = new Judgements(folder ?? own, run.out, identity.slice(0, 16));
    for (const entry of journal.#entries()) journal.#take(entry);
    return journal;
  }

  /** Of a document; null where nothing is said of it. */
  of(unit: number, position: number): DocumentJudgement | null {
    const state = this.#states.get(keyOf(this.run, { unit, position }));
    if (!state) return null;
    return { verdict: state.verdict, note: state.note, lines: Object.fromEntries(state.lines) };
  }

  /** Whether the document's own entry is still to be written. */
  needsDocument(unit: number, position: number): boolean {
    return !this.#known.has(keyOf(this.run, { unit, position }));
  }

  /** How many documents and lines are judged. */
  get counts(): { readonly documents: number; readonly lines: number; readonly notes: number } {
    const counts = { documents: 0, lines: 0, notes: 0 };
    for (const [key, state] of this.#states) {
      if (!key.startsWith(`${this.run} `)) continue;
      if (state.verdict) counts.documents++;
      if (state.note) counts.notes++;
      counts.lines += state.lines.size;
    }
    return counts;
  }

  /** Judged documents of this run, the last ones first. */
  judged(limit: number): {
    readonly unit: number;
    readonly position: number;
    readonly judgement: DocumentJudgement;
  }[] {
    const found = [...this.#states.keys()].filter((key) => key.startsWith(`${this.run} `));
    return found
      .reverse()
      .slice(0, limit)
      .map((key) => {
        const [unit, position] = key
          .slice(key.indexOf(' ') + 1)
          .split(':')
          .map(Number);
        return { unit: unit!, position: position!, judgement: this.of(unit!, position!)! };
      });
  }

  /** Answers of blind tests of this run. */
  get blind(): readonly BlindEntry[] {
    return this.#blind;
  }

  /** Appends entries; they are on the disk when this returns. @throws RUN_OUTPUT_FAILED, INSPECT_NO_FOLDER */
  append(entries: readonly Entry[]): void {
    const path = join(this.#somewhere(), JOURNAL);
    try {
      const descriptor = this.#openForAppend(path);
      const text = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      for (let done = 0; done < text.byteLength; ) done += writeSync(descriptor, text, done);
      fsyncSync(descriptor);
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause });
    }
    for (const entry of entries) this.#take(entry);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      try {
        this.writeLabels();
      } catch {
        // The journal has everything: the next judgement, or the next start, makes them.
      }
    }, LAG_MS).unref();
  }

  /** Writes both files of labels. @throws RUN_OUTPUT_FAILED */
  writeLabels(): void {
    const folder = this.#somewhere();
    const files = [DOCUMENTS, LINES].map((name) => join(folder, name));
    const pending: PendingFile[] = [];
    try {
      for (const file of files) pending.push(new PendingFile(file));
      const [documents, lines] = pending as [PendingFile, PendingFile];
      for (const entry of this.#entries()) {
        if (entry.kind !== 'document' || entry.text === null) continue;
        const state = this.#states.get(keyOf(entry.run, entry));
        if (!state) continue;
        const label = labelOf(state.verdict, entry);
        if (label !== null) documents.write(`${JSON.stringify(rowOf(entry, { label }, state))}\n`);
        if (entry.isOriginal && state.lines.size > 0) {
          const labels = lineLabels(entry.text, state.lines);
          lines.write(`${JSON.stringify(rowOf(entry, { partial_labels: labels }, state))}\n`);
        }
      }
      for (const file of pending) file.commit();
    } catch (cause) {
      for (const file of pending) file.discard();
      const reason = (cause as Error).message;
      throw new GristmillError('RUN_OUTPUT_FAILED', { path: folder, reason }, { cause });
    }
  }

  close(): void {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.writeLabels();
    }
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** @throws INSPECT_NO_FOLDER */
  #somewhere(): string {
    if (this.#folder !== null) return this.#folder;
    throw new GristmillError('INSPECT_NO_FOLDER', { out: this.#out });
  }

  #openForAppend(path: string): number {
    if (this.#descriptor !== null) return this.#descriptor;
    makeFolder(dirname(path));
    const descriptor = openSync(path, 'a+');
    this.#descriptor = descriptor;
    // A crash may have left a line without its end.
    const last = Buffer.alloc(1);
    const { size } = fstatSync(descriptor);
    if (size > 0 && readSync(descriptor, last, 0, 1, size - 1) === 1 && last[0] !== LF) {
      writeSync(descriptor, '\n');
    }
    return descriptor;
  }

  #take(entry: Entry): void {
    if (entry.kind === 'blind') {
      if (entry.run === this.run) this.#blind.push(entry);
      return;
    }
    const key = keyOf(entry.run, entry);
    if (entry.kind === 'document') {
      this.#known.add(key);
      return;
    }
    const state = this.#states.get(key) ?? { verdict: null, note: '', lines: new Map() };
    // The last ones come last.
    this.#states.delete(key);
    this.#states.set(key, state);
    if (entry.kind === 'verdict') {
      state.verdict = entry.verdict;
      state.note = entry.note ?? state.note;
    } else if (entry.verdict === null) state.lines.delete(entry.line);
    else state.lines.set(entry.line, entry.verdict);
    if (!state.verdict && !state.note && state.lines.size === 0) this.#states.delete(key);
  }

  /** Entries of the journal in order; lines that are none are passed over. */
  *#entries(): Generator<Entry> {
    if (this.#folder === null) return;
    let descriptor: number;
    try {
      descriptor = openSync(join(this.#folder, JOURNAL), 'r');
    } catch {
      return;
    }
    try {
      for (const line of linesOfFile(descriptor)) {
        const entry = entryOf(line);
        if (entry) yield entry;
      }
    } finally {
      closeSync(descriptor);
    }
  }
}

function entryOf(line: string): Entry | null {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

function* linesOfFile(descriptor: number): Generator<string> {
  let parts: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    const nRead = readSync(descriptor, chunk, 0, READ_BYTES, null);
    if (nRead === 0) break;
    const bytes = chunk.subarray(0, nRead);
    let start = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
      parts.push(bytes.subarray(start, end));
      yield Buffer.concat(parts).toString();
      parts = [];
      start = end + 1;
    }
    parts.push(bytes.subarray(start));
  }
  const rest = Buffer.concat(parts);
  if (rest.byteLength > 0) yield rest.toString();
}

function keyOf(
  run: string,
  { unit, position }: { readonly unit: number; readonly position: number },
): string {
  return `${run} ${unit}:${position}`;
}

/** 1 to keep, 0 to drop; null where nothing is said. */
function labelOf(verdict: Verdict | null, { status }: DocumentEntry): 0 | 1 | null {
  if (verdict === null) return null;
  if (verdict === 'right') return status === 'dropped' ? 0 : 1;
  return verdict === 'should_stay' ? 1 : 0;
}

function lineLabels(text: string, lines: ReadonlyMap<number, LineVerdict>): string {
  return text
    .split('\n')
    .map((_, line) => ({ stay: '1', go: '0', none: '?' })[lines.get(line) ?? 'none'])
    .join('');
}

function rowOf(
  { id, text, domain, language, file, row }: DocumentEntry,
  label: Readonly<Record<string, string | number>>,
  { note }: State,
): object {
  return {
    id,
    text,
    ...label,
    ...(domain !== undefined && { domain }),
    ...(language !== undefined && { language }),
    ...{ source_dataset: 'judgements', file, row },
    ...(note !== '' && { note }),
  };
}
