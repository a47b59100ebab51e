#include "train/shape.h"

#include <cmath>

#include "error.h"

namespace gristmill::train {

namespace {

constexpr int64_t kAlignment = 16;

// splitmix64: one state word, good enough for initial weights.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  double Uniform() {  // (0, 1]
    state_ += 0x9E3779B97F4A7C15ull;
    uint64_t word = state_;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ull;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBull;
    word ^= word >> 31;
    return (static_cast<double>(word >> 11) + 1.0) * 0x1p-53;
  }

  // Box-Muller; the second value of a pair is used next.
  double Normal() {
    if (has_second_) {
      has_second_ = false;
      return second_;
    }
    const double radius = std::sqrt(-2.0 * std::log(Uniform()));
    const double angle = 6.283185307179586 * Uniform();
    second_ = radius * std::sin(angle);
    has_second_ = true;
    return radius * std::cos(angle);
  }

 private:
  uint64_t state_;
  double second_ = 0;
  bool has_second_ = false;
};

void Require(bool holds, const char* what, int64_t received, const char* expected) {
  if (holds) return;
  throw CodedError(
      "TRAIN_SHAPE_INVALID",
      {{"field", what}, {"expected", expected}, {"received", std::to_string(received)}});
}

}  // namespace

void CheckShape(const Shape& shape) {
  Require(shape.n_vocab >= 2 && shape.n_vocab <= 1 << 20, "nVocab", shape.n_vocab, "2..1048576");
  Require(shape.n_embd >= 1 && shape.n_embd <= 1 << 14, "nEmbd", shape.n_embd, "1..16384");
  Require(shape.n_layer >= 1 && shape.n_layer <= 256, "nLayer", shape.n_layer, "1..256");
  Require(shape.n_head >= 1 && shape.n_head <= 256, "nHead", shape.n_head, "1..256");
  Require(shape.n_head_kv >= 1 && shape.n_head % shape.n_head_kv == 0, "nHeadKv", shape.n_head_kv,
          "a divisor of nHead");
  Require(shape.n_head_dim >= 2 && shape.n_head_dim <= 512 && shape.n_head_dim % 2 == 0, "nHeadDim",
          shape.n_head_dim, "an even number in 2..512");
  Require(shape.n_ff >= 1 && shape.n_ff <= 1 << 16, "nFf", shape.n_ff, "1..65536");
  Require(shape.n_classes == 0 || (shape.n_classes >= 2 && shape.n_classes <= 1024), "nClasses",
          shape.n_classes, "0 or 2..1024");
  Require(shape.rope_theta > 0 && std::isfinite(shape.rope_theta), "ropeTheta",
          static_cast<int64_t>(shape.rope_theta), "above 0");
  Require(shape.rms_epsilon > 0 && shape.rms_epsilon < 1, "rmsEpsilon",
          static_cast<int64_t>(shape.rms_epsilon), "in 0..1");
}

std::vector<TensorSpec> TensorsOf(const Shape& shape, float deviation) {
  std::vector<TensorSpec> tensors;
  int64_t offset = 0;
  const auto add = [&](std::string name, int64_t rows, int64_t columns, bool is_norm,
                       float std_dev) {
    tensors.push_back({std::move(name), rows, columns, is_norm, std_dev, offset});
    offset += (rows * columns + kAlignment - 1) / kAlignment * kAlignment;
  };
  // GPT-2's rule: what writes to the residual stream starts smaller, so that depth does not add up.
  const float residual = deviation / std::sqrt(2.0f * static_cast<float>(shape.n_layer));
  const int64_t embd = shape.n_embd;
  add("token_embd.weight", shape.n_vocab, embd, false, deviation);
  for (int32_t layer = 0; layer < shape.n_layer; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    add(block + "attn_norm.weight", 1, embd, true, 0);
    add(block + "attn_q.weight", shape.q_width(), embd, false, deviation);
    add(block + "attn_k.weight", shape.kv_width(), embd, false, deviation);
    add(block + "attn_v.weight", shape.kv_width(), embd, false, deviation);
    add(block + "attn_output.weight", embd, shape.q_width(), false, residual);
    add(block + "ffn_norm.weight", 1, embd, true, 0);
    add(block + "ffn_gate.weight", shape.n_ff, embd, false, deviation);
    add(block + "ffn_up.weight", shape.n_ff, embd, false, deviation);
    add(block + "ffn_down.weight", embd, shape.n_ff, false, residual);
  }
  add("output_norm.weight", 1, embd, true, 0);
  if (shape.n_classes > 0) {
    add(kClassHead, shape.n_classes, embd, false, deviation);
  } else if (!shape.tied) {
    add("output.weight", shape.n_vocab, embd, false, deviation);
  }
  return tensors;
}

int64_t FlatSize(const std::vector<TensorSpec>& tensors) {
  const TensorSpec& last = tensors.back();
  return last.offset + (last.size() + kAlignment - 1) / kAlignment * kAlignment;
}

void Initialise(const std::vector<TensorSpec>& tensors, uint64_t seed, float* flat) {
  for (size_t index = 0; index < tensors.size(); ++index) {
    const TensorSpec& tensor = tensors[index];
    float* values = flat + tensor.offset;
    // A generator per tensor: adding a layer changes no other layer's start.
    Random random(seed * 0x2545F4914F6CDD1Dull + (index + 1) * 0x9E3779B97F4A7C15ull);
    for (int64_t at = 0; at < tensor.size(); ++at) {
      values[at] = tensor.is_norm ? 1.0f : static_cast<float>(random.Normal() * tensor.deviation);
    }
  }
}

}  // namespace gristmill::train
