// What is trained: the shape of a llama model, its tensors in one flat array, and what a step
// reads.
//
// All parameters lie in one array of floats, each tensor at a multiple of 16 floats; gradients and
// both moments have the same layout. Names are those of GGUF; rows x columns are PyTorch's [out,
// in].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::train {

struct Shape {
  int32_t n_vocab = 0;
  int32_t n_embd = 0;
  int32_t n_layer = 0;
  int32_t n_head = 0;
  int32_t n_head_kv = 0;
  int32_t n_head_dim = 0;
  int32_t n_ff = 0;
  float rope_theta = 10000.0f;
  float rms_epsilon = 1e-5f;
  bool tied = true;  // the head is the embedding table
  // 0: the head predicts tokens; else it has this many classes and a matrix of its own.
  int32_t n_classes = 0;

  int64_t q_width() const { return int64_t{n_head} * n_head_dim; }
  int64_t kv_width() const { return int64_t{n_head_kv} * n_head_dim; }
  int64_t n_out() const { return n_classes > 0 ? n_classes : n_vocab; }
};

// Name of the classification head; it has no place among GGUF's llama tensors.
inline constexpr char kClassHead[] = "class_head.weight";

struct TensorSpec {
  std::string name;
  int64_t rows = 1;  // 1 with is_norm: a vector
  int64_t columns = 0;
  bool is_norm = false;  // starts at one, no weight decay
  float deviation = 0;   // of the initial normal distribution
  int64_t offset = 0;    // floats from the start of the array

  int64_t size() const { return rows * columns; }
};

// Throws TRAIN_SHAPE_INVALID.
void CheckShape(const Shape& shape);

std::vector<TensorSpec> TensorsOf(const Shape& shape, float deviation);

// Length of the flat array, padding included.
int64_t FlatSize(const std::vector<TensorSpec>& tensors);

// Normal values, the same for the same seed on every machine with IEEE doubles and this libm.
void Initialise(const std::vector<TensorSpec>& tensors, uint64_t seed, float* flat);

}  // namespace gristmill::train
