/** Which of some names was meant by one that is not among them. */

/** Names further away are no slips of the hand. */
const MAX_DISTANCE = 3;
/** Longer names are not compared: the time is the product of both lengths. */
const MAX_LENGTH = 64;

/**
 * The name that `given` is most likely a misspelling of; null when none is near.
 *
 * Case, `-` and `_` count for nothing; else it is the distance with swaps of neighbours (Damerau), at most 3 and at
 * most 40 % of the length.
 */
export function nearestName(given: string, names: Iterable<string>): string | null {
  if (given.length > MAX_LENGTH) return null;
  const wanted = plain(given);
  let nearest: string | null = null;
  let least = Math.min(MAX_DISTANCE, Math.floor(wanted.length * 0.4)) + 1;
  for (const name of names) {
    if (name.length > MAX_LENGTH) continue;
    const distance = editDistance(wanted, plain(name));
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(left: string, right: string): number {
  const rows = [Array.from({ length: right.length + 1 }, (_, at) => at)];
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let at = 1; at <= right.length; at++) {
      const differs = left[row - 1] === right[at - 1] ? 0 : 1;
      let cost = Math.min(
        rows[row - 1]![at]! + 1,
        current[at - 1]! + 1,
        rows[row - 1]![at - 1]! + differs,
      );
      if (row > 1 && at > 1 && left[row - 1] === right[at - 2] && left[row - 2] === right[at - 1]) {
        cost = Math.min(cost, rows[row - 2]![at - 2]! + 1);
      }
      current.push(cost);
    }
    rows.push(current);
  }
  return rows[left.length]![right.length]!;
}
