// What a training graph is to the trainer: it reads a feed, adds to the gradients and writes
// losses.
//
// Two graphs do the same: Graph, of kernels for the CPU, and DeviceGraph, of ggml's own operators
// for every backend. Gradients are added to (the caller clears them before a step): micro-batches
// accumulate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "train/attention.h"

namespace gristmill::train {

// What the nodes read besides tensors; set before each computation. Positions are flat over the
// micro-batch; only the first n_targets entries count.
//
// A position's input is the embedding of its token, or, where bags are given, the weighted sum of
// the embeddings of its bag's ids: bag `position` is [bag_starts[position], bag_starts[position +
// 1]).
struct Feed {
  std::vector<int32_t> tokens;
  std::vector<int32_t> bag_starts;
  std::vector<int32_t> bag_ids;
  std::vector<float> bag_weights;
  KeyRanges ranges;
  int64_t n_targets = 0;
  std::vector<int32_t> positions;
  std::vector<int32_t> labels;
  std::vector<float> weights;
  float gradient_scale = 1;  // 1 / sum of all weights of the step
  float smoothing = 0;
  // Out: loss per target, unweighted; logits when the caller gives room for them.
  std::vector<float> losses;
  float* logits = nullptr;
};

struct GraphSizes {
  int64_t n_ctx;
  int64_t n_seq;
  int64_t max_targets;

  int64_t tokens() const { return n_ctx * n_seq; }
};

class TrainGraph {
 public:
  virtual ~TrainGraph() = default;
  virtual void Compute() = 0;
  virtual size_t buffer_bytes() const = 0;
};

}  // namespace gristmill::train
