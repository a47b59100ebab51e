// What a GGUF file holds, read with ggml's gguf API after our own checks.
//
// Everything llama.cpp would answer with an abort is looked for first (gguf_checks.h), and the
// extent of every tensor is held against the size of the file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct gguf_context;

namespace gristmill::engine {

struct GgufDeleter {
  void operator()(gguf_context* gguf) const;
};
using GgufPointer = std::unique_ptr<gguf_context, GgufDeleter>;

// Tensors of one storage type.
struct TensorGroup {
  std::string type;
  int64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t bytes = 0;
};

struct ModelFile {
  std::string path;
  uint64_t file_bytes = 0;
  uint32_t gguf_version = 0;
  std::string architecture;
  std::string name;
  std::string kind;  // gristmill.kind; empty for language models
  uint64_t n_params = 0;
  int64_t n_vocab = 0;
  int64_t n_ctx_train = 0;
  int64_t n_embd = 0;
  int64_t n_layer = 0;
  int64_t n_head = 0;
  int64_t n_head_kv = 0;
  int64_t n_ff = 0;
  int64_t head_dim = 0;
  std::string quantisation;     // the type that most parameters have, upper case
  int32_t embedding_type = -1;  // ggml_type of token_embd.weight
  // A matrix of 8 or 4 bits has rows of a single block: ggml's AMX kernel adds the first 32 tokens'
  // products to what the memory held before, as it takes every last block for a further one.
  bool has_single_block_rows = false;
  std::string tokenizer;  // tokenizer.ggml.model
  std::string pre_tokenizer;
  std::optional<std::string> chat_template;
  std::string bos_token;
  std::string eos_token;
  int64_t bos_id = -1;
  int64_t eos_id = -1;
  std::vector<TensorGroup> groups;  // largest first
  std::string vocabulary_problem;   // why its vocabulary cannot be loaded; empty when it can
  std::string model_problem;        // why the rest cannot
  std::string direction_problem;    // why it cannot write text, though it computes
};

// Throws ENGINE_MODEL_MISSING or ENGINE_MODEL_INVALID. The metadata goes to `metadata` where it is
// given: parsing it again costs as much as the first time.
ModelFile ReadModelFile(const std::string& path, GgufPointer* metadata = nullptr);

// Throws ENGINE_ARCHITECTURE_UNSUPPORTED unless the engine can run the model; ENGINE_MODEL_INVALID
// when llama.cpp would end the process over it.
void CheckRunnable(const ModelFile& model);

// The same for the vocabulary alone.
void CheckVocabulary(const ModelFile& model);

}  // namespace gristmill::engine
