/**
 * `--events-fd`: what happens in a run, for a program that reads along, as JSON lines on a descriptor of its own. The exit codes
 * of runs to standard output are told apart here too, as such a program has to know whether to try again.
 *
 *     {"event":"begin", …}                     the stream has begun (docs/streams.md lists the fields)
 *     {"event":"batch","sequence":0, …}        a record batch of standard input has been answered
 *     {"event":"progress", …}                  runs with an output folder
 *     {"event":"notice","message":"…"}
 *     {"event":"error","code":"…","message":"…"}
 *     {"event":"end","exitCode":0, …}          the last line
 *
 * Invariants
 *  1. A reader that is slow or gone never holds the run up: what waits for it is bounded, and what is left out is counted.
 *  2. Lines hold no text of a document.
 */
import { fstatSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { GristmillError, isGristmillError } from '../errors.ts';
import type { RefineProgress, StreamEvent } from '../refine/run-options.ts';
import type { RunSummary } from '../refine/statistics.ts';
import { version } from '../version.ts';
import { FailureWithExit } from './errors.ts';
import { INTERRUPTED } from './first-signals.ts';
import { onOutputClosed } from './output-closed.ts';

/** Version of the lines. */
const PROTOCOL = 1;

/** Exit codes of a run to standard output, besides those that every command has. */
export const STREAM_EXIT = Object.freeze({
  /** The input is none that can be read: another try ends alike. */
  badInput: 4,
  /** A process of ours died: another try may go well. */
  engineDied: 5,
  /** Nobody reads the output any more; 128 + SIGPIPE, as a shell has it. */
  outputClosed: 141,
});

/** Bytes that wait for a reader before batches and progress are left out. */
const MAX_WAITING_BYTES = 8 * 2 ** 20;
/** Time for the last lines to reach a reader that does not read. */
const LAST_LINES_MS = 1_000;

/** See the file's header. */
export interface RunEvents extends AsyncDisposable {
  readonly progress: (told: RefineProgress) => void;
  readonly notice: (message: string) => void;
  readonly streamed: (told: StreamEvent) => void;
  ended(summary: RunSummary): void;
  /** Tells of a failure. @returns what is to be thrown on */
  failed(error: unknown): unknown;
}

/**
 * @param descriptor null for nobody who reads along
 * @param isStream whether the run writes to standard output
 * @throws OPTION_INVALID when it cannot be written to
 */
export function openEvents(descriptor: number | undefined, isStream: boolean): RunEvents {
  const lines = descriptor === undefined ? null : openLines(descriptor);
  const say = (event: string, fields: object): void => lines?.write({ event, ...fields });
  let isTold = false;
  const told = (exitCode: number, fields: object): void => {
    if (isTold) return;
    isTold = true;
    const nLeftOut = lines?.nLeftOut ?? 0;
    say('end', { exitCode, ...(nLeftOut > 0 && { eventsLeftOut: nLeftOut }), ...fields });
  };
  if (isStream) {
    onOutputClosed(() => {
      say('error', { code: 'OUTPUT_CLOSED', message: 'nobody reads standard output any more' });
      told(STREAM_EXIT.outputClosed, {});
      return STREAM_EXIT.outputClosed;
    });
  }
  return {
    progress: (fields) => say('progress', fields),
    notice: (message) => say('notice', { message }),
    streamed({ kind, ...fields }) {
      say(kind, kind === 'begin' ? { protocol: PROTOCOL, version, ...fields } : fields);
    },
    ended: (summary) => told(Number(process.exitCode ?? 0), { summary }),
    failed(error) {
      const exitCode = exitCodeOf(error, isStream);
      const isCoded = error instanceof GristmillError;
      const code = isCoded ? error.code : 'UNEXPECTED';
      const message = error instanceof Error ? error.message : String(error);
      say('error', { code, message });
      told(exitCode, {});
      return isStream ? new FailureWithExit(error, exitCode) : error;
    },
    async [Symbol.asyncDispose]() {
      // An interrupt is no failure: it has neither been told nor thrown on.
      told(Number(process.exitCode ?? 0), { interrupted: process.exitCode === INTERRUPTED });
      await lines?.close();
    },
  };
}

/** @param isStream whether the codes of {@link STREAM_EXIT} are */
function exitCodeOf(error: unknown, isStream: boolean): number {
  if (!isGristmillError(error)) return 1;
  const { code } = error;
  if (code === 'OPTION_INVALID') return 2;
  if (code === 'ABORTED') return INTERRUPTED;
  if (!isStream) return 1;
  if (code === 'RUN_STREAM_CUT' || code === 'ENGINE_PROCESS_DIED') return STREAM_EXIT.engineDied;
  const isInput = code.startsWith('CORPUS_') && code !== 'CORPUS_WRITE_FAILED';
  return isInput || code === 'RUN_ROW_REJECTED' ? STREAM_EXIT.badInput : 1;
}

interface Lines {
  readonly nLeftOut: number;
  write(event: { readonly event: string }): void;
  close(): Promise<void>;
}

/** @throws OPTION_INVALID */
function openLines(descriptor: number): Lines {
  let socket: Socket | null = null;
  try {
    const status = fstatSync(descriptor);
    // Files never make a writer wait; pipes do, and must not make the event loop wait.
    if (status.isFIFO() || status.isSocket()) {
      socket = new Socket({ fd: descriptor, readable: false, writable: true });
    } else writeSync(descriptor, '');
  } catch (cause) {
    const expected = 'an open descriptor that can be written to';
    const received = `${descriptor}: ${(cause as Error).message}`;
    const details = { option: 'eventsFd', expected, received };
    throw new GristmillError('OPTION_INVALID', details, { cause });
  }
  let isGone = false;
  let nLeftOut = 0;
  socket?.unref();
  socket?.on('error', () => {
    isGone = true;
  });
  return {
    get nLeftOut() {
      return nLeftOut;
    },
    write(event) {
      const line = `${JSON.stringify(event)}\n`;
      if (isGone) return;
      if (!socket) return void writeSync(descriptor, line);
      const isMuch = socket.writableLength > MAX_WAITING_BYTES;
      if (isMuch && (event.event === 'batch' || event.event === 'progress')) nLeftOut++;
      else socket.write(line);
    },
    async close() {
      if (!socket || isGone) return;
      const last = socket;
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, LAST_LINES_MS);
        last.once('error', () => resolve());
        last.end(() => {
          clearTimeout(late);
          resolve();
        });
      });
      last.destroy();
    },
  };
}
