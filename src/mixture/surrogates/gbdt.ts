/**
 * Gradient-boosted trees (leaf-wise, binned weights), RegMix's own surrogate (arXiv 2407.01492 §3.2), natively.
 *
 * The published settings: 31 leaves, learning rate 0.01, at most 1000 rounds, 255 bins, squared loss. The number of
 * rounds comes from a seeded fifth of the runs that are held out, never from test runs as in the published notebook; then
 * all runs are fitted with that number. Below {@link GBDT_DEFAULTS.minHeldOut} held-out runs their error says nothing
 * and all rounds are made.
 *
 * Leaves hold at least 20 runs as published, but no more than a twelfth of them (two at least): with 64 runs leaves of 20
 * leave next to nothing to split. There is no deviation and no gradient.
 */
import { native } from '../../native/index.ts';
import type { SurrogateRows, TreesFit } from '../../native/mixture.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import type { FittedSurrogate, SurrogateData, SurrogateFamily } from '../types.ts';
import { checkFit, constantFit, constantOf, countMixtures, FittedReader } from './fitted-json.ts';
import { dataOf, rowsOf } from './rows.ts';

/** Settings of boosting. */
export const GBDT_DEFAULTS = Object.freeze({
  nRounds: 1000,
  nLeaves: 31,
  /** At most; see {@link minLeafOf}. */
  minLeaf: 20,
  maxBins: 255,
  learningRate: 0.01,
  /** Share of the runs that choose the number of rounds. */
  heldOut: 0.2,
  /** Fewest held-out runs that may choose it. */
  minHeldOut: 10,
  patience: 100,
});
const HAS = { deviation: false, gradient: false };

/** Fewest runs of a leaf when `nRuns` are fitted. */
export function minLeafOf(nRuns: number): number {
  return Math.min(GBDT_DEFAULTS.minLeaf, Math.max(2, Math.floor(nRuns / 12)));
}

/** Boosts, on all rows unless some are held out to stop at. */
function boost(
  rows: SurrogateRows,
  nRounds: number,
  signal: AbortSignal | undefined,
  heldOut: Pick<SurrogateRows, 'weights' | 'losses'> | null = null,
): Promise<TreesFit> {
  const { nLeaves, maxBins, learningRate, patience } = GBDT_DEFAULTS;
  const request = {
    ...rows,
    heldOutWeights: heldOut?.weights ?? new Float64Array(),
    heldOutLosses: heldOut?.losses ?? new Float64Array(),
    minLeaf: minLeafOf(rows.losses.length),
    ...{ nRounds, nLeaves, maxBins, learningRate, patience },
  };
  return native().mixture.fitTrees(request, signal);
}

/** Trees of so many rounds, nothing held out. */
export async function boostRounds(
  data: SurrogateData,
  nRounds: number,
  signal: AbortSignal | undefined,
): Promise<FittedSurrogate> {
  return fitted(data.nDomains, await boost(rowsOf(data), nRounds, signal));
}

/** Rounds of fitted trees. */
export function roundsOf(surrogate: FittedSurrogate): number {
  return (surrogate as FittedTrees).nRounds;
}

interface FittedTrees extends FittedSurrogate {
  readonly nRounds: number;
}

export const gbdt: SurrogateFamily = {
  name: 'gbdt',
  minRuns: () => 8,
  async fit(data, { seed = 0, signal } = {}) {
    checkFit(gbdt, data, signal);
    const constant = constantOf(data.losses);
    if (constant !== null) return constantFit('gbdt', data.nDomains, constant, HAS);
    const nRounds = await chooseRounds(data, seed, signal);
    return boostRounds(data, nRounds, signal);
  },
  fromJson(json) {
    const reader = new FittedReader('gbdt', json);
    const { nDomains } = reader;
    if (reader.has('constant')) {
      return constantFit('gbdt', nDomains, reader.number('constant'), HAS);
    }
    const domains = reader.integers('domains', -1, nDomains - 1);
    const nNodes = domains.length;
    const trees: TreesFit = {
      base: reader.number('base'),
      roots: reader.integers('roots', 0, nNodes - 1),
      domains,
      children: reader.integers('children', 0, nNodes - 2, nNodes),
      splits: reader.numbers('splits', nNodes),
    };
    // A walk through the trees ends because every step goes to a later node.
    for (let node = 0; node < nNodes; node++) {
      if (domains[node]! < 0 || trees.children[node]! > node) continue;
      throw reader.refuse(`children[${node}]: expected a later node`);
    }
    return fitted(nDomains, trees);
  },
};

async function chooseRounds(
  data: SurrogateData,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { nRounds, heldOut, minHeldOut } = GBDT_DEFAULTS;
  const nHeldOut = Math.floor(data.nRuns * heldOut);
  if (nHeldOut < minHeldOut) return nRounds;
  const order = Int32Array.from({ length: data.nRuns }, (_, run) => run);
  shuffle(order, seededRandom(seed));
  const held = rowsOf(dataOf(data, order.subarray(0, nHeldOut)));
  const trees = await boost(rowsOf(dataOf(data, order.subarray(nHeldOut))), nRounds, signal, held);
  return Math.max(1, trees.roots.length);
}

function fitted(nDomains: number, trees: TreesFit): FittedTrees {
  return {
    family: 'gbdt',
    nDomains,
    nRounds: trees.roots.length,
    predict(weights) {
      countMixtures(weights, nDomains);
      return { mean: native().mixture.predictTrees(trees, nDomains, weights), deviation: null };
    },
    gradient: () => null,
    toJson: () => ({
      family: 'gbdt',
      nDomains,
      base: trees.base,
      roots: Array.from(trees.roots),
      domains: Array.from(trees.domains),
      children: Array.from(trees.children),
      splits: Array.from(trees.splits),
    }),
  };
}
