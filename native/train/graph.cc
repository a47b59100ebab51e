#include "train/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.h"

namespace gristmill::train {

namespace {

constexpr int64_t kLogitFloats = 8 << 20;  // 32 MiB of logits at a time
constexpr int64_t kMinChunk = 64;

float* Data(const ggml_tensor* tensor) {
  return static_cast<float*>(tensor->data);
}

// Rows or columns of one part; columns go by cache lines, so that no two threads share one.
struct Slice {
  int64_t first, last;
};
Slice RowsOf(int64_t rows, int64_t part, int64_t parts) {
  return {rows * part / parts, rows * (part + 1) / parts};
}
Slice ColumnsOf(int64_t columns, int64_t part, int64_t parts) {
  const int64_t lines = (columns + 15) / 16;
  return {std::min(columns, lines * part / parts * 16),
          std::min(columns, lines * (part + 1) / parts * 16)};
}

template <typename Visit>
void EachOfBag(const Feed& feed, int64_t position, const Visit& visit) {
  const auto first = static_cast<size_t>(feed.bag_starts[static_cast<size_t>(position)]);
  const auto last = static_cast<size_t>(feed.bag_starts[static_cast<size_t>(position) + 1]);
  for (size_t at = first; at < last; ++at) visit(feed.bag_ids[at], feed.bag_weights[at]);
}

size_t NodeBound(const Shape& shape, int64_t chunks) {
  return static_cast<size_t>(shape.n_layer) * 64 + static_cast<size_t>(chunks) * 16 + 64;
}

int64_t ChunkRows(const Shape& shape, int64_t max_targets) {
  return std::min(max_targets, std::max(kMinChunk, kLogitFloats / shape.n_out()));
}

}  // namespace

Graph::Graph(const Shape& shape, const GraphSizes& sizes, bool bf16,
             const std::vector<TensorSpec>& tensors, ggml_tensor* weights, ggml_tensor* gradients,
             ggml_backend_t backend, Feed* feed)
    : shape_(shape),
      sizes_(sizes),
      bf16_(bf16),
      n_tokens_(sizes.tokens()),
      tensors_(tensors),
      kernels_(BestKernels()),
      rotary_(shape, sizes.n_ctx),
      attention_{sizes.n_ctx, sizes.n_seq, shape.n_head, shape.n_head_kv, shape.n_head_dim},
      feed_(feed),
      backend_(backend),
      weights_(weights),
      gradients_(gradients),
      context_(nullptr, ggml_free),
      allocator_(nullptr, ggml_gallocr_free) {
  const int64_t rows = ChunkRows(shape, sizes.max_targets);
  const size_t nodes = NodeBound(shape, (sizes.max_targets + rows - 1) / rows);
  // Views of weights count as tensors too.
  context_.reset(ggml_init(
      {.mem_size = ggml_tensor_overhead() * nodes * 2 + ggml_graph_overhead_custom(nodes, false),
       .mem_buffer = nullptr,
       .no_alloc = true}));
  graph_ = ggml_new_graph_custom(context_.get(), nodes, false);
  ggml_tensor* d_hidden = BuildHead(BuildForward());
  if (gradients_ != nullptr) BuildBackward(d_hidden);
  allocator_.reset(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend)));
  if (!ggml_gallocr_alloc_graph(allocator_.get(), graph_)) {
    throw CodedError("TRAIN_OUT_OF_MEMORY", {{"what", "the activations of the training graph"}});
  }
}

void Graph::Compute() {
  if (ggml_backend_graph_compute(backend_, graph_) != GGML_STATUS_SUCCESS) {
    throw CodedError("NATIVE_FAILED",
                     {{"operation", "training step"}, {"reason", "ggml refused the graph"}});
  }
}

// ---- nodes --------------------------------------------------------------------------------------

void Graph::Run(ggml_tensor* out, int part, int parts, void* body) {
  (*static_cast<Body*>(body))(Data(out), part, parts);
}

ggml_tensor* Graph::Node(int64_t width, int64_t rows, Sources sources, Body body) {
  bodies_.push_back(std::move(body));
  std::vector<ggml_tensor*> list(sources);
  ggml_tensor* node =
      ggml_custom_4d(context_.get(), GGML_TYPE_F32, width, rows, 1, 1, list.data(),
                     static_cast<int>(list.size()), Run, GGML_N_TASKS_MAX, &bodies_.back());
  ggml_build_forward_expand(graph_, node);
  return node;
}

ggml_tensor* Graph::NodeInto(ggml_tensor* target, Sources sources, Body body) {
  bodies_.push_back(std::move(body));
  std::vector<ggml_tensor*> list(sources);
  ggml_tensor* node =
      ggml_custom_inplace(context_.get(), target, list.data(), static_cast<int>(list.size()), Run,
                          GGML_N_TASKS_MAX, &bodies_.back());
  ggml_build_forward_expand(graph_, node);
  return node;
}

ggml_tensor* Graph::Part(ggml_tensor* whole, int64_t width, int64_t rows, int64_t offset) {
  return ggml_view_2d(context_.get(), whole, width, rows, static_cast<size_t>(width) * 4,
                      static_cast<size_t>(offset) * 4);
}

void Graph::Multiply(const Product& product, int64_t part, int64_t parts) const {
  (bf16_ ? ComputeProductBf16 : ComputeProduct)(kernels_, product, part, parts);
}

ggml_tensor* Graph::Weight(const std::string& name) {
  for (const TensorSpec& tensor : tensors_) {
    if (tensor.name == name) return Part(weights_, tensor.columns, tensor.rows, tensor.offset);
  }
  throw CodedError("NATIVE_FAILED", {{"operation", "training graph"}, {"reason", name}});
}

ggml_tensor* Graph::Gradient(const std::string& name) {
  for (const TensorSpec& tensor : tensors_) {
    if (tensor.name == name) return Part(gradients_, tensor.columns, tensor.rows, tensor.offset);
  }
  throw CodedError("NATIVE_FAILED", {{"operation", "training graph"}, {"reason", name}});
}

ggml_tensor* Graph::Linear(ggml_tensor* x, ggml_tensor* weight, ggml_tensor* residual) {
  const int64_t in = weight->ne[0], out = weight->ne[1], rows = x->ne[1];
  const auto body = [=, this](float* to, int64_t part, int64_t parts) {
    Multiply({rows, out, in, Data(x), in, 1, Data(weight), 1, in, to, out, false,
              residual == nullptr ? nullptr : Data(residual)},
             part, parts);
  };
  if (residual == nullptr) return Node(out, rows, {x, weight}, body);
  return Node(out, rows, {x, weight, residual}, body);
}

ggml_tensor* Graph::LinearBack(ggml_tensor* d_out, ggml_tensor* weight, ggml_tensor* add_to) {
  const int64_t in = weight->ne[0], out = weight->ne[1], rows = d_out->ne[1];
  const bool accumulate = add_to != nullptr;
  const auto body = [=, this](float* to, int64_t part, int64_t parts) {
    Multiply({rows, in, out, Data(d_out), out, 1, Data(weight), in, 1, to, in, accumulate, nullptr},
             part, parts);
  };
  if (accumulate) return NodeInto(add_to, {d_out, weight}, body);
  return Node(in, rows, {d_out, weight}, body);
}

void Graph::WeightBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x) {
  const int64_t in = x->ne[0], out = d_out->ne[0], rows = x->ne[1];
  NodeInto(Gradient(name), {d_out, x}, [=, this](float* to, int64_t part, int64_t parts) {
    Multiply({out, in, rows, Data(d_out), 1, out, Data(x), in, 1, to, in, true, nullptr}, part,
             parts);
  });
}

Graph::Normed Graph::Norm(ggml_tensor* x, ggml_tensor* scale, const int64_t* n_rows) {
  const int64_t width = x->ne[0], rows = x->ne[1];
  ggml_tensor* both =
      Node((width + 1) * rows, 1, {x, scale}, [=, this](float* to, int64_t part, int64_t parts) {
        const Slice slice = RowsOf(*n_rows, part, parts);
        const float* gain = Data(scale);
        for (int64_t row = slice.first; row < slice.last; ++row) {
          const float* from = Data(x) + row * width;
          const float mean = kernels_.dot(width, from, from) / static_cast<float>(width);
          const float inverse = 1.0f / std::sqrt(mean + shape_.rms_epsilon);
          for (int64_t at = 0; at < width; ++at)
            to[row * width + at] = from[at] * inverse * gain[at];
          to[rows * width + row] = inverse;
        }
      });
  return {Part(both, width, rows, 0), Part(both, rows, 1, rows * width)};
}

ggml_tensor* Graph::NormBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x,
                             const Normed& normed, ggml_tensor* residual, const int64_t* n_rows) {
  const int64_t width = x->ne[0], rows = x->ne[1];
  ggml_tensor* inverse = normed.inverse;
  NodeInto(Gradient(name), {d_out, x, inverse}, [=](float* to, int64_t part, int64_t parts) {
    const Slice slice = ColumnsOf(width, part, parts);
    for (int64_t row = 0; row < *n_rows; ++row) {
      const float* d = Data(d_out) + row * width;
      const float* from = Data(x) + row * width;
      const float factor = Data(inverse)[row];
      for (int64_t at = slice.first; at < slice.last; ++at) to[at] += d[at] * from[at] * factor;
    }
  });
  ggml_tensor* scale = Weight(name);
  // d_x = inverse * (d_out * gain - x * inverse^2 * mean(d_out * gain * x)) + residual
  const auto body = [=, this](float* to, int64_t part, int64_t parts) {
    const Slice slice = RowsOf(*n_rows, part, parts);
    const float* gain = Data(scale);
    for (int64_t row = slice.first; row < slice.last; ++row) {
      const float* d = Data(d_out) + row * width;
      const float* from = Data(x) + row * width;
      const float* add = residual == nullptr ? nullptr : Data(residual) + row * width;
      const float factor = Data(inverse)[row];
      float* line = to + row * width;
      for (int64_t at = 0; at < width; ++at) line[at] = d[at] * gain[at] * factor;
      const float along =
          kernels_.dot(width, line, from) * factor * factor / static_cast<float>(width);
      if (add == nullptr) {
        for (int64_t at = 0; at < width; ++at) line[at] -= from[at] * along;
      } else {
        for (int64_t at = 0; at < width; ++at) line[at] += add[at] - from[at] * along;
      }
    }
  };
  if (residual == nullptr) return Node(width, rows, {d_out, x, scale, inverse}, body);
  return Node(width, rows, {d_out, x, scale, inverse, residual}, body);
}

Graph::Attended Graph::Attention(ggml_tensor* q, ggml_tensor* k, ggml_tensor* v) {
  const int64_t width = q->ne[0];
  ggml_tensor* both =
      Node((width + shape_.n_head) * n_tokens_, 1, {q, k, v},
           [=, this](float* to, int64_t part, int64_t parts) {
             const Slice slice = RowsOf(attention_.tasks(), part, parts);
             for (int64_t task = slice.first; task < slice.last; ++task) {
               AttentionForward(kernels_, attention_, rotary_, feed_->ranges, Data(q), Data(k),
                                Data(v), task, to, to + width * n_tokens_);
             }
           });
  return {Part(both, width, n_tokens_, 0), Part(both, shape_.n_head, n_tokens_, width * n_tokens_)};
}

// ---- forward ------------------------------------------------------------------------------------

ggml_tensor* Graph::Embed() {
  const int64_t width = shape_.n_embd;
  ggml_tensor* table = Weight("token_embd.weight");
  return Node(width, n_tokens_, {table}, [=, this](float* to, int64_t part, int64_t parts) {
    const Slice slice = RowsOf(n_tokens_, part, parts);
    if (!feed_->bag_starts.empty()) {
      for (int64_t token = slice.first; token < slice.last; ++token) {
        float* sum = to + token * width;
        std::fill_n(sum, width, 0.0f);
        EachOfBag(*feed_, token, [&](int32_t id, float weight) {
          kernels_.axpy(width, weight, Data(table) + id * width, sum);
        });
      }
      return;
    }
    for (int64_t token = slice.first; token < slice.last; ++token) {
      std::memcpy(to + token * width,
                  Data(table) + feed_->tokens[static_cast<size_t>(token)] * width,
                  static_cast<size_t>(width) * sizeof(float));
    }
  });
}

ggml_tensor* Graph::BuildForward() {
  ggml_tensor* x = Embed();
  for (int32_t index = 0; index < shape_.n_layer; ++index) {
    const std::string block = "blk." + std::to_string(index) + ".";
    Layer layer{};
    layer.input = x;
    layer.normed_attention = Norm(x, Weight(block + "attn_norm.weight"), &n_tokens_);
    ggml_tensor* normed = layer.normed_attention.out;
    layer.q = Linear(normed, Weight(block + "attn_q.weight"), nullptr);
    layer.k = Linear(normed, Weight(block + "attn_k.weight"), nullptr);
    layer.v = Linear(normed, Weight(block + "attn_v.weight"), nullptr);
    layer.attended = Attention(layer.q, layer.k, layer.v);
    layer.middle = Linear(layer.attended.out, Weight(block + "attn_output.weight"), x);
    layer.normed_ffn = Norm(layer.middle, Weight(block + "ffn_norm.weight"), &n_tokens_);
    ggml_tensor* gate = Linear(layer.normed_ffn.out, Weight(block + "ffn_gate.weight"), nullptr);
    ggml_tensor* up = Linear(layer.normed_ffn.out, Weight(block + "ffn_up.weight"), nullptr);
    layer.gate = gate;
    layer.up = up;
    const int64_t width = shape_.n_ff;
    layer.hidden =
        Node(width, n_tokens_, {gate, up}, [=, this](float* to, int64_t part, int64_t parts) {
          const Slice slice = RowsOf(n_tokens_, part, parts);
          const int64_t at = slice.first * width;
          kernels_.swiglu((slice.last - slice.first) * width, Data(gate) + at, Data(up) + at,
                          to + at);
        });
    x = Linear(layer.hidden, Weight(block + "ffn_down.weight"), layer.middle);
    layers_.push_back(layer);
  }
  return x;
}

// Turns a row of logits into its gradient; smoothing spreads part of the label over all classes.
void Graph::LossRow(float* logits, int64_t target) const {
  const int64_t n_out = shape_.n_out();
  const size_t index = static_cast<size_t>(target);
  if (feed_->logits != nullptr) {
    std::memcpy(feed_->logits + target * n_out, logits, static_cast<size_t>(n_out) * sizeof(float));
  }
  const int32_t label = feed_->labels[index];
  const float chosen = logits[label];
  const float uniform = feed_->smoothing / static_cast<float>(n_out);
  double mean = 0;
  if (uniform > 0) {
    for (int64_t at = 0; at < n_out; ++at) mean += logits[at];
    mean /= static_cast<double>(n_out);
  }
  const float highest = kernels_.max(n_out, logits);
  const float sum = kernels_.exp_sum(n_out, logits, -highest, logits);
  const double log_sum = static_cast<double>(highest) + std::log(static_cast<double>(sum));
  feed_->losses[index] = static_cast<float>(
      log_sum - (1.0 - static_cast<double>(feed_->smoothing)) * static_cast<double>(chosen) -
      static_cast<double>(feed_->smoothing) * mean);
  const float scale = feed_->weights[index] * feed_->gradient_scale;
  const float inverse = scale / sum;
  const float spread = uniform * scale;
  for (int64_t at = 0; at < n_out; ++at) logits[at] = logits[at] * inverse - spread;
  logits[label] -= (1.0f - feed_->smoothing) * scale;
}

// Target rows, final norm, logits and loss; returns the gradient of `hidden`.
ggml_tensor* Graph::BuildHead(ggml_tensor* hidden) {
  const int64_t width = shape_.n_embd;
  const int64_t n_out = shape_.n_out();
  const int64_t max_targets = sizes_.max_targets;
  const int64_t* n_targets = &feed_->n_targets;
  const char* head_name = shape_.n_classes > 0 ? kClassHead
                          : shape_.tied        ? "token_embd.weight"
                                               : "output.weight";
  ggml_tensor* head = Weight(head_name);
  ggml_tensor* rows =
      Node(width, max_targets, {hidden}, [=, this](float* to, int64_t part, int64_t parts) {
        const Slice slice = RowsOf(*n_targets, part, parts);
        for (int64_t target = slice.first; target < slice.last; ++target) {
          std::memcpy(to + target * width,
                      Data(hidden) + feed_->positions[static_cast<size_t>(target)] * width,
                      static_cast<size_t>(width) * sizeof(float));
        }
      });
  const Normed normed = Norm(rows, Weight("output_norm.weight"), n_targets);
  ggml_tensor* d_normed = nullptr;
  const int64_t chunk = ChunkRows(shape_, max_targets);
  for (int64_t first = 0; first < max_targets; first += chunk) {
    const auto rows_here = [=] { return std::clamp<int64_t>(*n_targets - first, 0, chunk); };
    const auto logits_of = [=, this](float* to, int64_t part, int64_t parts) {
      Multiply({rows_here(), n_out, width, Data(normed.out) + first * width, width, 1, Data(head),
                1, width, to, n_out, false, nullptr},
               part, parts);
    };
    ggml_tensor* logits =
        Node(n_out, std::min(chunk, max_targets - first), {normed.out, head}, logits_of);
    ggml_tensor* d_logits =
        NodeInto(logits, {}, [=, this](float* values, int64_t part, int64_t parts) {
          const Slice slice = RowsOf(rows_here(), part, parts);
          for (int64_t row = slice.first; row < slice.last; ++row) {
            LossRow(values + row * n_out, first + row);
          }
        });
    if (gradients_ == nullptr) continue;
    const auto back = [=, this](float* to, int64_t part, int64_t parts) {
      Multiply({rows_here(), width, n_out, Data(d_logits), n_out, 1, Data(head), width, 1,
                to + first * width, width, false, nullptr},
               part, parts);
    };
    d_normed = d_normed == nullptr ? Node(width, max_targets, {d_logits, head}, back)
                                   : NodeInto(d_normed, {d_logits, head}, back);
    NodeInto(Gradient(head_name), {d_logits, normed.out},
             [=, this](float* to, int64_t part, int64_t parts) {
               Multiply({n_out, width, rows_here(), Data(d_logits), 1, n_out,
                         Data(normed.out) + first * width, width, 1, to, width, true, nullptr},
                        part, parts);
             });
  }
  if (gradients_ == nullptr) return nullptr;
  ggml_tensor* d_rows = NormBack("output_norm.weight", d_normed, rows, normed, nullptr, n_targets);
  return Node(width, n_tokens_, {d_rows}, [=, this](float* to, int64_t part, int64_t parts) {
    // By columns: a position may be a target more than once.
    const Slice slice = ColumnsOf(width, part, parts);
    const int64_t columns = slice.last - slice.first;
    for (int64_t token = 0; token < n_tokens_; ++token) {
      std::fill_n(to + token * width + slice.first, columns, 0.0f);
    }
    for (int64_t target = 0; target < *n_targets; ++target) {
      kernels_.axpy(columns, 1.0f, Data(d_rows) + target * width + slice.first,
                    to + feed_->positions[static_cast<size_t>(target)] * width + slice.first);
    }
  });
}

// ---- backward -----------------------------------------------------------------------------------

ggml_tensor* Graph::LayerBack(int32_t index, ggml_tensor* d_out) {
  const Layer& layer = layers_[static_cast<size_t>(index)];
  const std::string block = "blk." + std::to_string(index) + ".";

  WeightBack(block + "ffn_down.weight", d_out, layer.hidden);
  ggml_tensor* d_hidden = LinearBack(d_out, Weight(block + "ffn_down.weight"), nullptr);
  const int64_t ff = shape_.n_ff;
  ggml_tensor *gate = layer.gate, *up = layer.up;
  ggml_tensor* d_both = Node(
      ff, 2 * n_tokens_, {gate, up, d_hidden}, [=, this](float* to, int64_t part, int64_t parts) {
        const Slice slice = RowsOf(n_tokens_, part, parts);
        const int64_t at = slice.first * ff;
        kernels_.swiglu_back((slice.last - slice.first) * ff, Data(gate) + at, Data(up) + at,
                             Data(d_hidden) + at, to + at, to + n_tokens_ * ff + at);
      });
  ggml_tensor* d_gate = Part(d_both, ff, n_tokens_, 0);
  ggml_tensor* d_up = Part(d_both, ff, n_tokens_, n_tokens_ * ff);
  WeightBack(block + "ffn_gate.weight", d_gate, layer.normed_ffn.out);
  WeightBack(block + "ffn_up.weight", d_up, layer.normed_ffn.out);
  ggml_tensor* d_normed = LinearBack(d_gate, Weight(block + "ffn_gate.weight"), nullptr);
  d_normed = LinearBack(d_up, Weight(block + "ffn_up.weight"), d_normed);
  ggml_tensor* d_middle = NormBack(block + "ffn_norm.weight", d_normed, layer.middle,
                                   layer.normed_ffn, d_out, &n_tokens_);

  WeightBack(block + "attn_output.weight", d_middle, layer.attended.out);
  ggml_tensor* d_attended = LinearBack(d_middle, Weight(block + "attn_output.weight"), nullptr);
  const int64_t q_floats = shape_.q_width() * n_tokens_;
  const int64_t kv_floats = shape_.kv_width() * n_tokens_;
  ggml_tensor *q = layer.q, *k = layer.k, *v = layer.v;
  const Attended attended = layer.attended;
  ggml_tensor* d_qkv = Node(
      q_floats + 2 * kv_floats, 1, {q, k, v, attended.out, attended.log_sum, d_attended},
      [=, this](float* to, int64_t part, int64_t parts) {
        const Slice slice = RowsOf(attention_.tasks(), part, parts);
        for (int64_t task = slice.first; task < slice.last; ++task) {
          AttentionBackward(kernels_, attention_, rotary_, feed_->ranges, Data(q), Data(k), Data(v),
                            Data(attended.out), Data(attended.log_sum), Data(d_attended), task, to,
                            to + q_floats, to + q_floats + kv_floats);
        }
      });
  ggml_tensor* d_q = Part(d_qkv, shape_.q_width(), n_tokens_, 0);
  ggml_tensor* d_k = Part(d_qkv, shape_.kv_width(), n_tokens_, q_floats);
  ggml_tensor* d_v = Part(d_qkv, shape_.kv_width(), n_tokens_, q_floats + kv_floats);
  ggml_tensor* normed = layer.normed_attention.out;
  WeightBack(block + "attn_q.weight", d_q, normed);
  WeightBack(block + "attn_k.weight", d_k, normed);
  WeightBack(block + "attn_v.weight", d_v, normed);
  d_normed = LinearBack(d_q, Weight(block + "attn_q.weight"), nullptr);
  d_normed = LinearBack(d_k, Weight(block + "attn_k.weight"), d_normed);
  d_normed = LinearBack(d_v, Weight(block + "attn_v.weight"), d_normed);
  return NormBack(block + "attn_norm.weight", d_normed, layer.input, layer.normed_attention,
                  d_middle, &n_tokens_);
}

void Graph::BuildBackward(ggml_tensor* d_hidden) {
  ggml_tensor* d_x = d_hidden;
  for (int32_t index = shape_.n_layer - 1; index >= 0; --index) d_x = LayerBack(index, d_x);
  const int64_t width = shape_.n_embd;
  NodeInto(Gradient("token_embd.weight"), {d_x}, [=, this](float* to, int64_t part, int64_t parts) {
    // By columns: a token may occur more than once.
    const Slice slice = ColumnsOf(width, part, parts);
    if (!feed_->bag_starts.empty()) {
      for (int64_t token = 0; token < n_tokens_; ++token) {
        EachOfBag(*feed_, token, [&](int32_t id, float weight) {
          kernels_.axpy(slice.last - slice.first, weight, Data(d_x) + token * width + slice.first,
                        to + id * width + slice.first);
        });
      }
      return;
    }
    for (int64_t token = 0; token < n_tokens_; ++token) {
      kernels_.axpy(slice.last - slice.first, 1.0f, Data(d_x) + token * width + slice.first,
                    to + feed_->tokens[static_cast<size_t>(token)] * width + slice.first);
    }
  });
}

}  // namespace gristmill::train
