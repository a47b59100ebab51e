/**
 * What SIGINT and SIGTERM do while no command listens to them: the process leaves with 130, as it does in every later
 * phase. Loaded before anything else, since a signal may come while the rest is still being loaded; it imports nothing.
 */

/** Exit code of a command that was interrupted. */
export const INTERRUPTED = 130;

/** What is said then. */
export const INTERRUPTED_WORDS = 'interrupted: run the same command again';

let leave = (): never => process.exit(INTERRUPTED);
/** Commands that listen themselves. */
let nListening = 0;

function onSignal(): void {
  if (nListening > 0) return;
  process.stderr.write(`gristmill: ${INTERRUPTED_WORDS}\n`);
  leave();
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

/** How to leave, once more is loaded than this. */
export function leaveBy(how: () => never): void {
  leave = how;
}

/** Leaves signals to the caller, until it calls what is returned. */
export function takeSignals(): () => void {
  nListening++;
  return () => {
    nListening--;
  };
}
