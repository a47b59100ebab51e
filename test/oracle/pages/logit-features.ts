/**
 * A first model's log-odds around each line, as features of a second model: a line between sure content is content.
 *
 * Columns: the line's own log-odds; those of the lines at −4..−1 and 1..4; means and maxima over windows; the page's
 * mean and best; the place of the line in the page's order; where the stretch with the largest sum lies.
 */

const OFFSETS = [-4, -3, -2, -1, 1, 2, 3, 4] as const;
/** [lines before, lines after] */
const MEANS = [
  [1, 1],
  [3, 3],
  [8, 8],
  [20, 20],
  [5, 0],
  [0, 5],
  [15, 0],
  [0, 15],
] as const;
const N_REST = 12;

/** Columns of {@link logitFeatures}. */
export const N_LOGIT_FEATURES = 1 + OFFSETS.length + MEANS.length + N_REST;

/** Log-odds further out say no more. */
const CLAMP = 8;
/** Stands for lines beyond the page: surely no content. */
const OUTSIDE = -6;

/**
 * Features of one page's lines.
 *
 * @param logits log-odds of "keep" by line
 * @param logChars log2(1 + characters) by line
 * @returns `[nLines × N_LOGIT_FEATURES]`, row-major
 */
export function logitFeatures(logits: Float32Array, logChars: Float32Array): Float32Array {
  const nLines = logits.length;
  const clamped = logits.map((logit) => Math.max(-CLAMP, Math.min(CLAMP, logit)));
  const features = new Float32Array(nLines * N_LOGIT_FEATURES);
  const sums = new Float64Array(nLines + 1);
  const charSums = new Float64Array(nLines + 1);
  let chars = 0;
  for (let line = 0; line < nLines; line++) {
    sums[line + 1] = sums[line]! + clamped[line]!;
    const own = 2 ** logChars[line]!;
    chars += own;
    charSums[line + 1] = charSums[line]! + own / (1 + Math.exp(-clamped[line]!));
  }
  const sorted = Float32Array.from(clamped).sort();
  const best = bestStretch(clamped);
  const lastSure = new Int32Array(nLines);
  let sure = -1;
  for (let line = 0; line < nLines; line++) {
    lastSure[line] = sure;
    if (clamped[line]! > 0) sure = line;
  }
  let nextSure = -1;
  for (let line = nLines - 1; line >= 0; line--) {
    const row = line * N_LOGIT_FEATURES;
    let column = row;
    features[column++] = clamped[line]!;
    for (const offset of OFFSETS) {
      const other = line + offset;
      features[column++] = other < 0 || other >= nLines ? OUTSIDE : clamped[other]!;
    }
    for (const [before, after] of MEANS) {
      const start = Math.max(0, line - before);
      const end = Math.min(nLines, line + after + 1);
      const others = end - start - 1;
      features[column++] =
        others <= 0 ? OUTSIDE : (sums[end]! - sums[start]! - clamped[line]!) / others;
    }
    features[column++] = sums[nLines]! / nLines;
    features[column++] = sorted[nLines - 1]!;
    features[column++] = rank(sorted, clamped[line]!) / nLines;
    // Content characters expected before, after, and on the page.
    features[column++] = Math.log2(1 + charSums[line]!);
    features[column++] = Math.log2(1 + charSums[nLines]! - charSums[line + 1]!);
    features[column++] = charSums[nLines]! / Math.max(1, chars);
    features[column++] = lastSure[line]! < 0 ? 12 : Math.log2(1 + line - lastSure[line]!);
    features[column++] = nextSure < 0 ? 12 : Math.log2(1 + nextSure - line);
    const inside = line >= best.start && line < best.end;
    const outside = line < best.start ? best.start - line : line - best.end + 1;
    features[column++] = inside ? 1 : 0;
    features[column++] = inside ? 0 : Math.log2(1 + outside) * (line < best.start ? -1 : 1);
    features[column++] = largest(clamped, line, { from: 1, to: 8 });
    features[column++] = largest(clamped, line, { from: -8, to: -1 });
    if (clamped[line]! > 0) nextSure = line;
  }
  return features;
}

/** The stretch of lines with the largest sum of log-odds. */
function bestStretch(logits: Float32Array): { readonly start: number; readonly end: number } {
  let best = 0;
  let stretch = { start: 0, end: 0 };
  let sum = 0;
  let start = 0;
  for (let line = 0; line < logits.length; line++) {
    sum += logits[line]!;
    if (sum <= 0) {
      sum = 0;
      start = line + 1;
    } else if (sum > best) {
      best = sum;
      stretch = { start, end: line + 1 };
    }
  }
  return stretch;
}

/** How many values of `sorted` are below `value`. */
function rank(sorted: Float32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The largest log-odds among the lines `from..to` away. */
function largest(
  logits: Float32Array,
  line: number,
  { from, to }: { readonly from: number; readonly to: number },
): number {
  let found = OUTSIDE;
  const end = Math.min(logits.length - 1, line + to);
  for (let other = Math.max(0, line + from); other <= end; other++) {
    if (logits[other]! > found) found = logits[other]!;
  }
  return found;
}
