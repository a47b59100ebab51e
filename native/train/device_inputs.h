// What the host gives a DeviceGraph for a micro-batch and reads back, in tensors that stay in
// place.
//
// Their sizes are fixed: entries and targets beyond those of the batch have weight 0 and point to
// row 0. Attention's key ranges travel as two numbers per token; the graph makes the mask of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/device_plan.h"
#include "train/shape.h"
#include "train/train_graph.h"

namespace gristmill::train {

// Rows are added to rows, and logits made, so many at a time: ggml's CUDA kernel behind
// ggml_get_rows_back compares every source row with every destination row.
constexpr int64_t kChunkRows = 1024;

// A part of the sources and the destinations they meet.
//
//   source row   0 1 2 3 4      `slots`: 0 1 0 2 1 (where each goes among the slots)
//   destination  7 3 7 9 3      `rows`:  7 3 9 0 … (the slots' rows: distinct, the rest unused
//   ones)
struct ScatterChunk {
  int64_t first, count;
  ggml_tensor* slots;  // [count]
  ggml_tensor* rows;   // [n_slots], at most kChunkRows
};

// Adds `entries` rows to chosen rows of a matrix of `n_rows`, equal choices included, without
// atomics: the sums of a chunk are made in slots, and slots have rows of their own.
class Scatter {
 public:
  Scatter() = default;
  Scatter(DeviceTensors* tensors, int64_t entries, int64_t n_rows);

  int64_t n_chunks() const { return n_chunks_; }
  ScatterChunk Chunk(ggml_context* context, int64_t index) const;
  void Upload(std::span<const int32_t> destinations);

 private:
  int64_t entries_ = 0, n_rows_ = 0, n_slots_ = 0, n_chunks_ = 0;
  ggml_tensor* slots_ = nullptr;
  ggml_tensor* rows_ = nullptr;
};

// What a graph is built for, besides its sizes.
struct Form {
  int64_t bag_entries = 0;  // room for so many; 0: the input is tokens
  bool logits = false;

  // A graph of this form can compute what needs the other.
  bool Serves(const Form& other) const {
    return (bag_entries > 0) == (other.bag_entries > 0) && bag_entries >= other.bag_entries &&
           (logits || !other.logits);
  }
};

struct DeviceInputs {
  DeviceInputs(const Shape& shape, const GraphSizes& sizes, const Form& form, const Device& device);

  void Upload(const Feed& feed);
  void Download(Feed* feed) const;
  size_t buffer_bytes() const { return tensors_.buffer_bytes(); }

  // Constants.
  ggml_tensor* positions;  // of every token within its sequence
  ggml_tensor* keys;       // 0 .. n_ctx - 1
  ggml_tensor* ones;       // one per row of anything
  // Input, of tokens or of bags.
  ggml_tensor* ids;              // rows of the embedding table
  ggml_tensor* bag_weights;      // [1 x entries]
  Scatter to_table;              // gradients of entries to the table
  Scatter to_tokens;             // entries to the tokens whose bag they are in
  ggml_tensor* entry_positions;  // token of every entry
  // Keys above `low` and below `high` are seen: [1 x n_ctx x 1 x n_seq].
  ggml_tensor* low;
  ggml_tensor* high;
  // Targets.
  ggml_tensor* target_positions;
  ggml_tensor* labels;
  ggml_tensor* scales;  // weight x gradient scale, [1 x targets]
  Scatter to_positions;
  // Results.
  ggml_tensor* losses;  // [1 x targets]
  ggml_tensor* logits;  // [n_out x targets] or null

 private:
  const GraphSizes sizes_;
  const Form form_;
  DeviceTensors tensors_;
};

}  // namespace gristmill::train
