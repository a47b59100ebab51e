// Seeded random GGUF models: right in every shape, with a working tokenizer, worthless in every
// word. The same spec gives the same bytes. For tests, benches and dry runs.
#pragma once

#include <cstdint>
#include <string>

namespace gristmill::engine {

struct RandomModelSpec {
  std::string path;
  std::string architecture = "llama";  // llama, qwen3
  int32_t n_layer = 2;
  int32_t n_embd = 64;
  int32_t n_head = 4;
  int32_t n_head_kv = 2;
  int32_t head_dim = 0;  // 0: n_embd / n_head
  int32_t n_ff = 128;
  int32_t n_ctx = 2048;
  std::string tokenizer = "spm";  // spm, bpe
  int32_t vocab_size = 768;
  std::string type = "f32";      // f32, bf16, q8_0
  bool tied_embeddings = false;  // no output matrix: the embeddings serve
  double rope_base = 10000;
  uint64_t seed = 0;
  std::string chat_template;  // empty: none
};

// Throws OPTION_INVALID or NATIVE_FAILED (the file cannot be written).
void WriteRandomModel(const RandomModelSpec& spec);

}  // namespace gristmill::engine
