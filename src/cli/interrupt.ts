/** Interrupts of a long command: the first one ends it in good order, the second one at once. */

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
