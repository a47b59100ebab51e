// Groups of ggml operators that the passes of DeviceGraph are made of.
#include <cmath>

#include "error.h"
#include "train/device_graph.h"

namespace gristmill::train {

namespace {

constexpr float kHidden = -1e30f;  // a score that no softmax sees; finite, for the sake of products

const TensorSpec& Find(const std::vector<TensorSpec>& tensors, const std::string& name) {
  for (const TensorSpec& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw CodedError("NATIVE_FAILED", {{"operation", "training graph"}, {"reason", name}});
}

ggml_tensor* PartOf(ggml_context* context, ggml_tensor* flat, const TensorSpec& tensor) {
  return ggml_view_2d(context, flat, tensor.columns, tensor.rows,
                      static_cast<size_t>(tensor.columns) * sizeof(float),
                      static_cast<size_t>(tensor.offset) * sizeof(float));
}

}  // namespace

ggml_tensor* DeviceGraph::Weight(const std::string& name) const {
  return PartOf(context_, weights_, Find(tensors_, name));
}

ggml_tensor* DeviceGraph::Gradient(const std::string& name) const {
  return PartOf(context_, gradients_, Find(tensors_, name));
}

void DeviceGraph::AddToGradient(const std::string& name, ggml_tensor* value) {
  plan_->Add(ggml_add_inplace(context_, Gradient(name), value));
}

ggml_tensor* DeviceGraph::Linear(const std::string& name, ggml_tensor* x) {
  return ggml_mul_mat(context_, Weight(name), x);
}

// The weight's gradient is added to, the input's is returned.
ggml_tensor* DeviceGraph::LinearBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x) {
  AddToGradient(name, ggml_out_prod(context_, x, d_out));
  return ggml_out_prod(context_, Weight(name), ggml_transpose(context_, d_out));
}

DeviceGraph::Normed DeviceGraph::Norm(const std::string& name, ggml_tensor* x) {
  ggml_tensor* unscaled = ggml_rms_norm(context_, x, shape_.rms_epsilon);
  return {unscaled, ggml_mul(context_, unscaled, Weight(name))};
}

ggml_tensor* DeviceGraph::NormBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x,
                                   const Normed& normed) {
  // A product with ones sums over rows; ggml_repeat_back does it on one thread per column.
  ggml_tensor* along = ggml_mul(context_, d_out, normed.unscaled);
  AddToGradient(name, ggml_out_prod(context_, along, Rows(inputs_->ones, 0, x->ne[1])));
  return ggml_rms_norm_back(context_, ggml_mul(context_, d_out, Weight(name)), x,
                            shape_.rms_epsilon);
}

ggml_tensor* DeviceGraph::ScatterAdd(ggml_tensor* matrix, ggml_tensor* rows,
                                     const ScatterChunk& chunk) {
  ggml_tensor* before = ggml_get_rows(context_, matrix, chunk.rows);
  ggml_tensor* sums = ggml_get_rows_back(context_, rows, chunk.slots, before);
  return ggml_set_rows(context_, matrix, ggml_add(context_, before, sums), chunk.rows);
}

ggml_tensor* DeviceGraph::Rows(ggml_tensor* matrix, int64_t first, int64_t count) const {
  return ggml_view_2d(context_, matrix, matrix->ne[0], count, matrix->nb[1],
                      static_cast<size_t>(first) * matrix->nb[1]);
}

ggml_tensor* DeviceGraph::Some(ggml_tensor* vector, int64_t first, int64_t count) const {
  return ggml_view_1d(context_, vector, count, static_cast<size_t>(first) * vector->nb[0]);
}

ggml_tensor* DeviceGraph::Transposed(ggml_tensor* heads) const {
  return ggml_cont(context_, ggml_transpose(context_, heads));
}

// [heads * head_dim x tokens] to [head_dim x n_ctx x heads * n_seq].
ggml_tensor* DeviceGraph::ToHeads(ggml_tensor* x, int64_t n_heads, bool rotate) const {
  const int64_t dim = shape_.n_head_dim;
  x = ggml_reshape_3d(context_, x, dim, n_heads, sizes_.tokens());
  if (rotate) {
    x = ggml_rope_ext(context_, x, inputs_->positions, nullptr, static_cast<int>(dim),
                      GGML_ROPE_TYPE_NORMAL, static_cast<int>(sizes_.n_ctx), shape_.rope_theta, 1,
                      0, 1, 32, 1);
  }
  x = ggml_reshape_4d(context_, x, dim, n_heads, sizes_.n_ctx, sizes_.n_seq);
  x = ggml_cont(context_, ggml_permute(context_, x, 0, 2, 1, 3));
  return ggml_reshape_3d(context_, x, dim, sizes_.n_ctx, n_heads * sizes_.n_seq);
}

// The way back; `rotate` turns gradients back by their positions.
ggml_tensor* DeviceGraph::FromHeads(ggml_tensor* heads, int64_t n_heads, bool rotate) const {
  const int64_t dim = shape_.n_head_dim;
  ggml_tensor* x = ggml_reshape_4d(context_, heads, dim, sizes_.n_ctx, n_heads, sizes_.n_seq);
  x = ggml_cont(context_, ggml_permute(context_, x, 0, 2, 1, 3));
  if (rotate) {
    x = ggml_reshape_3d(context_, x, dim, n_heads, sizes_.tokens());
    x = ggml_rope_ext_back(context_, x, inputs_->positions, nullptr, static_cast<int>(dim),
                           GGML_ROPE_TYPE_NORMAL, static_cast<int>(sizes_.n_ctx), shape_.rope_theta,
                           1, 0, 1, 32, 1);
  }
  return ggml_reshape_2d(context_, x, dim * n_heads, sizes_.tokens());
}

// Gradients of query heads to those of the key-value head that they share.
ggml_tensor* DeviceGraph::SumGroups(ggml_tensor* heads) const {
  const int64_t group = shape_.n_head / shape_.n_head_kv;
  if (group == 1) return heads;
  const int64_t floats = heads->ne[0] * heads->ne[1];
  const int64_t n_shared = heads->ne[2] / group;
  ggml_tensor* form = ggml_new_tensor_3d(context_, GGML_TYPE_F32, floats, 1, n_shared);
  ggml_tensor* sums =
      ggml_repeat_back(context_, ggml_reshape_3d(context_, heads, floats, group, n_shared), form);
  return ggml_reshape_3d(context_, sums, heads->ne[0], heads->ne[1], n_shared);
}

// 0 where a query (row) sees a key (column), kHidden elsewhere: [n_ctx x n_ctx x 1 x n_seq].
ggml_tensor* DeviceGraph::Mask() const {
  ggml_tensor* keys =
      ggml_repeat_4d(context_, inputs_->keys, sizes_.n_ctx, sizes_.n_ctx, 1, sizes_.n_seq);
  ggml_tensor* from = ggml_step(context_, ggml_sub(context_, keys, inputs_->low));
  ggml_tensor* past = ggml_step(context_, ggml_sub(context_, keys, inputs_->high));
  // from - past is 1 for the keys of the range, as a range that has begun ends later.
  return ggml_scale_bias(context_, ggml_sub(context_, from, past), -kHidden, kHidden);
}

ggml_tensor* DeviceGraph::Probabilities(ggml_tensor* q, ggml_tensor* k) const {
  ggml_tensor* scores = ggml_mul_mat(context_, k, q);
  scores =
      ggml_reshape_4d(context_, scores, sizes_.n_ctx, sizes_.n_ctx, shape_.n_head, sizes_.n_seq);
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape_.n_head_dim));
  ggml_tensor* out = ggml_soft_max_ext(context_, scores, mask_, scale, 0);
  return ggml_reshape_3d(context_, out, sizes_.n_ctx, sizes_.n_ctx,
                         int64_t{shape_.n_head} * sizes_.n_seq);
}

}  // namespace gristmill::train
