/**
 * How far a command is, with the time that the rest takes: one line that is rewritten on a terminal, a line every ten seconds
 * elsewhere, nothing with --json or --quiet. (`refine` has a bar of its own, in progress.ts.)
 */
import { count } from '../figures.ts';
import type { OnProgress } from '../progress.ts';
import { duration } from './progress.ts';
import { endLine, isQuiet, replaceLine, say } from './say.ts';

const PLAIN_EVERY_MS = 10_000;
/** On a terminal: often enough to see it move. */
const REWRITE_EVERY_MS = 100;
/** What must be done, and for how long, before it says when the rest will be. */
const LEAST_SHARE = 0.02;
const LEAST_SECONDS = 2;

/** What is done of what is to do, in whatever unit. */
export interface Part {
  readonly done: number;
  readonly total: number;
}

/** See the file's header. */
export interface ProgressLine extends Disposable {
  /** @param part gives the time that the rest takes; what the first call calls done was done before */
  update(text: string, part?: Part): void;
  /** A line that stays. */
  keep(text: string): void;
  /** Ends the line; more may follow. */
  stop(): void;
}

/**
 * A line on stderr.
 *
 * @param atOnce whether the first one comes at once where there is no terminal: of commands that mostly take long
 */
export function progressLine(json = false, { atOnce = false } = {}): ProgressLine {
  const stream = process.stderr;
  const eta = etaOf();
  let last = stream.isTTY || atOnce ? 0 : Date.now();
  return {
    update(text, part) {
      if (json || isQuiet()) return;
      const rest = part === undefined ? null : eta(part, performance.now() / 1000);
      const waited = Date.now() - last;
      if (waited < (stream.isTTY ? REWRITE_EVERY_MS : PLAIN_EVERY_MS)) return;
      last = Date.now();
      const line = rest === null ? text : `${text} | ETA ${duration(rest)}`;
      if (stream.isTTY) replaceLine(stream, line);
      else say(line);
    },
    keep(text) {
      endLine();
      if (!json) say(text);
    },
    stop: endLine,
    [Symbol.dispose]: endLine,
  };
}

/** Has a line say how far a call is. */
export function tellOn(line: ProgressLine): OnProgress {
  return ({ phase, unit, done, total }) => {
    if (total === 0) line.update(`${phase} | ${count(done)} ${unit}`);
    else {
      const percent = ((100 * done) / total).toFixed(1);
      const text = `${phase} ${percent}% | ${count(done)} of ${count(total)} ${unit}`;
      line.update(text, { done, total });
    }
  };
}

/** Seconds until all is done; null while what was done says too little of it. */
export function etaOf(): (part: Part, nowSeconds: number) => number | null {
  let first: Part & { readonly at: number } = { done: 0, total: -1, at: 0 };
  let last = 0;
  return ({ done, total }, at) => {
    // Another total, or less done than before, is another piece of work.
    if (total !== first.total || done < last) first = { done, total, at };
    last = done;
    const [fresh, seconds] = [done - first.done, at - first.at];
    if (fresh <= 0 || seconds < LEAST_SECONDS || fresh < LEAST_SHARE * (total - first.done)) {
      return null;
    }
    return (seconds * Math.max(0, total - done)) / fresh;
  };
}
