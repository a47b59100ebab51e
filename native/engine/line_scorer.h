// Line-score models: a verdict for every position of a window from one forward pass.
//
// A position's input is not a token but a weighted sum of rows of the embedding table (a bag; the
// encoder makes them: native/pages), attention is not causal, and a head of two classes reads every
// position. The GGUF form is llama.cpp's `llama-embed`, which has neither cache nor vocabulary
// head; the class head lies in the metadata:
//
//     general.architecture = llama-embed        token_embd.weight [rows x n_embd]: the bag table
//     gristmill.kind = line-score | document-score
//     gristmill.class_head f32 [2 x n_embd], gristmill.class_count = 2
//     gristmill.encoder u8 []: what turns lines into bags, opaque here
//
// Models whose verdict is the encoder's own (regression and trees) have no network and nothing to
// compute here: general.architecture = gristmill-scorer, gristmill.kind and gristmill.encoder.
//
// One window is one llama_encode call: a window's scores depend on nothing but the window.
// Calls come from any thread, one at a time (Score locks).
#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"

namespace gristmill::engine {

struct LineScorerOptions {
  std::string model_path;
  std::string device = "cpu";
  int32_t n_threads = 1;
};

// Windows of consecutive bags: window w is bags [window_starts[w], window_starts[w + 1]); bag b is
// entries [bag_starts[b], bag_starts[b + 1]) of ids and weights.
struct BagWindows {
  std::vector<int32_t> window_starts;
  std::vector<int32_t> bag_starts;
  std::vector<int32_t> ids;
  std::vector<float> weights;
};

class LineScorer {
 public:
  // Throws ENGINE_MODEL_*, ENGINE_ARCHITECTURE_UNSUPPORTED, ENGINE_DEVICE_MISSING,
  // ENGINE_OUT_OF_MEMORY, OPTION_INVALID.
  explicit LineScorer(const LineScorerOptions& options);
  ~LineScorer();

  // Log-odds of class 1, one for each bag. Throws OPTION_INVALID, ENGINE_DECODE_FAILED.
  std::vector<float> Score(const BagWindows& windows);

  const std::string& kind() const { return kind_; }
  const std::vector<uint8_t>& encoder() const { return encoder_; }
  int32_t n_embd() const { return n_embd_; }
  int32_t n_rows() const { return n_rows_; }
  // Positions of a window, at most.
  int32_t n_ctx() const { return n_ctx_; }
  const std::string& device_name() const { return device_name_; }

 private:
  void ReadFile(const std::string& path);
  void LoadModel(const LineScorerOptions& options);
  void Check(const BagWindows& windows) const;
  int32_t Encode(const llama_batch& batch);
  void ScoreWindow(const BagWindows& windows, int32_t first, int32_t count, float* out);

  std::string path_;
  std::string kind_;
  std::string device_name_;
  std::string lost_;  // why there is no context any more: a GPU's memory ended within a window
  std::vector<uint8_t> encoder_;
  std::vector<float> table_;  // [n_rows x n_embd]
  std::vector<float> head_;   // [2 x n_embd]
  int32_t n_embd_ = 0;
  bool has_single_block_rows_ = false;  // ModelFile's
  int32_t n_rows_ = 0;
  int32_t n_ctx_ = 0;
  std::mutex lock_;
  std::vector<float> inputs_;
  std::vector<int32_t> positions_;
  std::unique_ptr<llama_model, void (*)(llama_model*)> model_;
  // Computes on the pool, hence goes before it.
  std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool*)> pool_;
  std::unique_ptr<llama_context, void (*)(llama_context*)> context_;
};

}  // namespace gristmill::engine
