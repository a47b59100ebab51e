// The training graph of ggml's own operators: the same model, loss and gradients as Graph, on every
// backend that has the operators (CUDA has all of them, see bench/gpu.md).
//
// Forward, loss and backward are one static graph, the backward pass written by hand. It is built
// for a Form (tokens or bags, with or without logits to read) and built again when a feed needs
// another one. The head runs in chunks of kChunkRows targets; attention's probabilities are made
// again in the backward pass, so that they never exist for more than one layer.
//
// Tensors of attention are [head_dim x n_ctx x heads], the heads of one sequence after those of the
// other; query head h of a sequence shares the key-value head h / (n_head / n_head_kv).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "train/device_inputs.h"
#include "train/device_plan.h"
#include "train/shape.h"
#include "train/train_graph.h"

namespace gristmill::train {

class DeviceGraph : public TrainGraph {
 public:
  // `weights` and `gradients` are flat arrays on the device, laid out as `tensors`; without
  // gradients the graph ends at the loss. The feed's smoothing is that of the constructor.
  DeviceGraph(const Shape& shape, const GraphSizes& sizes, const std::vector<TensorSpec>& tensors,
              ggml_tensor* weights, ggml_tensor* gradients, const Device& device, float smoothing,
              Feed* feed);

  void Compute() override;
  size_t buffer_bytes() const override {
    return built_ ? plan_->buffer_bytes() + inputs_->buffer_bytes() : 0;
  }

 private:
  struct Normed {
    ggml_tensor* unscaled;
    ggml_tensor* out;
  };
  struct Layer {
    ggml_tensor *input, *q, *k, *v, *attended, *middle, *gate, *up, *hidden;
    Normed normed_attention, normed_ffn;
  };

  void Build(const Form& form);
  size_t NodeBound() const;

  // ---- device_nodes.cc: what the passes are made of
  ggml_tensor* Weight(const std::string& name) const;
  ggml_tensor* Gradient(const std::string& name) const;
  void AddToGradient(const std::string& name, ggml_tensor* value);
  ggml_tensor* Linear(const std::string& name, ggml_tensor* x);
  ggml_tensor* LinearBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x);
  Normed Norm(const std::string& name, ggml_tensor* x);
  ggml_tensor* NormBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x,
                        const Normed& normed);
  ggml_tensor* ScatterAdd(ggml_tensor* matrix, ggml_tensor* rows, const ScatterChunk& chunk);
  ggml_tensor* Rows(ggml_tensor* matrix, int64_t first, int64_t count) const;
  ggml_tensor* Some(ggml_tensor* vector, int64_t first, int64_t count) const;
  ggml_tensor* Transposed(ggml_tensor* heads) const;
  ggml_tensor* ToHeads(ggml_tensor* x, int64_t n_heads, bool rotate) const;
  ggml_tensor* FromHeads(ggml_tensor* heads, int64_t n_heads, bool rotate) const;
  ggml_tensor* SumGroups(ggml_tensor* heads) const;
  ggml_tensor* Mask() const;
  ggml_tensor* Probabilities(ggml_tensor* q, ggml_tensor* k) const;

  // ---- device_graph.cc: the passes
  ggml_tensor* Embed();
  ggml_tensor* BuildForward();
  ggml_tensor* BuildHead(ggml_tensor* hidden);
  ggml_tensor* HeadChunk(ggml_tensor* hidden, ggml_tensor* d_hidden, int64_t first, int64_t count);
  ggml_tensor* Losses(ggml_tensor* logits, ggml_tensor* probabilities, ggml_tensor* labels) const;
  ggml_tensor* LossBack(ggml_tensor* probabilities, ggml_tensor* labels, ggml_tensor* scales) const;
  void BuildBackward(ggml_tensor* d_hidden);
  ggml_tensor* LayerBack(int32_t layer, ggml_tensor* d_out);
  ggml_tensor* AttentionBack(const Layer& layer, const std::string& block, ggml_tensor* d_out);

  const Shape shape_;
  const GraphSizes sizes_;
  const std::vector<TensorSpec>& tensors_;
  ggml_tensor* weights_;
  ggml_tensor* gradients_;
  const Device device_;
  const float smoothing_;
  Feed* feed_;
  Form form_;
  bool built_ = false;  // false again when a build ran out of memory
  std::unique_ptr<DeviceInputs> inputs_;
  std::unique_ptr<DevicePlan> plan_;
  ggml_context* context_ = nullptr;  // of the plan
  ggml_tensor* mask_ = nullptr;
  std::vector<Layer> layers_;
};

}  // namespace gristmill::train
