/**
 * Memory and speed of `gristmill models convert` on a made, sharded model of about 1 GB (BF16).
 *
 *     npm run build && node models/convert-memory.mjs [FOLDER]
 *
 * Every type is converted in a process of its own; its largest resident set is what the kernel counted.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const N_SHARDS = 4;
const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 1536,
  intermediate_size: 4096,
  num_hidden_layers: 16,
  num_attention_heads: 12,
  num_key_value_heads: 4,
  vocab_size: 32000,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
};

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'gristmill-memory-'));
const model = fileURLToPath(new URL('../dist/model/convert/convert.js', import.meta.url));
try {
  const bytes = write(folder);
  process.stdout.write(
    '| type | source MB | seconds | MB/s | largest resident set, MB |\n| --- | --- | --- | --- | --- |\n',
  );
  for (const type of ['bf16', 'f16', 'f32', 'q8_0']) {
    const out = join(folder, `model.${type}.gguf`);
    const code = `
      const { convertModel } = await import(${JSON.stringify(model)});
      const { seconds } = await convertModel(${JSON.stringify({ dir: folder, out, type })});
      console.log(JSON.stringify({ seconds, rss: process.resourceUsage().maxRSS / 1024 }));`;
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', code]);
    const { seconds, rss } = JSON.parse(printed.toString());
    const rate = (bytes / 1e6 / seconds).toFixed(0);
    const cells = [type, (bytes / 1e6).toFixed(0), seconds.toFixed(1), rate, rss.toFixed(0)];
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
    rmSync(out);
  }
} finally {
  if (process.argv[2] === undefined) rmSync(folder, { recursive: true, force: true });
}

/** Writes the model; returns the bytes of its weights. */
function write(dir) {
  const { hidden_size: width, intermediate_size: nFf, vocab_size: nVocab } = config;
  const kv = (width / config.num_attention_heads) * config.num_key_value_heads;
  const shapes = [
    ['model.embed_tokens.weight', nVocab, width],
    ['lm_head.weight', nVocab, width],
    ['model.norm.weight', width],
  ];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.push(
      [`${at}.input_layernorm.weight`, width],
      [`${at}.post_attention_layernorm.weight`, width],
      [`${at}.self_attn.q_proj.weight`, width, width],
      [`${at}.self_attn.k_proj.weight`, kv, width],
      [`${at}.self_attn.v_proj.weight`, kv, width],
      [`${at}.self_attn.o_proj.weight`, width, width],
      [`${at}.mlp.gate_proj.weight`, nFf, width],
      [`${at}.mlp.up_proj.weight`, nFf, width],
      [`${at}.mlp.down_proj.weight`, width, nFf],
    );
  }
  const places = {};
  let total = 0;
  for (let shard = 0; shard < N_SHARDS; shard++) {
    const file = `model-${shard + 1}-of-${N_SHARDS}.safetensors`;
    const header = {};
    let offset = 0;
    for (const [name, ...shape] of shapes.filter((_, index) => index % N_SHARDS === shard)) {
      const bytes = shape.reduce((product, extent) => product * extent, 2);
      header[name] = { dtype: 'BF16', shape, data_offsets: [offset, offset + bytes] };
      places[name] = file;
      offset += bytes;
    }
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const handle = openSync(join(dir, file), 'w');
    writeSync(handle, Buffer.concat([length, text]));
    for (let left = offset, piece = 0; left > 0; piece++) {
      const values = noise(`${shard}.${piece}`).subarray(0, left);
      writeSync(handle, values);
      left -= values.length;
    }
    closeSync(handle);
    total += offset;
  }
  const put = (name, value) => writeFileSync(join(dir, name), JSON.stringify(value));
  put('model.safetensors.index.json', { weight_map: places });
  put('config.json', config);
  put('tokenizer.json', {
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
  });
  return total;
}

/** Seeded BF16 values between 2^-8 and 2^-7 and their negatives, 4 MB. */
function noise(seed) {
  const block = Buffer.alloc(2 ** 16);
  for (let at = 0; at < block.length; at += 64) {
    createHash('sha512').update(`${seed}.${at}`).digest().copy(block, at);
  }
  for (let at = 1; at < block.length; at += 2) block[at] = (block[at] & 0x80) | 0x3b;
  return Buffer.concat(Array.from({ length: 64 }, () => block));
}
