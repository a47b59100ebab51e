/** Hugging Face model folders for tests: safetensors, config.json and tokenizers, written from what the formats say. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { learnMerges } from '../../src/model/bpe.ts';
import { BYTE_CHARACTERS, toByteCharacters } from '../../src/model/byte-alphabet.ts';
import { seeded } from './corpus.ts';

/** A tensor with its values as they are stored. */
export interface HfTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export type HfTensors = ReadonlyMap<string, HfTensor>;
export type HfType = 'F32' | 'F16' | 'BF16';
export type HfConfig = Record<string, unknown>;

const bits = new DataView(new ArrayBuffer(4));

/** The nearest value of a type that a value of few bits has, and its bytes. */
function stored(value: number, type: HfType): { value: number; bytes: number[] } {
  bits.setFloat32(0, value, true);
  if (type === 'BF16') bits.setUint16(0, 0, true);
  if (type === 'F16') return storedHalf(value);
  const bytes = [0, 1, 2, 3].map((at) => bits.getUint8(at));
  return {
    value: bits.getFloat32(0, true),
    bytes: type === 'BF16' ? bytes.slice(2) : bytes,
  };
}

/** Halves between 2^-14 and 2^15, cut off after ten bits. */
function storedHalf(value: number): { value: number; bytes: number[] } {
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return { value: 0, bytes: [0, 0] };
  const exponent = Math.floor(Math.log2(magnitude));
  const fraction = Math.floor((magnitude / 2 ** exponent - 1) * 1024);
  const half = (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
  const kept = Math.sign(value) * (1 + fraction / 1024) * 2 ** exponent;
  return { value: kept, bytes: [half & 255, half >> 8] };
}

/** Writes a safetensors file; returns the values that it holds. */
export function writeSafetensors(path: string, tensors: HfTensors, type: HfType): HfTensors {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const data: Buffer[] = [];
  const held = new Map<string, HfTensor>();
  let offset = 0;
  for (const [name, { shape, values }] of tensors) {
    const cells = Array.from(values, (value) => stored(value, type));
    const bytes = Buffer.from(cells.flatMap((cell) => cell.bytes));
    held.set(name, { shape, values: Float32Array.from(cells, (cell) => cell.value) });
    header[name] = { dtype: type, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    data.push(bytes);
  }
  writeRawSafetensors(path, JSON.stringify(header), Buffer.concat(data));
  return held;
}

/** A safetensors file of any header and data. */
export function writeRawSafetensors(path: string, header: string, data: Uint8Array): void {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, data]));
}

/** Names and shapes of a model's tensors. */
export function shapesOf(config: HfConfig): Map<string, number[]> {
  const number = (name: string): number => config[name] as number;
  const [width, nHead, nFf] = ['hidden_size', 'num_attention_heads', 'intermediate_size'].map(
    number,
  ) as [number, number, number];
  const nKv = (config['num_key_value_heads'] as number | undefined) ?? nHead;
  const head = (config['head_dim'] as number | undefined) ?? width / nHead;
  const architecture = (config['architectures'] as string[])[0]!;
  const shapes = new Map<string, number[]>();
  shapes.set('model.embed_tokens.weight', [number('vocab_size'), width]);
  for (let layer = 0; layer < number('num_hidden_layers'); layer++) {
    const at = `model.layers.${layer}.`;
    const project = (name: string, nOut: number, nIn: number, bias: unknown): void => {
      shapes.set(`${at}${name}.weight`, [nOut, nIn]);
      if (bias) shapes.set(`${at}${name}.bias`, [nOut]);
    };
    const attention = config['attention_bias'];
    const qkv = attention || architecture === 'Qwen2ForCausalLM';
    project('self_attn.q_proj', nHead * head, width, qkv);
    project('self_attn.k_proj', nKv * head, width, qkv);
    project('self_attn.v_proj', nKv * head, width, qkv);
    project('self_attn.o_proj', width, nHead * head, attention);
    project('mlp.gate_proj', nFf, width, config['mlp_bias']);
    project('mlp.up_proj', nFf, width, config['mlp_bias']);
    project('mlp.down_proj', width, nFf, config['mlp_bias']);
    shapes.set(`${at}input_layernorm.weight`, [width]);
    shapes.set(`${at}post_attention_layernorm.weight`, [width]);
    if (architecture === 'Qwen3ForCausalLM') {
      shapes.set(`${at}self_attn.q_norm.weight`, [head]);
      shapes.set(`${at}self_attn.k_norm.weight`, [head]);
    }
  }
  shapes.set('model.norm.weight', [width]);
  if (!config['tie_word_embeddings']) shapes.set('lm_head.weight', [number('vocab_size'), width]);
  return shapes;
}

/** Seeded weights. */
export function randomTensors(config: HfConfig, seed: number): HfTensors {
  const random = seeded(seed);
  const tensors = new Map<string, HfTensor>();
  for (const [name, shape] of shapesOf(config)) {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const norm = name.includes('norm');
    const scale = 2 / Math.sqrt(shape.at(-1)!);
    const values = Float32Array.from({ length: size }, () =>
      norm ? 0.5 + random() : (random() * 2 - 1) * scale,
    );
    tensors.set(name, { shape, values });
  }
  return tensors;
}

/** A small model of an architecture; fields of `more` override. */
export function smallConfig(architecture: string, more: HfConfig = {}): HfConfig {
  return {
    architectures: [architecture],
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 600,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    hidden_act: 'silu',
    ...more,
  };
}

/** Writes config.json and weights, in `shards` files; returns the stored weights. */
export function writeModel(
  dir: string,
  config: HfConfig,
  { type = 'F32', shards = 1, seed = 1 }: { type?: HfType; shards?: number; seed?: number } = {},
): HfTensors {
  mkdirSync(dir, { recursive: true });
  writeJson(dir, 'config.json', config);
  const all = [...randomTensors(config, seed)];
  if (shards === 1) return writeSafetensors(join(dir, 'model.safetensors'), new Map(all), type);
  const held = new Map<string, HfTensor>();
  const places: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const part = new Map(all.filter((_, index) => index % shards === shard));
    const file = `model-${shard + 1}-of-${shards}.safetensors`;
    for (const [name, tensor] of writeSafetensors(join(dir, file), part, type)) {
      held.set(name, tensor);
      places[name] = file;
    }
  }
  writeJson(dir, 'model.safetensors.index.json', { metadata: {}, weight_map: places });
  return held;
}

export function writeJson(dir: string, name: string, value: unknown): void {
  writeFileSync(join(dir, name), JSON.stringify(value));
}

/** Texts of several scripts. */
export const TEXTS = [
  'The mill grinds rye and the flour is fine. The miller’s mill stands by the river, the mill of the miller.',
  "It's 1234 days, they're 56.78 km away; we'll see — I'm sure you've WON'T 99999",
  'Die Mühle mahlt Roggen, das Mehl ist fein;  die  Mühle steht am Fluß.\n\n\tEingerückt   und   weit.\r\nEnde',
  'Мельница мелет рожь, мука мелкая. Мельник стоит у реки.',
  '製粉所は川のほとりにある。風車が回る。 水車 水車 水車',
  'الطاحونة تطحن القمح  والدقيق ناعم',
  'for (let i = 0; i < 10; i++) { console.log(i % 7); }   // 🚀🚀 👩‍💻 ½ ²',
  '   leading and trailing   ',
  'é ñ ü ﬁ \u00a0\u3000x',
];

/** A byte-level tokenizer.json trained on TEXTS: `steps` cut, tokens are bytes, merges, then the added tokens. */
export function byteLevelTokenizer(
  split: (text: string) => string[],
  preTokenizer: unknown,
  {
    ignoreMerges = false,
    pairs = false,
    added = [] as { content: string; special: boolean }[],
    texts = TEXTS,
    nMerges = 200,
  } = {},
) {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of split(text)) {
      const key = toByteCharacters(word);
      counts.set(key, (counts.get(key) ?? 0) + 2);
    }
  }
  const merges = learnMerges(counts, nMerges);
  const tokens = [...new Set([...BYTE_CHARACTERS, ...merges.map((one) => one.left + one.right)])];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    added_tokens: added.map((token, index) => ({ id: tokens.length + index, ...token })),
    normalizer: null as unknown,
    pre_tokenizer: preTokenizer,
    post_processor: null as unknown,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab,
      merges: merges.map(({ left, right }) => (pairs ? [left, right] : `${left} ${right}`)),
    },
  };
}

/** A piece of a SentencePiece model. */
export interface TestPiece {
  readonly text: string;
  readonly score: number;
  /** 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly type: number;
}

/** Pieces of a BPE model over TEXTS: specials, bytes, merged pieces by rank, single characters. */
export function trainedPieces(nMerges = 150): TestPiece[] {
  const counts = new Map<string, number>();
  for (const text of TEXTS) {
    for (const word of text.replaceAll(' ', '▁').match(/▁*[^▁\s]+|▁+/g) ?? []) {
      counts.set(word, (counts.get(word) ?? 0) + 2);
    }
  }
  const learnt = learnMerges(counts, nMerges).map(({ left, right }) => left + right);
  const merged = [...new Set(learnt)].map((text, rank) => ({ text, score: -rank, type: 1 }));
  const characters = [...new Set([...counts.keys()].flatMap((word) => [...word]))];
  return [
    { text: '<unk>', score: 0, type: 2 },
    { text: '<s>', score: 0, type: 3 },
    { text: '</s>', score: 0, type: 3 },
    ...Array.from({ length: 256 }, (_, byte) => {
      const hex = byte.toString(16).toUpperCase().padStart(2, '0');
      return { text: `<0x${hex}>`, score: 0, type: 6 };
    }),
    ...merged,
    // The emoji and the rarer signs are left to the bytes.
    ...characters
      .filter((text) => text.codePointAt(0)! < 0x2000 || text === '▁')
      .map((text, index) => ({ text, score: -merged.length - index, type: 1 })),
  ];
}

/** A tokenizer.model. */
export function sentencePieceModel(
  pieces: readonly TestPiece[],
  { modelType = 2, charsmap = '', dummyPrefix = true, extraSpaces = false, suffix = false } = {},
): Buffer {
  const varint = (value: number): Buffer => {
    const bytes: number[] = [];
    for (let left = value; ; left = Math.floor(left / 128)) {
      if (left < 128) return Buffer.from([...bytes, left]);
      bytes.push((left % 128) | 128);
    }
  };
  const number = (field: number, value: number) =>
    Buffer.concat([varint(field * 8), varint(value)]);
  const block = (field: number, bytes: Buffer) =>
    Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
  const float = (field: number, value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return Buffer.concat([varint(field * 8 + 5), bytes]);
  };
  return Buffer.concat([
    ...pieces.map(({ text, score, type }) =>
      block(1, Buffer.concat([block(1, Buffer.from(text)), float(2, score), number(3, type)])),
    ),
    block(
      2,
      Buffer.concat([number(3, modelType), number(24, suffix ? 1 : 0), block(7, Buffer.from('x'))]),
    ),
    block(
      3,
      Buffer.concat([
        block(1, Buffer.from('identity')),
        block(2, Buffer.from(charsmap)),
        number(3, dummyPrefix ? 1 : 0),
        number(4, extraSpaces ? 1 : 0),
      ]),
    ),
  ]);
}

/** Pieces of a text, by trying every pair again and again; ids. */
export function naiveSentencePiece(pieces: readonly TestPiece[], text: string): number[] {
  const ids = new Map(pieces.map((piece, id) => [piece.text, id]));
  const symbols = [...` ${text}`.replaceAll(' ', '▁')];
  for (;;) {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let at = 0; at + 1 < symbols.length; at++) {
      const id = ids.get(symbols[at]! + symbols[at + 1]!);
      if (id !== undefined && pieces[id]!.score > bestScore) {
        best = at;
        bestScore = pieces[id]!.score;
      }
    }
    if (best < 0) break;
    symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
  }
  return symbols.flatMap((symbol) => {
    const id = ids.get(symbol);
    return id === undefined ? [...Buffer.from(symbol)].map((byte) => 3 + byte) : [id];
  });
}

/** Tokens of a text by byte-level BPE, the lowest rank first. */
export function naiveByteBpe(
  tokenizer: ReturnType<typeof byteLevelTokenizer>,
  split: (text: string) => string[],
  text: string,
): number[] {
  const { vocab, merges, ignore_merges } = tokenizer.model;
  const ranks = new Map(merges.map((merge, rank) => [[merge].flat().join(' '), rank]));
  return split(text).flatMap((word) => {
    const whole = toByteCharacters(word);
    if (ignore_merges && vocab[whole] !== undefined) return [vocab[whole]];
    const symbols = [...whole];
    for (;;) {
      let best = -1;
      let bestRank = Number.POSITIVE_INFINITY;
      for (let at = 0; at + 1 < symbols.length; at++) {
        const rank = ranks.get(`${symbols[at]} ${symbols[at + 1]}`) ?? Number.POSITIVE_INFINITY;
        if (rank < bestRank) {
          best = at;
          bestRank = rank;
        }
      }
      if (best < 0) break;
      symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
    }
    return symbols.map((symbol) => vocab[symbol]!);
  });
}
