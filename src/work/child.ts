/**
 * A child process of ours with a channel: it never outlives this process, nor the thread that started it, and its last
 * words are kept.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { native } from '../native/index.ts';

/** Bytes of a child's standard error that are kept: its end. */
const KEPT_BYTES = 8192;
/** A grandchild may keep the pipe open. */
const LAST_WORDS_MS = 500;
const MAX_WORDS = 160;

/** A started child. */
export interface Child {
  readonly process: ChildProcess;
  /** Why it ended; null while it runs. */
  readonly exit: string | null;
  /** The last lines that it wrote to its standard error, on one line; `none` where there are none. */
  lastWords(): string;
}

/**
 * Starts a script that imports child-life.ts first.
 *
 * @param onEnd called once, when it has ended (or could not be started) and its last words are there
 */
export function startChild(file: string, onEnd: (exit: string) => void): Child {
  const started = fork(file, [String(process.pid)], {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // The message of an abort is what is wanted, not a debugger that looks for the place.
    env: { ...process.env, GGML_NO_BACKTRACE: '1' },
  });
  const owned = started.pid === undefined ? null : new (native().OwnedChild)(started.pid);
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
