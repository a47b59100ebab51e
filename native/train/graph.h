// The training graph of the CPU: forward, loss and backward of a llama model as one static ggml
// graph.
//
// Built once per trainer and computed again for every micro-batch. Its nodes are custom operators
// over kernels.h on ggml's CPU backend: ggml's own operators lack a blocked kernel for weight
// gradients, a cross entropy without dense one-hot labels, and gradients of rows that are looked
// up. The head sees target rows only, in chunks, so that logits never exist for a whole batch.
//
// Gradients are added to (the caller clears them before a step): micro-batches accumulate.
// Invariant: every node writes what its part of the work owns, in an order that does not depend on
// the number of threads.
#pragma once

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "train/attention.h"
#include "train/kernels.h"
#include "train/shape.h"
#include "train/train_graph.h"

namespace gristmill::train {

struct Product;

class Graph : public TrainGraph {
 public:
  // `weights` and `gradients` are flat arrays on the backend, laid out as `tensors`; without
  // gradients the graph ends at the loss. With `bf16` products of weights are made in bf16;
  // attention, norms and the loss are float32 all the same.
  Graph(const Shape& shape, const GraphSizes& sizes, bool bf16,
        const std::vector<TensorSpec>& tensors, ggml_tensor* weights, ggml_tensor* gradients,
        ggml_backend_t backend, Feed* feed);

  void Compute() override;
  size_t buffer_bytes() const override { return ggml_gallocr_get_buffer_size(allocator_.get(), 0); }

 private:
  using Body = std::function<void(float* out, int64_t part, int64_t parts)>;
  using Sources = std::initializer_list<ggml_tensor*>;
  // A tensor and what its rows were divided by: [width x rows] and [rows].
  struct Normed {
    ggml_tensor* out;
    ggml_tensor* inverse;
  };
  struct Attended {
    ggml_tensor* out;
    ggml_tensor* log_sum;
  };
  struct Layer {
    ggml_tensor *input, *q, *k, *v, *middle, *gate, *up, *hidden;
    Normed normed_attention, normed_ffn;
    Attended attended;
  };

  static void Run(ggml_tensor* out, int part, int parts, void* body);
  ggml_tensor* Node(int64_t width, int64_t rows, Sources sources, Body body);
  ggml_tensor* NodeInto(ggml_tensor* target, Sources sources, Body body);
  ggml_tensor* Part(ggml_tensor* whole, int64_t width, int64_t rows, int64_t offset);

  void Multiply(const Product& product, int64_t part, int64_t parts) const;
  ggml_tensor* Weight(const std::string& name);
  ggml_tensor* Gradient(const std::string& name);

  // `n_rows` is read when the node runs: how many rows hold data.
  ggml_tensor* Linear(ggml_tensor* x, ggml_tensor* weight, ggml_tensor* residual);
  ggml_tensor* LinearBack(ggml_tensor* d_out, ggml_tensor* weight, ggml_tensor* add_to);
  void WeightBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x);
  Normed Norm(ggml_tensor* x, ggml_tensor* scale, const int64_t* n_rows);
  ggml_tensor* NormBack(const std::string& name, ggml_tensor* d_out, ggml_tensor* x,
                        const Normed& normed, ggml_tensor* residual, const int64_t* n_rows);
  Attended Attention(ggml_tensor* q, ggml_tensor* k, ggml_tensor* v);

  ggml_tensor* Embed();
  ggml_tensor* BuildForward();
  ggml_tensor* BuildHead(ggml_tensor* hidden);
  void BuildBackward(ggml_tensor* d_hidden);
  ggml_tensor* LayerBack(int32_t layer, ggml_tensor* d_out);
  void LossRow(float* logits, int64_t target) const;

  const Shape shape_;
  const GraphSizes sizes_;
  const bool bf16_;
  const int64_t n_tokens_;
  const std::vector<TensorSpec>& tensors_;
  const Kernels& kernels_;
  const RotaryTable rotary_;
  const AttentionSizes attention_;
  Feed* feed_;
  ggml_backend_t backend_;
  ggml_tensor* weights_;
  ggml_tensor* gradients_;
  std::deque<Body> bodies_;
  std::vector<Layer> layers_;
  std::unique_ptr<ggml_context, void (*)(ggml_context*)> context_;
  std::unique_ptr<ggml_gallocr, void (*)(ggml_gallocr*)> allocator_;
  ggml_cgraph* graph_ = nullptr;
};

// C[m x n] = A B or C += A B over strided operands; this call computes its part of the rows or
// columns. Element (row, k) of A is a[row * a_row + k * a_k], (k, column) of B b[k * b_k + column *
// b_column].
struct Product {
  int64_t m, n, k;
  const float* a;
  int64_t a_row, a_k;
  const float* b;
  int64_t b_k, b_column;
  float* c;
  int64_t c_row;
  bool accumulate;
  const float* initial;  // same layout as C, copied to it first; null for none
};
void ComputeProduct(const Kernels& kernels, const Product& product, int64_t part, int64_t parts);
// A and B rounded to bf16 on the way in; sums are float32.
void ComputeProductBf16(const Kernels& kernels, const Product& product, int64_t part,
                        int64_t parts);

}  // namespace gristmill::train
