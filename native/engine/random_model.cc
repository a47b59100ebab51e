#include "engine/random_model.h"

#include <ggml.h>
#include <gguf.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/backend.h"
#include "engine/random_vocab.h"
#include "error.h"
#include "output_file.h"

namespace gristmill::engine {

namespace {

constexpr int64_t kRowsAtOnce = 1024;

void Expect(bool holds, const char* option, const char* expected, const std::string& received) {
  if (holds) return;
  throw CodedError("OPTION_INVALID",
                   {{"option", option}, {"expected", expected}, {"received", received}});
}

int32_t HeadSize(const RandomModelSpec& spec) {
  return spec.head_dim > 0 ? spec.head_dim : spec.n_embd / spec.n_head;
}

// GGML_TYPE_COUNT where it is no type of ours.
ggml_type TypeOf(const std::string& name) {
  if (name == "f32") return GGML_TYPE_F32;
  if (name == "bf16") return GGML_TYPE_BF16;
  if (name == "q8_0") return GGML_TYPE_Q8_0;
  if (name == "iq4_xs") return GGML_TYPE_IQ4_XS;
  if (name == "iq3_s") return GGML_TYPE_IQ3_S;
  return GGML_TYPE_COUNT;
}

// llama.cpp's number for a file whose matrices have the type.
uint32_t FileTypeOf(ggml_type type) {
  switch (type) {
    case GGML_TYPE_BF16:
      return 32;
    case GGML_TYPE_Q8_0:
      return 7;
    case GGML_TYPE_IQ4_XS:
      return 30;
    case GGML_TYPE_IQ3_S:
      return 26;
    default:
      return 0;
  }
}

void Check(const RandomModelSpec& spec) {
  const auto range = [](const char* option, int32_t value, int32_t low, int32_t high) {
    const std::string expected = std::to_string(low) + ".." + std::to_string(high);
    Expect(value >= low && value <= high, option, expected.c_str(), std::to_string(value));
  };
  Expect(spec.architecture == "llama" || spec.architecture == "qwen3", "architecture",
         "llama or qwen3", spec.architecture);
  Expect(spec.tokenizer == "spm" || spec.tokenizer == "bpe", "tokenizer", "spm or bpe",
         spec.tokenizer);
  Expect(TypeOf(spec.type) != GGML_TYPE_COUNT, "type", "f32, bf16, q8_0, iq4_xs or iq3_s",
         spec.type);
  range("nLayer", spec.n_layer, 1, 256);
  range("nEmbd", spec.n_embd, 32, 16384);
  range("nHead", spec.n_head, 1, 256);
  range("nHeadKv", spec.n_head_kv, 1, spec.n_head);
  range("nFf", spec.n_ff, 32, 65536);
  range("nCtx", spec.n_ctx, 64, 1 << 20);
  range("vocabSize", spec.vocab_size, kMinVocab, 1 << 20);
  // A row of a matrix is whole blocks of its type.
  const int64_t block = ggml_blck_size(TypeOf(spec.type));
  for (const auto& [option, columns] :
       {std::pair{"nEmbd", int64_t{spec.n_embd}}, std::pair{"nFf", int64_t{spec.n_ff}},
        std::pair{"headDim", int64_t{HeadSize(spec)} * spec.n_head}}) {
    Expect(block <= 32 || columns % block == 0, option,
           ("rows of a multiple of " + std::to_string(block) + " for " + spec.type).c_str(),
           std::to_string(columns));
  }
  Expect(spec.n_embd % 32 == 0, "nEmbd", "a multiple of 32", std::to_string(spec.n_embd));
  Expect(spec.n_ff % 32 == 0, "nFf", "a multiple of 32", std::to_string(spec.n_ff));
  if (spec.head_dim == 0) {
    Expect(spec.n_embd % (2 * spec.n_head) == 0, "nHead", "heads of an even size that divide nEmbd",
           std::to_string(spec.n_head));
  } else {
    range("headDim", spec.head_dim, 2, 512);
    Expect(spec.head_dim * spec.n_head % 32 == 0 && spec.head_dim % 2 == 0, "headDim",
           "an even size of which the heads together are a multiple of 32",
           std::to_string(spec.head_dim));
  }
  Expect(spec.rope_base >= 1 && spec.rope_base <= 1e9, "ropeBase", "1..1e9",
         std::to_string(spec.rope_base));
  Expect(spec.n_head % spec.n_head_kv == 0, "nHeadKv", "a divisor of nHead",
         std::to_string(spec.n_head_kv));
}

// SplitMix64: small, and the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // Uniform with mean 0 and standard deviation 1.
  float Next() {
    state_ += 0x9E3779B97F4A7C15ull;
    uint64_t value = state_;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ value >> 27) * 0x94D049BB133111EBull;
    value ^= value >> 31;
    constexpr float kSqrt12 = 3.4641016f;
    return (static_cast<float>(value >> 40) * 0x1p-24f - 0.5f) * kSqrt12;
  }

 private:
  uint64_t state_;
};

struct TensorSpec {
  std::string name;
  int64_t columns;
  int64_t rows;  // 0: a vector of ones (norms)
  float deviation;
};

std::vector<TensorSpec> TensorsOf(const RandomModelSpec& spec) {
  const int64_t n_embd = spec.n_embd;
  const int64_t head = HeadSize(spec);
  const int64_t n_query = head * spec.n_head;
  const int64_t n_kv = head * spec.n_head_kv;
  const auto fan_in = [](int64_t width) { return 1.0f / std::sqrt(static_cast<float>(width)); };
  std::vector<TensorSpec> tensors;
  // Logits with a standard deviation of about 3: neither flat nor decided by one token. Embeddings
  // may have any scale, as a norm follows.
  const float logits = 3 * fan_in(n_embd);
  tensors.push_back(
      {"token_embd.weight", n_embd, spec.vocab_size, spec.tied_embeddings ? logits : 1.0f});
  for (int32_t layer = 0; layer < spec.n_layer; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    tensors.push_back({block + "attn_norm.weight", n_embd, 0, 0});
    // Twice the usual scale for queries and keys: attention that picks something, so that outputs
    // depend on context.
    tensors.push_back({block + "attn_q.weight", n_embd, n_query, 2 * fan_in(n_embd)});
    tensors.push_back({block + "attn_k.weight", n_embd, n_kv, 2 * fan_in(n_embd)});
    tensors.push_back({block + "attn_v.weight", n_embd, n_kv, fan_in(n_embd)});
    tensors.push_back({block + "attn_output.weight", n_query, n_embd, fan_in(n_query)});
    if (spec.architecture == "qwen3") {
      tensors.push_back({block + "attn_q_norm.weight", head, 0, 0});
      tensors.push_back({block + "attn_k_norm.weight", head, 0, 0});
    }
    tensors.push_back({block + "ffn_norm.weight", n_embd, 0, 0});
    tensors.push_back({block + "ffn_gate.weight", n_embd, spec.n_ff, fan_in(n_embd)});
    tensors.push_back({block + "ffn_up.weight", n_embd, spec.n_ff, fan_in(n_embd)});
    tensors.push_back({block + "ffn_down.weight", spec.n_ff, n_embd, fan_in(spec.n_ff)});
  }
  tensors.push_back({"output_norm.weight", n_embd, 0, 0});
  if (!spec.tied_embeddings) {
    tensors.push_back({"output.weight", n_embd, spec.vocab_size, logits});
  }
  return tensors;
}

void SetStrings(gguf_context* gguf, const char* key, const std::vector<std::string>& values) {
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  gguf_set_arr_str(gguf, key, pointers.data(), pointers.size());
}

void SetMetadata(gguf_context* gguf, const RandomModelSpec& spec) {
  const std::string& arch = spec.architecture;
  const auto number = [&](const char* key, int64_t value) {
    gguf_set_val_u32(gguf, (arch + "." + key).c_str(), static_cast<uint32_t>(value));
  };
  const int32_t head = HeadSize(spec);
  gguf_set_val_str(gguf, "general.architecture", arch.c_str());
  gguf_set_val_str(gguf, "general.name",
                   ("random model, seed " + std::to_string(spec.seed)).c_str());
  gguf_set_val_u32(gguf, "general.file_type", FileTypeOf(TypeOf(spec.type)));
  number("context_length", spec.n_ctx);
  number("embedding_length", spec.n_embd);
  number("block_count", spec.n_layer);
  number("feed_forward_length", spec.n_ff);
  number("attention.head_count", spec.n_head);
  number("attention.head_count_kv", spec.n_head_kv);
  number("attention.key_length", head);
  number("attention.value_length", head);
  number("rope.dimension_count", head);
  number("vocab_size", spec.vocab_size);
  gguf_set_val_f32(gguf, (arch + ".rope.freq_base").c_str(), static_cast<float>(spec.rope_base));
  gguf_set_val_f32(gguf, (arch + ".attention.layer_norm_rms_epsilon").c_str(), 1e-5f);

  const bool spm = spec.tokenizer == "spm";
  const RandomVocab vocab =
      spm ? SentencePieceVocab(spec.vocab_size) : ByteLevelVocab(spec.vocab_size);
  gguf_set_val_str(gguf, "tokenizer.ggml.model", spm ? "llama" : "gpt2");
  gguf_set_val_str(gguf, "tokenizer.ggml.pre", spm ? "default" : "qwen2");
  SetStrings(gguf, "tokenizer.ggml.tokens", vocab.tokens);
  if (spm) {
    gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, vocab.scores.data(),
                      vocab.scores.size());
    gguf_set_val_u32(gguf, "tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(vocab.unknown));
  } else {
    SetStrings(gguf, "tokenizer.ggml.merges", vocab.merges);
  }
  gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, vocab.types.data(),
                    vocab.types.size());
  gguf_set_val_u32(gguf, "tokenizer.ggml.bos_token_id", static_cast<uint32_t>(vocab.bos));
  gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", static_cast<uint32_t>(vocab.eos));
  gguf_set_val_bool(gguf, "tokenizer.ggml.add_bos_token", spm);
  if (!spec.chat_template.empty()) {
    gguf_set_val_str(gguf, "tokenizer.chat_template", spec.chat_template.c_str());
  }
}

// A file that is renamed into place when everything is written.
void WriteTensor(OutputFile& file, const TensorSpec& tensor, ggml_type type, uint64_t seed) {
  if (tensor.rows == 0) {
    const std::vector<float> ones(static_cast<size_t>(tensor.columns), 1.0f);
    file.Write(ones.data(), ones.size() * sizeof(float));
    return;
  }
  Random random(seed);
  std::vector<float> values;
  std::vector<char> stored;
  for (int64_t row = 0; row < tensor.rows; row += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, tensor.rows - row);
    values.resize(static_cast<size_t>(rows * tensor.columns));
    for (float& value : values) value = random.Next() * tensor.deviation;
    stored.resize(ggml_row_size(type, tensor.columns) * static_cast<size_t>(rows));
    if (type == GGML_TYPE_F32) {
      std::memcpy(stored.data(), values.data(), stored.size());
    } else {
      ggml_quantize_chunk(type, values.data(), stored.data(), 0, rows, tensor.columns, nullptr);
    }
    file.Write(stored.data(), stored.size());
  }
}

}  // namespace

void WriteRandomModel(const RandomModelSpec& spec) {
  Check(spec);
  LoadBackends();
  const std::vector<TensorSpec> tensors = TensorsOf(spec);
  const ggml_type matrix_type = TypeOf(spec.type);
  const std::unique_ptr<gguf_context, void (*)(gguf_context*)> gguf(gguf_init_empty(), gguf_free);
  SetMetadata(gguf.get(), spec);
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(
      ggml_init({.mem_size = ggml_tensor_overhead() * (tensors.size() + 1),
                 .mem_buffer = nullptr,
                 .no_alloc = true}),
      ggml_free);
  for (const TensorSpec& tensor : tensors) {
    ggml_tensor* shape =
        tensor.rows == 0
            ? ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, tensor.columns)
            : ggml_new_tensor_2d(context.get(), matrix_type, tensor.columns, tensor.rows);
    ggml_set_name(shape, tensor.name.c_str());
    gguf_add_tensor(gguf.get(), shape);
  }
  OutputFile file(spec.path, "MODEL_WRITE_FAILED");
  std::vector<char> metadata(gguf_get_meta_size(gguf.get()));
  gguf_get_meta_data(gguf.get(), metadata.data());
  file.Write(metadata.data(), metadata.size());
  uint64_t seed = spec.seed * 0x9E3779B97F4A7C15ull + 1;
  for (const TensorSpec& tensor : tensors) {
    WriteTensor(file, tensor, matrix_type, seed);
    file.PadTo(gguf_get_alignment(gguf.get()));
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
  }
  file.Commit();
}

}  // namespace gristmill::engine
