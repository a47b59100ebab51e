#include "train/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gristmill::train {

namespace {

constexpr int64_t kQueries = 48;  // per block: four tiles of the widest kernel

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Scratch of one thread; grows to the largest task and stays.
class Scratch {
 public:
  void Reset(int64_t floats) {
    if (static_cast<int64_t>(memory_.size()) < floats) memory_.resize(static_cast<size_t>(floats));
    used_ = 0;
  }
  float* Take(int64_t floats) {
    float* start = memory_.data() + used_;
    used_ += RoundUp(floats, 16);
    return start;
  }

 private:
  std::vector<float> memory_;
  int64_t used_ = 0;
};
thread_local Scratch scratch;

// Rotates neighbouring pairs (llama.cpp's NORM order); direction -1 is the inverse.
void Rotate(const RotaryTable& rotary, int64_t position, float direction, float scale,
            const float* from, float* to) {
  const float* cosine = rotary.cosine.data() + position * rotary.half;
  const float* sine = rotary.sine.data() + position * rotary.half;
  for (int64_t pair = 0; pair < rotary.half; ++pair) {
    const float c = cosine[pair] * scale;
    const float s = sine[pair] * direction * scale;
    const float first = from[2 * pair];
    const float second = from[2 * pair + 1];
    to[2 * pair] = first * c - second * s;
    to[2 * pair + 1] = first * s + second * c;
  }
}

struct Span {
  int64_t first;  // panel-aligned
  int64_t last;
  int64_t columns() const { return last - first; }
};

Span KeysOf(const KeyRanges& ranges, int64_t token, int64_t queries, int64_t panel, int64_t n_ctx) {
  int64_t first = n_ctx;
  int64_t last = 0;
  for (int64_t row = 0; row < queries; ++row) {
    first = std::min<int64_t>(first, ranges.first[static_cast<size_t>(token + row)]);
    last = std::max<int64_t>(last, ranges.last[static_cast<size_t>(token + row)]);
  }
  return {first / panel * panel, last};
}

}  // namespace

RotaryTable::RotaryTable(const Shape& shape, int64_t n_ctx) : half(shape.n_head_dim / 2) {
  cosine.resize(static_cast<size_t>(n_ctx * half));
  sine.resize(cosine.size());
  for (int64_t position = 0; position < n_ctx; ++position) {
    for (int64_t pair = 0; pair < half; ++pair) {
      const double angle =
          static_cast<double>(position) *
          std::pow(static_cast<double>(shape.rope_theta),
                   -2.0 * static_cast<double>(pair) / static_cast<double>(shape.n_head_dim));
      cosine[static_cast<size_t>(position * half + pair)] = static_cast<float>(std::cos(angle));
      sine[static_cast<size_t>(position * half + pair)] = static_cast<float>(std::sin(angle));
    }
  }
}

void AttentionForward(const Kernels& kernels, const AttentionSizes& sizes,
                      const RotaryTable& rotary, const KeyRanges& ranges, const float* q,
                      const float* k, const float* v, int64_t task, float* out, float* log_sum) {
  const int64_t n_ctx = sizes.n_ctx;
  const int64_t dim = sizes.head_dim;
  const int64_t panel = kernels.panel;
  const int64_t padded_ctx = RoundUp(n_ctx, panel);
  const int64_t padded_dim = RoundUp(dim, panel);
  const int64_t q_width = sizes.n_head * dim;
  const int64_t kv_width = sizes.n_head_kv * dim;
  const int64_t group = sizes.n_head / sizes.n_head_kv;
  const int64_t kv_head = task % sizes.n_head_kv;
  const int64_t token0 = task / sizes.n_head_kv * n_ctx;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));

  scratch.Reset(n_ctx * dim + padded_ctx * dim + padded_dim * n_ctx + kQueries * dim +
                kQueries * padded_ctx + 6 * 16);
  float* keys = scratch.Take(n_ctx * dim);
  float* keys_packed = scratch.Take(padded_ctx * dim);
  float* values_packed = scratch.Take(padded_dim * n_ctx);
  float* queries = scratch.Take(kQueries * dim);
  float* scores = scratch.Take(kQueries * padded_ctx);

  const float* v_head = v + token0 * kv_width + kv_head * dim;
  for (int64_t position = 0; position < n_ctx; ++position) {
    Rotate(rotary, position, 1, 1, k + (token0 + position) * kv_width + kv_head * dim,
           keys + position * dim);
  }
  kernels.pack(dim, n_ctx, keys, 1, dim, keys_packed, panel * dim);
  kernels.pack(n_ctx, dim, v_head, kv_width, 1, values_packed, panel * n_ctx);

  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = 0; first < n_ctx; first += kQueries) {
      const int64_t rows = std::min(kQueries, n_ctx - first);
      const Span span = KeysOf(ranges, token0 + first, rows, panel, n_ctx);
      for (int64_t row = 0; row < rows; ++row) {
        Rotate(rotary, first + row, 1, scale, q + (token0 + first + row) * q_width + head * dim,
               queries + row * dim);
      }
      kernels.multiply(rows, span.columns(), dim, queries, dim, 1, keys_packed + span.first * dim,
                       panel * dim, scores, padded_ctx, false);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t token = token0 + first + row;
        const int64_t from = ranges.first[static_cast<size_t>(token)] - span.first;
        const int64_t to = ranges.last[static_cast<size_t>(token)] - span.first;
        float* line = scores + row * padded_ctx;
        const float highest = kernels.max(to - from, line + from);
        const float sum = kernels.exp_sum(to - from, line + from, -highest, line + from);
        const float inverse = 1.0f / sum;
        for (int64_t key = from; key < to; ++key) line[key] *= inverse;
        std::fill(line, line + from, 0.0f);
        std::fill(line + to, line + span.columns(), 0.0f);
        log_sum[token * sizes.n_head + head] = highest + std::log(sum);
      }
      kernels.multiply(rows, dim, span.columns(), scores, padded_ctx, 1,
                       values_packed + span.first * panel, panel * n_ctx,
                       out + (token0 + first) * q_width + head * dim, q_width, false);
    }
  }
}

void AttentionBackward(const Kernels& kernels, const AttentionSizes& sizes,
                       const RotaryTable& rotary, const KeyRanges& ranges, const float* q,
                       const float* k, const float* v, const float* out, const float* log_sum,
                       const float* d_out, int64_t task, float* d_q, float* d_k, float* d_v) {
  const int64_t n_ctx = sizes.n_ctx;
  const int64_t dim = sizes.head_dim;
  const int64_t panel = kernels.panel;
  const int64_t padded_ctx = RoundUp(n_ctx, panel);
  const int64_t padded_dim = RoundUp(dim, panel);
  const int64_t q_width = sizes.n_head * dim;
  const int64_t kv_width = sizes.n_head_kv * dim;
  const int64_t group = sizes.n_head / sizes.n_head_kv;
  const int64_t kv_head = task % sizes.n_head_kv;
  const int64_t token0 = task / sizes.n_head_kv * n_ctx;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));

  scratch.Reset(2 * n_ctx * dim + 2 * padded_ctx * dim + padded_dim * n_ctx + 2 * kQueries * dim +
                2 * kQueries * padded_dim + 2 * kQueries * padded_ctx + 12 * 16);
  float* keys = scratch.Take(n_ctx * dim);  // turned into d_k once they are packed
  float* keys_by_dim = scratch.Take(padded_ctx * dim);
  float* keys_by_key = scratch.Take(padded_dim * n_ctx);
  float* values_by_dim = scratch.Take(padded_ctx * dim);
  float* d_keys = scratch.Take(n_ctx * dim);
  float* queries = scratch.Take(kQueries * dim);
  float* d_queries = scratch.Take(kQueries * dim);
  float* queries_packed = scratch.Take(kQueries * padded_dim);
  float* d_out_packed = scratch.Take(kQueries * padded_dim);
  float* probabilities = scratch.Take(kQueries * padded_ctx);
  float* d_scores = scratch.Take(kQueries * padded_ctx);

  const float* v_head = v + token0 * kv_width + kv_head * dim;
  float* d_values = d_v + token0 * kv_width + kv_head * dim;
  for (int64_t position = 0; position < n_ctx; ++position) {
    Rotate(rotary, position, 1, 1, k + (token0 + position) * kv_width + kv_head * dim,
           keys + position * dim);
    std::fill_n(d_values + position * kv_width, dim, 0.0f);
  }
  kernels.pack(dim, n_ctx, keys, 1, dim, keys_by_dim, panel * dim);
  kernels.pack(n_ctx, dim, keys, dim, 1, keys_by_key, panel * n_ctx);
  kernels.pack(dim, n_ctx, v_head, 1, kv_width, values_by_dim, panel * dim);
  std::fill_n(d_keys, n_ctx * dim, 0.0f);

  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t first = 0; first < n_ctx; first += kQueries) {
      const int64_t rows = std::min(kQueries, n_ctx - first);
      const int64_t token = token0 + first;
      const Span span = KeysOf(ranges, token, rows, panel, n_ctx);
      const int64_t columns = span.columns();
      const float* d_block = d_out + token * q_width + head * dim;
      const float* out_block = out + token * q_width + head * dim;
      for (int64_t row = 0; row < rows; ++row) {
        Rotate(rotary, first + row, 1, scale, q + (token + row) * q_width + head * dim,
               queries + row * dim);
      }
      kernels.multiply(rows, columns, dim, queries, dim, 1, keys_by_dim + span.first * dim,
                       panel * dim, probabilities, padded_ctx, false);
      kernels.multiply(rows, columns, dim, d_block, q_width, 1, values_by_dim + span.first * dim,
                       panel * dim, d_scores, padded_ctx, false);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t from = ranges.first[static_cast<size_t>(token + row)] - span.first;
        const int64_t to = ranges.last[static_cast<size_t>(token + row)] - span.first;
        float* p = probabilities + row * padded_ctx;
        float* d = d_scores + row * padded_ctx;
        const float mean = kernels.dot(dim, d_block + row * q_width, out_block + row * q_width);
        kernels.exp_sum(to - from, p + from, -log_sum[(token + row) * sizes.n_head + head],
                        p + from);
        for (int64_t key = from; key < to; ++key) d[key] = p[key] * (d[key] - mean);
        for (float* line : {p, d}) {
          std::fill(line, line + from, 0.0f);
          std::fill(line + to, line + columns, 0.0f);
        }
      }
      kernels.multiply(rows, dim, columns, d_scores, padded_ctx, 1,
                       keys_by_key + span.first * panel, panel * n_ctx, d_queries, dim, false);
      for (int64_t row = 0; row < rows; ++row) {
        Rotate(rotary, first + row, -1, scale, d_queries + row * dim,
               d_q + (token + row) * q_width + head * dim);
      }
      kernels.pack(rows, dim, queries, dim, 1, queries_packed, panel * kQueries);
      kernels.pack(rows, dim, d_block, q_width, 1, d_out_packed, panel * kQueries);
      kernels.multiply(columns, dim, rows, d_scores, 1, padded_ctx, queries_packed,
                       panel * kQueries, d_keys + span.first * dim, dim, true);
      kernels.multiply(columns, dim, rows, probabilities, 1, padded_ctx, d_out_packed,
                       panel * kQueries, d_values + span.first * kv_width, kv_width, true);
    }
  }
  for (int64_t position = 0; position < n_ctx; ++position) {
    Rotate(rotary, position, -1, 1, d_keys + position * dim,
           d_k + (token0 + position) * kv_width + kv_head * dim);
  }
}

}  // namespace gristmill::train
