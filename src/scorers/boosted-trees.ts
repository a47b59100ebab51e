/**
 * Gradient-boosted trees for a yes/no question, on features cut into at most 256 bins.
 *
 * Logistic loss, second-order gains (Chen and Guestrin 2016), trees grown by the best leaf over histograms with the
 * larger child's histogram by subtraction (Ke et al. 2017). Rows and features are sampled by a seeded generator and
 * every sum has one order: the same rows give the same trees.
 *
 *     columns   feature 0: bin of row 0, row 1, …   feature 1: …          [nFeatures × nRows]
 *     nodes     feature, cut, left child, right child (negative: leaf −1 − index)
 */
import { GristmillError, throwIfAborted } from '../errors.ts';
import type { BoostedTrees } from '../lines/stack.ts';
import { type Random, seededRandom } from '../seeded.ts';

/** Options of {@link trainBoostedTrees}. */
export interface BoostedTreesOptions {
  readonly nTrees: number;
  /** Leaves of a tree, at least 2. */
  readonly nLeaves: number;
  readonly learningRate: number;
  /** Smallest sum of second derivatives in a leaf. */
  readonly minHessian: number;
  /** Ridge on leaf values. */
  readonly lambda: number;
  /** Share of rows for each tree, 0..1. */
  readonly rowShare: number;
  /** Share of features for each tree, 0..1. */
  readonly featureShare: number;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** Rows to learn from. */
export interface BinnedRows {
  readonly nRows: number;
  readonly nFeatures: number;
  readonly maxBins: number;
  /** `[nFeatures × nRows]`, column-major. */
  readonly columns: Uint8Array;
  /** Wanted probability of yes, 0..1. */
  readonly targets: Float32Array;
  /** Rows of weight 0 are left out. */
  readonly weights: Float32Array;
}

interface Leaf {
  readonly start: number;
  readonly end: number;
  readonly gradient: number;
  readonly hessian: number;
  readonly histogram: Float64Array;
  readonly split: Split | null;
  /** Where the leaf hangs: a node and its side; −1 for the root. */
  readonly parent: number;
  readonly isLeft: boolean;
}

interface Split {
  readonly gain: number;
  readonly feature: number;
  readonly cut: number;
  readonly leftGradient: number;
  readonly leftHessian: number;
}

/**
 * Trains an ensemble.
 *
 * @throws TRAIN_DATA_TOO_SMALL without a row of weight; ABORTED
 */
export function trainBoostedTrees(rows: BinnedRows, options: BoostedTreesOptions): BoostedTrees {
  return new Trainer(rows, options).train();
}

class Trainer {
  readonly #rows: BinnedRows;
  readonly #options: BoostedTreesOptions;
  readonly #random: Random;
  readonly #usable: Int32Array;
  readonly #logits: Float32Array;
  readonly #gradients: Float32Array;
  readonly #hessians: Float32Array;
  /** Rows of the tree, partitioned in place; and a buffer of the same size. */
  readonly #order: Int32Array;
  readonly #spare: Int32Array;
  readonly #nodes: { feature: number; cut: number; left: number; right: number }[] = [];
  readonly #leaves: number[] = [];
  readonly #treeStarts = [0];
  readonly #leafStarts = [0];
  readonly #packedGradients: Float64Array;
  readonly #packedHessians: Float64Array;

  constructor(rows: BinnedRows, options: BoostedTreesOptions) {
    this.#rows = rows;
    this.#options = options;
    this.#random = seededRandom(options.seed);
    const { nRows, weights } = rows;
    this.#usable = Int32Array.from({ length: nRows }, (_, row) => row).filter(
      (row) => weights[row]! > 0,
    );
    if (this.#usable.length === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: 'boosted trees: labelled rows',
        minimum: 1,
        received: 0,
      });
    }
    this.#logits = new Float32Array(nRows);
    this.#gradients = new Float32Array(nRows);
    this.#hessians = new Float32Array(nRows);
    this.#order = new Int32Array(this.#usable.length);
    this.#spare = new Int32Array(this.#usable.length);
    this.#packedGradients = new Float64Array(this.#usable.length);
    this.#packedHessians = new Float64Array(this.#usable.length);
  }

  train(): BoostedTrees {
    const { nTrees, signal } = this.#options;
    const base = this.#baseLogit();
    this.#logits.fill(base);
    for (let tree = 0; tree < nTrees; tree++) {
      throwIfAborted(signal, 'training');
      this.#grow();
    }
    const nodes = this.#nodes;
    return {
      base,
      nFeatures: this.#rows.nFeatures,
      treeStarts: Int32Array.from(this.#treeStarts),
      features: Uint16Array.from(nodes, ({ feature }) => feature),
      cuts: Uint8Array.from(nodes, ({ cut }) => cut),
      lefts: Int16Array.from(nodes, ({ left }) => left),
      rights: Int16Array.from(nodes, ({ right }) => right),
      leafStarts: Int32Array.from(this.#leafStarts),
      leaves: Float32Array.from(this.#leaves),
    };
  }

  #baseLogit(): number {
    const { targets, weights } = this.#rows;
    let yes = 0;
    let all = 0;
    for (const row of this.#usable) {
      yes += weights[row]! * targets[row]!;
      all += weights[row]!;
    }
    const share = Math.min(1 - 1e-6, Math.max(1e-6, yes / all));
    return Math.log(share / (1 - share));
  }

  #grow(): void {
    const { nLeaves, learningRate, lambda, rowShare } = this.#options;
    const { targets, weights } = this.#rows;
    let nSampled = 0;
    let gradient = 0;
    let hessian = 0;
    for (const row of this.#usable) {
      if (rowShare < 1 && this.#random() >= rowShare) continue;
      const probability = 1 / (1 + Math.exp(-this.#logits[row]!));
      const weight = weights[row]!;
      this.#gradients[row] = (probability - targets[row]!) * weight;
      this.#hessians[row] = probability * (1 - probability) * weight;
      gradient += this.#gradients[row]!;
      hessian += this.#hessians[row]!;
      this.#order[nSampled++] = row;
    }
    const features = this.#sampleFeatures();
    const firstNode = this.#nodes.length;
    const histogram = this.#histogram(0, nSampled, features);
    const open: Leaf[] = [
      this.#leaf(
        { start: 0, end: nSampled, gradient, hessian, histogram, parent: -1, isLeft: true },
        features,
      ),
    ];
    while (open.length < nLeaves) {
      const at = bestLeaf(open);
      if (at < 0) break;
      const [left, right] = this.#split(open[at]!, features, firstNode);
      open[at] = left;
      open.push(right);
    }
    open.forEach((leaf, index) => {
      this.#leaves.push((-learningRate * leaf.gradient) / (leaf.hessian + lambda));
      if (leaf.parent < 0) return;
      const node = this.#nodes[firstNode + leaf.parent]!;
      if (leaf.isLeft) node.left = -1 - index;
      else node.right = -1 - index;
    });
    this.#treeStarts.push(this.#nodes.length);
    this.#leafStarts.push(this.#leaves.length);
    this.#addTree(firstNode);
  }

  #sampleFeatures(): Int32Array {
    const { featureShare } = this.#options;
    const all = Int32Array.from({ length: this.#rows.nFeatures }, (_, feature) => feature);
    const chosen = all.filter(() => featureShare >= 1 || this.#random() < featureShare);
    return chosen.length > 0 ? chosen : all;
  }

  /** Sums of gradient and hessian by feature and bin over a stretch of the order. */
  #histogram(start: number, end: number, features: Int32Array): Float64Array {
    const { columns, maxBins, nRows } = this.#rows;
    const order = this.#order;
    const gradients = this.#packedGradients;
    const hessians = this.#packedHessians;
    const histogram = new Float64Array(features.length * maxBins * 2);
    // Packed once, read for every feature.
    for (let at = start; at < end; at++) {
      gradients[at] = this.#gradients[order[at]!]!;
      hessians[at] = this.#hessians[order[at]!]!;
    }
    for (let index = 0; index < features.length; index++) {
      const column = columns.subarray(features[index]! * nRows, (features[index]! + 1) * nRows);
      const first = index * maxBins * 2;
      for (let at = start; at < end; at++) {
        const cell = first + column[order[at]!]! * 2;
        histogram[cell]! += gradients[at]!;
        histogram[cell + 1]! += hessians[at]!;
      }
    }
    return histogram;
  }

  #leaf(leaf: Omit<Leaf, 'split'>, features: Int32Array): Leaf {
    return { ...leaf, split: this.#bestSplit(leaf, features) };
  }

  #bestSplit(
    { histogram, gradient, hessian }: Pick<Leaf, 'histogram' | 'gradient' | 'hessian'>,
    features: Int32Array,
  ): Split | null {
    const { maxBins } = this.#rows;
    const { lambda, minHessian } = this.#options;
    const parentScore = (gradient * gradient) / (hessian + lambda);
    let best: Split | null = null;
    let bestGain = 1e-6;
    for (let index = 0; index < features.length; index++) {
      let leftGradient = 0;
      let leftHessian = 0;
      for (let cut = 0; cut < maxBins - 1; cut++) {
        const cell = (index * maxBins + cut) * 2;
        const cellHessian = histogram[cell + 1]!;
        if (cellHessian === 0) continue;
        leftGradient += histogram[cell]!;
        leftHessian += cellHessian;
        if (leftHessian < minHessian) continue;
        const rightHessian = hessian - leftHessian;
        if (rightHessian < minHessian) break;
        const rightGradient = gradient - leftGradient;
        const gain =
          (leftGradient * leftGradient) / (leftHessian + lambda) +
          (rightGradient * rightGradient) / (rightHessian + lambda) -
          parentScore;
        if (gain <= bestGain) continue;
        bestGain = gain;
        best = { gain, feature: features[index]!, cut, leftGradient, leftHessian };
      }
    }
    return best;
  }

  #split(leaf: Leaf, features: Int32Array, firstNode: number): [Leaf, Leaf] {
    const { columns, nRows } = this.#rows;
    const { feature, cut, leftGradient, leftHessian } = leaf.split!;
    const node = this.#nodes.length - firstNode;
    this.#nodes.push({ feature, cut, left: 0, right: 0 });
    if (leaf.parent >= 0) {
      const parent = this.#nodes[firstNode + leaf.parent]!;
      if (leaf.isLeft) parent.left = node;
      else parent.right = node;
    }
    const order = this.#order;
    const column = columns.subarray(feature * nRows, (feature + 1) * nRows);
    let middle = leaf.start;
    let nRight = 0;
    for (let at = leaf.start; at < leaf.end; at++) {
      const row = order[at]!;
      if (column[row]! <= cut) order[middle++] = row;
      else this.#spare[nRight++] = row;
    }
    order.set(this.#spare.subarray(0, nRight), middle);
    const leftIsSmall = middle - leaf.start <= leaf.end - middle;
    const small = leftIsSmall
      ? this.#histogram(leaf.start, middle, features)
      : this.#histogram(middle, leaf.end, features);
    const large = leaf.histogram;
    for (let cell = 0; cell < large.length; cell++) large[cell]! -= small[cell]!;
    const left = {
      start: leaf.start,
      end: middle,
      gradient: leftGradient,
      hessian: leftHessian,
      histogram: leftIsSmall ? small : large,
      parent: node,
      isLeft: true,
    };
    const right = {
      start: middle,
      end: leaf.end,
      gradient: leaf.gradient - leftGradient,
      hessian: leaf.hessian - leftHessian,
      histogram: leftIsSmall ? large : small,
      parent: node,
      isLeft: false,
    };
    return [this.#leaf(left, features), this.#leaf(right, features)];
  }

  /** Adds the newest tree's values to the logits of all rows. */
  #addTree(firstNode: number): void {
    const { columns, nRows } = this.#rows;
    const nodes = this.#nodes;
    const firstLeaf = this.#leafStarts.at(-2)!;
    if (nodes.length === firstNode) {
      for (const row of this.#usable) this.#logits[row]! += this.#leaves[firstLeaf]!;
      return;
    }
    for (const row of this.#usable) {
      let at = 0;
      do {
        const node = nodes[firstNode + at]!;
        at = columns[node.feature * nRows + row]! <= node.cut ? node.left : node.right;
      } while (at >= 0);
      this.#logits[row]! += this.#leaves[firstLeaf - 1 - at]!;
    }
  }
}

function bestLeaf(leaves: readonly Leaf[]): number {
  let best = -1;
  leaves.forEach(({ split }, index) => {
    if (split && (best < 0 || split.gain > leaves[best]!.split!.gain)) best = index;
  });
  return best;
}

/** `[nRows × nFeatures]` as `[nFeatures × nRows]`. */
export function toColumns(binned: Uint8Array, nFeatures: number): Uint8Array {
  const nRows = binned.length / nFeatures;
  const columns = new Uint8Array(binned.length);
  for (let row = 0; row < nRows; row++) {
    for (let feature = 0; feature < nFeatures; feature++) {
      columns[feature * nRows + row] = binned[row * nFeatures + feature]!;
    }
  }
  return columns;
}
