/**
 * What happens where what is said cannot be written.
 *
 * The end of standard output's reader means nothing, as for `| head`, unless a command has something to say. Anything else
 * that keeps what we say from its reader (a full disk behind a redirection) is a failure of ours, and there may be nobody
 * left to tell.
 */

/** Exit code then. */
const OUTPUT_FAILED = 1;

let beforeLeaving = (): number => 0;

/** @param listener called when the reader has closed its end; gives the exit code */
export function onOutputClosed(listener: () => number): void {
  beforeLeaving = listener;
}

/** Listens to what becomes of the process's output. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Nobody reads on.
    if (error.code === 'EPIPE') process.exit(beforeLeaving());
    const said = `gristmill: standard output: ${error.message}\n`;
    process.stderr.write(said, () => process.exit(OUTPUT_FAILED));
  });
  process.stderr.on('error', () => {
    process.exitCode = OUTPUT_FAILED;
  });
}
