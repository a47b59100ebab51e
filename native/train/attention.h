// Attention of the trainer, forward and backward, with rotary positions applied on the way in.
//
// One task is one sequence and one key-value head with all query heads that share it; tasks write
// disjoint outputs, so any number of threads gives the same bits. Only the key range that a block
// of queries may see is computed. Probabilities are not kept: the backward pass makes them again
// from the row's log-sum (FlashAttention-2, arXiv 2307.08691, without its tiling of the keys).
#pragma once

#include <cstdint>
#include <vector>

#include "train/kernels.h"
#include "train/shape.h"

namespace gristmill::train {

// cos and sin of every position and pair, [n_ctx x head_dim / 2] each.
struct RotaryTable {
  RotaryTable(const Shape& shape, int64_t n_ctx);

  int64_t half;
  std::vector<float> cosine;
  std::vector<float> sine;
};

struct AttentionSizes {
  int64_t n_ctx;
  int64_t n_seq;
  int64_t n_head;
  int64_t n_head_kv;
  int64_t head_dim;

  int64_t tasks() const { return n_seq * n_head_kv; }
};

// Keys that token t may see: first[t] .. last[t] - 1, positions within its sequence.
struct KeyRanges {
  std::vector<int32_t> first;
  std::vector<int32_t> last;
};

// out: [tokens x n_head * head_dim]; log_sum: [tokens x n_head].
void AttentionForward(const Kernels& kernels, const AttentionSizes& sizes,
                      const RotaryTable& rotary, const KeyRanges& ranges, const float* q,
                      const float* k, const float* v, int64_t task, float* out, float* log_sum);

void AttentionBackward(const Kernels& kernels, const AttentionSizes& sizes,
                       const RotaryTable& rotary, const KeyRanges& ranges, const float* q,
                       const float* k, const float* v, const float* out, const float* log_sum,
                       const float* d_out, int64_t task, float* d_q, float* d_k, float* d_v);

}  // namespace gristmill::train
