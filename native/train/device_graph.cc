#include "train/device_graph.h"

#include <algorithm>
#include <cmath>

namespace gristmill::train {

namespace {

std::string Block(int32_t layer) {
  return "blk." + std::to_string(layer) + ".";
}

const char* HeadName(const Shape& shape) {
  return shape.n_classes > 0 ? kClassHead : shape.tied ? "token_embd.weight" : "output.weight";
}

// Room for bags grows by doubling, so that a graph is built again a few times at most.
Form FormOf(const Feed& feed) {
  Form form;
  form.logits = feed.logits != nullptr;
  if (feed.bag_starts.empty()) return form;
  form.bag_entries = kChunkRows;
  while (form.bag_entries < feed.bag_starts.back()) form.bag_entries *= 2;
  return form;
}

// Values of one cell per column of a matrix: [1 x columns].
ggml_tensor* Pick(ggml_context* context, ggml_tensor* matrix, ggml_tensor* cells) {
  const int64_t columns = matrix->ne[1];
  ggml_tensor* one_by_one = ggml_reshape_3d(context, matrix, 1, matrix->ne[0], columns);
  return ggml_reshape_2d(context, ggml_get_rows(context, one_by_one, cells), 1, columns);
}

}  // namespace

DeviceGraph::DeviceGraph(const Shape& shape, const GraphSizes& sizes,
                         const std::vector<TensorSpec>& tensors, ggml_tensor* weights,
                         ggml_tensor* gradients, const Device& device, float smoothing, Feed* feed)
    : shape_(shape),
      sizes_(sizes),
      tensors_(tensors),
      weights_(weights),
      gradients_(gradients),
      device_(device),
      smoothing_(smoothing),
      feed_(feed) {
  Build({});
}

void DeviceGraph::Compute() {
  const Form form = FormOf(*feed_);
  if (!built_ || !form_.Serves(form)) Build(form);
  inputs_->Upload(*feed_);
  plan_->Run();
  inputs_->Download(feed_);
}

void DeviceGraph::Build(const Form& form) {
  // The old buffers go first: both may not fit.
  built_ = false;
  plan_.reset();
  inputs_.reset();
  layers_.clear();
  form_ = form;
  inputs_ = std::make_unique<DeviceInputs>(shape_, sizes_, form, device_);
  plan_ = std::make_unique<DevicePlan>(device_, NodeBound());
  context_ = plan_->context();
  mask_ = Mask();
  ggml_tensor* d_hidden = BuildHead(BuildForward());
  if (gradients_ != nullptr) BuildBackward(d_hidden);
  plan_->Allocate();
  built_ = true;
}

size_t DeviceGraph::NodeBound() const {
  const int64_t chunks = inputs_->to_table.n_chunks() + inputs_->to_tokens.n_chunks();
  return static_cast<size_t>(shape_.n_layer * 192 + inputs_->to_positions.n_chunks() * 96 +
                             chunks * 24 + 64);
}

// ---- forward ------------------------------------------------------------------------------------

ggml_tensor* DeviceGraph::Embed() {
  ggml_tensor* table = Weight("token_embd.weight");
  if (form_.bag_entries == 0) return ggml_get_rows(context_, table, inputs_->ids);
  ggml_tensor* x = ggml_fill_inplace(
      context_, ggml_new_tensor_2d(context_, GGML_TYPE_F32, shape_.n_embd, sizes_.tokens()), 0);
  for (int64_t index = 0; index < inputs_->to_tokens.n_chunks(); ++index) {
    const ScatterChunk chunk = inputs_->to_tokens.Chunk(context_, index);
    ggml_tensor* ids = Some(inputs_->ids, chunk.first, chunk.count);
    ggml_tensor* weights = Rows(inputs_->bag_weights, chunk.first, chunk.count);
    x = ScatterAdd(x, ggml_mul(context_, ggml_get_rows(context_, table, ids), weights), chunk);
  }
  return x;
}

ggml_tensor* DeviceGraph::BuildForward() {
  ggml_tensor* x = Embed();
  for (int32_t index = 0; index < shape_.n_layer; ++index) {
    const std::string block = Block(index);
    Layer layer{};
    layer.input = x;
    layer.normed_attention = Norm(block + "attn_norm.weight", x);
    ggml_tensor* normed = layer.normed_attention.out;
    layer.q = ToHeads(Linear(block + "attn_q.weight", normed), shape_.n_head, true);
    layer.k = ToHeads(Linear(block + "attn_k.weight", normed), shape_.n_head_kv, true);
    layer.v = ToHeads(Linear(block + "attn_v.weight", normed), shape_.n_head_kv, false);
    ggml_tensor* attended =
        ggml_mul_mat(context_, Transposed(layer.v), Probabilities(layer.q, layer.k));
    layer.attended = FromHeads(attended, shape_.n_head, false);
    layer.middle = ggml_add(context_, Linear(block + "attn_output.weight", layer.attended), x);
    layer.normed_ffn = Norm(block + "ffn_norm.weight", layer.middle);
    layer.gate = Linear(block + "ffn_gate.weight", layer.normed_ffn.out);
    layer.up = Linear(block + "ffn_up.weight", layer.normed_ffn.out);
    layer.hidden = ggml_swiglu_split(context_, layer.gate, layer.up);
    x = ggml_add(context_, Linear(block + "ffn_down.weight", layer.hidden), layer.middle);
    plan_->Add(x);
    layers_.push_back(layer);
  }
  return x;
}

// ---- head ---------------------------------------------------------------------------------------

// Losses of all targets; returns the gradient of `hidden`.
ggml_tensor* DeviceGraph::BuildHead(ggml_tensor* hidden) {
  ggml_tensor* d_hidden = gradients_ == nullptr ? nullptr : ggml_fill(context_, hidden, 0);
  for (int64_t first = 0; first < sizes_.max_targets; first += kChunkRows) {
    const int64_t count = std::min(kChunkRows, sizes_.max_targets - first);
    d_hidden = HeadChunk(hidden, d_hidden, first, count);
  }
  return d_hidden;
}

ggml_tensor* DeviceGraph::HeadChunk(ggml_tensor* hidden, ggml_tensor* d_hidden, int64_t first,
                                    int64_t count) {
  const std::string head = HeadName(shape_);
  ggml_tensor* labels = ggml_reshape_2d(context_, Some(inputs_->labels, first, count), 1, count);
  ggml_tensor* rows =
      ggml_get_rows(context_, hidden, Some(inputs_->target_positions, first, count));
  const Normed normed = Norm("output_norm.weight", rows);
  ggml_tensor* logits = Linear(head, normed.out);
  if (form_.logits) {
    plan_->Add(ggml_cpy(context_, logits, Rows(inputs_->logits, first, count)));
  }
  ggml_tensor* probabilities = ggml_soft_max(context_, logits);
  plan_->Add(ggml_cpy(context_, Losses(logits, probabilities, labels),
                      Rows(inputs_->losses, first, count)));
  if (gradients_ == nullptr) return nullptr;
  ggml_tensor* d_logits = LossBack(probabilities, labels, Rows(inputs_->scales, first, count));
  ggml_tensor* d_normed = LinearBack(head, d_logits, normed.out);
  ggml_tensor* d_rows = NormBack("output_norm.weight", d_normed, rows, normed);
  const ScatterChunk chunk = inputs_->to_positions.Chunk(context_, first / kChunkRows);
  d_hidden = ScatterAdd(d_hidden, d_rows, chunk);
  plan_->Add(d_hidden);
  return d_hidden;
}

// log-sum-exp comes from the largest logit z and its probability p, z - log p: p is never so small
// that it is lost, as the label's may be.
ggml_tensor* DeviceGraph::Losses(ggml_tensor* logits, ggml_tensor* probabilities,
                                 ggml_tensor* labels) const {
  const int64_t count = logits->ne[1];
  // CUDA's argmax of nothing but NaNs is -1.
  ggml_tensor* best = ggml_cast(context_, ggml_argmax(context_, logits), GGML_TYPE_F32);
  best = ggml_clamp(context_, best, 0, static_cast<float>(shape_.n_out() - 1));
  best = ggml_reshape_2d(context_, ggml_cast(context_, best, GGML_TYPE_I32), 1, count);
  ggml_tensor* log_sum = ggml_sub(context_, Pick(context_, logits, best),
                                  ggml_log(context_, Pick(context_, probabilities, best)));
  ggml_tensor* chosen = ggml_scale(context_, Pick(context_, logits, labels), 1.0f - smoothing_);
  ggml_tensor* losses = ggml_sub(context_, log_sum, chosen);
  if (smoothing_ == 0) return losses;
  ggml_tensor* mean = ggml_scale(context_, ggml_sum_rows(context_, logits),
                                 smoothing_ / static_cast<float>(shape_.n_out()));
  return ggml_sub(context_, losses, mean);
}

ggml_tensor* DeviceGraph::LossBack(ggml_tensor* probabilities, ggml_tensor* labels,
                                   ggml_tensor* scales) const {
  const int64_t n_out = probabilities->ne[0], count = probabilities->ne[1];
  ggml_tensor* d_logits = ggml_mul(context_, probabilities, scales);
  if (smoothing_ > 0) {
    const float spread = smoothing_ / static_cast<float>(n_out);
    d_logits = ggml_sub(context_, d_logits, ggml_scale(context_, scales, spread));
  }
  ggml_tensor* at_label = ggml_sub(context_, Pick(context_, d_logits, labels),
                                   ggml_scale(context_, scales, 1.0f - smoothing_));
  ggml_tensor* cells = ggml_reshape_3d(context_, d_logits, 1, n_out, count);
  cells = ggml_set_rows(context_, cells, ggml_reshape_3d(context_, at_label, 1, 1, count), labels);
  return ggml_reshape_2d(context_, cells, n_out, count);
}

// ---- backward -----------------------------------------------------------------------------------

ggml_tensor* DeviceGraph::LayerBack(int32_t index, ggml_tensor* d_out) {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  const std::string block = Block(index);
  ggml_tensor* d_hidden = LinearBack(block + "ffn_down.weight", d_out, layer.hidden);
  ggml_tensor* d_up = ggml_mul(context_, ggml_silu(context_, layer.gate), d_hidden);
  ggml_tensor* d_gate =
      ggml_silu_back(context_, ggml_mul(context_, d_hidden, layer.up), layer.gate);
  d_gate = LinearBack(block + "ffn_gate.weight", d_gate, layer.normed_ffn.out);
  d_up = LinearBack(block + "ffn_up.weight", d_up, layer.normed_ffn.out);
  ggml_tensor* d_normed = ggml_add(context_, d_gate, d_up);
  ggml_tensor* d_middle = ggml_add(
      context_, NormBack(block + "ffn_norm.weight", d_normed, layer.middle, layer.normed_ffn),
      d_out);
  d_normed = AttentionBack(layer, block,
                           LinearBack(block + "attn_output.weight", d_middle, layer.attended));
  return ggml_add(
      context_, NormBack(block + "attn_norm.weight", d_normed, layer.input, layer.normed_attention),
      d_middle);
}

// From the gradient of what attention gave to that of its normed input.
ggml_tensor* DeviceGraph::AttentionBack(const Layer& layer, const std::string& block,
                                        ggml_tensor* d_out) {
  d_out = ToHeads(d_out, shape_.n_head, false);
  ggml_tensor* probabilities = Probabilities(layer.q, layer.k);
  ggml_tensor* d_v = SumGroups(ggml_out_prod(context_, d_out, probabilities));
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape_.n_head_dim));
  ggml_tensor* d_scores = ggml_soft_max_ext_back(context_, ggml_mul_mat(context_, layer.v, d_out),
                                                 probabilities, scale, 0);
  ggml_tensor* d_q = ggml_mul_mat(context_, Transposed(layer.k), d_scores);
  ggml_tensor* d_k = SumGroups(ggml_out_prod(context_, layer.q, d_scores));
  ggml_tensor* normed = layer.normed_attention.out;
  d_q = LinearBack(block + "attn_q.weight", FromHeads(d_q, shape_.n_head, true), normed);
  d_k = LinearBack(block + "attn_k.weight", FromHeads(d_k, shape_.n_head_kv, true), normed);
  d_v = LinearBack(block + "attn_v.weight", FromHeads(d_v, shape_.n_head_kv, false), normed);
  return ggml_add(context_, ggml_add(context_, d_q, d_k), d_v);
}

void DeviceGraph::BuildBackward(ggml_tensor* d_hidden) {
  ggml_tensor* d_x = d_hidden;
  for (int32_t index = shape_.n_layer - 1; index >= 0; --index) {
    d_x = LayerBack(index, d_x);
    plan_->Add(d_x);
  }
  ggml_tensor* table = Gradient("token_embd.weight");
  for (int64_t index = 0; index < inputs_->to_table.n_chunks(); ++index) {
    const ScatterChunk chunk = inputs_->to_table.Chunk(context_, index);
    ggml_tensor* rows;
    if (form_.bag_entries == 0) {
      rows = Rows(d_x, chunk.first, chunk.count);
    } else {
      ggml_tensor* tokens = Some(inputs_->entry_positions, chunk.first, chunk.count);
      rows = ggml_mul(context_, ggml_get_rows(context_, d_x, tokens),
                      Rows(inputs_->bag_weights, chunk.first, chunk.count));
    }
    table = ScatterAdd(table, rows, chunk);
    plan_->Add(table);
  }
}

}  // namespace gristmill::train
