/** Packing of windows into sequences of a fixed length. */

/**
 * Puts windows into sequences, each into the first of the last few that has room; no window is cut.
 *
 * @param lengths of the windows, in the order in which they are placed; one longer than `capacity` is left out
 * @param nOpen how many sequences a window is tried on; more than a few dozen pack little tighter
 * @returns for each sequence the indices of its windows, in the order in which they lie
 */
export function packFirstFit(lengths: ArrayLike<number>, capacity: number, nOpen = 24): number[][] {
  const sequences: number[][] = [];
  const room: number[] = [];
  for (let window = 0; window < lengths.length; window++) {
    const size = lengths[window]!;
    if (size > capacity) continue;
    let at = Math.max(0, sequences.length - nOpen);
    while (at < sequences.length && room[at]! < size) at++;
    if (at === sequences.length) {
      sequences.push([]);
      room.push(capacity);
    }
    sequences[at]!.push(window);
    room[at]! -= size;
  }
  return sequences;
}
