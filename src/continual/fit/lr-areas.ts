/**
 * Areas of learning-rate curves that loss laws are functions of.
 *
 *     S1(t) = Σ_{i ≤ t} η_i                                             rate that was spent
 *     S2(t) = Σ_{i ≤ t} m_i,  m_i = λ m_{i−1} + (η_{i−1} − η_i)         annealing: falls of the rate, remembered for 1 / (1 − λ) steps
 *
 * Every phase has areas of its own, its momentum starting at 0. In the first phase the way up to the peak counts as if
 * the peak held, as in the law's published code; in the second the first fall is that from the last rate of the first
 * phase, and a re-warming counts with its sign, as area below nothing. Both are our reading of the CPT law, which was
 * not checked against its authors' code.
 *
 * @see arXiv 2408.11029, equation 1 (S1, S2, λ = 0.999); 2505.07796 (two phases)
 */

/** Areas after every step, `[nSteps]` of both phases. */
export interface LrAreas {
  readonly firstS1: Float64Array;
  readonly secondS1: Float64Array;
  readonly firstS2: Float64Array;
  readonly secondS2: Float64Array;
}

/**
 * Areas of a pre-training and a continuation.
 *
 * @param first rates of pre-training, by step
 * @param second rates of the continuation, by step; may be empty
 * @param lambda in 0..1, below 1
 */
export function lrAreas(first: Float64Array, second: Float64Array, lambda: number): LrAreas {
  const nSteps = first.length + second.length;
  const areas = {
    firstS1: new Float64Array(nSteps),
    secondS1: new Float64Array(nSteps),
    firstS2: new Float64Array(nSteps),
    secondS2: new Float64Array(nSteps),
  };
  let peakAt = 0;
  for (let step = 1; step < first.length; step++) if (first[step]! > first[peakAt]!) peakAt = step;
  const held = first.map((rate, step) => (step < peakAt ? first[peakAt]! : rate));
  let [s1, s2, momentum, last] = [0, 0, 0, held[0] ?? 0];
  for (const [step, rate] of held.entries()) {
    momentum = lambda * momentum + (last - rate);
    s1 += rate;
    s2 += momentum;
    last = rate;
    areas.firstS1[step] = s1;
    areas.firstS2[step] = s2;
  }
  areas.firstS1.fill(s1, first.length);
  areas.firstS2.fill(s2, first.length);
  if (first.length === 0) last = second[0] ?? 0;
  [s1, s2, momentum] = [0, 0, 0];
  for (const [step, rate] of second.entries()) {
    momentum = lambda * momentum + (last - rate);
    s1 += rate;
    s2 += momentum;
    last = rate;
    areas.secondS1[first.length + step] = s1;
    areas.secondS2[first.length + step] = s2;
  }
  return areas;
}
