/**
 * Windows over a page's lines: each line is owned by one window and seen with lines around it.
 *
 *     lines      0 ─────────────────────────────────────────── nLines
 *     window 0   [ owned ············ | seen ]
 *     window 1             [ seen | owned ······· | seen ]
 *
 * A verdict counts in the window that owns the line (single ownership as in UltraX, arXiv 2607.08646).
 */

/** Lines of context on each side of a window's own lines, at most; a quarter of the window where that is less. */
const MAX_OVERLAP = 64;

/** Lines `from..to-1` are seen, lines `first..last-1` owned. */
export interface LineWindow {
  readonly from: number;
  readonly to: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Plans the windows of a page.
 *
 * @param nCtx lines of a window, at most; at least 1
 */
export function planLineWindows(nLines: number, nCtx: number): LineWindow[] {
  const overlap = Math.min(MAX_OVERLAP, nCtx >> 2);
  const windows: LineWindow[] = [];
  for (let first = 0; first < nLines; ) {
    const from = Math.max(0, first - overlap);
    const to = Math.min(nLines, from + nCtx);
    const last = to === nLines ? nLines : to - overlap;
    windows.push({ from, to, first, last });
    first = last;
  }
  return windows;
}
