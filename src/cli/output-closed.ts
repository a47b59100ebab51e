/** What the end of standard output's reader means: nothing, as for `| head`, unless a command has something to say. */

let beforeLeaving = (): number => 0;

/** @param listener called when the reader has closed its end; gives the exit code */
export function onOutputClosed(listener: () => number): void {
  beforeLeaving = listener;
}

/** Leaves: nobody reads on. */
export function leaveClosed(): never {
  process.exit(beforeLeaving());
}
