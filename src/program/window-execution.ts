/**
 * What programs make of a window, line by line and byte by byte: the ground of every measure of refiners.
 *
 * The strict executor of src/program runs over the window with `lineStart` empty lines in front, so that a program's
 * line numbers mean what they meant to who wrote it. Lines come from the op records, bytes from the executor's claims.
 * A window is no document: by default it may lose all its words ({@link WINDOW_EXECUTE_DEFAULTS}), and then one line
 * with a word stands behind it, so that the executor's guards for emptied documents have nothing to say.
 */
import { toByteString } from './byte-string.ts';
import { executeWith } from './execute.ts';
import { type ExecuteOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import type { Reason } from './reasons.ts';
import { StrictExecutor } from './strict.ts';
import type { DialectName, OpRecord, Status, WindowProgram } from './types.ts';

/** Options of the executor that differ for windows: no guard against removing nearly everything. */
export const WINDOW_EXECUTE_DEFAULTS: Readonly<Pick<ExecuteOptions, 'minKeptRatio'>> =
  Object.freeze({ minKeptRatio: 0 });

/** Options of the strict executor over windows. */
export type WindowExecuteOptions = Omit<ExecuteOptions, 'dialect' | 'executor'>;

/** Most empty lines that are put in front of a window: longer documents are refused. */
export const MAX_LINE_START = 2 ** 24;

/** Lines of a document and the number of the first. */
export interface WindowText {
  readonly text: string;
  /** 0-based number of the first line, at most {@link MAX_LINE_START}. */
  readonly lineStart: number;
}

/** What became of a window. */
export interface JudgedWindow {
  /** What is left: the window's own text where nothing was done, "" where it was dropped. */
  readonly text: string;
  readonly status: Status;
  readonly reason: string;
  /** One record a call, with the document's line numbers. */
  readonly ops: readonly OpRecord[];
  /** `Uint8Array[nLines]`: 1 for a removed line of the window. */
  readonly removedLines: Uint8Array;
  /**
   * `Uint8Array[nBytes]`: 1 for a removed byte of the window's UTF-8. Of a replaced string those bytes count as removed
   * that are not in the common beginning or end of both strings, whole characters each.
   */
  readonly removedBytes: Uint8Array;
  /** True when some op put text in: a target string that is not empty, or a line. */
  readonly adds: boolean;
}

const BEHIND = '\nbehind';

const REMOVING = new Set(['remove_lines', 'drop_chunk', 'drop_doc', 'remove_all']);

/** Runs programs over windows, one after the other; buffers are reused. */
export class WindowExecutor {
  readonly #options: WindowExecuteOptions;
  readonly #executors = new Map<DialectName, StrictExecutor>();

  /** @throws OPTION_INVALID */
  constructor(options: WindowExecuteOptions = {}) {
    this.#options = { ...WINDOW_EXECUTE_DEFAULTS, ...options };
    this.resolved('prox');
  }

  /** The executor's options with nothing left out. @throws OPTION_INVALID */
  resolved(dialect: DialectName): ResolvedOptions {
    return resolveOptions({ ...this.#options, dialect, executor: 'strict' });
  }

  /** Runs the programs of one window; they number lines as the document does. */
  run(
    { text, lineStart }: WindowText,
    programs: readonly WindowProgram[],
    dialect: DialectName,
  ): JudgedWindow {
    const bytes = toByteString(text);
    const { executor, behind } = this.#executorFor(dialect, lineStart, bytes.length);
    const padded = '\n'.repeat(lineStart) + text + behind;
    const outcome = executeWith(executor, padded, programs);
    const { ops } = outcome;
    // Where every line is gone, the line feed that begins BEHIND is gone too.
    const isEmptied = behind !== '' && outcome.text.length === lineStart + behind.length - 1;
    const status = isEmptied ? 'dropped' : outcome.status;
    const reason = isEmptied ? emptiedBy(ops) : outcome.reason;
    const nLines = text.split('\n').length;
    const removedLines = new Uint8Array(nLines);
    const removedBytes = new Uint8Array(bytes.length);
    const judged = { status, reason, ops, removedLines, removedBytes };
    if (status === 'dropped') {
      removedLines.fill(1);
      removedBytes.fill(1);
      return { ...judged, text: '', adds: false };
    }
    if (status !== 'edited') return { ...judged, text, adds: false };
    let adds = false;
    for (const { op, lineStart: first, lineEnd, count, skipped } of ops) {
      if (skipped !== null || count === 0) continue;
      if (op === 'add_line') adds = true;
      else if (REMOVING.has(op)) {
        removedLines.fill(1, Math.max(0, first - lineStart), Math.max(0, lineEnd - lineStart));
      }
    }
    const { starts, ends, texts } = executor.claims;
    for (let claim = 0; claim < starts.length; claim++) {
      const from = starts[claim]! - lineStart;
      const source = bytes.slice(Math.max(0, from), ends[claim]! - lineStart);
      const target = texts[claim]!;
      if (target !== '') adds = true;
      const head = target === '' ? 0 : commonStart(source, target);
      const tail = target === '' ? 0 : commonEnd(source.slice(head), target.slice(head));
      const base = Math.max(0, from);
      removedBytes.fill(1, base + head, base + source.length - tail);
    }
    const end = outcome.text.length - behind.length;
    return { ...judged, text: withoutPadding(outcome.text.slice(0, end), lineStart), adds };
  }

  /** The executor, and what stands behind the window. */
  #executorFor(
    dialect: DialectName,
    lineStart: number,
    nBytes: number,
  ): { readonly executor: StrictExecutor; readonly behind: string } {
    const options = this.resolved(dialect);
    const behind = options.minKeptRatio === 0 && options.minWords === 0 ? BEHIND : '';
    const nPadding = lineStart + behind.length;
    if (options.maxGrowthRatio !== 1 && nPadding > 0) {
      // The bound is on the window: its padding may not grow.
      const most = nPadding + Math.floor(nBytes * options.maxGrowthRatio);
      const maxGrowthRatio = (most + 0.5) / (nPadding + nBytes);
      return { executor: new StrictExecutor({ ...options, maxGrowthRatio }), behind };
    }
    let executor = this.#executors.get(dialect);
    if (!executor) {
      executor = new StrictExecutor(options);
      this.#executors.set(dialect, executor);
    }
    return { executor, behind };
  }
}

/** The executor's own reason for a document of which every line is gone. */
function emptiedBy(ops: readonly OpRecord[]): Reason {
  const byLines = ops.some(({ op, count }) => op === 'remove_lines' && count > 0);
  return byLines ? 'all_removed' : 'drop_doc';
}

/** The text behind the empty lines; when the window's last line went, its line feed was the padding's. */
function withoutPadding(text: string, lineStart: number): string {
  return text.length < lineStart ? '' : text.slice(lineStart);
}

/** Bytes that both begin with, whole characters. */
function commonStart(left: string, right: string): number {
  const most = Math.min(left.length, right.length);
  let at = 0;
  while (at < most && left[at] === right[at]) at++;
  while (at > 0 && (isContinuation(left, at) || isContinuation(right, at))) at--;
  return at;
}

/** Bytes that both end with, whole characters. */
function commonEnd(left: string, right: string): number {
  const most = Math.min(left.length, right.length);
  let length = 0;
  while (length < most && left.at(-1 - length) === right.at(-1 - length)) length++;
  while (length > 0 && isContinuation(left, left.length - length)) length--;
  return length;
}

function isContinuation(bytes: string, at: number): boolean {
  return at < bytes.length && (bytes.charCodeAt(at) & 0xc0) === 0x80;
}
