/**
 * The encoder of a scoring model as bytes: what stands under `gristmill.encoder` in its GGUF file.
 *
 *     u32 length of the header | header, JSON, UTF-8 | padding to 8 | arrays, each padded to 8
 *
 * A model whose verdict is the stack's own has no bins of its own (0 features), as no network reads them.
 * The header names every array with type, length and offset. Weights of hashed words are stored as bfloat16: their
 * file is half as large, and the log-odds move by less than one part in a hundred.
 * Little-endian, as GGUF is.
 */
import { GristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import { type Bins, nativeBins } from './bins.ts';
import type { Calibration, RetentionThreshold } from './calibration.ts';
import {
  ARRAYS,
  type ArrayType,
  type BinSizes,
  ENCODER_VERSION,
  type EncoderHeader,
  HeaderFault,
  readHeader,
} from './encoder-header.ts';
import { DOCUMENT_FEATURES, N_LINE_FEATURES, N_LOGIT_FEATURES } from './feature-names.ts';
import type { LineEncoder } from './line-encoder.ts';
import type { LineStack } from './stack.ts';

/** What a scoring model needs besides its network. */
export interface ScoringEncoder {
  readonly kind: 'line-score' | 'document-score';
  /** Who gives the verdict: the network that reads the bags, or the stack itself; then there is no network. */
  readonly head: 'network' | 'stack';
  /** Share of the trees in the stack's own verdict, 0..1; the rest is the regression's. */
  readonly treeShare: number;
  readonly encoder: LineEncoder;
  readonly calibration: Calibration;
  /** By share of content characters kept; of documents to keep that stay, for documents. */
  readonly thresholds: readonly RetentionThreshold[];
}

type AnyArray = Float32Array | Int32Array | Uint16Array | Int16Array | Uint8Array;

/** Writes an encoder. */
export function packEncoder({
  kind,
  head,
  treeShare,
  encoder: { bins, hashBits, stack },
  calibration,
  thresholds,
}: ScoringEncoder): Uint8Array {
  const named: Record<string, AnyArray> = { ...cutArrays('bins', bins) };
  if (stack) {
    const { logistic, trees } = stack;
    Object.assign(named, {
      ...cutArrays('logistic', logistic.bins),
      ...cutArrays('trees', stack.bins),
      'logistic.words': toBf16(logistic.wordWeights),
      'logistic.weights': logistic.binWeights,
      'trees.starts': trees.treeStarts,
      'trees.features': trees.features,
      'trees.cut': trees.cuts,
      'trees.lefts': trees.lefts,
      'trees.rights': trees.rights,
      'trees.leafStarts': trees.leafStarts,
      'trees.leaves': trees.leaves,
    });
  }
  let offset = 0;
  const arrays = Object.fromEntries(
    Object.entries(named).map(([name, array]) => {
      const entry = { type: typeOf(array), length: array.length, offset };
      offset = padded(offset + array.byteLength);
      return [name, entry];
    }),
  );
  const sizes = ({ nFeatures, maxBins }: Bins) => ({ nFeatures, maxBins });
  const header = Buffer.from(
    JSON.stringify({
      version: ENCODER_VERSION,
      kind,
      head,
      treeShare,
      hashBits,
      bins: sizes(bins),
      stack: stack && {
        logisticBins: sizes(stack.logistic.bins),
        treeBins: sizes(stack.bins),
        base: stack.trees.base,
        nTreeFeatures: stack.trees.nFeatures,
      },
      calibration,
      thresholds: [...thresholds],
      arrays,
    } satisfies EncoderHeader),
  );
  const start = padded(4 + header.length);
  const bytes = new Uint8Array(start + offset);
  new DataView(bytes.buffer).setUint32(0, header.length, true);
  bytes.set(header, 4);
  for (const [name, array] of Object.entries(named)) {
    const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    bytes.set(view, start + arrays[name]!.offset);
  }
  return bytes;
}

/**
 * Reads an encoder and checks that it fits this version's features.
 *
 * @param file named in errors
 * @throws ENGINE_MODEL_INVALID
 */
export function unpackEncoder(bytes: Uint8Array, file: string): ScoringEncoder {
  const { header, arrayOf } = open(bytes, file);
  const { kind, head, treeShare, hashBits, stack: stacked, calibration, thresholds } = header;
  if (head === 'stack' && !stacked) invalid(file, 'its encoder has no stack to give the verdict');
  const binsOf = (name: string, sizes: BinSizes): Bins => {
    const counts = arrayOf(`${name}.counts`, 'i32', sizes.nFeatures);
    const all = arrayOf(`${name}.cuts`, 'f32');
    const cuts: Float32Array[] = [];
    let at = 0;
    for (const count of counts) {
      if (count < 0 || count >= sizes.maxBins) invalid(file, `${name} has ${count} cuts`);
      cuts.push(all.slice(at, at + count));
      at += count;
    }
    if (at !== all.length) invalid(file, `${name}: ${at} cuts of ${all.length}`);
    return { ...sizes, cuts };
  };
  const isDocument = kind === 'document-score';
  const nFeatures = isDocument ? DOCUMENT_FEATURES.length : N_LINE_FEATURES;
  const nLogits = isDocument ? 1 : N_LOGIT_FEATURES;
  const stack = stacked && readStack(stacked, { arrayOf, binsOf, file, nFeatures, nLogits });
  const bins = binsOf('bins', header.bins);
  const width = head === 'stack' ? 0 : nFeatures + (stack ? 2 * nLogits : 0);
  if (bins.nFeatures !== width) invalid(file, `${bins.nFeatures} features, expected ${width}`);
  return { kind, head, treeShare, encoder: { bins, hashBits, stack }, calibration, thresholds };
}

/** The thresholds of an encoder alone. @throws ENGINE_MODEL_INVALID */
export function unpackThresholds(bytes: Uint8Array, file: string): readonly RetentionThreshold[] {
  return open(bytes, file).header.thresholds;
}

interface Reader {
  readonly arrayOf: <T extends ArrayType>(
    name: string,
    type: T,
    length?: number,
  ) => InstanceType<(typeof ARRAYS)[T]>;
  readonly binsOf: (name: string, sizes: BinSizes) => Bins;
  readonly file: string;
  /** Own columns of a line or a document. */
  readonly nFeatures: number;
  /** Columns that a model's log-odds become. */
  readonly nLogits: number;
}

function readStack(
  { logisticBins, treeBins, base, nTreeFeatures }: NonNullable<EncoderHeader['stack']>,
  { arrayOf, binsOf, file, nFeatures, nLogits }: Reader,
): LineStack {
  const words = arrayOf('logistic.words', 'u16');
  const isPower = (words.length & (words.length - 1)) === 0;
  if (words.length < 2 || words.length > 2 ** 24 || !isPower) {
    invalid(file, `${words.length} word weights, expected a power of two up to 2^24`);
  }
  if (logisticBins.nFeatures !== nFeatures) {
    invalid(file, `regression over ${logisticBins.nFeatures} features`);
  }
  if (treeBins.nFeatures !== nTreeFeatures || nTreeFeatures !== nFeatures + nLogits) {
    invalid(file, `trees over ${nTreeFeatures} features`);
  }
  const trees = {
    base,
    nFeatures: nTreeFeatures,
    treeStarts: arrayOf('trees.starts', 'i32'),
    features: arrayOf('trees.features', 'u16'),
    cuts: arrayOf('trees.cut', 'u8'),
    lefts: arrayOf('trees.lefts', 'i16'),
    rights: arrayOf('trees.rights', 'i16'),
    leafStarts: arrayOf('trees.leafStarts', 'i32'),
    leaves: arrayOf('trees.leaves', 'f32'),
  };
  checkTrees(trees, file);
  const nBinWeights = logisticBins.nFeatures * logisticBins.maxBins;
  const wordWeights = native().floatsOfBf16(words);
  const binWeights = arrayOf('logistic.weights', 'f32', nBinWeights);
  // Scores would be no numbers.
  for (const weights of [wordWeights, binWeights, trees.leaves]) {
    if (!native().areFinite(weights)) invalid(file, 'a weight of its stack is no finite number');
  }
  return {
    logistic: { bins: binsOf('logistic', logisticBins), wordWeights, binWeights },
    bins: binsOf('trees', treeBins),
    trees,
  };
}

/** Every walk down a tree must end at a leaf: children lie behind their parents and inside the tree. */
function checkTrees(trees: LineStack['trees'], file: string): void {
  const { treeStarts, features, cuts, lefts, rights, leafStarts, leaves, nFeatures } = trees;
  const nNodes = features.length;
  const same = [cuts, lefts, rights].every(({ length }) => length === nNodes);
  const ends = treeStarts.at(-1) === nNodes && leafStarts.at(-1) === leaves.length;
  if (!same || !ends || treeStarts.length !== leafStarts.length || treeStarts[0] !== 0) {
    invalid(file, 'its trees have arrays of different lengths');
  }
  for (let tree = 0; tree + 1 < treeStarts.length; tree++) {
    const first = treeStarts[tree]!;
    const count = treeStarts[tree + 1]! - first;
    const nLeaves = leafStarts[tree + 1]! - leafStarts[tree]!;
    if (count < 0 || nLeaves < 1) invalid(file, `tree ${tree} is empty`);
    for (let node = 0; node < count; node++) {
      const bad = [lefts[first + node]!, rights[first + node]!].some(
        (child) => (child >= 0 && (child <= node || child >= count)) || -1 - child >= nLeaves,
      );
      if (bad || features[first + node]! >= nFeatures) {
        invalid(file, `tree ${tree}, node ${node} leads nowhere`);
      }
    }
  }
}

function open(bytes: Uint8Array, file: string) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.byteLength >= 4 ? view.getUint32(0, true) : Number.POSITIVE_INFINITY;
  if (4 + length > bytes.byteLength) invalid(file, 'its encoder is cut short');
  let header: EncoderHeader;
  try {
    header = readHeader(JSON.parse(Buffer.from(bytes.subarray(4, 4 + length)).toString('utf8')));
  } catch (cause) {
    const what = cause instanceof HeaderFault ? 'its encoder' : 'the header of its encoder';
    invalid(file, `${what}: ${(cause as Error).message}`);
  }
  const start = padded(4 + length);
  const arrayOf: Reader['arrayOf'] = (name, type, expected) => {
    const entry = header.arrays[name];
    if (!entry || entry.type !== type) invalid(file, `its encoder has no ${name} of type ${type}`);
    const Type = ARRAYS[type];
    const begin = start + entry.offset;
    const end = begin + entry.length * Type.BYTES_PER_ELEMENT;
    if (end > bytes.byteLength) invalid(file, `${name} of its encoder is cut short`);
    if (expected !== undefined && entry.length !== expected) {
      invalid(file, `${name} of its encoder has ${entry.length} elements, expected ${expected}`);
    }
    // A copy: the bytes may lie at any address. `slice` of a Buffer is none.
    return new Type(Uint8Array.from(bytes.subarray(begin, end)).buffer) as InstanceType<
      (typeof ARRAYS)[typeof type]
    >;
  };
  return { header, arrayOf };
}

function cutArrays(name: string, bins: Bins): Record<string, AnyArray> {
  const { counts, cuts } = nativeBins(bins);
  return { [`${name}.counts`]: counts, [`${name}.cuts`]: cuts };
}

function typeOf(array: AnyArray): ArrayType {
  const found = Object.entries(ARRAYS).find(([, Type]) => array instanceof Type)!;
  return found[0] as ArrayType;
}

function padded(length: number): number {
  return (length + 7) & ~7;
}

function toBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  // To nearest, ties to even; weights are finite.
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

function invalid(file: string, reason: string): never {
  throw new GristmillError('ENGINE_MODEL_INVALID', { file, reason });
}
