/**
 * A child process of ours with a channel: it never outlives this process, nor the thread that started it, and its last
 * words are kept.
 *
 * On the main thread nothing native is needed for that: a parent that ends takes its children along (child-life.ts). A
 * thread that ends leaves the process, which must not keep the child, nor what is left of one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { isMainThread } from 'node:worker_threads';
import { native } from '../native/index.ts';

/** Bytes of a child's standard error that are kept: its end. */
const KEPT_BYTES = 8192;
/** A grandchild may keep the pipe open. */
const LAST_WORDS_MS = 500;
const MAX_WORDS = 160;

/** Descriptor that {@link ChildOptions.shared} has in the child. */
export const SHARED_DESCRIPTOR = 4;

/** How a child is started. */
export interface ChildOptions {
  /** Gives the child this process's standard input and output; default: it has none. */
  readonly hasStreams?: boolean;
  /** An open file that the child finds as {@link SHARED_DESCRIPTOR}. */
  readonly shared?: number | null;
  /** Variables besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A started child. */
export interface Child {
  readonly process: ChildProcess;
  /** Why it ended; null while it runs. */
  readonly exit: string | null;
  /** The last lines that it wrote to its standard error, on one line; `none` where there are none. */
  lastWords(): string;
}

/**
 * Of Node, for children. A young heap is small, and pieces of network answers count as if they lay in it: it was marked anew
 * after every 14 MB that came, which was half of what reading from a bucket cost.
 */
export const CHILD_FLAGS: readonly string[] = Object.freeze(['--initial-old-space-size=64']);

/**
 * Starts a script that imports child-life.ts first.
 *
 * @param onEnd called once, when it has ended (or could not be started) and its last words are there
 */
export function startChild(
  file: string,
  onEnd: (exit: string) => void,
  { hasStreams = false, shared = null, env = {} }: ChildOptions = {},
): Child {
  const own = hasStreams ? 'inherit' : 'ignore';
  const started = fork(file, [String(process.pid)], {
    serialization: 'advanced',
    execArgv: [...CHILD_FLAGS],
    stdio: [own, own, 'pipe', 'ipc', ...(shared === null ? [] : [shared])],
    // The message of an abort is what is wanted, not a debugger that looks for the place.
    env: { ...process.env, ...env, GGML_NO_BACKTRACE: '1' },
  });
  const isOwned = !isMainThread && started.pid !== undefined;
  const owned = isOwned ? new (native().OwnedChild)(started.pid) : null;
  let tail = Buffer.alloc(0);
  started.stderr?.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk]).subarray(-KEPT_BYTES);
  });
  let exit: string | null = null;
  let isTold = false;
  const ended = (reason: string): void => {
    exit ??= reason;
    owned?.release();
    if (isTold) return;
    isTold = true;
    onEnd(exit);
  };
  started.on('error', (error) => {
    if (started.pid === undefined || started.exitCode !== null) ended(error.message);
  });
  started.on('exit', (code, signal) => {
    exit = signal ?? `exit code ${code}`;
    owned?.release();
    setTimeout(() => ended(''), LAST_WORDS_MS).unref();
  });
  started.on('close', () => ended('closed'));
  return {
    process: started,
    get exit() {
      return exit;
    },
    lastWords: () => wordsOf(tail),
  };
}

/** The end of what was written, whole lines first of all; at most {@link MAX_WORDS} characters. */
function wordsOf(bytes: Buffer): string {
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  let words = lines.pop() ?? 'none';
  for (let line = lines.pop(); line !== undefined; line = lines.pop()) {
    if (line.length + words.length + 3 > MAX_WORDS) break;
    words = `${line} | ${words}`;
  }
  return words.slice(0, MAX_WORDS);
}
