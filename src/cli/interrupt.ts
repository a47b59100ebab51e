/**
 * Interrupts of a long command: the first one ends it in good order, the second one at once; the code is 130 both times.
 *
 * SIGTERM is an interrupt like SIGINT, and a signal to the whole group is one too: children leave it to this process.
 */
import { isGristmillError, printable } from '../errors.ts';
import { native } from '../native/index.ts';
import { INTERRUPTED, INTERRUPTED_WORDS, leaveBy, takeSignals } from './first-signals.ts';
import { say, sayAlways } from './say.ts';

leaveBy(() => exitNow());
let wasInterrupted = false;

/**
 * Aborts `controller` at the first SIGINT or SIGTERM; the second leaves at once.
 *
 * @param what said to the person, e.g. `finishing the units in flight`
 * @returns takes the handlers away
 */
export function onInterrupt(controller: AbortController, what: string): () => void {
  const handler = (): void => {
    if (controller.signal.aborted) exitNow();
    wasInterrupted = true;
    controller.abort();
    // A terminal shows ^C in this line.
    if (process.stderr.isTTY) process.stderr.write('\n');
    sayAlways(`${what}; interrupt again to stop at once`);
  };
  process.on('SIGINT', handler);
  process.on('SIGTERM', handler);
  const giveBack = takeSignals();
  return () => {
    giveBack();
    process.off('SIGINT', handler);
    process.off('SIGTERM', handler);
  };
}

/** Shows what a person should see of a run, a line on stderr; nothing with `--json`. */
export function noticePrinter(json: boolean): (line: string) => void {
  return (line) => {
    if (!json) say(printable(line));
  };
}

/** What a command says of an interrupt: while it ends, and when it has ended. */
export interface InterruptWords {
  readonly ending: string;
  readonly ended: string;
}

/** Runs a command whose work ends with ABORTED when it is interrupted: then the code is 130, and it says so. */
export async function untilInterrupted(
  { ending, ended }: InterruptWords,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const restore = onInterrupt(controller, ending);
  try {
    await run(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted || !isGristmillError(error, 'ABORTED')) throw error;
    sayAlways(`interrupted: ${ended}`);
    process.exitCode = INTERRUPTED;
  } finally {
    restore();
  }
}

/** Says that a command has ended by an interrupt, where it has no words of its own. */
export function sayInterrupted(): void {
  sayAlways(INTERRUPTED_WORDS);
}

/** Whether a failure is no more than the interrupt of the command. */
export function isInterrupt(error: unknown): boolean {
  return wasInterrupted && isGristmillError(error, 'ABORTED');
}

/**
 * Ends a command that was interrupted, when its work has ended: a read that was given up (of a FIFO, say) would keep the
 * process. What it has printed is written first.
 */
export async function leaveInterrupted(): Promise<void> {
  if (!wasInterrupted) return;
  const printed = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
  );
  await Promise.race([
    Promise.all(printed),
    // Nobody reads what stands in a pipe.
    new Promise((resolve) => setTimeout(resolve, 1_000)),
  ]);
  exitNow(Number(process.exitCode ?? 0));
}

/** Waits for nothing, as threads in a call of the kernel, and leaves the terminal with its cursor. */
function exitNow(code = INTERRUPTED): never {
  if (process.stderr.isTTY) process.stderr.write('\u001b[?25h');
  try {
    native().exitNow(code);
  } catch {
    // Without the addon nothing computes.
  }
  process.exit(code);
}
