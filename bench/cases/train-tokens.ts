/** Tokens of the training cases: something can be learnt from them. */

/** A seeded chain in which every token has four equally likely successors. */
export function chain(nVocab: number, length: number): Int32Array {
  let state = 12345;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  const tokens = new Int32Array(length);
  for (let at = 1; at < length; at++) {
    tokens[at] = (tokens[at - 1]! * 7 + (next() % 4) * 13 + 1) % nVocab;
  }
  return tokens;
}
