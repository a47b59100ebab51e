/** Interrupts of a long command: the first one ends it in good order, the second one at once. */
import { isGristmillError } from '../errors.ts';

/**
 * Aborts `controller` at the first SIGINT or SIGTERM; the second leaves with code 130.
 *
 * @param what said to the person, e.g. `finishing the units in flight`
 * @returns takes the handlers away
 */
export function onInterrupt(controller: AbortController, what: string): () => void {
  const handler = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    process.stderr.write(`\ngristmill: ${what}; interrupt again to stop at once\n`);
  };
  process.on('SIGINT', handler);
  process.on('SIGTERM', handler);
  return () => {
    process.off('SIGINT', handler);
    process.off('SIGTERM', handler);
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
    process.stderr.write(`gristmill: interrupted: ${ended}\n`);
    process.exitCode = 130;
  } finally {
    restore();
  }
}
