/** The measure of line refiners that a threshold cannot flatter: noise removed for a bound on what is lost. */

/**
 * Share of noise characters removed by the highest threshold that keeps a share of content characters.
 *
 * @param scores keep score of each line
 * @param signedChars characters of each line, negative for noise
 * @param bounds shares of content characters to keep, 0..1
 */
export function noiseRemovedAt(
  scores: ArrayLike<number>,
  signedChars: ArrayLike<number>,
  bounds: readonly number[],
): Record<string, number> {
  const order = Uint32Array.from(scores, (_, line) => line);
  order.sort((left, right) => scores[left]! - scores[right]!);
  let content = 0;
  let noise = 0;
  for (let line = 0; line < signedChars.length; line++) {
    const chars = signedChars[line]!;
    if (chars > 0) content += chars;
    else noise -= chars;
  }
  const best = bounds.map(() => 0);
  let contentRemoved = 0;
  let noiseRemoved = 0;
  for (let at = 0; at < order.length; at++) {
    const chars = signedChars[order[at]!]!;
    if (chars > 0) contentRemoved += chars;
    else noiseRemoved -= chars;
    if (at + 1 < order.length && scores[order[at + 1]!] === scores[order[at]!]) continue;
    const keptShare = content === 0 ? 1 : (content - contentRemoved) / content;
    bounds.forEach((bound, index) => {
      if (keptShare >= bound) best[index] = noise === 0 ? 0 : noiseRemoved / noise;
    });
  }
  return Object.fromEntries(bounds.map((bound, index) => [String(bound), best[index]!]));
}
